// The inner loops for Cortex-M cores with the DSP extension. dsp.h is the C side: it has the structs, and says when.
//
// Activations are widened to pairs of 16 bits in scratch: of each quad of k one word with (k0, k2), one with (k1, k3),
// which is how SXTB16 unpacks the weights. SMLAD then does two MACs. All of it relies on BOUNDED.
    .syntax unified
    .thumb
    .text

.macro FUNCTION name
    .p2align 2
    .globl \name
    .hidden \name
    .type \name, %function
    .thumb_func
\name:
.endm

// requantize() for a shift e >= 1; doubled = 2 * multiplier, which as a signed number is 2**32 too small: SMMLAR adds
// that back. ASRS leaves the rounding bit in the carry; only the low byte of e counts.
.macro REQUANTIZE a, doubled, e, zo
    smmlar \a, \a, \doubled, \a
    FINISH \a, \e, \zo
.endm

.macro FINISH a, e, zo
    add \a, \a, \a, asr #31
    asrs \a, \a, \e
    adc \a, \a, \zo
    ssat \a, #8, \a
.endm

.macro CLAMP a, lo, hi
    cmp \a, \lo
    it lt
    movlt \a, \lo
    cmp \a, \hi
    it gt
    movgt \a, \hi
.endm

// ---- conv2d: four pixels by two channels ----------------------------------------------------------------------------
// void dsp_tile(const tile *, const uint8_t *w): the frame is the tile.
// The patches of the four pixels are interleaved: per quad the word (k0, k2) of each, then the word (k1, k3) of each.
// 26 instructions per 32 MACs.
    .equ TILE_X, 0
    .equ TILE_Q, 4       // of the present pair of channels: its biases
    .equ TILE_E, 8       // the shifts left in this quant block, the next in the low byte
    .equ TILE_ZO, 12
    .equ TILE_STRIDE, 16 // output bytes from pixel to pixel: channels
    .equ TILE_Y, 20      // one byte before the output
    .equ TILE_LEFT, 24   // channels; 2**30 less where there is a clamp, so that every pair takes the slow exit
    .equ TILE_END, 28    // of the patches
    .equ TILE_ENTRY, 32  // where the loop of two quads is entered; as it comes, quads % 2
    .equ TILE_BACK, 36   // 8 - 16 * quads: from the end of a pair's weights to those of the second pair of its block
    .equ TILE_LO, 40
    .equ TILE_HI, 44
    .equ TILE_BYTES, 48

.macro TILE_HALF // r10, r11: weights of the two channels
    ldm r12!, {r8, r9}
    smlad r0, r8, r10, r0
    smlad r4, r8, r11, r4
    smlad r1, r9, r10, r1
    smlad r5, r9, r11, r5
    ldm r12!, {r8, r9}
    smlad r2, r8, r10, r2
    smlad r6, r8, r11, r6
    smlad r3, r9, r10, r3
    smlad r7, r9, r11, r7
.endm

.macro TILE_QUAD
    ldrd r10, r11, [lr]
    sxtb16 r10, r10
    sxtb16 r11, r11
    TILE_HALF
    ldrd r10, r11, [lr], #16 // a second time, as no register is free to keep them
    sxtb16 r10, r10, ror #8
    sxtb16 r11, r11, ror #8
    TILE_HALF
.endm

FUNCTION dsp_tile
    push {r4-r11, lr}
    sub sp, #TILE_BYTES
    mov lr, r1
    ldm r0, {r0-r11}
    stm sp, {r0-r11}
    adr r12, tile_entries
    ldr r8, [r12, r8, lsl #2]
    add r8, r8, r12
    str r8, [sp, #TILE_ENTRY]
    mov r12, r1
    ldr r9, [r12, #32]
    str r9, [sp, #TILE_E]
tile_pair: // r12 = q, lr = w
    ldrd r0, r4, [r12]
    ldr r12, [sp, #TILE_X]
    mov r1, r0
    mov r2, r0
    mov r3, r0
    mov r5, r4
    mov r6, r4
    mov r7, r4
    ldr pc, [sp, #TILE_ENTRY]
    .p2align 2
tile_entries:
    .word tile_0 - tile_entries + 1
    .word tile_1 - tile_entries + 1
tile_0:
    TILE_QUAD
tile_1:
    TILE_QUAD
    ldr r8, [sp, #TILE_END]
    cmp r12, r8
    bne tile_0
    ldrd r12, r9, [sp, #TILE_Q] // q, e
    ldrd r11, r10, [sp, #TILE_ZO] // zo, stride
    ldr r8, [r12, #16]
    lsls r8, r8, #1
    REQUANTIZE r0, r8, r9, r11
    REQUANTIZE r1, r8, r9, r11
    REQUANTIZE r2, r8, r9, r11
    REQUANTIZE r3, r8, r9, r11
    ldr r8, [r12, #20]
    lsls r8, r8, #1
    lsrs r9, r9, #8
    REQUANTIZE r4, r8, r9, r11
    REQUANTIZE r5, r8, r9, r11
    REQUANTIZE r6, r8, r9, r11
    REQUANTIZE r7, r8, r9, r11
    ldrd r8, r11, [sp, #TILE_Y] // y, left
    subs r11, r11, #2
    ble tile_slow
tile_store:
    strb r0, [r8, #1]!
    add r0, r8, r10, lsl #1
    strb r3, [r0, r10]
    strb r2, [r0], #1
    strb r1, [r8, r10]
    strb r4, [r8, #1]!
    strb r5, [r8, r10]
    strb r7, [r0, r10]
    strb r6, [r0]
    strd r8, r11, [sp, #TILE_Y]
    add r12, r12, #8
    ldr r8, [sp, #TILE_BACK]
    lsr r9, r9, #8
    eor r0, r10, r11 // stride, which is the number of channels, and what is left of them
    lsls r0, r0, #31 // no carry: that was the second pair of a block
    ittt cc
    addcc r12, r12, #20
    ldrcc r9, [r12, #32]
    movcc r8, #-8
    add lr, lr, r8
    strd r12, r9, [sp, #TILE_Q]
    b tile_pair

tile_slow: // the last pair, or a clamp
    sbfx r11, r11, #0, #30 // channels left, really
    ldr r8, [sp, #TILE_LEFT]
    cmp r8, #0
    bge tile_last
    ldrd r8, r12, [sp, #TILE_LO]
    .irp a, r0, r1, r2, r3, r4, r5, r6, r7
    CLAMP \a, r8, r12
    .endr
tile_last:
    ldr r12, [sp, #TILE_Q]
    ldr r8, [sp, #TILE_Y]
    cmp r11, #0
    ble tile_end
    ldr r11, [sp, #TILE_LEFT] // a clamp, and there is more
    subs r11, r11, #2
    b tile_store
tile_end:
    strb r0, [r8, #1]!
    add r0, r8, r10, lsl #1
    strb r3, [r0, r10]
    strb r2, [r0], #1
    strb r1, [r8, r10]
    bmi 1f // an odd number of channels
    strb r4, [r8, #1]!
    strb r5, [r8, r10]
    strb r7, [r0, r10]
    strb r6, [r0]
1:  add sp, #TILE_BYTES
    pop {r4-r11, pc}

// ---- widening into patches ------------------------------------------------------------------------------------------
// uint32_t *dsp_widen4(uint32_t *d, const int8_t *x, int step, int quads): `quads` words from each of four pixels that
// lie `step` bytes apart, to the interleaved patches; gives their end. x and step are multiples of 4.
FUNCTION dsp_widen4
    push {r4-r11, lr}
    add r12, r2, r2, lsl #1
    add r3, r1, r3, lsl #2
1:  ldr r5, [r1, r2]
    ldr r6, [r1, r2, lsl #1]
    ldr r7, [r1, r12]
    ldr r4, [r1], #4
    sxtb16 r8, r4
    sxtb16 r9, r5
    sxtb16 r10, r6
    sxtb16 r11, r7
    stm r0!, {r8-r11}
    sxtb16 r4, r4, ror #8
    sxtb16 r5, r5, ror #8
    sxtb16 r6, r6, ror #8
    sxtb16 r7, r7, ror #8
    stm r0!, {r4-r7}
    cmp r1, r3
    bne 1b
    pop {r4-r11, pc}

// void dsp_widen1(uint32_t *d, const uint32_t *x, int quads): one patch into every fourth word of d.
FUNCTION dsp_widen1
1:  ldr r3, [r1], #4
    sxtb16 r12, r3
    sxtb16 r3, r3, ror #8
    str r12, [r0], #16
    str r3, [r0], #16
    subs r2, r2, #1
    bne 1b
    bx lr

// void dsp_spread4(uint32_t *d, const int8_t *x, int step, int n, int k): bytes k ... k + n - 1 of four patches, of
// pixels `step` bytes apart; no alignment is needed.
.macro SPREAD at
    ldrsb r5, [r1, r2]
    ldrsb r6, [r1, r2, lsl #1]
    ldrsb r7, [r1, r12]
    ldrsb r4, [r1], #1
    strh r4, [r0, #\at]
    strh r5, [r0, #\at + 4]
    strh r6, [r0, #\at + 8]
    strh r7, [r0, #\at + 12]
    subs r3, r3, #1
    beq 9f
.endm

FUNCTION dsp_spread4
    push {r4-r7, lr}
    ldr r4, [sp, #20]
    add r12, r2, r2, lsl #1
    lsrs r5, r4, #2
    add r0, r0, r5, lsl #5
    and r4, r4, #3
    tbb [pc, r4]
spread_entries:
    .byte (spread_0 - spread_entries) / 2
    .byte (spread_1 - spread_entries) / 2
    .byte (spread_2 - spread_entries) / 2
    .byte (spread_3 - spread_entries) / 2
spread_0:
    SPREAD 0
spread_1:
    SPREAD 16
spread_2:
    SPREAD 2
spread_3:
    SPREAD 18
    adds r0, #32
    b spread_0
9:  pop {r4-r7, pc}

// int32_t dsp_widen_dense(uint32_t *d, const uint32_t *x, int quads): a row for encoded weights, gives the sum of even k.
// A pair of encoded weights, taken as one lane, is 256 * odd + (even + 128): the odd k take x - 128 - 256 * x of the
// even k before them, which fills 16 bits and not more, and the sum takes the 128 away.
FUNCTION dsp_widen_dense
    push {r4-r8, lr}
    mov r4, r0
    movs r0, #0
    mov r5, #0xff00ff00
    mov r6, #0x00800080
    mov r7, #0x00010001
1:  ldr r3, [r1], #4
    and r8, r5, r3, lsl #8
    sxtb16 r12, r3, ror #8
    sxtb16 r3, r3
    ssub16 r12, r12, r8
    ssub16 r12, r12, r6
    smlad r0, r3, r7, r0
    strd r3, r12, [r4], #8
    subs r2, r2, #1
    bne 1b
    pop {r4-r8, pc}

// ---- one row by four channels: dense, and the last pixels of conv2d -------------------------------------------------
// void dsp_row(const row *, const uint8_t *w): the frame is the row.
    .equ ROW_X, 0
    .equ ROW_LOOP, 4  // as it comes: quads % 2 of a dense row, 2 for an interleaved patch, 3 for int4 weights
    .equ ROW_CORRECTION, 8 // to every sum
    .equ ROW_END, 12  // of x
    .equ ROW_Y, 16
    .equ ROW_LEFT, 20 // channels
    .equ ROW_LO, 24   // four times each
    .equ ROW_HI, 28
    .equ ROW_Q, 32
    .equ ROW_ZO, 36
    .equ ROW_ROOM, 40 // for four channels' int4 weights as bytes
    .equ ROW_INT4, 44 // the next of them
    .equ ROW_BYTES, 48

.macro DENSE_QUAD // 14 instructions per 16 MACs
    ldm r12!, {r8, r9}
    ldm lr!, {r4-r7}
    smlad r0, r8, r4, r0
    sxtb16 r4, r4, ror #8
    smlad r1, r8, r5, r1
    sxtb16 r5, r5, ror #8
    smlad r2, r8, r6, r2
    sxtb16 r6, r6, ror #8
    smlad r3, r8, r7, r3
    sxtb16 r7, r7, ror #8
    smlad r0, r9, r4, r0
    smlad r1, r9, r5, r1
    smlad r2, r9, r6, r2
    smlad r3, r9, r7, r3
.endm

FUNCTION dsp_row
    push {r4-r11, lr}
    sub sp, #ROW_BYTES
    mov lr, r1
    ldm r0, {r0-r11}
    stm sp, {r0-r11}
    adr r12, row_loops
    ldr r1, [r12, r1, lsl #2]
    add r1, r1, r12
    str r1, [sp, #ROW_LOOP]
    mov r12, r8
row_quad: // r12 = q, lr = w
    ldm r12!, {r0-r3}
    str r12, [sp, #ROW_Q]
    ldr r4, [sp, #ROW_CORRECTION]
    ldr r12, [sp, #ROW_X]
    add r0, r0, r4
    add r1, r1, r4
    add r2, r2, r4
    add r3, r3, r4
    ldr r11, [sp, #ROW_END]
    ldr pc, [sp, #ROW_LOOP]
    .p2align 2
row_loops:
    .word row_even - row_loops + 1
    .word row_odd - row_loops + 1
    .word row_patch - row_loops + 1
    .word row_int4 - row_loops + 1
row_patch:
    ldr r8, [r12], #16
    ldr r9, [r12], #16
    ldm lr!, {r4-r7}
    sxtb16 r10, r4
    sxtb16 r4, r4, ror #8
    smlad r0, r8, r10, r0
    smlad r0, r9, r4, r0
    sxtb16 r10, r5
    sxtb16 r5, r5, ror #8
    smlad r1, r8, r10, r1
    smlad r1, r9, r5, r1
    sxtb16 r10, r6
    sxtb16 r6, r6, ror #8
    smlad r2, r8, r10, r2
    smlad r2, r9, r6, r2
    sxtb16 r10, r7
    sxtb16 r7, r7, ror #8
    smlad r3, r8, r10, r3
    smlad r3, r9, r7, r3
    cmp r12, r11
    bne row_patch
    b row_done
row_int4:
    push {r0-r3}
    ldrd r0, r1, [sp, #16 + ROW_ROOM]
    sub r4, r11, r12 // 8 * quads
    lsrs r2, r4, #2
    mov r3, #0x80008000
    bl dsp_unpack
    str r1, [sp, #16 + ROW_INT4]
    mov lr, r0
    pop {r0-r3}
    lsls r4, r4, #28
    bmi row_odd
row_even:
    DENSE_QUAD
row_odd:
    DENSE_QUAD
    cmp r12, r11
    bne row_even
row_done:
    ldrd r12, r11, [sp, #ROW_Q]
    ldm r12!, {r4-r7, r10} // four multipliers, and the shifts in one word
    lsls r4, r4, #1
    REQUANTIZE r0, r4, r10, r11
    lsls r5, r5, #1
    lsrs r10, r10, #8
    REQUANTIZE r1, r5, r10, r11
    lsls r6, r6, #1
    lsrs r10, r10, #8
    REQUANTIZE r2, r6, r10, r11
    lsls r7, r7, #1
    lsrs r10, r10, #8
    REQUANTIZE r3, r7, r10, r11
    bfi r0, r1, #8, #8
    bfi r0, r2, #16, #8
    bfi r0, r3, #24, #8
    ldrd r2, r3, [sp, #ROW_LO]
    ssub8 r1, r0, r2
    sel r0, r0, r2
    ssub8 r1, r3, r0
    sel r0, r0, r3
    ldrd r8, r9, [sp, #ROW_Y]
    subs r1, r9, #4
    blt row_bytes
    tst r8, #3
    bne row_bytes
    str r0, [r8], #4
row_next:
    strd r8, r1, [sp, #ROW_Y]
    cmp r1, #0
    bgt row_quad
    add sp, #ROW_BYTES
    pop {r4-r11, pc}
row_bytes:
    cmp r9, #4
    it gt
    movgt r9, #4
1:  strb r0, [r8], #1
    lsrs r0, r0, #8
    subs r9, r9, #1
    bne 1b
    b row_next

// ---- int4 weights ---------------------------------------------------------------------------------------------------
// const uint8_t *dsp_unpack(uint32_t *to, const uint8_t *from, int words, uint32_t signs): see whit.h. An even number of
// words; leaves r12 as it is, and the end of `from` in r1. 6 instructions per 8 weights.
FUNCTION dsp_unpack
    push {r0, r4-r8, lr}
    rsb r3, r3, #0x88888888 // 8 in the bytes of w, 8 - 128 in those of w + 128
    mov r8, #0x0f0f0f0f
1:  ldm r1!, {r4, r6}
    and r5, r8, r4, lsr #4
    and r4, r4, r8
    and r7, r8, r6, lsr #4
    and r6, r6, r8
    usub8 r4, r4, r3
    usub8 r5, r5, r3
    usub8 r6, r6, r3
    usub8 r7, r7, r3
    stm r0!, {r4-r7}
    subs r2, r2, #2
    bne 1b
    pop {r0, r4-r8, pc}

// ---- depthwise ------------------------------------------------------------------------------------------------------
// The plane holds one channel in 16 bits by strips of two columns: a word is a row of a strip. So the rows of a window
// follow one another, and SMLAD takes two columns of one at a time.

// void dsp_load(const load *): columns of one channel of the image into the plane.
FUNCTION dsp_load
    push {r4-r11, lr}
    ldm r0, {r0-r6} // d, x, columns, rows, bytes from column to column and from row to row, bytes of a strip
    add r12, r5, r5, lsl #1
1:  mov r7, r0
    mov r8, r1
    subs r9, r3, #4
    blt 3f
2:  ldrsb r10, [r8]
    ldrsb r11, [r8, r5]
    strh r10, [r7], #4
    strh r11, [r7], #4
    ldrsb r10, [r8, r5, lsl #1]
    ldrsb r11, [r8, r12]
    strh r10, [r7], #4
    strh r11, [r7], #4
    add r8, r8, r5, lsl #2
    subs r9, r9, #4
    bge 2b
3:  adds r9, r9, #4
    beq 5f
4:  ldrsb r10, [r8]
    add r8, r8, r5
    strh r10, [r7], #4
    subs r9, r9, #1
    bne 4b
5:  add r1, r1, r4
    tst r0, #2 // an odd column: the next is in the next strip
    it ne
    addne r0, r0, r6
    eor r0, r0, #2
    subs r2, r2, #1
    bne 1b
    pop {r4-r11, pc}

// void dsp_strips(const strips *): a 3x3 window with stride 1 or 2 over `rows` output rows; the frame is the struct but
// for the weights, which are in r0 ... r5: of each kernel row (w0, w1) and (w1, w2).
// Stride 1 makes two rows by two columns in 63 instructions, stride 2 two rows by one column in 38.
    .equ STRIPS_BIAS, 0
    .equ STRIPS_M, 4 // doubled
    .equ STRIPS_E, 8
    .equ STRIPS_ZO, 12
    .equ STRIPS_ROW, 16    // output bytes from row to row
    .equ STRIPS_OUT, 20    // output of the present rows
    .equ STRIPS_COLUMN, 24 // output bytes from column to column
    .equ STRIPS_END, 28    // of the present strip, for rows by twos
    .equ STRIPS_PLANE, 32  // the next strip
    .equ STRIPS_PITCH, 36  // bytes of a strip
    .equ STRIPS_Y, 40      // output of the present columns
    .equ STRIPS_LEFT, 44   // columns
    .equ STRIPS_ROWS, 48
    .equ STRIPS_LO, 52
    .equ STRIPS_HI, 56
    .equ STRIPS_CLAMP, 60  // whether to
    .equ STRIPS_STRIDE, 64
    .equ STRIPS_STORE, 68  // the code that stores what is left of two rows by two columns, or the clamp before it
    .equ STRIPS_AFTER, 72  // where the clamp goes
    .equ STRIPS_FRAME, 76

FUNCTION dsp_strips
    push {r4-r11, lr}
    sub sp, #STRIPS_FRAME
    add r12, r0, #24
    ldm r12!, {r2-r9}
    stm sp, {r2-r9}
    ldm r12, {r2-r10}
    add r12, sp, #32
    stm r12, {r2-r10}
    ldm r0, {r0-r5}
strips_column:
    ldr r6, [sp, #STRIPS_PLANE]
    ldrd r8, r9, [sp, #STRIPS_PITCH] // pitch, y
    ldrd r11, r10, [sp, #STRIPS_LEFT] // left, rows
    ldr r12, [sp, #STRIPS_STRIDE]
    add r7, r6, r8
    str r7, [sp, #STRIPS_PLANE]
    str r9, [sp, #STRIPS_OUT]
    bic r9, r10, #1
    lsl r9, r9, r12
    add r9, r6, r9, lsl #1
    str r9, [sp, #STRIPS_END]
    cmp r10, #1
    ite eq
    moveq r10, #1
    movne r10, #0
strips_choose: // r10: one row is left, r11: columns left
    cmp r11, #1
    it eq
    orreq r10, r10, #2
    ldrd r12, r8, [sp, #STRIPS_CLAMP] // clamp, stride
    adr r11, strips_code
    mov r9, r11
    cmp r8, #2
    it eq
    addeq r9, r9, #24
    ldr r8, [r9, r10, lsl #2]
    add r8, r8, r11
    str r8, [sp, #STRIPS_AFTER]
    cmp r12, #0
    itt ne
    ldrne r8, [r9, #16]
    addne r8, r8, r11
    str r8, [sp, #STRIPS_STORE]
    ldr r9, [r9, #20]
    add r9, r9, r11
    bx r9
    .p2align 2
strips_code:
    .irp code, strips_2x2, strips_1x2, strips_2x1, strips_1x1, strips_clamp_1, strips_rows_1
    .word \code - strips_code + 1
    .endr
    .irp code, strips_2, strips_1, strips_2, strips_1, strips_clamp_2, strips_rows_2
    .word \code - strips_code + 1
    .endr

strips_rows_1: // r8, r9 the upper row, r10, r11 the lower
    ldr r8, [sp, #STRIPS_BIAS]
    ldrd r12, lr, [r6], #8
    smlatb r9, r12, r0, r8
    smlad r10, lr, r0, r8
    smlatb r11, lr, r0, r8
    smlad r8, r12, r0, r8
    smlad r8, lr, r2, r8
    smlatb r9, lr, r2, r9
    ldrd r12, lr, [r6]
    smlad r8, r12, r4, r8
    smlatb r9, r12, r4, r9
    smlad r10, r12, r2, r10
    smlatb r11, r12, r2, r11
    smlad r10, lr, r4, r10
    smlatb r11, lr, r4, r11
    ldrd r12, lr, [r7], #8
    smlabt r8, r12, r1, r8
    smlad r9, r12, r1, r9
    smlabt r8, lr, r3, r8
    smlad r9, lr, r3, r9
    smlabt r10, lr, r1, r10
    smlad r11, lr, r1, r11
    ldrd r12, lr, [r7]
    smlabt r8, r12, r5, r8
    smlad r9, r12, r5, r9
    smlabt r10, r12, r3, r10
    smlad r11, r12, r3, r11
    smlabt r10, lr, r5, r10
    smlad r11, lr, r5, r11
    ldr r12, [sp, #STRIPS_M]
    smmlar r8, r8, r12, r8
    smmlar r9, r9, r12, r9
    smmlar r10, r10, r12, r10
    smmlar r11, r11, r12, r11
    ldrd r12, lr, [sp, #STRIPS_E] // e, zo
    FINISH r8, r12, lr
    FINISH r9, r12, lr
    FINISH r10, r12, lr
    FINISH r11, r12, lr
    ldr pc, [sp, #STRIPS_STORE]
strips_clamp_1:
    ldrd r12, lr, [sp, #STRIPS_LO]
    CLAMP r8, r12, lr
    CLAMP r9, r12, lr
    CLAMP r10, r12, lr
    CLAMP r11, r12, lr
    ldr pc, [sp, #STRIPS_AFTER]
strips_1x2:
    ldrd r12, lr, [sp, #STRIPS_OUT] // out, column
    strb r9, [r12, lr]
    b 1f
strips_1x1:
    ldr r12, [sp, #STRIPS_OUT]
1:  strb r8, [r12]
    b strips_next
strips_2x1:
    ldrd lr, r12, [sp, #STRIPS_ROW] // row, out
    strb r8, [r12]
    strb r10, [r12, lr]
    add r12, r12, lr, lsl #1
    b 1f
strips_2x2:
    ldrd r12, lr, [sp, #STRIPS_OUT]
    strb r8, [r12]
    ldr r8, [sp, #STRIPS_ROW]
    strb r9, [r12, lr]
    add r12, r12, r8
    strb r10, [r12]
    strb r11, [r12, lr]
    add r12, r12, r8
1:  str r12, [sp, #STRIPS_OUT]
    ldr r8, [sp, #STRIPS_END]
    cmp r6, r8
    bne strips_rows_1
strips_done: // no two rows are left
    ldrd r11, r10, [sp, #STRIPS_LEFT]
    ands r10, r10, #1
    bne strips_choose
strips_next:
    ldrd r9, r11, [sp, #STRIPS_Y]
    ldr r8, [sp, #STRIPS_COLUMN]
    ldr r12, [sp, #STRIPS_STRIDE]
    rsb r12, r12, #3 // columns at once
    mla r9, r8, r12, r9
    subs r11, r11, r12
    strd r9, r11, [sp, #STRIPS_Y]
    bgt strips_column
    add sp, #STRIPS_FRAME
    pop {r4-r11, pc}


strips_rows_2: // r8 the upper row, r9 the lower
    ldr r8, [sp, #STRIPS_BIAS]
    ldm r6, {r10-r12, lr}
    smlad r9, r12, r0, r8
    smlad r8, r10, r0, r8
    ldr r10, [r6, #16]!
    smlad r8, r11, r2, r8
    smlad r8, r12, r4, r8
    smlad r9, lr, r2, r9
    smlad r9, r10, r4, r9
    ldm r7, {r10-r12, lr}
    smlabt r8, r10, r1, r8
    ldr r10, [r7, #16]!
    smlabt r8, r11, r3, r8
    smlabt r8, r12, r5, r8
    smlabt r9, r12, r1, r9
    smlabt r9, lr, r3, r9
    smlabt r9, r10, r5, r9
    ldrd r10, r11, [sp, #STRIPS_M] // m, e
    ldrd r12, lr, [sp, #STRIPS_ZO] // zo, row
    REQUANTIZE r8, r10, r11, r12
    REQUANTIZE r9, r10, r11, r12
    ldr pc, [sp, #STRIPS_STORE]
strips_clamp_2:
    ldrd r10, r11, [sp, #STRIPS_LO]
    CLAMP r8, r10, r11
    CLAMP r9, r10, r11
    ldr pc, [sp, #STRIPS_AFTER]
strips_1:
    ldr r12, [sp, #STRIPS_OUT]
    strb r8, [r12]
    b strips_next
strips_2:
    ldr r12, [sp, #STRIPS_OUT]
    strb r8, [r12]
    strb r9, [r12, lr]
    add r12, r12, lr, lsl #1
    str r12, [sp, #STRIPS_OUT]
    ldr r8, [sp, #STRIPS_END]
    cmp r6, r8
    bne strips_rows_2
    b strips_done

// ---- add ------------------------------------------------------------------------------------------------------------
// void dsp_add(const sum *): y = clamp(requantize(table_a[a] + table_b[b])), 13 instructions per element; n is not 0.
.macro ADD_ONE
    ldrb r11, [r0], #1
    ldrb r12, [r1], #1
    ldr r11, [r4, r11, lsl #2]
    ldr r12, [r5, r12, lsl #2]
    add r11, r11, r12
    REQUANTIZE r11, r6, r7, r8
.endm

FUNCTION dsp_add
    push {r4-r11, lr}
    ldm r0, {r0-r11} // a, b, y, end of y, tables of a and b, m doubled, e, zo, lo, hi, whether to clamp
    cmp r11, #0
    bne 2f
1:  ADD_ONE
    strb r11, [r2], #1
    cmp r2, r3
    bne 1b
    pop {r4-r11, pc}
2:  ADD_ONE
    CLAMP r11, r9, r10
    strb r11, [r2], #1
    cmp r2, r3
    bne 2b
    pop {r4-r11, pc}
