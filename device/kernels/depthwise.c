// y[r, c, o] = requantize(bias[o] + sum x[r*sy - py + i*dy, c*sx - px + j*dx, o*ic/oc] * w[o, i, j])
// x [ih][iw][ic] int8; y [oh][ow][oc] int8; w planar [oc][kh*kw] int8; bias with the input's zero point folded in, so a
// tap outside the image reads zi.
// With oc == ic a channel at a time goes through scratch: its padded image, or a band of as many rows of it as go there.
// Nothing of a band is written before all of it has been gathered, so y may lie over x. Otherwise there is no scratch,
// and the image is read where it lies. Cannot fail: check() ran at load.
#include "whit.h"

// One channel to be read: in scratch, where no window leaves it, or in the image.
typedef struct {
    const int8_t *x;
    int height, width, row, step; // row, step: from a row or column to the next
    int y0, x0;                   // where the first window starts
} view;

// Rows first ... last - 1 of a band whose row 0 is row iy of the image; x is the channel's first value.
static NOINLINE void gather_rows(const depthwise_step *s, int8_t *band, int row, const int8_t *x, int iy, int first, int last) {
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
static NOINLINE int32_t window_sum(const depthwise_step *s, const view *v, const int8_t *w, int iy, int ix) {
    int32_t sum = 0;
    for (int i = 0; i < s->kh; i++, iy += s->dy) {
        for (int j = 0, at = ix; j < s->kw; j++, at += s->dx) {
            int inside = (unsigned)iy < (unsigned)v->height && (unsigned)at < (unsigned)v->width;
            sum += *w++ * (inside ? v->x[(size_t)iy * v->row + (size_t)at * v->step] : s->zi);
        }
    }
    return sum;
}

#ifndef SMALL
// The sums of n windows in scratch, sx apart; three: they are that wide and dense.
INLINE void window_sums(const depthwise_step *s, int row, const int8_t *x, const int8_t *w, int32_t *sums, const int n, const int sx, const int three) {
    int below = s->dy * row, kw = s->kw, dx = s->dx;
    int32_t a[4];
    UNROLL for (int k = 0; k < n; k++) {
        a[k] = 0;
    }
    for (int i = s->kh; i > 0; i--, x += below) {
        if (three) {
            UNROLL for (int j = 0; j < 3; j++) {
                UNROLL for (int k = 0; k < n; k++) {
                    a[k] += x[k * sx + j] * w[j];
                }
            }
            w += 3;
        } else {
            const int8_t *at = x;
            for (int j = kw; j > 0; j--, at += dx, w++) {
                UNROLL for (int k = 0; k < n; k++) {
                    a[k] += at[k * sx] * *w;
                }
            }
        }
    }
    UNROLL for (int k = 0; k < n; k++) {
        sums[k] = a[k];
    }
}

// The sums of the next windows in scratch, four at most; gives how many, or 0 where window_sum() has to do.
INLINE int block_sums(const depthwise_step *s, int row, const int8_t *x, const int8_t *w, int left, int32_t *sums) {
    int three = s->kw == 3 && s->dx == 1;
    if (left < 3 || s->sx > 2) {
        if (three) {
            window_sums(s, row, x, w, sums, 1, 1, 1);
        }
        return three;
    }
    if (three && s->sx == 1) {
        window_sums(s, row, x, w, sums, 4, 1, 1);
    } else if (three) {
        window_sums(s, row, x, w, sums, 4, 2, 1);
    } else if (s->sx == 1) {
        window_sums(s, row, x, w, sums, 4, 1, 0);
    } else {
        window_sums(s, row, x, w, sums, 4, 2, 0);
    }
    return left < 4 ? left : 4; // a row in scratch has some to spare
}
#endif

// `rows` rows of output channel o, from y on.
static NOINLINE void output_rows(const depthwise_step *s, const uint8_t *weights, const view *v, int o, int rows, int8_t *y) {
    enum { SUMS = 32 };
    const int8_t *w = (const int8_t *)weights + s->w + (size_t)o * s->kh * s->kw;
    output to = output_of(s->flags & STEP_BOUNDED, s->zo, s->lo, s->hi, s->oc);
    int32_t sums[SUMS];
    for (int iy = v->y0, ready = 0; rows > 0; rows--, iy += s->sy) {
        for (int left = s->ow, ix = v->x0, n; left > 0; left -= n, ix += n * s->sx) {
            n = 0;
#ifndef SMALL
            if (v->step == 1) {
                n = block_sums(s, v->row, v->x + iy * v->row + ix, w, left, sums + ready);
            }
#endif
            if (n == 0) {
                n = 1;
                sums[ready] = window_sum(s, v, w, iy, ix);
            }
            ready += n;
            if (ready > SUMS - 4 || (left == n && rows == 1)) {
                finish(sums, ready, quant_at(weights, s->q) + o / 4, o & 3, (o & 3) + 1, &to, y);
                y += (size_t)ready * s->oc;
                ready = 0;
            }
        }
    }
}

// As many rows of output to a band as opset.py has scratch for.
static int rows_of_band(const depthwise_step *s, int row, int tall) {
    int room = 2 * row * ((s->oh - 1) * s->sy + tall + 1), least = 4 * row * (tall + 1), rows = 1;
    room = room < 3072 ? room : 3072;
    room = room > least ? room : least;
    while (rows < s->oh && row * (rows * s->sy + tall) <= room) {
        rows++;
    }
    return rows;
}

static void depthwise(const depthwise_step *s, const uint8_t *weights, uint8_t *arena) {
    const int8_t *x = (const int8_t *)arena + s->x;
    int8_t *y = (int8_t *)arena + s->y, *band = (int8_t *)arena + s->s;
    if (s->oc != s->ic) {
        view v = {x, s->ih, s->iw, s->iw * s->ic, s->ic, -s->py, -s->px};
        for (int o = 0, share = s->ic; o < s->oc; o++, y++) {
            output_rows(s, weights, &v, o, s->oh, y);
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
        band[i] = s->zi; // and what is beside the image stays so
    }
    for (int o = 0; o < s->oc; o++, x++, y++) {
        int8_t *out = y;
        for (int r = 0, have = 0; r < s->oh; r += rows, out += (size_t)rows * s->ow * s->oc) {
            int n = s->oh - r < rows ? s->oh - r : rows;
            gather_rows(s, band, row, x, r * s->sy - s->py, have, (n - 1) * s->sy + tall);
            output_rows(s, weights, &v, o, n, out);
            have = tall > s->sy ? tall - s->sy : 0;
            for (int i = 0; i < have * row && r + rows < s->oh; i++) { // what the next band shares with this one
                band[i] = band[step * row + i];
            }
        }
    }
}
