// Inner loops for Cortex-M0 and M0+: 32-bit products only, and eight registers that most instructions reach.
//
// Two pixels share a multiply. A word holds x0 + (x1 << 16); times a weight that is x0 * w in the low half and x1 * w
// above, less the borrow of a negative low half. With |w| <= 127 two products fit into a half, so a sum of two words
// is taken apart: `asrs #16` moves the upper half down and leaves bit 15, which is the borrow, in the carry, and `adcs`
// adds both. The whole sum goes into a second accumulator, modulo 2^32, from which the low half's follows at the end.
// m0.h says who calls what with which structure; its fields are the frames below, in the same order.
    .syntax unified
    .text
    .thumb

#include "m0_function.h"

// Requantize. In: r0 accumulator, |r0| < 2^29; r4 multiplier >> 16, r5 multiplier & 0xffff, r6 shift >= 1, r7 zero
// point of the output, r2 = 0. Out: r0; r1 is lost, r2 = 0 again.

// The doubled high half of the product, rounded: of its 16-bit halves the lowest is only needed above bit 15.
    .macro HIGH_MUL
    sxth r1, r0
    subs r0, r0, r1
    asrs r0, r0, #16
    movs r2, r1
    muls r2, r5, r2
    asrs r2, r2, #16
    muls r1, r4, r1
    adds r2, r2, r1
    movs r1, r5
    muls r1, r0, r1
    adds r2, r2, r1
    muls r0, r4, r0
    lsls r0, r0, #1
    asrs r2, r2, #15
    adcs r0, r2
    .endm

// Any accumulator, without clamp.
    .thumb_func
    .type requantize_wide, %function
requantize_wide:
    HIGH_MUL
    asrs r1, r0, #31
    adds r0, r0, r1
    asrs r0, r0, r6
    adcs r0, r7
    movs r2, #0
    bx lr
    LEAVE requantize_wide

// Clamp to [zero point, 127]: a negative accumulator ends there at once, and of the others most have 16 bits.
    .macro REQUANTIZE_RELU lr_at=0
    asrs r1, r0, #16
    bmi .Lq8_\@
    beq .Lq7_\@
    bl requantize_wide
    .if \lr_at
    ldr r1, [sp, #\lr_at]
    mov lr, r1
    .endif
    b .Lq6_\@
.Lq7_\@:
    movs r1, r0
    muls r1, r5, r1
    lsrs r1, r1, #16
    muls r0, r4, r0
    adds r0, r0, r1
    lsrs r0, r0, #15
    adcs r0, r2
    lsrs r0, r0, r6
    adcs r0, r7
.Lq6_\@:
    cmp r0, #127
    ble .Lq9_\@
    movs r0, #127
    b .Lq9_\@
.Lq8_\@:
    movs r0, r7
.Lq9_\@:
    .endm

// To the frame's LO and r12.
    .macro CLAMP
    cmp r0, r12
    ble .Lc7_\@
    mov r0, r12
.Lc7_\@:
    ldr r1, [sp, #LO]
    cmp r0, r1
    bge .Lc9_\@
    movs r0, r1
.Lc9_\@:
    .endm

// Any clamp, from r12 and the frame's LO; most accumulators have 16 bits with their sign.
    .set LO, 64
    .thumb_func
    .type requantize, %function
requantize:
    sxth r1, r0
    cmp r1, r0
    beq 1f
    HIGH_MUL
    b 2f
1:  muls r1, r5, r1
    asrs r1, r1, #16
    muls r0, r4, r0
    adds r0, r0, r1
    asrs r0, r0, #15
    adcs r0, r2
2:  asrs r1, r0, #31
    adds r0, r0, r1
    asrs r0, r0, r6
    adcs r0, r7
    movs r2, #0
    CLAMP
    bx lr
    LEAVE requantize

// The next channel's multiplier and shift: r10 points at its bias in the quant block, EOFF says how far behind that
// its shift lies, which is 32, 29, 26, 23 for the four.
    .macro NEXT_QUANT
    mov r3, r10
    ldrh r5, [r3, #16]
    ldrh r4, [r3, #18]
    ldr r2, [sp, #EOFF]
    ldrb r6, [r3, r2]
    adds r3, #4
    mov r10, r3
    subs r2, #3
    str r2, [sp, #EOFF]
    .endm

// void m0_conv2d(const m0_conv2d_frame *): four pixels, all channels.
// x holds words of pixels 0 and 1, then of 2 and 3, for k = 0, 1 of every quad, then for k = 2, 3 of every quad: then
// weights and words advance alike, 16 bytes a pair, and one difference of addresses finds the weights of a half.
    .set X, 0           // words
    .set MID, 4         // their second half
    .set END, 8
    .set OFF, 12        // weights of the channel, less X
    .set DELTA, 16      // to OFF, for the second half
    .set OUT, 20
    .set OUT_END, 24    // of pixel 0
    .set PIXEL, 28      // offsets of pixels 1, 2, 3 from pixel 0
    .set RELU, 40
    .set ZO, 44
    .set BLOCK, 48      // from the end of a quad block's first quad to the next block
    .set ENTRY, 52      // of the first time through the loop, from its start
    .set EOFF, 56
    .set HI, 60
    .set LO, 64
    .set Q, 68
    .set DEAD, 72       // a bit for each of the last 256 channels: all weights are 0

    .macro PIXELS total, upper
    ldmia r4!, {r2, r3}
    muls r2, r0, r2
    muls r3, r1, r3
    adds r2, r2, r3
    add \total, r2
    asrs r2, r2, #16
    adcs \upper, r2
    .endm

    ENTER m0_conv2d
    SAVE
    sub sp, #76
    mov r7, sp
    .rept 3
    ldmia r0!, {r1-r5}
    stmia r7!, {r1-r5}
    .endr
    ldmia r0!, {r1-r4}
    stmia r7!, {r1-r4}
    mov r10, r3
    ldr r1, [sp, #HI]
    mov r12, r1
    adr r1, conv2d_pairs
    ldr r2, [sp, #ENTRY]
    adds r1, r1, r2
    str r1, [sp, #ENTRY]
    b conv2d_channel
conv2d_zeros:
    ldr r1, [sp, #OUT_END]
    ldr r0, [sp, #OUT]
    subs r1, r1, r0
    subs r1, #1
    cmp r1, #255
    bhi conv2d_live
    lsrs r0, r1, #3
    ldr r2, [sp, #DEAD]
    ldrb r2, [r2, r0]
    lsls r1, r1, #29
    lsrs r1, r1, #29
    adds r1, #1
    lsrs r2, r1
    bcc conv2d_live
    mov r8, r6              // one value for all four
    ldr r7, [sp, #ZO]
    NEXT_QUANT
    mov r0, r8
    movs r2, #0
    bl requantize
    ldr r3, [sp, #OUT]
    strb r0, [r3]
    ldr r1, [sp, #PIXEL]
    strb r0, [r3, r1]
    ldr r1, [sp, #PIXEL + 4]
    strb r0, [r3, r1]
    b conv2d_last
conv2d_channel:
    mov r3, r10
    ldr r6, [r3]
    lsls r2, r6, #16
    adds r2, r2, r6
    mov r8, r2
    mov r9, r2
    movs r7, r6
    ldr r4, [sp, #X]
    ldr r5, [sp, #OFF]
    ldr r0, [r4, r5]
    cmp r0, #0
    beq conv2d_zeros
conv2d_live:
    ldr r0, [sp, #MID]
    mov r11, r0
    ldr r0, [sp, #ENTRY]
    mov pc, r0
    .p2align 2
conv2d_pairs:
    .rept 7
    ldrsh r1, [r4, r5]
    sxtb r0, r1
    asrs r1, r1, #8
    PIXELS r8, r6
    PIXELS r9, r7
    .endr
    cmp r4, r11
    bne conv2d_pairs
    ldr r0, [sp, #END]
    cmp r4, r0
    beq 1f
    mov r11, r0
    ldr r0, [sp, #DELTA]
    adds r5, r5, r0
    ldr r0, [sp, #ENTRY]
    mov pc, r0
1:  lsls r1, r7, #16
    mov r2, r9
    subs r2, r2, r1
    mov r9, r2              // pixel 2
    mov r11, r7             // pixel 3
    lsls r1, r6, #16
    mov r0, r8
    subs r0, r0, r1         // pixel 0
    mov r8, r6              // pixel 1
    ldr r7, [sp, #ZO]
    NEXT_QUANT
    movs r2, #0
    ldr r3, [sp, #OUT]
    ldr r1, [sp, #RELU]
    cmp r1, #0
    beq conv2d_any
    REQUANTIZE_RELU
    strb r0, [r3]
    mov r0, r8
    REQUANTIZE_RELU
    ldr r1, [sp, #PIXEL]
    strb r0, [r3, r1]
    mov r0, r9
    REQUANTIZE_RELU
    ldr r1, [sp, #PIXEL + 4]
    strb r0, [r3, r1]
    mov r0, r11
    REQUANTIZE_RELU
conv2d_last:
    ldr r1, [sp, #PIXEL + 8]
    strb r0, [r3, r1]
    adds r3, #1
    str r3, [sp, #OUT]
    ldr r1, [sp, #OFF]
    adds r1, #4
    ldr r2, [sp, #EOFF]
    cmp r2, #20
    bne 2f
    add r10, r2
    movs r2, #32
    str r2, [sp, #EOFF]
    ldr r2, [sp, #BLOCK]
    adds r1, r1, r2
2:  str r1, [sp, #OFF]
    ldr r2, [sp, #OUT_END]
    cmp r3, r2
    beq 3f
    b conv2d_channel
3:  add sp, #76
    RESTORE
conv2d_any:
    bl requantize
    strb r0, [r3]
    mov r0, r8
    bl requantize
    ldr r1, [sp, #PIXEL]
    strb r0, [r3, r1]
    mov r0, r9
    bl requantize
    ldr r1, [sp, #PIXEL + 4]
    strb r0, [r3, r1]
    mov r0, r11
    bl requantize
    b conv2d_last
    LEAVE m0_conv2d

// void m0_pack(uint32_t *to, const int8_t *a, const int8_t *b, const m0_pack_frame *): the windows of two pixels into
// words, those of k = 2, 3 of every quad `half` bytes on; row by row, and zeros to the end of the last quad.
    .set ROWS, 0        // on the stack
    .set ROW, 4         // bytes of the image

    .macro PACK to
    ldrsb r3, [r1, r7]
    ldrsb r5, [r2, r7]
    lsls r5, r5, #16
    adds r3, r3, r5
    adds r7, #1
    ldrsb r4, [r1, r7]
    ldrsb r5, [r2, r7]
    lsls r5, r5, #16
    adds r4, r4, r5
    adds r7, #1
    stmia \to!, {r3, r4}
    adds \to, #8
    .endm

    .macro PACK_ONE to, at
    ldrsb r3, [r1, r7]
    ldrsb r5, [r2, r7]
    lsls r5, r5, #16
    adds r3, r3, r5
    str r3, [\to, #\at]
    adds r7, #1
    cmp r7, r12
    bne .Lp_\@
    bl pack_row
.Lp_\@:
    .endm

    .thumb_func
    .type pack_row, %function
pack_row:
    ldr r3, [sp, #ROWS]
    subs r3, #1
    beq pack_end
    str r3, [sp, #ROWS]
    ldr r3, [sp, #ROW]
    adds r1, r1, r3
    adds r2, r2, r3
    movs r7, #0
    bx lr
    LEAVE pack_row

    ENTER m0_pack
    push {r4-r7, lr}
    ldmia r3!, {r4-r7}
    mov r12, r4
    push {r6, r7}
    adds r6, r0, r5
    movs r7, #0
    lsls r4, r4, #30
    bne 2f
1:  PACK r0
    PACK r6
    cmp r7, r12
    bne 1b
    bl pack_row
    b 1b
2:  movs r4, r6
    subs r4, #16
    str r7, [r4]
    str r7, [r4, #4]
    adds r4, r4, r5
    str r7, [r4]
    str r7, [r4, #4]
3:  PACK_ONE r0, 0
    PACK_ONE r0, 4
    PACK_ONE r6, 0
    PACK_ONE r6, 4
    adds r0, #16
    adds r6, #16
    b 3b
pack_end:
    pop {r3, r4}
    pop {r4-r7, pc}
    LEAVE m0_pack

// void m0_dense(const m0_dense_frame *): one row, all channels; x as int32, padded to quads. Weights natural, or with
// 128 more for even k, or int4.
    .set W, 0
    .set Q, 4
    .set OUT, 8
    .set OUT_END, 12
    .set X, 16
    .set X_END, 20
    .set CORRECTION, 24 // to every bias
    .set ENCODED, 28    // 0 natural, 1 with 128 more for even k, 2 int4
    .set ZO, 32
    .set RELU, 36
    .set ENTRY, ENCODED
    .set EOFF, 40
    .set HI, 44
    .set SUM, 48        // int32[4]
    .set LO, 64
    .set INT4, 68       // the next of such weights; those of four channels are unpacked behind x
    .set DENSE_BYTES, 72

    .macro COLUMN load
    ldmia r4!, {r5}
    \load r6, [r0, r7]
    muls r6, r5, r6
    add r8, r6
    \load r6, [r0, r1]
    muls r6, r5, r6
    add r9, r6
    \load r6, [r0, r2]
    muls r6, r5, r6
    add r10, r6
    \load r6, [r0, r3]
    muls r5, r6, r5
    add r11, r5
    .endm

    .macro QUAD even
    COLUMN \even
    adds r0, #1
    COLUMN ldrsb
    adds r0, #1
    COLUMN \even
    adds r0, #1
    COLUMN ldrsb
    adds r0, #13
    .endm

    ENTER m0_dense
    SAVE
    sub sp, #DENSE_BYTES
    mov r7, sp
    .rept 3
    ldmia r0!, {r1-r6}
    stmia r7!, {r1-r6}
    .endr
    adr r2, dense_natural
    ldr r1, [sp, #ENCODED]
    cmp r1, #1
    blo 2f
    adr r2, dense_int4
    bhi 2f
    adr r2, dense_encoded   // two quads at a time: of an odd number the first alone
    ldr r0, [sp, #X]
    ldr r1, [sp, #X_END]
    subs r1, r1, r0
    lsls r1, r1, #27
    bpl 2f
    adr r2, dense_odd
2:  str r2, [sp, #ENTRY]
dense_block:
    ldr r3, [sp, #Q]
    ldr r1, [sp, #CORRECTION]
    ldmia r3!, {r4-r7}
    adds r4, r4, r1
    mov r8, r4
    adds r5, r5, r1
    mov r9, r5
    adds r6, r6, r1
    mov r10, r6
    adds r7, r7, r1
    mov r11, r7
    ldr r0, [sp, #X_END]
    mov r12, r0
    ldr r0, [sp, #W]
    ldr r4, [sp, #X]
    ldr r5, [sp, #ENTRY]
    movs r7, #0
    movs r1, #4
    movs r2, #8
    movs r3, #12
    mov pc, r5
    .p2align 2
dense_natural:
    QUAD ldrsb
    cmp r4, r12
    bne dense_natural
    b dense_sums
    .p2align 2
dense_int4:
    mov r0, r12
    mov r5, r12
    subs r5, r5, r4         // 16 bytes of x a quad
    lsrs r2, r5, #3
    ldr r1, [sp, #INT4]
    lsls r3, r2, #2
    adds r3, r3, r1
    str r3, [sp, #INT4]
    ldr r3, dense_signs
    bl unpack
    ldr r1, [sp, #X_END]
    mov r12, r1
    movs r1, #4
    movs r2, #8
    movs r3, #12
    lsls r5, r5, #27
    bmi dense_odd
    .p2align 2
dense_encoded:
    QUAD ldrb
    .p2align 2
dense_odd:
    QUAD ldrb
    cmp r4, r12
    bne dense_encoded
dense_sums:
    str r0, [sp, #W]
    mov r0, r8
    mov r1, r9
    mov r2, r10
    mov r3, r11
    add r4, sp, #SUM
    stmia r4!, {r0-r3}
    ldr r0, [sp, #Q]
    mov r10, r0
    ldr r0, [sp, #HI]
    mov r12, r0
    movs r0, #32
    str r0, [sp, #EOFF]
4:  NEXT_QUANT
    ldr r2, [sp, #Q]
    subs r3, r3, r2
    add r3, sp
    ldr r0, [r3, #SUM - 4]
    ldr r7, [sp, #ZO]
    ldr r3, [sp, #OUT]
    movs r2, #0
    ldr r1, [sp, #RELU]
    cmp r1, #0
    beq 5f
    REQUANTIZE_RELU
    b 6f
5:  bl requantize
6:  strb r0, [r3]
    adds r3, #1
    str r3, [sp, #OUT]
    ldr r0, [sp, #OUT_END]
    cmp r3, r0
    beq 7f
    ldr r2, [sp, #EOFF]
    cmp r2, #20
    bne 4b
    mov r3, r10
    adds r3, #20
    str r3, [sp, #Q]
    b dense_block
7:  add sp, #DENSE_BYTES
    RESTORE
    .p2align 2
dense_signs:
    .word 0x80008000
    LEAVE m0_dense

// void m0_depthwise3(m0_depthwise3_frame *): one channel, 3x3. Rows of words x[i] + (x[i + sx] << 16) in a ring of
// three, so that a word holds what one tap reads for two outputs.
    .set BIAS, 0
    .set BIAS2, 4       // for both halves
    .set QUANT, 8       // multiplier >> 16, & 0xffff, shift (and bit 8 for any clamp), zero point
    .set TAPS, 24       // int32[9]
    .set ODD, 60        // the number of columns is odd
    .set LO, 64
    .set HI, 68
    .set C, 72          // from column to column
    .set OUT, 76
    .set LAST, 80       // the second output of the row's last two; given relative to OUT in TO_LAST
    .set OUT_ROW, 84    // bytes
    .set ROWS, 88       // output rows left
    .set IN, 92         // the next input row, less C
    .set IN_ROW, 96
    .set IN_ROWS, 100   // left
    .set NEXT, 104      // row of the ring to fill next
    .set RING, 108
    .set RING_END, 112
    .set ROW, 116       // bytes
    .set EDGE, 120      // a row of zero points only
    .set ZI, 124
    .set LEAD, 128      // zero points to the left: 0 or 1
    .set COUNT, 132     // columns to load
    .set STRIDE, 136
    .set ABOVE, 140     // rows of zero points above: 0 or 1
    .set STEP, 144      // bytes from two outputs to the next two
    .set BACK, 148      // bytes from the end of a row to its start
    .set TO_LAST, 152

    .macro TAKE word
    adds r7, r7, \word
    asrs \word, \word, #16
    adcs r6, \word
    .endm

    .macro TAP i, word
    ldr r3, [sp, #TAPS + 4 * \i]
    muls \word, r3, \word
    .endm

// Load the next row into the ring. Returns it in r0, or the row of zero points if there is none.
    .thumb_func
    .type depthwise_load, %function
depthwise_load:
    ldr r0, [sp, #IN_ROWS]
    subs r0, #1
    bpl 1f
    ldr r0, [sp, #EDGE]
    bx lr
1:  str r0, [sp, #IN_ROWS]
    ldr r1, [sp, #IN]
    ldr r2, [sp, #IN_ROW]
    adds r2, r2, r1
    str r2, [sp, #IN]
    ldr r0, [sp, #NEXT]
    mov r12, r0
    ldr r2, [sp, #ROW]
    adds r2, r2, r0
    ldr r3, [sp, #RING_END]
    cmp r2, r3
    bne 2f
    ldr r2, [sp, #RING]
2:  str r2, [sp, #NEXT]
    ldr r2, [sp, #C]
    ldr r6, [sp, #COUNT]
    ldr r4, [sp, #STRIDE]
    ldr r5, [sp, #LEAD]
    ldr r3, [sp, #ZI]
    cmp r4, #2
    beq 5f
    cmp r5, #1              // stride 1: r3 is x[i], whose right neighbour is loaded
    beq 3f
    ldrsb r3, [r1, r2]
    adds r1, r1, r2
    subs r6, #1
3:  subs r6, #3
    bmi 4f
30: ldrsb r4, [r1, r2]
    adds r1, r1, r2
    lsls r7, r4, #16
    adds r3, r3, r7
    ldrsb r5, [r1, r2]
    adds r1, r1, r2
    lsls r7, r5, #16
    adds r4, r4, r7
    ldrsb r7, [r1, r2]
    adds r1, r1, r2
    stmia r0!, {r3, r4}
    lsls r3, r7, #16
    adds r5, r5, r3
    stmia r0!, {r5}
    movs r3, r7
    subs r6, #3
    bpl 30b
4:  adds r6, #3
    beq 41f
40: ldrsb r4, [r1, r2]
    adds r1, r1, r2
    lsls r7, r4, #16
    adds r3, r3, r7
    stmia r0!, {r3}
    movs r3, r4
    subs r6, #1
    bne 40b
41: ldr r4, [sp, #ZI]
    lsls r4, r4, #16
    adds r3, r3, r4
    stmia r0!, {r3}
    mov r0, r12
    bx lr
5:  movs r4, r3             // stride 2: r3 and r4 are x[i] and x[i + 1]
    cmp r5, #1
    beq 6f
    ldrsb r3, [r1, r2]
    adds r1, r1, r2
    subs r6, #1
6:  ldrsb r4, [r1, r2]
    adds r1, r1, r2
    subs r6, #1
    subs r6, #2
    bmi 8f
70: ldrsb r5, [r1, r2]
    adds r1, r1, r2
    lsls r7, r5, #16
    adds r3, r3, r7
    ldrsb r7, [r1, r2]
    adds r1, r1, r2
    lsls r7, r7, #16
    adds r4, r4, r7
    stmia r0!, {r3, r4}
    movs r3, r5
    asrs r4, r7, #16
    subs r6, #2
    bpl 70b
8:  adds r6, #2
    ldr r7, [sp, #ZI]
    lsls r7, r7, #16
    cmp r6, #0
    beq 9f
    ldrsb r5, [r1, r2]
    lsls r6, r5, #16
    adds r3, r3, r6
    adds r4, r4, r7
    stmia r0!, {r3, r4}
    adds r5, r5, r7
    stmia r0!, {r5}
    mov r0, r12
    bx lr
9:  adds r3, r3, r7
    adds r4, r4, r7
    stmia r0!, {r3, r4}
    mov r0, r12
    bx lr
    LEAVE depthwise_load

    ENTER m0_depthwise3
    SAVE
    sub sp, #156
    mov r7, sp
    .rept 6
    ldmia r0!, {r1-r6}
    stmia r7!, {r1-r6}
    .endr
    ldmia r0!, {r1-r3}
    stmia r7!, {r1-r3}
    ldr r0, [sp, #EDGE]     // the rows of the window but what each output row loads
    mov r10, r0
    mov r11, r0
    ldr r1, [sp, #ABOVE]
    cmp r1, #0
    bne 1f
    bl depthwise_load
    mov r11, r0
1:  ldr r1, [sp, #STRIDE]
    cmp r1, #2
    beq 2f
    mov r10, r11
    bl depthwise_load
    mov r11, r0
2:
depthwise_row:
    mov r9, r10
    ldr r0, [sp, #STRIDE]
    cmp r0, #2
    bne 1f
    mov r9, r11
    bl depthwise_load
    mov r11, r0
1:  mov r10, r11
    bl depthwise_load
    mov r11, r0
    ldr r0, [sp, #OUT]
    mov r8, r0
    ldr r1, [sp, #TO_LAST]
    adds r1, r1, r0
    str r1, [sp, #LAST]
    ldr r1, [sp, #OUT_ROW]
    adds r1, r1, r0
    str r1, [sp, #OUT]
    ldr r1, [sp, #C]
    mov lr, r1
depthwise_pair:
    ldr r6, [sp, #BIAS]
    ldr r7, [sp, #BIAS2]
    mov r0, r9
    ldmia r0, {r0, r1, r2}
    TAP 0, r0
    TAP 1, r1
    adds r0, r0, r1
    TAKE r0
    TAP 2, r2
    mov r0, r10
    ldmia r0, {r0, r1, r4}
    TAP 3, r0
    adds r2, r2, r0
    TAKE r2
    TAP 4, r1
    TAP 5, r4
    adds r1, r1, r4
    TAKE r1
    mov r0, r11
    ldmia r0, {r0, r1, r2}
    TAP 6, r0
    TAP 7, r1
    adds r0, r0, r1
    TAKE r0
    TAP 8, r2
    TAKE r2
    ldr r3, [sp, #STEP]
    add r9, r3
    add r10, r3
    add r11, r3
    mov r12, r6
    lsls r6, r6, #16
    subs r0, r7, r6
    add r3, sp, #QUANT
    ldmia r3!, {r4-r7}
    mov r3, r8
    lsrs r2, r6, #8
    bne depthwise_any
    REQUANTIZE_RELU C
    strb r0, [r3]
    add r3, lr
    ldr r1, [sp, #LAST]
    cmp r3, r1
    beq depthwise_last
    mov r0, r12
    REQUANTIZE_RELU C
    strb r0, [r3]
    add r3, lr
    mov r8, r3
    b depthwise_pair
depthwise_any:
    movs r2, #0
    mov r8, r12
    ldr r1, [sp, #HI]
    mov r12, r1
    bl requantize
    strb r0, [r3]
    ldr r1, [sp, #C]
    adds r3, r3, r1
    ldr r1, [sp, #LAST]
    cmp r3, r1
    bne 1f
    ldr r1, [sp, #ODD]
    cmp r1, #0
    bne depthwise_row_end
1:  mov r0, r8
    bl requantize
    strb r0, [r3]
    ldr r1, [sp, #C]
    mov lr, r1
    mov r8, r3
    add r8, lr
    ldr r1, [sp, #LAST]
    cmp r3, r1
    beq depthwise_row_end
    b depthwise_pair
depthwise_last:
    ldr r1, [sp, #ODD]
    cmp r1, #0
    bne depthwise_row_end
    mov r0, r12
    REQUANTIZE_RELU C
    strb r0, [r3]
depthwise_row_end:
    ldr r0, [sp, #BACK]
    add r10, r0
    add r11, r0
    ldr r0, [sp, #ROWS]
    subs r0, #1
    str r0, [sp, #ROWS]
    beq 1f
    b depthwise_row
1:  add sp, #156
    RESTORE
    LEAVE m0_depthwise3

// void m0_add(const m0_add_frame *): table[a] + table2[b], requantized; element by element.
    .set A, 0
    .set B, 4
    .set Y, 8
    .set TABLE_A, 12
    .set QUANT, 16
    .set TABLE_B, 32
    .set N, 36
    .set RELU, 40
    .set LO, 44
    .set HI, 48

    .macro SUM
    mov r1, r8
    ldrb r0, [r1, r3]
    lsls r0, r0, #2
    mov r1, r9
    ldr r0, [r1, r0]
    mov r1, r10
    ldrb r1, [r1, r3]
    lsls r1, r1, #2
    mov r2, r11
    ldr r1, [r2, r1]
    adds r0, r0, r1
    .endm

    ENTER m0_add
    SAVE
    sub sp, #52
    mov r7, sp
    .rept 2
    ldmia r0!, {r1-r6}
    stmia r7!, {r1-r6}
    .endr
    ldmia r0!, {r1}
    stmia r7!, {r1}
    mov r12, r1
    ldr r0, [sp, #A]
    mov r8, r0
    ldr r0, [sp, #B]
    mov r10, r0
    ldr r0, [sp, #TABLE_A]
    mov r9, r0
    ldr r0, [sp, #TABLE_B]
    mov r11, r0
    add r3, sp, #QUANT
    ldmia r3!, {r4-r7}
    movs r3, #0
    ldr r0, [sp, #RELU]
    cmp r0, #0
    beq 5f
1:  SUM
    ble 3f
    HIGH_MUL
    asrs r0, r0, r6
    adcs r0, r7
    cmp r0, #127
    ble 2f
    movs r0, #127
2:  ldr r1, [sp, #Y]
    strb r0, [r1, r3]
    adds r3, #1
    ldr r1, [sp, #N]
    cmp r3, r1
    bne 1b
    b 4f
3:  ldr r1, [sp, #Y]
    strb r7, [r1, r3]
    adds r3, #1
    ldr r1, [sp, #N]
    cmp r3, r1
    bne 1b
4:  add sp, #52
    RESTORE
5:  SUM
    HIGH_MUL
    asrs r1, r0, #31
    adds r0, r0, r1
    asrs r0, r0, r6
    adcs r0, r7
    CLAMP
    ldr r1, [sp, #Y]
    strb r0, [r1, r3]
    adds r3, #1
    ldr r1, [sp, #N]
    cmp r3, r1
    bne 5b
    b 4b
    LEAVE m0_add
