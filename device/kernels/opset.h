// Generated from device/whit/opset.py by tools/generate_format.py; change it there.
#ifndef WHIT_OPSET_H
#define WHIT_OPSET_H
#include <stdint.h>

#define BOUNDED 1
#define INT4 2
#define WIDENED 1024
#define PIECE 256
#define PLANE 3072
#define TABLED 512

typedef struct {
    uint8_t kernel, flags; uint16_t size;
    uint32_t x;
    uint32_t y;
    uint32_t w;
    uint32_t q;
    uint32_t s;
    uint16_t ih;
    uint16_t iw;
    uint16_t ic;
    uint16_t oh;
    uint16_t ow;
    uint16_t oc;
    uint8_t kh;
    uint8_t kw;
    uint8_t sy;
    uint8_t sx;
    uint8_t dy;
    uint8_t dx;
    uint8_t py;
    uint8_t px;
    int8_t zi;
    int8_t zo;
    int8_t lo;
    int8_t hi;
} conv2d_step;
_Static_assert(sizeof(conv2d_step) == 48, "conv2d: record size");

typedef struct {
    uint8_t kernel, flags; uint16_t size;
    uint32_t x;
    uint32_t y;
    uint32_t w;
    uint32_t q;
    uint32_t s;
    uint16_t ih;
    uint16_t iw;
    uint16_t ic;
    uint16_t oh;
    uint16_t ow;
    uint16_t oc;
    uint8_t kh;
    uint8_t kw;
    uint8_t sy;
    uint8_t sx;
    uint8_t dy;
    uint8_t dx;
    uint8_t py;
    uint8_t px;
    int8_t zi;
    int8_t zo;
    int8_t lo;
    int8_t hi;
} depthwise_step;
_Static_assert(sizeof(depthwise_step) == 48, "depthwise: record size");

typedef struct {
    uint8_t kernel, flags; uint16_t size;
    uint32_t x;
    uint32_t y;
    uint32_t w;
    uint32_t q;
    uint32_t s;
    uint32_t k;
    uint32_t o;
    uint16_t rows;
    int8_t zo;
    int8_t lo;
    int8_t hi;
} dense_step;
_Static_assert(sizeof(dense_step) == 40, "dense: record size");

typedef struct {
    uint8_t kernel, flags; uint16_t size;
    uint32_t x;
    uint32_t y;
    uint16_t ih;
    uint16_t iw;
    uint16_t c;
    uint16_t oh;
    uint16_t ow;
    uint8_t kh;
    uint8_t kw;
    uint8_t sy;
    uint8_t sx;
    uint8_t py;
    uint8_t px;
    int8_t lo;
    int8_t hi;
} average_pool_step;
_Static_assert(sizeof(average_pool_step) == 32, "average_pool: record size");

typedef struct {
    uint8_t kernel, flags; uint16_t size;
    uint32_t x;
    uint32_t y;
    uint16_t ih;
    uint16_t iw;
    uint16_t c;
    uint16_t oh;
    uint16_t ow;
    uint8_t kh;
    uint8_t kw;
    uint8_t sy;
    uint8_t sx;
    uint8_t py;
    uint8_t px;
    int8_t lo;
    int8_t hi;
} max_pool_step;
_Static_assert(sizeof(max_pool_step) == 32, "max_pool: record size");

typedef struct {
    uint8_t kernel, flags; uint16_t size;
    uint32_t a;
    uint32_t b;
    uint32_t y;
    uint32_t s;
    uint32_t n;
    int32_t ma;
    int32_t mb;
    int32_t mo;
    int8_t ea;
    int8_t eb;
    int8_t eo;
    int8_t za;
    int8_t zb;
    int8_t zo;
    int8_t lo;
    int8_t hi;
} add_step;
_Static_assert(sizeof(add_step) == 44, "add: record size");

typedef struct {
    uint8_t kernel, flags; uint16_t size;
    uint32_t x;
    uint32_t y;
    uint32_t t;
    uint32_t rows;
    uint16_t depth;
    uint16_t entries;
} softmax_step;
_Static_assert(sizeof(softmax_step) == 24, "softmax: record size");

typedef struct {
    uint8_t kernel, flags; uint16_t size;
    uint32_t x;
    uint32_t y;
    uint32_t t;
    uint32_t n;
} lookup_step;
_Static_assert(sizeof(lookup_step) == 20, "lookup: record size");

typedef struct {
    uint8_t kernel, flags; uint16_t size;
    uint32_t x;
    uint32_t y;
    uint32_t n0;
    uint32_t n1;
    uint32_t n2;
    uint32_t n3;
    uint32_t x0;
    uint32_t x1;
    uint32_t x2;
    uint32_t y0;
    uint32_t y1;
    uint32_t y2;
} copy_step;
_Static_assert(sizeof(copy_step) == 52, "copy: record size");

typedef struct {
    uint8_t kernel, flags; uint16_t size;
    uint32_t y;
    uint32_t n;
    int8_t value;
} fill_step;
_Static_assert(sizeof(fill_step) == 16, "fill: record size");

typedef struct {
    uint8_t kernel, flags; uint16_t size;
    uint32_t x;
    uint32_t y;
    uint32_t n;
    int32_t bias;
    int32_t m;
    uint16_t c;
    int8_t e;
    int8_t zo;
} mean_step;
_Static_assert(sizeof(mean_step) == 28, "mean: record size");

#endif
