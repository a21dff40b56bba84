"""Folding changes what a float graph is made of and nothing of what it computes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from floats import FloatNet, mobile, samples_of
from nets import NONE, RELU, RELU6
from whit.errors import WhitError
from whit.execute import execute
from whit.fold import WEIGHTED, fold, is_float
from whit.graph import Quantization
from whit.read_tflite import read_tflite

FUSED = dict(FusedActivationFunction=NONE)


def _normalized(net, x):
    """What a framework makes of a batch normalization: a product and a sum by channel."""
    c = net.tensors[x].shape[-1]
    return net.same("ADD", net.same("MUL", x, net.values(c), **FUSED), net.values(c), **FUSED)


def _conv_and_normalization(net, x):
    return net.same("RELU", _normalized(net, net.conv(x, 5)))


def _shared(net, x):
    y = net.conv(x, 4)
    net.op("CONV_2D", [y, *net.operators[-1].inputs[1:]], [z := net.tensor((1, 6, 6, 4), dtype="float32")], **_conv())
    return z


def _conv():
    return dict(Padding=0, StrideH=1, StrideW=1, DilationHFactor=1, DilationWFactor=1, FusedActivationFunction=NONE)


def _two_readers(net, x):
    y = net.conv(x, 4)
    return net.same("ADD", net.same("RELU", y), y, **FUSED)


# name: (builder, the operators that are left)
CASES = {
    "nothing": (lambda n, x: n.conv(x, 5), "CONV_2D"),
    "batch normalization": (_conv_and_normalization, "CONV_2D"),
    "of a depthwise": (lambda n, x: n.same("RELU6", _normalized(n, n.depthwise(x, multiplier=2))), "DEPTHWISE_CONV_2D"),
    "of the input": (lambda n, x: n.conv(_normalized(n, x), 3), "DEPTHWISE_CONV_2D CONV_2D"),
    "pixels to -1..1": (
        lambda n, x: n.conv(
            n.same("SUB", n.same("DIV", x, n.constant(127.5, "float32"), **FUSED), n.constant(1, "float32"), **FUSED), 3
        ),
        "DEPTHWISE_CONV_2D CONV_2D",
    ),
    "a constant less": (
        lambda n, x: n.then("SUB", [n.values(4), n.conv(x, 4)], (1, 6, 6, 4), **FUSED),
        "CONV_2D",
    ),
    "behind an activation": (
        lambda n, x: n.same("MUL", n.conv(x, 4, FusedActivationFunction=RELU), n.values(4), **FUSED),
        "CONV_2D DEPTHWISE_CONV_2D",
    ),
    "relu on a sum": (lambda n, x: n.same("RELU", n.same("ADD", x, n.conv(x, 4), **FUSED)), "CONV_2D ADD"),
    "relu then relu6": (lambda n, x: n.same("RELU6", n.conv(x, 4, FusedActivationFunction=RELU)), "CONV_2D"),
    "relu6 then relu": (lambda n, x: n.same("RELU", n.conv(x, 4, FusedActivationFunction=RELU6)), "CONV_2D RELU"),
    "two readers": (_two_readers, "CONV_2D RELU ADD"),
    "no bias": (lambda n, x: n.conv(x, 4, bias=False), "CONV_2D"),
    "shared weights": (_shared, "CONV_2D CONV_2D"),
    "a pool of all": (lambda n, x: n.pool("AVERAGE_POOL_2D", x, FilterHeight=6, FilterWidth=6), "MEAN"),
    "a pool of less": (lambda n, x: n.pool("AVERAGE_POOL_2D", x), "AVERAGE_POOL_2D"),
    "squeezed": (lambda n, x: n.dense(n.then("SQUEEZE", [n.reshape(x, 1, 1, 144)], (1, 144)), 3),
                 "RESHAPE RESHAPE FULLY_CONNECTED"),
    "features": (lambda n, x: n.dense(_normalized(n, n.reshape(x, 1, 144)), 3),
                 "RESHAPE RESHAPE DEPTHWISE_CONV_2D RESHAPE FULLY_CONNECTED"),
    "one that nobody reads": (lambda n, x: (n.conv(x, 9), n.conv(x, 2))[1], "CONV_2D"),
}  # fmt: skip


def _graph(name):
    net = FloatNet(name)
    x = net.input(1, 6, 6, 4)
    return net.graph([x], [CASES[name][0](net, x)])


@pytest.mark.parametrize("name", CASES)
def test_the_same_function_in_fewer_operators(name):
    graph = _graph(name)
    folded = fold(graph)
    assert " ".join(op.kind for op in folded.operators) == CASES[name][1]
    inputs = samples_of(graph, 4)
    np.testing.assert_allclose(execute(folded, inputs)[0], execute(graph, inputs)[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", CASES)
def test_what_quantizing_relies_on(name):
    folded = fold(_graph(name))
    constants = [i for op in folded.operators for i in op.inputs if folded.tensors[i].data is not None]
    assert len(constants) == len(set(constants)), "layers share a constant"
    for op in folded.operators:
        if op.kind in WEIGHTED:
            weights, bias = (folded.tensors[i].data for i in op.inputs[1:])
            assert weights.dtype == bias.dtype == np.float32
            assert len(bias) == weights.shape[WEIGHTED[op.kind]]
    again = fold(folded)
    assert again.operators == folded.operators, "folded twice is not folded once"
    for a, b in zip(again.tensors, folded.tensors, strict=True):
        assert replace(a, data=None) == replace(b, data=None)
        assert (a.data is None and b.data is None) or np.array_equal(a.data, b.data)


def test_weights_in_a_smaller_type_are_float_weights():
    net = FloatNet("hybrid")
    x = net.input(1, 6)
    weights = net.rng.integers(-127, 128, (3, 6)).astype(np.int8)
    scale = np.array([0.01, 0.02, 0.03], np.float32)
    w = net.tensor((3, 6), Quantization(scale, np.zeros(3, np.int64), 0), "int8", weights)
    half = net.tensor((3,), None, "float16", np.array([1.5, -2, 0.25], np.float16))
    bias = net.then("DEQUANTIZE", [half], (3,))
    y = net.then("FULLY_CONNECTED", [x, w, bias], (1, 3), FusedActivationFunction=NONE)
    graph = net.graph([x], [y])
    assert is_float(graph)
    folded = fold(graph)
    (op,) = folded.operators
    np.testing.assert_array_equal(folded.tensors[op.inputs[1]].data, weights * scale[:, None])
    np.testing.assert_array_equal(folded.tensors[op.inputs[2]].data, np.array([1.5, -2, 0.25], np.float32))


def test_float_is_what_computes_in_float(public_model):
    assert is_float(mobile())
    assert is_float(read_tflite(public_model("kws_ref_model_float32.tflite"), "kws"))
    assert not is_float(read_tflite(public_model("kws_ref_model.tflite"), "kws"))


@pytest.mark.parametrize(("value", "found"), [(np.nan, "NaN"), (np.inf, "infinite values")])
def test_weights_that_are_no_numbers_are_refused(value, found):
    net = FloatNet("broken")
    x = net.input(1, 6)
    y = net.dense(x, 3)
    net.tensors[1].data[1, 2] = value
    with pytest.raises(WhitError, match=f"^broken: FULLY_CONNECTED 't3': its constant 't1' holds {found}; train"):
        fold(net.graph([x], [y]))


def test_a_constant_that_is_not_one_per_channel_is_refused():
    net = FloatNet("wide")
    x = net.input(1, 6, 6, 4)
    y = net.same("MUL", x, net.values(1, 6, 6, 4), **FUSED)
    with pytest.raises(WhitError, match=r"^wide: MUL 't2': with a constant of shape \(1, 6, 6, 4\) is not supported; "):
        fold(net.graph([x], [y]))
