"""Float ONNX models, operator by operator and as random networks, against ONNX's own reference."""

import numpy as np
import pytest
from in_tflm import assert_same
from onnx import TensorProto
from onnx_nets import OnnxNet, assert_reads, kinds
from whit.read_onnx import read_onnx

CONV, DEPTHWISE, DENSE = "CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"


def conv(net, x, i, o, k, bias=True, group=1, **attributes):
    inputs = [x, net.random(o, i // group, *k)] + ([net.random(o)] if bias else [])
    return net.op("Conv", *inputs, group=group, **attributes)


def one_conv(x, o, k, **attributes):
    return lambda net: conv(net, net.input(1, *x), x[0], o, k, **attributes)


def one_pool(kind, x, **attributes):
    return lambda net: net.op(kind, net.input(1, *x), **attributes)


def unary(kind, **attributes):
    return lambda net: net.op(kind, net.input(1, 3, 4, 5), **attributes)


def after_relu(kind, x, **attributes):
    return lambda net: net.op(kind, net.op("Relu", net.input(1, *x)), **attributes)


def arithmetic(kind, shape, x=(3, 4, 5), swapped=False, low=0.5, high=2.0):
    def build(net):
        operands = net.input(1, *x), net.random(*shape, low=low, high=high)
        return net.op(kind, *(operands[::-1] if swapped else operands))

    return build


def norm(net, x, c):
    values = [net.random(c), net.random(c), net.random(c), net.random(c, low=0.2, high=2)]
    return net.op("BatchNormalization", x, *values, epsilon=1e-3)


def image(net, c=3, h=6, w=5, o=4):
    """A convolution in front, so that the channels are last."""
    return conv(net, net.input(1, c, h, w), c, o, (3, 3), pads=[1, 1, 1, 1])


def clip(net, x, low, high):
    return net.op("Clip", x, *("" if b is None else net.constant(b) for b in (low, high)))


WINDOWS = {
    # convolutions
    "conv": (one_conv((3, 6, 7), 4, (3, 3)), [CONV]),
    "conv_same": (one_conv((3, 6, 7), 4, (3, 3), pads=[1, 1, 1, 1]), [CONV]),
    "conv_no_bias": (one_conv((3, 6, 7), 4, (3, 3), bias=False), [CONV]),
    "conv_stride_2_odd": (one_conv((3, 7, 9), 4, (3, 3), pads=[1, 1, 1, 1], strides=[2, 2]), [CONV]),
    "conv_stride_2_even": (one_conv((3, 8, 6), 4, (3, 3), pads=[1, 1, 1, 1], strides=[2, 2]), ["PAD", CONV]),
    "conv_stride_2_tflite": (one_conv((3, 8, 6), 4, (3, 3), pads=[0, 0, 1, 1], strides=[2, 2]), [CONV]),
    "conv_unused_end": (one_conv((3, 8, 6), 4, (2, 2), pads=[0, 0, 1, 1], strides=[2, 2]), [CONV]),
    "conv_uneven": (one_conv((2, 8, 7), 5, (5, 2), pads=[2, 0, 1, 1], strides=[2, 3]), None),
    "conv_one_side": (one_conv((2, 8, 7), 5, (3, 3), pads=[2, 0, 0, 0]), ["PAD", CONV]),
    "conv_mixed": (one_conv((2, 8, 7), 5, (3, 3), pads=[1, 0, 1, 0]), ["PAD", CONV]),
    "conv_same_upper": (one_conv((2, 8, 7), 5, (3, 3), auto_pad="SAME_UPPER", strides=[2, 2]), [CONV]),
    "conv_same_lower": (one_conv((2, 8, 7), 5, (2, 3), auto_pad="SAME_LOWER", strides=[1, 2]), ["PAD", CONV]),
    "conv_auto_valid": (one_conv((2, 8, 7), 5, (3, 3), auto_pad="VALID"), [CONV]),
    "conv_dilated": (one_conv((2, 9, 11), 3, (3, 3), dilations=[2, 3]), [CONV]),
    "conv_dilated_same": (one_conv((2, 9, 11), 3, (3, 3), dilations=[2, 3], pads=[2, 3, 2, 3]), [CONV]),
    "conv_one_channel": (one_conv((1, 6, 7), 4, (3, 3)), [CONV]),
    "conv_pointwise": (one_conv((5, 3, 3), 4, (1, 1)), [CONV]),
    "conv_to_one_pixel": (one_conv((5, 3, 3), 4, (3, 3)), [CONV, "RESHAPE"]),
    "conv_of_channels_of_one_pixel": (one_conv((5, 1, 1), 4, (1, 1)), None),
    "depthwise": (one_conv((4, 6, 7), 4, (3, 3), group=4), [DEPTHWISE]),
    "depthwise_multiplier": (one_conv((3, 6, 7), 6, (3, 3), group=3, pads=[1, 1, 1, 1]), [DEPTHWISE]),
    "depthwise_stride_2": (one_conv((4, 8, 8), 4, (3, 3), group=4, pads=[1] * 4, strides=[2, 2]), ["PAD", DEPTHWISE]),
    "conv1d": (one_conv((3, 12), 4, (3,), pads=[1, 1]), ["RESHAPE", CONV, "RESHAPE"]),
    "conv1d_stride": (one_conv((3, 12), 4, (5,), strides=[3], pads=[2, 2]), None),
    "conv1d_dilated": (one_conv((3, 20), 4, (3,), dilations=[4]), ["RESHAPE", CONV, "RESHAPE"]),
    "conv1d_depthwise": (one_conv((4, 12), 8, (3,), group=4), ["RESHAPE", DEPTHWISE, "RESHAPE"]),
    "conv1d_one_channel": (one_conv((1, 12), 4, (3,)), None),
    # pools
    "max_pool": (one_pool("MaxPool", (3, 6, 7), kernel_shape=[2, 2], strides=[2, 2]), ["MAX_POOL_2D"]),
    "max_pool_padded": (
        one_pool("MaxPool", (3, 8, 8), kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4),
        ["PADV2", "MAX_POOL_2D"],
    ),
    "max_pool_after_relu": (
        after_relu("MaxPool", (3, 8, 8), kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4),
        ["RELU", "PAD", "MAX_POOL_2D"],
    ),
    "max_pool_same": (
        one_pool("MaxPool", (3, 7, 7), kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4),
        ["MAX_POOL_2D"],
    ),
    "max_pool_ceil": (one_pool("MaxPool", (3, 7, 9), kernel_shape=[2, 3], strides=[2, 3], ceil_mode=1), None),
    "max_pool_ceil_padded": (
        one_pool("MaxPool", (3, 7, 6), kernel_shape=[3, 3], strides=[3, 2], pads=[1, 0, 1, 0], ceil_mode=1),
        None,
    ),
    "max_pool_1d": (one_pool("MaxPool", (3, 9), kernel_shape=[3], strides=[2]), None),
    "average_pool": (one_pool("AveragePool", (3, 6, 7), kernel_shape=[2, 3], strides=[2, 1]), ["AVERAGE_POOL_2D"]),
    "average_pool_same": (
        one_pool("AveragePool", (3, 7, 7), kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4),
        ["AVERAGE_POOL_2D"],
    ),
    "average_pool_counted": (
        one_pool("AveragePool", (3, 7, 8), kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4, count_include_pad=1),
        ["PAD", "AVERAGE_POOL_2D"],
    ),
    "average_pool_1d": (one_pool("AveragePool", (3, 9), kernel_shape=[3], strides=[2]), None),
    "global_average": (one_pool("GlobalAveragePool", (3, 6, 7)), ["MEAN", "RESHAPE"]),
    "global_average_1d": (one_pool("GlobalAveragePool", (3, 6)), None),
    "global_max": (one_pool("GlobalMaxPool", (3, 6, 7)), ["MAX_POOL_2D", "RESHAPE"]),
    "reduce_mean": (one_pool("ReduceMean", (3, 6, 7), axes=[2, 3], keepdims=0), ["MEAN", "RESHAPE"]),
    "reduce_mean_negative": (one_pool("ReduceMean", (3, 6, 7), axes=[-1, -2]), ["MEAN", "RESHAPE"]),
    "reduce_mean_of_time": (one_pool("ReduceMean", (6, 7), axes=[1], keepdims=0), None),
    "reduce_max": (one_pool("ReduceMax", (3, 6, 7), axes=[2, 3], keepdims=0), ["MAX_POOL_2D", "RESHAPE"]),
}


ELEMENTS = {
    "relu": (unary("Relu"), ["RELU"]),
    "leaky_relu": (unary("LeakyRelu", alpha=0.2), ["LEAKY_RELU"]),
    "sigmoid": (unary("Sigmoid"), ["LOGISTIC"]),
    "tanh": (unary("Tanh"), ["TANH"]),
    "hard_swish": (unary("HardSwish"), ["HARD_SWISH"]),
    "neg": (unary("Neg"), [DEPTHWISE]),
    "identity": (lambda net: net.op("Relu", net.op("Identity", net.input(1, 4))), ["RELU"]),
    "dropout": (lambda net: net.op("Relu", net.op("Dropout", net.input(1, 4))), ["RELU"]),
    "cast": (lambda net: net.op("Relu", net.op("Cast", net.input(1, 4), to=TensorProto.FLOAT)), ["RELU"]),
    "clip_6": (lambda net: clip(net, net.input(1, 3, 4), 0, 6), ["RELU6"]),
    "clip_0": (lambda net: clip(net, net.input(1, 3, 4), 0, None), ["RELU"]),
    "clip_0_largest": (lambda net: clip(net, net.input(1, 3, 4), 0, np.finfo(np.float32).max), ["RELU"]),
    "clip_1": (lambda net: clip(net, image(net), -1, 1), [CONV]),
    "clip_nothing": (lambda net: net.op("Relu", clip(net, net.input(1, 3, 4), None, None)), ["RELU"]),
    "softmax": (lambda net: net.op("Softmax", net.input(1, 7)), ["SOFTMAX"]),
    "softmax_rows": (lambda net: net.op("Softmax", net.input(1, 3, 7), axis=2), ["SOFTMAX"]),
    "softmax_of_channels": (lambda net: net.op("Softmax", image(net), axis=1), [CONV, "SOFTMAX"]),
    "hard_swish_of_gate": (
        lambda net: [x := image(net), net.op("Mul", x, net.op("HardSigmoid", x, alpha=1 / 6))][1],
        [CONV, "HARD_SWISH"],
    ),
    "hard_swish_gate_first": (
        lambda net: [x := image(net), net.op("Mul", net.op("HardSigmoid", x, alpha=1 / 6), x)][1],
        [CONV, "HARD_SWISH"],
    ),
    "hard_swish_spelled": (
        lambda net: [
            x := image(net),
            gate := clip(net, net.op("Add", x, net.constant(3)), 0, 6),
            net.op("Div", net.op("Mul", x, gate), net.constant(6)),
        ][-1],
        [CONV, "HARD_SWISH"],
    ),
    "hard_swish_divided_gate": (
        lambda net: [
            x := image(net),
            gate := clip(net, net.op("Add", net.constant(3), x), 0, 6),
            net.op("Mul", net.op("Mul", gate, net.constant(1 / 6)), x),
        ][-1],
        [CONV, "HARD_SWISH"],
    ),
    # arithmetic with constants
    "add_scalar": (arithmetic("Add", ()), [DEPTHWISE]),
    "add_channels": (arithmetic("Add", (3, 1, 1)), None),
    "add_elements": (arithmetic("Add", (1, 3, 4, 5)), None),
    "add_swapped": (arithmetic("Add", (1, 3, 1, 1), swapped=True), None),
    "add_columns": (arithmetic("Add", (5,)), None),
    "add_features": (arithmetic("Add", (6,), x=(6,)), ["RESHAPE", DEPTHWISE, "RESHAPE"]),
    "sub": (arithmetic("Sub", (3, 1, 1)), None),
    "sub_from": (arithmetic("Sub", (3, 1, 1), swapped=True), None),
    "mul": (arithmetic("Mul", (1, 3, 1, 1), low=-1), None),
    "mul_rows": (arithmetic("Mul", (4, 1)), None),
    "div": (arithmetic("Div", (3, 1, 1)), None),
    "nothing": (lambda net: net.op("Relu", net.op("Mul", net.input(1, 4), net.constant(1))), ["RELU"]),
    "normalised_input": (
        lambda net: conv(
            net,
            net.op("Div", net.op("Sub", net.input(1, 3, 6, 6), net.random(3, 1, 1)), net.random(3, 1, 1, low=0.2)),
            3,
            4,
            (3, 3),
        ),
        [DEPTHWISE, CONV],
    ),
    "scaled_input": (
        lambda net: conv(net, net.op("Mul", net.input(1, 3, 6, 6), net.constant(1 / 255)), 3, 4, (3, 3)),
        [DEPTHWISE, CONV],
    ),
    "folded": (
        lambda net: net.op("Mul", net.op("Add", image(net), net.random(4, 1, 1)), net.random(1, 4, 1, 1)),
        [CONV],
    ),
    "folded_scalar": (lambda net: net.op("Sub", net.constant(1), net.op("Div", image(net), net.constant(3))), [CONV]),
    "two_readers": (
        lambda net: [x := image(net), net.op("Add", net.op("Mul", x, net.random(4, 1, 1)), x)][1],
        [CONV, DEPTHWISE, "ADD"],
    ),
    "two_readers_of_a_view": (
        lambda net: [x := image(net), net.op("Add", net.op("Mul", net.op("Identity", x), net.random(4, 1, 1)), x)][1],
        [CONV, DEPTHWISE, "ADD"],
    ),
    # batch normalization
    "norm_of_conv": (lambda net: norm(net, image(net), 4), [CONV]),
    "norm_of_depthwise": (
        lambda net: norm(net, conv(net, net.input(1, 4, 6, 6), 4, 8, (3, 3), group=4), 8),
        [DEPTHWISE],
    ),
    "norm_of_dense": (lambda net: norm(net, net.op("MatMul", net.input(1, 5), net.random(5, 4)), 4), [DENSE]),
    "norm_of_conv1d": (lambda net: net.op("Relu", norm(net, conv(net, net.input(1, 3, 9), 3, 4, (3,)), 4)), None),
    "norm_first": (lambda net: norm(net, net.input(1, 3, 4, 5), 3), [DEPTHWISE]),
    "norm_of_features": (lambda net: norm(net, net.input(1, 5), 5), ["RESHAPE", DEPTHWISE, "RESHAPE"]),
    "norm_of_series": (lambda net: norm(net, net.input(1, 5, 7), 5), None),
    "norm_behind_relu": (lambda net: norm(net, net.op("Relu", image(net)), 4), [CONV, "RELU", DEPTHWISE]),
    # two activations
    "add": (lambda net: net.op("Add", net.input(1, 6), net.input(1, 6)), ["ADD"]),
    "add_images": (lambda net: net.op("Add", image(net), image(net)), [CONV, CONV, "ADD"]),
    "add_itself": (lambda net: [x := image(net), net.op("Add", x, x)][1], [CONV, "ADD"]),
    "residual_of_the_input": (
        lambda net: [x := net.input(1, 4, 5, 6), net.op("Add", x, conv(net, x, 4, 4, (3, 3), pads=[1] * 4))][1],
        [CONV, "ADD"],
    ),
    "residual_of_series": (
        lambda net: [x := net.input(1, 4, 9), net.op("Add", x, conv(net, x, 4, 4, (3,), pads=[1] * 2))][1],
        None,
    ),
}


def gemm(net, x, k, n, trans=1, **attributes):
    weights = net.random(*((n, k) if trans else (k, n)))
    return net.op("Gemm", x, weights, net.random(n), transB=trans, **attributes)


def flattened(net, x, shape, n=3):
    """Dense layers behind an image, whose columns change places."""
    size = int(np.prod(shape))
    return gemm(net, net.op("Flatten", x), size, n)


def to_shape(net, x, *shape):
    return net.op("Reshape", x, net.constant(shape, np.int64))


def batch_and_rest(net, x):
    """What view(x.size(0), -1) becomes."""
    batch = net.op("Gather", net.op("Shape", x), net.constant(0, np.int64), axis=0)
    parts = [net.op("Unsqueeze", batch, net.constant([0], np.int64)), net.constant([-1], np.int64)]
    return net.op("Reshape", x, net.op("Concat", *parts, axis=0))


LAYOUTS = {
    "gemm": (lambda net: gemm(net, net.input(1, 5), 5, 4), [DENSE]),
    "gemm_alpha_beta": (lambda net: gemm(net, net.input(1, 5), 5, 4, trans=0, alpha=0.5, beta=2.0), [DENSE]),
    "gemm_no_bias": (lambda net: net.op("Gemm", net.input(1, 5), net.random(5, 4)), [DENSE]),
    "gemm_scalar_bias": (lambda net: net.op("Gemm", net.input(1, 5), net.random(5, 4), net.random(1)), [DENSE]),
    "gemm_to_one": (lambda net: gemm(net, net.input(1, 5), 5, 1), [DENSE]),
    "matmul": (lambda net: net.op("MatMul", net.input(1, 5), net.random(5, 4)), [DENSE]),
    "matmul_add": (
        lambda net: net.op("Add", net.op("MatMul", net.input(1, 5), net.random(5, 4)), net.random(4)),
        [DENSE],
    ),
    "matmul_rows": (lambda net: net.op("MatMul", net.input(1, 6, 5), net.random(5, 4)), ["RESHAPE", DENSE, "RESHAPE"]),
    "matmul_of_channels": (
        lambda net: net.op("MatMul", net.op("Transpose", image(net), perm=[0, 2, 3, 1]), net.random(4, 7)),
        [CONV, "RESHAPE", DENSE, "RESHAPE"],
    ),
    "flatten": (lambda net: flattened(net, image(net), (4, 6, 5)), [CONV, "RESHAPE", DENSE]),
    "flatten_input": (lambda net: flattened(net, net.input(1, 3, 4, 5), (3, 4, 5)), ["RESHAPE", DENSE]),
    "flatten_series": (
        lambda net: flattened(net, conv(net, net.input(1, 3, 9), 3, 4, (3,)), (4, 7)),
        ["RESHAPE", CONV, "RESHAPE", DENSE],
    ),
    "flatten_pooled": (
        lambda net: flattened(net, net.op("MaxPool", image(net), kernel_shape=[2, 2], strides=[2, 2]), (4, 3, 2)),
        [CONV, "MAX_POOL_2D", "RESHAPE", DENSE],
    ),
    "flatten_relu": (
        lambda net: flattened(net, net.op("Relu", net.op("Flatten", image(net))), (120,)),
        [CONV, "RELU", "RESHAPE", DENSE],
    ),
    "reshape_minus_1": (lambda net: gemm(net, to_shape(net, image(net), 0, -1), 120, 3), [CONV, "RESHAPE", DENSE]),
    "reshape_computed": (lambda net: gemm(net, batch_and_rest(net, image(net)), 120, 3), [CONV, "RESHAPE", DENSE]),
    "reshape_partly": (
        lambda net: gemm(net, to_shape(net, to_shape(net, image(net), 1, 2, 60), -1, 120), 120, 3),
        [CONV, "RESHAPE", DENSE],
    ),
    "constant_behind_flatten": (
        lambda net: (
            net.op("Relu", net.op("Mul", net.op("Flatten", net.op("Relu", image(net, h=3))), net.random(60)))
            and gemm(net, "v3", 60, 2)
        ),
        None,
    ),
    "flattened_norm": (lambda net: gemm(net, norm(net, net.op("Flatten", image(net)), 120), 120, 3), None),
    "global_average_flatten": (
        lambda net: gemm(net, net.op("Flatten", net.op("GlobalAveragePool", image(net))), 4, 3),
        [CONV, "MEAN", "RESHAPE", DENSE],
    ),
    "mean_gemm": (
        lambda net: gemm(net, net.op("ReduceMean", image(net), axes=[2, 3], keepdims=0), 4, 3),
        [CONV, "MEAN", "RESHAPE", DENSE],
    ),
    "squeeze": (
        lambda net: gemm(
            net, net.op("Squeeze", net.op("GlobalMaxPool", image(net)), net.constant([2, 3], np.int64)), 4, 3
        ),
        [CONV, "MAX_POOL_2D", "RESHAPE", DENSE],
    ),
    "unsqueeze": (
        lambda net: conv(net, net.op("Unsqueeze", net.input(1, 9), net.constant([1], np.int64)), 1, 4, (3,)),
        ["RESHAPE", CONV, "RESHAPE"],
    ),
    "unsqueezed_image": (
        lambda net: conv(net, net.op("Unsqueeze", net.input(1, 9, 8), net.constant([1], np.int64)), 1, 4, (3, 3)),
        ["RESHAPE", CONV],
    ),
    "transposed_series": (
        lambda net: conv(net, net.op("Transpose", net.input(1, 9, 3), perm=[0, 2, 1]), 3, 4, (3,)),
        ["RESHAPE", CONV, "RESHAPE"],
    ),
    "channels_last_model": (
        lambda net: net.op(
            "Transpose",
            conv(net, net.op("Transpose", net.input(1, 6, 7, 3), perm=[0, 3, 1, 2]), 3, 4, (3, 3)),
            perm=[0, 2, 3, 1],
        ),
        [CONV],
    ),
    "swapped_spatial_axes": (
        lambda net: conv(net, net.op("Transpose", net.input(1, 3, 6, 7), perm=[0, 1, 3, 2]), 3, 4, (3, 2)),
        [CONV],
    ),
    "rows_as_channels": (
        lambda net: conv(net, net.op("Squeeze", net.input(1, 1, 5, 9), net.constant([1], np.int64)), 5, 4, (3,)),
        None,
    ),
    "shuffled_channels": (
        lambda net: conv(
            net,
            to_shape(
                net, net.op("Transpose", to_shape(net, image(net), 1, 2, 2, 6, 5), perm=[0, 2, 1, 3, 4]), 1, 4, 6, 5
            ),
            4,
            3,
            (3, 3),
        ),
        None,
    ),
    "shuffled_depthwise": (
        lambda net: flattened(
            net,
            conv(
                net,
                to_shape(
                    net, net.op("Transpose", to_shape(net, image(net, o=6), 1, 3, 2, 30), perm=[0, 2, 1, 3]), 1, 6, 6, 5
                ),
                6,
                6,
                (3, 3),
                group=6,
            ),
            (6, 4, 3),
        ),
        [CONV, DEPTHWISE, "RESHAPE", DENSE],
    ),
    "pad": (
        lambda net: conv(
            net, net.op("Pad", net.input(1, 3, 5, 5), net.constant([0, 0, 1, 2, 0, 0, 0, 1], np.int64)), 3, 4, (3, 3)
        ),
        ["PAD", CONV],
    ),
    "pad_value": (
        lambda net: net.op("Pad", image(net), net.constant([0, 1, 1, 2, 0, 0, 0, 1], np.int64), net.constant(1.5)),
        [CONV, "PADV2"],
    ),
    "pad_series": (lambda net: net.op("Pad", net.input(1, 3, 5), net.constant([0, 0, 2, 0, 0, 1], np.int64)), None),
    "two_outputs": (
        lambda net: [x := image(net), (net.op("Relu", x), flattened(net, x, (4, 6, 5)))][1],
        [CONV, "RELU", "RESHAPE", DENSE],
    ),
}

CASES = WINDOWS | ELEMENTS | LAYOUTS


def check(net, build, expected):
    outputs = build(net)
    graph = assert_reads(net, *(outputs if isinstance(outputs, tuple) else (outputs,)))
    assert "TRANSPOSE" not in kinds(graph)
    if expected is not None:
        assert kinds(graph) == expected
    return graph


@pytest.mark.parametrize("name", CASES)
def test_operator(name):
    check(OnnxNet(name), *CASES[name])


OLD = {
    "clip": lambda net: net.op("Clip", net.input(1, 3, 4), min=0.0, max=6.0),
    "pad": lambda net: net.op("Pad", net.input(1, 3, 5, 5), pads=[0, 0, 1, 2, 0, 0, 0, 1], value=0.0),
    "squeeze": lambda net: net.op("Relu", net.op("Squeeze", net.input(1, 3, 1, 5), axes=[2])),
    "unsqueeze": lambda net: net.op("Relu", net.op("Unsqueeze", net.input(1, 3, 5), axes=[1])),
    "gemm": lambda net: gemm(net, net.input(1, 5), 5, 4),
    "dropout": lambda net: net.op("Relu", net.op("Dropout", net.input(1, 3), ratio=0.3)),
}


@pytest.mark.parametrize("name", OLD)
def test_opset_7(name):
    net = OnnxNet(f"old_{name}", opset=7)
    assert_reads(net, OLD[name](net))


def test_softmax_before_opset_13():
    """Over all axes from the given one on; ONNX's reference has only what it became."""
    net = OnnxNet("old_softmax", opset=12)
    graph = read_onnx(net.bytes(net.op("Softmax", net.input(1, 3, 4))), "old")
    x = net.rng.uniform(-2, 2, (1, 3, 4)).astype(np.float32)
    assert_same(graph, [[x]], [[np.exp(x) / np.exp(x).sum()]])


def test_the_newest_opset():
    net = OnnxNet("newest", opset=28)
    x = net.op("ReduceMean", norm(net, image(net), 4), net.constant([2, 3], np.int64), keepdims=0)
    assert kinds(assert_reads(net, gemm(net, x, 4, 3))) == [CONV, "MEAN", "RESHAPE", DENSE]


AXES = {
    "conv": (((0, 2, 3, 1),), ((0, 2, 3, 1),)),
    "conv1d": (((0, 2, 1),), ((0, 2, 1),)),
    "conv_one_channel": (((0, 2, 3, 1),), ((0, 2, 3, 1),)),
    "flatten": (((0, 2, 3, 1),), ()),
    "flatten_input": ((), ()),
    "gemm": ((), ()),
    "channels_last_model": ((), ()),
    "transposed_series": ((), ((0, 2, 1),)),
    "swapped_spatial_axes": (((0, 3, 2, 1),), ((0, 2, 3, 1),)),
    "two_outputs": (((0, 2, 3, 1),), ((0, 2, 3, 1), ())),
}


@pytest.mark.parametrize("name", AXES)
def test_axes(name):
    graph = check(OnnxNet(name), *CASES[name])
    assert (graph.input_axes, graph.output_axes) == AXES[name]


@pytest.mark.parametrize("size", ["N", None, 0, 4])
def test_batch(size):
    """Any first dimension is a batch of one here, also one that a Reshape repeats."""
    net = OnnxNet("batch")
    x = conv(net, net.input(size, 3, 6, 6), 3, 4, (3, 3))
    out = gemm(net, to_shape(net, x, size if isinstance(size, int) and size else -1, 64), 64, 3)
    graph = read_onnx(net.bytes(out, shape=(size, 3)), "batch")
    assert [graph.tensors[i].shape for i in graph.inputs + graph.outputs] == [(1, 6, 6, 3), (1, 3)]


# Random networks


def random_net(seed):
    """A chain of layers over images, series or vectors, with a residual here and there, and its outputs."""
    net = OnnxNet(f"random_{seed}", opset=int(np.random.default_rng(seed).choice([15, 16, 17])))
    rng = net.rng
    dims = int(rng.integers(1, 3))
    c, sizes = int(rng.integers(1, 5)), [int(n) for n in rng.integers(6, 13, dims)]
    x = net.input(1, c, *sizes)
    for _ in range(rng.integers(1, 6)):
        layer = rng.choice(["conv", "depthwise", "pool", "norm", "activation", "residual", "affine"])
        if layer in ("conv", "depthwise", "pool"):
            k = [int(v) for v in rng.integers(1, 4, dims)]
            s = [int(v) for v in rng.integers(1, 3, dims)]
            pads = [int(rng.integers(0, v)) for v in k + k]
            out = [(n + a + b - v) // t + 1 for n, a, b, v, t in zip(sizes, pads, pads[dims:], k, s, strict=False)]
            if min(out) < 1:
                continue
            attributes = dict(strides=s, pads=pads)
            if layer == "pool":
                x = net.op("MaxPool", x, kernel_shape=k, **attributes)
            elif layer == "depthwise":
                o = c * int(rng.integers(1, 3))
                x, c = conv(net, x, c, o, k, group=c, **attributes), o
            else:
                o = int(rng.integers(1, 7))
                x, c = conv(net, x, c, o, k, bias=bool(rng.integers(2)), **attributes), o
            sizes = out
        elif layer == "norm":
            x = norm(net, x, c)
        elif layer == "activation":
            x = net.op(str(rng.choice(["Relu", "Sigmoid", "Tanh", "LeakyRelu"])), x)
        elif layer == "residual":
            pads = [1] * 2 * dims
            x = net.op("Add", x, conv(net, x, c, c, [3] * dims, pads=pads))
        else:
            shape = rng.choice([0, 1]) * [c] + [1] * dims
            x = net.op(str(rng.choice(["Add", "Mul", "Sub", "Div"])), x, net.random(*shape, low=0.5, high=2))
    end = rng.choice(["image", "flatten", "mean", "rows"])
    if end == "flatten":
        x = net.op("Softmax", flattened(net, x, (c, *sizes)), axis=-1)
    elif end == "mean":
        x = gemm(net, net.op("Flatten", net.op("GlobalAveragePool", x)), c, 3)
    elif end == "rows":
        x = net.op("MatMul", net.op("Transpose", x, perm=[0, *range(2, dims + 2), 1]), net.random(c, 3))
    return net, x


@pytest.mark.parametrize("seed", range(100))
def test_random_net(seed):
    net, output = random_net(seed)
    if not net.nodes:
        output = net.op("Relu", output)
    assert_reads(net, output, samples=1)
