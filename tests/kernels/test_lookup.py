"""lookup against every elementwise operator it stands for, on all 256 input values."""

import numpy as np
import pytest
from exact import assert_exact
from nets import quantize, unary

SIGMOID = (1 / 256, -128)
CASES = {
    "relu": ("RELU", dict()),
    "relu_rescaled": ("RELU", dict(x=(0.05, 10), y=(0.031, -128))),
    "relu_high_zero_point": ("RELU", dict(x=(0.05, 100), y=(0.2, 90))),
    "relu6": ("RELU6", dict(x=(0.05, -128), y=(0.05, -128))),
    "relu6_six_beyond_range": ("RELU6", dict(x=(0.01, 0), y=(0.01, 0))),
    "leaky_relu": ("LEAKY_RELU", dict(Alpha=0.1)),
    "leaky_relu_rescaled": ("LEAKY_RELU", dict(x=(0.08, 20), y=(0.05, -33), Alpha=0.3)),
    "leaky_relu_steep": ("LEAKY_RELU", dict(x=(0.08, -50), y=(0.1, 0), Alpha=1.7)),
    "leaky_relu_negative": ("LEAKY_RELU", dict(y=(0.06, 9), Alpha=-0.4)),
    "logistic": ("LOGISTIC", dict(y=SIGMOID)),
    "logistic_fine": ("LOGISTIC", dict(x=(0.003, -90), y=SIGMOID)),
    "logistic_coarse": ("LOGISTIC", dict(x=(0.4, 60), y=SIGMOID)),
    "logistic_very_coarse": ("LOGISTIC", dict(x=(9.0, 0), y=SIGMOID)),
    "logistic_all_saturated": ("LOGISTIC", dict(x=(20.0, 0), y=SIGMOID)),
    "tanh": ("TANH", dict(y=(1 / 128, 0))),
    "tanh_fine": ("TANH", dict(x=(0.003, 70), y=(1 / 128, 0))),
    "tanh_coarse": ("TANH", dict(x=(0.3, -100), y=(1 / 128, 0))),
    "hard_swish": ("HARD_SWISH", dict(y=(0.05, -100))),
    "hard_swish_fine": ("HARD_SWISH", dict(x=(0.01, 5), y=(0.011, -20))),
    "hard_swish_coarse": ("HARD_SWISH", dict(x=(0.3, -77), y=(0.3, -126))),
    "hard_swish_very_coarse": ("HARD_SWISH", dict(x=(2.0, 0), y=(2.5, -10))),
    "quantize": ("QUANTIZE", dict(x=(0.05, 3), y=(0.07, -60))),
    "quantize_up": ("QUANTIZE", dict(x=(0.05, 3), y=(0.011, 9))),
    "quantize_equal": ("QUANTIZE", dict()),
}
EVERY = np.arange(-128, 128, dtype=np.int8).reshape(1, 1, 256)


def models():
    """Every case as a .tflite file."""
    return [unary(f"unary_{name}", kind, **options) for name, (kind, options) in CASES.items()]


@pytest.mark.parametrize("name", CASES)
def test_lookup(name):
    kind, options = CASES[name]
    assert_exact(unary(f"unary_{name}", kind, **options), inputs=[EVERY])


UINT8_CASES = {
    "uint8_to_int8": ("uint8", "int8", (0.05, 128), (0.05, 0)),
    "int8_to_uint8": ("int8", "uint8", (0.05, 0), (0.05, 128)),
    "uint8_rescaled": ("uint8", "int8", (0.05, 100), (0.08, -20)),
    "int8_rescaled": ("int8", "uint8", (0.05, 9), (0.03, 140)),
}


@pytest.mark.parametrize("name", UINT8_CASES)
def test_quantize_uint8(name):
    source, target, x, y = UINT8_CASES[name]
    assert_exact(quantize(name, source, target, x, y), inputs=[np.arange(256, dtype=np.uint8).view(source)[None, None]])
