"""conv2d against CONV_2D."""

import pytest
from exact import assert_exact
from nets import RELU, RELU6, RELU_N1_TO_1, SAME, VALID, convolution

CASES = {
    # shapes
    "pointwise": dict(k=(1, 1)),
    "pointwise_odd_in": dict(x=(3, 4, 3), k=(1, 1), out=5),
    "pointwise_5_in": dict(x=(3, 4, 5), k=(1, 1), out=3),
    "pointwise_one_pixel": dict(x=(1, 1, 16), k=(1, 1), out=7),
    "pointwise_stride_2": dict(x=(5, 6, 4), k=(1, 1), stride=(2, 2)),
    "3x3": dict(),
    "3x3_one_channel": dict(x=(7, 6, 1), out=1),
    "3x3_rgb": dict(x=(9, 8, 3), out=8, stride=(2, 2)),
    "3x3_odd_channels": dict(x=(5, 4, 7), out=9),
    "10x4_first_layer": dict(x=(21, 10, 1), out=6, k=(10, 4), stride=(2, 2)),
    "5x1": dict(k=(5, 1)),
    "1x7": dict(x=(4, 9, 2), k=(1, 7)),
    "even_kernel": dict(k=(2, 4), x=(5, 7, 3)),
    "kernel_larger_than_image": dict(x=(2, 3, 4), k=(5, 7)),
    "wide": dict(x=(2, 65, 2), out=3),
    "two_pixels": dict(x=(1, 2, 9), out=6),
    "three_pixels": dict(x=(1, 3, 8), k=(1, 1), out=3),
    "seven_pixels": dict(x=(1, 7, 3), out=5),
    "deep": dict(x=(4, 3, 20), out=6),
    **{f"{n}_channels": dict(x=(2, 3, 5), k=(1, 1), out=n) for n in (31, 33, 64, 65)},
    "300_channels": dict(x=(2, 2, 4), k=(1, 1), out=300),
    **{f"{n}_pixels": dict(x=(1, n, 8), k=(1, 1), out=5) for n in (2, 3, 5, 6, 7)},
    **{f"{n}_pixels_of_windows": dict(x=(1, n, 3), out=5) for n in (1, 2, 3, 6)},
    **{f"pointwise_{n}_in": dict(x=(3, 3, n), k=(1, 1)) for n in (8, 12, 20, 24, 28, 32, 36)},
    # one window over the whole image: a dense layer
    "whole": dict(x=(5, 1, 40), k=(5, 1), out=30, stride=(3, 1), padding=VALID, zi=-128, act=RELU),
    "whole_odd": dict(x=(3, 3, 5), out=7, stride=(3, 3), zo=-9),
    "whole_one_scale": dict(x=(3, 2, 7), k=(3, 2), out=5, padding=VALID, per_channel=False),
    "whole_extreme": dict(x=(4, 4, 9), k=(4, 4), out=5, padding=VALID, values="extreme", zi=127),
    "whole_int4": dict(x=(5, 1, 12), k=(5, 1), out=9, padding=VALID, weights="int4"),
    "whole_but_dilated": dict(x=(3, 3, 5), out=6, stride=(3, 3), dilation=(2, 2)),
    # stride, padding, dilation
    "valid": dict(padding=VALID, x=(6, 7, 4)),
    "valid_to_one_pixel": dict(padding=VALID, x=(3, 3, 5), out=6),
    "stride_2_odd": dict(x=(7, 5, 4), stride=(2, 2)),
    "stride_2_even": dict(x=(8, 6, 4), stride=(2, 2)),
    "stride_2_valid": dict(x=(8, 7, 3), stride=(2, 2), padding=VALID),
    "stride_uneven": dict(x=(7, 8, 3), stride=(2, 1)),
    "stride_over_kernel": dict(x=(10, 11, 3), k=(2, 2), stride=(4, 3)),
    "dilation_2": dict(x=(9, 9, 4), dilation=(2, 2)),
    "dilation_uneven": dict(x=(9, 11, 3), dilation=(2, 3), padding=SAME),
    "dilation_valid": dict(x=(9, 11, 3), dilation=(3, 2), padding=VALID),
    "dilation_over_image": dict(x=(3, 3, 4), dilation=(4, 4)),
    # zero points
    "zero_point_low": dict(zi=-128, zo=-128),
    "zero_point_high": dict(zi=127, zo=127),
    "zero_point_odd": dict(zi=-7, zo=19, x=(6, 5, 3)),
    # activations
    "relu": dict(act=RELU, zo=-20),
    "relu6": dict(act=RELU6, zo=-128, so=0.03),
    "relu_n1_to_1": dict(act=RELU_N1_TO_1, so=0.02),
    # rows of four pixels and more, with and without borders
    **{f"3x3_{c}_in_{w}_columns": dict(x=(4, w, c), out=3, zi=-9) for c in (3, 4) for w in (4, 5, 8, 12, 13)},
    "3x3_stride_2_of_17": dict(x=(9, 17, 4), stride=(2, 2), zi=11),
    "rgb_stride_2_of_26": dict(x=(9, 26, 3), stride=(2, 2), zi=11, out=8),
    "stride_over_patch": dict(x=(9, 40, 3), k=(2, 2), stride=(1, 5), zi=11),
    "one_row_of_a_window": dict(x=(3, 12, 8), k=(1, 3), zi=-128),
    "dilated_rows": dict(x=(9, 12, 4), dilation=(2, 1), zi=3),
    "dilated_columns": dict(x=(9, 12, 4), dilation=(1, 2), zi=3),
    "clamp_of_odd_channels": dict(x=(2, 8, 4), out=7, act=RELU6, zo=-20, so=0.06),
    "relu_low": dict(act=RELU, zo=-128),
    "relu_low_wide": dict(act=RELU, zo=-128, x=(5, 5, 16), values="large"),
    "relu6_inside": dict(act=RELU6, zo=-20, so=0.06),
    # values
    "extreme_weights": dict(values="extreme", zi=-128),
    "large_weights_high": dict(values="large", zi=127),
    "large_weights_low": dict(values="large", zi=-128, x=(6, 7, 4)),
    "large_weights": dict(values="large", zi=-128, x=(4, 5, 12)),
    "channels_without_weights": dict(values="sparse", x=(5, 5, 8), out=9, bias=1 << 30),
    "300_channels_half_without_weights": dict(values="sparse", x=(2, 2, 4), k=(1, 1), out=300, act=RELU, zo=-128),
    "saturating": dict(so=0.0005),
    "tiny_outputs": dict(so=50.0),
    "left_shift": dict(x=(2, 2, 1), so=0.00011, bias=40),
    "flushed_to_zero": dict(so=1e9),
    "large_bias": dict(bias=1 << 30, so=1000.0),
    "no_bias": dict(bias=None, zi=5),
    "per_tensor_weights": dict(per_channel=False, zi=3),
}


def models():
    """Every case as a .tflite file."""
    return [convolution(f"conv_{name}", **case) for name, case in CASES.items()]


@pytest.mark.parametrize("name", CASES)
def test_conv2d(name):
    assert_exact(convolution(f"conv_{name}", **CASES[name]))
