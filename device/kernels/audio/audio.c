// The audio front end: samples to features, as TensorFlow's microfrontend computes them, value for value.
//
//     next = feed(section, state, features, data, samples, first, last)
//
// Takes samples from first on until a frame is whole or none are left; next = 2 * (behind the last one taken) + (a
// frame is whole, and its features and bytes are written). section [in]: FRONTEND, aligned to 4. state [in, out]: of
// the bytes that frontend.h says, aligned to 4, zeros but for `left`. samples [in]: int16.
// Cannot fail: whit.audio has checked the section and the sizes. Flat code as ../native.c is.
#include "../interpreter.h"
#include "channels.h"
#include "fft.h"

// The order of the tables in a section, each filled up to a multiple of 4 bytes.
INLINE tables tables_of(const section *p) {
    tables t;
    const uint8_t *at = (const uint8_t *)(p + 1);
    t.window = (const int16_t *)at;
    at += (2 * p->window + 3) & ~3;
    t.twiddles = (const complex *)at;
    at += 4 * POINTS * 3 / 4;
    t.real_twiddles = (const complex *)at;
    at += 4 * POINTS / 2;
    t.widths = at;
    at += (p->channels + 1 + 3) & ~3;
    t.weights = (const int16_t *)at;
    at += (2 * (p->end - p->first) + 3) & ~3;
    t.gains = (const int16_t *)at;
    at += p->flags & GAIN ? 252 : 0;
    t.logarithms = (const uint16_t *)at;
    return t;
}

enum { EIGHT = 8 };

// The ring times the window to the points, pairs of samples as complex numbers; -> how far they can be shifted left.
// Eight samples at a time are four points whose places, their numbers' digits to the base 4 in reverse, are 64 apart.
static int windowed(const section *p, const int16_t *c, state *s, const int16_t *ring) {
    const int16_t *from = ring + s->at, *end = ring + p->window;
    uint32_t all = 0;
    int left = p->window;
    for (int j = 0; j < POINTS / 4; j++, c += EIGHT) {
        uint32_t copy[EIGHT / 2];
        const int16_t *x = from;
        if (left >= EIGHT && end - from >= EIGHT && !((uintptr_t)from & 2)) {
            from = end - from == EIGHT ? ring : from + EIGHT;
            left -= EIGHT;
        } else { // near an end, or at odd places
            int16_t *to = (int16_t *)copy;
            for (int i = 0; i < EIGHT; i++) {
                to[i] = 0;
                if (left) {
                    to[i] = *from++;
                    left--;
                    from = from == end ? ring : from;
                }
            }
            x = to;
        }
        complex *y = s->x + (j << 4 & 48) + (j & 12) + (j >> 4);
        const complex *samples = (const complex *)x, *weights = (const complex *)c;
#pragma unroll
        for (int i = 0; i < EIGHT / 2; i++) {
            all |= weighted(samples + i, weights + i, y + i * (POINTS / 4));
        }
    }
    // The reference takes -32768 for no number to leave room for, and where others do not keep it from shifting, it
    // is shifted out.
    all |= all >> 16;
    int shift = 15 - bits(all & 0x7FFF);
    if (all & 0x8000 && shift) {
        int16_t *x = (int16_t *)s->x;
        for (int i = 0; i < 2 * POINTS; i++) {
            x[i] = x[i] == -32768 ? 0 : x[i];
        }
    }
    return shift;
}

// Up to n samples from `samples` on; how many were taken.
INLINE uintptr_t take(const section *p, state *s, int16_t *ring, const uint8_t *samples, uintptr_t n) {
    if (n > s->left) {
        n = s->left;
    }
    s->left -= n;
    int16_t *to = ring + s->at, *end = ring + p->window;
    for (uintptr_t left = n; left;) {
        uintptr_t run = left < (uintptr_t)(end - to) ? left : (uintptr_t)(end - to);
        left -= run;
        if ((uintptr_t)samples & 1) {
            for (; run; run--, samples += 2) {
                *to++ = samples[0] | samples[1] << 8;
            }
        } else {
            for (; run; run--, samples += 2) {
                *to++ = *(const int16_t *)samples;
            }
        }
        to = to == end ? ring : to;
    }
    s->at = to - ring;
    return n;
}

static uintptr_t feed(
    const section *p, state *s, uint16_t *out, uint8_t *data, const uint8_t *samples, uintptr_t first, uintptr_t last
) {
    int16_t *ring = (int16_t *)(s->estimates + p->channels);
    first += take(p, s, ring, samples + 2 * first, last - first);
    if (s->left) {
        return first << 1;
    }
    tables t = tables_of(p);
    int shift = windowed(p, t.window, s, ring);
    transform(s->x, t.twiddles, shift);
    energies(s, t.real_twiddles);
    features(p, &t, s, out, data, shift);
    s->left = p->step;
    return first << 1 | 1;
}

__attribute__((section(".text.entry"), used)) object entry(function *self, size_t n_args, size_t n_kw, object *args) {
    void **table = self->context->constants[0];
    int (*get_buffer)(object, buffer *, uintptr_t) = (int (*)(object, buffer *, uintptr_t))table[GET_BUFFER];
    buffer b[5];
    if (n_args != 7 || n_kw != 0) {
        return table[0]; // whit.audio's own call always has seven
    }
    for (int i = 0; i < 5; i++) {
        get_buffer(args[i], &b[i], (i - 1u < 3 ? READ | WRITE : READ) | OR_RAISE);
    }
    uintptr_t y = feed(b[0].data, b[1].data, b[2].data, b[3].data, b[4].data, small_int(args[5]), small_int(args[6]));
    return (object)(y << 1 | 1);
}
