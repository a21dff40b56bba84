// Cortex-M0 and M0+: what leads to the inner loops of m0.S. Each *_fast() answers whether it has done the step; where
// it has not, the kernel's plain C does. They need the flag BOUNDED but for add and average_pool, which carry what they
// need in their fields.
#ifndef WHIT_M0_H
#define WHIT_M0_H

#define CONV2D_FAST conv2d_fast
#define DEPTHWISE_FAST depthwise_fast
#define DENSE_FAST dense_fast
#define ADD_FAST add_fast
#define AVERAGE_POOL_FAST average_pool_fast

// The frames of m0.S, in its order of fields.
typedef struct {
    uint32_t *x, *mid, *end;
    uintptr_t off;
    int32_t delta;
    int8_t *out, *out_end;
    int32_t pixel[3], relu, zo, block, entry, eoff, hi, lo;
    const quant *q;
    const uint8_t *dead;
} m0_conv2d_frame;

typedef struct {
    int32_t n, half, rows, row;
} m0_pack_frame;

typedef struct {
    const uint8_t *w;
    const quant *q;
    int8_t *out, *out_end;
    const int32_t *x, *x_end;
    int32_t correction, encoded, zo, relu, eoff, hi, sums[4], lo;
    const uint8_t *int4;
} m0_dense_frame;

typedef struct {
    int32_t bias, bias2, high, low, shift, zo, taps[9], odd, lo, hi, c;
    int8_t *out, *last;
    int32_t out_row, rows;
    const int8_t *in;
    int32_t in_row, in_rows;
    uint32_t *next, *ring, *ring_end;
    int32_t row;
    uint32_t *edge;
    int32_t zi, lead, count, stride, above, step, back, to_last;
} m0_depthwise3_frame;

typedef struct {
    const int8_t *a, *b;
    int8_t *y;
    const int32_t *table_a;
    int32_t high, low, shift, zo;
    const int32_t *table_b;
    int32_t n, relu, lo, hi;
} m0_add_frame;

#define M0 __attribute__((visibility("hidden"))) extern
M0 void m0_conv2d(const m0_conv2d_frame *);
M0 void m0_pack(uint32_t *to, const int8_t *a, const int8_t *b, const m0_pack_frame *);
M0 void m0_dense(const m0_dense_frame *);
M0 void m0_depthwise3(const m0_depthwise3_frame *);
M0 void m0_add(const m0_add_frame *);

// What a ReLU leaves is what the short way of requantizing clamps to.
static inline int m0_relu(int zo, int lo, int hi) {
    return lo == zo && hi == 127;
}

// The window of an output pixel at (iy, ix), padded to quads: by words where pixels consist of them, else by runs of
// bytes.
static NOINLINE void m0_patch(const conv2d_step *s, const int8_t *x, int iy, int ix, int8_t *to) {
    int words = (((uintptr_t)x | s->ic) & 3) == 0, whole = !words && s->dx == 1;
    int runs = whole ? 1 : s->kw, n = whole ? s->kw * s->ic : s->ic;
    uint32_t outside = (uint8_t)s->zi * 0x01010101u;
    for (int i = 0; i < s->kh; i++, iy += s->dy) {
        for (int j = 0, at = ix; j < runs; j++, at += s->dx) {
            const int8_t *from = x + ((ptrdiff_t)iy * s->iw + at) * s->ic;
            int inside = (unsigned)iy < s->ih;
            if (words) {
                int step = inside && (unsigned)at < s->iw ? 4 : 0;
                from = step ? from : (const int8_t *)&outside;
                for (int k = n; k > 0; k -= 4, from += step, to += 4) {
                    *(uint32_t *)to = *(const uint32_t *)from;
                }
            } else {
                unsigned past = (unsigned)(at * s->ic), width = inside ? s->iw * s->ic : 0; // of the row's first byte
                for (int k = n; k > 0; k--, past++, from++) {
                    *to++ = past < width ? *from : s->zi;
                }
            }
        }
    }
    while ((uintptr_t)to & 3) {
        *to++ = 0;
    }
}

static inline void m0_next(const conv2d_step *s, int *iy, int *ix) {
    *ix += s->sx;
    if (*ix == s->ow * s->sx - s->px) {
        *ix = -s->px;
        *iy += s->sy;
    }
}

static inline int m0_inside(const conv2d_step *s, int iy, int ix) {
    return s->dx == 1 && (iy | ix) >= 0 && iy + (s->kh - 1) * s->dy < s->ih && ix + s->kw <= s->iw;
}

// A bit for each of the last 256 channels, the last one's first: whether all weights are 0.
static NOINLINE void m0_dead(const conv2d_step *s, const uint8_t *w, int quads, uint8_t dead[32]) {
    for (int i = 0; i < 32; i++) {
        dead[i] = 0;
    }
    const uint32_t *block = (const uint32_t *)w;
    for (int o = 0, left = s->oc - 1; left >= 0; o++, left--) {
        int g = 0;
        while (g < quads && block[(o & 3) + 4 * g] == 0) {
            g++;
        }
        if (g == quads && left < 256) {
            dead[left >> 3] |= 1 << (left & 7);
        }
        if ((o & 3) == 3) {
            block += 4 * quads;
        }
    }
}

static int conv2d_fast(const conv2d_step *s, const uint8_t *weights, uint8_t *arena, const uint8_t *w) {
    enum { UNROLLED = 7, PAIR_BYTES = 34 };
    const int8_t *x = (const int8_t *)arena + s->x;
    int8_t *y = (int8_t *)arena + s->y;
    int n = s->kw * s->ic, quads = (s->kh * n + 3) / 4, half = 16 * quads, left = s->oh * s->ow, first = 0;
    for (int i = 0; i < quads; i++) { // what is left of `quads` for the first time through the loop
        first = first == UNROLLED ? 1 : first + 1;
    }
    uint32_t *words = (uint32_t *)(arena + s->s);
    int8_t *patches = (int8_t *)(words + 8 * quads);
    uint8_t dead[32];
    m0_dead(s, w, quads, dead);
    m0_conv2d_frame f = {
        .x = words, .mid = words + 4 * quads, .end = words + 8 * quads,
        .off = (uintptr_t)w - (uintptr_t)words, .delta = 2 - half,
        .relu = m0_relu(s->zo, s->lo, s->hi), .zo = s->zo, .block = half - 16,
        .entry = (UNROLLED - first) * PAIR_BYTES, .eoff = 32, .hi = s->hi, .lo = s->lo,
        .q = quant_at(weights, s->q), .dead = dead,
    };
    m0_pack_frame window = {.n = n, .half = half, .rows = s->kh, .row = s->dy * s->iw * s->ic};
    m0_pack_frame patch = {.n = 4 * quads, .half = half, .rows = 1};
    int r = -s->py, c = -s->px; // where the next pixel's window starts
    f.pixel[0] = s->oc;
    f.pixel[1] = 2 * s->oc;
    f.pixel[2] = 3 * s->oc;
    if ((s->kh | s->kw | s->sy | s->sx) == 1 && (s->py | s->px) == 0 && s->ow == s->iw) {
        const int8_t *from = x; // pointwise: pixel after pixel
        for (; left >= 4; left -= 4, from += 4 * n, y += 4 * s->oc) {
            m0_pack(words, from, from + n, &window);
            m0_pack(words + 2, from + 2 * n, from + 3 * n, &window);
            f.out = y;
            f.out_end = y + s->oc;
            m0_conv2d(&f);
            for (c += 4; c >= s->ow; c -= s->ow) {
                r++;
            }
        }
    }
    for (int lanes; left > 0; left -= lanes, y += lanes * s->oc) {
        lanes = left > 3 ? 4 : left < 3 ? 1 : 3; // the fourth of three is the third again
        if (lanes == 1) {
            m0_patch(s, x, r, c, patches);
            m0_next(s, &r, &c);
            int32_t *wide = (int32_t *)words;
            for (int k = 0; k < 4 * quads; k++) {
                wide[k] = patches[k];
            }
            m0_dense_frame d;
            d.w = w;
            d.q = f.q;
            d.out = y;
            d.out_end = y + s->oc;
            d.x = wide;
            d.x_end = wide + 4 * quads;
            d.correction = d.encoded = 0;
            d.zo = f.zo;
            d.relu = f.relu;
            d.lo = f.lo;
            d.hi = f.hi;
            m0_dense(&d);
            continue;
        }
        for (int j = 0; j < lanes; j += 2) {
            int iy = r, ix = c;
            if (j + 1 < lanes) {
                m0_next(s, &r, &c);
            }
            if (m0_inside(s, iy, ix) && m0_inside(s, r, c)) {
                const int8_t *from = x + (iy * s->iw + ix) * s->ic;
                m0_pack(words + j, from, x + (r * s->iw + c) * s->ic, &window);
            } else {
                m0_patch(s, x, iy, ix, patches);
                m0_patch(s, x, r, c, patches + 4 * quads);
                m0_pack(words + j, patches, patches + 4 * quads, &patch);
            }
            m0_next(s, &r, &c);
        }
        f.out = y;
        f.out_end = y + s->oc;
        f.pixel[2] = (lanes - 1) * s->oc;
        m0_conv2d(&f);
    }
    return 1;
}

static int dense_fast(const dense_step *s, const uint8_t *weights, uint8_t *arena) {
    const int8_t *x = (const int8_t *)arena + s->x;
    int8_t *y = (int8_t *)arena + s->y;
    int32_t *wide = (int32_t *)(arena + s->s);
    for (int r = 0; r < s->rows; r++, y += s->o) {
        int32_t *to = wide, even = 0;
        for (uint32_t k = 0; k < s->k; k += 2) {
            int v = *x++;
            even += v;
            *to++ = v;
            *to++ = k + 1 < s->k ? *x++ - 128 : 0;
        }
        if ((to - wide) & 2) {
            *to++ = 0;
            *to++ = 0;
        }
        m0_dense_frame f;
        f.w = weights + s->w;
        f.int4 = f.w;
        f.q = quant_at(weights, s->q);
        f.out = y;
        f.out_end = y + s->o;
        f.x = wide;
        f.x_end = to;
        f.correction = -128 * even;
        f.encoded = s->flags & INT4 ? 2 : 1;
        f.zo = s->zo;
        f.relu = m0_relu(s->zo, s->lo, s->hi);
        f.lo = s->lo;
        f.hi = s->hi;
        m0_dense(&f);
    }
    return 1;
}

// Any kernel, stride, padding and dilation: a ring of as many rows as a window spans.
static NOINLINE void m0_depthwise(const depthwise_step *s, const uint8_t *weights, uint8_t *arena) {
    int row = ((s->ow - 1) * s->sx + (s->kw - 1) * s->dx + 8) & ~3, tall = (s->kh - 1) * s->dy + 1;
    int used = (s->ow - 1) * s->sx + (s->kw - 1) * s->dx + 1, size = tall * row;
    uint32_t *ring = (uint32_t *)(arena + s->s), *ring_end = ring + size;
    const int8_t *taps = (const int8_t *)weights + s->w;
    for (int o = 0; o < s->oc; o++, taps += s->kh * s->kw) {
        const quant *q = quant_at(weights, s->q) + (o >> 2);
        int32_t bias = q->bias[o & 3], m = q->multiplier[o & 3], shift = q->shift[o & 3];
        int8_t *y = (int8_t *)arena + s->y + o;
        uint32_t *first = ring, *to = ring; // the row of the ring where the window starts, and the next one to fill
        int next = -s->py;                  // the input row that belongs there
        for (int r = 0, top = -s->py; r < s->oh; r++, top += s->sy) {
            if (next < top) {
                next = top;
                to = first;
            }
            for (; next < top + tall; next++) {
                const int8_t *x = (const int8_t *)arena + s->x + o + (ptrdiff_t)next * s->iw * s->ic;
                unsigned width = (unsigned)next < s->ih ? s->iw : 0;
                for (int i = 0, at = -s->px; i < used; i++, at++) {
                    int32_t a = (unsigned)at < width ? x[at * s->ic] : s->zi;
                    int32_t b = (unsigned)(at + s->sx) < width ? x[(at + s->sx) * s->ic] : s->zi;
                    *to++ = (uint32_t)a + ((uint32_t)b << 16);
                }
                to += row - used;
                to = to == ring_end ? ring : to;
            }
            for (int c = 0; c < s->ow; c += 2) {
                int32_t total = (int32_t)((uint32_t)bias + ((uint32_t)bias << 16)), upper = bias;
                const uint32_t *from = first + c * s->sx;
                const int8_t *w = taps;
                for (int i = 0; i < s->kh; i++) {
                    const uint32_t *v = from;
                    for (int j = 0; j < s->kw; j++, v += s->dx) {
                        int32_t both = (int32_t)*v * *w++;
                        total += both;
                        upper += (both + 0x8000) >> 16;
                    }
                    from += s->dy * row;
                    from = from >= ring_end ? from - size : from;
                }
                for (int32_t acc = total - (int32_t)((uint32_t)upper << 16), i = c; i < s->ow && i < c + 2; i++) {
                    *y = clamp(requantize(acc, m, shift) + s->zo, s->lo, s->hi);
                    y += s->oc;
                    acc = upper;
                }
            }
            for (int i = 0; i < s->sy; i++) {
                first += row;
                first = first == ring_end ? ring : first;
            }
        }
    }
}

static int depthwise_fast(const depthwise_step *s, const uint8_t *weights, uint8_t *arena) {
    if (s->ic != s->oc) {
        return 0;
    }
    if (s->kh != 3 || s->kw != 3 || (s->dy | s->dx) != 1 || s->sx != s->sy || s->sx > 2 || (s->py | s->px) > 1 ||
        s->iw < 2) {
        m0_depthwise(s, weights, arena);
        return 1;
    }
    int row = ((s->ow - 1) * s->sx + 2 + 8) & ~3, used = (s->ow - 1) * s->sx + 3 + s->sx - s->px;
    uint32_t *ring = (uint32_t *)(arena + s->s);
    for (int i = 0; i < 4 * row; i++) {
        ring[i] = (uint32_t)s->zi + ((uint32_t)s->zi << 16);
    }
    m0_depthwise3_frame f; // not by an initializer, which becomes a call of memset
    f.zo = s->zo;
    f.odd = s->ow & 1;
    f.lo = s->lo;
    f.hi = s->hi;
    f.c = s->ic;
    f.out_row = s->ow * s->oc;
    f.rows = s->oh;
    f.in_row = s->iw * s->ic;
    f.in_rows = s->ih;
    f.next = ring;
    f.ring = ring;
    f.ring_end = ring + 3 * row;
    f.row = 4 * row;
    f.edge = ring + 3 * row;
    f.zi = s->zi;
    f.lead = s->px;
    f.count = s->iw < used ? s->iw : used;
    f.stride = s->sx;
    f.above = s->py;
    f.step = 8 * s->sx;
    f.back = -((s->ow + 1) >> 1) * 8 * s->sx;
    f.to_last = ((s->ow - 1) | 1) * s->oc;
    int any_clamp = m0_relu(s->zo, s->lo, s->hi) ? 0 : 1 << 8;
    const int8_t *w = (const int8_t *)weights + s->w, *x = (const int8_t *)arena + s->x - s->ic;
    int8_t *y = (int8_t *)arena + s->y;
    for (int o = 0; o < s->oc; o++, w += 9) {
        const quant *q = quant_at(weights, s->q) + (o >> 2);
        int i = o & 3;
        f.bias = q->bias[i];
        f.bias2 = (int32_t)((uint32_t)f.bias + ((uint32_t)f.bias << 16));
        f.high = q->multiplier[i] >> 16;
        f.low = q->multiplier[i] & 0xFFFF;
        f.shift = q->shift[i] | any_clamp;
        for (int j = 0; j < 9; j++) {
            f.taps[j] = w[j];
        }
        f.in = x + o;
        f.out = y + o;
        m0_depthwise3(&f);
    }
    return 1;
}

// What an operand adds for each of its values, by the value as an unsigned byte.
static NOINLINE void m0_add_table(int32_t *table, int z, int32_t m, int e) {
    for (int i = 0; i < 256; i++) {
        table[i] = requantize(((int8_t)i - z) * (1 << 20), m, e);
    }
}

static int add_fast(const add_step *s, const uint8_t *weights, uint8_t *arena) {
    (void)weights;
    if (s->n < TABLED || s->ea < 0 || s->eb < 0 || s->eo < 1) {
        return 0;
    }
    int32_t *tables = (int32_t *)(arena + s->s);
    m0_add_table(tables, s->za, s->ma, s->ea);
    m0_add_table(tables + 256, s->zb, s->mb, s->eb);
    m0_add_frame f = {
        .a = (const int8_t *)arena + s->a, .b = (const int8_t *)arena + s->b, .y = (int8_t *)arena + s->y,
        .table_a = tables, .high = s->mo >> 16, .low = s->mo & 0xFFFF, .shift = s->eo, .zo = s->zo,
        .table_b = tables + 256, .n = (int32_t)s->n, .relu = m0_relu(s->zo, s->lo, s->hi), .lo = s->lo, .hi = s->hi,
    };
    m0_add(&f);
    return 1;
}

static int mean_of(int32_t sum, int32_t count); // of average_pool.c

// Over the whole image, four channels at a time: their sums of x + 128 in the halves of two words, which hold 256.
static int average_pool_fast(const average_pool_step *s, const uint8_t *weights, uint8_t *arena) {
    enum { MASK = 0x00FF00FF, SIGNS = (int)0x80808080 };
    int count = s->ih * s->iw, words = s->c >> 2;
    const uint32_t *x = (const uint32_t *)(arena + s->x);
    int8_t *y = (int8_t *)arena + s->y;
    (void)weights;
    if (s->oh != 1 || s->ow != 1 || s->py || s->px || s->kh != s->ih || s->kw != s->iw || (s->c | s->x) & 3) {
        return 0;
    }
    for (int k = 0; k < words; k++, x++) {
        int32_t sums[4] = {-128 * count, -128 * count, -128 * count, -128 * count};
        const uint32_t *from = x;
        for (int left = count; left > 0; left -= 256) {
            uint32_t even = 0, odd = 0;
            for (int n = left < 256 ? left : 256; n > 0; n--, from += words) {
                uint32_t v = *from ^ (uint32_t)SIGNS;
                even += v & MASK;
                odd += (v >> 8) & MASK;
            }
            sums[0] += even & 0xFFFF;
            sums[1] += odd & 0xFFFF;
            sums[2] += even >> 16;
            sums[3] += odd >> 16;
        }
        for (int i = 0; i < 4; i++) {
            *y++ = clamp(mean_of(sums[i], count), s->lo, s->hi);
        }
    }
    return 1;
}

#endif
