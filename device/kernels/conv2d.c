// y[r, c, o] = requantize(bias[o] + sum x[r*sy - py + i*dy, c*sx - px + j*dx, k] * w[o, i, j, k])
// x [ih][iw][ic] int8; y [oh][ow][oc] int8; w quad blocks [oc/4][K/4][4 o][4 k], K = kh*kw*ic; bias with the input's
// zero point folded in, so a tap outside the image reads zi. Scratch: one patch of K bytes, padded to 4.
// Cannot fail: check() ran at load.
#include "whit.h"

static void patch(const conv2d_step *s, const int8_t *x, int r, int c, int8_t *out) {
    int n = s->ic;
    for (int i = 0, iy = r * s->sy - s->py; i < s->kh; i++, iy += s->dy) {
        for (int j = 0, ix = c * s->sx - s->px; j < s->kw; j++, ix += s->dx) {
            if ((unsigned)iy < s->ih && (unsigned)ix < s->iw) {
                const int8_t *from = x + ((size_t)iy * s->iw + ix) * n;
                for (int k = 0; k < n; k++) {
                    *out++ = from[k];
                }
            } else {
                for (int k = 0; k < n; k++) {
                    *out++ = s->zi;
                }
            }
        }
    }
    while ((uintptr_t)out & 3) {
        *out++ = 0;
    }
}

static void conv2d(const conv2d_step *s, const uint8_t *weights, uint8_t *arena) {
#ifdef CONV2D_FAST
    if (s->flags & BOUNDED && CONV2D_FAST(s, weights, arena)) {
        return;
    }
#endif
    const int8_t *x = (const int8_t *)arena + s->x;
    int8_t *y = (int8_t *)arena + s->y;
    int groups = (s->kh * s->kw * s->ic + 3) / 4;
    // A pointwise layer without stride or padding reads its patches where they lie.
    int direct = (s->kh | s->kw | s->sy | s->sx) == 1 && (s->py | s->px) == 0 && s->ic % 4 == 0 && s->oh <= s->ih && s->ow <= s->iw;
    for (int r = 0; r < s->oh; r++) {
        for (int c = 0; c < s->ow; c++, y += s->oc) {
            const int8_t *p = (const int8_t *)arena + s->s;
            if (direct) {
                p = x + ((size_t)r * s->iw + c) * s->ic;
            } else {
                patch(s, x, r, c, (int8_t *)arena + s->s);
            }
            const int8_t *w = (const int8_t *)weights + s->w;
            const quant *q = quant_at(weights, s->q);
            for (int o = 0; o < s->oc; o += 4, q++) {
                int32_t acc[4] = {0, 0, 0, 0};
                for (int g = 0; g < groups; g++, w += 16) {
                    for (int k = 0; k < 4; k++) {
                        int v = p[4 * g + k];
                        acc[0] += v * w[k];
                        acc[1] += v * w[k + 4];
                        acc[2] += v * w[k + 8];
                        acc[3] += v * w[k + 12];
                    }
                }
                finish(acc, q, s->oc - o, y + o, s->zo, s->lo, s->hi);
            }
        }
    }
}
