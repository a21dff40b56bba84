# y[r, i] = exp(x[r, i] - max x[r]) / sum exp(x[r, j] - max x[r]), in 1/256 less 128
#
# exp comes from a table, t[d] = exp(-d * scale * beta) in Q0; d from `entries` on counts as 0. The reciprocal of the
# sum is three Newton steps in Q2 from 48/17 - 32/17 * half, half the sum brought to [1/2, 1), as gemmlowp has it.

from micropython import const

from .requantize import CHUNK, acc, block, finish, requantize

# [fields]
_X = const(1)
_Y = const(2)
_T = const(3)
_ROWS = const(4)
_DEPTH = const(10)
_ENTRIES = const(11)
# [end]


@micropython.viper
def softmax(v: int, x: ptr8, steps, weights, arena):
    p32 = ptr32(int(ptr8(steps)) + v)
    p16 = ptr16(int(p32))
    exp = ptr32(int(ptr8(weights)) + p32[_T])
    sums = ptr32(acc)
    b = ptr32(block)
    depth = p16[_DEPTH]
    entries = p16[_ENTRIES]
    first = int(ptr8(arena)) + p32[_X]
    y = p32[_Y]
    rows = p32[_ROWS]
    sign = 1
    sign <<= 31
    one = 1
    one <<= 30
    while rows > 0:
        end = first + depth
        best = 0
        x = ptr8(first)
        while int(x) < end:
            v = x[0] ^ 128
            if v > best:
                best = v
            x = ptr8(int(x) + 1)
        # The sum of exponentials in Q12, and so below 2**31 for depth up to 4095; then normalized to [2**30, 2**31).
        half = 0
        x = ptr8(first)
        while int(x) < end:
            v = best - (x[0] ^ 128)
            if v < entries:
                half += ((exp[v] >> 11) + 1) >> 1
            x = ptr8(int(x) + 1)
        headroom = 1
        while half < one and headroom < 31:
            half <<= 1
            headroom += 1
        # The reciprocal in Q2.
        sums[0] = half
        b[0] = 0
        b[8] = 0
        b[4] = -1010580540  # -32/17
        requantize(0, 0, acc, 1, block, 16, 32)
        v = 0x5A5A  # 48/17 is 0x5A5A5A5A
        v = (v << 16) + v + ((sums[0] ^ sign) - sign)
        i = 0
        while i < 3:
            b[4] = v
            sums[0] = half
            requantize(0, 0, acc, 1, block, 16, 32)
            sums[0] = (one >> 1) - ((sums[0] ^ sign) - sign)
            requantize(0, 0, acc, 1, block, 16, 32)
            v += ((sums[0] ^ sign) - sign) << 2
            i += 1
        # By it, an exponential comes from Q0 to 1/256 of the row.
        b[4] = v << 1
        if v >= one:
            b[4] = sign - 1
        if headroom < 4:  # more than 511 equal maxima, where TFLM stops the program
            headroom = 4
        b[8] = 35 - headroom
        while first < end:
            i = end - first
            if i > int(CHUNK):
                i = int(CHUNK)
            x = ptr8(first)
            n = 0
            while n < i:
                v = best - (x[0] ^ 128)
                sums[n] = 0
                if v < entries:
                    sums[n] = exp[v]
                x = ptr8(int(x) + 1)
                n += 1
            finish(n + 0x10100, 0, 256, acc, arena, y, 1, 0x7F8080, block)
            first += n
            y += n
        rows -= 1
