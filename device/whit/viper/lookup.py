# y[i] = t[x[i]], both as unsigned bytes: any int8 -> int8 function

from micropython import const

# [fields]
_X = const(1)
_Y = const(2)
_T = const(3)
_N = const(4)
# [end]


@micropython.viper
def lookup(steps, at: int, weights, arena):
    p32 = ptr32(int(ptr8(steps)) + at)
    a = ptr8(arena)
    t = ptr8(int(ptr8(weights)) + p32[_T])
    x = p32[_X]
    y = p32[_Y]
    end = x + p32[_N]
    while x < end:
        a[y] = t[a[x]]
        x += 1
        y += 1
