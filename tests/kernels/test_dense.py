"""dense against FULLY_CONNECTED."""

import pytest
from exact import assert_exact
from nets import RELU, RELU6, RELU_N1_TO_1, dense

CASES = {
    **{f"k_{k}": dict(k=k) for k in (1, 2, 3, 4, 5, 6, 7, 9)},
    **{f"o_{o}": dict(o=o) for o in (1, 2, 3, 5, 12)},
    "large": dict(k=640, o=33),
    "long": dict(k=1028, o=6),
    "long_and_large": dict(k=1031, o=37, rows=2),
    "129_by_rows": dict(k=10, o=129, rows=2),
    "long_rows": dict(k=1027, o=5, rows=2),
    "longest_copied": dict(k=1024, o=3),
    "rows": dict(k=7, o=5, rows=3),
    "one_by_one": dict(k=1, o=1),
    "per_channel": dict(k=16, o=10, per_channel=True),
    "zero_point_low": dict(k=9, zi=-128, zo=-128),
    "zero_point_high": dict(k=9, zi=127, zo=127),
    "relu": dict(act=RELU, zo=-20),
    "relu6": dict(act=RELU6, zo=-128, so=0.03),
    "relu_n1_to_1": dict(act=RELU_N1_TO_1, so=0.02),
    "relu_low": dict(k=24, o=9, act=RELU, zo=-128),
    "relu6_inside": dict(act=RELU6, zo=-20, so=0.06),
    "extreme_weights": dict(k=31, values="extreme", zi=-128),
    "large_weights_high": dict(k=33, values="large", zi=127),
    "large_weights": dict(k=300, o=6, values="large", zi=-128, act=RELU, zo=-128),
    "channels_without_weights": dict(k=9, o=7, values="sparse", bias=1 << 30),
    "saturating": dict(so=0.0005),
    "left_shift": dict(so=0.0001, bias=40),
    "large_bias": dict(bias=1 << 30, so=1000.0),
    "no_bias": dict(k=6, bias=None, zi=5),
}


def models():
    """Every case as a .tflite file."""
    return [dense(f"dense_{name}", **case) for name, case in CASES.items()]


@pytest.mark.parametrize("name", CASES)
def test_dense(name):
    assert_exact(dense(f"dense_{name}", **CASES[name]))
