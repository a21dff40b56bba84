# y[r, c, o] = requantize(bias[o] + sum x[r * sy - py + i * dy, c * sx - px + j * dx, o * ic / oc] * w[o, i, j])
#
# Where ic = oc, channel by channel through its padded image in scratch, as bytes x + 128, and tap by tap: one run over
# up to CHUNK accumulators multiplies by one weight. For that a stride splits the image into phases, each a plane
# [rows][pitch] of every sy-th row and sx-th column; so what a tap reads lies in a row, and row after row. What is
# accumulated between the rows' ends is never stored. An image that scratch cannot hold goes in bands of `band` output
# rows; the rows that two bands need are kept, so that the output may lie over the input.
# 128 times the sum of the weights is taken off beforehand.

from micropython import const

from .requantize import CHUNK, acc, finish

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
_PLANE = const(3072)
# [end]


@micropython.viper
def depthwise(v: int, p: ptr8, steps, weights, arena):
    p32 = ptr32(int(ptr8(steps)) + v)
    p16 = ptr16(int(p32))
    p8 = ptr8(int(p32))
    if p16[_OH] * p16[_OW] == 0:
        return
    if p16[_IC] != p16[_OC]:
        _multiplied(v, weights, steps, weights, arena)
        return
    chunk = int(CHUNK)
    clamp = (p8[_HI] << 16) + (p8[_LO] << 8) + p8[_ZO]
    sums = int(ptr32(acc))
    base = int(ptr8(arena))
    plane = base + p32[_S]
    ic = p16[_IC]
    iw = p16[_IW]
    oh = p16[_OH]
    ow = p16[_OW]
    kh = p8[_KH]
    kw = p8[_KW]
    sy = p8[_SY]
    sx = p8[_SX]
    tall = (kh - 1) * p8[_DY]
    reach = (kw - 1) * p8[_DX]
    # No more phases than a window touches, each with `more` rows besides those of the output, and columns likewise.
    phases = sy
    if phases > tall + 1:
        phases = tall + 1
    across = sx
    if across > reach + 1:
        across = reach + 1
    more = tall // sy
    pitch = ow + reach // sx
    # The scratch there is (opset.py), less what the last run may read behind its end. One row at least has room.
    v = ((ow - 1) * sx + reach + 8) & -4
    size = (v << 1) * ((oh - 1) * sy + tall + 2)
    if size > _PLANE:
        size = _PLANE
    if size < (v << 2) * (tall + 2):
        size = (v << 2) * (tall + 2)
    band = (size - 8) // (phases * across * pitch) - more
    if band > oh:
        band = oh
    size = (band + more) * pitch
    # A run: `lines` rows, or a piece of one.
    lines = 1
    width = ow
    if width > chunk:
        width = chunk
    else:
        lines += (chunk - width) // pitch
    taps = int(ptr8(weights)) + p32[_W]
    q = p32[_Q]
    o = 0
    while o < ic:
        bias = 0
        i = kh * kw
        p = ptr8(taps)
        while i:
            bias -= (p[0] ^ 128) - 128
            p = ptr8(int(p) + 1)
            i -= 1
        bias <<= 7
        top = 0
        while top < oh:
            # The image of channel o, from the row under the window of output row `top`.
            rows = oh - top
            if rows > band:
                rows = band
            to = plane
            a = 0
            while a < phases:
                b = 0
                while b < across:
                    d = ptr8(to)
                    end = to + more * pitch
                    row = 0
                    if top:
                        row = more
                        p = ptr8(to + band * pitch)
                        while int(d) < end:
                            d[0] = p[0]
                            p = ptr8(int(p) + 1)
                            d = ptr8(int(d) + 1)
                    if o == 0 or band < oh:
                        v = p8[_ZI] ^ 128
                        end = to + size
                        p = d
                        while int(p) < end:
                            p[0] = v
                            p = ptr8(int(p) + 1)
                    first = 0
                    x = b - p8[_PX]
                    while x < 0:
                        x += sx
                        first += 1
                    count = pitch - first
                    v = (iw - x + sx - 1) // sx
                    if count > v:
                        count = v
                    y = (top + row) * sy + a - p8[_PY]
                    step = sx * ic
                    first += int(d)
                    while row < rows + more:
                        if y >= 0 and y < p16[_IH]:
                            p = ptr8(base + p32[_X] + (y * iw + x) * ic + o)
                            d = ptr8(first)
                            v = count
                            while v > 1:
                                d[0] = p[0] ^ 128
                                p = ptr8(int(p) + step)
                                d[1] = p[0] ^ 128
                                p = ptr8(int(p) + step)
                                d = ptr8(int(d) + 2)
                                v -= 2
                            if v == 1:
                                d[0] = p[0] ^ 128
                        y += sy
                        first += pitch
                        row += 1
                    to += size
                    b += 1
                a += 1
            row = 0
            column = 0
            while row < rows:
                count = rows - row
                if count > lines:
                    count = lines
                n = ow - column
                if n > width:
                    n = width
                end = sums + ((count - 1) * pitch + n << 2)
                s = ptr32(sums)
                v = bias
                while int(s) < end:
                    s[0] = v
                    s[1] = v
                    s[2] = v
                    s[3] = v
                    s = ptr32(int(s) + 16)
                w = ptr8(taps)
                y = row * pitch + column
                a = 0
                i = kh
                while i:
                    x = y
                    b = 0
                    j = kw
                    while j:
                        v = (w[0] ^ 128) - 128
                        w = ptr8(int(w) + 1)
                        p = ptr8(plane + (a * across + b) * size + x)
                        s = ptr32(sums)
                        while int(s) < end:
                            s[0] = p[0] * v + s[0]
                            s[1] = p[1] * v + s[1]
                            s[2] = p[2] * v + s[2]
                            s[3] = p[3] * v + s[3]
                            s[4] = p[4] * v + s[4]
                            s[5] = p[5] * v + s[5]
                            s[6] = p[6] * v + s[6]
                            s[7] = p[7] * v + s[7]
                            p = ptr8(int(p) + 8)
                            s = ptr32(int(s) + 32)
                        b += p8[_DX]
                        while b >= sx:
                            b -= sx
                            x += 1
                        j -= 1
                    a += p8[_DY]
                    while a >= sy:
                        a -= sy
                        y += pitch
                    i -= 1
                v = 0x10000 + (count << 8) + n
                x = p32[_Y] + ((top + row) * ow + column) * ic + o
                y = 256
                if count > 1:
                    y += pitch - n
                finish(v, q + (o & 3), y, acc, arena, x, ic, clamp, weights)
                column += n
                if column == ow:
                    column = 0
                    row += count
            top += band
        taps += kh * kw
        o += 1
        q += 4
        if o & 3 == 0:
            q += 20


@micropython.viper
def _multiplied(v: int, w: ptr8, steps, weights, arena):
    # oc a multiple of ic: pixel by pixel, each channel where it lies.
    p32 = ptr32(int(ptr8(steps)) + v)
    p16 = ptr16(int(p32))
    p8 = ptr8(int(p32))
    chunk = int(CHUNK)
    clamp = (p8[_HI] << 16) + (p8[_LO] << 8) + p8[_ZO]
    sums = ptr32(acc)
    base = int(ptr8(arena)) + p32[_X]
    ic = p16[_IC]
    iw = p16[_IW]
    oc = p16[_OC]
    share = oc // ic
    zi = (p8[_ZI] ^ 128) - 128
    y = p32[_Y]
    r = 0 - p8[_PY]
    rows = p16[_OH]
    while rows:
        c = 0 - p8[_PX]
        columns = p16[_OW]
        while columns:
            w = ptr8(int(ptr8(weights)) + p32[_W])
            x = base
            left = share
            n = 0
            o = 0
            while o < oc:
                total = 0
                iy = r
                i = p8[_KH]
                while i:
                    ix = c
                    j = p8[_KW]
                    while j:
                        v = zi
                        if iy >= 0 and iy < p16[_IH] and ix >= 0 and ix < iw:
                            p = ptr8(x + (iy * iw + ix) * ic)
                            v = (p[0] ^ 128) - 128
                        total += ((w[0] ^ 128) - 128) * v
                        w = ptr8(int(w) + 1)
                        ix += p8[_DX]
                        j -= 1
                    iy += p8[_DY]
                    i -= 1
                sums[n] = total
                n += 1
                o += 1
                left -= 1
                if left == 0:
                    left = share
                    x += 1
                if n == chunk or o == oc:
                    finish((n << 16) + 0x101, p32[_Q] + 9 * (o - n), 0, acc, arena, y, 1, clamp, weights)
                    y += n
                    n = 0
            c += p8[_SX]
            columns -= 1
        r += p8[_SY]
        rows -= 1
