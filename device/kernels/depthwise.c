// y[r, c, o] = requantize(bias[o] + sum x[r*sy - py + i*dy, c*sx - px + j*dx, o*ic/oc] * w[o, i, j])
// x [ih][iw][ic] int8; y [oh][ow][oc] int8; w planar [oc][kh*kw] int8; bias with the input's zero point folded in, so a
// tap outside the image reads zi.
// With oc == ic a channel at a time goes through scratch: its padded image, or a band of as many of its rows as go
// there. Nothing of a band is written before all of it has been gathered, so y may lie over x. Otherwise there is no
// scratch, and the image is read where it lies. Cannot fail: check() ran at load.
#include "whit.h"

// One channel to be read: in scratch, where no window leaves it, or in the image.
typedef struct {
    const int8_t *x;
    int height, width, row, step; // row, step: from a row or column to the next
    int y0, x0;                   // where the first window starts
} view;

// Rows first ... last - 1 of a band whose row 0 is row iy of the image; x is the channel's first value.
static PLAIN void gather_rows(const depthwise_step *s, int8_t *band, int row, const int8_t *x, int iy, int first,
                              int last) {
    int ic = s->ic, inside = (s->ow - 1) * s->sx + (s->kw - 1) * s->dx + 1 - s->px;
    inside = inside < s->iw ? inside : s->iw;
    for (; first < last; first++) {
        int8_t *to = band + first * row;
        if ((unsigned)(iy + first) >= s->ih) {
            for (int i = 0; i < row; i++) {
                to[i] = s->zi;
            }
            continue;
        }
        const int8_t *from = x + (size_t)(iy + first) * s->iw * ic;
        int n = inside;
        to += s->px;
#ifndef SMALL
        for (; n >= 4; n -= 4, to += 4) {
            UNROLL for (int k = 0; k < 4; k++, from += ic) {
                to[k] = *from;
            }
        }
#endif
        for (; n > 0; n--, from += ic) {
            *to++ = *from;
        }
    }
}

// The sum of one window, wherever it starts.
static COLD int32_t window_sum(const depthwise_step *s, const view *v, const int8_t *w, int iy, int ix) {
    int32_t sum = 0;
    int at = iy * v->row + ix * v->step, below = s->dy * v->row, beside = s->dx * v->step;
    for (int i = s->kh; i > 0; i--, iy += s->dy, at += below) {
        unsigned width = (unsigned)iy < (unsigned)v->height ? (unsigned)v->width : 0;
        for (int j = 0, x = ix, tap = at; j < s->kw; j++, x += s->dx, tap += beside) {
            sum += *w++ * ((unsigned)x < width ? v->x[tap] : s->zi);
        }
    }
    return sum;
}

#ifndef SMALL
// The sums of n windows of width 3 in scratch, sx apart.
INLINE void three_sums(const int8_t *x, const int8_t *w, int kh, int below, int32_t *sums, const int n, const int sx) {
    int32_t a[4];
    UNROLL for (int k = 0; k < n; k++) {
        a[k] = 0;
    }
    for (; kh > 0; kh--, x += below, w += 3) {
        UNROLL for (int j = 0; j < 3; j++) {
            UNROLL for (int k = 0; k < n; k++) {
                a[k] += x[k * sx + j] * w[j];
            }
        }
    }
    UNROLL for (int k = 0; k < n; k++) {
        sums[k] = a[k];
    }
}

// Of a row, four at a time: there is room for what is too much, as a row in scratch has some cells to spare.
INLINE void three_row(const int8_t *x, const int8_t *w, int kh, int below, int n, int32_t *sums, const int sx) {
    for (; n >= 3; n -= 4, x += 4 * sx, sums += 4) {
        three_sums(x, w, kh, below, sums, 4, sx);
    }
    for (; n > 0; n--, x += sx, sums++) {
        three_sums(x, w, kh, below, sums, 1, sx);
    }
}

static PLAIN void three_row_1(const int8_t *x, const int8_t *w, int kh, int below, int n, int32_t *sums) {
    three_row(x, w, kh, below, n, sums, 1);
}

static PLAIN void three_row_2(const int8_t *x, const int8_t *w, int kh, int below, int n, int32_t *sums) {
    three_row(x, w, kh, below, n, sums, 2);
}

// Of a row, under any window, four at a time; gives how many.
static PLAIN int any_row(const depthwise_step *s, const int8_t *x, const int8_t *w, int below, int n, int32_t *sums) {
    int sx = s->sx, done = 0;
    for (; n - done >= 4; done += 4, x += 4 * sx) {
        int32_t a0 = 0, a1 = 0, a2 = 0, a3 = 0;
        const int8_t *row = x, *v = w;
        for (int i = s->kh; i > 0; i--, row += below) {
            const int8_t *at = row;
            for (int j = s->kw; j > 0; j--, at += s->dx, v++) {
                a0 += at[0] * *v;
                a1 += at[sx] * *v;
                a2 += at[2 * sx] * *v;
                a3 += at[3 * sx] * *v;
            }
        }
        *sums++ = a0;
        *sums++ = a1;
        *sums++ = a2;
        *sums++ = a3;
    }
    return done;
}
#endif

// The sums of n windows side by side.
INLINE void row_sums(const depthwise_step *s, const view *v, const int8_t *w, int iy, int ix, int n, int32_t *sums) {
    int done = 0;
#ifndef SMALL
    if (s->oc == s->ic) { // in scratch
        const int8_t *x = v->x + iy * v->row + ix;
        int below = s->dy * v->row, three = s->kw == 3 && s->dx == 1;
        if (three && s->sx == 1) {
            three_row_1(x, w, s->kh, below, n, sums);
            return;
        }
        if (three && s->sx == 2) {
            three_row_2(x, w, s->kh, below, n, sums);
            return;
        }
        done = any_row(s, x, w, below, n, sums);
    }
#endif
    for (; done < n; done++) {
        sums[done] = window_sum(s, v, w, iy, ix + done * s->sx);
    }
}

#ifdef SMALL
enum { AT_ONCE = 1 }; // sums that are finished together
#else
enum { AT_ONCE = 16 };
#endif

// `rows` rows of output channel o, from y on.
static PLAIN void output_rows(const depthwise_step *s, const uint8_t *weights, const view *v, int o, int rows,
                              const output *to, int8_t *y) {
    const int8_t *w = (const int8_t *)weights + s->w + (size_t)o * s->kh * s->kw;
    int32_t sums[2 * AT_ONCE + 1]; // and one that three_row() may add
    for (int iy = v->y0, ready = 0; rows > 0; rows--, iy += s->sy) {
        for (int left = s->ow, ix = v->x0, n; left > 0; left -= n, ix += n * s->sx) {
            n = left < AT_ONCE ? left : AT_ONCE;
            row_sums(s, v, w, iy, ix, n, sums + ready);
            ready += n;
            if (ready >= AT_ONCE || (left == n && rows == 1)) {
                finish(sums, ready, quant_at(weights, s->q) + o / 4, o & 3, (o & 3) + 1, to, y);
                y += (size_t)ready * s->oc;
                ready = 0;
            }
        }
    }
}

// As many rows of output to a band as opset.py has scratch for.
static inline int rows_of_band(const depthwise_step *s, int row, int tall) {
#ifdef SMALL
    return 1;
#endif
    int room = 2 * row * ((s->oh - 1) * s->sy + tall + 1), least = 4 * row * (tall + 1), rows = 1;
    room = room < PLANE ? room : PLANE;
    room = room > least ? room : least;
    while (rows < s->oh && row * (rows * s->sy + tall) <= room) {
        rows++;
    }
    return rows;
}

// The one window that is the whole image, as over the last frames of a stream: each channel where it lies.
static PLAIN void whole(const depthwise_step *s, const uint8_t *weights, const int8_t *x, const output *to, int8_t *y) {
    const int8_t *w = (const int8_t *)weights + s->w;
    const quant *q = quant_at(weights, s->q);
    int taps = s->kh * s->kw, ic = s->ic;
    for (int left = ic, n; left > 0; left -= n, q++, y += n) {
        int32_t sums[4 * BLOCK];
        n = left < 4 ? left : 4;
        for (int i = 0; i < n; i++) {
            const int8_t *from = x++;
            int32_t sum = 0;
            for (const int8_t *end = w + taps; w != end; from += ic) {
                sum += *w++ * *from;
            }
            sums[i * BLOCK] = sum;
        }
        finish(sums, 1, q, 0, n, to, y);
    }
}

static void depthwise(const depthwise_step *s, const uint8_t *weights, uint8_t *arena) {
    const int8_t *x = (const int8_t *)arena + s->x;
    int8_t *y = (int8_t *)arena + s->y, *band = (int8_t *)arena + s->s;
    output to = output_of(s->flags & BOUNDED, s->zo, s->lo, s->hi, s->oc);
    if (s->oh * s->ow == 1 && s->oc == s->ic && s->ih == s->kh && s->iw == s->kw && s->py + s->px == 0 &&
        s->dy * s->dx == 1) {
        whole(s, weights, x, &to, y);
        return;
    }
#ifdef DEPTHWISE_FAST
    if (s->flags & BOUNDED && DEPTHWISE_FAST(s, weights, arena)) {
        return;
    }
#endif
    if (s->oc != s->ic) {
        view v = {x, s->ih, s->iw, s->iw * s->ic, s->ic, -s->py, -s->px};
        for (int o = 0, share = s->ic; o < s->oc; o++, y++) {
            output_rows(s, weights, &v, o, s->oh, &to, y);
            if ((share += s->ic) > s->oc) { // not every core divides
                share = s->ic;
                v.x++;
            }
        }
        return;
    }
    int tall = (s->kh - 1) * s->dy + 1, row = ((s->ow - 1) * s->sx + (s->kw - 1) * s->dx + 8) & ~3;
    int rows = rows_of_band(s, row, tall), step = rows * s->sy; // rows of input from a band to the next
    view v = {band, step - s->sy + tall, row, row, 1, 0, 0};
    for (int i = 0; i < row * v.height; i++) {
        band[i] = s->zi; // what is beside the image stays so
    }
    for (int o = 0; o < s->oc; o++, x++, y++) {
        int8_t *out = y;
        for (int r = 0, have = 0; r < s->oh; r += rows, out += (size_t)rows * s->ow * s->oc) {
            int n = s->oh - r < rows ? s->oh - r : rows;
            int above = r * s->sy - s->py, last = (n - 1) * s->sy + tall;
            if (AT_ONCE > 1 && rows == s->oh) { // the one band has the rows above and below the image for good
                have = s->py;
                last = last < have + s->ih ? last : have + s->ih;
            }
            gather_rows(s, band, row, x, above, have, last);
            output_rows(s, weights, &v, o, n, &to, out);
            have = tall > s->sy ? tall - s->sy : 0;
            for (int i = 0; i < have * row && r + rows < s->oh; i++) { // what the next band shares with this one
                band[i] = band[step * row + i];
            }
        }
    }
}
