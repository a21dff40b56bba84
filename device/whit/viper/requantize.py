# int32 accumulators -> the next layer's scale. The one place where the viper kernels multiply to 64 bits and round.
#
# y = round(round(x * m / 2**31) / 2**e), the inner tie upwards, the outer away from zero: TFLM's double rounding.
# Written for 32-bit integers that wrap, and true for the 64-bit ones of the x64 port: a value read through ptr32 is
# unsigned there, so it is folded back with sign = 2**31. (A literal 1 << 31 would become a big integer.)

from array import array

CHUNK = 64  # accumulators that a kernel may hand over at once; a multiple of 4
acc = array("i", bytes(4 * CHUNK))


@micropython.viper
def requantize(a: ptr32, x: int, p: ptr8, n: int, m: int, e: int, step: int, floor: int):
    # a[i] = requantize(a[i], m, e) for i < n, all int32; x is nothing yet, as the first three locals lie in registers.
    # The multiplier is the int32 at p[m], the right shift the int8 at p[e]: for all of them where step is 0, else for
    # the first of four in a quant block, with the others behind it and the next block behind those.
    # floor: results up to 0 may be given as 0, for a clamp makes the same of them.
    sign = 1
    sign <<= 31
    low = (sign << 1) - 1
    end = int(a) + (n << 2)
    shifts = ptr8(int(p) + e)
    p = ptr8(int(p) + m)
    e = 4
    while int(a) < end:
        x = (a[0] ^ sign) - sign
        if floor and x <= 0:
            a[0] = 0
        else:
            c = ptr32(p)[0]
            shift = (shifts[0] ^ 128) - 128
            if shift < 0:
                x = (((x << (0 - shift)) & low) ^ sign) - sign
                shift = 0
            # (x * c + 2**30) >> 31 from four 16-bit products; none of the sums leaves int32
            high = ((c >> 16 & 0xFFFF) ^ 0x8000) - 0x8000
            c &= 0xFFFF
            v = x & 0xFFFF
            x >>= 16
            u = x * c + ((v * c) >> 16 & 0xFFFF)
            v = v * high + (u & 0xFFFF)
            x = ((x * high + (u >> 16) + (v >> 16)) << 1) + (((v & 0xFFFF) + 0x4000) >> 15)
            if shift:
                x = (((x + (x >> 31)) >> (shift - 1)) + 1) >> 1
            a[0] = x
        a = ptr32(int(a) + 4)
        if step:
            p = ptr8(int(p) + 4)
            shifts = ptr8(int(shifts) + 1)
            e -= 1
            if e == 0:
                e = 4
                p = ptr8(int(p) + 20)
                shifts = ptr8(int(shifts) + 32)


@micropython.viper
def store(out: ptr8, v: int, sums: ptr32, y: int, n: int, stride: int, zo: int, lo: int, hi: int):
    # sums[:n] + zo, clamped, to n bytes from out[y] on, stride apart; v is nothing yet.
    out = ptr8(int(out) + y)
    sign = 1
    sign <<= 31
    end = int(sums) + (n << 2)
    while int(sums) < end:
        v = (sums[0] ^ sign) - sign + zo
        if v < lo:
            v = lo
        if v > hi:
            v = hi
        out[0] = v
        out = ptr8(int(out) + stride)
        sums = ptr32(int(sums) + 4)
