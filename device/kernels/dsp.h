// The kernels for Cortex-M cores with the DSP extension: what prepares the inner loops of dsp.S.
// The fast paths rely on BOUNDED, and give 0 for a step that they leave to the plain C.
// Tensors are read by words only where they are aligned, so nothing depends on the core to take unaligned words.
#ifndef WHIT_DSP_H
#define WHIT_DSP_H
#include "whit.h"

#define CONV2D_FAST dsp_conv2d
#define DEPTHWISE_FAST dsp_depthwise
#define DENSE_FAST dsp_dense
#define ADD_FAST dsp_sum
#define AVERAGE_POOL_FAST dsp_average_pool

// The arguments of dsp.S, which says what they are.
typedef struct {
    const uint32_t *x;
    const quant *q;
    int32_t shifts, zo, stride;
    int8_t *y;
    int32_t left;
    const uint32_t *end;
    int32_t entry, back, lo, hi;
} tile;

typedef struct {
    const uint32_t *x;
    int32_t loop, correction;
    const uint32_t *end;
    int8_t *y;
    int32_t left;
    uint32_t lo, hi;
    const quant *q;
    int32_t zo;
} row;

typedef struct {
    int16_t *d;
    const int8_t *x;
    int32_t columns, rows, x_column, x_row, pitch;
} load;

typedef struct {
    uint32_t w[6];
    int32_t bias, m, e, zo, row;
    int8_t *out;
    int32_t column;
    const int16_t *end, *plane;
    int32_t pitch;
    int8_t *y;
    int32_t left, rows, lo, hi, clamp;
} strips;

typedef struct {
    const int8_t *a, *b;
    int8_t *y, *end;
    const int32_t *table;
    int32_t m, e, zo, lo, hi, clamp;
} sum;

void dsp_tile(const tile *, const uint8_t *w);
void dsp_row(const row *, const uint8_t *w);
uint32_t *dsp_widen4(uint32_t *d, const int8_t *x, int step, int quads);
void dsp_widen1(uint32_t *d, const uint32_t *x, int quads);
void dsp_spread4(uint32_t *d, const int8_t *x, int step, int n, int k);
int32_t dsp_widen_dense(uint32_t *d, const uint32_t *x, int quads);
void dsp_load(const load *);
void dsp_strips_1(const strips *);
void dsp_strips_2(const strips *);
void dsp_add(const sum *);

static inline int is_clamped(int lo, int hi) {
    return lo != -128 || hi != 127;
}

static inline int is_aligned(const void *p, int step) {
    return (((uintptr_t)p | (uintptr_t)step) & 3) == 0;
}

static inline uint32_t four_times(int8_t v) {
    return (uint8_t)v * 0x01010101u;
}

// ---- conv2d ---------------------------------------------------------------------------------------------------------
// Scratch: four interleaved patches, a patch in bytes, and a row of zi that stands for all rows outside the image.

typedef struct {
    const conv2d_step *s;
    const int8_t *x;
    uint32_t *patches;
    int8_t *bytes, *outside;
} gatherer;

static inline const int8_t *image_row(const gatherer *g, int iy, int ix) {
    const conv2d_step *s = g->s;
    return (unsigned)iy < s->ih ? g->x + (iy * s->iw + ix) * s->ic : 0;
}

// One patch, of any shape, as patch `at` of the four.
static NOINLINE void gather(const gatherer *g, int r, int c, int at) {
    const conv2d_step *s = g->s;
    int8_t *out = g->bytes;
    int taps = s->dx == 1 ? 1 : s->kw, run = s->dx == 1 ? s->kw : 1; // pixels that lie together
    for (int i = 0; i < s->kh; i++) {
        int iy = r * s->sy - s->py + i * s->dy, ix = c * s->sx - s->px;
        for (int j = 0; j < taps; j++, ix += s->dx) {
            int first = ix < 0 ? -ix : 0, last = ix + run > s->iw ? s->iw - ix : run;
            const int8_t *from = image_row(g, iy, ix);
            if (!from || first > run || last < 0) {
                first = last = run;
            }
            int8_t *a = out + first * s->ic, *b = out + last * s->ic, *end = out + run * s->ic;
            from += a - out;
            while (out != a) {
                *out++ = s->zi;
            }
            if (is_aligned(out, (int)(uintptr_t)from | (int)(b - a))) {
                for (; out != b; out += 4, from += 4) {
                    *(uint32_t *)out = *(const uint32_t *)from;
                }
            }
            while (out != b) {
                *out++ = *from++;
            }
            while (out != end) {
                *out++ = s->zi;
            }
        }
    }
    dsp_widen1(g->patches + at, (const uint32_t *)g->bytes, (s->kh * s->kw * s->ic + 3) / 4);
}

// The patches of four pixels of one row, whose windows lie between the left and the right border.
static NOINLINE void gather4(const gatherer *g, int r, int c) {
    const conv2d_step *s = g->s;
    int n = s->kw * s->ic, step = s->sx * s->ic, words = is_aligned(g->x, s->ic), k = 0;
    uint32_t *d = g->patches;
    for (int i = 0, iy = r * s->sy - s->py; i < s->kh; i++, iy += s->dy, k += n) {
        const int8_t *from = image_row(g, iy, c * s->sx - s->px);
        int apart = step;
        if (!from) {
            from = g->outside;
            apart = 0;
        }
        if (words) {
            d = dsp_widen4(d, from, apart, n / 4);
        } else {
            dsp_spread4(d, from, apart, n, k);
        }
    }
}

static NOINLINE int dsp_conv2d(const conv2d_step *s, const uint8_t *weights, uint8_t *arena) {
    int quads = (s->kh * s->kw * s->ic + 3) / 4, pixels = s->oh * s->ow;
    const int8_t *x = (const int8_t *)arena + s->x;
    const uint8_t *w = weights + s->w;
    uint32_t *patches = (uint32_t *)(arena + s->s);
    gatherer g = {s, x, patches, (int8_t *)(patches + 8 * quads), (int8_t *)(patches + 9 * quads)};
    tile t = {
        patches, quant_at(weights, s->q), 0, s->zo, s->oc, (int8_t *)arena + s->y - 1,
        s->oc - (is_clamped(s->lo, s->hi) ? 1 << 30 : 0), patches + 8 * quads, quads & 3, 8 - 16 * quads, s->lo, s->hi,
    };
    int flat = (s->kh | s->kw | s->sy | s->sx) == 1 && (s->py | s->px) == 0 && s->ow == s->iw && is_aligned(x, s->ic);
    for (int i = 0; i < s->kw * s->ic; i++) {
        g.outside[i] = s->zi;
    }
    int r = 0, c = 0;
    for (; pixels >= 4; pixels -= 4, t.y += 4 * s->oc) {
        int left = c * s->sx - s->px;
        if (flat) {
            dsp_widen4(patches, x, s->ic, quads);
            x += 4 * s->ic;
        } else if (c + 4 <= s->ow && left >= 0 && left + 3 * s->sx + s->kw <= s->iw && (s->dx | s->kw) == 1) {
            gather4(&g, r, c);
            c += 4;
        } else {
            for (int i = 0; i < 4; i++) {
                if (c >= s->ow) {
                    c = 0;
                    r++;
                }
                gather(&g, r, c++, i);
            }
        }
        if (c >= s->ow) {
            c = 0;
            r++;
        }
        dsp_tile(&t, w);
    }
    row last = {
        patches, 4, 0, t.end, t.y + 1, s->oc, four_times(s->lo), four_times(s->hi), t.q, s->zo,
    };
    for (; pixels; pixels--, last.y += s->oc) {
        if (flat) {
            dsp_widen1(patches, (const uint32_t *)x, quads);
            x += s->ic;
        } else {
            if (c >= s->ow) {
                c = 0;
                r++;
            }
            gather(&g, r, c++, 0);
        }
        dsp_row(&last, w);
    }
    return 1;
}

// ---- dense ----------------------------------------------------------------------------------------------------------
// Scratch: the row in 16 bits, and behind it in bytes where it does not lie in whole words.

static NOINLINE int dsp_dense(const dense_step *s, const uint8_t *weights, uint8_t *arena) {
    int quads = (int)(s->k + 3) / 4;
    const int8_t *x = (const int8_t *)arena + s->x;
    uint32_t *wide = (uint32_t *)(arena + s->s);
    row y = {
        wide, quads & 3, 0, wide + 2 * quads, (int8_t *)arena + s->y, (int32_t)s->o, four_times(s->lo),
        four_times(s->hi), quant_at(weights, s->q), s->zo,
    };
    for (int r = 0; r < s->rows; r++, x += s->k, y.y += s->o) {
        const int8_t *from = x;
        if (!is_aligned(x, (int)s->k)) {
            int8_t *bytes = (int8_t *)(wide + 2 * quads);
            for (int k = 0; k < 4 * quads; k++) {
                bytes[k] = k < (int)s->k ? x[k] : 0;
            }
            from = bytes;
        }
        y.correction = -128 * dsp_widen_dense(wide, (const uint32_t *)from, quads);
        dsp_row(&y, weights + s->w);
    }
    return 1;
}

// ---- depthwise ------------------------------------------------------------------------------------------------------
// Scratch: the plane of one channel, or of a band of its rows, by strips of two columns (dsp.S), with zi around it.

static inline int32_t requantize_bounded(int32_t a, int32_t m, int e, int zo) {
    __asm("smmlar %0, %0, %1, %0\n\tadd %0, %0, %0, asr #31\n\tasrs %0, %0, %2\n\tadc %0, %0, %3"
          : "+r"(a)
          : "r"(m << 1), "r"(e), "r"(zo)
          : "cc");
    return a;
}

// Any window and any stride: y [rows][ow] of one channel.
static NOINLINE void windows(const depthwise_step *s, const strips *p, const int8_t *w) {
    for (int c = 0; c < s->ow; c++) {
        int8_t *y = p->y + c * p->column;
        for (int r = 0; r < p->rows; r++, y += p->row) {
            int32_t acc = p->bias;
            for (int j = 0; j < s->kw; j++) {
                int ix = c * s->sx + j * s->dx;
                const int16_t *x = p->plane + (ix >> 1) * (p->pitch >> 1) + (ix & 1) + 2 * r * s->sy;
                const int8_t *v = w + j;
                for (int i = s->kh; i; i--, v += s->kw, x += 2 * s->dy) {
                    acc += *x * *v;
                }
            }
            *y = clamp(requantize_bounded(acc, p->m >> 1, p->e, p->zo), s->lo, s->hi);
        }
    }
}

// In every strip: n rows from row `from` on become row `to` and the following, or zi.
static NOINLINE void move_rows(uint32_t *plane, int strips, int tall, int to, int from, int n) {
    for (; strips > 0; strips--, plane += tall) {
        for (int i = 0; i < n; i++) {
            plane[to + i] = plane[from + i];
        }
    }
}

static NOINLINE void fill_rows(uint32_t *plane, int strips, int tall, int to, int n, int zi) {
    for (; strips > 0; strips--, plane += tall) {
        for (int i = 0; i < n; i++) {
            plane[to + i] = (uint16_t)zi * 0x00010001u;
        }
    }
}

static NOINLINE int dsp_depthwise(const depthwise_step *s, const uint8_t *weights, uint8_t *arena) {
    int multiplier = s->oc / s->ic, span = (s->kh - 1) * s->dy + 1, wide = (s->ow - 1) * s->sx + (s->kw - 1) * s->dx + 1;
    int across = (wide + 7) / 4 * 2; // strips, as opset.py counts them
    int tall = 1536 / (2 * across), whole = (s->oh - 1) * s->sy + span + 1;
    tall = tall < whole ? tall : whole;
    tall = tall < 2 * (span + 1) ? 2 * (span + 1) : tall; // rows in scratch, one of which is read but not used
    int band = s->oh, columns = wide - s->px < s->iw ? wide - s->px : s->iw;
    if (tall < whole) {
        band = (tall - 1 - span) / s->sy + 1;
        band -= band > 1 ? band & 1 : 0;
    }
    uint32_t *plane = (uint32_t *)(arena + s->s);
    const int8_t *w = (const int8_t *)weights + s->w;
    int special = s->kh == 3 && s->kw == 3 && (s->dy | s->dx) == 1 && s->sy == s->sx && s->sx <= 2;
    strips p; // field by field: a compiler would call memset() for an initializer
    p.zo = s->zo;
    p.row = s->ow * s->oc;
    p.column = s->oc;
    p.pitch = 4 * tall;
    p.lo = s->lo;
    p.hi = s->hi;
    p.clamp = is_clamped(s->lo, s->hi);
    load l;
    l.columns = columns;
    l.x_column = s->ic;
    l.x_row = s->iw * s->ic;
    l.pitch = 4 * tall;
    fill_rows(plane, across, tall, 0, tall, s->zi);
    for (int o = 0, share = 0, channel = 0; o < s->oc; o++, w += s->kh * s->kw) {
        const quant *q = quant_at(weights, s->q) + (o >> 2);
        p.bias = q->bias[o & 3];
        p.m = q->multiplier[o & 3] << 1;
        p.e = q->shift[o & 3];
        if (special) {
            for (int i = 0; i < 3; i++) {
                uint32_t middle = (uint16_t)w[3 * i + 1];
                p.w[2 * i] = (uint16_t)w[3 * i] | middle << 16;
                p.w[2 * i + 1] = middle | (uint32_t)w[3 * i + 2] << 16;
            }
        }
        int end = 0, from = 0; // the image rows in the plane: up to `end`, the first `from`
        for (int r = 0; r < s->oh; r += band) {
            p.rows = s->oh - r < band ? s->oh - r : band;
            int top = r * s->sy - s->py, need = (p.rows - 1) * s->sy + span, kept = 0;
            if (r && end > top) {
                kept = end - top;
                move_rows(plane, across, tall, 0, top - from, kept);
            }
            int first = top + kept, last = top + need;
            first = first < 0 ? 0 : first;
            last = last > s->ih ? s->ih : last;
            if (band < s->oh) {
                fill_rows(plane, across, tall, kept, first - top - kept, s->zi);
                int filled = last > first ? last - top : first - top;
                fill_rows(plane, across, tall, filled, need - filled, s->zi);
            }
            if (last > first) {
                l.rows = last - first;
                l.x = (const int8_t *)arena + s->x + first * l.x_row + channel;
                l.d = (int16_t *)plane + (s->px >> 1) * 2 * tall + (s->px & 1) + 2 * (first - top);
                dsp_load(&l);
            }
            from = top;
            end = top + need;
            p.plane = (const int16_t *)plane;
            p.y = (int8_t *)arena + s->y + r * p.row + o;
            p.left = s->ow;
            if (!special) {
                windows(s, &p, w);
            } else if (s->sx == 1) {
                dsp_strips_1(&p);
            } else {
                dsp_strips_2(&p);
            }
        }
        if (++share == multiplier) {
            share = 0;
            channel++;
        }
    }
    return 1;
}

// ---- add ------------------------------------------------------------------------------------------------------------
// The operand with the larger scale is halved, which is exact, so it is only shifted; a table has what the other adds.
// Scratch: that table.

static NOINLINE int dsp_sum(const add_step *s, const uint8_t *weights, uint8_t *arena) {
    int32_t *table = (int32_t *)(arena + s->s);
    int swap = s->mb != 1 << 30 || s->eb != 0, z = swap ? s->zb : s->za, m = swap ? s->mb : s->ma;
    int e = swap ? s->eb : s->ea, other = swap ? s->za : s->zb;
    (void)weights;
    if (s->n < 512 || (swap && (s->ma != 1 << 30 || s->ea != 0)) || e < 0 || s->eo < 1 || s->mo < 1 << 30) {
        return 0;
    }
    for (int v = -128; v < 128; v++) {
        table[v & 255] = requantize((v - z) * (1 << 20), m, e) - other * (1 << 19);
    }
    const int8_t *a = (const int8_t *)arena + s->a, *b = (const int8_t *)arena + s->b;
    int8_t *y = (int8_t *)arena + s->y;
    sum p = {
        swap ? b : a, swap ? a : b, y, y + s->n, table, s->mo << 1, s->eo, s->zo, s->lo, s->hi, is_clamped(s->lo, s->hi),
    };
    dsp_add(&p);
    return 1;
}

// ---- average_pool ---------------------------------------------------------------------------------------------------
// Four channels at a time, two in a word: up to 256 values of 8 bits add up to 16.

static inline uint32_t add_even(uint32_t sums, uint32_t bytes) {
    __asm("sxtab16 %0, %0, %1" : "+r"(sums) : "r"(bytes));
    return sums;
}

static inline uint32_t add_odd(uint32_t sums, uint32_t bytes) {
    __asm("sxtab16 %0, %0, %1, ror #8" : "+r"(sums) : "r"(bytes));
    return sums;
}

static NOINLINE int dsp_average_pool(const average_pool_step *s, const uint8_t *weights, uint8_t *arena) {
    const int8_t *x = (const int8_t *)arena + s->x;
    int8_t *y = (int8_t *)arena + s->y;
    (void)weights;
    if (s->kh * s->kw > 256 || !is_aligned(x, s->c)) {
        return 0;
    }
    for (int r = 0; r < s->oh; r++) {
        for (int c = 0; c < s->ow; c++) {
            int top = r * s->sy - s->py, left = c * s->sx - s->px, bottom = top + s->kh, right = left + s->kw;
            top = top < 0 ? 0 : top;
            left = left < 0 ? 0 : left;
            bottom = bottom > s->ih ? s->ih : bottom;
            right = right > s->iw ? s->iw : right;
            int across = right - left, count = (bottom - top) * across;
            for (int k = 0; k < s->c; k += 4) {
                const int8_t *from = x + (top * s->iw + left) * s->c + k;
                uint32_t even = 0, odd = 0;
                for (int i = bottom - top; i; i--, from += (s->iw - across) * s->c) {
                    for (int j = across; j; j--, from += s->c) {
                        uint32_t v = *(const uint32_t *)from;
                        even = add_even(even, v);
                        odd = add_odd(odd, v);
                    }
                }
                int32_t sums[4] = {(int16_t)even, (int16_t)odd, (int32_t)even >> 16, (int32_t)odd >> 16};
                for (int i = 0; i < 4; i++) {
                    int32_t half = sums[i] < 0 ? -(count / 2) : count / 2;
                    *y++ = clamp((sums[i] + half) / count, s->lo, s->hi);
                }
            }
        }
    }
    return 1;
}

#endif
