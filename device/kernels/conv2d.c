// y[r, c, o] = requantize(bias[o] + sum x[r*sy - py + i*dy, c*sx - px + j*dx, k] * w[o, i, j, k])
// x [ih][iw][ic] int8; y [oh][ow][oc] int8; w quad blocks [oc/4][K/4][4 o][4 k], K = kh*kw*ic; bias with the input's
// zero point folded in, so a tap outside the image reads zi.
// Scratch: the patches of BLOCK pixels, [BLOCK / GROUP][K padded to 4][GROUP], all there before the first pixel is
// written; behind 40 bytes for each quad of K, int4 weights as bytes. Cannot fail: check() ran at load.
#include "whit.h"

#if PAIRED
typedef int32_t patch_value;
#else
typedef int8_t patch_value;
#endif
enum { PER_VALUE = 1 + PAIRED, STEP = GROUP / PER_VALUE };

// n values of a tap to the patch, the second pixel of a pair on top of the first; from: 0 outside the image.
INLINE patch_value *put(patch_value *out, const int8_t *from, int n, int zi, const int second) {
    typedef int16_t __attribute__((may_alias)) half;
    for (; n >= 4 && from; n -= 4, from += 4, out += 4 * STEP) {
        UNROLL for (int k = 0; k < 4; k++) {
            if (second) {
                ((half *)(out + k * STEP))[1] += from[k];
            } else {
                out[k * STEP] = from[k];
            }
        }
    }
    for (; n > 0; n--, out += STEP) {
        int value = from ? *from++ : zi;
        if (second) {
            ((half *)out)[1] += value;
        } else {
            *out = (patch_value)value;
        }
    }
    return out;
}

// The window of one output pixel.
static PLAIN void gather(const conv2d_step *s, const int8_t *x, int r, int c, patch_value *out, int second) {
    for (int i = 0, iy = r * s->sy - s->py; i < s->kh; i++, iy += s->dy) {
        for (int j = 0, n, ix = c * s->sx - s->px; j < s->kw; j += n, ix += n * s->dx) {
            // Taps that lie side by side, inside the image or outside, go together.
            int inside = (unsigned)iy < s->ih && (unsigned)ix < s->iw;
            n = inside && s->dx == 1 ? s->iw - ix : 1;
            n = n > s->kw - j ? s->kw - j : n;
            const int8_t *from = inside ? x + ((size_t)iy * s->iw + ix) * s->ic : 0;
            if (PAIRED && second) {
                out = put(out, from, n * s->ic, s->zi, 1);
            } else {
                out = put(out, from, n * s->ic, s->zi, 0);
            }
        }
    }
}

// The sums of four channels and n pixels.
INLINE void plain_sums(const patch_value *x, const int8_t *w, int quads, int32_t *sums, const int n) {
    int32_t a[4][GROUP];
    EACH for (int i = 0; i < 4; i++) {
        EACH for (int p = 0; p < n; p++) {
            a[i][p] = 0;
        }
    }
    for (const int8_t *end = w + 16 * quads; w != end; w += 16, x += 4 * STEP) {
        UNROLL for (int k = 0; k < 4; k++) {
            EACH for (int i = 0; i < 4; i++) {
                EACH for (int p = 0; p < n; p++) {
                    a[i][p] += w[4 * i + k] * x[k * STEP + p];
                }
            }
        }
    }
    EACH for (int i = 0; i < 4; i++) {
        EACH for (int p = 0; p < n; p++) {
            sums[i * BLOCK + p] = a[i][p];
        }
    }
}

static PLAIN void pixel_sums(const patch_value *x, const int8_t *w, int quads, int32_t *sums) {
    plain_sums(x, w, quads, sums, 1);
}

#ifndef SMALL
// Two pixels for one multiply. The lower halves of two products add up without leaving 16 bits, as no weight is -128:
// what is above, rounded, is the second pixel's part, and the sum of all less those parts is the first pixel's.
INLINE void paired_sums(const patch_value *x, const int8_t *w, int quads, int32_t *sums) {
    enum { CHANNELS = GROUP }; // at once
    uint32_t both[CHANNELS][GROUP / 2], second[CHANNELS][GROUP / 2];
    EACH for (int i = 0; i < CHANNELS; i++) {
        EACH for (int p = 0; p < GROUP / 2; p++) {
            both[i][p] = second[i][p] = 0;
        }
    }
    for (const int8_t *end = w + 16 * quads; w != end; w += 16, x += 4 * STEP) {
        UNROLL for (int k = 0; k < 4; k += 2) {
            EACH for (int i = 0; i < CHANNELS; i++) {
                EACH for (int p = 0; p < GROUP / 2; p++) {
                    int32_t two = x[k * STEP + p] * w[4 * i + k] + x[(k + 1) * STEP + p] * w[4 * i + k + 1];
                    both[i][p] += two;
                    second[i][p] += (two + (1 << 15)) >> 16;
                }
            }
        }
    }
    EACH for (int i = 0; i < CHANNELS; i++) {
        EACH for (int p = 0; p < GROUP / 2; p++) {
            sums[i * BLOCK + 2 * p] = both[i][p] - (second[i][p] << 16);
            sums[i * BLOCK + 2 * p + 1] = second[i][p];
        }
    }
}

// The sums of four channels and GROUP pixels.
static PLAIN void group_sums(const patch_value *x, const int8_t *w, int quads, int32_t *sums) {
    if (!PAIRED) {
        plain_sums(x, w, quads, sums, GROUP);
        return;
    }
    for (int i = 0; i < 4; i += GROUP) {
        paired_sums(x, w + 4 * i, quads, sums + i * BLOCK);
    }
}
#endif

static void conv2d(const conv2d_step *s, const uint8_t *weights, uint8_t *arena) {
    int quads = (s->kh * s->kw * s->ic + 3) / 4, bounded = s->flags & BOUNDED;
    const uint8_t *blocks = weights + s->w;
    if (s->flags & INT4) {
        blocks = unpack((uint32_t *)(arena + s->s) + 10 * quads, blocks, (s->oc + 3) / 4 * 2 * quads, CONV2D_SIGNS);
    }
#ifdef CONV2D_FAST
    if (bounded && CONV2D_FAST(s, weights, arena, blocks)) {
        return;
    }
#endif
    const int8_t *x = (const int8_t *)arena + s->x;
    int8_t *y = (int8_t *)arena + s->y;
    patch_value *patches = (patch_value *)(arena + s->s);
    output to = output_of(bounded, s->zo, s->lo, s->hi, s->oc);
    for (int left = s->oh * s->ow, r = 0, c = 0, n; left > 0; left -= n) {
        n = left >= BLOCK ? BLOCK : left >= GROUP ? GROUP : 1;
        if (PAIRED && !bounded) {
            n = 1;
        }
        for (int p = 0; p < n; p++) {
            int group = p / GROUP, at = p % GROUP;
            gather(s, x, r, c, patches + group * quads * 4 * STEP + at / PER_VALUE, at % PER_VALUE);
            if (++c == s->ow) {
                c = 0;
                r++;
            }
        }
        const int8_t *w = (const int8_t *)blocks;
        const quant *q = quant_at(weights, s->q);
        for (int o = 0; o < s->oc; o += 4, q++, w += 16 * quads) {
            int32_t sums[4 * BLOCK];
            if (n == 1) {
                pixel_sums(patches, w, quads, sums);
            }
#ifndef SMALL
            const patch_value *group = patches;
            for (int p = 0; p + GROUP <= n; p += GROUP, group += quads * 4 * STEP) {
                group_sums(group, w, quads, sums + p);
            }
#endif
            finish(sums, n, q, 0, s->oc - o < 4 ? s->oc - o : 4, &to, y + o);
        }
        y += n * s->oc;
    }
}
