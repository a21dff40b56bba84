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

// The place of a complex point, counted in base 4, with its digits in reverse: -> that of the point behind.
INLINE unsigned following(unsigned place) {
    unsigned digit = POINTS / 4;
    while (place >= 3 * digit && digit) {
        place -= 3 * digit; // place < 4 * digit, as all digits above are 0 by now
        digit >>= 2;
    }
    return place + digit;
}

// The ring times the window to the points, pairs of samples as complex numbers; -> how far they can be shifted left.
static int windowed(const section *p, const int16_t *c, state *s, const int16_t *ring) {
    int16_t *x = (int16_t *)s->x;
    uint32_t all = 0;
    unsigned place = 0, k = s->at;
    for (int i = 0; i < 2 * POINTS; i++) {
        int32_t v = 0;
        if (i < p->window) {
            v = (ring[k] * c[i]) >> 12;
            all |= v < 0 ? -v : v;
            if (++k == p->window) {
                k = 0;
            }
        }
        x[2 * place + (i & 1)] = v;
        if (i & 1) {
            place = following(place);
        }
    }
    // The reference takes -32768 for no number to leave room for, and where others do not keep it from shifting, it
    // is shifted out.
    int shift = 15 - bits(all & 0x7FFF);
    if (all >> 15 && shift) {
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
    unsigned at = s->at;
    int even = !((uintptr_t)samples & 1);
    for (uintptr_t i = 0; i < n; i++, samples += 2) {
        ring[at] = even ? *(const int16_t *)samples : samples[0] | samples[1] << 8;
        if (++at == p->window) {
            at = 0;
        }
    }
    s->at = at;
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
