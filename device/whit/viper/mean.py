# y[k] = (requantize(bias + sum over n of x[i, k]) +- half) / divisor + zo, towards zero after the half is added
#
# The fields choose among TFLM's three roundings of a mean; lower.py says which is when.

from micropython import const

from .requantize import acc, requantize

# [fields]
_X = const(1)
_Y = const(2)
_N = const(3)
_DIVISOR = const(4)
_HALF = const(5)
_BIAS = const(6)
_M = const(7)
_C = const(16)
_E = const(34)
_ZO = const(35)
# [end]


@micropython.viper
def mean(steps, at: int, weights, arena):
    p32 = ptr32(int(ptr8(steps)) + at)
    p16 = ptr16(int(p32))
    p8 = ptr8(int(p32))
    a = ptr8(arena)
    sums = ptr32(acc)
    sign = 1
    sign <<= 31
    zo = (p8[_ZO] ^ 128) - 128
    c = p16[_C]
    half = p32[_HALF]
    divisor = p32[_DIVISOR]
    k = 0
    while k < c:
        total = p32[_BIAS]
        x = p32[_X] + k
        end = x + p32[_N] * c
        while x < end:
            total += (a[x] ^ 128) - 128
            x += c
        sums[0] = total
        requantize(acc, 1, steps, at + _M * 4, at + _E, 0)
        v = (sums[0] ^ sign) - sign
        if v > 0:
            v = (v + half) // divisor
        else:
            v = 0 - (half - v) // divisor
        v += zo
        if v < -128:
            v = -128
        if v > 127:
            v = 127
        a[p32[_Y] + k] = v
        k += 1
