// What pools and means share.
#ifndef WHIT_POOL_H
#define WHIT_POOL_H
#include "whit.h"

typedef struct {
    int start, end;
} span;

// The part of the window [start, start + size) inside [0, limit).
static inline span cut(int start, int size, int limit) {
    span s = {start < 0 ? 0 : start, start + size > limit ? limit : start + size};
    return s;
}

// (total +- half) / divisor: away from zero by half, then towards zero. divisor > 0.
static inline int32_t divide(int32_t total, uint32_t half, uint32_t divisor) {
    return total > 0 ? (int32_t)(((uint32_t)total + half) / divisor)
                     : -(int32_t)(((uint32_t)-(uint32_t)total + half) / divisor);
}

#endif
