"""Which channels go together, and a graph without some of them: in numpy, before anything is trained."""

from dataclasses import replace

import numpy as np
import pytest
from floats import FloatNet, mobile, reference, samples_of
from nets import RELU, VALID
from whit.channels import BLOCK, FIXED, channels, remove
from whit.costs import WEIGHTED, macs, parameters
from whit.execute import execute
from whit.fold import fold
from whit.graph import Graph
from whit.pack import pack_graph
from whit.quantize import quantize
from whit.read_tflite import read_tflite

ACT = {"FusedActivationFunction": RELU}


def residual() -> Graph:
    """A residual block, a stride, and a dense layer behind a flattened image."""
    net = FloatNet("residual")
    source = net.input(1, 6, 6, 2)
    x = net.conv(source, 8, **ACT)
    y = net.conv(net.conv(x, 12, **ACT), 8)
    x = net.same("ADD", x, y, **ACT)
    x = net.pool("MAX_POOL_2D", net.same("HARD_SWISH", net.conv(x, 16, bias=False)))
    x = net.dense(net.reshape(x, 1, 144), 12, **ACT)
    return fold(net.graph([source], [net.dense(x, 5)]))


def multiplied() -> Graph:
    """Depthwise layers with multipliers, one of them over the single channel of the input; PAD; MEAN."""
    net = FloatNet("multiplied")
    source = net.input(1, 6, 6, 1)
    x = net.depthwise(source, multiplier=8, **ACT)
    x = net.depthwise(x, multiplier=2, **ACT)
    x = net.then("PAD", [x, net.constant([[0, 0], [1, 1], [0, 1], [0, 0]])], (1, 8, 7, 16))
    x = net.conv(x, 8, (3, 3), Padding=VALID, **ACT)
    x = net.then("MEAN", [x, net.constant([1, 2])], (1, 8), KeepDims=0)
    return fold(net.graph([source], [net.dense(net.dense(x, 8, **ACT), 3)]))


GRAPHS = {"mobile": lambda: fold(mobile()), "residual": residual, "multiplied": multiplied}


def silent(graph: Graph, keep: np.ndarray) -> Graph:
    """The same graph with zero weights and biases for every channel whose unit is not in `keep`."""
    units, tensors = channels(graph), list(graph.tensors)
    for op in graph.operators:
        if op.kind in WEIGHTED:
            gone = ~keep[units.of[op.outputs[0]]]
            for i in op.inputs[1:3]:
                data = tensors[i].data.copy()
                np.moveaxis(data, WEIGHTED[op.kind] if i == op.inputs[1] else 0, 0)[gone] = 0
                tensors[i] = replace(tensors[i], data=data)
    return replace(graph, tensors=tuple(tensors))


def some(graph: Graph, seed: int) -> np.ndarray:
    """A choice of about half of the units, one of each family at least."""
    units = channels(graph)
    keep = np.random.default_rng(seed).random(units.units) < 0.5
    keep[[FIXED, *(family[0] for family in units.families)]] = True
    return keep


@pytest.mark.parametrize("name", GRAPHS)
def test_channels_without_weights_are_not_missed(name):
    graph = GRAPHS[name]()
    samples = samples_of(graph, 4)
    for seed in range(4):
        keep = some(graph, seed)
        less = remove(graph, channels(graph), keep)
        (want,), (got,) = execute(silent(graph, keep), samples), execute(less, samples)
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(reference(less, samples)[0], want, rtol=1e-4, atol=1e-5)
        assert macs(less) == channels(graph).macs(keep) < macs(graph)
        assert parameters(less) < parameters(graph)


@pytest.mark.parametrize("name", GRAPHS)
def test_channels_with_weights_are_missed(name):
    """Or the test above would say nothing."""
    graph = GRAPHS[name]()
    samples, keep = samples_of(graph, 4), some(graph, 0)
    (whole,), (got,) = execute(graph, samples), execute(remove(graph, channels(graph), keep), samples)
    assert np.abs(whole - got).max() > 1e-3


@pytest.mark.parametrize("name", GRAPHS)
def test_nothing_removed(name):
    graph = GRAPHS[name]()
    units = channels(graph)
    same = remove(graph, units, units.all())
    assert same.operators == graph.operators
    for before, after in zip(graph.tensors, same.tensors, strict=True):
        assert before.shape == after.shape and np.array_equal(before.data, after.data)


def test_families():
    sizes = {name: sorted(map(len, channels(build()).families)) for name, build in GRAPHS.items()}
    assert sizes["residual"] == [8, 12, 12, 16]  # the two operands of ADD are one family
    assert sizes["mobile"] == [8, 8, 16]  # a depthwise layer belongs to the layer before it
    assert sizes["multiplied"] == [8, 8, 8]


def test_inputs_and_outputs_stay():
    for build in GRAPHS.values():
        graph = build()
        units = channels(graph)
        for i in (*graph.inputs, *graph.outputs):
            assert (units.of[i] == FIXED).all()


def test_what_mixes_channels_is_fixed():
    net = FloatNet("mixed")
    source = net.input(1, 4, 4, 3)
    x = net.conv(source, 8, **ACT)
    softened = net.same("SOFTMAX", x, Beta=1.0)
    padded = net.then("PAD", [net.conv(softened, 8), net.constant([[0, 0], [0, 0], [0, 0], [0, 4]])], (1, 4, 4, 12))
    turned = net.reshape(net.conv(padded, 8), 1, 4, 8, 4)
    graph = net.graph([source], [net.conv(turned, 3)])
    assert channels(graph).families == ()
    assert channels(graph).least_macs() == macs(graph)


def test_a_constant_of_two_layers_is_divided():
    """A bias that two layers share, and that each needs other channels of."""
    net = FloatNet("shared")
    x = net.input(1, 4, 4, 3)
    bias = net.values(8)
    y = x
    for _ in range(2):
        y = net.conv(y, 8, bias=False, **ACT)
        net.operators[-1] = replace(net.operators[-1], inputs=(*net.operators[-1].inputs[:2], bias))
    graph = net.graph([x], [net.conv(y, 2)])
    units = channels(graph)
    keep = units.all()
    for family, gone in zip(units.families, ((1, 2), (3,)), strict=True):
        keep[family[list(gone)]] = False
    less = remove(graph, units, keep)
    assert [less.tensors[op.inputs[2]].shape for op in less.operators] == [(6,), (7,), (2,)]
    np.testing.assert_array_equal(less.tensors[less.operators[1].inputs[2]].data, np.delete(net.tensors[bias].data, 3))


def test_blocks_of_four_go_by_importance_and_cost():
    graph = residual()
    units = channels(graph)
    importance = np.ones(units.units)
    loved = units.families[1]
    importance[loved] = 1e6
    for part in (0.8, 0.5, 0.3):
        keep = units.choose(units.all(), importance, int(part * macs(graph)))
        assert units.macs(keep) <= part * macs(graph)
        kept = [int(keep[family].sum()) for family in units.families]
        assert all(n % BLOCK == 0 and n >= BLOCK for n in kept)
        assert macs(remove(graph, units, keep)) == units.macs(keep)
        if part > 0.5:
            assert keep[loved].all()
    one = units.families[0]
    importance[:] = 1
    importance[one[2:]] = np.arange(6) / 100
    first = units.choose(units.all(), importance, macs(graph) - 1)
    assert one[~first[one]].tolist() == one[2:6].tolist()  # of a family, the least important


def test_what_has_room_comes_back():
    """A large block that went for a small rest of work leaves room for the small ones that went before."""
    net = FloatNet("room")
    x = net.input(1, 4)
    y = net.dense(net.dense(x, 8), 100)
    graph = net.graph([x], [net.dense(y, 8)])
    units = channels(graph)
    small, large = units.families
    importance = np.zeros(units.units)
    importance[large] = 1e-3 * np.arange(100)
    limit = macs(graph) - 440  # a block of the small family saves 416 of the work, one of the large 64
    keep = units.choose(units.all(), importance, limit)
    assert keep[small].sum() == 4 and keep[large].sum() == 96
    importance[small] = 1e-6
    importance[large] = 1
    importance[large[:4]] = 1e-9
    keep = units.choose(units.all(), importance, macs(graph) - 400)
    assert keep[small].sum() == 4 and keep[large].all()  # the large family's block went first and came back


def test_odd_families_come_down_to_fours():
    net = FloatNet("odd")
    x = net.input(1, 6)
    graph = net.graph([x], [net.dense(net.dense(x, 10), 3)])
    units = channels(graph)
    (family,) = units.families
    for part, left in ((0.99, 8), (0.75, 4)):
        keep = units.choose(units.all(), np.ones(units.units), int(part * macs(graph)))
        assert keep[family].sum() == left
    assert units.least_macs() == 4 * 9


def test_costs_are_those_of_the_kernels():
    for build in GRAPHS.values():
        graph = build()
        packed = pack_graph(quantize(graph, samples_of(graph, 8)).graph)
        assert macs(graph) == sum(step.macs for step in packed.program.steps)


def test_public_models_shrink(public_model):
    for name in ("vww_96_float.tflite", "pretrainedResnet.tflite", "ad01_fp32.tflite"):
        graph = fold(read_tflite(public_model(name), name))
        units = channels(graph)
        keep = units.choose(units.all(), np.ones(units.units), macs(graph) // 2)
        less = remove(graph, units, keep)
        assert 0.4 * macs(graph) < macs(less) <= 0.5 * macs(graph)
        reference(less, [samples_of(graph, 1)[0]])
