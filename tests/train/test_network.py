"""A Network computes what TensorFlow Lite Micro computes in float, and gives back the graph it was made of."""

import numpy as np
import pytest
from floats import FloatNet, samples_of
from nets import NONE, RELU, RELU6, RELU_N1_TO_1, SAME, VALID
from whit import oracle
from whit.errors import WhitError
from whit.fold import fold
from whit.graph import Graph
from whit.read_tflite import read_tflite
from whit.write_tflite import write_tflite

torch = pytest.importorskip("torch", reason="PyTorch is not installed: the extra whit[train]")

from trained import separable  # noqa: E402
from whit.train.network import Network, initialize  # noqa: E402


def random_samples(graph: Graph, count: int) -> np.ndarray:
    return samples_of(graph, count)[0]


def image(*shape: int) -> tuple[FloatNet, int]:
    net = FloatNet("case")
    return net, net.input(1, *(shape or (7, 6, 4)))


def wrapped(build) -> Graph:
    """A network of one layer."""
    net, x = image()
    return net.graph([x], [build(net, x)])


def act(code: int) -> dict:
    return {"FusedActivationFunction": code}


STRIDE = {"StrideH": 2, "StrideW": 2}
WINDOW = {"FilterHeight": 3, "FilterWidth": 3}
CASES = {
    "conv": lambda net, x: net.conv(x, 5, **act(RELU)),
    "conv without bias": lambda net, x: net.conv(x, 5, bias=False),
    "conv valid": lambda net, x: net.conv(x, 3, Padding=VALID, **act(RELU6)),
    "conv stride, asymmetric": lambda net, x: net.conv(x, 3, **STRIDE, **act(RELU_N1_TO_1)),
    "conv even kernel": lambda net, x: net.conv(x, 3, (2, 4)),
    "conv dilated": lambda net, x: net.conv(x, 3, (3, 2), DilationHFactor=2, DilationWFactor=3),
    "pointwise": lambda net, x: net.conv(x, 8, (1, 1)),
    "depthwise": lambda net, x: net.depthwise(x, **act(RELU)),
    "depthwise multiplier": lambda net, x: net.depthwise(x, (3, 5), 3, **STRIDE),
    "average pool": lambda net, x: net.pool("AVERAGE_POOL_2D", x),
    "average pool same": lambda net, x: net.pool("AVERAGE_POOL_2D", x, Padding=SAME, **WINDOW),
    "average pool activation": lambda net, x: net.pool("AVERAGE_POOL_2D", x, **act(RELU)),
    "max pool": lambda net, x: net.pool("MAX_POOL_2D", x),
    "max pool same": lambda net, x: net.pool("MAX_POOL_2D", x, Padding=SAME, **WINDOW, **act(RELU)),
    "add": lambda net, x: net.same("ADD", x, net.conv(x, 4), **act(RELU)),
    "mean": lambda net, x: net.then("MEAN", [x, net.constant([1, 2])], (1, 4), KeepDims=0),
    "mean kept": lambda net, x: net.then("MEAN", [x, net.constant([-2, 1])], (1, 1, 1, 4), KeepDims=1),
    "pad": lambda net, x: net.then("PAD", [x, net.constant([[0, 0], [1, 2], [3, 0], [0, 0]])], (1, 10, 9, 4)),
    "pad value": lambda net, x: net.then(
        "PADV2",
        [x, net.constant([[0, 0], [1, 2], [3, 0], [0, 1]]), net.constant([0.75], "float32")],
        (1, 10, 9, 5),
    ),
    "relu": lambda net, x: net.same("RELU", x),
    "relu6": lambda net, x: net.same("RELU6", net.same("ADD", x, x, **act(NONE))),
    "leaky relu": lambda net, x: net.same("LEAKY_RELU", x, Alpha=0.25),
    "logistic": lambda net, x: net.same("LOGISTIC", x),
    "tanh": lambda net, x: net.same("TANH", x),
    "hard swish": lambda net, x: net.same("HARD_SWISH", x),
    "softmax": lambda net, x: net.same("SOFTMAX", x, Beta=2.0),
    "reshape": lambda net, x: net.reshape(x, 1, 6, 28),
    "dense": lambda net, x: net.dense(net.reshape(x, 1, 168), 5, **act(RELU)),
    "dense rows": lambda net, x: net.dense(net.reshape(x, 6, 28), 5),
    "expand dims": lambda net, x: net.then("EXPAND_DIMS", [CASES["mean"](net, x), net.constant([1])], (1, 1, 4)),
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
    graph = wrapped(lambda net, x: net.then("SQUEEZE", [CASES["mean kept"](net, x)], (1, 4)))
    renamed = wrapped(lambda net, x: net.reshape(CASES["mean kept"](net, x), 1, 4))
    samples = random_samples(graph, 3)
    (want,) = oracle.run(write_tflite(renamed), [samples], "case", 1)
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
    graph = fold(separable())
    back = Network(graph).graph()
    assert write_tflite(back) == write_tflite(graph)
    without = wrapped(CASES["conv without bias"])
    back = Network(without).graph()
    assert len(back.tensors) == len(without.tensors) + 1  # the bias, behind all others
    assert back.operators[0].inputs == (*without.operators[0].inputs[:2], len(without.tensors))
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
    with pytest.raises(WhitError, match="case: CUMSUM 't1': cannot be trained; supported: ADD, "):
        Network(wrapped(lambda net, x: net.same("CUMSUM", x)))
