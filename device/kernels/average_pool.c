// y[r, c, k] = clamp(sum / count), over the part of the window inside the image, ties away from zero
// x [ih][iw][c] int8; y [oh][ow][c] int8. Cannot fail: check() ran at load, and no window misses the image.
#include "pool.h"

// sum / count to nearest, ties away from zero.
static COLD int mean_of(int32_t sum, int32_t count) {
    int32_t rest = (sum < 0 ? -sum : sum) + count / 2;
#if defined(__ARM_ARCH) && __ARM_ARCH == 6
    // No division: the quotient of int8 values has eight bits, which come one by one.
    int32_t mean = 0;
    for (int bit = 7; bit >= 0; bit--) {
        if (rest >= count << bit) {
            rest -= count << bit;
            mean += 1 << bit;
        }
    }
#else
    int32_t mean = rest / count;
#endif
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
            window w = window_at(s, x, r, c);
            for (int k = 0, n; k < s->c; k += n) {
                int32_t sums[4];
                n = window_sums(&w, k, sums);
                for (int i = 0; i < n; i++) {
                    *y++ = clamp(mean_of(sums[i], w.rows * w.columns), s->lo, s->hi);
                }
            }
        }
    }
    (void)weights;
}
