// Runs kernels as they are shipped on a core that QEMU emulates, and counts what they take.
//
// It reads blocks of memory, each with its address, until there are no more; runs the calls of each, and writes the
// block out again. host/whit/emulate puts the blocks together: the code of the kernels, the function objects it expects
// of an interpreter, and what it works on. All that is here of an interpreter is the part of its function table that
// kernels use.
//
// Flat code like the kernels, placed anywhere; what it must remember lies at STATE.
#include <stddef.h>
#include <stdint.h>

#define NOINLINE __attribute__((noinline))

typedef void *object; // a small integer (value << 1 | 1), or the address of a buffer, a function, or nothing known
typedef object (*code)(object self, size_t n_args, size_t n_kw, object *args);

typedef struct {
    void *base, *context, *children;
    code code;
} function;

typedef struct {
    void *data;
    size_t length;
    int typecode;
    uint32_t depth; // frames that asking for this buffer takes: register windows are spilled there
} buffer;

typedef struct {
    function *function;
    size_t n_args;
    object *args;
    uint32_t depth;         // frames between this program and the function
    const uint8_t *written; // what the function writes
    uint32_t size;
    uint32_t ticks;         // from here on written by this program
    uint32_t crc32;         // of what this and the calls before it wrote
    uint32_t emulated;      // instructions that this core lacks
} call;

typedef struct {
    uint8_t *at;
    uint32_t size;
    call *calls;
    uint32_t count;
} block;

typedef struct {
    uintptr_t in, out;
    volatile uint32_t *timer; // 0 for none
    object *globals;          // of the function that runs
    uint32_t emulated;
} state;

// The exit status of QEMU; host/whit/emulate has the words.
enum { DONE, NO_OUTPUT, CUT, FAULT, NO_INTEGER, BIG_INTEGER, NO_FUNCTION };

#if defined(__arm__) || defined(__riscv)
#if defined(__arm__)
#define RAM 0x20000000
#define STACK_TOP 0x20000c00
#else
#define RAM 0x81000000
#define STACK_TOP 0x81000c00
#endif
#define STATE ((state *)RAM)

enum { SYS_OPEN = 1, SYS_WRITE = 5, SYS_READ = 6, SYS_EXIT_EXTENDED = 0x20 };
enum { READ_BINARY = 1, WRITE_BINARY = 5, APPLICATION_EXIT = 0x20026 };

static uintptr_t semihost(uintptr_t operation, const void *argument) {
#if defined(__riscv)
    register uintptr_t a0 __asm("a0") = operation;
    register const void *a1 __asm("a1") = argument;
    __asm volatile(".option push\n.option norvc\n.p2align 4\nslli x0, x0, 0x1f\nebreak\nsrai x0, x0, 7\n.option pop"
                   : "+r"(a0) : "r"(a1) : "memory");
    return a0;
#else
    register uintptr_t r0 __asm("r0") = operation;
    register const void *r1 __asm("r1") = argument;
    __asm volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
#endif
}

static _Noreturn NOINLINE void stop(uint32_t status) {
    const uint32_t request[] = {APPLICATION_EXIT, status};
    semihost(SYS_EXIT_EXTENDED, request);
    for (;;) {
    }
}

static uintptr_t open(const char *name, uintptr_t length, uintptr_t mode) {
    const uintptr_t request[] = {(uintptr_t)name, mode, length};
    return semihost(SYS_OPEN, request);
}

// Read up to `size` bytes; how many there were.
static uint32_t read(void *data, uint32_t size) {
    const uintptr_t request[] = {STATE->in, (uintptr_t)data, size};
    return size - semihost(SYS_READ, request);
}

static void write(const void *data, uint32_t size) {
    const uintptr_t request[] = {STATE->out, (uintptr_t)data, size};
    if (semihost(SYS_WRITE, request)) {
        stop(NO_OUTPUT);
    }
}

static inline uint32_t now(void) {
#if defined(__riscv)
    return STATE->timer[0];
#else
    return STATE->timer ? ~STATE->timer[1] : 0; // it counts down
#endif
}

static void begin(void) {
    STATE->in = open("in", 2, READ_BINARY);
    STATE->out = open("out", 3, WRITE_BINARY);
    STATE->emulated = 0;
    read(&STATE->timer, 4);
#if defined(__arm__)
    *(volatile uint32_t *)0xE000E010 = 0;       // no SysTick
    *(volatile uint32_t *)0xE000ED14 |= 1 << 3; // UNALIGN_TRP: fault where a Cortex-M0 would
    if (STATE->timer) {                         // CMSDK timer: CTRL, VALUE, RELOAD
        STATE->timer[2] = STATE->timer[1] = 0xFFFFFFFF;
        STATE->timer[0] = 1;
    }
#endif
}
#else
// Xtensa: what needs an instruction that kernels may not have is in xtensa.S.
typedef struct {
    uint32_t (*read)(void *data, uint32_t size);
    void (*write)(const void *data, uint32_t size);
    uint32_t (*now)(void);
    void (*stop)(uint32_t status);
} services;

#define STATE ((state *)0x1080)
#define SERVICES ((const services *)0x1100)
#define read SERVICES->read
#define write SERVICES->write
#define now SERVICES->now
#define stop SERVICES->stop

static void begin(void) {
    read(&STATE->timer, 4);
    STATE->emulated = 0;
}
#endif

static NOINLINE void deep(uint32_t frames) {
    if (frames) {
        deep(frames - 1);
    }
    __asm volatile("" ::: "memory"); // and return here, rather than jump
}

// The function table. Its places are given by the .mpy ABI 6.3; NAME is at table_NAME.

__attribute__((used)) int table_get_buffer(buffer *in, buffer *out, uintptr_t flags) {
    (void)flags;
    deep(in->depth);
    out->data = in->data;
    out->length = in->length;
    out->typecode = in->typecode;
    return 1;
}

enum { AN_OBJECT = 0, INT = 2, UINT = 3 };

__attribute__((used)) uintptr_t table_from_object(object o, uintptr_t type) {
    if ((type & 15) == AN_OBJECT) {
        return (uintptr_t)o;
    }
    if ((uintptr_t)o & 1) {
        return (uintptr_t)((intptr_t)o >> 1);
    }
    if ((type & 15) <= UINT) {
        stop(NO_INTEGER);
    }
    return (uintptr_t)((buffer *)o)->data;
}

static object number(uintptr_t value, uintptr_t type) {
    return (type & 15) == AN_OBJECT ? (object)value : (object)(value << 1 | 1);
}

__attribute__((used)) object table_to_object(uintptr_t value, uintptr_t type) {
    if ((type & 15) != AN_OBJECT && ((value ^ value << 1) >> 31 || ((type & 15) != INT && value >> 30))) {
        stop(BIG_INTEGER);
    }
    return number(value, type);
}

// For files that nobody has made: an interpreter has objects for their large numbers, here 31 bits are left of them.
__attribute__((used)) object table_to_any_object(uintptr_t value, uintptr_t type) {
    return number(value, type);
}

__attribute__((used)) object *table_swap_globals(object *globals) {
    object *before = STATE->globals;
    if (!globals || globals == before) {
        return NULL;
    }
    STATE->globals = globals;
    return before;
}

__attribute__((used)) object table_load_global(uintptr_t name) {
    return STATE->globals[name];
}

__attribute__((used)) object table_call_function(function *f, uintptr_t n_args, object *args) {
    return f->code(f, n_args, 0, args);
}

// To the next lower integer. A Cortex-M0 has no instruction for it.
__attribute__((used)) intptr_t table_floor_divide(intptr_t dividend, intptr_t divisor) {
    uint32_t left = dividend < 0 ? -(uint32_t)dividend : (uint32_t)dividend, quotient = 0;
    uint32_t by = divisor < 0 ? -(uint32_t)divisor : (uint32_t)divisor;
    for (int bit = 31; bit >= 0 && by; bit--) {
        if (left >> bit >= by) {
            left -= by << bit;
            quotient |= 1u << bit;
        }
    }
    if ((dividend ^ divisor) < 0) {
        return -(intptr_t)(quotient + (left != 0));
    }
    return (intptr_t)quotient;
}

__attribute__((used)) uintptr_t table_nlr_push(void *exception_frame) {
    (void)exception_frame;
    return 0; // nothing is ever raised
}

__attribute__((used)) void table_nlr_pop(void) {
}

__attribute__((used)) void table_refuse(void) {
    stop(NO_FUNCTION);
}

static uint32_t crc32(uint32_t crc, const uint8_t *data, uint32_t size) {
    crc = ~crc;
    while (size--) {
        crc ^= *data++;
        for (int bit = 0; bit < 8; bit++) {
            crc = crc >> 1 ^ (0xEDB88320 & -(crc & 1));
        }
    }
    return ~crc;
}

static NOINLINE void run(call *c, uint32_t depth) {
    if (depth) {
        run(c, depth - 1);
        __asm volatile("" ::: "memory");
        return;
    }
    function *f = c->function;
    code code = f->code;
    size_t n_args = c->n_args;
    object *args = c->args;
    STATE->globals = (object *)STATE; // no module's
    uint32_t emulated = STATE->emulated, before = now();
    code(f, n_args, 0, args);
    c->ticks = now() - before;
    c->emulated = STATE->emulated - emulated;
}

static void run_blocks(void) {
    block b;
    while (read(&b, sizeof b) == sizeof b) {
        if (read(b.at, b.size) != b.size) {
            stop(CUT);
        }
        uint32_t crc = 0;
        for (call *c = b.calls; c < b.calls + b.count; c++) {
            run(c, c->depth);
            c->crc32 = crc = crc32(crc, c->written, c->size);
        }
        if (b.count) {
            write(b.at, b.size);
        }
    }
    stop(DONE);
}

__attribute__((used)) void fault(void) {
    stop(FAULT);
}

#if defined(__riscv)
#define TEXT(x) TEXT_(x)
#define TEXT_(x) #x
__attribute__((used)) static void begin_on_stack(void) {
    begin();
    run_blocks();
}

__attribute__((naked, section(".text.entry"), used)) void entry(void) {
    __asm volatile("li sp, " TEXT(STACK_TOP) "\nlla t0, fault\ncsrw mtvec, t0\nj begin_on_stack");
}
#else
__attribute__((section(".text.entry"), used)) void entry(void) {
    begin();
    run_blocks();
}
#endif
