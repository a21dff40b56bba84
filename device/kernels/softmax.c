// y[r, i] = exp(x[r, i] - max x[r]) / sum exp(x[r, j] - max x[r]), in 1/256 less 128
// x, y [rows][depth] int8; t [entries] int32: exp(-d * scale * beta) in Q0, d from `entries` on counting as 0.
// Cannot fail: check() ran at load.
#include "whit.h"

// 1 / half in Q2 by three Newton steps from 48/17 - 32/17 * half; half in [1/2, 1) in Q0.
static COLD int32_t reciprocal(int32_t half) {
    int32_t x = 1515870810 + high_mul(half, -1010580540);
    for (int i = 0; i < 3; i++) {
        int32_t error = (1 << 29) - high_mul(half, x);
        x += (int32_t)((uint32_t)high_mul(error, x) << 2);
    }
    return x;
}

static COLD void softmax(const softmax_step *s, const uint8_t *weights, uint8_t *arena) {
    const int8_t *x = (const int8_t *)arena + s->x;
    int8_t *y = (int8_t *)arena + s->y;
    const int32_t *t = (const int32_t *)(weights + s->t);
    for (uint32_t r = 0; r < s->rows; r++, x += s->depth, y += s->depth) {
        int best = -128;
        for (int i = 0; i < s->depth; i++) {
            best = x[i] > best ? x[i] : best;
        }
        uint32_t sum = 0; // Q12, below 2**31 for depth up to 4095
        for (int i = 0; i < s->depth; i++) {
            int d = best - x[i];
            sum += (uint32_t)d < s->entries ? (uint32_t)(((t[d] >> 11) + 1) >> 1) : 0;
        }
        int headroom = 1;
        while (headroom < 31 && sum < 1u << 30) {
            sum <<= 1;
            headroom++;
        }
        int32_t scale = reciprocal((int32_t)sum);
        scale = scale >= 1 << 30 ? INT32_MAX : scale * 2;
        int shift = headroom < 4 ? 31 : 35 - headroom; // below 4: over 511 equal maxima, where TFLM stops the program
        for (int i = 0; i < s->depth; i++) {
            int d = best - x[i]; // below 0 where a hostile file has the output over the input
            y[i] = clamp(requantize((uint32_t)d < s->entries ? t[d] : 0, scale, shift) - 128, -128, 127);
        }
    }
}
