// How a function of assembly for Cortex-M0 and M0+ begins and ends: all registers that a caller keeps are saved.
    .macro ENTER name
    .p2align 2
    .thumb_func
    .globl \name
    .hidden \name
    .type \name, %function
\name:
    .endm

    .macro SAVE
    push {r4-r7, lr}
    mov r4, r8
    mov r5, r9
    mov r6, r10
    mov r7, r11
    push {r4-r7}
    .endm

    .macro LEAVE name
    .size \name, . - \name
    .endm

    .macro RESTORE
    pop {r4-r7}
    mov r8, r4
    mov r9, r5
    mov r10, r6
    mov r11, r7
    pop {r4-r7, pc}
    .endm
