// From the energies to the features: mel slopes, square root, noise reduction, gain control, logarithm.
#ifndef WHIT_CHANNELS_H
#define WHIT_CHANNELS_H
#include "root.h"

// A mel slope: sum of w * e and sum of (4096 - w) * e over its bins, as the accumulators of two channels.
typedef struct {
    uint64_t up, down;
} slope;

// energies, each < 2^31, and weights of the next slope; both move on.
static slope next_slope(const uint32_t **energies, const int16_t **weights, int width) {
    uint64_t weighted = 0, whole = 0;
    const uint32_t *e = *energies;
    const int16_t *w = *weights;
    *energies += width;
    *weights += width;
#ifdef WIDE_PRODUCTS
    for (; width; width--, e++, w++) {
        weighted += (uint64_t)*e * (uint32_t)*w;
        whole += *e;
    }
#else
    while (width) { // by halves, of which so many do not leave 32 bits
        uint32_t low = 0, high = 0, low_whole = 0, high_whole = 0;
        int n = width < 16 ? width : 16;
        width -= n;
        for (; n; n--, e++, w++) {
            low += (*e & 0xFFFF) * *w;
            high += (*e >> 16) * *w;
            low_whole += *e & 0xFFFF;
            high_whole += *e >> 16;
        }
        weighted += ((uint64_t)high << 16) + low;
        whole += ((uint64_t)high_whole << 16) + low_whole;
    }
#endif
    return (slope){weighted, (whole << 12) - weighted};
}

// value * a / 2^14, a at most 2^14.
INLINE uint32_t fraction(uint32_t value, uint32_t a) {
    return ((value >> 16) * a << 2) + ((value & 0xFFFF) * a >> 14);
}

// What is left of a channel's signal behind its slowly moving estimate of the noise.
INLINE uint32_t without_noise(const section *p, uint32_t signal, uint32_t *estimate, uint32_t smoothing) {
    uint32_t scaled = signal << p->smoothing_bits, rest = (1 << 14) - smoothing, noise = *estimate;
    uint32_t high = (scaled >> 16) * smoothing + (noise >> 16) * rest;
    uint32_t low = (scaled & 0xFFFF) * smoothing + (noise & 0xFFFF) * rest;
    *estimate = noise = (high << 2) + (low >> 14);
    uint32_t least = fraction(signal, p->least), left = (scaled - (noise < scaled ? noise : scaled)) >> p->smoothing_bits;
    return left > least ? left : least;
}

// The gain for this estimate: parabolas over the powers of two.
INLINE uint32_t gain(uint32_t x, const int16_t *table) {
    if (x <= 2) {
        return table[x];
    }
    int octave = bits(x);
    const int16_t *t = table + 4 * octave - 6;
    int32_t at = (octave < 11 ? x << (11 - octave) : x >> (octave - 11)) & 0x3FF;
    return (int16_t)((((((t[2] * at) >> 5) + t[1] * 32) * at + (1 << 14)) >> 15) + t[0]);
}

INLINE uint32_t gained(uint32_t signal, uint32_t gain, int shift) {
    uint64_t all = product(signal, gain);
    uint32_t x = (uint32_t)all >> shift | (uint32_t)(all >> 32) << 1 << (31 - shift);
    return x < 2 << 12 ? x * x >> 20 : (x >> 6) - (1 << 6);
}

// The natural logarithm times 2^scale: of the power of two, and from a table with straight lines between.
INLINE uint32_t logarithm(uint32_t x, const uint16_t *table, int scale) {
    enum { LN2 = 45426, HALF = 1 << 15 }; // by 2^16
    if (x <= 1) {
        return 0;
    }
    int power = bits(x) - 1;
    uint32_t at = x << (31 - power) << 1 >> 16; // behind the point
    const uint16_t *t = table + (at >> 9);
    at += t[0] + (((t[1] - t[0]) * (int32_t)(at & 511)) >> 16);
    return (((LN2 * power + ((LN2 * at + HALF) >> 16)) << scale) + HALF) >> 16;
}

static NOINLINE void features(const section *p, const tables *t, state *s, uint16_t *out, uint8_t *data, int shift) {
    const uint32_t *energies = s->energies + p->first;
    const int16_t *weights = t->weights;
    uint64_t down = next_slope(&energies, &weights, t->widths[0]).down;
    for (int k = 0; k < p->channels; k++) {
        slope next = next_slope(&energies, &weights, t->widths[k + 1]);
        uint32_t v = root(down + next.up) >> shift;
        down = next.down;
        v = without_noise(p, v, &s->estimates[k], p->smoothing[k & 1]);
        if (p->flags & GAIN) {
            v = gained(v, gain(s->estimates[k], t->gains), p->gain_shift);
        }
        if (p->flags & LOGARITHM) {
            v = logarithm(v << p->correction, t->logarithms, p->log_shift);
        }
        v = v < 0xFFFF ? v : 0xFFFF;
        out[k] = v;
        v = ((v < p->limit ? v : p->limit) * p->multiplier + p->rounding) >> p->shift;
        data[k] = (v < 255 ? v : 255) ^ (p->flags & UINT8 ? 0 : 0x80);
    }
}

#endif
