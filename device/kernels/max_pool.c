// y[r, c, k] = clamp(max x), over the part of the window inside the image
// x [ih][iw][c] int8; y [oh][ow][c] int8. Cannot fail: check() ran at load.
#include "pool.h"

// The largest of n channels from k on, and lo.
INLINE void window_max(const window *w, int k, int lo, int *best, const int n) {
    const int8_t *row = w->x + k;
    int a[4] = {lo, lo, lo, lo};
    for (int i = w->rows; i > 0; i--, row += w->row) {
        const int8_t *x = row;
        for (int j = w->columns; j > 0; j--, x += w->c) {
            EACH for (int m = 0; m < n; m++) {
                a[m] = x[m] > a[m] ? x[m] : a[m];
            }
        }
    }
    EACH for (int m = 0; m < n; m++) {
        best[m] = a[m];
    }
}

static COLD void max_pool(const max_pool_step *s, const uint8_t *weights, uint8_t *arena) {
    const int8_t *x = (const int8_t *)arena + s->x;
    int8_t *y = (int8_t *)arena + s->y;
    for (int r = 0; r < s->oh; r++) {
        for (int c = 0; c < s->ow; c++) {
            window w = window_at((const average_pool_step *)s, x, r, c);
            for (int k = 0, n; k < s->c; k += n) {
                int best[4];
                n = BLOCK > 1 && s->c - k >= 4 ? 4 : 1;
                if (n == 4) {
                    window_max(&w, k, s->lo, best, 4);
                } else {
                    window_max(&w, k, s->lo, best, 1);
                }
                for (int i = 0; i < n; i++) {
                    *y++ = (int8_t)(best[i] > s->hi ? s->hi : best[i]);
                }
            }
        }
    }
    (void)weights;
}
