// What the kernels share: byte access, and TFLM's rounding.
#ifndef WHIT_H
#define WHIT_H
#include <stddef.h>
#include <stdint.h>

#include "opset.h"

#define BOUNDED STEP_BOUNDED // a step flag, see opset.py
#define NOINLINE __attribute__((noinline))

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
#else
static inline int32_t high_mul(int32_t a, int32_t b) {
    return (int32_t)(((int64_t)a * b + (1 << 30)) >> 31);
}
#endif

// round(round(x * m / 2**31) / 2**shift), the inner tie upwards, the outer away from zero: high_mul() and
// gemmlowp's RoundingDivideByPOT. A negative shift shifts x left first; shift -31 ... 31, and any other only gives a
// wrong number.
static inline int32_t requantize(int32_t x, int32_t m, int shift) {
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

// Four accumulators without bias -> up to n output bytes.
static NOINLINE void finish(const int32_t acc[4], const quant *q, int n, int8_t *y, int zo, int lo, int hi) {
    for (int i = 0; i < 4 && i < n; i++) {
        int32_t sum = (int32_t)((uint32_t)acc[i] + (uint32_t)q->bias[i]);
        y[i] = clamp(requantize(sum, q->multiplier[i], q->shift[i]) + zo, lo, hi);
    }
}

static inline const quant *quant_at(const uint8_t *weights, uint32_t offset) {
    return (const quant *)(weights + offset);
}

#if defined(__ARM_FEATURE_DSP)
#include "dsp.h"
#endif

#endif
