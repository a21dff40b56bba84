"""The FRONTEND section of a .whit file: the tables of an audio front end, and how features become a model's input."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass

import numpy as np

from .device import frontend as board
from .errors import WhitError
from .microfrontend import FEATURE_SCALE, FFT, GAIN_ENTRIES, LOG_ENTRIES, Parameters, Tables, tables

# The tables behind the header, in their order, and what they consist of.
_MOST_ROUNDING = (1 << 31) - 1
_DTYPES = {
    "coefficients": "<i2",
    "twiddles": "<i2",
    "real_twiddles": "<i2",
    "widths": "u1",
    "weights": "<i2",
    "gain": "<i2",
    "log": "<u2",
}


@dataclass(frozen=True)
class Scaling:
    """From a feature v to the byte of the model's input, q - least q:

    byte = min((min(v, limit) * multiplier + rounding) >> shift, 255)
    """

    multiplier: int
    rounding: int
    shift: int
    limit: int
    dtype: str = "int8"  # or "uint8"

    def bytes(self, features: np.ndarray) -> np.ndarray:
        """The model's input, of the scaling's dtype, for an array of features."""
        v = np.minimum(features.astype(np.int64), self.limit)
        data = np.minimum((v * self.multiplier + self.rounding) >> self.shift, 255)
        return (data + np.iinfo(self.dtype).min).astype(self.dtype)


def scaling(scale: float, zero_point: int, dtype: str, feature_scale: float = FEATURE_SCALE) -> Scaling:
    """The integers that give round(v * feature_scale / scale + zero_point), saturating, for every feature v.

    As pymicro-wakeword rounds: ties to even.

    Raises:
        WhitError: the format holds none.
    """
    if not scale > 0:
        raise WhitError("its input is not quantized; quantize it")
    least = np.iinfo(dtype).min
    v: np.ndarray = np.arange(1 << 16)
    wanted = np.clip(np.rint(v * feature_scale / scale + zero_point) - least, 0, 255).astype(np.int64)
    limit = int(np.argmax(wanted == 255)) if wanted[-1] == 255 else len(v) - 1
    v, wanted = v[: limit + 1], wanted[: limit + 1]
    for shift in range(30, -1, -1):
        near = int(feature_scale / scale * (1 << shift))
        for multiplier in range(max(near - 2, 0), min(near + 4, 1 << 16)):
            # The least and the largest rounding with which each v gives its byte; 255 has no upper bound.
            least_rounding = int(((wanted << shift) - v * multiplier).max())
            most = ((wanted + 1) << shift) - 1 - v * multiplier
            most_rounding = int(most[wanted < 255].min(initial=_MOST_ROUNDING))
            rounding = min(max((least_rounding + most_rounding) // 2, least_rounding, 0), most_rounding)
            fits = max(least_rounding, 0) <= rounding
            if fits and multiplier * limit + rounding < 1 << 31:
                return Scaling(multiplier, rounding, shift, limit, dtype)
    raise WhitError(
        f"its input has the scale {scale:g} and the zero point {zero_point}, to which features of {feature_scale:g} "
        f"cannot be brought exactly; quantize it again with another scale, from {0.8 * feature_scale:.2g} to "
        f"{3.2 * feature_scale:.2g}"
    )


def section(p: Parameters, scale: float, zero_point: int, dtype: str) -> bytes:
    """The section of a model whose input is quantized so.

    Raises:
        WhitError: parameters or a quantization that the format cannot hold.
    """
    return write_section(tables(p), scaling(scale, zero_point, dtype, p.feature_scale))


def write_section(t: Tables, s: Scaling) -> bytes:
    """The section, as FORMAT.md specifies it."""
    flags = board.GAIN if t.gain is not None else 0
    flags |= board.LOGARITHM if t.log is not None else 0
    flags |= board.UNSIGNED if s.dtype == "uint8" else 0
    smoothing = t.even_smoothing, t.odd_smoothing, t.least_remaining
    shifts = t.smoothing_bits, t.gain_shift, t.log_shift, t.correction_bits
    numbers = (t.rate, t.window, t.step, t.channels, t.first, t.end, *smoothing, *shifts, flags)
    section = struct.pack(board.HEADER, *numbers, s.shift, s.multiplier, s.rounding, s.limit)
    for name, dtype in _DTYPES.items():
        table = getattr(t, name)
        if table is not None:
            data = np.ascontiguousarray(table, dtype).tobytes()
            section += data + b"\0" * (-len(data) % 4)
    return section


def read_section(data: bytes, name: str) -> tuple[Tables, Scaling]:
    """What write_section() was given; `name` is what messages call the file.

    Raises:
        WhitError: a board would refuse the section; the text is the board's.
    """
    try:
        board.check(name, memoryview(data))
    except ValueError as e:
        raise WhitError(str(e)) from None
    rate, window, step, channels, first, end, *numbers = struct.unpack_from(board.HEADER, data)
    *noise, flags, shift, multiplier, rounding, limit = numbers
    shapes = {
        "coefficients": (window,),
        "twiddles": (FFT * 3 // 8, 2),
        "real_twiddles": (FFT // 4, 2),
        "widths": (channels + 1,),
        "weights": (end - first,),
        "gain": (GAIN_ENTRIES,) if flags & board.GAIN else None,
        "log": (LOG_ENTRIES,) if flags & board.LOGARITHM else None,
    }
    found: dict[str, np.ndarray | None] = {}
    at = board.HEADER_BYTES
    for table, shape in shapes.items():
        size = math.prod(shape) if shape else 0
        values = np.frombuffer(data, _DTYPES[table], size, at)
        found[table] = values.reshape(shape) if shape else None
        at += values.nbytes + -values.nbytes % 4
    t = Tables(rate, window, step, first, end, *noise, **found)  # type: ignore[arg-type]
    return t, Scaling(multiplier, rounding, shift, limit, "uint8" if flags & board.UNSIGNED else "int8")
