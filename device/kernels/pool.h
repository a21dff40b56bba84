// What the pools and mean share: windows, and sums over them.
#ifndef WHIT_POOL_H
#define WHIT_POOL_H
#include "whit.h"

// The part of a window that lies inside the image.
typedef struct {
    const int8_t *x;   // its first value
    int rows, columns; // its size
    int c, row;        // from a pixel to the next, from a row to the next
} window;

typedef struct {
    int start, end;
} span;

// The part of the window [start, start + size) inside [0, limit).
static inline span cut(int start, int size, int limit) {
    span s = {start < 0 ? 0 : start, start + size > limit ? limit : start + size};
    return s;
}

// The window of output pixel (r, c); of average_pool as of max_pool, whose records are the same.
static COLD window window_at(const average_pool_step *s, const int8_t *x, int r, int c) {
    span v = cut(r * s->sy - s->py, s->kh, s->ih), h = cut(c * s->sx - s->px, s->kw, s->iw);
    int row = s->iw * s->c;
    window w = {x + (size_t)v.start * row + (size_t)h.start * s->c, v.end - v.start, h.end - h.start, s->c, row};
    return w;
}

INLINE void add_up(const window *w, int k, int32_t *sums, const int n) {
    const int8_t *row = w->x + k;
    int32_t a[4] = {0, 0, 0, 0};
    for (int i = w->rows; i > 0; i--, row += w->row) {
        const int8_t *x = row;
        for (int j = w->columns; j > 0; j--, x += w->c) {
            EACH for (int m = 0; m < n; m++) {
                a[m] += x[m];
            }
        }
    }
    EACH for (int m = 0; m < n; m++) {
        sums[m] = a[m];
    }
}

// The sums of channel k and, where they are worth it, the next three; gives how many.
static PLAIN int window_sums(const window *w, int k, int32_t *sums) {
    if (BLOCK > 1 && w->c - k >= 4) {
        add_up(w, k, sums, 4);
        return 4;
    }
    add_up(w, k, sums, 1);
    return 1;
}

#endif
