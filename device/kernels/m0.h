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
    const uint8_t *w;
    const quant *q;
    int8_t *out, *out_end;
    const int32_t *x, *x_end;
    int32_t correction, encoded, zo, lo, hi, relu, eoff;
} m0_dense_frame;

typedef struct {
    int32_t bias, bias2, high, low, shift, zo, taps[9], relu, lo, hi, c;
    int8_t *out, *out_end;
    int32_t out_row, rows;
    const int8_t *in;
    int32_t in_row, in_rows;
    uint32_t *next, *ring, *ring_end;
    int32_t row;
    uint32_t *edge;
    int32_t zi, lead, count, stride, above, step, back;
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
M0 void m0_pack(uint32_t *to, const int8_t *a, const int8_t *b, int n, int half);
M0 void m0_dense(const m0_dense_frame *);
M0 void m0_depthwise3(const m0_depthwise3_frame *);
M0 void m0_add(const m0_add_frame *);

// What a ReLU leaves is what the short way of requantizing clamps to.
static inline int m0_relu(int zo, int lo, int hi) {
    return lo == zo && hi == 127;
}

// The window of an output pixel, padded to quads.
static NOINLINE void m0_patch(const conv2d_step *s, const int8_t *x, int iy, int ix, int8_t *out) {
    for (int i = 0; i < s->kh; i++, iy += s->dy) {
        const int8_t *row = x + ((ptrdiff_t)iy * s->iw + ix) * s->ic;
        int n = s->kw * s->ic, low = ix < 0 ? -ix * s->ic : 0, high = (s->iw - ix) * s->ic;
        if ((unsigned)iy >= s->ih) {
            high = 0;
        }
        if (s->dx == 1) {
            int k = 0;
            for (int end = low < n ? low : n; k < end; k++) {
                out[k] = s->zi;
            }
            for (int end = high < n ? high : n; k < end; k++) {
                out[k] = row[k];
            }
            for (; k < n; k++) {
                out[k] = s->zi;
            }
            out += n;
        } else {
            for (int j = 0, at = 0; j < s->kw; j++, at += s->dx * s->ic) {
                for (int k = 0; k < s->ic; k++) {
                    *out++ = at >= low && at < high ? row[at + k] : s->zi;
                }
            }
        }
    }
    while ((uintptr_t)out & 3) {
        *out++ = 0;
    }
}

// A bit for each of the last 256 channels, the last one's first: whether all weights are 0.
static NOINLINE void m0_dead(const conv2d_step *s, const uint8_t *weights, int quads, uint8_t dead[32]) {
    for (int i = 0; i < 32; i++) {
        dead[i] = 0;
    }
    const uint32_t *block = (const uint32_t *)(weights + s->w);
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

static int conv2d_fast(const conv2d_step *s, const uint8_t *weights, uint8_t *arena) {
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
    m0_dead(s, weights, quads, dead);
    m0_conv2d_frame f = {
        .x = words, .mid = words + 4 * quads, .end = words + 8 * quads,
        .off = (uintptr_t)(weights + s->w) - (uintptr_t)words, .delta = 2 - half,
        .relu = m0_relu(s->zo, s->lo, s->hi), .zo = s->zo, .block = half - 16,
        .entry = (UNROLLED - first) * PAIR_BYTES, .eoff = 32, .hi = s->hi, .lo = s->lo,
        .q = quant_at(weights, s->q), .dead = dead,
    };
    int runs = s->dx == 1 && n % 4 == 0; // a window inside the image is packed where it lies
    int r = -s->py, c = 0, end = s->ow * s->sx - s->px;
    for (c = -s->px; left > 0;) {
        int lanes = left < 3 ? 1 : left < 4 ? 3 : 4;
        int last = lanes - 1;
        for (int j = 0; j < (lanes > 1 ? 4 : 1); j += 2) {
            const int8_t *from[2];
            int inside = runs, iy[2], ix[2];
            for (int i = 0; i < 2; i++) {
                iy[i] = r;
                ix[i] = c;
                inside = inside && r >= 0 && c >= 0 && r + (s->kh - 1) * s->dy < s->ih && c + s->kw <= s->iw;
                from[i] = x + ((ptrdiff_t)r * s->iw + c) * s->ic;
                if (j + i < last) {
                    c += s->sx;
                    if (c == end) {
                        c = -s->px;
                        r += s->sy;
                    }
                }
            }
            if (lanes == 1) {
                m0_patch(s, x, iy[0], ix[0], patches);
            } else if (inside) {
                uint32_t *to = words + 2 * (j >> 1);
                for (int i = 0; i < s->kh; i++, to += n) {
                    m0_pack(to, from[0], from[1], n, half);
                    from[0] += s->dy * s->iw * s->ic;
                    from[1] += s->dy * s->iw * s->ic;
                }
            } else {
                m0_patch(s, x, iy[0], ix[0], patches);
                m0_patch(s, x, iy[1], ix[1], patches + 4 * quads);
                m0_pack(words + 2 * (j >> 1), patches, patches + 4 * quads, 4 * quads, half);
            }
        }
        c += s->sx;
        if (c == end) {
            c = -s->px;
            r += s->sy;
        }
        if (lanes == 1) {
            int32_t *wide = (int32_t *)words;
            for (int k = 0; k < 4 * quads; k++) {
                wide[k] = patches[k];
            }
            m0_dense_frame d = {
                .w = weights + s->w, .q = f.q, .out = y, .out_end = y + s->oc, .x = wide, .x_end = wide + 4 * quads,
                .zo = s->zo, .lo = s->lo, .hi = s->hi, .relu = f.relu,
            };
            m0_dense(&d);
        } else {
            f.out = y;
            f.out_end = y + s->oc;
            f.pixel[0] = s->oc;
            f.pixel[1] = 2 * s->oc;
            f.pixel[2] = last * s->oc;
            m0_conv2d(&f);
        }
        y += lanes * s->oc;
        left -= lanes;
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
        m0_dense_frame f = {
            .w = weights + s->w, .q = quant_at(weights, s->q), .out = y, .out_end = y + s->o, .x = wide, .x_end = to,
            .correction = -128 * even, .encoded = 1, .zo = s->zo, .lo = s->lo, .hi = s->hi,
            .relu = m0_relu(s->zo, s->lo, s->hi),
        };
        m0_dense(&f);
    }
    return 1;
}

static int depthwise_fast(const depthwise_step *s, const uint8_t *weights, uint8_t *arena) {
    if (s->ic != s->oc || s->kh != 3 || s->kw != 3 || (s->dy | s->dx) != 1 || s->sx != s->sy || s->sx > 2 ||
        (s->py | s->px) > 1 || s->iw < 2) {
        return 0;
    }
    int row = ((s->ow - 1) * s->sx + 2 + 8) & ~3, used = (s->ow - 1) * s->sx + 3 + s->sx - s->px;
    uint32_t *ring = (uint32_t *)(arena + s->s);
    for (int i = 0; i < 4 * row; i++) {
        ring[i] = (uint32_t)s->zi + ((uint32_t)s->zi << 16);
    }
    m0_depthwise3_frame f; // not by an initializer, which becomes a call of memset
    f.zo = s->zo;
    f.relu = m0_relu(s->zo, s->lo, s->hi);
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
    const int8_t *w = (const int8_t *)weights + s->w, *x = (const int8_t *)arena + s->x - s->ic;
    int8_t *y = (int8_t *)arena + s->y;
    for (int o = 0; o < s->oc; o++, w += 9) {
        const quant *q = quant_at(weights, s->q) + (o >> 2);
        int i = o & 3;
        f.bias = q->bias[i];
        f.bias2 = (int32_t)((uint32_t)f.bias + ((uint32_t)f.bias << 16));
        f.high = q->multiplier[i] >> 16;
        f.low = q->multiplier[i] & 0xFFFF;
        f.shift = q->shift[i];
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
    if (s->n < 512 || s->ea < 0 || s->eb < 0 || s->eo < 1) {
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

#endif
