"""The 256-entry tables: any int8 -> int8 function, tabulated with TFLM's arithmetic.

A table is indexed by the input's byte taken as unsigned and holds the output's byte. Sources: TFLM's
activations_common.cc, logistic.h, tanh.h, leaky_relu.h, hard_swish.h, requantize.h, softmax.h.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from . import fixedpoint as fp
from .errors import WhitError
from .graph import Operator, Tensor

Error = Callable[[str, str], WhitError]


def _tabulate(function: Callable[[int], int], signed: bool = True) -> bytes:
    """function(q) for every input byte q; results are clamped to what a byte holds by the caller."""
    return bytes(function(b - 256 if signed and b > 127 else b) & 0xFF for b in range(256))


def _clamp8(v: int) -> int:
    return max(-128, min(127, int(v)))


def requantize_table(x: Tensor, y: Tensor) -> bytes:
    """QUANTIZE between int8 and uint8: reference_ops::Requantize."""
    m, e = fp.quantize_multiplier(x.scale / y.scale)
    lo, hi = (0, 255) if y.dtype == "uint8" else (-128, 127)
    if x.scale == y.scale and {x.dtype, y.dtype} == {"int8", "uint8"} and abs(x.zero_point - y.zero_point) == 128:
        return bytes(b ^ 0x80 for b in range(256))
    return _tabulate(
        lambda q: max(lo, min(hi, int(fp.requantize(q - x.zero_point, m, e)) + y.zero_point)), x.dtype == "int8"
    )


def _relu(x: Tensor, y: Tensor, op: Operator, error: Error) -> bytes:
    m, e = fp.quantize_multiplier(x.scale / y.scale)
    return _tabulate(lambda q: _clamp8(max(y.zero_point, int(fp.requantize(q - x.zero_point, m, e)) + y.zero_point)))


def _relu6(x: Tensor, y: Tensor, op: Operator, error: Error) -> bytes:
    # TFLM clamps in the input's scale and never rescales.
    if x.scale != y.scale or x.zero_point != y.zero_point:
        raise error("input and output are quantized differently", "quantize the model again: RELU6 keeps the scale")
    six = min(127, fp.quantized_float(6, x.scale, x.zero_point))
    return _tabulate(lambda q: max(x.zero_point, min(six, q)))


def _leaky_relu(x: Tensor, y: Tensor, op: Operator, error: Error) -> bytes:
    # The scales meet in float32 before they become multipliers.
    ratio = np.float32(x.scale) / np.float32(y.scale)
    alpha = np.float32(x.scale) * np.float32(op.options["Alpha"]) / np.float32(y.scale)
    slopes = fp.quantize_multiplier(float(alpha)), fp.quantize_multiplier(float(ratio))
    return _tabulate(lambda q: _clamp8(y.zero_point + int(fp.requantize(q - x.zero_point, *slopes[q >= x.zero_point]))))


def _fixed_q4(x: Tensor) -> tuple[int, int, int]:
    """Multiplier, right shift and radius that bring an input of |real| < 16 to Q4."""
    # From a scale of 16 on, the radius is 0 and the multiplier does not matter.
    m, e = fp.quantize_multiplier(min(x.scale * (1 << 27), fp.INT32_MAX))
    return m, e, fp.input_radius(4, -e)


def _logistic(x: Tensor, y: Tensor, op: Operator, error: Error) -> bytes:
    if y.zero_point != -128:
        raise error(f"has the output zero point {y.zero_point}", "TFLite fixes -128; quantize the model again")
    m, e, radius = _fixed_q4(x)

    def value(q: int) -> int:
        d = q - x.zero_point
        if abs(d) >= radius:
            return 127 if d > 0 else -128
        return _clamp8(fp.rounding_shift(fp.logistic(int(fp.requantize(d, m, e))), 23) - 128)

    return _tabulate(value)


def _tanh(x: Tensor, y: Tensor, op: Operator, error: Error) -> bytes:
    m, e, radius = _fixed_q4(x)

    def value(q: int) -> int:
        d = q - x.zero_point
        if abs(d) >= radius:
            return 127 if d > 0 else -128
        return _clamp8(fp.rounding_shift(fp.tanh(int(fp.requantize(d, m, e))), 24))

    return _tabulate(value)


def _to16(multiplier: int) -> int:
    return 0x7FFF if multiplier >= 0x7FFF0000 else (multiplier + (1 << 15)) >> 16


def _sat16(v: int) -> int:
    return max(-(1 << 15), min((1 << 15) - 1, v))


def _high_mul16(a: int, b: int) -> int:
    """SaturatingRoundingDoublingHighMul of int16; it truncates towards zero after the nudge."""
    product = a * b
    nudge = 1 << 14 if product >= 0 else 1 - (1 << 14)
    return _sat16(math.trunc((product + nudge) / (1 << 15)))


def _hard_swish(x: Tensor, y: Tensor, op: Operator, error: Error) -> bytes:
    """x * relu6(x + 3) / 6, in int16 with 7 bits of headroom below the input."""
    hires = np.float32(1 / 128) * np.float32(x.scale)
    om, oe = fp.quantize_multiplier(float(hires / np.float32(y.scale)))
    rm, re = fp.quantize_multiplier(float(hires / (np.float32(3) / np.float32(32768))))
    if oe < 0:
        raise error("its output scale is too small for its input's", "quantize the model again")

    def value(q: int) -> int:
        v = (q - x.zero_point) * 128
        scaled = _high_mul16(v, _to16(om))
        reluish = _sat16(v << (-re - 1)) if re < 0 else v
        reluish = _high_mul16(reluish, _to16(rm))
        if re < 0:
            reluish = _sat16(reluish * 2)
        elif re > 0:
            reluish = fp.rounding_shift(reluish, re)
        gate = (reluish + (1 << 15)) >> 1
        return _clamp8(fp.rounding_shift(math.trunc(gate * scaled / (1 << 15)), oe) + y.zero_point)

    return _tabulate(value)


TABLES: dict[str, Callable[[Tensor, Tensor, Operator, Error], bytes]] = {
    "RELU": _relu,
    "RELU6": _relu6,
    "LEAKY_RELU": _leaky_relu,
    "LOGISTIC": _logistic,
    "TANH": _tanh,
    "HARD_SWISH": _hard_swish,
}


def exp_table(scale: float, beta: float, error: Error) -> np.ndarray:
    """int32 exp(-d * scale * beta) in Q0 for d = 0, 1, ... as far as TFLM does not take it for zero."""
    m, e = fp.quantize_multiplier(min(beta * scale * (1 << 26), fp.INT32_MAX))
    if e > 0 or beta <= 0:
        raise error(f"beta {beta:g} times the input scale {scale:g} is too small", "quantize the model again")
    largest = min(255, fp.input_radius(5, -e))
    values = (fp.exp_on_negative(int(fp.high_mul(fp.wrap32(-d << -e), m)), 5) for d in range(largest + 1))
    return np.array(list(values), np.int64)
