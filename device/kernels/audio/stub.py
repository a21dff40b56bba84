# The module around the front-end kernels: mpy-cross compiles this, tools/build_kernels.py puts audio.c's code in.


@micropython.viper
def feed(section, state, features, data, samples, first, last):
    pass
