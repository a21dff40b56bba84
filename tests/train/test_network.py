"""A Network computes what TensorFlow Lite Micro computes in float, and gives back the graph it was made of."""

import numpy as np
import pytest
from float_nets import RELU, SAME, VALID, FloatNet, random_samples, separable
from nets import RELU6, RELU_N1_TO_1
from whit import oracle
from whit.errors import WhitError
from whit.graph import Graph
from whit.read_tflite import read_tflite
from whit.write_tflite import write_tflite

torch = pytest.importorskip("torch", reason="PyTorch is not installed: the extra whit[train]")

from whit.train.network import Network, initialize  # noqa: E402


def image(*shape):
    net = FloatNet("case")
    return net, net.input(*(shape or (7, 6, 4)))


def wrapped(build, *shape):
    """A network of one layer."""
    net, x = image(*shape)
    return net.to(build(net, x))


CASES = {
    "conv": lambda net, x: net.conv(x, 5),
    "conv without bias": lambda net, x: net.conv(x, 5, bias=False),
    "conv valid": lambda net, x: net.conv(x, 3, padding=VALID, act=RELU6),
    "conv stride, asymmetric": lambda net, x: net.conv(x, 3, stride=2, act=RELU_N1_TO_1),
    "conv even kernel": lambda net, x: net.conv(x, 3, k=2),
    "conv dilated": lambda net, x: net.conv(x, 3, dilation=2, act=0),
    "pointwise": lambda net, x: net.conv(x, 8, k=1),
    "depthwise": lambda net, x: net.depthwise(x),
    "depthwise multiplier": lambda net, x: net.depthwise(x, 3, stride=2),
    "average pool": lambda net, x: net.pool(x, "AVERAGE_POOL_2D"),
    "average pool same": lambda net, x: net.pool(x, "AVERAGE_POOL_2D", 3, 2, SAME),
    "average pool activation": lambda net, x: net.pool(x, "AVERAGE_POOL_2D", act=RELU),
    "max pool": lambda net, x: net.pool(x),
    "max pool same": lambda net, x: net.pool(x, "MAX_POOL_2D", 3, 2, SAME, RELU),
    "add": lambda net, x: net.add(x, net.conv(x, 4), RELU),
    "mean": lambda net, x: net.mean(x),
    "mean kept": lambda net, x: net.mean(x, keep=True),
    "pad": lambda net, x: net.pad(x, ((0, 0), (1, 2), (3, 0), (0, 0))),
    "pad value": lambda net, x: net.pad(x, ((0, 0), (1, 2), (3, 0), (0, 1)), 0.75),
    "relu": lambda net, x: net.unary(x, "RELU"),
    "relu6": lambda net, x: net.unary(net.add(x, x), "RELU6"),
    "leaky relu": lambda net, x: net.unary(x, "LEAKY_RELU", Alpha=0.25),
    "logistic": lambda net, x: net.unary(x, "LOGISTIC"),
    "tanh": lambda net, x: net.unary(x, "TANH"),
    "hard swish": lambda net, x: net.unary(x, "HARD_SWISH"),
    "softmax": lambda net, x: net.softmax(x),
    "reshape": lambda net, x: net.reshape(x, 6, 28),
    "dense": lambda net, x: net.dense(net.flatten(x), 5, RELU),
    "dense rows": lambda net, x: net.dense(net.reshape(x, 6, 28), 5, bias=False),
    "expand dims": lambda net, x: net.layer("EXPAND_DIMS", [net.mean(x), net.constant([1])], (1, 1, 4)),
}


def run(graph: Graph, samples: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return Network(graph)(torch.from_numpy(samples))[0].numpy()


def assert_close(graph: Graph, samples: np.ndarray, data: bytes = b"") -> None:
    """Float sums differ by their order: a few units in the last place of the largest value."""
    (want,) = oracle.run(data or write_tflite(graph), [samples], graph.name, 1)
    np.testing.assert_allclose(run(graph, samples), want, rtol=1e-4, atol=1e-5 * np.abs(want).max())


@pytest.mark.parametrize("name", CASES)
def test_operator(name):
    graph = wrapped(CASES[name])
    assert_close(graph, random_samples(graph, 3))


def test_squeeze_is_a_reshape():
    """The reference wants options for SQUEEZE that whit does not write, so it runs the same as a RESHAPE."""
    net, x = image()
    graph = net.to(net.layer("SQUEEZE", [net.mean(x, keep=True)], (1, 4)))
    other, x = image()
    samples = random_samples(graph, 3)
    (want,) = oracle.run(write_tflite(other.to(other.reshape(other.mean(x, keep=True), 4))), [samples], "case", 1)
    np.testing.assert_allclose(run(graph, samples), want, rtol=1e-5, atol=1e-6)


def test_a_whole_network():
    graph = separable()
    assert_close(graph, random_samples(graph, 5))


@pytest.mark.parametrize("name", ["vww_96_float.tflite", "pretrainedResnet.tflite", "ad01_fp32.tflite"])
def test_public_models(public_model, name):
    data = public_model(name)
    graph = read_tflite(data, name)
    assert_close(graph, random_samples(graph, 2), data)


def test_the_graph_comes_back():
    graph = separable()
    back = Network(graph).graph()
    assert write_tflite(back) == write_tflite(graph)
    without = wrapped(CASES["conv without bias"])
    back = Network(without).graph()
    assert len(back.tensors) == len(without.tensors) + 1  # the bias, behind all others
    assert back.operators[0].inputs == (*without.operators[0].inputs, len(without.tensors))
    samples = random_samples(without, 2)
    np.testing.assert_array_equal(run(back, samples), run(without, samples))


def test_parameters_are_copies():
    graph = separable()
    before = write_tflite(graph)
    network = Network(graph)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
    assert write_tflite(graph) == before
    assert not any(t.data.any() for t in network.graph().tensors if t.dtype == "float32" and t.data is not None)


def test_logits_are_before_the_softmax():
    graph = separable()
    network, samples = Network(graph), torch.from_numpy(random_samples(graph, 3))
    with torch.no_grad():
        logits, outputs = network.logits(samples), network(samples)[0]
    assert not torch.equal(logits, outputs)
    torch.testing.assert_close(torch.softmax(logits, -1), outputs)


def test_fresh_weights():
    graph = separable()
    fresh, again, other = initialize(graph, 1), initialize(graph, 1), initialize(graph, 2)
    assert write_tflite(fresh) == write_tflite(again) != write_tflite(other)
    assert [t.shape for t in fresh.tensors] == [t.shape for t in graph.tensors]
    largest = fresh.tensors[next(op for op in graph.operators if op.kind == "FULLY_CONNECTED").inputs[1]]
    assert largest.data.std() == pytest.approx((2 / largest.shape[1]) ** 0.5, rel=0.1)


def test_a_quantized_model_is_refused(public_model):
    with pytest.raises(WhitError, match="quantized; give the float model"):
        Network(read_tflite(public_model("ad01_int8.tflite"), "ad01"))
    with pytest.raises(WhitError, match="is int8, so this model is quantized"):
        Network(read_tflite(public_model("kws_ref_model_float32.tflite"), "kws"))


def test_an_unknown_operator_is_refused():
    net, x = image()
    with pytest.raises(WhitError, match="case: CUMSUM 't1': cannot be trained; supported: ADD, "):
        Network(net.to(net.unary(x, "CUMSUM")))
