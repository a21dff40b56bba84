// y[r, c, o] = requantize(bias[o] + sum x[r*sy - py + i*dy, c*sx - px + j*dx, o*ic/oc] * w[o, i, j])
// x [ih][iw][ic] int8; y [oh][ow][oc] int8; w planar [oc][kh*kw] int8; bias with the input's zero point folded in, so a
// tap outside the image reads zi.
// With oc == ic channel by channel, through scratch: the padded image of one channel, or a band of as many of its rows
// as go there. Nothing of a band is written before all of it has been gathered, so y may lie over x. Otherwise pixel by
// pixel and without scratch. Cannot fail: check() ran at load.
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

// Rows first ... last - 1 of a band, whose row 0 is row iy of the image; x is the channel's first value.
static NOINLINE void gather_rows(const plane *p, const int8_t *x, int iy, int first, int last) {
    const depthwise_step *s = p->step;
    int ic = s->ic;
    for (; first < last; first++) {
        cell *to = p->cells + first * p->row;
        if ((unsigned)(iy + first) >= s->ih) {
            for (int i = 0; i < p->row; i++) {
                to[i] = s->zi;
            }
            continue;
        }
        const int8_t *from = x + (size_t)(iy + first) * s->iw * ic;
        int n = p->inside;
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

// The sum of one pixel, from a plane.
static NOINLINE int32_t plane_sum(const plane *p, const cell *x, const int8_t *w) {
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

#ifndef SMALL
// The sums of n pixels, sx cells apart; three: the window is that wide and dense.
INLINE void sums_of(const plane *p, const cell *x, const int8_t *w, int32_t *sums, const int n, const int sx, const int three) {
    int below = p->step->dy * p->row, kw = p->step->kw, dx = p->step->dx;
    int32_t a[4];
    UNROLL for (int k = 0; k < n; k++) {
        a[k] = 0;
    }
    for (int i = p->step->kh; i > 0; i--, x += below) {
        if (three) {
            UNROLL for (int j = 0; j < 3; j++) {
                UNROLL for (int k = 0; k < n; k++) {
                    a[k] += x[k * sx + j] * w[j];
                }
            }
            w += 3;
        } else {
            const cell *at = x;
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

// The sums of some of the next `left` pixels, at most four; gives how many.
INLINE int next_sums(const plane *p, const cell *x, const int8_t *w, int left, int32_t *sums) {
    const depthwise_step *s = p->step;
    int three = s->kw == 3 && s->dx == 1;
    if (left < 3 || s->sx > 2) {
        if (three) {
            sums_of(p, x, w, sums, 1, 1, 1);
        } else {
            *sums = plane_sum(p, x, w);
        }
        return 1;
    }
    if (three && s->sx == 1) {
        sums_of(p, x, w, sums, 4, 1, 1);
    } else if (three) {
        sums_of(p, x, w, sums, 4, 2, 1);
    } else if (s->sx == 1) {
        sums_of(p, x, w, sums, 4, 1, 0);
    } else {
        sums_of(p, x, w, sums, 4, 2, 0);
    }
    return left < 4 ? left : 4; // a row of cells has some to spare
}
#else
INLINE int next_sums(const plane *p, const cell *x, const int8_t *w, int left, int32_t *sums) {
    *sums = plane_sum(p, x, w);
    (void)left;
    return 1;
}
#endif

// Channel o of a band: `rows` rows from y on.
static NOINLINE void band(const plane *p, const uint8_t *weights, int o, int rows, const output *to, int8_t *y) {
    enum { SUMS = 32 };
    const depthwise_step *s = p->step;
    const int8_t *w = (const int8_t *)weights + s->w + (size_t)o * s->kh * s->kw;
    const quant *q = quant_at(weights, s->q) + o / 4;
    const cell *x = p->cells;
    int ready = 0;
    int32_t sums[SUMS];
    for (; rows > 0; rows--, x += s->sy * p->row) {
        const cell *at = x;
        for (int left = s->ow, n; left > 0; left -= n, at += n * s->sx) {
            n = next_sums(p, at, w, left, sums + ready);
            ready += n;
            if (ready > SUMS - 4 || (left == n && rows == 1)) {
                finish(sums, ready, q, o & 3, (o & 3) + 1, to, y);
                y += (size_t)ready * s->oc;
                ready = 0;
            }
        }
    }
}

// The sum of one pixel, from an image of which x is the channel's first value.
static NOINLINE int32_t image_sum(const depthwise_step *s, const int8_t *x, const int8_t *w, int iy, int x0) {
    int32_t sum = 0;
    for (int i = 0; i < s->kh; i++, iy += s->dy) {
        for (int j = 0, ix = x0; j < s->kw; j++, ix += s->dx) {
            int inside = (unsigned)iy < s->ih && (unsigned)ix < s->iw;
            sum += *w++ * (inside ? x[((size_t)iy * s->iw + ix) * s->ic] : s->zi);
        }
    }
    return sum;
}

static NOINLINE void multiplied(const depthwise_step *s, const uint8_t *weights, uint8_t *arena, const output *to) {
    int8_t *y = (int8_t *)arena + s->y;
    int multiplier = 0;
    for (int n = s->oc; n > 0; n -= s->ic) { // oc / ic, and not every core divides
        multiplier++;
    }
    for (int r = 0; r < s->oh; r++) {
        for (int c = 0; c < s->ow; c++, y += s->oc) {
            const int8_t *x = (const int8_t *)arena + s->x, *w = (const int8_t *)weights + s->w;
            for (int o = 0, share = 0; o < s->oc; o++, w += s->kh * s->kw) {
                int32_t sum = image_sum(s, x, w, r * s->sy - s->py, c * s->sx - s->px);
                finish(&sum, 1, quant_at(weights, s->q) + o / 4, o & 3, (o & 3) + 1, to, y + o);
                if (++share == multiplier) {
                    share = 0;
                    x++;
                }
            }
        }
    }
}

static void depthwise(const depthwise_step *s, const uint8_t *weights, uint8_t *arena) {
    output to = output_of(s->flags & STEP_BOUNDED, s->zo, s->lo, s->hi, s->oc);
    if (s->oc != s->ic) {
        multiplied(s, weights, arena, &to);
        return;
    }
    int tall = (s->kh - 1) * s->dy + 1, wide = (s->ow - 1) * s->sx + (s->kw - 1) * s->dx + 1;
    int row = (wide + 7) & ~3, inside = wide - s->px;
    plane p = {s, (cell *)(arena + s->s), row, inside < s->iw ? inside : s->iw};
    // As many rows of output to a band as opset.py has scratch for.
    int room = 2 * row * ((s->oh - 1) * s->sy + tall + 1), least = 4 * row * (tall + 1), rows = 1;
    room = room < 3072 ? room : 3072;
    room = (room > least ? room : least) / (int)sizeof(cell);
    while (rows < s->oh && row * (rows * s->sy + tall) <= room) {
        rows++;
    }
    int step = rows * s->sy, high = step - s->sy + tall; // rows of input from a band to the next, and in one
    for (int i = 0; i < row * high; i++) {
        p.cells[i] = s->zi; // and what is beside the image stays so, or above and below it if there is one band
    }
    for (int o = 0; o < s->oc; o++) {
        const int8_t *x = (const int8_t *)arena + s->x + o;
        int8_t *y = (int8_t *)arena + s->y + o;
        if (rows == s->oh) {
            gather_rows(&p, x, -s->py, s->py, high < s->ih + s->py ? high : s->ih + s->py);
            band(&p, weights, o, rows, &to, y);
            continue;
        }
        for (int r = 0, have = 0; r < s->oh; r += rows, y += (size_t)rows * s->ow * s->oc) {
            int n = s->oh - r < rows ? s->oh - r : rows;
            gather_rows(&p, x, r * s->sy - s->py, have, (n - 1) * s->sy + tall);
            band(&p, weights, o, n, &to, y);
            have = tall > s->sy ? tall - s->sy : 0;
            for (int i = 0; i < have * row; i++) { // what the next band shares with this one
                p.cells[i] = p.cells[step * row + i];
            }
        }
    }
}
