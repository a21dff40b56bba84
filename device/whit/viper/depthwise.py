# y[r, c, o] = requantize(bias[o] + sum x[r * sy - py + i * dy, c * sx - px + j * dx, o * ic / oc] * w[o, i, j])
#
# With ic = oc channel by channel: a band of its padded image goes to scratch as x + 128, as many rows as there is room
# for, and sums of output rows are collected until there are no accumulators left. Every input row is read once, before
# an output row that needs it is written. Else pixel by pixel, from the image.

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
_PLANE = const(3072)
# [end]


@micropython.viper
def _rows(x: ptr8, d: ptr8, n: int, steps, at: int, channel: int, iy: int, row: int, rows: int):
    # Rows of one channel, from image row iy on, to scratch from its row n on; x and d are the arena.
    p32 = ptr32(int(ptr8(steps)) + at)
    p16 = ptr16(int(p32))
    p8 = ptr8(int(p32))
    ic = p16[_IC]
    zi = p8[_ZI] ^ 128
    image = int(x) + p32[_X] + channel
    d = ptr8(int(d) + p32[_S] + n * row)
    end = int(d) + rows * row
    while int(d) < end:
        behind = int(d) + row
        if iy >= 0 and iy < p16[_IH]:
            n = int(d) + p8[_PX]
            while int(d) < n:
                d[0] = zi
                d = ptr8(int(d) + 1)
            n += p16[_IW]
            if n > behind:
                n = behind
            x = ptr8(image + iy * p16[_IW] * ic)
            while int(d) < n:
                d[0] = x[0] ^ 128
                x = ptr8(int(x) + ic)
                d = ptr8(int(d) + 1)
        while int(d) < behind:
            d[0] = zi
            d = ptr8(int(d) + 1)
        iy += 1


@micropython.viper
def _sums(
    x: ptr8, s: ptr32, w0: int, steps, at: int, weights, w: int, start: int, from_: int, row: int, slot: int, n: int
):
    # acc[slot + i] = start + sum w * (x + 128) of n windows side by side, whose first is at from_ in the arena x.
    p8 = ptr8(int(ptr8(steps)) + at)
    sx = p8[_SX]
    dx = p8[_DX]
    first = int(ptr32(acc)) + (slot << 2)
    behind = first + (n << 2)
    s = ptr32(first)
    while int(s) < behind:
        s[0] = start
        s = ptr32(int(s) + 4)
    tap = ptr8(int(ptr8(weights)) + w)
    from_ += int(x)
    i = p8[_KH]
    while i > 0:
        j = p8[_KW]
        at = from_
        while j > 0:
            x = ptr8(at)
            s = ptr32(first)
            w0 = (tap[0] ^ 128) - 128
            if j > 2 and dx == 1:
                w1 = (tap[1] ^ 128) - 128
                w2 = (tap[2] ^ 128) - 128
                while int(s) < behind:
                    s[0] = x[0] * w0 + x[1] * w1 + x[2] * w2 + s[0]
                    x = ptr8(int(x) + sx)
                    s = ptr32(int(s) + 4)
                at += 3
                j -= 3
                tap = ptr8(int(tap) + 3)
            else:
                while int(s) < behind:
                    s[0] = x[0] * w0 + s[0]
                    x = ptr8(int(x) + sx)
                    s = ptr32(int(s) + 4)
                at += dx
                j -= 1
                tap = ptr8(int(tap) + 1)
        from_ += p8[_DY] * row
        i -= 1


@micropython.viper
def _start(weights, w: int, taps: int, q: int) -> int:
    # A channel's bias less 128 * sum(w).
    p = ptr8(int(ptr8(weights)) + w)
    bias = ptr32(int(ptr8(weights)) + q)
    end = int(p) + taps
    total = 0
    while int(p) < end:
        total += (p[0] ^ 128) - 128
        p = ptr8(int(p) + 1)
    sign = 1
    sign <<= 31
    return ((bias[0] ^ sign) - sign) - (total << 7)


@micropython.viper
def _move(arena, to: int, size: int, by: int):
    # size bytes to `to` from `by` bytes behind it
    a = ptr8(int(ptr8(arena)) + to)
    end = int(a) + size
    while int(a) < end:
        b = ptr8(int(a) + by)
        a[0] = b[0]
        a = ptr8(int(a) + 1)


@micropython.viper
def _channels(steps, at: int, weights, arena, floor: int):
    # ic = oc.
    p32 = ptr32(int(ptr8(steps)) + at)
    p16 = ptr16(int(p32))
    p8 = ptr8(int(p32))
    oc = p16[_OC]
    oh = p16[_OH]
    ow = p16[_OW]
    sy = p8[_SY]
    zo = (p8[_ZO] ^ 128) - 128
    lo = (p8[_LO] ^ 128) - 128
    hi = (p8[_HI] ^ 128) - 128
    taps = p8[_KH] * p8[_KW]
    tall = (p8[_KH] - 1) * p8[_DY] + 1
    row = ((ow - 1) * p8[_SX] + (p8[_KW] - 1) * p8[_DX] + 8) & -4
    # the room that opset.py has, and the output rows of a band that has room there
    room = 2 * row * ((oh - 1) * sy + tall + 1)
    if room > _PLANE:
        room = _PLANE
    if room < 4 * row * (tall + 1):
        room = 4 * row * (tall + 1)
    band = 1
    while band < oh and row * (band * sy + tall) <= room:
        band += 1
    w = p32[_W]
    o = 0
    while o < oc:
        q = p32[_Q] + (o >> 2) * 36 + (o & 3) * 4
        e = p32[_Q] + (o >> 2) * 36 + 32 + (o & 3)
        start = int(_start(weights, w, taps, q))
        y = p32[_Y] + o
        ready = 0
        have = 0  # rows that the last band has left
        r = 0
        while r < oh:
            n = oh - r
            if n > band:
                n = band
            need = (n - 1) * sy + tall
            if need > have:
                _rows(arena, arena, have, steps, at, o, r * sy - p8[_PY] + have, row, need - have)
            i = 0
            while i < n:
                c = 0
                while c < ow:
                    size = ow - c
                    if size > int(CHUNK) - ready:
                        size = int(CHUNK) - ready
                    x = p32[_S] + i * sy * row + c * p8[_SX]
                    _sums(arena, acc, 0, steps, at, weights, w, start, x, row, ready, size)
                    ready += size
                    c += size
                    if ready == int(CHUNK) or (c == ow and r + i + 1 == oh):
                        requantize(acc, 0, weights, ready, q + 16, e, 0, floor)
                        store(arena, 0, acc, y, ready, oc, zo, lo, hi)
                        y += ready * oc
                        ready = 0
                i += 1
            r += n
            have = 0
            if need > n * sy and r < oh:
                have = need - n * sy
                _move(arena, p32[_S], have * row, n * sy * row)
        w += taps
        o += 1


@micropython.viper
def _tap_sum(steps, at: int, weights, arena, y0: int, x0: int, o: int, q: int) -> int:
    # The sum of channel o under the window whose first tap is at (y0, x0), with its bias, which is at q.
    p32 = ptr32(int(ptr8(steps)) + at)
    p16 = ptr16(int(p32))
    p8 = ptr8(int(p32))
    a = ptr8(arena)
    w = ptr8(weights)
    ic = p16[_IC]
    zi = (p8[_ZI] ^ 128) - 128
    t = p32[_W] + o * p8[_KH] * p8[_KW]
    base = p32[_X] + o // (p16[_OC] // ic)
    bias = ptr32(int(w) + q)
    sign = 1
    sign <<= 31
    total = (bias[0] ^ sign) - sign
    i = p8[_KH]
    while i > 0:
        x = x0
        row = base + y0 * p16[_IW] * ic
        j = p8[_KW]
        while j > 0:
            v = zi
            if y0 >= 0 and y0 < p16[_IH] and x >= 0 and x < p16[_IW]:
                v = (a[row + x * ic] ^ 128) - 128
            total += ((w[t] ^ 128) - 128) * v
            t += 1
            x += p8[_DX]
            j -= 1
        y0 += p8[_DY]
        i -= 1
    return total


@micropython.viper
def depthwise(steps, at: int, weights, arena):
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
    if oc == p16[_IC]:
        _channels(steps, at, weights, arena, floor)
        return
    sums = ptr32(acc)
    y = p32[_Y]
    r = 0
    while r < p16[_OH]:
        c = 0
        while c < p16[_OW]:
            o = 0
            while o < oc:
                n = oc - o
                if n > 4:
                    n = 4
                q = p32[_Q] + o * 9
                i = 0
                while i < n:
                    y0 = r * p8[_SY] - p8[_PY]
                    sums[i] = int(_tap_sum(steps, at, weights, arena, y0, c * p8[_SX] - p8[_PX], o + i, q + i * 4))
                    i += 1
                requantize(acc, 0, weights, n, q + 16, q + 32, 1, floor)
                store(arena, 0, acc, y, n, 1, zo, lo, hi)
                y += n
                o += n
            c += 1
        r += 1
