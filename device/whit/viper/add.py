# y[i] = clamp(requantize(requantize((a[i] - za) << 20) + requantize((b[i] - zb) << 20)) + zo)
#
# What an operand adds for each of its 256 values comes from a table in scratch, where there are enough elements.

from micropython import const

from .requantize import CHUNK, acc, block, finish, requantize

# [fields]
_A = const(1)
_B = const(2)
_Y = const(3)
_S = const(4)
_N = const(5)
_MA = const(6)
_MB = const(7)
_MO = const(8)
_EA = const(36)
_EB = const(37)
_EO = const(38)
_ZA = const(39)
_ZB = const(40)
_ZO = const(41)
_LO = const(42)
_HI = const(43)
_TABLED = const(512)
# [end]


@micropython.viper
def add(v: int, a: ptr8, steps, weights, arena):
    at = v
    p32 = ptr32(int(ptr8(steps)) + at)
    p8 = ptr8(int(p32))
    chunk = int(CHUNK)
    clamp = (p8[_HI] << 16) + (p8[_LO] << 8) + p8[_ZO]
    sums = int(ptr32(acc))
    za = (p8[_ZA] ^ 128) - 128
    zb = (p8[_ZB] ^ 128) - 128
    q = ptr32(block)
    q[0] = 0
    q[4] = p32[_MO]
    q[8] = p8[_EO]
    y = p32[_Y]
    a = ptr8(int(ptr8(arena)) + p32[_A])
    b = ptr8(int(ptr8(arena)) + p32[_B])
    left = p32[_N]
    ta = ptr32(int(ptr8(arena)) + p32[_S])
    tb = ptr32(int(ta) + 1024)
    tabled = 0
    if left >= _TABLED:
        tabled = 1
        i = 0
        while i < 256:
            ta[i] = ((i ^ 128) - 128 - za) << 20
            tb[i] = ((i ^ 128) - 128 - zb) << 20
            i += 1
        requantize(p32[_S] >> 2, 0, arena, 256, steps, at + _MA * 4, at + _EA)
        requantize((p32[_S] >> 2) + 256, 0, arena, 256, steps, at + _MB * 4, at + _EB)
    while left > 0:
        n = chunk
        if n > left:
            n = left
        s = ptr32(sums)
        if tabled:
            end = sums + (n << 2)
            while int(s) < end:
                s[0] = ta[a[0]] + tb[b[0]]
                a = ptr8(int(a) + 1)
                b = ptr8(int(b) + 1)
                s = ptr32(int(s) + 4)
        else:
            half = chunk >> 1
            if n > half:
                n = half
            i = 0
            while i < n:
                s[i] = ((a[i] ^ 128) - 128 - za) << 20
                s[half + i] = ((b[i] ^ 128) - 128 - zb) << 20
                i += 1
            requantize(0, 0, acc, n, steps, at + _MA * 4, at + _EA)
            requantize(half, 0, acc, n, steps, at + _MB * 4, at + _EB)
            i = 0
            while i < n:
                s[i] = s[i] + s[half + i]
                i += 1
            a = ptr8(int(a) + n)
            b = ptr8(int(b) + n)
        finish(n + 0x10100, 0, 256, acc, arena, y, 1, clamp, block)
        y += n
        left -= n
