// The FFT of 512 real points, as one of 256 complex ones in four stages of radix 4, in place, and the energies.
//
// kissfft's arithmetic in 16 bits: before each butterfly x = round(x * 8191 / 2^15), a product is rounded once, and what
// leaves 16 bits wraps.
#ifndef WHIT_FFT_H
#define WHIT_FFT_H
#include "frontend.h"

enum { HALF = 1 << 14, QUARTERED = 8191, HALVED = 16383 };

INLINE int32_t scaled(int32_t x, int32_t by) {
    return (x * by + HALF) >> 15;
}

// Four points from x on, m apart: a + b + c + d, a - jb - c + jd, a - b + c - d, a + jb - c - jd.
// quarter: QUARTERED, times what the input is still to be multiplied by.
static NOINLINE void butterfly(complex *x, int m, int32_t quarter) {
    complex *x1 = x + m, *x2 = x1 + m, *x3 = x2 + m;
    int32_t ar = scaled(x->r, quarter), ai = scaled(x->i, quarter);
    int32_t cr = scaled(x2->r, quarter), ci = scaled(x2->i, quarter);
    int32_t br = scaled(x1->r, quarter), bi = scaled(x1->i, quarter);
    int32_t dr = scaled(x3->r, quarter), di = scaled(x3->i, quarter);
    int32_t sr = ar + cr, si = ai + ci, tr = br + dr, ti = bi + di;
    ar -= cr, ai -= ci, br -= dr, bi -= di;
    x->r = sr + tr, x->i = si + ti;
    x2->r = sr - tr, x2->i = si - ti;
    x1->r = ar + bi, x1->i = ai - br;
    x3->r = ar - bi, x3->i = ai + br;
}

INLINE complex turned(complex x, complex w) {
    int32_t r = scaled(x.r, QUARTERED), i = scaled(x.i, QUARTERED);
    return (complex){(r * w.r - i * w.i + HALF) >> 15, (r * w.i + i * w.r + HALF) >> 15};
}

// The same of a, b w1, c w2, d w3.
static NOINLINE void turned_butterfly(complex *x, int m, const complex *w, int k) {
    complex *x1 = x + m, *x2 = x1 + m, *x3 = x2 + m;
    complex b = turned(*x1, w[k]), c = turned(*x2, w[2 * k]), d = turned(*x3, w[3 * k]);
    int32_t ar = scaled(x->r, QUARTERED), ai = scaled(x->i, QUARTERED);
    int32_t sr = ar + c.r, si = ai + c.i, tr = b.r + d.r, ti = b.i + d.i;
    int32_t br = b.r - d.r, bi = b.i - d.i;
    ar -= c.r, ai -= c.i;
    x->r = sr + tr, x->i = si + ti;
    x2->r = sr - tr, x2->i = si - ti;
    x1->r = ar + bi, x1->i = ai - br;
    x3->r = ar - bi, x3->i = ai + br;
}

// x: the points at digit-reversed places, still to be shifted left so that the largest one fills 16 bits.
// A twiddle of 1 is 32767 / 2^15, which rounds a quarter of a 16-bit number to itself: no multiplication.
static void transform(complex *x, const complex *w, int shift) {
    for (complex *p = x; p < x + POINTS; p += 4) {
        butterfly(p, 1, QUARTERED << shift);
    }
    for (int m = 4; m < POINTS; m *= 4) {
        for (complex *p = x; p < x + POINTS; p += 4 * m) {
            butterfly(p, m, QUARTERED);
        }
        for (int k = 1; k < m; k++) {
            for (complex *p = x + k; p < x + POINTS; p += 4 * m) {
                turned_butterfly(p, m, w, k * (POINTS / 4 / m));
            }
        }
    }
}

INLINE uint32_t energy(int32_t r, int32_t i) {
    r >>= 1, i >>= 1;
    return r * r + i * i;
}

// The complex spectrum -> the energies of the real one's bins 1 to 255, in place.
static void energies(state *s, const complex *w) {
    for (int k = 1; k <= POINTS / 2; k++, w++) {
        complex a = s->x[k], b = s->x[POINTS - k];
        int32_t ar = scaled(a.r, HALVED), ai = scaled(a.i, HALVED);
        int32_t br = scaled(b.r, HALVED), bi = scaled((int16_t)-b.i, HALVED);
        int32_t r = ar - br, i = ai - bi;
        ar += br, ai += bi;
        int32_t tr = (int16_t)((r * w->r - i * w->i + HALF) >> 15), ti = (int16_t)((r * w->i + i * w->r + HALF) >> 15);
        s->energies[k] = energy(ar + tr, ai + ti);
        s->energies[POINTS - k] = energy(ar - tr, ti - ai);
    }
}

#endif
