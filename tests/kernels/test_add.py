"""add against ADD."""

import pytest
from exact import assert_exact
from nets import RELU, RELU6, RELU_N1_TO_1, add

CASES = {
    "equal_scales": dict(),
    "scales": dict(a=(0.03, 0), b=(0.11, 0)),
    "far_scales": dict(a=(0.0001, 0), b=(0.5, 0), y=(0.6, 0)),
    "zero_points": dict(a=(0.04, -128), b=(0.07, 127), y=(0.09, 33)),
    "other_zero_points": dict(a=(0.04, 127), b=(0.07, -5), y=(0.2, -128)),
    "saturating": dict(y=(0.002, 0)),
    "tiny": dict(y=(9.0, 0)),
    "relu": dict(act=RELU, y=(0.1, -20)),
    "relu6": dict(act=RELU6, y=(0.05, -128)),
    "relu_n1_to_1": dict(act=RELU_N1_TO_1),
    "one": dict(shape=(1, 1)),
    "33": dict(shape=(1, 33)),
    "to_itself": dict(same=True, a=(0.05, 4), y=(0.11, 4)),
    "large": dict(shape=(1, 9, 11, 7), a=(0.031, 3), b=(0.029, -9)),
    "large_relu": dict(shape=(1, 513), act=RELU, y=(0.1, -20)),
    "large_relu_low": dict(shape=(1, 600), act=RELU, y=(0.1, -128)),
    "large_relu6": dict(shape=(1, 512), act=RELU6, y=(0.05, -128)),
    "large_far_scales": dict(shape=(1, 700), a=(0.0001, 5), b=(0.5, -128), y=(0.6, 3)),
    "large_saturating": dict(shape=(1, 520), y=(0.002, 0)),
    "large_to_itself": dict(shape=(1, 512), same=True, a=(0.05, 4), y=(0.11, 4)),
}


def models():
    """Every case as a .tflite file."""
    return [add(f"add_{name}", **case) for name, case in CASES.items()]


@pytest.mark.parametrize("name", CASES)
def test_add(name):
    assert_exact(add(f"add_{name}", **CASES[name]))
