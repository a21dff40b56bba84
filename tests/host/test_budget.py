"""4-bit weights, where a limit asks for them: as few layers as the bytes take, as many as the loss allows."""

from __future__ import annotations

import numpy as np
import pytest
from floats import FloatNet, samples_of
from nets import RELU
from whit.errors import WhitError
from whit.execute import execute
from whit.pack import pack_graph
from whit.quantize import execute_rounded, quantize, quantize_within
from whit.verify import verify
from whit.write_tflite import write_tflite


def _graph():
    net = FloatNet("budget")
    x = net.input(1, 8, 8, 3)
    y = net.conv(x, 16, FusedActivationFunction=RELU)
    y = net.conv(net.depthwise(y, StrideH=2, StrideW=2), 32, (1, 1), FusedActivationFunction=RELU)
    y = net.dense(net.reshape(net.pool("MAX_POOL_2D", y), 1, 128), 24, FusedActivationFunction=RELU)
    return net.graph([x], [net.same("SOFTMAX", net.dense(y, 6), Beta=1.0)])


GRAPH = _graph()
SAMPLES = samples_of(GRAPH, 60)


def _four(quantized):
    return [layer.name for layer in quantized.layers if layer.bits == 4]


def _loss(quantized):
    right = execute(GRAPH, SAMPLES)[0].reshape(60, -1).argmax(1)
    return 100 * np.mean(execute_rounded(quantized.graph, SAMPLES)[0].reshape(60, -1).argmax(1) != right)


@pytest.fixture(scope="module")
def sizes():
    """Bytes of the .whit file with int8 weights, and with 4 bits wherever they can be."""
    every = [GRAPH.tensors[op.outputs[0]].name for op in GRAPH.operators if op.kind in ("CONV_2D", "FULLY_CONNECTED")]
    return tuple(len(pack_graph(quantize(GRAPH, SAMPLES, four).graph).blob) for four in ((), every))


def test_as_few_layers_as_the_bytes_take(sizes):
    int8, int4 = sizes
    assert int4 < 0.7 * int8
    assert _four(quantize_within(GRAPH, SAMPLES, max_bytes=int8)) == []
    counts = []
    for limit in (int8 - 1, (int8 + int4) // 2, int4):
        found = quantize_within(GRAPH, SAMPLES, max_bytes=limit)
        assert len(pack_graph(found.graph).blob) <= limit
        counts.append(len(_four(found)))
    assert 1 == counts[0] <= counts[1] <= counts[2] == 4


def test_as_many_layers_as_the_loss_allows():
    counts = []
    for limit in (2, 10, 100):
        found = quantize_within(GRAPH, SAMPLES, max_loss=limit)
        assert _loss(found) <= limit
        counts.append(len(_four(found)))
    assert counts[0] <= counts[1] <= counts[2] == 4
    assert _loss(quantize(GRAPH, SAMPLES)) > 0
    with pytest.raises(WhitError, match=r"^budget: loses [\d.]+ points with int8 weights already, 0 are allowed; give"):
        quantize_within(GRAPH, SAMPLES, max_loss=0)


def test_depthwise_weights_keep_8_bits():
    found = quantize_within(GRAPH, SAMPLES, max_loss=100)
    assert {layer.kind: layer.bits for layer in found.layers if layer.bits} == {
        "CONV_2D": 4,
        "DEPTHWISE_CONV_2D": 8,
        "FULLY_CONNECTED": 4,
    }


def test_truth_is_what_the_loss_is_measured_on():
    answers = execute(GRAPH, SAMPLES)[0].reshape(60, -1).argmax(1)
    wrong = (answers + 1) % 6  # the float model is never right, so nothing can be lost
    assert len(_four(quantize_within(GRAPH, SAMPLES, max_loss=0, truth=wrong))) == 4


def test_limits_that_cannot_be_kept(sizes):
    with pytest.raises(
        WhitError, match=rf"^budget: takes {sizes[1]:,} bytes with 4-bit weights wherever they can be, 9"
    ):
        quantize_within(GRAPH, SAMPLES, max_bytes=999)
    loss = _loss(quantize_within(GRAPH, SAMPLES, max_bytes=sizes[1]))
    if loss:  # else there is no limit to break
        with pytest.raises(WhitError, match=r"^budget: .* bytes cost .* points, 0 are allowed; allow more bytes, or"):
            quantize_within(GRAPH, SAMPLES, max_bytes=sizes[1], max_loss=0)


def test_a_loss_needs_classes():
    net = FloatNet("value")
    x = net.input(1, 6)
    graph = net.graph([x], [net.dense(x, 1)])
    with pytest.raises(WhitError, match=r"^value: a loss in points is for models with one output of classes; give"):
        quantize_within(graph, samples_of(graph, 9), max_loss=1)


def test_the_board_computes_what_4_bits_say(tmp_path, sizes):
    found = quantize_within(GRAPH, SAMPLES, max_bytes=sizes[1])
    path = tmp_path / "four.tflite"
    path.write_bytes(write_tflite(found.graph))
    for result in verify(path.read_bytes(), path, samples=6):
        assert result.differing == 0 < result.compared
