// What the front-end kernels share: the FRONTEND section as FORMAT.md has it, and the state between two samples.
#ifndef WHIT_FRONTEND_H
#define WHIT_FRONTEND_H
#include <stddef.h>
#include <stdint.h>

// Cores that multiply and add to 64 bits in one instruction.
#if defined(__ARM_ARCH_7M__) || defined(__ARM_ARCH_7EM__) || defined(__x86_64__)
#define WIDE_PRODUCTS
#endif

#define NOINLINE __attribute__((noinline))
#define INLINE static inline __attribute__((always_inline))

enum { GAIN = 1, LOGARITHM = 2, UINT8 = 4 }; // flags
enum { POINTS = 256 };                       // of the complex FFT, which is one of 512 real points

typedef struct {
    uint32_t rate;
    uint16_t window, step, channels, first, end, smoothing[2], least;
    uint8_t smoothing_bits, gain_shift, log_shift, correction, flags, shift;
    uint16_t multiplier;
    uint32_t rounding;
    uint16_t limit, reserved;
} section;

typedef struct {
    int16_t r, i;
} complex;

// In the order of the section.
typedef struct {
    const int16_t *window;
    const complex *twiddles, *real_twiddles;
    const uint8_t *widths;
    const int16_t *weights, *gains;
    const uint16_t *logarithms;
} tables;

// Behind it, uint32_t estimates[channels] and int16_t ring[window].
typedef struct {
    uint16_t left, at;    // samples until the frame is whole; where in the ring the next one goes
    union {
        complex x[POINTS];
        uint32_t energies[POINTS];
    };
    uint32_t estimates[];
} state;

#endif
