# y[r, c, o] = requantize(bias[o] + sum x[r * sy - py + i * dy, c * sx - px + j * dx, k] * w[o, i, j, k])
#
# Per output pixel: gather the patch into scratch as 32-bit words, padded with the input's zero point, before any of its
# output is written; then the sums of as many channels as there are accumulators. (w ^ 128) is w + 128; 128 times the
# sum of the patch is taken off at the start. Words read unsigned where integers have 64 bits leave the low 32 right.

from micropython import const

from .requantize import CHUNK, acc, requantize, store

# [fields]
_X = const(1)
_Y = const(2)
_W = const(3)
_Q = const(4)
_S = const(5)
_IH = const(12)
_IW = const(13)
_IC = const(14)
_OH = const(15)
_OW = const(16)
_OC = const(17)
_KH = const(36)
_KW = const(37)
_SY = const(38)
_SX = const(39)
_DY = const(40)
_DX = const(41)
_PY = const(42)
_PX = const(43)
_ZI = const(44)
_ZO = const(45)
_LO = const(46)
_HI = const(47)
_BOUNDED = const(1)
# [end]


@micropython.viper
def _patch(x: ptr8, d: ptr32, v: int, steps, at: int, r: int, c: int) -> int:
    # The patch under the window at output pixel (r, c) to scratch, padded to quads; x and d are the arena. -> its sum
    p32 = ptr32(int(ptr8(steps)) + at)
    p16 = ptr16(int(p32))
    p8 = ptr8(int(p32))
    ic = p16[_IC]
    ih = p16[_IH]
    iw = p16[_IW]
    zi = (p8[_ZI] ^ 128) - 128
    first = int(x) + p32[_X]
    d = ptr32(int(d) + p32[_S])
    total = 0
    size = 0
    iy = r * p8[_SY] - p8[_PY]
    i = p8[_KH]
    while i > 0:
        ix = c * p8[_SX] - p8[_PX]
        j = p8[_KW]
        while j > 0:
            x = ptr8(first + (iy * iw + ix) * ic)
            end = int(x) + ic
            if iy < 0 or iy >= ih or ix < 0 or ix >= iw:
                while int(x) < end:
                    d[0] = zi
                    d = ptr32(int(d) + 4)
                    x = ptr8(int(x) + 1)
                total += zi * ic
            else:
                while int(x) < end:
                    v = (x[0] ^ 128) - 128
                    d[0] = v
                    total += v
                    d = ptr32(int(d) + 4)
                    x = ptr8(int(x) + 1)
            size += ic
            ix += p8[_DX]
            j -= 1
        iy += p8[_DY]
        i -= 1
    while size & 3:  # against weights of zero
        d[0] = 0
        d = ptr32(int(d) + 4)
        size += 1
    return total


@micropython.viper
def _sums(w: ptr8, x: ptr32, a: int, j: int, q: int, s: int, k: int, n: int):
    # acc[i] = a + bias[i] + sum (w[i] + 128) * patch, of n channels from the quad at j on, whose quant block is at q.
    # w is the weights, x the arena; the patch of k words, a multiple of 4, is at s.
    sums = ptr32(acc)
    bias = ptr32(int(w) + q)
    channel = int(w) + j
    s += int(x)
    sixteens = s + ((k & -16) << 2)
    start = a
    i = 0
    while i < n:
        w = ptr8(channel)
        x = ptr32(s)
        a = start + bias[0]
        while int(x) < sixteens:
            a = (w[0] ^ 128) * x[0] + a
            a = (w[1] ^ 128) * x[1] + a
            a = (w[2] ^ 128) * x[2] + a
            a = (w[3] ^ 128) * x[3] + a
            a = (w[16] ^ 128) * x[4] + a
            a = (w[17] ^ 128) * x[5] + a
            a = (w[18] ^ 128) * x[6] + a
            a = (w[19] ^ 128) * x[7] + a
            a = (w[32] ^ 128) * x[8] + a
            a = (w[33] ^ 128) * x[9] + a
            a = (w[34] ^ 128) * x[10] + a
            a = (w[35] ^ 128) * x[11] + a
            a = (w[48] ^ 128) * x[12] + a
            a = (w[49] ^ 128) * x[13] + a
            a = (w[50] ^ 128) * x[14] + a
            a = (w[51] ^ 128) * x[15] + a
            w = ptr8(int(w) + 64)
            x = ptr32(int(x) + 64)
        if k & 8:
            a = (w[0] ^ 128) * x[0] + a
            a = (w[1] ^ 128) * x[1] + a
            a = (w[2] ^ 128) * x[2] + a
            a = (w[3] ^ 128) * x[3] + a
            a = (w[16] ^ 128) * x[4] + a
            a = (w[17] ^ 128) * x[5] + a
            a = (w[18] ^ 128) * x[6] + a
            a = (w[19] ^ 128) * x[7] + a
            w = ptr8(int(w) + 32)
            x = ptr32(int(x) + 32)
        if k & 4:
            a = (w[0] ^ 128) * x[0] + a
            a = (w[1] ^ 128) * x[1] + a
            a = (w[2] ^ 128) * x[2] + a
            a = (w[3] ^ 128) * x[3] + a
        sums[0] = a
        sums = ptr32(int(sums) + 4)
        bias = ptr32(int(bias) + 4)
        channel += 4
        i += 1
        if i & 3 == 0:
            bias = ptr32(int(bias) + 20)
            channel += (k << 2) - 16


@micropython.viper
def conv2d(steps, at: int, weights, arena):
    p32 = ptr32(int(ptr8(steps)) + at)
    p16 = ptr16(int(p32))
    p8 = ptr8(int(p32))
    oc = p16[_OC]
    zo = (p8[_ZO] ^ 128) - 128
    lo = (p8[_LO] ^ 128) - 128
    hi = (p8[_HI] ^ 128) - 128
    floor = 0
    if p8[1] & _BOUNDED and lo >= zo:
        floor = 1
    k = (p8[_KH] * p8[_KW] * p16[_IC] + 3) & -4
    y = p32[_Y]
    r = 0
    while r < p16[_OH]:
        c = 0
        while c < p16[_OW]:
            total = int(_patch(arena, arena, 0, steps, at, r, c)) << 7
            j = p32[_W]
            q = p32[_Q]
            left = oc
            while left > 0:
                n = int(CHUNK)
                if n > left:
                    n = left
                _sums(weights, arena, 0 - total, j, q, p32[_S], k, n)
                requantize(acc, 0, weights, n, q + 16, q + 32, 1, floor)
                store(arena, 0, acc, y, n, 1, zo, lo, hi)
                y += n
                j += n * k
                q += n * 9
                left -= n
            c += 1
        r += 1
