# The module around the native kernels: mpy-cross compiles this, tools/build_kernels.py puts native.c's code in.


@micropython.viper
def run(steps, weights, arena, first, last):
    pass
