// y[r, o] = requantize(bias[o] + sum x[r, i] * w[o, i])
// x [rows][k] int8; y [rows][o] int8; w quad blocks [o/4][k/4][4 o][4 k] with w + 128 in the even k; bias with the
// input's zero point and 128 * sum(w of odd k) folded in, so the odd k take x - 128.
// Scratch: a row's x, x - 128 in the odd k, padded to 4 with zeros; the row is in it before any of its y is written.
// Cannot fail: check() ran at load.
#include "whit.h"

static NOINLINE void dense_sums(const int16_t *x, const uint8_t *w, int quads, int32_t start, int32_t *sums) {
    int32_t a[4] = {start, start, start, start};
    for (; quads; quads--, x += 4, w += 16) {
        UNROLL for (int k = 0; k < 4; k += 2) {
            UNROLL for (int i = 0; i < 4; i++) {
                a[i] += x[k] * w[4 * i + k] + x[k + 1] * (int8_t)w[4 * i + k + 1];
            }
        }
    }
    UNROLL for (int i = 0; i < 4; i++) {
        sums[i * BLOCK] = a[i];
    }
}

static void dense(const dense_step *s, const uint8_t *weights, uint8_t *arena) {
    const int8_t *x = (const int8_t *)arena + s->x;
    int8_t *y = (int8_t *)arena + s->y;
    int16_t *row = (int16_t *)(arena + s->s);
    int quads = (int)((s->k + 3) / 4);
    output to = output_of(s->flags & STEP_BOUNDED, s->zo, s->lo, s->hi, 0);
    for (int r = 0; r < s->rows; r++) {
        int32_t even = 0;
        for (int k = 0; k < 4 * quads; k += 2) {
            int first = (uint32_t)k < s->k ? *x++ : 0;
            even += first;
            row[k] = (int16_t)first;
            row[k + 1] = (int16_t)((uint32_t)k + 1 < s->k ? *x++ - 128 : 0);
        }
        const uint8_t *w = weights + s->w;
        const quant *q = quant_at(weights, s->q);
        for (int left = (int)s->o, n; left > 0; left -= n, q++, w += 16 * quads, y += n) {
            int32_t sums[4 * BLOCK];
            n = left < 4 ? left : 4;
            dense_sums(row, w, quads, -128 * even, sums);
            finish(sums, 1, q, 0, n, &to, y);
        }
    }
}
