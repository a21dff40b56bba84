# y[r, o] = requantize(bias[o] + sum x[r, i] * w[o, i])
#
# Quad blocks whose even i hold w + 128. The bias carries 128 * sum(w of odd i), so odd i take x - 128. A row goes to
# scratch as 32-bit words before any of its output is written; a long one, which has no scratch, is read where it lies.

from micropython import const

from .requantize import CHUNK, acc, requantize, store

# [fields]
_X = const(1)
_Y = const(2)
_W = const(3)
_Q = const(4)
_S = const(5)
_K = const(6)
_O = const(7)
_ROWS = const(16)
_ZO = const(34)
_LO = const(35)
_HI = const(36)
_BOUNDED = const(1)
_WIDENED = const(1024)
# [end]


@micropython.viper
def _row(x: ptr8, d: ptr32, v: int, at_x: int, at_d: int, k: int) -> int:
    # The row at at_x to scratch at at_d, padded to quads; x and d are the arena. -> the sum of what is there
    x = ptr8(int(x) + at_x)
    d = ptr32(int(d) + at_d)
    total = 0
    i = 0
    while i < k:
        v = (x[0] ^ 128) - 128
        if i & 1:
            v -= 128
        d[0] = v
        total += v
        x = ptr8(int(x) + 1)
        d = ptr32(int(d) + 4)
        i += 1
    while i & 3:  # against weights of zero
        d[0] = 0
        d = ptr32(int(d) + 4)
        i += 1
    return total


@micropython.viper
def _sums(w: ptr8, x: ptr32, a: int, j: int, q: int, s: int, k: int, n: int):
    # acc[i] = a + bias[i] + sum (w[i] + 128) * row, of n channels from the quad at j on, whose quant block is at q.
    # w is the weights, x the arena; the row of k words, a multiple of 4, is at s.
    sums = ptr32(acc)
    bias = ptr32(int(w) + q)
    channel = int(w) + j
    s += int(x)
    end = s + (k << 2)
    start = a
    i = 0
    while i < n:
        w = ptr8(channel)
        x = ptr32(s)
        a = start + bias[0]
        while int(x) < end:
            a = w[0] * x[0] + a
            a = (w[1] ^ 128) * x[1] + a
            a = w[2] * x[2] + a
            a = (w[3] ^ 128) * x[3] + a
            w = ptr8(int(w) + 16)
            x = ptr32(int(x) + 16)
        sums[0] = a
        sums = ptr32(int(sums) + 4)
        bias = ptr32(int(bias) + 4)
        channel += 4
        i += 1
        if i & 3 == 0:
            bias = ptr32(int(bias) + 20)
            channel += (k << 2) - 16


@micropython.viper
def _long_sums(w: ptr8, x: ptr8, a: int, j: int, q: int, s: int, k: int, n: int):
    # The same of a row of k bytes that lies at s.
    sums = ptr32(acc)
    bias = ptr32(int(w) + q)
    channel = int(w) + j
    s += int(x)
    i = 0
    while i < n:
        w = ptr8(channel)
        a = bias[0]
        p = 0
        while p < k:
            x = ptr8(s + p)
            v = (x[0] ^ 128) - 128
            if p & 1:
                a = ((w[0] ^ 128) - 128) * (v - 128) + a
            else:
                a = (w[0] - 128) * v + a
            w = ptr8(int(w) + 1)
            p += 1
            if p & 3 == 0:
                w = ptr8(int(w) + 12)
        sums[0] = a
        sums = ptr32(int(sums) + 4)
        bias = ptr32(int(bias) + 4)
        channel += 4
        i += 1
        if i & 3 == 0:
            bias = ptr32(int(bias) + 20)
            channel += ((k + 3) & -4) * 4 - 16


@micropython.viper
def dense(steps, at: int, weights, arena):
    p32 = ptr32(int(ptr8(steps)) + at)
    p16 = ptr16(int(p32))
    p8 = ptr8(int(p32))
    k = p32[_K]
    quads = (k + 3) & -4
    zo = (p8[_ZO] ^ 128) - 128
    lo = (p8[_LO] ^ 128) - 128
    hi = (p8[_HI] ^ 128) - 128
    floor = 0
    if p8[1] & _BOUNDED and lo >= zo:
        floor = 1
    y = p32[_Y]
    x = p32[_X]
    r = 0
    while r < p16[_ROWS]:
        total = 0
        if k <= _WIDENED:
            total = int(_row(arena, arena, 0, x, p32[_S], k)) << 7
        j = p32[_W]
        q = p32[_Q]
        left = p32[_O]
        while left > 0:
            n = int(CHUNK)
            if n > left:
                n = left
            if k <= _WIDENED:
                _sums(weights, arena, 0 - total, j, q, p32[_S], quads, n)
            else:
                _long_sums(weights, arena, 0, j, q, x, k, n)
            requantize(acc, 0, weights, n, q + 16, q + 32, 1, floor)
            store(arena, 0, acc, y, n, 1, zo, lo, hi)
            y += n
            j += n * quads
            q += n * 9
            left -= n
        x += k
        r += 1
