# int32 accumulators -> the next layer's scale. The one place where the viper kernels multiply to 64 bits and round.
#
# y = round(round(x * m / 2**31) / 2**e), the inner tie upwards, the outer away from zero: TFLM's double rounding.
# Written for 32-bit integers that wrap, and true for the 64-bit ones of the x64 port: a value read through ptr32 is
# unsigned there, so it is folded back with sign = 2**31. (A literal 1 << 31 would become a big integer.)

from array import array

CHUNK = 64  # accumulators that a kernel may hand over at once; a multiple of 4
acc = array("i", bytes(4 * CHUNK))


@micropython.viper
def requantize(accs, n: int, params, m: int, e: int, step: int, floor: int):
    # accs[i] = requantize(accs[i], m, e) for i < n, all int32.
    # The multiplier is the int32 at params[m], the right shift the int8 at params[e]: for all of them where step is 0,
    # else for the first of four in a quant block, with the others behind it and the next block behind those.
    # floor: results up to 0 may be given as 0, for a clamp makes the same of them.
    a = ptr32(accs)
    sign = 1
    sign <<= 31
    low = (sign << 1) - 1
    p8 = ptr8(params)
    i = 0
    while i < n:
        x = ((a[i] & low) ^ sign) - sign
        if floor and x <= 0:
            a[i] = 0
        else:
            p32 = ptr32(int(p8) + m)
            c = p32[0]
            c_high = ((c >> 16 & 0xFFFF) ^ 0x8000) - 0x8000
            c_low = c & 0xFFFF
            shift = (p8[e] ^ 128) - 128
            if shift < 0:
                x = (((x << (0 - shift)) & low) ^ sign) - sign
                shift = 0
            # (x * c + 2**30) >> 31 from four 16-bit products; none of the sums leaves int32
            x_low = x & 0xFFFF
            x_high = x >> 16
            u = x_high * c_low + ((x_low * c_low) >> 16 & 0xFFFF)
            v = x_low * c_high + (u & 0xFFFF)
            x = ((x_high * c_high + (u >> 16) + (v >> 16)) << 1) + (((v & 0xFFFF) + 0x4000) >> 15)
            if shift:
                x = (((x + (x >> 31)) >> (shift - 1)) + 1) >> 1
            a[i] = x
        i += 1
        if step:
            m += 4
            e += 1
            if i & 3 == 0:
                m += 20
                e += 32


@micropython.viper
def store(arena, y: int, n: int, stride: int, zo: int, lo: int, hi: int):
    # acc[:n] + zo, clamped, to n bytes from y on, stride apart.
    sums = ptr32(acc)
    out = ptr8(int(ptr8(arena)) + y)
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
