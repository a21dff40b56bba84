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
        load them where the heap has room for the whole model. For a path, of a file packed with --page; the file stays
        open until close().

    Raises ValueError for a file that cannot be used or where no kernels run, MemoryError where the heap is too small,
    OSError for no file.
    """
    if not paged:
        try:
            return _load("whole", source, arena, kernels)
        except MemoryError:
            if paged is not None or not _read("has_pages", source):
                raise
    return _load("paged", source, arena, kernels)


def _load(way, source, arena, kernels):
    found = _read(way, source, arena)
    try:
        from .model import Model

        return Model(found, kernels)
    except:
        if found[4]:
            found[4].close()
        raise


def _read(function, *args):
    # A call of the reader. What only loading needs gives its heap back.
    forget()
    from . import reader

    try:
        return getattr(reader, function)(*args)
    finally:
        reader = None
        forget("check", "opset", "reader")


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
