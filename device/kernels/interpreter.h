// What a viper function's body sees of the interpreter, by the .mpy ABI 6.3.
#ifndef WHIT_INTERPRETER_H
#define WHIT_INTERPRETER_H
#include <stddef.h>
#include <stdint.h>

typedef void *object;
typedef struct {
    void *data;
    size_t length;
    int typecode;
} buffer;
typedef struct {
    void *base, *globals, *qstr_table;
    object *constants;
} module_context;
typedef struct {
    void *base;
    module_context *context;
} function;

enum { GET_BUFFER = 65 };       // index in py/nativeglue.c
enum { READ = 1, WRITE = 2, OR_RAISE = 4 };

static inline uintptr_t small_int(object o) {
    return (uintptr_t)o >> 1;
}

#endif
