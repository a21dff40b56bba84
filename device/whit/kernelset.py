# Which kernels run here: native machine code where a module for this board is installed, else viper, precompiled or
# compiled here.
#
# A kernel set is a module with run(steps, weights, arena, first, last): execute the step records that lie in
# steps[first:last]. A set that loads its kernels one by one also has prepare(ids).

import sys

_ARCHES = ("", "x86", "x64", "armv6", "armv6m", "armv7m", "armv7em", "armv7emsp", "armv7emdp", "xtensa", "xtensawin")
_ARCHES += ("rv32imc", "rv64imc")


def arch(mpy=None):
    # The architecture this firmware, or that of another board's sys.implementation._mpy, runs native code of, "" for
    # none.
    if mpy is None:
        mpy = getattr(sys.implementation, "_mpy", 0)
    number = mpy >> 10 & 15
    return _ARCHES[number] if number < len(_ARCHES) else ""


def select(wanted=None):
    # -> (set name, module). Raises ValueError for a set that is not there.
    if wanted not in (None, "native", "viper"):
        raise ValueError("there are no %r kernels; use 'native' or 'viper'" % (wanted,))
    if wanted != "viper":
        try:
            return "native", __import__("whit_native_" + arch())
        except (ImportError, ValueError):  # ValueError: a module of another architecture or ABI
            if wanted:
                raise ValueError(
                    "no native kernels for %s are installed; copy whit_native_%s.mpy to the board or use 'viper'"
                    % (arch() or "this firmware", arch())
                )
    try:
        from . import viper

        viper.choose(arch())
        return "viper", viper
    except (ImportError, SyntaxError):  # SyntaxError: firmware that does not compile viper
        from . import describe

        raise ValueError(describe.absent(wanted))
