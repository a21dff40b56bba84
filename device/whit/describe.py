# What info() says of the kernels, and load() where none run. Apart from kernelset.py, as these strings are seldom used.

import sys

from . import kernelset

PREBUILT = "x64, armv6m, armv7m, armv7emsp, armv7emdp, rv32imc, xtensawin"
_mpy = getattr(sys.implementation, "_mpy", 0)


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
    arch = kernelset.arch()
    which = wanted or "native or viper"
    if arch not in PREBUILT.split(", ") or _mpy & 0x3FF != 0x306:
        return "no %s kernels run on this firmware, %s; there are some for %s with ABI 6.3: change firmware" % (
            which,
            _firmware(),
            PREBUILT,
        )
    native = "" if wanted else "whit_native_%s.mpy, or " % arch
    return "no %s kernels for %s are installed%s; copy %swhit and whit_viper_%s to the board" % (
        which,
        arch,
        _others(arch),
        native,
        arch,
    )


def _others(arch):
    # Kernels of another architecture, which somebody has copied in their place.
    import os

    found = set()
    for folder in sys.path:
        try:
            found.update([name for name in os.listdir(folder) if name.startswith("whit_") and arch not in name])
        except OSError:
            pass
    return ", but " + ", ".join(sorted(found)) if found else ""


def _firmware():
    return "architecture %s, .mpy ABI %d.%d" % (kernelset.arch() or "none", _mpy & 0xFF, _mpy >> 8 & 3)
