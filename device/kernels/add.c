// y[i] = clamp(requantize(requantize((a[i] - za) << 20) + requantize((b[i] - zb) << 20)) + zo)
// a, b, y [n] int8. Both operands meet at twice the larger scale.
// Scratch, from 512 elements on: what each of 256 values of a adds, then b, int32. Cannot fail: check() ran at load.
#include "whit.h"

static COLD int32_t operand(int value, int zero, int32_t m, int e) {
    return requantize((value - zero) * (1 << 20), m, e);
}

static void add(const add_step *s, const uint8_t *weights, uint8_t *arena) {
#ifdef ADD_FAST
    if (ADD_FAST(s, weights, arena)) {
        return;
    }
#endif
    const int8_t *a = (const int8_t *)arena + s->a, *b = (const int8_t *)arena + s->b;
    int8_t *y = (int8_t *)arena + s->y;
    // Right shifts keep the sums below 2**30.
    output to = output_of(s->ea >= 0 && s->eb >= 0 && s->eo > 0, s->zo, s->lo, s->hi, 1);
    quant q;
    q.bias[0] = 0, q.multiplier[0] = s->mo, q.shift[0] = s->eo;
#ifndef SMALL
    int32_t *of_a = (int32_t *)(arena + s->s), *of_b = of_a + 256;
    int tables = s->n >= TABLED;
    for (int i = 0; i < 256 && tables; i++) {
        of_a[i] = operand((int8_t)i, s->za, s->ma, s->ea);
        of_b[i] = operand((int8_t)i, s->zb, s->mb, s->eb);
    }
#endif
    for (uint32_t left = s->n, n; left; left -= n, y += n) {
        int32_t sums[32];
        n = left < 32 ? left : 32;
        for (uint32_t i = 0; i < n; i++, a++, b++) {
#ifndef SMALL
            if (tables) {
                sums[i] = of_a[(uint8_t)*a] + of_b[(uint8_t)*b];
                continue;
            }
#endif
            sums[i] = operand(*a, s->za, s->ma, s->ea) + operand(*b, s->zb, s->mb, s->eb);
        }
        finish(sums, (int)n, &q, 0, 1, &to, y);
    }
    (void)weights;
}
