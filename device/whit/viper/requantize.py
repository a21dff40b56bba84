# int32 accumulators -> the next layer's scale. The one place where the viper kernels multiply to 64 bits and round.
#
# y = round(round(x * m / 2**31) / 2**e), the inner tie upwards, the outer away from zero: TFLM's double rounding.
# Written for 32-bit integers that wrap, and true for the 64-bit ones of the x64 port: a value read through ptr32 is
# unsigned there, so it is folded back with sign = 2**31. (A literal 1 << 31 would become a big integer.)
# (x * m + 2**30) >> 31 is made of four products of 16-bit halves, and no sum of them leaves int32.
#
# The first two parameters are what the inner loop uses most, whatever comes in by them (see __init__.py): x the value,
# low its lower half. A call takes as long as some sixty multiply-accumulates: hence CHUNK.

from array import array

CHUNK = 64  # accumulators that a kernel may hand over at once
acc = array("i", bytes(4 * CHUNK))
block = array("i", bytes(36))  # a quant block for kernels that have none: [0] bias, [4] multiplier, [8] shift


@micropython.viper
def requantize(x: int, low: int, accs, n: int, params, m: int, e: int):
    # accs[i] = requantize(accs[i], m, e), all int32, for n of them from i = x on.
    # The multiplier is the int32 at params[m], the right shift the int8 at params[e].
    a = ptr32(int(ptr32(accs)) + (x << 2))
    sign = 1
    sign <<= 31
    wide = sign << 1  # 0 on 32 bits
    p8 = ptr8(params)
    p32 = ptr32(int(p8) + m)
    m_high = ((p32[0] >> 16 & 0xFFFF) ^ 0x8000) - 0x8000
    m_low = p32[0] & 0xFFFF
    shift = p8[e]
    left = 0
    if shift > 127:
        left = 256 - shift
        shift = 0
    e = shift - 1
    while n > 0:
        x = a[0] << left
        if wide:
            x = ((x & (wide - 1)) ^ sign) - sign
        low = x & 0xFFFF
        x >>= 16
        u = ((low * m_low) >> 16 & 0xFFFF) + x * m_low
        low = low * m_high + (u & 0xFFFF)
        x = ((x * m_high + (u >> 16) + (low >> 16)) << 1) + (((low & 0xFFFF) + 0x4000) >> 15)
        if shift:
            x = ((((x >> 31) + x) >> e) + 1) >> 1
        a[0] = x
        a = ptr32(int(a) + 4)
        n -= 1


@micropython.viper
def unpack(v: int, p: ptr32, at: int, arena, to: int, signs: int):
    # int4 weights -> quad blocks of bytes, as unpack() in whit.h does.
    #   v = words of eight weights, at `at` in p
    #   to: where in the arena
    #   signs: 1 in the bytes of w, 0 in those of w + 128
    p = ptr32(int(p) + at)
    end = int(p) + (v << 2)
    d = ptr32(int(ptr8(arena)) + to)
    bias = 0x3C3C3C3C
    bias <<= 1
    signs <<= 7
    while int(p) < end:
        v = p[0]
        d[0] = ((v & 0x0F0F0F0F) + bias) ^ signs
        d[1] = ((v >> 4 & 0x0F0F0F0F) + bias) ^ signs
        p = ptr32(int(p) + 4)
        d = ptr32(int(d) + 8)


@micropython.viper
def finish(x: int, low: int, h: int, accs, arena, y: int, step: int, clamp: int, weights):
    # The end of a layer: accumulators without bias -> int8, for some channels, of each some rows of columns.
    #   x = channels << 16 | rows << 8 | columns
    #   low = the first channel's place in the quant blocks, plus its lane in its block
    #   h = stride << 8 | rest: from column to column in accs, and what is more from row to row; a channel starts one
    #       behind the other
    #   y: the first channel's output in the arena, `step` bytes from column to column
    #   clamp: hi << 16 | lo << 8 | zo, as unsigned bytes
    zo = (clamp & 255 ^ 128) - 128
    lo = (clamp >> 8 & 255 ^ 128) - 128
    hi = (clamp >> 16 ^ 128) - 128
    rows = x >> 8 & 255
    columns = x & 255
    channels = x >> 16
    first = ptr32(accs)
    stride = h >> 8 << 2
    rest = (h & 255) << 2
    y += int(ptr8(arena))
    lane = low & 3
    low += int(ptr8(weights))
    p32 = ptr32(low - lane)
    p8 = ptr8(low + 32 - (lane << 2))
    lane = 4 - lane
    sign = 1
    sign <<= 31
    wide = sign << 1  # 0 on 32 bits
    least = 0 - sign
    if lo >= zo:  # as under a ReLU: below 0 the output is lo
        least = 0
    while channels:
        bias = p32[0]
        low = p32[4]
        m_low = low & 0xFFFF
        m_high = low >> 16
        low = p8[0]
        left = 0
        if low > 127:
            left = 256 - low
            low = 0
        shift = low
        e = low - 1
        p32 = ptr32(int(p32) + 4)
        p8 = ptr8(int(p8) + 1)
        lane -= 1
        if not lane:
            lane = 4
            p32 = ptr32(int(p32) + 20)
            p8 = ptr8(int(p8) + 32)
        a = first
        first = ptr32(int(a) + 4)
        out = ptr8(y)
        y += 1
        channels -= 1
        r = rows
        while r:
            r -= 1
            c = columns
            while c:
                x = (a[0] + bias) << left
                if wide:
                    x = ((x & (wide - 1)) ^ sign) - sign
                if x < least:
                    out[0] = lo
                else:
                    low = x & 0xFFFF
                    x >>= 16
                    u = ((low * m_low) >> 16 & 0xFFFF) + x * m_low
                    low = low * m_high + (u & 0xFFFF)
                    x = ((x * m_high + (u >> 16) + (low >> 16)) << 1) + (((low & 0xFFFF) + 0x4000) >> 15)
                    if shift:
                        x = ((((x >> 31) + x) >> e) + 1) >> 1
                    x += zo
                    if x > hi:
                        x = hi
                    if x < lo:
                        x = lo
                    out[0] = x
                c -= 1
                if c:
                    a = ptr32(int(a) + stride)
                    out = ptr8(int(out) + step)
            if r:
                a = ptr32(int(a) + stride + rest)
                out = ptr8(int(out) + step)
