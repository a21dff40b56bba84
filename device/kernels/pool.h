// What the pools share.
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

#endif
