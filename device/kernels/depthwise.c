// y[r, c, o] = requantize(bias[o] + sum x[r*sy - py + i*dy, c*sx - px + j*dx, o*ic/oc] * w[o, i, j])
// x [ih][iw][ic] int8; y [oh][ow][oc] int8; w planar [oc][kh*kw] int8; bias with the input's zero point folded in, so a
// tap outside the image reads zi. Four channels at a time, as the quant blocks lie.
// Cannot fail: check() ran at load.
#include "whit.h"

static int32_t tap_sum(const depthwise_step *s, const int8_t *x, const int8_t *w, int iy, int x0) {
    int32_t sum = 0;
    for (int i = 0; i < s->kh; i++, iy += s->dy) {
        for (int j = 0, ix = x0; j < s->kw; j++, ix += s->dx) {
            int inside = (unsigned)iy < s->ih && (unsigned)ix < s->iw;
            sum += *w++ * (inside ? x[((size_t)iy * s->iw + ix) * s->ic] : s->zi);
        }
    }
    return sum;
}

static void depthwise(const depthwise_step *s, const uint8_t *weights, uint8_t *arena) {
#ifdef DEPTHWISE_FAST
    if (s->flags & BOUNDED && DEPTHWISE_FAST(s, weights, arena)) {
        return;
    }
#endif
    const int8_t *x = (const int8_t *)arena + s->x;
    int8_t *y = (int8_t *)arena + s->y;
    int taps = s->kh * s->kw, multiplier = 0;
    for (int n = s->oc; n > 0; n -= s->ic) { // oc / ic, and not every core divides
        multiplier++;
    }
    for (int r = 0; r < s->oh; r++) {
        for (int c = 0; c < s->ow; c++, y += s->oc) {
            const int8_t *w = (const int8_t *)weights + s->w;
            const quant *q = quant_at(weights, s->q);
            const int8_t *from = x;
            int share = 0; // output channels that have read the present input channel
            for (int o = 0; o < s->oc; o += 4, q++) {
                int32_t acc[4];
                for (int i = 0; i < 4 && i < s->oc - o; i++, w += taps) {
                    acc[i] = tap_sum(s, from, w, r * s->sy - s->py, c * s->sx - s->px);
                    if (++share == multiplier) {
                        share = 0;
                        from++;
                    }
                }
                finish(acc, q, s->oc - o, y + o, s->zo, s->lo, s->hi);
            }
        }
    }
}
