// y[r, o] = requantize(bias[o] + sum x[r, i] * w[o, i])
// x [rows][k] int8; y [rows][o] int8; w quad blocks [o/4][k/4][4 o][4 k] with w + 128 in the even k; bias with the
// input's zero point and 128 * sum(w of odd k) folded in, so the odd k take x - 128.
// Cannot fail: check() ran at load.
#include "whit.h"

static void dense(const dense_step *s, const uint8_t *weights, uint8_t *arena) {
#ifdef DENSE_FAST
    if (s->flags & BOUNDED && DENSE_FAST(s, weights, arena)) {
        return;
    }
#endif
    const int8_t *x = (const int8_t *)arena + s->x;
    int8_t *y = (int8_t *)arena + s->y;
    for (int r = 0; r < s->rows; r++, x += s->k, y += s->o) {
        const uint8_t *w = weights + s->w;
        const quant *q = quant_at(weights, s->q);
        for (uint32_t o = 0; o < s->o; o += 4, q++) {
            int32_t acc[4] = {0, 0, 0, 0};
            uint32_t k = 0;
            for (; k < s->k; k++) {
                int v = x[k], odd = k & 1;
                const uint8_t *b = w + (k & 3);
                for (int i = 0; i < 4; i++) {
                    acc[i] += odd ? (v - 128) * (int8_t)b[4 * i] : v * (b[4 * i] - 128);
                }
                if ((k & 3) == 3) {
                    w += 16;
                }
            }
            if (k & 3) {
                w += 16;
            }
            finish(acc, q, (int)(s->o - o), y + o, s->zo, s->lo, s->hi);
        }
    }
}
