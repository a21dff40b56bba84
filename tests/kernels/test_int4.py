"""conv2d and dense with int4 weights against CONV_2D and FULLY_CONNECTED."""

import nets
import pytest
from exact import assert_exact
from nets import RELU, RELU6, VALID

CONVOLUTIONS = {
    # shapes
    "3x3": dict(),
    "3x3_odd_channels": dict(x=(5, 4, 7), out=9),
    "3x3_one_channel": dict(x=(7, 6, 1), out=1),
    "rgb_stride_2": dict(x=(9, 12, 3), out=8, stride=(2, 2), zi=11),
    "pointwise": dict(x=(3, 4, 8), k=(1, 1), out=12),
    "pointwise_odd": dict(x=(3, 4, 5), k=(1, 1), out=3),
    "pointwise_one_pixel": dict(x=(1, 1, 16), k=(1, 1), out=7),
    "three_pixels": dict(x=(1, 3, 9), k=(1, 1), out=6),
    "uneven": dict(x=(9, 11, 3), k=(2, 3), stride=(2, 1), padding=VALID, out=5),
    "dilated": dict(x=(9, 9, 4), dilation=(2, 1), zi=3),
    "300_channels": dict(x=(2, 2, 4), k=(1, 1), out=300),
    "cut": dict(x=(3, 4, 32), out=61),
    # values
    "extreme_low": dict(values="extreme", zi=-128, x=(4, 5, 12)),
    "extreme_high": dict(values="extreme", zi=127),
    "channels_without_weights": dict(values="sparse", x=(5, 5, 8), out=9, bias=1 << 30),
    "relu": dict(act=RELU, zo=-128),
    "relu6": dict(act=RELU6, zo=-20, so=0.06, x=(2, 8, 4), out=7),
    "saturating": dict(so=0.0005),
    "left_shift": dict(x=(2, 2, 1), so=0.0011, bias=40),
    "large_bias": dict(bias=1 << 30, so=1000.0),
    "no_bias": dict(bias=None, zi=5),
    "per_tensor": dict(per_channel=False, zi=3),
}
DENSE = {
    **{f"k_{k}": dict(k=k) for k in (1, 3, 4, 6, 9)},
    **{f"o_{o}": dict(o=o) for o in (1, 2, 7, 12)},
    "rows": dict(k=7, o=5, rows=3),
    "rows_of_words": dict(k=20, o=9, rows=2),
    "large": dict(k=640, o=33),
    "longest_copied": dict(k=1024, o=5),
    "long": dict(k=1028, o=6),
    "long_rows": dict(k=1031, o=5, rows=2),
    "zero_points_low": dict(k=9, zi=-128, zo=-128),
    "extreme": dict(k=31, o=6, values="extreme", zi=127),
    "channels_without_weights": dict(k=9, o=7, values="sparse", bias=1 << 30),
    "relu": dict(k=24, o=9, act=RELU, zo=-128),
    "saturating": dict(so=0.0005),
    "left_shift": dict(so=0.001, bias=40),
    "no_bias": dict(k=6, bias=None, zi=5),
}
BY_CHANNEL = {"per_channel": dict(k=16, o=10), "per_channel_rows": dict(k=21, o=6, rows=2, act=RELU6, zo=-20)}


def convolution(name: str) -> bytes:
    return nets.convolution(f"int4_conv_{name}", weights="int4", **CONVOLUTIONS[name])


def dense(name: str) -> bytes:
    return nets.dense(f"int4_dense_{name}", weights="int4", **DENSE[name])


def dense_by_channel(name: str, weights: str = "int4") -> bytes:
    """The same weights in either type."""
    return nets.dense(f"int4_dense_{name}", weights=weights, per_channel=True, limit=7, **BY_CHANNEL[name])


def models():
    """Every case as a .tflite file."""
    return [*map(convolution, CONVOLUTIONS), *map(dense, DENSE), *map(dense_by_channel, BY_CHANNEL), nets.mixed()]


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_int4_convolution(name):
    assert_exact(convolution(name))


@pytest.mark.parametrize("name", DENSE)
def test_int4_dense(name):
    assert_exact(dense(name))


@pytest.mark.parametrize("name", BY_CHANNEL)
def test_int4_dense_with_a_scale_for_each_channel(name):
    """TensorFlow Lite Micro has this for int8 weights only, of the same values."""
    assert_exact(dense_by_channel(name), same_as=dense_by_channel(name, "int8"))


def test_a_network_of_both():
    assert_exact(nets.mixed(), samples=3)
