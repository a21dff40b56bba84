// y[r, c, k] = clamp(sum / count), over the part of the window inside the image, ties away from zero
// x [ih][iw][c] int8; y [oh][ow][c] int8. Cannot fail: check() ran at load, and no window misses the image.
#include "pool.h"

static void average_pool(const average_pool_step *s, const uint8_t *weights, uint8_t *arena) {
    const int8_t *x = (const int8_t *)arena + s->x;
    int8_t *y = (int8_t *)arena + s->y;
    for (int r = 0; r < s->oh; r++) {
        for (int c = 0; c < s->ow; c++) {
            span v = cut(r * s->sy - s->py, s->kh, s->ih), h = cut(c * s->sx - s->px, s->kw, s->iw);
            int32_t count = (v.end - v.start) * (h.end - h.start);
            for (int k = 0; k < s->c; k++) {
                int32_t sum = 0;
                for (int i = v.start; i < v.end; i++) {
                    for (int j = h.start; j < h.end; j++) {
                        sum += x[((size_t)i * s->iw + j) * s->c + k];
                    }
                }
                sum += sum > 0 ? count / 2 : -(count / 2);
                *y++ = clamp(sum / count, s->lo, s->hi);
            }
        }
    }
    (void)weights;
}
