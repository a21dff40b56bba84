// What the kernels share: how much they do at once, and TFLM's rounding.
#ifndef WHIT_H
#define WHIT_H
#include <stddef.h>
#include <stdint.h>

#include "opset.h"

#define NOINLINE __attribute__((noinline))
#define INLINE static inline __attribute__((always_inline))

// Where these kernels are the fastest that a core has, they work on blocks of four output pixels, and loops over the
// sums of GROUP of them, as many as registers hold, are unrolled. Elsewhere, beside assembly, they stay small.
// PAIRED: no instruction multiplies and adds, and one multiply for two pixels pays.
#if defined(__riscv)
enum { BLOCK = 4, GROUP = 4 };
#define PAIRED 1
#elif defined(__XTENSA__)
enum { BLOCK = 4, GROUP = 2 };
#define PAIRED 1
#elif defined(__x86_64__) || (defined(__ARM_ARCH_7M__) && !defined(__ARM_FEATURE_DSP))
enum { BLOCK = 4, GROUP = 2 };
#define PAIRED 0
#else
enum { BLOCK = 1, GROUP = 1 };
#define PAIRED 0
#define SMALL
#endif
#ifdef __ARM_FEATURE_SAT
enum { SATURATES = 1 }; // one instruction for a clamp to int8
#else
enum { SATURATES = 0 };
#endif
#define EACH _Pragma("clang loop unroll(full)") // over what lies in registers
#define COLD __attribute__((noinline, minsize))   // what takes little of the time
#ifdef SMALL
#define UNROLL
#define PLAIN COLD
#else
#define UNROLL EACH
#define PLAIN NOINLINE
#endif

// a * b / 2**31 to nearest, ties upwards: gemmlowp's SaturatingRoundingDoublingHighMul but for a == b == INT32_MIN.
#if defined(__ARM_ARCH) && __ARM_ARCH == 6
// Cortex-M0 and M0+ multiply to 32 bits only, and the code may call no library: four 16-bit products, whose sums stay
// within 32 bits.
static NOINLINE int32_t high_mul(int32_t a, int32_t b) {
    int32_t a_high = a >> 16, b_high = b >> 16;
    uint32_t a_low = (uint16_t)a, b_low = (uint16_t)b;
    int32_t u = a_high * (int32_t)b_low + (int32_t)(a_low * b_low >> 16);
    int32_t v = (int32_t)a_low * b_high + (u & 0xFFFF);
    return (int32_t)((uint32_t)(a_high * b_high + (u >> 16) + (v >> 16)) << 1) + (((v & 0xFFFF) + 0x4000) >> 15);
}
#define REQUANTIZE_INLINE NOINLINE // what calls it often has its own, in m0.S
#else
#define REQUANTIZE_INLINE inline
static inline int32_t high_mul(int32_t a, int32_t b) {
    return (int32_t)(((int64_t)a * b + (1 << 30)) >> 31);
}
#endif

// high_mul() for |x| < 2**30, where 2 * x does not overflow: what rounds is the top bit of the product's lower word.
static inline int32_t high_mul_bounded(int32_t x, int32_t m) {
#if defined(__ARM_ARCH) && __ARM_ARCH == 6
    return high_mul(x, m);
#else
    int64_t product = (int64_t)(x * 2) * m;
    return (int32_t)(product >> 32) + (int32_t)((uint32_t)product >> 31);
#endif
}

// round(round(x * m / 2**31) / 2**shift), the inner tie upwards, the outer away from zero: high_mul() and
// gemmlowp's RoundingDivideByPOT. A negative shift shifts x left first; shift -31 ... 31, and any other only gives a
// wrong number.
static REQUANTIZE_INLINE int32_t requantize(int32_t x, int32_t m, int shift) {
    if (shift < 0) {
        x = (int32_t)((uint32_t)x << (-shift & 31));
        shift = 0;
    }
    x = high_mul(x, m);
    if (shift > 0) {
        x = (((x + (x >> 31)) >> ((shift - 1) & 31)) + 1) >> 1;
    }
    return x;
}

static inline int8_t clamp(int32_t v, int32_t lo, int32_t hi) {
    return (int8_t)(v < lo ? lo : v > hi ? hi : v);
}

// The quant blocks of conv2d, depthwise and dense: one per four channels.
typedef struct {
    int32_t bias[4];
    int32_t multiplier[4];
    int8_t shift[4];
} quant;

// Where sums become output bytes: the step's zero point and clamp, and how far the pixels of a channel lie apart.
typedef struct {
    int32_t zo, lo, hi;
    uint32_t stride;
    int plain; // sums below 2**29, right shifts, and a clamp that costs little
} output;

INLINE output output_of(int bounded, int32_t zo, int32_t lo, int32_t hi, uint32_t stride) {
#ifdef SMALL
    bounded = 0;
#endif
    output to = {zo, lo, hi, stride, bounded && (!SATURATES || (lo == -128 && hi == 127))};
    return to;
}

INLINE void finish_as(int plain, const int32_t *sums, int n, const quant *q, int i, int last, const output *to,
                      int8_t *y) {
    int32_t zo = to->zo, lo = to->lo, hi = to->hi;
    uint32_t stride = to->stride;
    for (; i < last; i++, y++, sums += BLOCK) {
        int32_t bias = q->bias[i], m = q->multiplier[i], shift = q->shift[i];
        int8_t *out = y;
        for (const int32_t *sum = sums, *end = sum + n; sum != end; out += stride) {
            int32_t v = *sum++ + bias;
            if (plain) { // requantize() with the output's zero point in its last rounding
                v = high_mul_bounded(v, m);
                v = (((v + (v >> 31)) >> (shift - 1)) + 2 * zo + 1) >> 1;
                *out = SATURATES ? clamp(v, -128, 127) : clamp(v, lo, hi);
            } else {
                *out = clamp(requantize(v, m, shift) + zo, lo, hi);
            }
        }
    }
}

// Sums without bias, [last - i][BLOCK], of n pixels of the channels i ... last - 1 in a quant block -> output bytes;
// y is that of the first pixel and channel. Of one channel there may be more pixels than BLOCK.
static PLAIN void finish(const int32_t *sums, int n, const quant *q, int i, int last, const output *to, int8_t *y) {
#ifndef SMALL
    if (to->plain) {
        finish_as(1, sums, n, q, i, last, to, y);
        return;
    }
#endif
    finish_as(0, sums, n, q, i, last, to, y);
}

// int4 weights, `words` words of eight, as quad blocks of bytes: w + 8 of two channels lie in the nibbles of a byte.
// signs: 0x80 in the bytes of w, 0 in those of w + 128.
#define CONV2D_SIGNS 0x80808080u
#define DENSE_SIGNS 0x80008000u
#if defined(__ARM_FEATURE_DSP)
#define unpack dsp_unpack
const uint8_t *dsp_unpack(uint32_t *to, const uint8_t *from, int words, uint32_t signs);
#else
#if defined(__ARM_ARCH) && __ARM_ARCH == 6
__attribute__((visibility("hidden"))) extern // for m0.S
#else
static
#endif
NOINLINE const uint8_t *unpack(uint32_t *to, const uint8_t *from, int words, uint32_t signs) {
    const uint32_t *pairs = (const uint32_t *)from;
    const uint8_t *start = (const uint8_t *)to;
    for (const uint32_t *end = pairs + words; pairs != end; to += 2) {
        uint32_t pair = *pairs++;
        to[0] = ((pair & 0x0F0F0F0F) + 0x78787878) ^ signs;
        to[1] = ((pair >> 4 & 0x0F0F0F0F) + 0x78787878) ^ signs;
    }
    return start;
}
#endif

static inline const quant *quant_at(const uint8_t *weights, uint32_t offset) {
    return (const quant *)(weights + offset);
}

#if defined(__ARM_ARCH) && __ARM_ARCH == 6
#include "m0.h"
#elif defined(__ARM_FEATURE_DSP)
#include "dsp.h"
#endif

#endif
