"""copy and fill against PAD and PADV2."""

import pytest
from exact import assert_exact
from nets import pad

CASES = {
    "height_width": dict(),
    "every_dimension": dict(shape=(2, 3, 4, 5), paddings=((1, 0), (0, 2), (3, 1), (2, 1))),
    "channels": dict(paddings=((0, 0), (0, 0), (0, 0), (1, 3))),
    "before_only": dict(paddings=((0, 0), (2, 0), (0, 0), (0, 0))),
    "nothing": dict(paddings=((0, 0), (0, 0), (0, 0), (0, 0))),
    "vector": dict(shape=(1, 7), paddings=((0, 0), (2, 3))),
    "value": dict(value=-77),
    "lowest_value": dict(value=-128, zero_point=-128),
}


def models():
    """Every case as a .tflite file."""
    return [pad(f"pad_{name}", **case) for name, case in CASES.items()]


@pytest.mark.parametrize("name", CASES)
def test_pad(name):
    assert_exact(pad(f"pad_{name}", **CASES[name]), samples=2)
