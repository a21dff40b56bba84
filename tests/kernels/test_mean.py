"""mean against MEAN over height and width."""

import pytest
from exact import assert_exact
from nets import mean

CASES = {
    "kept": dict(),
    "kept_rescaled": dict(x=(0.05, -128), y=(0.02, 5)),
    "kept_axes_swapped": dict(axes=(2, 1), x=(0.05, 4), y=(0.04, -9)),
    "kept_one_pixel": dict(shape=(1, 1, 1, 5), y=(0.03, 1)),
    "kept_large": dict(shape=(1, 25, 13, 3), x=(0.05, 127), y=(0.05, -128)),
    "dropped": dict(keep=False, x=(0.05, 9), y=(0.05, 9)),
    "dropped_odd": dict(keep=False, shape=(1, 3, 7, 5)),
    "dropped_rescaled": dict(keep=False, x=(0.05, -128), y=(0.02, 5)),
    "dropped_saturating": dict(keep=False, x=(0.05, 3), y=(0.004, 0)),
    "dropped_tiny": dict(keep=False, shape=(1, 25, 13, 3), y=(3.0, 7)),
    "kept_130_channels": dict(shape=(1, 2, 3, 130), x=(0.05, 3), y=(0.04, -9)),
    # other axes
    "negative_axes": dict(axes=(-3, -2), x=(0.05, 2), y=(0.03, 1)),
    "height_only": dict(shape=(1, 9, 2, 3), axes=(1,), keep=False, x=(0.05, 2), y=(0.03, 1)),
    "sequence": dict(shape=(1, 12, 5), axes=(1,), keep=False, x=(0.05, 2), y=(0.05, 2)),
}


def models():
    """Every case as a .tflite file."""
    return [mean(f"mean_{name}", **case) for name, case in CASES.items()]


@pytest.mark.parametrize("name", CASES)
def test_mean(name):
    assert_exact(mean(f"mean_{name}", **CASES[name]), samples=20)
