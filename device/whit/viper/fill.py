# y[i] = value

from micropython import const

# [fields]
_Y = const(1)
_N = const(2)
_VALUE = const(12)
# [end]


@micropython.viper
def fill(v: int, y: ptr8, steps, weights, arena):
    p32 = ptr32(int(ptr8(steps)) + v)
    v = ptr8(int(p32))[_VALUE]
    y = ptr8(int(ptr8(arena)) + p32[_Y])
    end = int(y) + p32[_N]
    while int(y) < end:
        y[0] = v
        y = ptr8(int(y) + 1)
