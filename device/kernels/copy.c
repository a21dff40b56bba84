// y[i, j, k, :] = x[i, j, k, :], a box of n0 x n1 x n2 runs of n3 bytes with a stride per dimension on each side
// Cannot fail: check() ran at load.
#include "whit.h"

// A streaming model's state moves to the front of its own memory, so every block is read before it is written.
static COLD void move(uint8_t *y, const uint8_t *x, uint32_t n) {
    if ((((uintptr_t)x | (uintptr_t)y) & 3) == 0) {
        for (; n >= 16; n -= 16, x += 16, y += 16) {
            const uint32_t *from = (const uint32_t *)x;
            uint32_t *to = (uint32_t *)y, a = from[0], b = from[1], c = from[2], d = from[3];
            to[0] = a;
            to[1] = b;
            to[2] = c;
            to[3] = d;
        }
    }
    for (const uint8_t *end = x + n; x < end;) {
        *y++ = *x++;
    }
}

static COLD void copy(const copy_step *s, const uint8_t *weights, uint8_t *arena) {
    for (uint32_t i = 0; i < s->n0; i++) {
        for (uint32_t j = 0; j < s->n1; j++) {
            for (uint32_t k = 0; k < s->n2; k++) {
                const uint8_t *x = arena + s->x + (size_t)i * s->x0 + (size_t)j * s->x1 + (size_t)k * s->x2;
                uint8_t *y = arena + s->y + (size_t)i * s->y0 + (size_t)j * s->y1 + (size_t)k * s->y2;
                move(y, x, s->n3);
            }
        }
    }
    (void)weights;
}
