// Integer arithmetic that a core may not have: wide products, leading zeros, square roots.
#ifndef WHIT_ROOT_H
#define WHIT_ROOT_H
#include "frontend.h"

#ifdef __ARM_ARCH_6M__
static NOINLINE uint64_t product(uint32_t a, uint32_t b) {
    uint32_t low = (a & 0xFFFF) * (b & 0xFFFF), middle = (a >> 16) * (b & 0xFFFF) + (low >> 16);
    uint32_t other = (a & 0xFFFF) * (b >> 16) + (middle & 0xFFFF);
    uint32_t high = (a >> 16) * (b >> 16) + (middle >> 16) + (other >> 16);
    return (uint64_t)high << 32 | (low & 0xFFFF) | other << 16;
}

// How many bits x has without leading zeros.
static NOINLINE int bits(uint32_t x) {
    int n = 0;
    if (x >> 16) {
        x >>= 16, n = 16;
    }
    if (x >> 8) {
        x >>= 8, n += 8;
    }
    if (x >> 4) {
        x >>= 4, n += 4;
    }
    if (x >> 2) {
        x >>= 2, n += 2;
    }
    return n + (int)(x - (x >> 1 & x)); // of 0, 1, 2, 3: 0, 1, 2, 2
}
#else
INLINE uint64_t product(uint32_t a, uint32_t b) {
    return (uint64_t)a * b;
}
INLINE int bits(uint32_t x) {
    return x ? 32 - __builtin_clz(x) : 0;
}
#endif

// The reference's square root: round(sqrt(x)), but 0xFFFF where that is 2^16 and x has 32 bits. x < 2^54.
//
// 2^31 / sqrt(high) by Newton's steps from a straight line, to some 2^-10; with it as the divisor sqrt(high) to some
// 2^-20, then the bits behind. What is off then is seen by the remainder and set right.
static NOINLINE uint32_t root(uint64_t x) {
    uint32_t low = x, top = x >> 32, high, s;
    int more = 0, less = 0; // bits of the root beyond 16, or short of them
    if (top) {
        more = (bits(top) + 1) >> 1;
        high = top << (32 - 2 * more) | low >> 2 * more;
    } else if (low) {
        less = (32 - bits(low)) >> 1;
        high = low << 2 * less;
    } else {
        return 0;
    }
    uint32_t h = high >> 16, y = 72306 - (h * 43690 >> 16);
    y = y * (49152 - ((y * y >> 16) * h >> 16)) >> 15;
    y = y * (49152 - ((y * y >> 16) * h >> 16)) >> 15;
    s = h * y >> 15;
    int32_t rest = high - s * s;
    s += (rest >> 9) * (int32_t)y >> 23;
    if (!top) {
        s >>= less;
        rest = low - s * s;
    } else {
        rest = high - s * s;
        rest = rest << more | (low >> more & ((1 << more) - 1));
        int32_t q = (rest >> 12) * (int32_t)(y >> 1) >> 19;
        rest = ((rest - q * 2 * (int32_t)s) << more) + (low & ((1 << more) - 1)) - q * q;
        s = (s << more) + q;
    }
    while (rest < 0) {
        s--;
        rest += 2 * s + 1;
    }
    while (rest > (int32_t)(2 * s)) {
        rest -= 2 * s + 1;
        s++;
    }
    return s + (rest > (int32_t)s && s != 0xFFFF);
}

#endif
