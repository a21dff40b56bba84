// y[i] = clamp(requantize(requantize((a[i] - za) << 20) + requantize((b[i] - zb) << 20)) + zo)
// a, b, y [n] int8. Both operands meet at twice the larger scale. Cannot fail: check() ran at load.
#include "whit.h"

static void add(const add_step *s, const uint8_t *weights, uint8_t *arena) {
#ifdef ADD_FAST
    if (ADD_FAST(s, weights, arena)) {
        return;
    }
#endif
    const int8_t *a = (const int8_t *)arena + s->a, *b = (const int8_t *)arena + s->b;
    int8_t *y = (int8_t *)arena + s->y;
    for (uint32_t i = 0; i < s->n; i++) {
        int32_t sum = requantize((a[i] - s->za) * (1 << 20), s->ma, s->ea);
        sum += requantize((b[i] - s->zb) * (1 << 20), s->mb, s->eb);
        y[i] = clamp(requantize(sum, s->mo, s->eo) + s->zo, s->lo, s->hi);
    }
    (void)weights;
}
