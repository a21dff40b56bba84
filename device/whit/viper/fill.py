# y[i] = value

from micropython import const

# [fields]
_Y = const(1)
_N = const(2)
_VALUE = const(12)
# [end]


@micropython.viper
def fill(steps, at: int, weights, arena):
    p32 = ptr32(int(ptr8(steps)) + at)
    a = ptr8(arena)
    value = ptr8(int(p32))[_VALUE]
    y = p32[_Y]
    end = y + p32[_N]
    while y < end:
        a[y] = value
        y += 1
