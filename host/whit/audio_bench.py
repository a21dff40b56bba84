"""Count the instructions that listening takes in a second of audio: the front end's and the model's.

The second is the same each time: two tones and noise, softly and then eight times as loud. Frames differ by a few
percent.
"""

from __future__ import annotations

import struct
from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Any

from .device import check
from .device import format as blob_format
from .emulate import Core, hear
from .inspect import describe

_PERIODS_HZ = 437, 1911  # of the tones
_SEED = 0xB1A5


@dataclass(frozen=True)
class Second:
    """Instructions in a second of audio. model: of all inferences in it."""

    frames: float
    inferences: float
    frontend: int
    model: int

    def to_json(self) -> dict[str, Any]:
        """In types that json can write."""
        return asdict(self) | {"instructions": self.frontend + self.model}


def second(data: bytes, core: Core, kernels: str, model: int) -> Second | None:
    """What listening with a .whit file takes on `core`; None where it has no front end.

    Args:
        data: its bytes, of a file that a board takes.
        core: one of whit.emulate.CORES.
        kernels: "native" or "viper".
        model: the instructions of an inference.

    Raises:
        WhitError: as whit.emulate.hear() does.
    """
    about = describe(data)
    if not about["frontend"]:
        return None
    rate, window, step = (about["frontend"][key] for key in ("rate", "window", "step"))
    at, size = check.check("model", memoryview(data))[1][blob_format.FRONTEND]
    # The first frame is whole after more samples than the others.
    frames = hear(core, kernels, data[at : at + size], sound(rate, window + rate))[1:]
    frames_a_second = Fraction(rate, step)
    frontend = sum(frame.instructions for frame in frames) * frames_a_second / len(frames)
    inferences = frames_a_second / (about["detection"]["every"] if about["detection"] else 1)
    return Second(float(frames_a_second), float(inferences), round(frontend), round(model * inferences))


def sound(rate: int, samples: int) -> bytes:
    """The signal, int16: as long as there are samples."""
    noise = bytearray(samples)
    blob_format.noise(_SEED, noise)
    values = []
    for at in range(samples):
        value = 8 * (noise[at] - 128)
        for hz, loudness in zip(_PERIODS_HZ, (9000, 4500), strict=True):
            phase = at * hz * 4096 // rate % 4096  # a triangle: one period in 4096
            value += (abs(phase - 2048) - 1024) * loudness // 1024
        values.append(value >> 3 if at % rate < rate // 2 else value)
    return struct.pack(f"<{samples}h", *values)
