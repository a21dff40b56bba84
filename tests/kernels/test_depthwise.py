"""depthwise against DEPTHWISE_CONV_2D; `out` is the depth multiplier."""

import pytest
from exact import assert_exact
from nets import RELU, RELU6, RELU_N1_TO_1, VALID, convolution

CASES = {
    # shapes
    "3x3": dict(x=(5, 5, 8)),
    "one_channel": dict(x=(6, 5, 1)),
    "3_channels": dict(x=(6, 5, 3)),
    "5_channels": dict(x=(4, 7, 5)),
    "1x1": dict(k=(1, 1)),
    "5x5": dict(k=(5, 5), x=(9, 8, 4)),
    "10x8": dict(x=(13, 12, 1), out=8, k=(10, 8), stride=(2, 2)),
    "3x1": dict(k=(3, 1)),
    "1x4": dict(k=(1, 4)),
    "kernel_larger_than_image": dict(x=(2, 3, 4), k=(7, 5)),
    "one_pixel": dict(x=(1, 1, 6)),
    "two_pixels_wide": dict(x=(6, 2, 5)),
    "three_pixels_wide": dict(x=(3, 3, 8)),
    "wide": dict(x=(3, 37, 3)),
    "wide_stride_2": dict(x=(4, 39, 3), stride=(2, 2)),
    "wide_5x5_stride_2": dict(x=(9, 23, 3), k=(5, 5), stride=(2, 2)),
    "bands": dict(x=(70, 60, 2)),
    "bands_stride_2": dict(x=(90, 71, 2), stride=(2, 2)),
    "bands_5x5_dilated": dict(x=(80, 50, 2), k=(5, 5), dilation=(2, 1)),
    "bands_with_gaps": dict(x=(120, 90, 2), k=(2, 3), stride=(4, 1), padding=VALID),
    **{f"3x3_of_{w}_columns": dict(x=(4, w, 3)) for w in (1, 2, 3, 4, 6, 7, 8, 9)},
    **{f"3x3_of_{h}_rows": dict(x=(h, 4, 3)) for h in (1, 2, 3)},
    **{f"3x3_stride_2_of_{w}_columns": dict(x=(w, w, 3), stride=(2, 2)) for w in (1, 2, 3, 4, 5, 9, 10)},
    # planes of more than 3 KB
    "tall": dict(x=(70, 50, 2)),
    "tall_odd_valid": dict(x=(71, 51, 2), padding=VALID, zi=-128),
    "tall_stride_2": dict(x=(101, 49, 2), stride=(2, 2), zi=5),
    "tall_stride_2_even": dict(x=(100, 50, 2), stride=(2, 2), act=RELU6, zo=-20, so=0.06),
    "very_wide": dict(x=(13, 400, 2), zi=9),
    "very_wide_stride_2": dict(x=(13, 401, 2), stride=(2, 2)),
    "pieces_of_rows": dict(x=(5, 131, 2), zi=3),
    "pieces_of_rows_uneven": dict(x=(9, 133, 2), stride=(1, 2), k=(2, 4)),
    "tall_5x5": dict(x=(60, 50, 2), k=(5, 5), zi=-7),
    "4x4": dict(x=(7, 6, 5), k=(4, 4)),
    "5x5_stride_2": dict(x=(9, 8, 4), k=(5, 5), stride=(2, 2)),
    "2x2_stride_2": dict(x=(8, 7, 4), k=(2, 2), stride=(2, 2)),
    "5x5_valid": dict(x=(9, 8, 4), k=(5, 5), padding=VALID),
    # one window over the whole image
    "whole": dict(x=(4, 3, 6), k=(4, 3), padding=VALID),
    "whole_column": dict(x=(21, 1, 60), k=(21, 1), padding=VALID, zi=-128, zo=-36),
    "whole_row": dict(x=(1, 9, 7), k=(1, 9), padding=VALID, act=RELU),
    "whole_saturated": dict(x=(5, 1, 13), k=(5, 1), padding=VALID, so=0.005),
    "whole_extreme": dict(x=(17, 1, 9), k=(17, 1), padding=VALID, values="extreme", zi=127),
    "whole_large": dict(x=(17, 1, 9), k=(17, 1), padding=VALID, values="large"),
    "whole_with_stride": dict(x=(3, 3, 5), stride=(3, 4)),
    "whole_multiplied": dict(x=(4, 3, 3), k=(4, 3), out=2, padding=VALID),
    "whole_but_dilated": dict(x=(3, 3, 5), stride=(3, 3), dilation=(2, 2)),
    "one_pixel_of_1x1": dict(x=(1, 1, 6), k=(1, 1)),
    # depth multiplier
    "multiplier_2": dict(x=(5, 4, 3), out=2),
    "multiplier_3": dict(x=(4, 4, 5), out=3),
    "multiplier_2_of_35": dict(x=(2, 3, 35), out=2),
    "multiplier_8_of_1": dict(x=(6, 6, 1), out=8),
    # stride, padding, dilation
    "valid": dict(padding=VALID),
    "stride_2_odd": dict(x=(7, 7, 4), stride=(2, 2)),
    "stride_2_even": dict(x=(6, 8, 4), stride=(2, 2)),
    "stride_2_valid": dict(x=(8, 7, 4), stride=(2, 2), padding=VALID),
    "stride_uneven": dict(x=(7, 8, 3), stride=(1, 3)),
    "dilation_2": dict(x=(9, 8, 4), dilation=(2, 2)),
    "dilation_uneven": dict(x=(9, 8, 3), dilation=(3, 2), padding=VALID),
    "dilation_multiplier": dict(x=(9, 8, 2), dilation=(2, 2), out=2),
    # zero points and activations
    "zero_point_low": dict(zi=-128, zo=-128),
    "zero_point_high": dict(zi=127, zo=127),
    "relu": dict(act=RELU, zo=-20),
    "relu6": dict(act=RELU6, zo=-128, so=0.03),
    "relu_n1_to_1": dict(act=RELU_N1_TO_1, so=0.01),
    "relu_low": dict(act=RELU, zo=-128),
    "relu_low_5x5": dict(act=RELU, zo=-128, k=(5, 5)),
    "relu6_inside": dict(act=RELU6, zo=-20, so=0.06),
    # values
    "extreme_weights": dict(values="extreme", zi=127),
    "large_weights_high": dict(values="large", zi=127),
    "large_weights_low": dict(values="large", zi=-128, x=(6, 7, 4)),
    "large_weights": dict(values="large", zi=127, x=(6, 5, 4)),
    "large_weights_5x5": dict(values="large", zi=-128, k=(5, 5)),
    "channels_without_weights": dict(values="sparse", x=(5, 5, 6), bias=1 << 30),
    "saturating": dict(so=0.0003),
    "left_shift": dict(so=0.0001, bias=40),
    "large_bias": dict(bias=1 << 30, so=1000.0),
    "no_bias": dict(bias=None, zi=5),
    "per_tensor_weights": dict(per_channel=False, zi=3),
}


def models():
    """Every case as a .tflite file."""
    return [convolution(f"depthwise_{name}", **{"out": 1, **case}, depthwise=True) for name, case in CASES.items()]


@pytest.mark.parametrize("name", CASES)
def test_depthwise(name):
    assert_exact(convolution(f"depthwise_{name}", **{"out": 1, **CASES[name]}, depthwise=True))
