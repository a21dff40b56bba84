# The viper kernel set: one module per kernel, named as in opset.py, imported only for the models that use it.

import sys

_kernels = []


def prepare(ids):
    # Import the kernels a model uses, so that run() neither imports nor allocates.
    from .. import opset

    for row in opset.KERNELS:
        number, name = row[:2]
        while len(_kernels) <= number:
            _kernels.append(None)
        if number in ids and _kernels[number] is None:
            full = __name__ + "." + name
            __import__(full)
            _kernels[number] = getattr(sys.modules[full], name)


def run(steps, weights, arena, first, last):
    while first < last:
        _kernels[steps[first]](steps, first, weights, arena)
        first += steps[first + 2] | steps[first + 3] << 8
