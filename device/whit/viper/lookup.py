# y[i] = t[x[i]], both as unsigned bytes: any int8 -> int8 function

from micropython import const

# [fields]
_X = const(1)
_Y = const(2)
_T = const(3)
_N = const(4)
# [end]


@micropython.viper
def lookup(v: int, x: ptr8, steps, weights, arena):
    p32 = ptr32(int(ptr8(steps)) + v)
    t = ptr8(int(ptr8(weights)) + p32[_T])
    x = ptr8(int(ptr8(arena)) + p32[_X])
    y = ptr8(int(ptr8(arena)) + p32[_Y])
    end = int(x) + p32[_N]
    while int(x) < end:
        v = x[0]
        y[0] = t[v]
        x = ptr8(int(x) + 1)
        y = ptr8(int(y) + 1)
