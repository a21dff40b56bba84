# y[r, o] = requantize(bias[o] + sum x[r, i] * w[o, i])
#
# Quad blocks whose even i hold w + 128. The bias carries 128 * sum(w of odd i), so odd i take x - 128.

from micropython import const

from .requantize import acc, finish

# [fields]
_X = const(1)
_Y = const(2)
_W = const(3)
_Q = const(4)
_K = const(6)
_O = const(7)
_ROWS = const(16)
_ZO = const(34)
_LO = const(35)
_HI = const(36)
# [end]


@micropython.viper
def dense(steps, at: int, weights, arena):
    p32 = ptr32(int(ptr8(steps)) + at)
    p16 = ptr16(int(p32))
    p8 = ptr8(int(p32))
    a = ptr8(arena)
    w = ptr8(weights)
    sums = ptr32(acc)
    k = p32[_K]
    oc = p32[_O]
    zo = (p8[_ZO] ^ 128) - 128
    lo = (p8[_LO] ^ 128) - 128
    hi = (p8[_HI] ^ 128) - 128
    y = p32[_Y]
    x = p32[_X]
    r = 0
    while r < p16[_ROWS]:
        j = p32[_W]
        q = p32[_Q]
        o = 0
        end = x + k
        while o < oc:
            a0 = a1 = a2 = a3 = odd = 0
            p = x
            while p < end:
                v = (a[p] ^ 128) - 128
                a0 += (w[j] - 128) * v
                a1 += (w[j + 4] - 128) * v
                a2 += (w[j + 8] - 128) * v
                a3 += (w[j + 12] - 128) * v
                p += 1
                if p < end:
                    v = (a[p] ^ 128) - 256
                    odd += v
                    a0 += (w[j + 1] ^ 128) * v
                    a1 += (w[j + 5] ^ 128) * v
                    a2 += (w[j + 9] ^ 128) * v
                    a3 += (w[j + 13] ^ 128) * v
                    p += 1
                # the next pair of the same quad, or the next quad
                j += 2
                if j & 2 == 0:
                    j += 12
            if j & 2:
                j += 14
            odd <<= 7
            sums[0] = a0 - odd
            sums[1] = a1 - odd
            sums[2] = a2 - odd
            sums[3] = a3 - odd
            p = oc - o
            if p > 4:
                p = 4
            finish(weights, q, arena, y, p, zo, lo, hi)
            y += p
            o += p
            q += 36
        x = end
        r += 1
