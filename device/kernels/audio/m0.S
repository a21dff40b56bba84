// The turned butterflies of fft.h for Cortex-M0 and M0+, whose compiler has not the registers for them.
//
// K is QUARTERED, in r7 and in lr; HALF is in r8. A point is loaded as a word and taken apart: `ldrsh` would need the
// sum of two registers for an address.
    .syntax unified
    .text
    .thumb

#include "../m0_function.h"

    // On the stack: distances of one to four times m in bytes, the twiddles, their place, b, and the loops' ends.
    .equ M1, 0
    .equ M2, 4
    .equ M3, 8
    .equ M4, 12
    .equ W1, 16
    .equ W2, 20
    .equ W3, 24
    .equ W, 28
    .equ K, 32
    .equ STEP, 36
    .equ X, 40
    .equ END, 44
    .equ BR, 48
    .equ BI, 52
    .equ FRAME, 56

    // A quarter of the point at r0: real part, imaginary part.
    .macro SCALED r, i
    ldr \r, [r0]
    asrs \i, \r, #16
    sxth \r, \r
    muls \r, r7, \r
    muls \i, r7, \i
    add \r, r8
    add \i, r8
    asrs \r, \r, #15
    asrs \i, \i, #15
    .endm

    // That of the point m behind r0, times a twiddle: -> r5, r1; r0 moves on.
    .macro TURNED twiddle
    ldr r1, [sp, #M1]
    adds r0, r0, r1
    SCALED r1, r2
    ldr r3, [sp, #\twiddle]
    asrs r4, r3, #16
    sxth r3, r3
    movs r5, r1
    muls r5, r3, r5
    movs r6, r2
    muls r6, r4, r6
    subs r5, r5, r6
    add r5, r8
    asrs r5, r5, #15
    muls r1, r4, r1
    muls r2, r3, r2
    adds r1, r1, r2
    add r1, r8
    asrs r1, r1, #15
    .endm

    // Both parts of a point, \distance from r0 on.
    .macro STORE r, i, distance
    ldr r5, [sp, #\distance]
    strh \r, [r0, r5]
    adds r5, #2
    strh \i, [r0, r5]
    .endm

// void m0_turned(complex *x, int m, const complex *w, int step): as turned(), m and step in bytes.
    ENTER m0_turned
    SAVE
    sub sp, #FRAME
    str r1, [sp, #M1]
    lsls r4, r1, #1
    str r4, [sp, #M2]
    adds r4, r4, r1
    str r4, [sp, #M3]
    lsls r4, r1, #2
    str r4, [sp, #M4]
    str r2, [sp, #W]
    str r3, [sp, #STEP]
    str r0, [sp, #X]
    movs r4, #1
    lsls r4, r4, #10
    adds r4, r4, r0
    str r4, [sp, #END]
    movs r4, #1
    lsls r4, r4, #14
    mov r8, r4
    lsrs r7, r4, #1
    subs r7, #1
    mov lr, r7
1:  str r3, [sp, #K]
    ldr r2, [sp, #W]
    ldr r4, [r2, r3]
    str r4, [sp, #W1]
    lsls r4, r3, #1
    ldr r5, [r2, r4]
    str r5, [sp, #W2]
    adds r4, r4, r3
    ldr r5, [r2, r4]
    str r5, [sp, #W3]
    ldr r0, [sp, #X]
    adds r0, #4
    str r0, [sp, #X]
2:  mov r11, r0
    TURNED W1
    str r5, [sp, #BR]
    str r1, [sp, #BI]
    TURNED W2
    mov r9, r5
    mov r10, r1
    TURNED W3
    ldr r2, [sp, #BR]
    ldr r3, [sp, #BI]
    adds r4, r2, r5     // b + d in r4 and r5, b - d in r2 and r3
    subs r2, r2, r5
    adds r5, r3, r1
    subs r3, r3, r1
    mov r0, r11
    SCALED r1, r6
    add r1, r9          // a + c
    add r6, r10
    adds r7, r1, r4
    strh r7, [r0]
    adds r7, r6, r5
    strh r7, [r0, #2]
    subs r4, r1, r4
    subs r7, r6, r5
    STORE r4, r7, M2
    mov r4, r9
    lsls r4, r4, #1
    subs r1, r1, r4     // a - c
    mov r4, r10
    lsls r4, r4, #1
    subs r6, r6, r4
    adds r4, r1, r3
    subs r7, r6, r2
    STORE r4, r7, M1
    subs r1, r1, r3
    adds r6, r6, r2
    STORE r1, r6, M3
    mov r7, lr
    ldr r1, [sp, #M4]
    adds r0, r0, r1
    ldr r1, [sp, #END]
    cmp r0, r1
    bhs 3f
    b 2b
3:  ldr r3, [sp, #K]
    ldr r4, [sp, #STEP]
    adds r3, r3, r4
    lsrs r4, r3, #8     // k < POINTS / 4
    bne 4f
    b 1b
4:  add sp, #FRAME
    RESTORE
    LEAVE m0_turned
