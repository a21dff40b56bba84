"""load: from wherever the file is, without a copy where it can lie where it is, in an arena of the promised size."""

import pytest
from blobs import add, dense, digits
from micropython import run
from whit.device import format as blob
from whit.inspect import describe
from whit.simulate import KERNEL_SETS

FILES = {"m.whit": digits()}

# What the scripts share: the file in memory, its outputs, and where a model's weights lie in a buffer.
PRELUDE = """
import gc, struct, vfs, whit
from uctypes import addressof

with open("m.whit", "rb") as f:
    data = f.read()

def answer(m):
    x = bytes([i * 37 & 255 for i in range(m.inputs[0].size)])
    y = bytearray(m.outputs[0].size)
    m.run(x, y)
    return bytes(y)

expected = answer(whit.load("m.whit"))
offset = {weights}

def lies_in(m, base):
    return addressof(m._weights) == base + offset
"""


def board(script, data=None, **files):
    data = data or FILES["m.whit"]
    weights = describe_section(data, blob.WEIGHTS)
    return run(PRELUDE.format(weights=weights) + script, {"m.whit": data, **files})


def describe_section(data, number):
    from blobs import find

    return find(data, number)[0]
