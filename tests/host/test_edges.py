"""Several inputs and outputs, reshapes, and other types at the edges, all against tflite-micro."""

from pathlib import Path

import numpy as np
import pytest
from exact import assert_exact
from nets import Net
from whit.device.opset import BOUNDED
from whit.errors import WhitError
from whit.graph import Quantization, affine
from whit.pack import pack
from whit.read_tflite import read_tflite
from whit.simulate import simulate
from whit.verify import verify


def _dense(net: Net, x: int, o: int = 4) -> int:
    k = net.tensors[x].size
    w = net.weights((o, k), 0, 0.01, per_channel=False)
    y = net.activation((1, o), 0.05, -3)
    net.op("FULLY_CONNECTED", [x, w], [y], FusedActivationFunction=0, WeightsFormat=0, KeepNumDims=0)
    return y


def test_several_inputs_and_outputs():
    net = Net("several")
    a, b = net.activation((1, 6), 0.05, 2), net.activation((1, 6), 0.03, -9)
    total = net.activation((1, 6), 0.07, 1)
    net.op("ADD", [a, b], [total], FusedActivationFunction=0)
    assert_exact(net.tflite([b, a], [_dense(net, total), total, _dense(net, total, 3)]))


def test_float_edges():
    """QUANTIZE and DEQUANTIZE at the edges: predict() does their work, on ties and out of range too."""
    net = Net("float_edges")
    x = net.tensor((1, 16), None, "float32")
    inner = net.activation((1, 16), 0.037, 11)
    net.op("QUANTIZE", [x], [inner])
    out = _dense(net, inner)
    y = net.tensor((1, 4), None, "float32")
    net.op("DEQUANTIZE", [out], [y])
    model = net.tflite([x], [y])
    assert_exact(model, samples=40)
    packed = pack(model, "float_edges")
    assert [s.kernel for s in packed.program.steps] == ["dense"]
    assert [(p.dtype, p.zero_point) for p in packed.program.inputs + packed.program.outputs] == [
        ("int8", 11),
        ("int8", -3),
    ]


def test_float_input_with_int8_output():
    net = Net("float_in")
    x = net.tensor((1, 16), None, "float32")
    inner = net.activation((1, 16), 0.5, -128)
    net.op("QUANTIZE", [x], [inner])
    _verified(net.tflite([x], [_dense(net, inner)]))


def test_int8_input_with_float_output():
    net = Net("float_out")
    x = net.activation((1, 16), 0.05, 7)
    out = _dense(net, x)
    y = net.tensor((1, 4), None, "float32")
    net.op("DEQUANTIZE", [out], [y])
    _verified(net.tflite([x], [y, out]))


def test_float_beside_int8_inputs():
    net = Net("mixed")
    a, b = net.tensor((1, 8), None, "float32"), net.activation((1, 8), 0.03, -50)
    inner, total = net.activation((1, 8), 0.037, 11), net.activation((1, 8), 0.06, 0)
    net.op("QUANTIZE", [a], [inner])
    net.op("ADD", [inner, b], [total], FusedActivationFunction=0)
    _verified(net.tflite([b, a], [total]))


def _verified(model: bytes) -> None:
    """Where one side of the comparison is float, `verify` still compares like with like."""
    for result in verify(model, Path("edges.tflite"), samples=30):
        assert result.compared > 0 and result.differing == 0


def test_verify_sees_a_difference_at_float_edges(monkeypatch):
    """The comparison of real values is one that can fail."""
    net = Net("wrong")
    x = net.activation((1, 16), 0.05, 7)
    y = net.tensor((1, 4), None, "float32")
    net.op("DEQUANTIZE", [_dense(net, x)], [y])
    model = net.tflite([x], [y])
    monkeypatch.setattr("whit.verify.simulate", lambda *a, **k: [out + 1 for out in simulate(*a, **k)])
    assert all(result.differing for result in verify(model, Path("edges.tflite")))


def test_a_float_input_that_is_an_output_is_refused():
    net = Net("float_through")
    x = net.tensor((1, 8), None, "float32")
    inner = net.activation((1, 8), 0.05, 0)
    net.op("QUANTIZE", [x], [inner])
    with pytest.raises(WhitError, match="computes in float32 outside the QUANTIZE and DEQUANTIZE at its edges"):
        pack(net.tflite([x], [x, _dense(net, inner)]), "x")


def test_uint8_edges():
    net = Net("uint8_edges")
    x = net.tensor((1, 8), affine(0.05, 128), "uint8")
    inner = net.activation((1, 8), 0.05, 0)
    net.op("QUANTIZE", [x], [inner])
    out = _dense(net, inner)
    y = net.tensor((1, 4), affine(0.05, 125), "uint8")
    net.op("QUANTIZE", [out], [y])
    assert_exact(net.tflite([x], [y]))


def test_reshapes_take_no_step():
    net = Net("reshapes")
    x = net.activation((1, 2, 3, 4), 0.05, 0)
    flat = net.activation((1, 24), 0.05, 0)
    net.op("RESHAPE", [x, net.constant([1, 24])], [flat])
    y = _dense(net, flat, 6)
    image = net.activation((1, 2, 3), 0.05, -3)
    net.op("RESHAPE", [y, net.constant([1, 2, 3])], [image])
    model = net.tflite([x], [image])
    assert_exact(model)
    assert [s.kernel for s in pack(model, "x").program.steps] == ["dense"]


def test_an_input_that_is_an_output():
    net = Net("through")
    x = net.activation((1, 8), 0.05, 0)
    flat = net.activation((8,), 0.05, 0)
    net.op("RESHAPE", [x, net.constant([8])], [flat])
    assert_exact(net.tflite([x], [flat, _dense(net, x)]))


def test_a_float_input_with_two_readers_is_refused():
    net = Net("two")
    x = net.tensor((1, 8), None, "float32")
    a, b = net.activation((1, 8), 0.05, 0), net.activation((1, 8), 0.07, 0)
    net.op("QUANTIZE", [x], [a])
    net.op("QUANTIZE", [x], [b])
    with pytest.raises(WhitError, match="is float32"):
        pack(net.tflite([x], [_dense(net, a), _dense(net, b)]), "x")


def test_operators_may_not_run_before_their_inputs():
    net = Net("order")
    x, middle, y = (net.activation((1, 8)) for _ in range(3))
    net.op("RELU", [middle], [y])
    net.op("RELU", [x], [middle])
    with pytest.raises(WhitError, match="is used before it is computed"):
        pack(net.tflite([x], [y]), "x")


def test_equal_arrays_are_stored_once():
    net = Net("twice")
    x = net.activation((1, 8), 0.05, 0)
    w = net.weights((8, 8), 0, 0.01, per_channel=False)
    tensors = [x]
    for _ in range(3):
        y = net.activation((1, 8), 0.05, 0)
        net.op("FULLY_CONNECTED", [tensors[-1], w], [y], FusedActivationFunction=0, WeightsFormat=0, KeepNumDims=0)
        tensors.append(y)
    model = net.tflite([x], [tensors[-1]])
    steps = pack(model, "x").program.steps
    assert len({s.weights["w"] for s in steps}) == 1
    assert len(pack(model, "x").blob) < 600
    assert read_tflite(model, "x").tensors[w].shape == (8, 8)


def test_channels_that_are_constant_bound_no_layer():
    """Training leaves channels with a scale next to nothing and a bias that is everything."""
    net = Net("dead_channels")
    x = net.activation((1, 2, 2, 3))
    scales = np.array([0.01, 1e-13, 1e-9, 1e-7], np.float32)
    values = net.rng.integers(-127, 128, (4, 1, 1, 3)).astype(np.int8)
    w = net.tensor(values.shape, Quantization(scales, np.zeros(4, np.int64), 0), "int8", values)
    bias = net.constant([100, -(1 << 30), 1 << 30, 1 << 30], "int32", Quantization(scales, np.zeros(4, np.int64), 0))
    y = net.activation((1, 2, 2, 4), 0.04, 3)
    net.op("CONV_2D", [x, w, bias], [y], Padding=1, StrideH=1, StrideW=1, DilationHFactor=1, DilationWFactor=1)
    model = net.tflite([x], [y])
    (step,) = pack(model).program.steps
    assert step.flags == BOUNDED
    assert_exact(model)
