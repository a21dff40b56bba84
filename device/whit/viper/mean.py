# y[k] = requantize(bias + sum over n of x[i, k]) + zo, where the multiplier holds 1 / n

from micropython import const

from .requantize import acc, requantize, store

# [fields]
_X = const(1)
_Y = const(2)
_N = const(3)
_BIAS = const(4)
_M = const(5)
_C = const(12)
_E = const(26)
_ZO = const(27)
# [end]


@micropython.viper
def mean(steps, at: int, weights, arena):
    p32 = ptr32(int(ptr8(steps)) + at)
    p16 = ptr16(int(p32))
    p8 = ptr8(int(p32))
    a = ptr8(arena)
    sums = ptr32(acc)
    zo = (p8[_ZO] ^ 128) - 128
    c = p16[_C]
    k = 0
    while k < c:
        total = p32[_BIAS]
        x = p32[_X] + k
        end = x + p32[_N] * c
        while x < end:
            total += (a[x] ^ 128) - 128
            x += c
        sums[0] = total
        requantize(acc, 0, steps, 1, at + _M * 4, at + _E, 0, 0)
        store(arena, 0, acc, p32[_Y] + k, 1, 1, zo, -128, 127)
        k += 1
