"""PAD in front of a layer: part of its step where the kernel takes that padding, else steps of its own."""

import numpy as np
import pytest
from exact import assert_exact
from nets import NONE, RELU, VALID, Net
from whit.graph import affine
from whit.pack import pack

STEPS = ["fill", "copy"]


def padded(
    name,
    kind="CONV_2D",
    x=(6, 7, 4),
    pads=((1, 1), (1, 1)),
    k=(3, 3),
    stride=(1, 1),
    dilation=(1, 1),
    zero_point=0,
    value=None,
    channels=(0, 0),
    act=NONE,
    seen=False,
) -> bytes:
    """PAD, or PADV2 with `value`, and a layer of that kind; `seen`: the padded image is an output too."""
    net = Net(name)
    h, w, c = x
    source = net.activation((1, h, w, c), 0.05, zero_point)
    high, wide, c = h + sum(pads[0]), w + sum(pads[1]), c + sum(channels)
    image = net.activation((1, high, wide, c), 0.05, zero_point)
    inputs = [source, net.constant([(0, 0), *pads, channels])]
    if value is not None:
        inputs.append(net.constant([value], "int8", affine(0.05, zero_point)))
    net.op("PAD" if value is None else "PADV2", inputs, [image])
    oh, ow = ((n - (k[i] - 1) * dilation[i] - 1) // stride[i] + 1 for i, n in enumerate((high, wide)))
    options = dict(Padding=VALID, StrideH=stride[0], StrideW=stride[1], FusedActivationFunction=act)
    if kind in ("MAX_POOL_2D", "AVERAGE_POOL_2D"):
        y = net.activation((1, oh, ow, c), 0.05, zero_point)
        net.op(kind, [image], [y], **options, FilterHeight=k[0], FilterWidth=k[1])
    else:
        depthwise = kind == "DEPTHWISE_CONV_2D"
        weights = net.weights((1, *k, c) if depthwise else (5, *k, c), 3 if depthwise else 0, 0.01)
        out = c if depthwise else 5
        y = net.activation(
            (1, oh, ow, out), 0.05 * 0.01 * 73 * 73 * np.sqrt(k[0] * k[1] * (1 if depthwise else c)) / 60
        )
        options |= dict(DilationHFactor=dilation[0], DilationWFactor=dilation[1])
        if depthwise:
            options["DepthMultiplier"] = 1
        net.op(kind, [image, weights, net.bias(out, 1000, source, weights)], [y], **options)
    return net.tflite([source], [y, image] if seen else [y])


DEPTHWISE = dict(kind="DEPTHWISE_CONV_2D")
MAXIMUM = dict(kind="MAX_POOL_2D", k=(2, 2), stride=(2, 2), value=-128)
# name: (case, steps in front of the layer)
CASES = {
    "around": (dict(zero_point=9), []),
    "stride_2": (dict(stride=(2, 2), zero_point=-128), []),
    "stride_2_of_even": (dict(x=(8, 8, 3), stride=(2, 2), zero_point=5), []),
    "before_only": (dict(pads=((2, 0), (1, 0)), zero_point=-7), []),
    "behind_only": (dict(pads=((0, 1), (0, 2)), zero_point=3), []),
    "uneven": (dict(pads=((2, 1), (0, 2)), stride=(2, 1), zero_point=3), []),
    "1d": (dict(x=(1, 20, 4), k=(1, 9), pads=((0, 0), (4, 4)), stride=(1, 2), zero_point=-3), []),
    "dilated": (dict(pads=((4, 4), (3, 3)), dilation=(2, 2), zero_point=-3), []),
    "first_layer": (dict(x=(12, 10, 1), k=(5, 4), pads=((2, 2), (1, 2)), stride=(2, 2), zero_point=-128), []),
    "wide_rows": (dict(x=(4, 17, 8), zero_point=11, act=RELU), []),
    "value_of_zero": (dict(value=4, zero_point=4), []),
    "another_value": (dict(value=5, zero_point=4), STEPS),
    "beyond_the_kernel_before": (dict(pads=((3, 0), (0, 0)), zero_point=1), STEPS),
    "beyond_the_kernel_behind": (dict(pads=((0, 3), (0, 0)), zero_point=1), STEPS),
    "behind_that_strides_over": (dict(pads=((0, 4), (0, 0)), stride=(5, 1), zero_point=1), []),
    "pointwise": (dict(k=(1, 1), zero_point=1), STEPS),
    "channels": (dict(channels=(1, 2), zero_point=1), STEPS),
    "seen": (dict(seen=True, zero_point=1), STEPS),
    "depthwise": (dict(**DEPTHWISE, zero_point=9), []),
    "depthwise_stride_2": (dict(**DEPTHWISE, stride=(2, 2), x=(8, 8, 8), zero_point=-128), []),
    "depthwise_behind": (dict(**DEPTHWISE, pads=((0, 1), (0, 1)), stride=(2, 2), x=(8, 8, 5), zero_point=2), []),
    "depthwise_uneven": (dict(**DEPTHWISE, pads=((2, 0), (1, 2)), zero_point=2), []),
    "depthwise_dilated": (dict(**DEPTHWISE, pads=((2, 2), (4, 4)), dilation=(1, 2), zero_point=2), []),
    "depthwise_beyond": (dict(**DEPTHWISE, pads=((0, 0), (3, 3)), zero_point=2), STEPS),
    "maximum": (dict(MAXIMUM, pads=((1, 1), (1, 0))), []),
    "maximum_3x3": (dict(MAXIMUM, k=(3, 3), x=(8, 8, 5), zero_point=20), []),
    "maximum_of_the_least": (dict(MAXIMUM, value=None, zero_point=-128, act=RELU), []),
    "maximum_with_zero": (dict(MAXIMUM, value=None, zero_point=0), STEPS),
    "maximum_beyond": (dict(MAXIMUM, pads=((2, 2), (0, 0))), STEPS),
    "average": (dict(kind="AVERAGE_POOL_2D", k=(3, 3), zero_point=6), STEPS),
}


def models():
    """Every case as a .tflite file."""
    return [padded(f"padded_{name}", **case) for name, (case, _) in CASES.items()]


@pytest.mark.parametrize("name", CASES)
def test_padded(name):
    case, steps = CASES[name]
    model = padded(f"padded_{name}", **case)
    assert [s.kernel for s in pack(model, name).program.steps][:-1] == steps
    assert_exact(model, samples=3)


def test_a_padding_that_two_layers_read_is_made():
    net = Net("two_readers")
    x, image = net.activation((1, 4, 4, 2)), net.activation((1, 6, 6, 2))
    net.op("PAD", [x, net.constant([(0, 0), (1, 1), (1, 1), (0, 0)])], [image])
    outputs = [net.activation((1, 4, 4, 3), 0.3) for _ in range(2)]
    options = dict(Padding=VALID, StrideH=1, StrideW=1, FusedActivationFunction=NONE)
    for y in outputs:
        w = net.weights((3, 3, 3, 2), 0, 0.01)
        net.op("CONV_2D", [image, w], [y], **options, DilationHFactor=1, DilationWFactor=1)
    model = net.tflite([x], outputs)
    assert [s.kernel for s in pack(model, "two").program.steps] == [*STEPS, "conv2d", "conv2d"]
    assert_exact(model, samples=2)
