"""TensorFlow Lite Micro's integer arithmetic, on the PC: multipliers, rounding, and the functions behind the tables.

Every function here is exact: it gives the bit that TFLM's reference kernels give. Sources, under tensorflow/lite:
kernels/internal/{quantization_util.cc, common.cc} and gemmlowp's fixedpoint/fixedpoint.h. In this file a fixed-point
value is a plain int; Qn means n integer bits and 31 - n fraction bits.
"""

from __future__ import annotations

import math

import numpy as np

INT32_MIN, INT32_MAX = -(1 << 31), (1 << 31) - 1


def round_half_away(x: float) -> int:
    """C's round()."""
    return int(math.copysign(math.floor(abs(x) + 0.5), x)) if abs(x) < 2**52 else int(x)


def quantize_multiplier(real: float) -> tuple[int, int]:
    """Split real = multiplier * 2**-31 * 2**-shift, multiplier in [2**30, 2**31), shift a right shift, -31 to 31.

    TFLM flushes what is below 2**-32 to zero, and so does this.

    Raises:
        OverflowError: `real` is not a number or not below 2**31, where TFLM's shifts leave int32.
    """
    if not abs(real) < 1 << 31:
        raise OverflowError(f"the ratio of scales {real:g} is not below 2**31")
    if real == 0:
        return 0, 0
    fraction, exponent = math.frexp(real)
    multiplier = round_half_away(fraction * (1 << 31))
    if multiplier == 1 << 31:
        multiplier //= 2
        exponent += 1
    return (0, 0) if exponent < -31 else (multiplier, -exponent)


def wrap32(x):
    """x modulo 2**32 as a signed value, as int32 arithmetic leaves it. Takes an int or an int64 array."""
    return ((x + (1 << 31)) & 0xFFFFFFFF) - (1 << 31)


def high_mul(a, b):
    """gemmlowp's SaturatingRoundingDoublingHighMul of int32: a * b / 2**31, ties upwards."""
    product = (a * b + (1 << 30)) >> 31
    return np.minimum(product, INT32_MAX) if isinstance(product, np.ndarray) else min(product, INT32_MAX)


def rounding_shift(x, shift):
    """gemmlowp's RoundingDivideByPOT: x / 2**shift, ties away from zero; shift 0 to 31."""
    threshold = (1 << shift) >> 1
    return (x + threshold - ((x < 0) & (shift > 0))) >> shift


def requantize(x, multiplier, shift):
    """TFLM's MultiplyByQuantizedMultiplier (double rounding); a negative `shift` shifts left and wraps."""
    left, right = np.maximum(-shift, 0), np.maximum(shift, 0)
    return rounding_shift(high_mul(wrap32(x << left), multiplier), right)


def clamp8(x):
    return np.clip(x, -128, 127)


def quantized_float(value: float, scale: float, zero_point: int) -> int:
    """value / scale + zero_point in float32, as TFLM finds the bounds of an activation."""
    return round_half_away(float(np.float32(value) / np.float32(scale))) + zero_point


def input_radius(integer_bits: int, left_shift: int) -> int:
    """Largest |q - zero point| that still fits Q(integer_bits) after the input is rescaled.

    Raises:
        OverflowError: `left_shift` is negative: TFLM has no arithmetic for so small a scale.
    """
    if left_shift < 0:
        raise OverflowError("the scale is too small for a table")
    return math.floor(((1 << integer_bits) - 1) * (1 << (31 - integer_bits)) / (1 << left_shift))


def _saturate(x: int) -> int:
    return max(INT32_MIN, min(INT32_MAX, x))


def _half_sum(a: int, b: int) -> int:
    total = a + b
    return (total + 1) // 2 if total >= 0 else -((1 - total) // 2)


def _mul(a: int, b: int) -> int:
    return int(high_mul(a, b))


def _exp_near_zero(a: int) -> int:
    """exp(a) for a in [-1/4, 0), Q0: the Taylor series about -1/8."""
    x = a + (1 << 28)
    x2 = _mul(x, x)
    x3, x4 = _mul(x2, x), _mul(x2, x2)
    tail = rounding_shift(_mul(rounding_shift(x4, 2) + x3, 715827883) + x2, 1)
    return 1895147668 + _mul(1895147668, x + tail)


def exp_on_negative(a: int, integer_bits: int) -> int:
    """exp(a) in Q0 for a <= 0 in Q(integer_bits), integer_bits at most 5."""
    if a == 0:
        return INT32_MAX
    quarter = 1 << (29 - integer_bits)
    near = (a & (quarter - 1)) - quarter
    result = _exp_near_zero(_saturate(near << integer_bits))
    rest = near - a
    # exp(-2**e) in Q0 for e = -2 ... 4
    factors = (1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242)
    for exponent, factor in zip(range(-2, 5), factors, strict=True):
        if integer_bits > exponent and rest & (1 << (31 - integer_bits + exponent)):
            result = _mul(result, factor)
    return result


def _reciprocal_of_half(half: int) -> int:
    """1 / half in Q2 for half in [1/2, 1] in Q0, by three Newton steps."""
    x = 1515870810 + _mul(half, -1010580540)
    for _ in range(3):
        x += _saturate(_mul(x, (1 << 29) - _mul(half, x)) << 2)
    return x


def one_over_one_plus(a: int) -> int:
    """1 / (1 + a) in Q0 for a in [0, 1] in Q0."""
    return _saturate(_reciprocal_of_half(_half_sum(a, INT32_MAX)) << 1)


def logistic(a: int) -> int:
    """1 / (1 + exp(-a)) in Q0 for a in Q4."""
    if a == 0:
        return 1 << 30
    positive = one_over_one_plus(exp_on_negative(-abs(a), 4))
    return positive if a > 0 else INT32_MAX - positive


def tanh(a: int) -> int:
    """tanh(a) in Q0 for a in Q4."""
    if a == 0:
        return 0
    half = _half_sum(exp_on_negative(-abs(a), 5), INT32_MAX)  # the same bits in Q5 are twice the value
    result = _saturate((_reciprocal_of_half(half) - (1 << 29)) << 2)
    return result if a > 0 else -result
