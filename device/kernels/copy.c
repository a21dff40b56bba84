// y[i, j, k, :] = x[i, j, k, :], a box of n0 x n1 x n2 runs of n3 bytes with a stride per dimension on each side
// Cannot fail: check() ran at load.
#include "whit.h"

static COLD void copy(const copy_step *s, const uint8_t *weights, uint8_t *arena) {
    for (uint32_t i = 0; i < s->n0; i++) {
        for (uint32_t j = 0; j < s->n1; j++) {
            for (uint32_t k = 0; k < s->n2; k++) {
                const uint8_t *x = arena + s->x + (size_t)i * s->x0 + (size_t)j * s->x1 + (size_t)k * s->x2;
                uint8_t *y = arena + s->y + (size_t)i * s->y0 + (size_t)j * s->y1 + (size_t)k * s->y2;
                for (uint32_t n = 0; n < s->n3; n++) {
                    y[n] = x[n];
                }
            }
        }
    }
    (void)weights;
}
