// A bare-metal program that runs the native kernels as shipped, on whatever core QEMU emulates.
//
// By semihosting it reads `jobs` and writes `arenas` in QEMU's working directory. jobs: u32 code bytes, code, then for
// each job u32 bytes of steps, weights and arena, and the three. arenas: every arena after its run, one after another.
// Everything starts at multiples of 16. The code sees the interpreter it expects: a function object whose module's
// first constant is the function table, with the buffer protocol at its place.
#include <stddef.h>
#include <stdint.h>

enum { SYS_OPEN = 1, SYS_WRITE0 = 4, SYS_WRITE = 5, SYS_READ = 6, SYS_EXIT = 0x18 };
enum { READ_BINARY = 1, WRITE_BINARY = 5 };
enum { ALIGN = 16, GUARD = 64, GET_BUFFER = 65, TABLE = 80 };

static uintptr_t semihost(uintptr_t operation, const void *argument) {
#if defined(__riscv)
    register uintptr_t a0 __asm("a0") = operation;
    register const void *a1 __asm("a1") = argument;
    __asm volatile(".option push\n.option norvc\nslli x0, x0, 0x1f\nebreak\nsrai x0, x0, 7\n.option pop"
                   : "+r"(a0) : "r"(a1) : "memory");
    return a0;
#else
    register uintptr_t r0 __asm("r0") = operation;
    register const void *r1 __asm("r1") = argument;
    __asm volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
#endif
}

static _Noreturn void stop(const char *complaint) {
    semihost(SYS_WRITE0, complaint);
    semihost(SYS_EXIT, (const void *)(*complaint ? 0x20023u : 0x20026u));
    for (;;) {
    }
}

static uintptr_t open(const char *name, uintptr_t mode) {
    uintptr_t length = 0;
    while (name[length]) {
        length++;
    }
    const uintptr_t request[] = {(uintptr_t)name, mode, length};
    return semihost(SYS_OPEN, request);
}

// Read exactly `size` bytes; 0 at the end of the file.
static int get(uintptr_t file, void *buffer, uint32_t size) {
    const uintptr_t request[] = {file, (uintptr_t)buffer, size};
    uintptr_t missing = size ? semihost(SYS_READ, request) : 0;
    if (missing && missing != size) {
        stop("jobs is cut\n");
    }
    return !missing;
}

typedef struct {
    void *data;
    size_t length;
    int typecode;
} buffer;

static int get_buffer(void *object, buffer *out, uintptr_t flags) {
    (void)flags;
    *out = *(buffer *)object;
    return 1;
}

extern uint8_t pool[], pool_end[];
static uint8_t *top;

static uint8_t *take(uint32_t size) {
    uint8_t *at = top;
    top += (size + ALIGN - 1) & ~(uint32_t)(ALIGN - 1);
    if (top > pool_end) {
        stop("a job does not fit this core's memory\n");
    }
    return at;
}

int main(void) {
    static void *table[TABLE], *constants[1];
    static struct { void *base, *globals, *names, **constants; } context;
    static struct { void *base, *context; } function;
    uintptr_t jobs = open("jobs", READ_BINARY), arenas = open("arenas", WRITE_BINARY);
    uint32_t sizes[3];
    table[GET_BUFFER] = (void *)get_buffer;
    constants[0] = table;
    context.constants = constants;
    function.context = &context;
    top = pool;
    get(jobs, sizes, 4);
    uint8_t *code = take(sizes[0]);
    get(jobs, code, sizes[0]);
#if defined(__arm__)
    code += 1; // Thumb
#endif
    void *(*entry)(void *, size_t, size_t, void **) = (void *(*)(void *, size_t, size_t, void **))(uintptr_t)code;
    for (uint8_t *free = top; get(jobs, sizes, sizeof sizes); top = free) {
        buffer buffers[3];
        uint8_t *before = take(GUARD);
        for (int i = 0; i < 3; i++) {
            buffers[i].data = take(sizes[i]);
            buffers[i].length = sizes[i];
            get(jobs, buffers[i].data, sizes[i]);
        }
        uint8_t *after = take(GUARD);
        for (int i = 0; i < GUARD; i++) {
            before[i] = after[i] = 0xA5;
        }
        void *arguments[] = {&buffers[0], &buffers[1], &buffers[2], (void *)1, (void *)(uintptr_t)(sizes[0] << 1 | 1)};
        entry(&function, 5, 0, arguments);
        for (int i = 0; i < GUARD; i++) {
            if (before[i] != 0xA5 || after[i] != 0xA5) {
                stop("a kernel wrote outside its memory\n");
            }
        }
        const uintptr_t request[] = {arenas, (uintptr_t)buffers[2].data, sizes[2]};
        if (semihost(SYS_WRITE, request)) {
            stop("arenas cannot be written\n");
        }
    }
    stop("");
}

extern uint32_t stack_top[], bss_start[], bss_end[];

static void clear(void) {
    for (uint32_t *word = bss_start; word < bss_end; word++) {
        *word = 0;
    }
}

#if defined(__riscv)
__attribute__((used, aligned(4))) void fault(void) {
    stop("the core took a fault\n");
}

__attribute__((naked, section(".start"))) void start(void) {
    __asm volatile("la sp, stack_top\nla t0, fault\ncsrw mtvec, t0\nj begin");
}

__attribute__((used)) void begin(void) {
    clear();
    main();
}
#else
static void fault(void) {
    stop("the core took a fault\n");
}

static void begin(void) {
    clear();
#if !defined(ARMV6M)
    *(volatile uint32_t *)0xE000ED14 |= 1 << 3; // UNALIGN_TRP: fault where a Cortex-M0 would
#endif
    main();
}

__attribute__((section(".start"), used)) static void *const vectors[16] = {stack_top, begin, fault, fault, fault, fault, fault};
#endif
