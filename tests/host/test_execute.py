"""A float graph computed by numpy is what TensorFlow Lite Micro computes, up to the rounding of float32."""

from __future__ import annotations

import numpy as np
import pytest
from floats import FloatNet, mobile, reference, samples_of
from nets import RELU, RELU6, RELU_N1_TO_1, SAME, VALID
from whit.errors import WhitError
from whit.execute import execute, forward
from whit.read_tflite import read_tflite

IMAGE, ROW = (1, 7, 6, 4), (1, 12)


def _net(shape, build):
    net = FloatNet("one")
    x = net.input(*shape)
    return net.graph([x], [build(net, x)])


CASES = {
    "conv": (IMAGE, lambda n, x: n.conv(x, 5)),
    "conv without bias": (IMAGE, lambda n, x: n.conv(x, 5, bias=False)),
    "conv 1x1": (IMAGE, lambda n, x: n.conv(x, 8, (1, 1), FusedActivationFunction=RELU)),
    "conv valid": (IMAGE, lambda n, x: n.conv(x, 3, (3, 2), Padding=VALID, FusedActivationFunction=RELU6)),
    "conv strides": (IMAGE, lambda n, x: n.conv(x, 3, StrideH=2, StrideW=3)),
    "conv 2x2 same": (IMAGE, lambda n, x: n.conv(x, 3, (2, 2), StrideH=2, StrideW=2)),
    "conv dilation": (IMAGE, lambda n, x: n.conv(x, 3, DilationHFactor=2, DilationWFactor=3)),
    "depthwise": (IMAGE, lambda n, x: n.depthwise(x)),
    "depthwise multiplier": (IMAGE, lambda n, x: n.depthwise(x, multiplier=3, FusedActivationFunction=RELU_N1_TO_1)),
    "depthwise strides": (IMAGE, lambda n, x: n.depthwise(x, (3, 5), StrideH=2, StrideW=2)),
    "depthwise dilation": (IMAGE, lambda n, x: n.depthwise(x, Padding=VALID, DilationHFactor=2, DilationWFactor=2)),
    "dense": (ROW, lambda n, x: n.dense(x, 7, FusedActivationFunction=RELU)),
    "dense rows": ((3, 12), lambda n, x: n.dense(x, 7)),
    "average pool": (IMAGE, lambda n, x: n.pool("AVERAGE_POOL_2D", x)),
    "average pool same": (
        IMAGE,
        lambda n, x: n.pool("AVERAGE_POOL_2D", x, Padding=SAME, FilterHeight=3, FilterWidth=3),
    ),
    "max pool": (IMAGE, lambda n, x: n.pool("MAX_POOL_2D", x, FusedActivationFunction=RELU)),
    "max pool same": (IMAGE, lambda n, x: n.pool("MAX_POOL_2D", x, Padding=SAME, FilterHeight=3, StrideH=1)),
    "add": (IMAGE, lambda n, x: n.same("ADD", x, n.same("RELU", x), FusedActivationFunction=RELU6)),
    "mean": (IMAGE, lambda n, x: n.then("MEAN", [x, n.constant([1, 2])], (1, 4), KeepDims=0)),
    "mean kept": (IMAGE, lambda n, x: n.then("MEAN", [x, n.constant([1, 2])], (1, 1, 1, 4), KeepDims=1)),
    "pad": (IMAGE, lambda n, x: n.then("PAD", [x, n.constant([[0, 0], [1, 2], [0, 1], [0, 0]])], (1, 10, 7, 4))),
    "reshape": (IMAGE, lambda n, x: n.reshape(x, 1, 168)),
    "relu": (IMAGE, lambda n, x: n.same("RELU", x)),
    "relu6": (IMAGE, lambda n, x: n.same("RELU6", x)),
    "leaky": (IMAGE, lambda n, x: n.same("LEAKY_RELU", x, Alpha=0.1)),
    "logistic": (ROW, lambda n, x: n.same("LOGISTIC", x)),
    "tanh": (ROW, lambda n, x: n.same("TANH", x)),
    "hard swish": (ROW, lambda n, x: n.same("HARD_SWISH", x)),
    "softmax": (ROW, lambda n, x: n.same("SOFTMAX", x, Beta=1.0)),
    "softmax beta": (ROW, lambda n, x: n.same("SOFTMAX", x, Beta=0.5)),
    "mul": (IMAGE, lambda n, x: n.same("MUL", x, n.values(4), FusedActivationFunction=0)),
    "sub": (IMAGE, lambda n, x: n.same("SUB", x, n.values(4), FusedActivationFunction=0)),
    "mobile": ((1, 8, 8, 3), None),
}


@pytest.mark.parametrize("case", CASES)
def test_every_operator_gives_what_the_reference_gives(case):
    shape, build = CASES[case]
    graph = _net(shape, build) if build else mobile()
    inputs = samples_of(graph, 5)
    got, want = execute(graph, inputs), reference(graph, inputs)
    assert len(got) == len(want) == 1
    assert got[0].shape == want[0].shape and got[0].dtype == np.float32
    np.testing.assert_allclose(got[0], want[0], rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("name", ["pretrainedResnet.tflite", "vww_96_float.tflite", "ad01_fp32.tflite"])
def test_whole_models(public_model, name):
    graph = read_tflite(public_model(name), name)
    inputs = samples_of(graph, 3)
    np.testing.assert_allclose(execute(graph, inputs)[0], reference(graph, inputs)[0], rtol=1e-4, atol=1e-4)


def test_samples_of_a_batch_do_not_mix():
    graph = mobile()
    inputs = samples_of(graph, 7)
    whole = execute(graph, inputs, batch=7)[0]
    np.testing.assert_allclose(execute(graph, inputs, batch=2)[0], whole, rtol=1e-5, atol=1e-7)


def test_what_stands_for_a_tensor_is_computed_with():
    graph = mobile()
    inputs = samples_of(graph, 2)
    middle = graph.operators[2].outputs[0]
    values = forward(graph, {graph.inputs[0]: inputs[0]}, [middle, *graph.outputs])
    again = forward(graph, {middle: values[middle]}, graph.outputs)  # the input is not even there
    np.testing.assert_array_equal(again[graph.outputs[0]], values[graph.outputs[0]])
    other = forward(graph, {graph.inputs[0]: inputs[0]}, graph.outputs, lambda i, v: 0 * v if i == middle else v)
    assert not np.allclose(other[graph.outputs[0]], values[graph.outputs[0]])


def test_an_operator_that_is_not_known_is_named():
    graph = _net(ROW, lambda n, x: n.same("LSTM", x))
    with pytest.raises(WhitError, match=r"^one: LSTM 't1' is not supported in a float model; supported: ADD, "):
        execute(graph, samples_of(graph, 1))
