# y[k] = requantize(bias + sum over n of x[i, k]) + zo, where the multiplier holds 1 / n

from micropython import const

from .requantize import CHUNK, acc, block, finish

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
def mean(total: int, x: ptr8, steps, weights, arena):
    p32 = ptr32(int(ptr8(steps)) + total)
    p16 = ptr16(int(p32))
    p8 = ptr8(int(p32))
    chunk = int(CHUNK)
    sums = ptr32(acc)
    b = ptr32(block)
    b[0] = p32[_BIAS]
    b[4] = p32[_M]
    b[8] = p8[_E]
    c = p16[_C]
    first = int(ptr8(arena)) + p32[_X]
    size = p32[_N] * c
    k = 0
    while k < c:
        n = c - k
        if n > chunk:
            n = chunk
        i = 0
        while i < n:
            total = 0
            x = ptr8(first)
            first += 1
            end = int(x) + size
            while int(x) < end:
                total += (x[0] ^ 128) - 128
                x = ptr8(int(x) + c)
            sums[i] = total
            i += 1
        finish(n + 0x10100, 0, 256, acc, arena, p32[_Y] + k, 1, 0x7F8000 + p8[_ZO], block)
        k += n
