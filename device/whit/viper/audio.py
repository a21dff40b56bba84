# The audio front end, as device/kernels/audio has it: what it computes is said there.
#
# Written for 32-bit integers that wrap, and true for the 64-bit ones of the x64 port: unsigned numbers of 32 bits and
# more are kept as pieces of 16 bits, least first.

from micropython import const

_HEAD = const(36)  # bytes of the section before its tables
_TWIDDLES = const(768)
_REAL_TWIDDLES = const(512)
_GAINS = const(252)
_X = const(4)  # in the state: the points
_ESTIMATES = const(1028)
_HALF = const(16384)
_QUARTERED = const(8191)
_HALVED = const(16383)

# Fields of the section, in 16-bit numbers and in bytes.
_WINDOW = const(2)
_STEP = const(3)
_CHANNELS = const(4)
_FIRST = const(5)
_END = const(6)
_SMOOTHING = const(7)
_LEAST = const(9)
_SMOOTHING_BITS = const(20)
_GAIN_SHIFT = const(21)
_LOG_SHIFT = const(22)
_CORRECTION = const(23)
_FLAGS = const(24)
_SHIFT = const(25)
_MULTIPLIER = const(13)
_ROUNDING = const(14)
_LIMIT = const(16)


@micropython.viper
def feed(section, state, features, data, samples, first: int, last: int) -> int:
    p16 = ptr16(section)
    s16 = ptr16(state)
    window = p16[_WINDOW]
    ring = ptr16(int(s16) + _ESTIMATES + 4 * p16[_CHANNELS])
    x = ptr8(int(ptr8(samples)) + 2 * first)
    n = last - first
    at = s16[0]
    if n > at:
        n = at
    s16[0] = at - n
    first += n
    at = s16[1]
    while n:
        ring[at] = x[0] | x[1] << 8
        x = ptr8(int(x) + 2)
        at += 1
        if at == window:
            at = 0
        n -= 1
    s16[1] = at
    if s16[0]:
        return first << 1
    n = int(windowed(section, state))
    at = 1
    last = _QUARTERED << n
    while at < 256:
        butterflies(at, last, section, state)
        at <<= 2
        last = _QUARTERED
    energies(section, state)
    channels(section, state, features, data, n)
    s16[0] = p16[_STEP]
    return first << 1 | 1


@micropython.viper
def windowed(section, state) -> int:
    p16 = ptr16(section)
    c = ptr16(int(p16) + _HEAD)
    s16 = ptr16(state)
    window = p16[_WINDOW]
    ring = ptr16(int(s16) + _ESTIMATES + 4 * p16[_CHANNELS])
    x = ptr16(int(s16) + _X)
    at = s16[1]
    every = 0
    place = 0
    i = 0
    while i < 512:
        v = 0
        if i < window:
            v = ((ring[at] ^ 0x8000) - 0x8000) * c[i] >> 12
            every |= 0 - v if v < 0 else v
            at += 1
            if at == window:
                at = 0
        x[2 * place + (i & 1)] = v
        if i & 1:
            digit = 64
            while digit and place >= 3 * digit:
                place -= 3 * digit
                digit >>= 2
            place += digit
        i += 1
    v = every & 0x7FFF
    at = 15
    while v:
        v >>= 1
        at -= 1
    if every >> 15 and at:
        i = 0
        while i < 512:
            if x[i] == 0x8000:
                x[i] = 0
            i += 1
    return at


@micropython.viper
def butterflies(m: int, quarter: int, section, state):
    # One stage: of points m apart, the first 4 * m by their twiddles and so on.
    w = ptr16(int(ptr8(section)) + _HEAD + (2 * ptr16(section)[_WINDOW] + 3 & -4))
    first = int(ptr8(state)) + _X
    end = first + 1024
    k = 0
    while k < m:
        i = 2 * k * (64 // m)
        w1r = (w[i] ^ 0x8000) - 0x8000
        w1i = (w[i + 1] ^ 0x8000) - 0x8000
        w2r = (w[2 * i] ^ 0x8000) - 0x8000
        w2i = (w[2 * i + 1] ^ 0x8000) - 0x8000
        w3r = (w[3 * i] ^ 0x8000) - 0x8000
        w3i = (w[3 * i + 1] ^ 0x8000) - 0x8000
        at = first + 4 * k
        while at < end:
            x = ptr16(at)
            ar = ((x[0] ^ 0x8000) - 0x8000) * quarter + _HALF >> 15
            ai = ((x[1] ^ 0x8000) - 0x8000) * quarter + _HALF >> 15
            i = 2 * m
            r = ((x[i] ^ 0x8000) - 0x8000) * quarter + _HALF >> 15
            i = ((x[i + 1] ^ 0x8000) - 0x8000) * quarter + _HALF >> 15
            br = r * w1r - i * w1i + _HALF >> 15
            bi = r * w1i + i * w1r + _HALF >> 15
            i = 4 * m
            r = ((x[i] ^ 0x8000) - 0x8000) * quarter + _HALF >> 15
            i = ((x[i + 1] ^ 0x8000) - 0x8000) * quarter + _HALF >> 15
            cr = r * w2r - i * w2i + _HALF >> 15
            ci = r * w2i + i * w2r + _HALF >> 15
            i = 6 * m
            r = ((x[i] ^ 0x8000) - 0x8000) * quarter + _HALF >> 15
            i = ((x[i + 1] ^ 0x8000) - 0x8000) * quarter + _HALF >> 15
            dr = r * w3r - i * w3i + _HALF >> 15
            di = r * w3i + i * w3r + _HALF >> 15
            r = ar + cr
            i = ai + ci
            ar -= cr
            ai -= ci
            cr = br + dr
            ci = bi + di
            br -= dr
            bi -= di
            x[0] = r + cr
            x[1] = i + ci
            x[4 * m] = r - cr
            x[4 * m + 1] = i - ci
            x[2 * m] = ar + bi
            x[2 * m + 1] = ai - br
            x[6 * m] = ar - bi
            x[6 * m + 1] = ai + br
            at += 16 * m
        k += 1


@micropython.viper
def energies(section, state):
    w = ptr16(int(ptr8(section)) + _HEAD + (2 * ptr16(section)[_WINDOW] + 3 & -4) + _TWIDDLES)
    x = ptr16(int(ptr8(state)) + _X)
    energy = ptr32(int(x))
    k = 1
    while k <= 128:
        n = 256 - k
        ar = ((x[2 * k] ^ 0x8000) - 0x8000) * _HALVED + _HALF >> 15
        ai = ((x[2 * k + 1] ^ 0x8000) - 0x8000) * _HALVED + _HALF >> 15
        br = ((x[2 * n] ^ 0x8000) - 0x8000) * _HALVED + _HALF >> 15
        # Minus the imaginary part, which is no other number for -32768.
        bi = (((0 - x[2 * n + 1]) & 0xFFFF ^ 0x8000) - 0x8000) * _HALVED + _HALF >> 15
        r = ar - br
        i = ai - bi
        ar += br
        ai += bi
        wr = (w[0] ^ 0x8000) - 0x8000
        wi = (w[1] ^ 0x8000) - 0x8000
        w = ptr16(int(w) + 4)
        br = ((r * wr - i * wi + _HALF >> 15) & 0xFFFF ^ 0x8000) - 0x8000
        bi = ((r * wi + i * wr + _HALF >> 15) & 0xFFFF ^ 0x8000) - 0x8000
        r = ar + br >> 1
        i = ai + bi >> 1
        energy[k] = r * r + i * i
        r = ar - br >> 1
        i = bi - ai >> 1
        energy[n] = r * r + i * i
        k += 1


@micropython.viper
def channels(section, state, features, data, shift: int):
    p16 = ptr16(section)
    p8 = ptr8(section)
    s = int(ptr8(state))
    energy = ptr16(s + _X + 4 * p16[_FIRST])
    estimate = ptr16(s + _ESTIMATES)
    out = ptr16(features)
    bytes_out = ptr8(data)
    flags = p8[_FLAGS]
    count = p16[_CHANNELS]
    at = int(p8) + _HEAD + (2 * p16[_WINDOW] + 3 & -4) + _TWIDDLES + _REAL_TWIDDLES
    width = ptr8(at)
    at += count + 4 & -4
    weight = ptr16(at)
    at += 2 * (p16[_END] - p16[_FIRST]) + 3 & -4
    gains = ptr16(at)
    if flags & 1:
        at += _GAINS
    logs = ptr16(at)
    sign = 1
    sign <<= 31
    wide = sign << 1  # 0 on 32 bits
    down0 = 0
    down1 = 0
    down2 = 0
    k = -1  # the first slope belongs to no channel alone
    while k < count:
        # The next slope rises for this channel, and falls for the one before.
        v0 = down0
        v1 = down1
        v2 = down2
        down0 = 0
        down1 = 0
        down2 = 0
        n = width[0]
        width = ptr8(int(width) + 1)
        while n:
            w = weight[0]
            low = energy[0] * w
            high = energy[1] * w
            v0 += low & 0xFFFF
            v1 += (low >> 16) + (high & 0xFFFF)
            v2 += high >> 16
            w = 4096 - w
            low = energy[0] * w
            high = energy[1] * w
            down0 += low & 0xFFFF
            down1 += (low >> 16) + (high & 0xFFFF)
            down2 += high >> 16
            weight = ptr16(int(weight) + 2)
            energy = ptr16(int(energy) + 4)
            n -= 1
        k += 1
        if not k:
            continue
        v1 += v0 >> 16
        v0 &= 0xFFFF
        v2 += v1 >> 16
        v1 &= 0xFFFF
        # Its square root, by pairs of bits.
        rest = 0
        found = 0
        n = 22
        while n > -34:
            if n >= 0:
                low = v2 >> n
            elif n >= -16:
                low = v1 >> n + 16
            else:
                low = v0 >> n + 32
            rest = rest << 2 | low & 3
            low = found << 2 | 1
            found <<= 1
            if rest >= low:
                rest -= low
                found += 1
            n -= 2
        if rest > found and found != 0xFFFF:
            found += 1
        v = found >> shift
        # Noise reduction.
        w = p16[_SMOOTHING + (k - 1 & 1)]
        n = p8[_SMOOTHING_BITS]
        low = v << n
        high = low >> 16 & 0xFFFF
        low &= 0xFFFF
        v0 = low * w + estimate[0] * (_HALF - w)
        v1 = high * w + estimate[1] * (_HALF - w)
        v0 = (v1 << 2) + (v0 >> 14)
        v1 = v0 >> 16 & 0xFFFF
        v0 &= 0xFFFF
        estimate[0] = v0
        estimate[1] = v1
        estimate = ptr16(int(estimate) + 4)
        low -= v0
        high -= v1
        if low < 0:
            low += 0x10000
            high -= 1
        rest = 0
        if high >= 0:
            rest = (high << 15 | low >> 1) >> n - 1 if n else high << 16 | low
        w = p16[_LEAST]
        v = ((v >> 16) * w << 2) + ((v & 0xFFFF) * w >> 14)
        if rest > v:
            v = rest
        if flags & 1:
            # Gain: of the noise, in v1 and v0.
            if not v1 and v0 <= 2:
                w = gains[v0]
            else:
                n = 0
                low = v0
                if v1:
                    n = 16
                    low = v1
                while low:
                    low >>= 1
                    n += 1
                table = ptr16(int(gains) + 8 * n - 12)
                w = v1 << 16 | v0
                w = (w << 11 - n if n < 11 else w >> n - 11) & 0x3FF
                low = ((((table[2] ^ 0x8000) - 0x8000) * w >> 5) + ((table[1] ^ 0x8000) - 0x8000) * 32) * w
                if wide:
                    low = (low & wide - 1 ^ sign) - sign
                w = (low + _HALF >> 15) + table[0]
            w = (w & 0xFFFF ^ 0x8000) - 0x8000
            # v * w as three pieces, a negative w as an unsigned number of 32 bits.
            n = 0 - w if w < 0 else w
            low = (v & 0xFFFF) * n
            high = (v >> 16) * n + (low >> 16)
            v2 = high >> 16
            v1 = high & 0xFFFF
            v0 = low & 0xFFFF
            if w < 0:
                v0 = 0 - v0
                high = 0 - high
                if v0:
                    v0 += 0x10000
                    high -= 1
                v2 = v + (high >> 16)
                v1 = high & 0xFFFF
            n = p8[_GAIN_SHIFT]
            if n >= 16:
                n -= 16
                v0 = v1
                v1 = v2
                v2 = 0
            v0 = (v1 << 16 - n | v0 >> n) & 0xFFFF
            v1 = (v2 << 16 - n | v1 >> n) & 0xFFFF
            v = (v0 * v0 >> 20) if not v1 and v0 < 8192 else (v1 << 10 | v0 >> 6) - 64
        if flags & 2:
            # Logarithm.
            v <<= p8[_CORRECTION]
            high = v >> 16 & 0xFFFF
            low = v & 0xFFFF
            v = 0
            if high or low > 1:
                n = 0
                v0 = low
                if high:
                    n = 16
                    v0 = high
                while v0 > 1:
                    v0 >>= 1
                    n += 1
                low = (high << 16 | low) << 31 - n << 1 >> 16 & 0xFFFF
                table = ptr16(int(logs) + (low >> 9 << 1))
                low += table[0] + ((table[1] - table[0]) * (low & 511) >> 16)
                v = ((45426 * n + (22713 * low + _HALF >> 15)) << p8[_LOG_SHIFT]) + 0x8000 >> 16 & 0xFFFF
        if v > 0xFFFF:
            v = 0xFFFF
        out[0] = v
        out = ptr16(int(out) + 2)
        if v > p16[_LIMIT]:
            v = p16[_LIMIT]
        v = v * p16[_MULTIPLIER] + (p16[_ROUNDING + 1] << 16) + p16[_ROUNDING] >> p8[_SHIFT]
        if v > 255:
            v = 255
        bytes_out[0] = v if flags & 4 else v ^ 128
        bytes_out = ptr8(int(bytes_out) + 1)
