// y[r, c, k] = clamp(max x), over the part of the window inside the image
// x [ih][iw][c] int8; y [oh][ow][c] int8. Cannot fail: check() ran at load.
#include "pool.h"

static void max_pool(const max_pool_step *s, const uint8_t *weights, uint8_t *arena) {
    const int8_t *x = (const int8_t *)arena + s->x;
    int8_t *y = (int8_t *)arena + s->y;
    for (int r = 0; r < s->oh; r++) {
        for (int c = 0; c < s->ow; c++) {
            span v = cut(r * s->sy - s->py, s->kh, s->ih), h = cut(c * s->sx - s->px, s->kw, s->iw);
            for (int k = 0; k < s->c; k++) {
                int best = s->lo;
                for (int i = v.start; i < v.end; i++) {
                    for (int j = h.start; j < h.end; j++) {
                        int value = x[((size_t)i * s->iw + j) * s->c + k];
                        best = value > best ? value : best;
                    }
                }
                *y++ = clamp(best, s->lo, s->hi);
            }
        }
    }
    (void)weights;
}
