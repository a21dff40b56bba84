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
    uint32_t *room;
    const uint8_t *int4;
} row;

typedef struct {
    int16_t *d;
    const int8_t *x;
    int32_t columns, rows, x_column, x_row, pitch; // up to here for dsp_load()
    int32_t strips, zi;
} load;

typedef struct {
    uint32_t w[6];
    int32_t bias, m, e, zo, row;
    int8_t *out;
    int32_t column;
    const int16_t *end, *plane;
    int32_t pitch;
    int8_t *y;
    int32_t left, rows, lo, hi, clamp, stride;
} strips;

typedef struct {
    const int8_t *a, *b;
    int8_t *y, *end;
    const int32_t *table_a, *table_b;
    int32_t m, e, zo, lo, hi, clamp;
} sum;

void dsp_tile(const tile *, const uint8_t *w);
void dsp_row(const row *, const uint8_t *w);
uint32_t *dsp_widen4(uint32_t *d, const int8_t *x, int step, int quads);
void dsp_widen1(uint32_t *d, const uint32_t *x, int quads);
void dsp_spread4(uint32_t *d, const int8_t *x, int step, int n, int k);
int32_t dsp_widen_dense(uint32_t *d, const uint32_t *x, int quads);
void dsp_load(const load *);
void dsp_strips(const strips *);
void dsp_add(const sum *);

// Hardly any time is spent here, nor in the plain C on a core that has this, which so takes no more room than it must.
#define GLUE static __attribute__((noinline, minsize))
GLUE void conv2d(const conv2d_step *, const uint8_t *, uint8_t *);
GLUE void depthwise(const depthwise_step *, const uint8_t *, uint8_t *);
GLUE void dense(const dense_step *, const uint8_t *, uint8_t *);
GLUE void add(const add_step *, const uint8_t *, uint8_t *);

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

static void gather(const conv2d_step *, const int8_t *x, int r, int c, int8_t *out, int second); // conv2d.c

GLUE int dsp_conv2d(const conv2d_step *s, const uint8_t *weights, uint8_t *arena, const uint8_t *w) {
    int run = s->kw * s->ic, quads = (s->kh * run + 3) / 4, pixels = s->oh * s->ow, width = s->ow;
    const int8_t *x = (const int8_t *)arena + s->x;
    uint32_t *patches = (uint32_t *)(arena + s->s), *end = patches + 8 * quads;
    int8_t *bytes = (int8_t *)end, *outside = (int8_t *)(end + quads);
    int words = is_aligned(x, s->ic), together = s->dx == 1 || s->kw == 1;
    // A pointwise layer's image is one long row.
    int flat = (s->kh | s->kw | s->sy | s->sx) == 1 && (s->py | s->px) == 0 && s->ow == s->iw && words;
    if (flat) {
        width = pixels;
    }
    for (int i = 0; i < run; i++) {
        outside[i] = s->zi;
    }
    tile t;
    t.x = patches;
    t.end = end;
    t.q = quant_at(weights, s->q);
    t.zo = s->zo;
    t.stride = s->oc;
    t.y = (int8_t *)arena + s->y - 1;
    t.left = s->oc - (is_clamped(s->lo, s->hi) << 30);
    t.entry = quads & 1;
    t.back = 8 - 16 * quads;
    t.lo = s->lo;
    t.hi = s->hi;
    for (int r = 0, c = 0, n; pixels; pixels -= n, t.y += n * s->oc) {
        n = pixels >= 4 ? 4 : 1;
        int ix = c * s->sx - s->px;
        if (n == 4 && c + 4 <= width && (flat || (together && ix >= 0 && ix + 3 * s->sx + s->kw <= s->iw))) {
            // Windows of one row that lie between the left and the right border.
            uint32_t *d = patches;
            for (int i = 0, iy = r * s->sy - s->py, k = 0; i < s->kh; i++, iy += s->dy, k += run) {
                int inside = (unsigned)iy < s->ih;
                const int8_t *from = inside ? x + (iy * s->iw + ix) * s->ic : outside;
                int step = inside ? s->sx * s->ic : 0;
                if (words) {
                    d = dsp_widen4(d, from, step, run / 4);
                } else {
                    dsp_spread4(d, from, step, run, k);
                }
            }
            c += 4;
        } else {
            for (int i = 0; i < n; i++, c++) {
                if (c == width) {
                    c = 0;
                    r++;
                }
                const int8_t *from = bytes;
                if (flat) {
                    from = x + c * run;
                } else {
                    gather(s, x, r, c, bytes, 0);
                }
                dsp_widen1(patches + i, (const uint32_t *)from, quads);
            }
        }
        if (c == width) {
            c = 0;
            r++;
        }
        if (n == 4) {
            dsp_tile(&t, w);
        } else {
            row y = {
                patches, 2, 0, end, t.y + 1, s->oc, four_times(s->lo), four_times(s->hi), t.q, s->zo, 0, 0,
            };
            dsp_row(&y, w);
        }
    }
    return 1;
}

// ---- dense ----------------------------------------------------------------------------------------------------------
// Scratch: the row in 16 bits, and behind it in bytes where it does not lie in whole words; then as in dense.c.

GLUE int dsp_dense(const dense_step *s, const uint8_t *weights, uint8_t *arena) {
    int quads = (int)(s->k + 3) / 4;
    const int8_t *x = (const int8_t *)arena + s->x;
    uint32_t *wide = (uint32_t *)(arena + s->s);
    row y = {
        wide, s->flags & INT4 ? 3 : quads & 1, 0, wide + 2 * quads, (int8_t *)arena + s->y, (int32_t)s->o,
        four_times(s->lo), four_times(s->hi), quant_at(weights, s->q), s->zo, wide + 4 * quads, weights + s->w,
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
        dsp_row(&y, y.int4);
    }
    return 1;
}

// ---- depthwise ------------------------------------------------------------------------------------------------------
// Scratch: the plane of one channel, or of a band of its rows, by strips of two columns (dsp.S), with zi around it.

// In every strip, the n rows from row `to` on become those from row `from` on, or zi if that is negative.
GLUE void set_rows(const load *l, uint32_t *plane, int to, int from, int n) {
    for (int strips = l->strips; strips; strips--, plane += l->pitch / 4) {
        for (int i = 0; i < n; i++) {
            plane[to + i] = from < 0 ? l->zi : plane[from + i];
        }
    }
}

GLUE int dsp_depthwise(const depthwise_step *s, const uint8_t *weights, uint8_t *arena) {
    int stride = s->sx;
    if (s->ic != s->oc || s->kh != 3 || s->kw != 3 || (s->dy | s->dx) != 1 || s->sy != stride || stride > 2) {
        return 0;
    }
    int wide = (s->ow - 1) * stride + 3, whole = (s->oh - 1) * stride + 4, band = s->oh;
    load l;
    l.strips = (wide + 7) / 4 * 2; // opset.py has these sizes too
    int tall = PLANE / 4 / l.strips; // rows that fit, of which the last is read but not used
    tall = tall < 8 ? 8 : tall;
    if (tall < whole) {
        band = ((tall - 4) / stride + 1) & ~1;
    } else {
        tall = whole;
    }
    l.zi = (uint16_t)s->zi * 0x00010001u;
    l.columns = wide - s->px < s->iw ? wide - s->px : s->iw;
    l.x_column = s->ic;
    l.x_row = s->iw * s->ic;
    l.pitch = 4 * tall;
    strips p;
    p.zo = s->zo;
    p.row = s->ow * s->oc;
    p.column = s->oc;
    p.pitch = l.pitch;
    p.lo = s->lo;
    p.hi = s->hi;
    p.clamp = is_clamped(s->lo, s->hi);
    p.stride = stride;
    uint32_t *plane = (uint32_t *)(arena + s->s);
    const int8_t *w = (const int8_t *)weights + s->w;
    set_rows(&l, plane, 0, -1, tall);
    for (int o = 0; o < s->oc; o++, w += 9) {
        const quant *q = quant_at(weights, s->q) + (o >> 2);
        p.bias = q->bias[o & 3];
        p.m = q->multiplier[o & 3] << 1;
        p.e = q->shift[o & 3];
        for (int i = 0; i < 3; i++) {
            uint32_t middle = (uint16_t)w[3 * i + 1];
            p.w[2 * i] = (uint16_t)w[3 * i] | middle << 16;
            p.w[2 * i + 1] = middle | (uint32_t)w[3 * i + 2] << 16;
        }
        for (int r = 0, kept = 0; r < s->oh; r += band) {
            p.rows = s->oh - r < band ? s->oh - r : band;
            // Rows of the image, and a plane that starts with row `top`.
            int top = r * stride - s->py, bottom = top + (p.rows - 1) * stride + 3;
            int first = top + kept < 0 ? 0 : top + kept, last = bottom > s->ih ? s->ih : bottom;
            last = last < first ? first : last;
            if (band < s->oh) {
                set_rows(&l, plane, 0, band * stride, kept);
                set_rows(&l, plane, kept, -1, first - top - kept);
                set_rows(&l, plane, last - top, -1, bottom - last);
            }
            l.rows = last - first;
            l.x = (const int8_t *)arena + s->x + first * l.x_row + o;
            l.d = (int16_t *)plane + (s->px >> 1) * 2 * tall + (s->px & 1) + 2 * (first - top);
            dsp_load(&l);
            kept = 3 - stride;
            p.plane = (const int16_t *)plane;
            p.y = (int8_t *)arena + s->y + r * p.row + o;
            p.left = s->ow;
            dsp_strips(&p);
        }
    }
    return 1;
}

// ---- add ------------------------------------------------------------------------------------------------------------
// Scratch: what each value of each operand adds, where enough elements make the tables worth it.

GLUE int dsp_sum(const add_step *s, const uint8_t *weights, uint8_t *arena) {
    int32_t *a = (int32_t *)(arena + s->s), *b = a + 256;
    (void)weights;
    if (s->n < TABLED || s->eo < 1 || s->mo < 1 << 30) {
        return 0;
    }
    for (int v = -128; v < 128; v++) {
        a[v & 255] = requantize((v - s->za) * (1 << 20), s->ma, s->ea);
        b[v & 255] = requantize((v - s->zb) * (1 << 20), s->mb, s->eb);
    }
    int8_t *y = (int8_t *)arena + s->y;
    sum p = {
        (const int8_t *)arena + s->a, (const int8_t *)arena + s->b, y, y + s->n, a, b, s->mo << 1, s->eo, s->zo, s->lo,
        s->hi, is_clamped(s->lo, s->hi),
    };
    dsp_add(&p);
    return 1;
}

#endif
