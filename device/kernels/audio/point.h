// A complex number of the FFT in registers, and what is done with it: as two numbers, or on a Cortex-M with the DSP
// extension as the two halves of a word. Sums wrap at 16 bits where they are stored; kissfft's do so at every step,
// which is the same.
#ifndef WHIT_POINT_H
#define WHIT_POINT_H
#include "frontend.h"

enum { HALF = 1 << 14, QUARTERED = 8191, HALVED = 16383 }; // round(x * QUARTERED / 2^15): kissfft's quarter of x

#ifdef __ARM_FEATURE_DSP
typedef uint32_t point; // imaginary part << 16 | real part

INLINE point load(const complex *x) {
    return *(const uint32_t *)x;
}
INLINE void store(complex *x, point v) {
    *(uint32_t *)x = v;
}
INLINE point low_high(int32_t low, int32_t high) {
    return ((uint32_t)low & 0xFFFF) | ((uint32_t)high & 0xFFFF0000);
}
INLINE point plus(point a, point b) {
    return __builtin_arm_sadd16(a, b);
}
INLINE point minus(point a, point b) {
    return __builtin_arm_ssub16(a, b);
}
INLINE point plus_j(point a, point b) {
    return __builtin_arm_sasx(a, b);
}
INLINE point minus_j(point a, point b) {
    return __builtin_arm_ssax(a, b);
}
// Quarter or half of both parts; the top one is left where it comes out.
INLINE point scaled(point x, int32_t by) {
    int32_t both = by | 2 * by << 16;
    return low_high(__builtin_arm_smlabb(x, both, HALF) >> 15, __builtin_arm_smlatt(x, both, 2 * HALF));
}
// The same after a shift to the left: in floor(2 v + 1) / 2, as a product by 32 bits leaves no room for the rounding.
INLINE point scaled_by(point x, int32_t by) {
    point twice = low_high(__builtin_arm_smulwb(4 * by, x), __builtin_arm_smulwt(4 * by, x) << 16);
    return __builtin_arm_shadd16(twice, 0x00010001);
}
INLINE point times(point a, point w) {
    return low_high(__builtin_arm_smlsd(a, w, HALF) >> 15, __builtin_arm_smladx(a, w, HALF) << 1);
}
INLINE point conjugate(point x) {
    return low_high(x, __builtin_arm_ssub16(0, x));
}
INLINE uint32_t energy_of_half_sum(point a, point b) {
    point half = __builtin_arm_shadd16(a, b);
    return __builtin_arm_smuad(half, half);
}
// Of half the real part of a - b, and half the imaginary part of b - a.
INLINE uint32_t energy_of_half_difference(point a, point b) {
    point half = low_high(__builtin_arm_shsub16(a, b), __builtin_arm_shsub16(b, a));
    return __builtin_arm_smuad(half, half);
}
// Two samples times their weights in 1/2^12; -> the magnitudes of the products, one in each half.
INLINE uint32_t weighted(const complex *x, const complex *c, complex *y) {
    point a = load(x), w = load(c), size;
    a = low_high(__builtin_arm_smulbb(a, w) >> 12, __builtin_arm_smultt(a, w) << 4);
    store(y, a);
    __asm("ssub16 %0, %2, %1\n\tsel %0, %0, %1" : "=&r"(size) : "r"(a), "r"(0)); // -a where that is not negative
    return size;
}

#else
typedef struct {
    int32_t r, i;
} point;

INLINE point load(const complex *x) {
    return (point){x->r, x->i};
}
INLINE void store(complex *x, point v) {
    x->r = v.r;
    x->i = v.i;
}
INLINE point plus(point a, point b) {
    return (point){a.r + b.r, a.i + b.i};
}
INLINE point minus(point a, point b) {
    return (point){a.r - b.r, a.i - b.i};
}
INLINE point plus_j(point a, point b) {
    return (point){a.r - b.i, a.i + b.r};
}
INLINE point minus_j(point a, point b) {
    return (point){a.r + b.i, a.i - b.r};
}
INLINE point scaled(point x, int32_t by) {
    return (point){(x.r * by + HALF) >> 15, (x.i * by + HALF) >> 15};
}
INLINE point scaled_by(point x, int32_t by) {
    return scaled(x, by);
}
INLINE point times(point a, point w) {
    return (point){(a.r * w.r - a.i * w.i + HALF) >> 15, (a.r * w.i + a.i * w.r + HALF) >> 15};
}
INLINE point conjugate(point x) {
    return (point){x.r, (int16_t)-x.i};
}
INLINE uint32_t energy(int32_t r, int32_t i) {
    r >>= 1, i >>= 1;
    return r * r + i * i;
}
INLINE uint32_t energy_of_half_sum(point a, point b) {
    return energy(a.r + (int16_t)b.r, a.i + (int16_t)b.i);
}
INLINE uint32_t energy_of_half_difference(point a, point b) {
    return energy(a.r - (int16_t)b.r, (int16_t)b.i - a.i);
}
INLINE uint32_t weighted(const complex *x, const complex *c, complex *y) {
    point a = {(x->r * c->r) >> 12, (x->i * c->i) >> 12};
    store(y, a);
    return (a.r < 0 ? -a.r : a.r) | (a.i < 0 ? -a.i : a.i);
}
#endif

#endif
