"""Quantizing: the same int8 arithmetic as everywhere, near to the float model, and the same bytes each time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from floats import FloatNet, mobile, samples_of
from nets import RELU, SAME
from whit import oracle, reference
from whit.errors import WhitError
from whit.execute import execute
from whit.fold import fold
from whit.lower import lower
from whit.quantize import execute_rounded, quantize
from whit.quantize.equalize import channel_peaks, equalize
from whit.quantize.quantize import EQUALIZED
from whit.quantize.ranges import candidates, of_range, round_to
from whit.quantize.weights import fitted, rounded, scales
from whit.samples import class_numbers
from whit.write_tflite import write_tflite

IMAGE = (1, 8, 8, 3)


def _padded(n, x):
    lowest = n.constant(np.float32(-3.4e38), "float32")
    y = n.then("PADV2", [x, n.constant([[0, 0], [1, 1], [1, 1], [0, 0]]), lowest], (1, 10, 10, 3))
    return n.pool("MAX_POOL_2D", y, FilterHeight=3, FilterWidth=3)


def _residual(n, x):
    y = n.conv(x, 3, FusedActivationFunction=RELU)
    return n.same("ADD", x, n.conv(y, 3), FusedActivationFunction=RELU)


NETS = {
    "conv": lambda n, x: n.conv(x, 5),
    "depthwise": lambda n, x: n.depthwise(x, multiplier=2, StrideH=2, StrideW=2, FusedActivationFunction=RELU),
    "dense": lambda n, x: n.dense(n.reshape(x, 1, 192), 7),
    "average pool": lambda n, x: n.pool("AVERAGE_POOL_2D", x, Padding=SAME, FilterHeight=3, FilterWidth=3),
    "max pool": lambda n, x: n.pool("MAX_POOL_2D", n.conv(x, 4)),
    "padded max pool": _padded,
    "pad": lambda n, x: n.then("PAD", [x, n.constant([[0, 0], [1, 0], [0, 2], [0, 0]])], (1, 9, 10, 3)),
    "mean": lambda n, x: n.then("MEAN", [x, n.constant([1, 2])], (1, 3), KeepDims=0),
    "residual": _residual,
    "relu": lambda n, x: n.same("RELU", x),
    "relu6": lambda n, x: n.same("RELU6", n.same("RELU", x)),
    "leaky": lambda n, x: n.same("LEAKY_RELU", n.conv(x, 4), Alpha=0.1),
    "logistic": lambda n, x: n.same("LOGISTIC", n.conv(x, 4)),
    "tanh": lambda n, x: n.same("TANH", n.conv(x, 4)),
    "hard swish": lambda n, x: n.same("HARD_SWISH", n.conv(x, 4)),
    "softmax": lambda n, x: n.same("SOFTMAX", n.dense(n.reshape(x, 1, 192), 7), Beta=1.0),
    "mobile": None,
}


def _graph(name):
    if NETS[name] is None:
        return mobile(name)
    net = FloatNet(name)
    x = net.input(*IMAGE)
    return net.graph([x], [NETS[name](net, x)])


def _bytes_in(graph, inputs):
    """Samples as int8, as predict() rounds them."""
    t = graph.tensors[graph.inputs[0]]
    return np.clip(np.rint(inputs[0] / np.float32(t.scale)) + t.zero_point, -128, 127).astype(np.int8)


@pytest.mark.parametrize("name", NETS)
def test_what_comes_out_is_an_int8_model_as_any_other(name):
    graph = _graph(name)
    inputs = samples_of(graph, 12)
    int8 = quantize(graph, inputs).graph
    program = lower(int8)
    x = _bytes_in(int8, inputs)
    want = oracle.run(write_tflite(int8), [x], name, 1)[0]
    got = np.stack([reference.run(program, [sample])[0] for sample in x])
    assert np.array_equal(got, want)
    # And near to the float model: within a few steps of the output.
    t = int8.tensors[int8.outputs[0]]
    real = (want.astype(np.float32) - t.zero_point) * np.float32(t.scale)
    off = np.abs(real - execute(graph, inputs)[0]) / t.scale
    assert off.mean() < 2, f"{off.mean():.2f} steps off"
    # What the PC takes for it while it chooses is off by less.
    steps = np.abs(real - execute_rounded(int8, inputs)[0]) / t.scale
    assert steps.mean() < 0.2


def test_the_same_bytes_every_time():
    graph = mobile()
    inputs = samples_of(graph, 20)
    first = write_tflite(quantize(graph, inputs).graph)
    assert write_tflite(quantize(graph, [x.copy() for x in inputs]).graph) == first


def test_tensors_stay_in_their_places():
    graph = mobile()
    q = quantize(graph, samples_of(graph, 20))
    assert q.graph.operators == q.folded.operators
    for a, b in zip(q.graph.tensors, q.folded.tensors, strict=True):
        assert (a.name, a.shape) == (b.name, b.shape)
        assert (a.data is None) == (b.data is None)


def test_ranges_that_are_given_are_kept():
    graph = mobile()
    inputs = samples_of(graph, 20)
    first = quantize(graph, inputs, equalized="")
    given = {i: t.quantization for i, t in enumerate(first.graph.tensors) if t.data is None}
    tensors = [replace(t, data=t.data / 2) if t.data is not None and t.dtype == "float32" else t for t in graph.tensors]
    halved = replace(graph, tensors=tuple(tensors))
    again = quantize(halved, inputs, ranges=given)
    assert {i: t.quantization for i, t in enumerate(again.graph.tensors) if t.data is None} == given
    assert again.equalized == ""


# Ranges


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-1, 1), (-3, 0), (2, 5), (-5, -2), (0, 0), (-1e-3, 1e3)])
def test_zero_is_a_level_of_every_range(low, high):
    q = of_range(low, high)
    assert round_to(q, np.zeros(1, np.float32))[0] == 0
    ends = np.array([low, high], np.float32)
    assert np.all(np.abs(round_to(q, ends) - ends) <= q.scale[0])


def test_ways_to_calibrate_differ_where_there_are_outliers():
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(0, 1, 100_000), [60.0]]).astype(np.float32)
    found = candidates(x)
    assert list(found) == ["min-max", "mse", "99.99 %", "99.9 %"] or len(found) >= 3
    widths = {name: 255 * q.scale[0] for name, q in found.items()}
    assert widths["min-max"] > 60 > 20 > widths["99.99 %"] > 6
    errors = {name: np.square(x - round_to(q, x)).sum() for name, q in found.items()}
    assert min(errors, key=lambda name: errors[name]) == "mse"


def test_one_range_is_enough_where_all_agree():
    assert list(candidates(np.linspace(-1, 1, 1000, dtype=np.float32))) == ["min-max"]


def test_outliers_are_cut_off_where_the_output_gains_by_it():
    net = FloatNet("outliers")
    x = net.input(*IMAGE)
    y = net.conv(x, 8)
    z = net.same("SOFTMAX", net.dense(net.reshape(net.same("RELU6", y), 1, 512), 4), Beta=1.0)
    graph = net.graph([x], [z])
    inputs = samples_of(graph, 30)
    inputs[0][3, 0, 0, 0, 0] = 500  # behind the RELU6 it hardly counts
    layers = {layer.name: layer for layer in quantize(graph, inputs, equalized="").layers}
    assert layers["t0"].range != "min-max"


# Biases and channels


def test_biases_keep_the_mean_of_each_channel():
    net = FloatNet("means")
    x = net.input(*IMAGE)
    graph = net.graph([x], [net.conv(x, 6)])
    inputs = samples_of(graph, 40)
    q = quantize(graph, inputs, four=["t3"], equalized="")  # four bits shift the means far
    means = [y.mean((0, 1, 2, 3)) for y in (execute(graph, inputs)[0], execute_rounded(q.graph, inputs)[0])]
    step = q.graph.tensors[q.graph.outputs[0]].scale
    assert np.abs(means[0] - means[1]).max() < step / 10
    plain = np.rint(q.folded.tensors[2].data / q.graph.tensors[2].quantization.scale)
    assert not np.array_equal(q.graph.tensors[2].data, plain)


def _uneven():
    """A depthwise net whose channels differ a thousandfold, as they do where batch normalizations were folded."""
    net = FloatNet("uneven")
    x = net.input(*IMAGE)
    y = net.conv(x, 16, FusedActivationFunction=RELU)
    factors = np.logspace(-2.5, 0.5, 16).astype(np.float32)
    for i in net.operators[-1].inputs[1:]:
        net.tensors[i].data[...] *= factors.reshape([-1] + [1] * (net.tensors[i].data.ndim - 1))
    y = net.depthwise(y, FusedActivationFunction=RELU)
    net.tensors[net.operators[-1].inputs[1]].data[...] /= factors
    return net.graph([x], [net.conv(y, 4, (1, 1))])


@pytest.mark.parametrize("halfway", [False, True])
@pytest.mark.parametrize("make", [_uneven, mobile])
def test_equalized_channels_compute_the_same(make, halfway):
    graph = fold(make())
    inputs = samples_of(graph, 10)
    even = equalize(graph, channel_peaks(graph, inputs), halfway)
    assert any(a.data is not b.data for a, b in zip(even.tensors, graph.tensors, strict=True)) or make is mobile
    np.testing.assert_allclose(execute(even, inputs)[0], execute(graph, inputs)[0], rtol=1e-3, atol=1e-4)


def test_channels_are_equalized_where_that_helps():
    graph = _uneven()
    inputs = samples_of(graph, 30)
    plain, best = quantize(graph, inputs, equalized=EQUALIZED[0]), quantize(graph, inputs)
    assert best.equalized == EQUALIZED[1] or best.equalized == EQUALIZED[2]
    assert best.decibels > plain.decibels + 6


# Weights


@pytest.mark.parametrize("bits", [8, 4])
def test_weights_are_symmetric_with_a_scale_per_channel(bits):
    rng = np.random.default_rng(bits)
    w = rng.normal(0, 1, (6, 40)) * np.logspace(-3, 1, 6)[:, None]
    scale = scales(w, bits, np.zeros(6))
    ints = rounded(w, scale, bits)
    assert np.array_equal(np.abs(ints).max(1), np.full(6, 2 ** (bits - 1) - 1))
    assert np.all(np.abs(ints * scale[:, None] - w) <= scale[:, None] / 2 + 1e-6)


def test_a_channel_without_weights_still_has_a_bias():
    net = FloatNet("dead")
    x = net.input(1, 10)
    graph = net.graph([x], [net.dense(x, 4)])
    net.tensors[1].data[2] = 0
    inputs = samples_of(graph, 20)
    np.testing.assert_allclose(
        execute_rounded(quantize(graph, inputs).graph, inputs)[0][..., 2], net.tensors[2].data[2], atol=0.05
    )


def test_fitted_weights_keep_the_output_better_than_rounded_ones():
    rng = np.random.default_rng(1)
    w = rng.normal(0, 1, (16, 72))
    x = rng.normal(0, 1, (4000, 12)) @ rng.normal(0, 1, (12, 72)) + rng.normal(0, 0.1, (4000, 72))  # correlated
    none = np.zeros(16)
    scale = scales(w, 4, none)
    plain = rounded(w, scale, 4) * scale[:, None]
    ints, scale = fitted(w, x, 4, none)
    assert ints.dtype == np.int8 and np.abs(ints).max() <= 7
    off = [np.square(x @ (found - w).T).mean() for found in (plain, ints * scale[:, None])]
    assert off[1] < off[0] / 3


# What is refused


@pytest.mark.parametrize(
    ("samples", "text"),
    [
        (np.zeros((0, 8, 8, 3)), r"the samples of 't0' are none \(\(0, 8, 8, 3\)\); give some"),
        (np.float32(3), r"the samples of 't0' are none \(\(\)\); give some"),
        (np.ones((5, 8, 8, 3)), r"the samples of 't0' are all equal \(1\); give some"),
        (np.ones((5, 3, 8, 8)), r"have the shape \(5, 3, 8, 8\), the model takes \(samples, 8, 8, 3\)"),
        (np.full((5, 8, 8, 3), np.nan), r"hold NaN or infinite values; leave those out"),
        (np.full((5, 8, 8, 3), np.inf), r"hold NaN or infinite values; leave those out"),
        (np.full((5, 8, 8, 3), "x"), r"are <U1, not numbers; save them as float32"),
    ],
)
def test_samples_that_do_not_fit(samples, text):
    with pytest.raises(WhitError, match=f"^mobile: .*{text}"):
        quantize(mobile(), [samples])


def test_one_array_for_each_input():
    with pytest.raises(WhitError, match=r"^mobile: 2 arrays of samples for 1 inputs; give one for each$"):
        quantize(mobile(), [np.ones((1, 8, 8, 3))] * 2)


def test_samples_may_have_their_channels_where_the_model_had_them():
    graph = mobile()
    inputs = samples_of(graph, 10)
    first = replace(graph, input_axes=((0, 2, 3, 1),))
    want = write_tflite(quantize(graph, inputs).graph)
    for given in (inputs[0].transpose(0, 1, 4, 2, 3), inputs[0][:, 0].transpose(0, 3, 1, 2), inputs[0]):
        assert write_tflite(replace(quantize(first, [given]).graph, input_axes=())) == want


def test_an_int8_model_is_not_quantized_again():
    graph = mobile()
    inputs = samples_of(graph, 5)
    with pytest.raises(WhitError, match=r"^mobile: is quantized already; give the float model that it was made of$"):
        quantize(quantize(graph, inputs).graph, inputs)


def _broken(change):
    graph = mobile()
    tensors, operators = list(graph.tensors), list(graph.operators)
    change(tensors, operators)
    return replace(graph, tensors=tuple(tensors), operators=tuple(operators))


def _set(items, i, **changes):
    items[i] = replace(items[i], **changes)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda t, ops: _set(ops, 0, inputs=(0, -1, 2)), "CONV_2D 't3': its second input is missing; export"),
        (lambda t, ops: _set(ops, 0, inputs=(0, 3, 2)), "CONV_2D 't3': uses what is not computed before it; export"),
        (lambda t, ops: _set(t, 1, data=None), "CONV_2D 't3': uses what is not computed before it; export"),
        (lambda t, ops: _set(t, 2, shape=(3,), data=np.zeros(3, np.float32)), "CONV_2D 't3': its bias is not 8 const"),
        (
            lambda t, ops: _set(t, 1, shape=(24, 9), data=np.ones((24, 9), np.float32)),
            "its weights are of shape (24, 9)",
        ),
        (lambda t, ops: _set(t, 3, shape=(1, 4, 4, 7)), "CONV_2D 't3' of (1, 8, 8, 3) and (8, 3, 3, 3) and (8,) does"),
        (lambda t, ops: _set(t, 3, shape=(1, 5, 4, 8)), "CONV_2D 't3' of (1, 8, 8, 3) and (8, 3, 3, 3) and (8,) does"),
        (
            lambda t, ops: ops[0].options.update(StrideH=0),
            "CONV_2D 't3' of (1, 8, 8, 3) and (8, 3, 3, 3) and (8,) does",
        ),
        (lambda t, ops: ops.pop(), "output 't22' is computed by no operator; export the model again"),
        (lambda t, ops: _set(t, 1, data=t[1].data * np.float32(1e35)), "'t3' becomes infinite, or nearly, with these"),
    ],
)
def test_a_model_that_does_not_go_together(change, text):
    graph = mobile()
    with pytest.raises(WhitError, match=r"^mobile: ") as refused:
        quantize(_broken(change), samples_of(graph, 4))
    assert text in str(refused.value)


@pytest.mark.parametrize(
    ("labels", "found"),
    [
        (np.array([0, 2, 1]), [0, 2, 1]),
        (np.array([0.0, 2, 1]), [0, 2, 1]),
        (np.eye(3, dtype=np.float32)[[0, 2, 1]], [0, 2, 1]),
        (np.array([0.5, 2, 1]), [0.5, 2, 1]),
        (np.ones((2, 3)), np.ones((2, 3)).tolist()),
    ],
)
def test_labels_that_say_classes_become_numbers(labels, found):
    assert class_numbers(labels, 3).tolist() == found
