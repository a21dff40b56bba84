# y[i] = clamp(requantize(requantize((a[i] - za) << 20) + requantize((b[i] - zb) << 20)) + zo)

from array import array

from micropython import const

from .requantize import CHUNK, acc, requantize, store

# [fields]
_A = const(1)
_B = const(2)
_Y = const(3)
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
# [end]

_other = array("i", bytes(4 * CHUNK))


@micropython.viper
def add(steps, at: int, weights, arena):
    p32 = ptr32(int(ptr8(steps)) + at)
    p8 = ptr8(int(p32))
    x = ptr8(arena)
    sums = ptr32(acc)
    others = ptr32(_other)
    za = (p8[_ZA] ^ 128) - 128
    zb = (p8[_ZB] ^ 128) - 128
    zo = (p8[_ZO] ^ 128) - 128
    lo = (p8[_LO] ^ 128) - 128
    hi = (p8[_HI] ^ 128) - 128
    a = p32[_A]
    b = p32[_B]
    y = p32[_Y]
    left = p32[_N]
    while left > 0:
        n = int(CHUNK)
        if n > left:
            n = left
        i = 0
        while i < n:
            sums[i] = ((x[a + i] ^ 128) - 128 - za) << 20
            others[i] = ((x[b + i] ^ 128) - 128 - zb) << 20
            i += 1
        requantize(acc, 0, steps, n, at + _MA * 4, at + _EA, 0, 0)
        requantize(_other, 0, steps, n, at + _MB * 4, at + _EB, 0, 0)
        i = 0
        while i < n:
            sums[i] = sums[i] + others[i]
            i += 1
        requantize(acc, 0, steps, n, at + _MO * 4, at + _EO, 0, 0)
        store(arena, 0, acc, y, n, 1, zo, lo, hi)
        a += n
        b += n
        y += n
        left -= n
