# y[r, i] = exp(x[r, i] - max x[r]) / sum exp(x[r, j] - max x[r]), in 1/256 less 128
#
# exp comes from a table, t[d] = exp(-d * scale * beta) in Q0; d from `entries` on counts as 0. The reciprocal of the
# sum is three Newton steps in Q2 from 48/17 - 32/17 * half, half the sum brought to [1/2, 1), as gemmlowp has it.

from array import array

from micropython import const

from .requantize import CHUNK, acc, requantize, store

# [fields]
_X = const(1)
_Y = const(2)
_T = const(3)
_ROWS = const(4)
_DEPTH = const(10)
_ENTRIES = const(11)
# [end]

_factor = array("i", (0, 0))  # a multiplier and a right shift for requantize()


@micropython.viper
def _row_sum(steps, at: int, weights, arena, x: int, depth: int, best: int) -> int:
    # The sum of exponentials in Q12, and so below 2**31 for depth up to 4095.
    p32 = ptr32(int(ptr8(steps)) + at)
    p16 = ptr16(int(p32))
    a = ptr8(arena)
    t = ptr32(int(ptr8(weights)) + p32[_T])
    entries = p16[_ENTRIES]
    total = 0
    i = 0
    while i < depth:
        d = best - (a[x + i] ^ 128)
        if 0 <= d and d < entries:
            total += ((t[d] >> 11) + 1) >> 1
        i += 1
    # Normalized to [2**30, 2**31) in acc[0]; what is returned is the headroom that was.
    sums = ptr32(acc)
    one = 1
    one <<= 30
    headroom = 1
    while total < one and headroom < 31:
        total <<= 1
        headroom += 1
    sums[0] = total
    return headroom


@micropython.viper
def _reciprocal(headroom: int):
    # acc[0] = half -> _factor: multiply by it to bring an exponential from Q0 to 1/256 of the row.
    f = ptr32(_factor)
    v = ptr32(acc)
    sign = 1
    sign <<= 31
    one = 1
    one <<= 30
    half = v[0]
    f[1] = 0
    f[0] = -1010580540  # -32/17 in Q2
    requantize(acc, 0, _factor, 1, 0, 4, 0, 0)
    x = 0x5A5A  # 48/17 in Q2 is 0x5A5A5A5A
    x = (x << 16) + x + ((v[0] ^ sign) - sign)
    i = 0
    while i < 3:
        f[0] = x
        v[0] = half
        requantize(acc, 0, _factor, 1, 0, 4, 0, 0)
        v[0] = (one >> 1) - ((v[0] ^ sign) - sign)
        requantize(acc, 0, _factor, 1, 0, 4, 0, 0)
        x += ((v[0] ^ sign) - sign) << 2
        i += 1
    f[0] = x << 1
    if x >= one:
        f[0] = sign - 1
    f[1] = 35 - headroom
    if headroom < 4:  # more than 511 equal maxima, where TFLM stops the program
        f[1] = 31


@micropython.viper
def softmax(steps, at: int, weights, arena):
    p32 = ptr32(int(ptr8(steps)) + at)
    p16 = ptr16(int(p32))
    a = ptr8(arena)
    sums = ptr32(acc)
    depth = p16[_DEPTH]
    entries = p16[_ENTRIES]
    x = p32[_X]
    y = p32[_Y]
    rows = p32[_ROWS]
    while rows > 0:
        best = 0
        i = 0
        while i < depth:
            v = a[x + i] ^ 128
            if v > best:
                best = v
            i += 1
        _reciprocal(_row_sum(steps, at, weights, arena, x, depth, best))
        t = ptr32(int(ptr8(weights)) + p32[_T])
        left = depth
        while left > 0:
            n = int(CHUNK)
            if n > left:
                n = left
            i = 0
            while i < n:
                d = best - (a[x + i] ^ 128)
                sums[i] = 0
                if 0 <= d and d < entries:  # less than 0 where a hostile file has the output over the input
                    sums[i] = t[d]
                i += 1
            requantize(acc, 0, _factor, n, 0, 4, 0, 0)
            store(arena, 0, acc, y, n, 1, -128, -128, 127)
            x += n
            y += n
            left -= n
        rows -= 1
