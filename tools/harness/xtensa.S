# What harness.c needs around it on an emulated Xtensa core: QEMU's machine `sim`.
#
# This lies in RAM from 0 on, and once more in ROM, where the core starts: a call8 returns into its own gigabyte only.
# The data that it and harness.c share is at 0x1000: the registers of a trapped program, at 0x1080 STATE, at 0x1100
# SERVICES, which host/whit/emulate fills with the addresses of read, write, now and stop. harness.c is at 0x2000. An
# exception that has no handler here ends QEMU with status 100 + its cause.
# tools/xtensa.py sets the pc-relative operands, since llvm-mc does not always. Code and data lie in different pages:
# QEMU translates code anew when its page is written.

    .macro simcall                  # a2: 1 exit, 3 read, 4 write; arguments from a3 on. llvm-mc has no name for it
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

    movi a8, 2
    slli a8, a8, 12
    callx8 a8                       # harness.c, which calls stop at the end

# (data, size) -> how many bytes there were
    .p2align 2
read:
    entry a1, 32
    or a5, a3, a3
    or a4, a2, a2
    movi a3, 0
    movi a2, 3
    simcall
    retw

# (data, size)
    .p2align 2
write:
    entry a1, 32
    or a5, a3, a3
    or a4, a2, a2
    movi a3, 1
    movi a2, 4
    simcall
    retw

    .p2align 2
now:
    entry a1, 32
    rsr a2, ccount
    retw

# (status): ends QEMU
    .p2align 2
stop:
    entry a1, 32
    or a3, a2, a2
exit:
    movi a2, 1
    simcall

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
    l32i a2, a0, 144                # STATE.emulated: a run of this handler always takes as many instructions
    addi a2, a2, 1
    s32i a2, a0, 144
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
    extui a5, a5, 4, 1              # 1 for mulsh, which takes the highest bits for signs
    neg a5, a5
    srai a10, a6, 31
    and a10, a10, a7
    and a10, a10, a5
    sub a13, a13, a10
    srai a10, a7, 31
    and a10, a10, a6
    and a10, a10, a5
    sub a13, a13, a10
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
