# The viper kernel set: one module per kernel, named as in opset.py, imported only for the models that use it.

import sys

# The package the kernels come from, "" before choose(). All of a process come from one, as they share requantize.acc.
package = ""
_kernels = []


def choose(arch):
    # Those compiled on the PC for this architecture if they load here, else the sources beside this file. Raises
    # ImportError where there are none either, SyntaxError where this firmware does not compile viper.
    global package
    if not package:
        name = "whit_viper_" + arch
        try:
            __import__(name + ".requantize")
        except (ImportError, ValueError):  # ValueError: of another architecture or ABI
            name = __name__
            __import__(name + ".requantize")
        package = name


def prepare(ids):
    # Import the kernels a model uses, so that run() neither imports nor allocates.
    from .. import opset

    for row in opset.KERNELS:
        number, name = row[:2]
        while len(_kernels) <= number:
            _kernels.append(None)
        if number in ids and _kernels[number] is None:
            full = package + "." + name
            try:
                __import__(full)
            except (ImportError, ValueError) as e:  # half of a set, or of another version
                raise ValueError("%s does not load: %s; copy its folder to the board again" % (full, e))
            _kernels[number] = getattr(sys.modules[full], name)


# Viper keeps the first two names of a function in registers, and those are its first parameters; every other name is a
# place on the stack. So the first two of a kernel are what its inner loops use most, one integer and one pointer. They
# come with the place of the step's record, and with the weights.


def run(steps, weights, arena, first, last):
    while first < last:
        _kernels[steps[first]](first, weights, steps, weights, arena)
        first += steps[first + 2] | steps[first + 3] << 8
