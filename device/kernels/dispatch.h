// Generated from device/whit/opset.py by tools/generate_format.py; change it there.
#include "whit.h"

static NOINLINE void conv2d(const conv2d_step *, const uint8_t *, uint8_t *);
static NOINLINE void depthwise(const depthwise_step *, const uint8_t *, uint8_t *);
static NOINLINE void dense(const dense_step *, const uint8_t *, uint8_t *);
static NOINLINE void average_pool(const average_pool_step *, const uint8_t *, uint8_t *);
static NOINLINE void max_pool(const max_pool_step *, const uint8_t *, uint8_t *);
static NOINLINE void add(const add_step *, const uint8_t *, uint8_t *);
static NOINLINE void softmax(const softmax_step *, const uint8_t *, uint8_t *);
static NOINLINE void lookup(const lookup_step *, const uint8_t *, uint8_t *);
static NOINLINE void copy(const copy_step *, const uint8_t *, uint8_t *);
static NOINLINE void fill(const fill_step *, const uint8_t *, uint8_t *);
static NOINLINE void mean(const mean_step *, const uint8_t *, uint8_t *);

#include "conv2d.c"
#include "depthwise.c"
#include "dense.c"
#include "average_pool.c"
#include "max_pool.c"
#include "add.c"
#include "softmax.c"
#include "lookup.c"
#include "copy.c"
#include "fill.c"
#include "mean.c"

static void dispatch(const uint8_t *step, const uint8_t *weights, uint8_t *arena) {
    switch (*step) {
    case 1: conv2d((const conv2d_step *)step, weights, arena); break;
    case 2: depthwise((const depthwise_step *)step, weights, arena); break;
    case 3: dense((const dense_step *)step, weights, arena); break;
    case 4: average_pool((const average_pool_step *)step, weights, arena); break;
    case 5: max_pool((const max_pool_step *)step, weights, arena); break;
    case 6: add((const add_step *)step, weights, arena); break;
    case 7: softmax((const softmax_step *)step, weights, arena); break;
    case 8: lookup((const lookup_step *)step, weights, arena); break;
    case 9: copy((const copy_step *)step, weights, arena); break;
    case 10: fill((const fill_step *)step, weights, arena); break;
    case 11: mean((const mean_step *)step, weights, arena); break;
    }
}
