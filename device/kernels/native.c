// The native kernel set: run(steps, weights, arena, first, last), the body of a viper function in a .mpy.
//
// No relocation, no writable data, no library: the code is copied to RAM and runs where it lies. It reaches the
// interpreter through the function table, object 0 of the stub module's constants, by two entries of the .mpy ABI
// 6.3; no float crosses it, since boards differ in how they pass floats.
#include "dispatch.h"
#include "interpreter.h"

__attribute__((section(".text.entry"), used)) object entry(function *self, size_t n_args, size_t n_kw, object *args) {
    void **table = self->context->constants[0];
    int (*get_buffer)(object, buffer *, uintptr_t) = (int (*)(object, buffer *, uintptr_t))table[GET_BUFFER];
    object none = table[0];
    buffer steps, weights, arena;
    if (n_args != 5 || n_kw != 0) {
        return none; // the runtime's own call always has five
    }
    get_buffer(args[0], &steps, READ | OR_RAISE);
    get_buffer(args[1], &weights, READ | OR_RAISE);
    get_buffer(args[2], &arena, READ | WRITE | OR_RAISE);
    for (uintptr_t at = small_int(args[3]), last = small_int(args[4]); at < last;) {
        const uint8_t *step = (const uint8_t *)steps.data + at;
        dispatch(step, weights.data, arena.data);
        at += ((const conv2d_step *)step)->size; // every record has the same head
    }
    return none;
}
