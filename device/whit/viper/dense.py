# y[r, o] = requantize(bias[o] + sum x[r, i] * w[o, i])
#
# Quad blocks whose even i hold w + 128. The bias carries 128 * sum(w of odd i), so odd i take x - 128; of those
# (w ^ 128) is w + 128. A row is widened once, into scratch, or piece by piece where it is too long to have any. With
# int4 weights, those of four channels and a piece are unpacked to scratch behind it.

from micropython import const

from .requantize import CHUNK, acc, finish, unpack

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
_INT4 = const(2)
_WIDENED = const(1024)
_FLAGS = const(1)
# [end]


@micropython.viper
def dense(v: int, w: ptr8, steps, weights, arena):
    p32 = ptr32(int(ptr8(steps)) + v)
    p16 = ptr16(int(p32))
    p8 = ptr8(int(p32))
    chunk = int(CHUNK)
    clamp = (p8[_HI] << 16) + (p8[_LO] << 8) + p8[_ZO]
    k = p32[_K]
    oc = p32[_O]
    sums = ptr32(acc)
    wide = int(ptr8(arena)) + p32[_S]
    piece = k
    int4 = p8[_FLAGS] & _INT4
    room = p32[_S] + ((k + 3) >> 2 << 4)
    if k > _WIDENED:
        room = p32[_S]
        chunk >>= 1
        piece = chunk
        wide = int(sums) + (chunk << 2)
    x = int(ptr8(arena)) + p32[_X]
    y = p32[_Y]
    rows = p16[_ROWS]
    while rows:
        at = p32[_W]
        w = ptr8(int(ptr8(weights)) + at)
        total = 0
        s = sums
        start = 0
        o = 0
        while o < oc:
            a0 = 0
            a1 = 0
            a2 = 0
            a3 = 0
            i = 0
            while i < k:
                n = k - i
                if n > piece:
                    n = piece
                d = ptr32(wide)
                if o == 0 or piece < k:
                    if i == 0:
                        total = 0
                    p = ptr8(x + i)
                    end = int(p) + n
                    zero = 128
                    while int(p) < end:
                        v = (p[0] ^ 128) - zero
                        zero ^= 128 ^ 256
                        total += v
                        d[0] = v
                        p = ptr8(int(p) + 1)
                        d = ptr32(int(d) + 4)
                    v = n
                    while v & 3:
                        d[0] = 0
                        d = ptr32(int(d) + 4)
                        v += 1
                    d = ptr32(wide)
                i += n
                v = (n + 3) >> 2
                if int4:
                    unpack(v << 1, weights, at, arena, room, 0x01000100)
                    at += v << 3
                    w = ptr8(int(ptr8(arena)) + room)
                end = int(w) + (v << 4)
                while int(w) < end:
                    v = d[0]
                    a0 = w[0] * v + a0
                    a1 = w[4] * v + a1
                    a2 = w[8] * v + a2
                    a3 = w[12] * v + a3
                    v = d[1]
                    a0 = (w[1] ^ 128) * v + a0
                    a1 = (w[5] ^ 128) * v + a1
                    a2 = (w[9] ^ 128) * v + a2
                    a3 = (w[13] ^ 128) * v + a3
                    v = d[2]
                    a0 = w[2] * v + a0
                    a1 = w[6] * v + a1
                    a2 = w[10] * v + a2
                    a3 = w[14] * v + a3
                    v = d[3]
                    a0 = (w[3] ^ 128) * v + a0
                    a1 = (w[7] ^ 128) * v + a1
                    a2 = (w[11] ^ 128) * v + a2
                    a3 = (w[15] ^ 128) * v + a3
                    w = ptr8(int(w) + 16)
                    d = ptr32(int(d) + 16)
            v = total << 7
            s[0] = a0 - v
            s[1] = a1 - v
            s[2] = a2 - v
            s[3] = a3 - v
            s = ptr32(int(s) + 16)
            o += 4
            n = oc
            if n > o:
                n = o
            n -= start
            if n == chunk or o >= oc:
                finish((n << 16) + 0x101, p32[_Q] + 9 * start, 0, acc, arena, y, 1, clamp, weights)
                y += n
                s = sums
                start = o
        x += k
        rows -= 1
