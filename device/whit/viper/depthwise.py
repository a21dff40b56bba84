# y[r, c, o] = requantize(bias[o] + sum x[r * sy - py + i * dy, c * sx - px + j * dx, o * ic / oc] * w[o, i, j])
#
# Four channels at a time for the sake of the quant blocks; planar weights [oc][kh * kw]. A tap outside the image
# reads the zero point, whose share the packager folded into the bias.

from micropython import const

from .requantize import acc, finish

# [fields]
_X = const(1)
_Y = const(2)
_W = const(3)
_Q = const(4)
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
def _tap_sum(steps, at: int, weights, arena, y0: int, x0: int, o: int, slot: int):
    # acc[slot] = bias-free sum of channel o under the window whose first tap is at (y0, x0).
    p32 = ptr32(int(ptr8(steps)) + at)
    p16 = ptr16(int(p32))
    p8 = ptr8(int(p32))
    a = ptr8(arena)
    w = ptr8(weights)
    ic = p16[_IC]
    ih = p16[_IH]
    iw = p16[_IW]
    kh = p8[_KH]
    kw = p8[_KW]
    dx = p8[_DX]
    zi = (p8[_ZI] ^ 128) - 128
    t = p32[_W] + o * kh * kw
    base = p32[_X] + o // (p16[_OC] // ic)
    total = 0
    i = 0
    while i < kh:
        x = x0
        inside = 1
        if y0 < 0 or y0 >= ih:
            inside = 0
        row = base + y0 * iw * ic
        j = 0
        while j < kw:
            v = zi
            if inside and x >= 0 and x < iw:
                v = (a[row + x * ic] ^ 128) - 128
            total += ((w[t] ^ 128) - 128) * v
            t += 1
            x += dx
            j += 1
        y0 += p8[_DY]
        i += 1
    sums = ptr32(acc)
    sums[slot] = total


@micropython.viper
def depthwise(steps, at: int, weights, arena):
    p32 = ptr32(int(ptr8(steps)) + at)
    p16 = ptr16(int(p32))
    p8 = ptr8(int(p32))
    oc = p16[_OC]
    zo = (p8[_ZO] ^ 128) - 128
    lo = (p8[_LO] ^ 128) - 128
    hi = (p8[_HI] ^ 128) - 128
    y = p32[_Y]
    r = 0
    while r < p16[_OH]:
        c = 0
        while c < p16[_OW]:
            q = p32[_Q]
            o = 0
            while o < oc:
                n = oc - o
                if n > 4:
                    n = 4
                i = 0
                while i < n:
                    _tap_sum(steps, at, weights, arena, r * p8[_SY] - p8[_PY], c * p8[_SX] - p8[_PX], o + i, i)
                    i += 1
                finish(weights, q, arena, y, n, zo, lo, hi)
                y += n
                o += n
                q += 36
            c += 1
        r += 1
