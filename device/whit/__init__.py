# whit: int8 neural networks under stock MicroPython.
#
#     import whit
#     m = whit.load("kws.whit")
#     y = m.predict(x)

import sys

VERSION = "0.1.0"


def load(source, arena=None, kernels=None):
    """Load a .whit model and check it; what returns can run without any further check.

    source: a path, or any object with the buffer protocol. A buffer that is memory-mapped (ROMFS, frozen bytes) and
        aligned to 4 bytes is used where it lies; a misaligned one is copied.
    arena: a bytearray for the activations, at least as large as the file asks for; made here when None.
    kernels: "native", "viper", or None for native where this board has it.

    Raises ValueError for a file that cannot be used or where no kernels run, MemoryError where the heap is too small,
    OSError for no file.
    """
    from . import check, model, reader

    try:
        name, blob = reader.read(source)
        return model.Model(name, blob, check.check(name, blob), arena, kernels)
    finally:
        forget("check", "opset", "reader", "describe")  # what only loading needs gives its heap back


def forget(*modules):
    # Drop modules of this package that served for a moment.
    for module in modules:
        sys.modules.pop(__name__ + "." + module, None)
        globals().pop(module, None)


def info():
    """One line: the version, the kernels that load() would take or why there are none, and the firmware."""
    from . import describe

    try:
        return "whit " + VERSION + ", " + describe.kernels()
    finally:
        forget("describe")
