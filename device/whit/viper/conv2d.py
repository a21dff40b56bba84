# y[r, c, o] = requantize(bias[o] + sum x[r * sy - py + i * dy, c * sx - px + j * dx, k] * w[o, i, j, k])
#
# Per output pixel: gather the patch into scratch, padded with the input's zero point, then four channels at a time
# over the quad blocks. (w ^ 128) is w + 128; 128 times the sum of the patch is taken off at the end.

from micropython import const

from .requantize import acc, finish

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
# [end]


@micropython.viper
def _patch(steps, at: int, arena, r: int, c: int):
    # The kh * kw * ic bytes under the window at output pixel (r, c), to scratch.
    p32 = ptr32(int(ptr8(steps)) + at)
    p16 = ptr16(int(p32))
    p8 = ptr8(int(p32))
    a = ptr8(arena)
    ic = p16[_IC]
    ih = p16[_IH]
    iw = p16[_IW]
    zi = p8[_ZI]
    d = p32[_S]
    iy = r * p8[_SY] - p8[_PY]
    i = 0
    while i < p8[_KH]:
        ix = c * p8[_SX] - p8[_PX]
        j = 0
        while j < p8[_KW]:
            end = d + ic
            if iy < 0 or iy >= ih or ix < 0 or ix >= iw:
                while d < end:
                    a[d] = zi
                    d += 1
            else:
                s = p32[_X] + (iy * iw + ix) * ic
                while d < end:
                    a[d] = a[s]
                    d += 1
                    s += 1
            ix += p8[_DX]
            j += 1
        iy += p8[_DY]
        i += 1
    while d & 3:  # scratch is aligned and padded to quads, against weights of zero
        a[d] = 0
        d += 1


@micropython.viper
def conv2d(steps, at: int, weights, arena):
    p32 = ptr32(int(ptr8(steps)) + at)
    p16 = ptr16(int(p32))
    p8 = ptr8(int(p32))
    a = ptr8(arena)
    w = ptr8(weights)
    sums = ptr32(acc)
    oc = p16[_OC]
    ow = p16[_OW]
    ic = p16[_IC]
    zo = (p8[_ZO] ^ 128) - 128
    lo = (p8[_LO] ^ 128) - 128
    hi = (p8[_HI] ^ 128) - 128
    k = (p8[_KH] * p8[_KW] * ic + 3) & -4
    # A pointwise layer without stride or padding reads its patches where they lie.
    direct = 0
    if p8[_KH] * p8[_KW] * p8[_SY] * p8[_SX] == 1 and p8[_PY] + p8[_PX] == 0 and ic & 3 == 0 and ow <= p16[_IW]:
        if p16[_OH] <= p16[_IH]:
            direct = 1
    y = p32[_Y]
    r = 0
    while r < p16[_OH]:
        c = 0
        while c < ow:
            x = p32[_S]
            if direct:
                x = p32[_X] + (r * p16[_IW] + c) * ic
            else:
                _patch(steps, at, arena, r, c)
            j = p32[_W]
            q = p32[_Q]
            o = 0
            while o < oc:
                a0 = a1 = a2 = a3 = total = 0
                p = x
                end = x + k
                while p < end:
                    v = (a[p] ^ 128) - 128
                    total += v
                    a0 += (w[j] ^ 128) * v
                    a1 += (w[j + 4] ^ 128) * v
                    a2 += (w[j + 8] ^ 128) * v
                    a3 += (w[j + 12] ^ 128) * v
                    v = (a[p + 1] ^ 128) - 128
                    total += v
                    a0 += (w[j + 1] ^ 128) * v
                    a1 += (w[j + 5] ^ 128) * v
                    a2 += (w[j + 9] ^ 128) * v
                    a3 += (w[j + 13] ^ 128) * v
                    v = (a[p + 2] ^ 128) - 128
                    total += v
                    a0 += (w[j + 2] ^ 128) * v
                    a1 += (w[j + 6] ^ 128) * v
                    a2 += (w[j + 10] ^ 128) * v
                    a3 += (w[j + 14] ^ 128) * v
                    v = (a[p + 3] ^ 128) - 128
                    total += v
                    a0 += (w[j + 3] ^ 128) * v
                    a1 += (w[j + 7] ^ 128) * v
                    a2 += (w[j + 11] ^ 128) * v
                    a3 += (w[j + 15] ^ 128) * v
                    p += 4
                    j += 16
                total <<= 7
                sums[0] = a0 - total
                sums[1] = a1 - total
                sums[2] = a2 - total
                sums[3] = a3 - total
                p = oc - o
                if p > 4:
                    p = 4
                finish(weights, q, arena, y, p, zo, lo, hi)
                y += p
                o += p
                q += 36
            c += 1
        r += 1
