# What info() says of the kernels, and load() where none run. Apart from kernelset.py, as these strings are seldom used.

import sys

from . import kernelset

PREBUILT = "x64, armv6m, armv7m, armv7emsp, armv7emdp, rv32imc, xtensawin"


def kernels():
    # Which load() would take, and on what.
    try:
        name, module = kernelset.select()
    except ValueError as e:
        return str(e)
    how = ""
    if name == "viper":
        how = " compiled on this board" if module.package == module.__name__ else " precompiled"
    return "%s kernels%s, %s" % (name, how, _firmware())


def absent(wanted):
    return (
        "no %s kernels run on this firmware, %s; there are some for %s with ABI 6.3: copy whit_native_ARCH.mpy, or "
        "whit and whit_viper_ARCH, to the board, or change the firmware"
        % (wanted or "native or viper", _firmware(), PREBUILT)
    )


def _firmware():
    mpy = getattr(sys.implementation, "_mpy", 0)
    return "architecture %s, .mpy ABI %d.%d" % (kernelset.arch() or "none", mpy & 0xFF, mpy >> 8 & 3)
