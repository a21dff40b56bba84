# y[r, c, k] = clamp(max x), over the part of the window inside the image

from micropython import const

# [fields]
_X = const(1)
_Y = const(2)
_IH = const(6)
_IW = const(7)
_C = const(8)
_OH = const(9)
_OW = const(10)
_KH = const(22)
_KW = const(23)
_SY = const(24)
_SX = const(25)
_PY = const(26)
_PX = const(27)
_LO = const(28)
_HI = const(29)
# [end]


@micropython.viper
def max_pool(steps, at: int, weights, arena):
    p32 = ptr32(int(ptr8(steps)) + at)
    p16 = ptr16(int(p32))
    p8 = ptr8(int(p32))
    a = ptr8(arena)
    ih = p16[_IH]
    iw = p16[_IW]
    ch = p16[_C]
    lo = (p8[_LO] ^ 128) - 128
    hi = (p8[_HI] ^ 128) - 128
    y = p32[_Y]
    r = 0
    while r < p16[_OH]:
        top = r * p8[_SY] - p8[_PY]
        bottom = top + p8[_KH]
        if top < 0:
            top = 0
        if bottom > ih:
            bottom = ih
        c = 0
        while c < p16[_OW]:
            left = c * p8[_SX] - p8[_PX]
            right = left + p8[_KW]
            if left < 0:
                left = 0
            if right > iw:
                right = iw
            k = 0
            while k < ch:
                best = lo
                i = top
                while i < bottom:
                    s = p32[_X] + (i * iw + left) * ch + k
                    end = s + (right - left) * ch
                    while s < end:
                        v = (a[s] ^ 128) - 128
                        if v > best:
                            best = v
                        s += ch
                    i += 1
                if best > hi:
                    best = hi
                a[y] = best
                y += 1
                k += 1
            c += 1
        r += 1
