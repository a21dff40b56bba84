# y[r, c, o] = requantize(bias[o] + sum x[r * sy - py + i * dy, c * sx - px + j * dx, k] * w[o, i, j, k])
#
# Per output pixel: gather the patch into scratch as int32 words, then four channels at a time over the quad blocks.
# (w ^ 128) is w + 128; 128 times the sum of the patch is taken off beforehand. Accumulators of several pixels, or of a
# part of the channels of one, are finished together.

from micropython import const

from .requantize import CHUNK, acc, finish, unpack

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
_INT4 = const(2)
_FLAGS = const(1)
# [end]


@micropython.viper
def conv2d(v: int, w: ptr8, steps, weights, arena):
    p32 = ptr32(int(ptr8(steps)) + v)
    p16 = ptr16(int(p32))
    p8 = ptr8(int(p32))
    chunk = int(CHUNK)
    clamp = (p8[_HI] << 16) + (p8[_LO] << 8) + p8[_ZO]
    ic = p16[_IC]
    ow = p16[_OW]
    oc = p16[_OC]
    zi = (p8[_ZI] ^ 128) - 128
    k = p8[_KH] * p8[_KW] * ic
    # Taps side by side are one run of bytes.
    taps = p8[_KW]
    run = ic
    if p8[_DX] == 1:
        taps = 1
        run *= p8[_KW]
    width = p16[_IW] * ic
    tall = (p8[_KH] - 1) * p8[_DY] + 1
    reach = (p8[_KW] - 1) * p8[_DX] * ic + ic
    patch = int(ptr8(arena)) + p32[_S]
    patch_end = patch + ((k + 3) >> 2 << 4)
    blocks_at = int(ptr8(weights)) + p32[_W]
    if p8[_FLAGS] & _INT4:
        i = (k + 3) >> 2
        end = p32[_S] + 40 * i
        unpack(((oc + 3) >> 2) * i << 1, weights, p32[_W], arena, end, 0x01010101)
        blocks_at = int(ptr8(arena)) + end
    sums = ptr32(acc)
    s = sums
    full = int(sums) + (chunk << 2)
    blocks = (oc + 3) >> 2 << 2
    h = 0
    if oc and blocks <= chunk:
        h = blocks << 8
        full = int(sums) + chunk // blocks * (blocks << 2)
    y = p32[_Y]
    pixels = p16[_OH] * ow
    pixel = 0  # the first one whose accumulators are waiting
    channel = 0  # and their first channel
    r = 0
    c = 0
    n = 0
    while n < pixels:
        n += 1
        iy = r * p8[_SY] - p8[_PY]
        ix = (c * p8[_SX] - p8[_PX]) * ic
        # The padding, where the window reaches over an edge; what fills up the last quad stays zi from the first time.
        if n == 1 or iy < 0 or iy + tall > p16[_IH] or ix < 0 or ix + reach > width:
            d = ptr32(patch)
            v = zi
            while int(d) < patch_end:
                d[0] = v
                d[1] = v
                d[2] = v
                d[3] = v
                d = ptr32(int(d) + 16)
        copied = 0
        a0 = 0
        to = patch
        i = p8[_KH]
        while i:
            row = int(ptr8(arena)) + p32[_X] + iy * width
            x = ix
            j = taps
            if iy < 0 or iy >= p16[_IH]:
                j = 0
                to += p8[_KW] * ic << 2
            while j:
                first = 0
                if x < 0:
                    first = 0 - x
                last = run
                if x + last > width:
                    last = width - x
                if first < last:
                    copied += last - first
                    w = ptr8(row + x + first)
                    end = row + x + last
                    d = ptr32(to + (first << 2))
                    fast = end - 3
                    while int(w) < fast:
                        v = (w[0] ^ 128) - 128
                        a0 += v
                        d[0] = v
                        v = (w[1] ^ 128) - 128
                        a0 += v
                        d[1] = v
                        v = (w[2] ^ 128) - 128
                        a0 += v
                        d[2] = v
                        v = (w[3] ^ 128) - 128
                        a0 += v
                        d[3] = v
                        w = ptr8(int(w) + 4)
                        d = ptr32(int(d) + 16)
                    while int(w) < end:
                        v = (w[0] ^ 128) - 128
                        a0 += v
                        d[0] = v
                        w = ptr8(int(w) + 1)
                        d = ptr32(int(d) + 4)
                to += run << 2
                x += p8[_DX] * ic
                j -= 1
            iy += p8[_DY]
            i -= 1
        bias = 0 - ((((patch_end - patch) >> 2) - copied) * zi + a0 << 7)
        c += 1
        if c == ow:
            c = 0
            r += 1
        w = ptr8(blocks_at)
        o = 0
        while o < oc:
            a0 = bias
            d = ptr32(patch)
            start = int(w)
            end = start + (patch_end - patch)
            while int(w) < end and ptr32(int(w))[0] | ptr32(int(w))[1] | ptr32(int(w))[2] | ptr32(int(w))[3] == 0:
                w = ptr8(int(w) + 16)
            if int(w) < end:
                w = ptr8(start)
            else:  # four channels without weights: training leaves such ones
                a0 = 0
            a1 = a0
            a2 = a0
            a3 = a0
            while int(w) < end:
                v = d[0]
                a0 = (w[0] ^ 128) * v + a0
                a1 = (w[4] ^ 128) * v + a1
                a2 = (w[8] ^ 128) * v + a2
                a3 = (w[12] ^ 128) * v + a3
                v = d[1]
                a0 = (w[1] ^ 128) * v + a0
                a1 = (w[5] ^ 128) * v + a1
                a2 = (w[9] ^ 128) * v + a2
                a3 = (w[13] ^ 128) * v + a3
                v = d[2]
                a0 = (w[2] ^ 128) * v + a0
                a1 = (w[6] ^ 128) * v + a1
                a2 = (w[10] ^ 128) * v + a2
                a3 = (w[14] ^ 128) * v + a3
                v = d[3]
                a0 = (w[3] ^ 128) * v + a0
                a1 = (w[7] ^ 128) * v + a1
                a2 = (w[11] ^ 128) * v + a2
                a3 = (w[15] ^ 128) * v + a3
                w = ptr8(int(w) + 16)
                d = ptr32(int(d) + 16)
            s[0] = a0
            s[1] = a1
            s[2] = a2
            s[3] = a3
            s = ptr32(int(s) + 16)
            o += 4
            if int(s) == full or (o >= oc and (n == pixels or blocks > chunk)):
                v = oc
                if v > o:
                    v = o
                v = (v - channel << 16) + 256 + n - pixel
                finish(v, p32[_Q] + 9 * channel, h, acc, arena, y + pixel * oc + channel, oc, clamp, weights)
                s = sums
                channel = o
                if o >= oc:
                    channel = 0
                    pixel = n
