"""average_pool and max_pool against AVERAGE_POOL_2D and MAX_POOL_2D: the same cases for both."""

import pytest
from exact import assert_exact
from nets import RELU, RELU6, SAME, pool

CASES = {
    "2x2": dict(),
    "odd_channels": dict(x=(5, 7, 3)),
    "3x3_stride_1": dict(k=(3, 3), stride=(1, 1)),
    "3x3_same": dict(k=(3, 3), stride=(2, 2), padding=SAME, x=(7, 6, 5)),
    "same_stride_1": dict(k=(3, 2), stride=(1, 1), padding=SAME, x=(4, 5, 2)),
    "whole_image": dict(x=(25, 5, 6), k=(25, 5)),
    "whole_image_4_channels": dict(x=(3, 5, 4), k=(3, 5)),
    "whole_image_of_256_pixels": dict(x=(16, 16, 8), k=(16, 16)),
    "whole_image_of_400_pixels": dict(x=(20, 20, 8), k=(20, 20)),
    "whole_image_relu": dict(x=(6, 6, 8), k=(6, 6), act=RELU, zero_point=-3),
    "kernel_larger_than_image": dict(x=(2, 3, 4), k=(5, 5), padding=SAME, stride=(1, 1)),
    "stride_over_kernel": dict(x=(9, 8, 3), k=(2, 1), stride=(4, 3)),
    "one_pixel": dict(x=(1, 1, 5), k=(1, 1), stride=(1, 1)),
    "uneven": dict(x=(7, 9, 2), k=(2, 3), stride=(1, 2), padding=SAME),
    "zero_point": dict(zero_point=-128),
    "relu": dict(act=RELU, zero_point=10),
    "relu6": dict(act=RELU6, zero_point=-100),
}


def models():
    """Every case as a .tflite file."""
    kinds = "AVERAGE_POOL_2D", "MAX_POOL_2D"
    return [pool(f"{kind}_{name}", kind, **case) for kind in kinds for name, case in CASES.items()]


@pytest.mark.parametrize("name", CASES)
def test_average_pool(name):
    assert_exact(pool(f"average_{name}", "AVERAGE_POOL_2D", **CASES[name]))


@pytest.mark.parametrize("name", CASES)
def test_max_pool(name):
    assert_exact(pool(f"max_{name}", "MAX_POOL_2D", **CASES[name]))
