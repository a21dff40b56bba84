// The FFT of 512 real points, as one of 256 complex ones in four stages of radix 4, in place, and the energies.
//
// kissfft's arithmetic in 16 bits: a stage takes a quarter of every point, rounded, and a product is rounded once.
#ifndef WHIT_FFT_H
#define WHIT_FFT_H
#include "point.h"

// Four points from x on, m apart: a + b + c + d, a - jb - c + jd, a - b + c - d, a + jb - c - jd.
INLINE void butterfly(complex *x, int m, point a, point b, point c, point d) {
    point even = plus(a, c), odd = plus(b, d);
    a = minus(a, c), b = minus(b, d);
    store(x, plus(even, odd));
    store(x + 2 * m, minus(even, odd));
    store(x + m, minus_j(a, b));
    store(x + 3 * m, plus_j(a, b));
}

// The butterflies of a stage that need no twiddle: of a quarter of a 16-bit number 32767 / 2^15 is, rounded, itself.
// quarter: QUARTERED, times what the points are still to be multiplied by.
static NOINLINE void plain(complex *x, int m, int32_t quarter) {
    for (complex *end = x + POINTS; x < end; x += 4 * m) {
        point a = scaled_by(load(x), quarter), b = scaled_by(load(x + m), quarter);
        point c = scaled_by(load(x + 2 * m), quarter), d = scaled_by(load(x + 3 * m), quarter);
        butterfly(x, m, a, b, c, d);
    }
}

// Those that have the twiddles w^k, w^2k and w^3k, for k = step, 2 step, ...: w points to w^0.
#ifdef __ARM_ARCH_6M__
void m0_turned(complex *x, int m, const complex *w, int step); // m0.S

INLINE void turned(complex *x, int m, const complex *w, int step) {
    m0_turned(x, m * (int)sizeof *x, w, step * (int)sizeof *w);
}
#else
static NOINLINE void turned(complex *x, int m, const complex *w, int step) {
    const complex *end = x + POINTS;
    for (int k = step; k < POINTS / 4; k += step) {
        point w1 = load(w + k), w2 = load(w + 2 * k), w3 = load(w + 3 * k);
        x++;
        complex *p = x;
        do {
            point b = times(scaled(load(p + m), QUARTERED), w1), c = times(scaled(load(p + 2 * m), QUARTERED), w2);
            point d = times(scaled(load(p + 3 * m), QUARTERED), w3), a = scaled(load(p), QUARTERED);
            butterfly(p, m, a, b, c, d);
            p += 4 * m;
        } while (p < end);
    }
}
#endif

// x: the points at digit-reversed places, still to be shifted left so that the largest one fills 16 bits.
static void transform(complex *x, const complex *w, int shift) {
    plain(x, 1, QUARTERED << shift);
    for (int m = 4; m < POINTS; m *= 4) {
        plain(x, m, QUARTERED);
        turned(x, m, w, POINTS / 4 / m);
    }
}

// The complex spectrum -> the energies of the real one's bins 1 to 255, in place.
static void energies(state *s, const complex *w) {
    uint32_t *low = s->energies + 1, *high = s->energies + POINTS - 1;
    for (; low <= high; low++, high--, w++) {
        point a = scaled(load((const complex *)low), HALVED);
        point b = scaled(conjugate(load((const complex *)high)), HALVED);
        point sum = plus(a, b), turned = times(minus(a, b), load(w));
        *low = energy_of_half_sum(sum, turned);
        *high = energy_of_half_difference(sum, turned);
    }
}

#endif
