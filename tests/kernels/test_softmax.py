"""softmax against SOFTMAX."""

import numpy as np
import pytest
from exact import assert_exact
from nets import softmax

CASES = {
    "10": dict(),
    "one": dict(shape=(1, 1)),
    "2": dict(shape=(1, 2), scale=0.05),
    "3": dict(shape=(1, 3), zero_point=-40),
    "33": dict(shape=(1, 33), scale=0.02),
    "300": dict(shape=(1, 300), scale=0.01),
    "rows": dict(shape=(3, 5)),
    "image": dict(shape=(1, 2, 3, 4)),
    "steep": dict(scale=1.7),
    "very_steep": dict(scale=20.0),
    "flat": dict(scale=0.0005, shape=(1, 7)),
    "beta": dict(beta=0.5, scale=0.3),
}


def models():
    """Every case as a .tflite file."""
    return [softmax(f"softmax_{name}", **case) for name, case in CASES.items()]


@pytest.mark.parametrize("name", CASES)
def test_softmax(name):
    assert_exact(softmax(f"softmax_{name}", **CASES[name]), samples=20)


def test_every_difference_and_scale():
    """Two classes at every distance, for scales over six decades."""
    x = np.stack([np.full(256, 127), np.arange(-128, 128)], axis=1).astype(np.int8).reshape(256, 1, 2)
    for scale in (0.0003, 0.004, 0.0123, 0.06, 0.25, 0.9, 3.3):
        assert_exact(softmax("two", (1, 2), scale), inputs=[x])
