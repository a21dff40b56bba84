# Runs the native kernels on an emulated Xtensa core: QEMU's machine `sim`.
#
# This lies in RAM from 0 on, and once more in ROM, where the core starts: a call8 returns into its own gigabyte only.
# xtensa_core.py fills the rest of the RAM. At 0x2000 are the address of the code, the function object, the address and
# the size of the memory the runs work on, then the arguments of each run, and 0. After the runs that memory is written
# to the standard output, and QEMU ends with status 0; or with 100 + the cause of an exception that has no handler here.
# tools/xtensa.py sets the pc-relative operands, since llvm-mc does not always. Code and data lie in different pages:
# QEMU translates code anew when its page is written.

    .macro simcall                  # a2: 1 exit, 4 write; arguments from a3 on. llvm-mc has no name for it
    .byte 0x00, 0x51, 0x00
    .endm

    movi a2, 0x7E0                  # start, in RAM
    jx a2

# The vectors, from 0x400 on. All calls are call8: one that finds its registers in use by an older frame has them saved
# on the stack, a retw whose caller's registers were saved has them loaded.
    .org 0x480
window_overflow8:
    s32e a0, a9, -16
    l32e a0, a1, -12
    s32e a1, a9, -12
    s32e a2, a9, -8
    s32e a3, a9, -4
    s32e a4, a0, -32
    s32e a5, a0, -28
    s32e a6, a0, -24
    s32e a7, a0, -20
    rfwo

    .org 0x4C0
window_underflow8:
    l32e a0, a9, -16
    l32e a1, a9, -12
    l32e a2, a9, -8
    l32e a7, a1, -12
    l32e a3, a9, -4
    l32e a4, a7, -32
    l32e a5, a7, -28
    l32e a6, a7, -24
    l32e a7, a7, -20
    rfwu

    .org 0x700
exception:
    j handle

    .org 0x7C0
double_exception:
    j fault

# A handler works behind the back of the register windows. If the first use of a register in its frame were as the
# result of an emulated instruction, it would still hold a value of an older frame: so that is saved first, by using
# the highest register, then comes the emulation.
    .org 0x7D0
claim_registers:
    or a12, a12, a12
    syscall

    .org 0x7E0
start:
    movi a2, 0
    wsr a2, windowbase
    rsync
    movi a2, 1
    wsr a2, windowstart
    rsync
    movi a2, 0x400
    wsr a2, vecbase
    movi a1, 1                      # the stack ends at 1 MB
    slli a1, a1, 20
    addi a1, a1, -128
    addi a2, a1, 64
    addi a3, a1, -16
    s32i a2, a3, 4                  # the stack pointer of this frame's caller, which window_overflow8 asks for
    movi a2, 4
    slli a2, a2, 16                 # PS: register windows on
    wsr a2, ps
    rsync
    movi a0, 0

    movi a4, 2
    slli a4, a4, 12
    addi a5, a4, 16
    movi a6, 0
next_run:
    l32i a13, a5, 0
    beqz a13, write_memory
    extui a10, a6, 0, 4
    l32i a11, a4, 0
    l32i a12, a4, 4
    call8 call_entry
    addi a5, a5, 4
    addi a6, a6, 1
    j next_run
write_memory:
    l32i a5, a4, 12
    l32i a4, a4, 8
    movi a3, 1
    movi a2, 4
    simcall
    movi a3, 0
exit:
    movi a2, 1
    simcall

# (depth, code, function, arguments): calls the code that many frames further in, so that it starts in every window.
    .p2align 2
call_entry:
    entry a1, 32
    beqz a2, here
    addi a10, a2, -1
    or a11, a3, a3
    or a12, a4, a4
    or a13, a5, a5
    call8 call_entry
    retw
here:
    or a10, a4, a4
    movi a11, 5
    movi a12, 0
    or a13, a5, a5
    callx8 a3
    retw

# (object, buffer, flags): every object here is a buffer. Goes through more frames than there are windows first, as an
# interpreter may, so that the kernels' registers go to the stack and come back.
    .p2align 2
get_buffer:
    entry a1, 32
    movi a10, 20
    call8 go_deep
    l32i a8, a2, 0
    s32i a8, a3, 0
    l32i a8, a2, 4
    s32i a8, a3, 4
    l32i a8, a2, 8
    s32i a8, a3, 8
    movi a2, 1
    retw

    .p2align 2
go_deep:
    entry a1, 32
    beqz a2, deep
    addi a10, a2, -1
    call8 go_deep
deep:
    retw

# mulsh and muluh, which an ESP32 has and this core has not: the high half of a product, signed or unsigned. Both are
# 0000 tttt, rrrr ssss, and 0xB2 or 0xA2, in bytes.
handle:
    wsr a0, excsave1
    movi a0, 1                      # 0x1000 on keeps a0 to a15, SAR and the address of the instruction
    slli a0, a0, 12
    s32i a1, a0, 4
    s32i a2, a0, 8
    s32i a3, a0, 12
    s32i a4, a0, 16
    s32i a5, a0, 20
    s32i a6, a0, 24
    s32i a7, a0, 28
    s32i a8, a0, 32
    s32i a9, a0, 36
    s32i a10, a0, 40
    s32i a11, a0, 44
    s32i a12, a0, 48
    s32i a13, a0, 52
    s32i a14, a0, 56
    s32i a15, a0, 60
    rsr a2, excsave1
    s32i a2, a0, 0
    rsr a2, sar
    s32i a2, a0, 64
    rsr a2, exccause
    beqz a2, illegal_instruction
    beqi a2, 1, registers_claimed
fault:
    rsr a3, exccause
    addi a3, a3, 100
    j exit

illegal_instruction:
    rsr a2, epc1
    s32i a2, a0, 68
    l8ui a3, a2, 0
    extui a3, a3, 0, 4
    bnez a3, fault
    l8ui a3, a2, 2
    movi a4, 0xEF
    and a3, a3, a4                  # less the bit that tells them apart
    movi a4, 0xA2
    bne a3, a4, fault
    movi a2, 0x7D0                  # claim_registers
    wsr a2, epc1
    j resume

registers_claimed:
    l32i a2, a0, 68
    l8ui a3, a2, 0
    l8ui a4, a2, 1
    l8ui a5, a2, 2
    addi a2, a2, 3
    wsr a2, epc1
    extui a6, a4, 0, 4
    addx4 a6, a6, a0
    l32i a6, a6, 0                  # left
    extui a7, a3, 4, 4
    addx4 a7, a7, a0
    l32i a7, a7, 0                  # right
    extui a8, a6, 16, 16
    extui a9, a7, 16, 16
    mul16u a10, a6, a7
    mul16u a11, a8, a7
    mul16u a12, a6, a9
    mul16u a13, a8, a9
    extui a10, a10, 16, 16
    add a11, a11, a10
    extui a10, a11, 0, 16
    add a12, a12, a10
    extui a11, a11, 16, 16
    add a13, a13, a11
    extui a12, a12, 16, 16
    add a13, a13, a12               # the unsigned high half
    movi a10, 0xA2
    beq a5, a10, set_result
    bgez a6, left_positive
    sub a13, a13, a7
left_positive:
    bgez a7, set_result
    sub a13, a13, a6
set_result:
    extui a4, a4, 4, 4
    addx4 a4, a4, a0
    s32i a13, a4, 0

resume:
    l32i a2, a0, 64
    wsr a2, sar
    l32i a15, a0, 60
    l32i a14, a0, 56
    l32i a13, a0, 52
    l32i a12, a0, 48
    l32i a11, a0, 44
    l32i a10, a0, 40
    l32i a9, a0, 36
    l32i a8, a0, 32
    l32i a7, a0, 28
    l32i a6, a0, 24
    l32i a5, a0, 20
    l32i a4, a0, 16
    l32i a3, a0, 12
    l32i a2, a0, 8
    l32i a1, a0, 4
    l32i a0, a0, 0
    rfe
