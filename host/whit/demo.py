"""demo: the whole way on the model the project ships, from the .tflite file to answers under MicroPython."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from .inspect import describe
from .models import FOLDER, vectors
from .pack import pack
from .simulate import simulate

_SHADES = " .:-=+*#%@"
_SHOWN = 6


def demo(kernels: str | None, progress: Callable[[int, int], None]) -> tuple[str, int]:
    """Returns the text to show, and exit status 1 if an answer is not the one recorded with the model."""
    name = "digits_int8.tflite"
    packed = pack((FOLDER / "digits" / name).read_bytes(), name)
    test = vectors("digits")
    images, truth, recorded = test["inputs"].astype(np.float32), test["labels"], test["outputs"]
    scores = simulate(Path("digits_int8.whit"), packed.blob, [images], kernels, progress=progress)[0]
    answers = scores.argmax(1)
    labels = packed.program.labels
    port = describe(packed.blob)["outputs"][0]
    same = np.array_equal(np.rint(scores / port["scale"]) + port["zero_point"], recorded)
    right = int((answers == truth).sum())
    lines = [
        f"packed {name} into {len(packed.blob):,} bytes; the arena takes {packed.plan.arena_bytes:,}",
        "",
        *_drawings(images[:_SHOWN]),
        "".join(f"{f'{labels[a]} ({s[a]:.0%})':^10}" for a, s in zip(answers[:_SHOWN], scores[:_SHOWN], strict=True)),
        "",
        f"{right} of {len(truth)} unseen digits read right ({right / len(truth):.1%}) under MicroPython",
        "every score equals TensorFlow Lite Micro's" if same else "scores DIFFER from TensorFlow Lite Micro's",
        "",
        "on a board:   import whit",
        '              m = whit.load("digits_int8.whit")',
        "              y = m.predict(image)",
    ]
    return "\n".join(lines), 0 if same else 1


def _drawings(images: np.ndarray) -> list[str]:
    """Images [n,8,8,1] of 0 to 1 beside each other, a character a pixel."""
    shades = np.array(list(_SHADES))[(images[..., 0] * (len(_SHADES) - 1)).astype(int)]
    return ["  ".join("".join(image[row]) for image in shades) for row in range(images.shape[1])]
