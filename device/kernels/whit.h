// What the kernels share: byte access, and TFLM's rounding.
#ifndef WHIT_H
#define WHIT_H
#include <stddef.h>
#include <stdint.h>

#include "opset.h"

#define NOINLINE __attribute__((noinline))

// round(round(x * m / 2**31) / 2**shift), the inner tie upwards, the outer away from zero: gemmlowp's
// SaturatingRoundingDoublingHighMul and RoundingDivideByPOT, in that order. A negative shift shifts x left first.
// m >= 0, so the product needs no saturation; shift -31 ... 31, and any other only gives a wrong number.
static inline int32_t requantize(int32_t x, int32_t m, int shift) {
    if (shift < 0) {
        x = (int32_t)((uint32_t)x << (-shift & 31));
        shift = 0;
    }
    x = (int32_t)(((int64_t)x * m + (1 << 30)) >> 31);
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

#endif
