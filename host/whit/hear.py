"""hear: a recording through a model's whole chain under the unix port of MicroPython, as a board hears it."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .errors import WhitError
from .inspect import describe
from .simulate import BLOB, HEAP_BYTES, call, interpreter, search_path

_MAIN = Path(__file__).with_name("unix_listen.py")


@dataclass(frozen=True)
class Heard:
    """A word, and when it was heard: the end of the frame, in ms from the first sample."""

    word: str
    ms: int


def listener_of(path: Path, blob: bytes) -> dict[str, Any]:
    """What describe() says of a model that can listen.

    Raises:
        WhitError: it was packed without a front end or without words, or a board would refuse it.
    """
    about = describe(blob, str(path))
    if not about["frontend"] or not about["detection"]:
        raise WhitError(
            f"{path}: was packed without what a listener needs; pack it again with the JSON of its wake word beside "
            "the model"
        )
    return about


def hear(
    path: Path,
    blob: bytes,
    samples: np.ndarray,
    kernels: str | None = None,
    heap_bytes: int = HEAP_BYTES,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Heard]:
    """The words that a model hears in int16 samples at its rate.

    Args:
        path: what messages call the file.
        blob: its bytes.
        samples: the recording.
        kernels: "native", "viper", or None for what a board would take.
        heap_bytes: the heap of the interpreter.
        progress: called with (seconds done, seconds).

    Raises:
        WhitError: a model that cannot listen, a recording too short for an answer, and whatever the runtime refuses.
    """
    about = listener_of(path, blob)
    rate, least = about["frontend"]["rate"], _least(about)
    if len(samples) < least:
        raise WhitError(
            f"{path}: gives its first answer after {least / rate:.2f} s of sound, the recording has "
            f"{len(samples) / rate:.2f} s; record more"
        )
    with tempfile.TemporaryDirectory(prefix="whit-") as folder, search_path() as environment:
        work = Path(folder)
        (work / BLOB).write_bytes(blob)
        (work / "sound").write_bytes(samples.astype("<i2").tobytes())
        command = [*interpreter(heap_bytes), str(_MAIN), folder, kernels or "", str(rate)]
        call(command, environment, str(path), -(-len(samples) // rate), progress)
        lines = (work / "heard").read_text().splitlines()
    return [Heard(about["detection"]["words"][int(word)], int(ms)) for word, ms in map(str.split, lines)]


def _least(about: dict[str, Any]) -> int:
    """How many samples fill the model's input and then the window of its answers."""
    front, found = about["frontend"], about["detection"]
    frames = math.prod(about["inputs"][0]["shape"]) // front["channels"] + (found["window"] - 1) * found["every"]
    return front["window"] + (frames - 1) * front["step"]
