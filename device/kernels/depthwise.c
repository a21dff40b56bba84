// y[r, c, o] = requantize(bias[o] + sum x[r*sy - py + i*dy, c*sx - px + j*dx, o*ic/oc] * w[o, i, j])
// x [ih][iw][ic] int8; y [oh][ow][oc] int8; w planar [oc][kh*kw] int8; bias with the input's zero point folded in, so a
// tap outside the image reads zi.
// Scratch: the padded image of one channel, or as many of its rows as go there, a band. Channel by channel, and of a
// band nothing is written before all of it has been gathered; so the output may lie over the input.
// Cannot fail: check() ran at load.
#include "whit.h"

#ifdef __XTENSA__
typedef int16_t cell; // it loads no signed byte
#else
typedef int8_t cell;
#endif

typedef struct {
    const depthwise_step *step;
    cell *cells;
    int row;    // cells from a row to the next
    int inside; // cells of a row that come from the image, behind px others
} plane;

// `rows` rows of one channel, from image row iy on.
static NOINLINE void gather_rows(const plane *p, const int8_t *x, int iy, int first, int rows) {
    const depthwise_step *s = p->step;
    int ic = s->ic;
    cell *out = p->cells + first * p->row;
    for (iy += first; rows > 0; rows--, iy++, out += p->row) {
        if ((unsigned)iy >= s->ih) {
            for (int i = 0; i < p->row; i++) {
                out[i] = s->zi;
            }
            continue;
        }
        const int8_t *from = x + (size_t)iy * s->iw * ic;
        cell *to = out + s->px;
        int n = p->inside;
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

// The sums of one pixel, or of more that lie sx cells apart under a window of width 3.
static NOINLINE int32_t tap_sum(const plane *p, const cell *x, const int8_t *w) {
    const depthwise_step *s = p->step;
    int32_t sum = 0;
    for (int i = 0; i < s->kh; i++, x += s->dy * p->row) {
        const cell *at = x;
        for (int j = 0; j < s->kw; j++, at += s->dx) {
            sum += *at * *w++;
        }
    }
    return sum;
}

INLINE void sums_3(const cell *x, const int8_t *w, int kh, int below, int32_t *sums, const int n, const int sx) {
    int32_t a[4];
    UNROLL for (int j = 0; j < n; j++) {
        a[j] = 0;
    }
    for (; kh > 0; kh--, x += below, w += 3) {
        UNROLL for (int i = 0; i < 3; i++) {
            UNROLL for (int j = 0; j < n; j++) {
                a[j] += x[j * sx + i] * w[i];
            }
        }
    }
    UNROLL for (int j = 0; j < n; j++) {
        sums[j] = a[j];
    }
}

// Output channel o of a band: `rows` rows from y on.
static NOINLINE void band(const plane *p, const uint8_t *weights, int o, int rows, const output *to, int8_t *y) {
    enum { SUMS = 32 };
    const depthwise_step *s = p->step;
    const int8_t *w = (const int8_t *)weights + s->w + (size_t)o * s->kh * s->kw;
    const quant *q = quant_at(weights, s->q) + o / 4;
    const cell *x = p->cells;
    int kh = s->kh, sx = s->sx, below = s->dy * p->row, ready = 0;
    int wide = BLOCK > 1 && s->kw == 3 && s->dx == 1;
    int32_t sums[SUMS];
    for (; rows > 0; rows--, x += s->sy * p->row) {
        const cell *at = x;
        for (int left = s->ow; left > 0;) {
            int n = 1;
            if (wide && left >= 4 && sx == 1) {
                n = 4;
                sums_3(at, w, kh, below, sums + ready, 4, 1);
            } else if (wide && left >= 4 && sx == 2) {
                n = 4;
                sums_3(at, w, kh, below, sums + ready, 4, 2);
            } else if (wide) {
                sums_3(at, w, kh, below, sums + ready, 1, 1);
            } else {
                sums[ready] = tap_sum(p, at, w);
            }
            left -= n;
            at += n * sx;
            ready += n;
            if (ready > SUMS - 4 || (left == 0 && rows == 1)) {
                finish(sums, ready, q, o % 4, o % 4 + 1, to, y);
                y += (size_t)ready * s->oc;
                ready = 0;
            }
        }
    }
}

static void depthwise(const depthwise_step *s, const uint8_t *weights, uint8_t *arena) {
    int tall = (s->kh - 1) * s->dy + 1, wide = (s->ow - 1) * s->sx + (s->kw - 1) * s->dx + 1;
    int row = (wide + 7) & ~3, inside = wide - s->px;
    plane p = {s, (cell *)(arena + s->s), row, inside < s->iw ? inside : s->iw};
    output to = output_of(s->flags & STEP_BOUNDED, s->zo, s->lo, s->hi, s->oc);
    // As many rows of output to a band as opset.py has scratch for.
    int room = 2 * row * ((s->oh - 1) * s->sy + tall + 1), least = 4 * row * (tall + 1), rows = 1;
    room = room < 3072 ? room : 3072;
    room = (room > least ? room : least) / (int)sizeof(cell);
    while (rows < s->oh && row * (rows * s->sy + tall) <= room) {
        rows++;
    }
    int step = rows * s->sy; // rows of input from a band to the next
    for (int i = 0; i < row * (step - s->sy + tall); i++) {
        p.cells[i] = s->zi; // and what is beside the image stays so
    }
    int multiplier = 0;
    for (int n = s->oc; n > 0; n -= s->ic) { // oc / ic, and not every core divides
        multiplier++;
    }
    for (int k = 0; k < s->ic; k++) {
        const int8_t *x = (const int8_t *)arena + s->x + k;
        int8_t *y = (int8_t *)arena + s->y + k * multiplier;
        for (int r = 0, have = 0; r < s->oh; r += rows, y += (size_t)rows * s->ow * s->oc) {
            int n = s->oh - r < rows ? s->oh - r : rows;
            gather_rows(&p, x, r * s->sy - s->py, have, (n - 1) * s->sy + tall - have);
            for (int i = 0; i < multiplier; i++) {
                band(&p, weights, k * multiplier + i, n, &to, y + i);
            }
            have = tall > s->sy ? tall - s->sy : 0;
            for (int i = 0; i < have * row; i++) { // what the next band shares with this one
                p.cells[i] = p.cells[step * row + i];
            }
        }
    }
}
