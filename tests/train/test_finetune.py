"""Quantization-aware fine-tuning: the rounding is that of the quantized graph, and the network learns to stand it."""

from dataclasses import replace

import numpy as np
import pytest
from floats import samples_of
from whit.costs import weighted
from whit.errors import WhitError
from whit.fold import WEIGHTED
from whit.quantize import execute_rounded, quantize
from whit.quantize.quantize import FOUR_BITS
from whit.write_tflite import write_tflite

torch = pytest.importorskip("torch", reason="PyTorch is not installed: the extra whit[train]")

from trained import digits, reader, separable  # noqa: E402
from whit.train.network import Network  # noqa: E402
from whit.train.qat import Rounded, finetune, four_bits, ranges  # noqa: E402
from whit.train.task import task  # noqa: E402

FOUR = frozenset(
    graph.tensors[op.outputs[0]].name for graph in [separable()] for op in graph.operators if op.kind in FOUR_BITS
)


@pytest.fixture(scope="module")
def int8():
    return quantize(reader(), [digits()[0][:32]])


@pytest.fixture(scope="module")
def int4():
    return quantize(reader(), [digits()[0][:32]], FOUR)


def real_weights(graph, op):
    """What the integers of a quantized graph stand for."""
    tensor = graph.tensors[op.inputs[1]]
    q, shape = tensor.quantization, [1] * len(tensor.shape)
    shape[q.axis] = -1
    return tensor.data * q.scale.reshape(shape)


def test_the_rounding_of_int8(int8):
    """With the weights and biases of the quantized graph, the rounding of activations is what numpy computes."""
    network, samples = Rounded(int8.folded, int8.graph), digits()[0][:20]
    with torch.no_grad():
        for op in filter(weighted, int8.graph.operators):
            bias = int8.graph.tensors[op.inputs[2]]
            network.weights[str(op.inputs[1])].copy_(torch.from_numpy(real_weights(int8.graph, op)))
            network.weights[str(op.inputs[2])].copy_(torch.from_numpy(bias.data * bias.quantization.scale))
        got = network(torch.from_numpy(samples[:, None]))[0].numpy()
    (want,) = execute_rounded(int8.graph, [samples])
    assert (got == want).mean() > 0.95  # float sums in another order can fall on the other side of a step
    np.testing.assert_allclose(got, want, atol=4 / 256)


def test_weights_are_on_their_grids(int4):
    network, seen = Rounded(int4.folded, int4.graph), set()
    for op in filter(weighted, int4.graph.operators):
        with torch.no_grad():
            used = network.parameter(op.inputs[1]).numpy()
        dtype = int4.graph.tensors[op.inputs[1]].dtype
        most = {"int4": 7, "int8": 127}[dtype]
        rows = np.moveaxis(used, WEIGHTED[op.kind], 0).reshape(used.shape[WEIGHTED[op.kind]], -1)
        steps = rows / (np.abs(rows).max(1, keepdims=True) / most)
        np.testing.assert_allclose(steps, np.rint(steps), atol=1e-3)
        seen.add(dtype)
    assert seen == {"int4", "int8"}  # depthwise layers keep 8 bits


def test_gradients_pass_the_rounding(int8):
    network = Rounded(int8.folded, int8.graph)
    wanted = task(int8.folded, digits()[0][:32], digits()[1][:32])
    wanted.loss(network, network.logits(wanted.samples), wanted.targets).backward()
    assert all(parameter.grad is not None and bool(parameter.grad.any()) for parameter in network.parameters())
    first = int8.folded.operators[0].outputs[0]
    q = int8.graph.tensors[first].quantization
    inside = torch.tensor([0.3 * q.scale[0], -1e3, 1e3], requires_grad=True)
    result = network.computed(first, inside)
    result.sum().backward()
    low, high = ((edge - int(q.zero_point[0])) * float(q.scale[0]) for edge in (-128, 127))
    assert result.tolist() == pytest.approx([0, low, high]) and inside.grad.tolist() == [1, 0, 0]


def test_fine_tuning_int4(int4):
    """Weights of 4 bits lose much, of which training wins most back; quantizing again changes no weight."""
    images, classes = digits()
    wanted = task(int4.folded, images, classes)
    seen: list = []
    tuned = finetune(int4.folded, int4.graph, images, classes, 3, rate=1e-3, progress=lambda *g: seen.append(g))
    assert seen == [(1, 3), (2, 3), (3, 3)]
    assert four_bits(int4.graph) == FOUR
    again = quantize(tuned, [images[:32]], four_bits(int4.graph), ranges(int4.graph))
    for op in filter(weighted, again.graph.operators):
        np.testing.assert_allclose(
            real_weights(again.graph, op), tuned.tensors[op.inputs[1]].data, rtol=1e-4, atol=1e-6
        )
    for i, q in ranges(int4.graph).items():
        assert again.graph.tensors[i].quantization == q
    before, after = (wanted.score(execute_rounded(g, [images])[0]) for g in (int4.graph, again.graph))
    assert after > before


def test_one_seed_gives_the_same_bytes(int8):
    images, classes = (x[:200] for x in digits())
    runs = [write_tflite(finetune(int8.folded, int8.graph, images, classes, 1, seed)) for seed in (1, 1, 2)]
    assert runs[0] == runs[1] != runs[2]


def test_refused(int8):
    images, classes = (x[:20] for x in digits())
    other = quantize(separable(4, name="other"), samples_of(separable(4), 8))
    with pytest.raises(WhitError, match=r"separable and its quantized form differ at CONV_2D '.*'; quantize the same"):
        finetune(int8.folded, other.graph, images, classes)
    fewer = replace(int8.graph, operators=int8.graph.operators[:-1])
    with pytest.raises(WhitError, match="have different operators; quantize the same model"):
        finetune(int8.folded, fewer, images, classes)
    with pytest.raises(WhitError, match="are float32, int8 and int4 are supported"):
        finetune(int8.folded, int8.folded, images, classes)
    with pytest.raises(WhitError, match="is quantized; give the float model"):
        Network(int8.graph)
