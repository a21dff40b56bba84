// y[r, o] = requantize(bias[o] + sum x[r, i] * w[o, i])
// x [rows][k] int8; y [rows][o] int8; w quad blocks [o/4][k/4][4 o][4 k] with w + 128 in the even k; bias with the
// input's zero point and 128 * sum(w of odd k) folded in, so the odd k take x - 128. Scratch: a row of x, padded to
// quads, if it is not a long one; it is there before any of its y is written. Then int4 weights as bytes: of four
// channels, a piece of PIECE inputs of a long row at a time. Cannot fail: check() ran at load.
#include "whit.h"

// Adds the products of some quads to the sums of four channels, which started with -128 * sum(x of even k).
static PLAIN void dense_sums(const int8_t *x, const uint8_t *w, int quads, int32_t *sums) {
    int32_t a[4];
    EACH for (int i = 0; i < 4; i++) {
        a[i] = sums[i * BLOCK];
    }
    for (const uint8_t *end = w + 16 * quads; w != end; w += 16, x += 4) {
        UNROLL for (int k = 0; k < 4; k++) {
            int value = k & 1 ? x[k] - 128 : x[k];
            EACH for (int i = 0; i < 4; i++) {
                a[i] += value * (k & 1 ? (int8_t)w[4 * i + k] : w[4 * i + k]);
            }
        }
    }
    EACH for (int i = 0; i < 4; i++) {
        sums[i * BLOCK] = a[i];
    }
}

static void dense(const dense_step *s, const uint8_t *weights, uint8_t *arena) {
#ifdef DENSE_FAST
    if (s->flags & BOUNDED && s->k <= WIDENED && DENSE_FAST(s, weights, arena)) {
        return;
    }
#endif
    const int8_t *x = (const int8_t *)arena + s->x;
    int8_t *y = (int8_t *)arena + s->y;
    output to = output_of(s->flags & BOUNDED, s->zo, s->lo, s->hi, 0);
    uint32_t in_place = s->k <= WIDENED ? 0 : s->k & ~3u; // values that are read where they lie
    for (int r = 0; r < s->rows; r++, x += s->k) {
        int8_t last[4], *copy = in_place ? last : (int8_t *)arena + s->s;
        int32_t even = 0;
        for (uint32_t k = 0; k < s->k; k++) {
            even += k & 1 ? 0 : x[k];
            if (k >= in_place) {
                copy[k - in_place] = x[k];
            }
        }
        uint32_t end = s->k;
        for (; end & 3; end++) {
            copy[end - in_place] = 0;
        }
        uint32_t copied = end - in_place;
        const uint8_t *w = weights + s->w;
        uint32_t *room = s->flags & INT4 ? (uint32_t *)(arena + s->s) + (in_place ? 0 : end) : 0;
        const quant *q = quant_at(weights, s->q);
        for (int channels = (int)s->o, n; channels > 0; channels -= n, q++, y += n) {
            int32_t sums[4 * BLOCK];
            n = channels < 4 ? channels : 4;
            for (int i = 0; i < 4; i++) {
                sums[i * BLOCK] = -128 * even;
            }
            const int8_t *from = x;
            for (uint32_t left = end, count; left; left -= count, from += count) {
                const uint8_t *blocks = w;
                count = left - copied;
                if (left <= copied) {
                    count = left;
                    from = left == copied ? copy : from;
                }
                if (room) {
                    count = count < PIECE ? count : PIECE;
                    blocks = unpack(room, w, (int)(count / 2), DENSE_SIGNS);
                    w -= 2 * count;
                }
                w += 4 * count;
                dense_sums(from, blocks, (int)(count / 4), sums);
            }
            finish(sums, 1, q, 0, n, &to, y);
        }
    }
}
