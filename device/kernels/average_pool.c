// y[r, c, k] = clamp(sum / count), over the part of the window inside the image, ties away from zero
// x [ih][iw][c] int8; y [oh][ow][c] int8. Cannot fail: check() ran at load, and no window misses the image.
#include "pool.h"

// sum / count to nearest, ties away from zero. The quotient of int8 values has eight bits, which come one by one: not
// every core divides.
static int mean_of(int32_t sum, int32_t count) {
    int32_t rest = (sum < 0 ? -sum : sum) + count / 2, mean = 0;
    for (int bit = 7; bit >= 0; bit--) {
        if (rest >= count << bit) {
            rest -= count << bit;
            mean += 1 << bit;
        }
    }
    return sum < 0 ? -mean : mean;
}

static void average_pool(const average_pool_step *s, const uint8_t *weights, uint8_t *arena) {
#ifdef AVERAGE_POOL_FAST
    if (AVERAGE_POOL_FAST(s, weights, arena)) {
        return;
    }
#endif
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
                *y++ = clamp(mean_of(sum, count), s->lo, s->hi);
            }
        }
    }
    (void)weights;
}
