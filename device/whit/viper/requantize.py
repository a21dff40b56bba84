# int32 accumulators -> the next layer's scale. The one place where the viper kernels multiply to 64 bits and round.
#
# y = round(round(x * m / 2**31) / 2**e), the inner tie upwards, the outer away from zero: TFLM's double rounding.
# Written for 32-bit integers that wrap, and true for the 64-bit ones of the x64 port: a value read through ptr32 is
# unsigned there, so it is folded back with sign = 2**31. (A literal 1 << 31 would become a big integer.)

from array import array

CHUNK = 32  # accumulators that a kernel may hand over at once
acc = array("i", bytes(4 * CHUNK))


@micropython.viper
def requantize(accs, n: int, params, m: int, e: int, step: int):
    # accs[i] = requantize(accs[i], m, e) for i < n, all int32.
    # The multiplier is the int32 at params[m + 4 * step * i], the right shift the int8 at params[e + step * i].
    a = ptr32(accs)
    sign = 1
    sign <<= 31
    low = (sign << 1) - 1
    p8 = ptr8(params)
    i = 0
    while i < n:
        p32 = ptr32(int(p8) + m)
        c = p32[0]
        c_high = ((c >> 16 & 0xFFFF) ^ 0x8000) - 0x8000
        c_low = c & 0xFFFF
        shift = (p8[e] ^ 128) - 128
        x = a[i]
        if shift < 0:
            x <<= 0 - shift
            shift = 0
        x = ((x & low) ^ sign) - sign
        # (x * c + 2**30) >> 31 from four 16-bit products; none of the sums leaves int32
        x_low = x & 0xFFFF
        x_high = x >> 16
        u = x_high * c_low + ((x_low * c_low) >> 16 & 0xFFFF)
        v = x_low * c_high + (u & 0xFFFF)
        x = ((x_high * c_high + (u >> 16) + (v >> 16)) << 1) + (((v & 0xFFFF) + 0x4000) >> 15)
        if shift:
            x = (((x + (x >> 31)) >> (shift - 1)) + 1) >> 1
        a[i] = x
        m += step << 2
        e += step
        i += 1


@micropython.viper
def store(arena, y: int, n: int, zo: int, lo: int, hi: int):
    # acc[:n] + zo, clamped, to the n bytes at y.
    sums = ptr32(acc)
    out = ptr8(arena)
    sign = 1
    sign <<= 31
    i = 0
    while i < n:
        v = (sums[i] ^ sign) - sign + zo
        if v < lo:
            v = lo
        if v > hi:
            v = hi
        out[y + i] = v
        i += 1


@micropython.viper
def finish(weights, q: int, arena, y: int, n: int, zo: int, lo: int, hi: int):
    # The end of a layer with weights: acc[:n] without bias, n at most 4, through the quant block at q to n bytes at y.
    sums = ptr32(acc)
    bias = ptr32(int(ptr8(weights)) + q)
    i = 0
    while i < n:
        sums[i] = sums[i] + bias[i]
        i += 1
    requantize(acc, n, weights, q + 16, q + 32, 1)
    store(arena, y, n, zo, lo, hi)
