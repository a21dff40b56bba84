# y[i, j, k, :] = x[i, j, k, :], a box of n0 x n1 x n2 runs of n3 bytes with a stride per dimension on each side
# Nothing is written before what lies at the same place of x, or in front of it, has been read.

from micropython import const

# [fields]
_X = const(1)
_Y = const(2)
_N0 = const(3)
_N1 = const(4)
_N2 = const(5)
_N3 = const(6)
_X0 = const(7)
_X1 = const(8)
_X2 = const(9)
_Y0 = const(10)
_Y1 = const(11)
_Y2 = const(12)
# [end]


@micropython.viper
def copy(v: int, x: ptr8, steps, weights, arena):
    p32 = ptr32(int(ptr8(steps)) + v)
    a = int(ptr8(arena))
    i = 0
    while i < p32[_N0]:
        j = 0
        while j < p32[_N1]:
            k = 0
            while k < p32[_N2]:
                x = ptr8(a + p32[_X] + i * p32[_X0] + j * p32[_X1] + k * p32[_X2])
                y = ptr8(a + p32[_Y] + i * p32[_Y0] + j * p32[_Y1] + k * p32[_Y2])
                v = p32[_N3]
                if not (int(x) | int(y)) & 3:
                    while v >= 4:
                        ptr32(int(y))[0] = ptr32(int(x))[0]
                        x = ptr8(int(x) + 4)
                        y = ptr8(int(y) + 4)
                        v -= 4
                while v >= 4:
                    y[0] = x[0]
                    y[1] = x[1]
                    y[2] = x[2]
                    y[3] = x[3]
                    x = ptr8(int(x) + 4)
                    y = ptr8(int(y) + 4)
                    v -= 4
                while v:
                    y[0] = x[0]
                    x = ptr8(int(x) + 1)
                    y = ptr8(int(y) + 1)
                    v -= 1
                k += 1
            j += 1
        i += 1
