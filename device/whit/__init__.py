# whit: int8 neural networks under stock MicroPython.
#
#     import whit
#     m = whit.load("kws.whit")
#     y = m.predict(x)

import sys

VERSION = "0.1.0"


def load(source, arena=None, kernels=None, paged=None):
    """Load a .whit model and check it; what returns can run without any further check.

    source: a path, or any object with the buffer protocol. A buffer that is memory-mapped (ROMFS, frozen bytes) and
        aligned to 4 bytes is used where it lies; a misaligned one is copied.
    arena: a bytearray for the activations, at least as large as the file asks for; made here when None.
    kernels: "native", "viper", or None for native where this board has it.
    paged: True to leave the weights in the file and read them page by page in every run, False to load them, None to
        load them where the heap has room. For a path, of a file packed with --page; the file stays open.

    Raises ValueError for a file that cannot be used or where no kernels run, MemoryError where the heap is too small,
    OSError for no file.
    """
    forget()
    from . import reader

    try:
        if not paged:
            try:
                found = reader.whole(source, arena)
            except MemoryError:
                if paged is not None or not isinstance(source, str) or not reader.has_pages(source):
                    raise
                paged = True
        if paged:
            found = reader.paged(source, arena)
    finally:
        reader = None
        forget("check", "opset", "reader")  # what only loading needs gives its heap back
    from .model import Model

    try:
        return Model(found, kernels)
    except:
        if found[4]:
            found[4].close()
        raise


def forget(*modules):
    # Drop modules of this package that served for a moment. What comes next finds their heap free.
    import gc

    for module in modules:
        sys.modules.pop(__name__ + "." + module, None)
        globals().pop(module, None)
    gc.collect()


def info():
    """One line: the version, the kernels that load() would take or why there are none, and the firmware."""
    from . import describe

    try:
        return "whit " + VERSION + ", " + describe.kernels()
    finally:
        forget("describe")
