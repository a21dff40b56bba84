# y[r, c, k] = clamp(sum / count), over the part of the window inside the image, ties away from zero

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
def average_pool(v: int, x: ptr8, steps, weights, arena):
    p32 = ptr32(int(ptr8(steps)) + v)
    p16 = ptr16(int(p32))
    p8 = ptr8(int(p32))
    ih = p16[_IH]
    iw = p16[_IW]
    ch = p16[_C]
    lo = (p8[_LO] ^ 128) - 128
    hi = (p8[_HI] ^ 128) - 128
    base = int(ptr8(arena)) + p32[_X]
    y = ptr8(int(ptr8(arena)) + p32[_Y])
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
            size = (right - left) * ch
            count = (bottom - top) * (right - left)
            k = 0
            while k < ch:
                v = -128 * count
                row = base + (top * iw + left) * ch + k
                i = top
                while i < bottom:
                    x = ptr8(row)
                    end = row + size
                    while int(x) < end:
                        v += x[0] ^ 128
                        x = ptr8(int(x) + ch)
                    row += iw * ch
                    i += 1
                if v > 0:
                    v = (v + (count >> 1)) // count
                else:
                    v = 0 - ((count >> 1) - v) // count
                if v < lo:
                    v = lo
                if v > hi:
                    v = hi
                y[0] = v
                y = ptr8(int(y) + 1)
                k += 1
            c += 1
        r += 1
