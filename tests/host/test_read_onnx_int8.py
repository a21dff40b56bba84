"""ONNX models in the QDQ format as int8 graphs: byte for byte what the same layers written as TFLite compute."""

import in_tflm
import numpy as np
import onnx
import pytest
from exact import assert_exact
from onnx import TensorProto
from onnx_nets import OnnxNet, kinds
from whit import describe, reference
from whit.cli import main
from whit.errors import WhitError
from whit.pack import pack
from whit.read_onnx import read_onnx
from whit.verify import samples_for
from whit.write_tflite import write_tflite

CONV, DEPTHWISE, DENSE = "CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"


class QdqNet(OnnxNet):
    """A model as quantizers for ONNX write it: int8 weights by channel, int32 biases, uint8 or int8 in between."""

    def __init__(self, name: str, dtype=np.uint8, opset: int = 21) -> None:
        super().__init__(name, opset)  # the oldest whose operators ONNX's reference all has
        self.dtype = dtype
        self.scales: dict[str, np.ndarray] = {}

    def quantize(self, x, scale, zero_point=0) -> str:
        """x through QuantizeLinear and DequantizeLinear; `zero_point` as in int8."""
        shift = 128 if self.dtype == np.uint8 else 0
        parameters = self.constant(scale), self.constant(zero_point + shift, self.dtype)
        y = self.op("DequantizeLinear", self.op("QuantizeLinear", x, *parameters), *parameters)
        self.scales[y] = np.array([scale], np.float32)
        return y

    def stored(self, values, scale, dtype, axis=0) -> str:
        """A constant behind DequantizeLinear; one scale, or one per index of `axis`."""
        scale = np.asarray(scale, np.float32)
        zero = np.full(scale.shape, 128 if dtype == np.uint8 else 0, dtype)
        options = dict(axis=axis) if scale.ndim else {}
        y = self.op("DequantizeLinear", self.constant(values, dtype), self.constant(scale), self.constant(zero, dtype),
                    **options)  # fmt: skip
        self.scales[y] = scale
        return y

    def weights(self, *shape, per_channel=True, axis=0, dtype=np.int8) -> str:
        values = self.rng.integers(-127, 128, shape) + (128 if dtype == np.uint8 else 0)
        scale = self.rng.uniform(0.005, 0.02, shape[axis]) if per_channel else np.array(0.01)
        return self.stored(values, scale, dtype, axis)

    def bias(self, n, x, w) -> str:
        scale = self.scales[x] * self.scales[w].astype(np.float32)
        values = self.rng.integers(-1000, 1000, n)
        return self.stored(values, scale if scale.size > 1 else scale.reshape(()), np.int32)


def conv(net, x, i, o, k=(3, 3), group=1, scale=0.1, zero=-5, act=None, bias=True, **attributes):
    w = net.weights(o, i // group, *k)
    y = net.op("Conv", x, w, *([net.bias(o, x, w)] if bias else []), group=group, **attributes)
    if act:
        y = act(net, y)
    return net.quantize(y, scale, zero)


def dense(net, x, k, o, scale=0.1, zero=3, per_channel=False):
    w = net.weights(o, k, per_channel=per_channel)
    return net.quantize(net.op("Gemm", x, w, net.bias(o, x, w), transB=1), scale, zero)


def relu(net, x):
    return net.op("Relu", x)


def relu6(net, x):
    return net.op("Clip", x, net.constant(0), net.constant(6))


def network(net):
    """What quantizers make of a small classifier, softmax left in float."""
    x = net.quantize(net.input(1, 3, 9, 10), 0.05, 2)
    x = conv(net, x, 3, 8, act=relu, zero=-128, pads=[1, 1, 1, 1], strides=[2, 2])
    y = conv(net, x, 8, 8, group=8, pads=[1] * 4)
    x = net.quantize(net.op("Add", x, y), 0.2, 10)
    x = net.quantize(net.op("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4), 0.2, 10)
    x = net.quantize(net.op("GlobalAveragePool", x), 0.15, 4)
    x = net.quantize(net.op("Flatten", x), 0.15, 4)
    return net.op("Softmax", dense(net, x, 8, 5), axis=1)


def start(net, *shape):
    return net.quantize(net.input(1, *shape), 0.05, 7)


def mixed_flatten(net):
    """The columns of the weights move, and with one scale by input channel nothing else may."""
    x = conv(net, start(net, 3, 6, 5), 3, 4)
    x = net.quantize(net.op("Reshape", x, net.constant([1, -1], np.int64)), 0.1, -5)
    return dense(net, x, 48, 6, per_channel=True)


CASES = {
    "network": (
        network,
        ["QUANTIZE", "PAD", CONV, DEPTHWISE, "ADD", "MAX_POOL_2D", "MEAN", "RESHAPE", DENSE, "SOFTMAX", "DEQUANTIZE"],
    ),
    "conv": (lambda net: conv(net, start(net, 3, 6, 5), 3, 4), ["QUANTIZE", CONV, "DEQUANTIZE"]),
    "conv_no_bias": (lambda net: conv(net, start(net, 3, 6, 5), 3, 4, bias=False), ["QUANTIZE", CONV, "DEQUANTIZE"]),
    "conv_padded": (
        lambda net: conv(net, start(net, 3, 8, 8), 3, 4, pads=[1] * 4, strides=[2, 2]),
        ["QUANTIZE", "PAD", CONV, "DEQUANTIZE"],
    ),
    "conv_relu6": (lambda net: conv(net, start(net, 3, 6, 5), 3, 4, act=relu6), ["QUANTIZE", CONV, "DEQUANTIZE"]),
    "conv1d": (
        lambda net: conv(net, start(net, 3, 12), 3, 4, k=(3,), pads=[1, 1]),
        ["QUANTIZE", "RESHAPE", CONV, "RESHAPE", "DEQUANTIZE"],
    ),
    "relu_of_its_own": (
        lambda net: net.quantize(relu(net, conv(net, start(net, 3, 6, 5), 3, 4)), 0.1, -5),
        ["QUANTIZE", CONV, "RELU", "DEQUANTIZE"],
    ),
    "relu_of_another_scale": (
        lambda net: net.quantize(relu(net, conv(net, start(net, 3, 6, 5), 3, 4)), 0.06, -128),
        ["QUANTIZE", CONV, "RELU", "DEQUANTIZE"],
    ),
    "relu_of_two_scales": (
        lambda net: net.quantize(net.quantize(relu(net, conv(net, start(net, 3, 6, 5), 3, 4)), 0.06, -128), 0.09, -100),
        ["QUANTIZE", CONV, "RELU", "QUANTIZE", "DEQUANTIZE"],
    ),
    "flatten": (mixed_flatten, ["QUANTIZE", CONV, "RESHAPE", DENSE, "DEQUANTIZE"]),
    "matmul_add": (
        lambda net: net.quantize(
            net.op("Add", net.op("MatMul", start(net, 6), net.weights(6, 4, axis=1)), net.random(4)), 0.05, 3
        ),
        ["QUANTIZE", DENSE, "DEQUANTIZE"],
    ),
    "transposed_weights": (
        lambda net: net.quantize(
            net.op("Gemm", start(net, 6), net.op("Transpose", net.weights(4, 6), perm=[1, 0]), net.random(4)), 0.05, 3
        ),
        ["QUANTIZE", DENSE, "DEQUANTIZE"],
    ),
    "uint8_weights": (
        lambda net: net.quantize(
            net.op("MatMul", start(net, 6), net.weights(6, 4, per_channel=False, dtype=np.uint8)), 0.05, 3
        ),
        ["QUANTIZE", DENSE, "DEQUANTIZE"],
    ),
    "norm": (
        lambda net: net.quantize(
            net.op(
                "BatchNormalization",
                net.op("Conv", start(net, 3, 6, 5), net.weights(4, 3, 3, 3), net.random(4)),
                *(net.random(4, low=0.5) for _ in range(4)),
            ),
            0.1,
        ),
        ["QUANTIZE", CONV, "DEQUANTIZE"],
    ),
    "constant_arithmetic": (
        lambda net: net.quantize(net.op("Mul", start(net, 3, 4, 4), net.random(1)), 0.05, 2),
        None,
    ),
    "sigmoid": (
        lambda net: net.quantize(net.op("Sigmoid", start(net, 20)), 1 / 256, -128),
        ["QUANTIZE", "LOGISTIC", "DEQUANTIZE"],
    ),
    "sigmoid_of_another_scale": (
        lambda net: net.quantize(net.op("Sigmoid", start(net, 20)), 1 / 255, -127),
        ["QUANTIZE", "LOGISTIC", "QUANTIZE", "DEQUANTIZE"],
    ),
    "pool_of_another_scale": (
        lambda net: net.quantize(net.op("AveragePool", start(net, 3, 6, 6), kernel_shape=[2, 2]), 0.04, 1),
        ["QUANTIZE", "AVERAGE_POOL_2D", "QUANTIZE", "DEQUANTIZE"],
    ),
}


@pytest.mark.parametrize("dtype", [np.uint8, np.int8], ids=["uint8", "int8"])
@pytest.mark.parametrize("name", CASES)
def test_qdq(name, dtype):
    """What the reader makes is an int8 model that TensorFlow Lite Micro runs, with the same bytes."""
    build, expected = CASES[name]
    net = QdqNet(f"qdq_{name}", dtype)
    data = net.bytes(build(net))
    packed = pack(data, name)
    if expected is not None:
        assert kinds(packed.graph) == expected
    _same_bytes(packed, samples=4)
    _near_onnx(net, data, packed)


def _same_bytes(packed, samples):
    rng = np.random.default_rng(1)
    graph, program = packed.graph, packed.program
    inputs = [
        samples_for(graph.tensors[i], port, samples, rng) for i, port in zip(graph.inputs, program.inputs, strict=True)
    ]
    runs = [list(sample) for sample in zip(*inputs, strict=True)]
    for sample, expected in zip(runs, in_tflm.invoke(graph, runs), strict=True):
        stored = [_stored(x, port) for x, port in zip(sample, program.inputs, strict=True)]
        for got, want, port in zip(reference.run(program, stored), expected, program.outputs, strict=True):
            real = (got.astype(np.float64) - port.zero_point) * np.float32(port.scale)
            np.testing.assert_array_equal(got if want.dtype != np.float32 else real.astype(np.float32), want)


def _stored(x, port):
    """Real values as QUANTIZE rounds them, ties away from zero, in float32."""
    if x.dtype != np.float32:
        return x
    scaled = x / np.float32(port.scale)
    q = np.trunc(scaled + np.copysign(np.float32(0.5), scaled)) + port.zero_point
    return np.clip(q, -128, 127).astype(port.dtype)


def _near_onnx(net, data, packed):
    """And those bytes mean what the ONNX model says, to within the rounding of a few layers."""
    from onnx.reference import ReferenceEvaluator
    from onnx_nets import MaxPool

    graph, program = packed.graph, packed.program
    shape = [d.dim_value for d in net.inputs[0].type.tensor_type.shape.dim]
    x = net.rng.uniform(-5, 5, shape).astype(np.float32)
    (want,) = ReferenceEvaluator(data, new_ops=[MaxPool]).run(None, {net.inputs[0].name: x})
    moved = x.transpose(graph.input_axes[0]) if graph.input_axes else x
    (port,) = program.outputs
    got = (reference.run(program, [_stored(moved, program.inputs[0])])[0] - float(port.zero_point)) * port.scale
    if graph.output_axes:
        got = got.transpose(np.argsort(graph.output_axes[0]))
    assert got.shape == want.shape
    assert np.abs(got - want).max() <= 3.01 * port.scale


def test_every_kernel_set():
    net = QdqNet("every")
    packed = pack(net.bytes(network(net)), "every")
    assert_exact(write_tflite(packed.graph), samples=3)


def test_command(tmp_path, capsys):
    net = QdqNet("command")
    (tmp_path / "model.onnx").write_bytes(net.bytes(network(net)))
    assert main(["pack", str(tmp_path / "model.onnx")]) == 0
    assert "model.whit: packed from model.onnx" in capsys.readouterr().out
    assert describe((tmp_path / "model.whit").read_bytes())["inputs"][0]["shape"] == [1, 9, 10, 3]


@pytest.mark.parametrize("dtype", [np.uint8, np.int8], ids=["uint8", "int8"])
def test_integers_at_the_edges(dtype):
    """A model that takes and gives integers keeps their type."""
    net = QdqNet("edges", dtype)
    x = net.input(1, 3, 5, 5, dtype=TensorProto.UINT8 if dtype == np.uint8 else TensorProto.INT8)
    shift = 128 if dtype == np.uint8 else 0
    scale, zero = net.constant(0.05), net.constant(7 + shift, dtype)
    real = net.op("DequantizeLinear", x, scale, zero)
    net.scales[real] = np.array([0.05], np.float32)
    conv(net, real, 3, 4)
    integer = net.nodes[-2].output[0]
    net.nodes.pop()
    packed = pack(net.bytes(integer, dtype=TensorProto.UINT8 if dtype == np.uint8 else TensorProto.INT8), "edges")
    ports = packed.program.inputs + packed.program.outputs
    assert [(p.dtype, p.zero_point) for p in ports] == [(np.dtype(dtype).name, z + shift) for z in (7, -5)]
    _same_bytes(packed, samples=4)


def test_quantization():
    """Scales, zero points and biases arrive as they are in the file."""
    net = QdqNet("quantization")
    x = start(net, 3, 6, 5)
    graph = read_onnx(net.bytes(conv(net, x, 3, 4)), "q")
    op = next(op for op in graph.operators if op.kind == CONV)
    x, w, b = (graph.tensors[i] for i in op.inputs)
    assert (x.dtype, w.dtype, b.dtype) == ("int8", "int8", "int32")
    assert (x.scale, x.zero_point) == (np.float32(0.05), 7)
    values = {i.name: np.frombuffer(i.raw_data, np.int8) for i in net.initializers if len(i.dims) == 4}
    (weights,) = values.values()
    np.testing.assert_array_equal(w.data, weights.reshape(4, 3, 3, 3).transpose(0, 2, 3, 1))
    integers = [i for i in net.initializers if i.data_type == TensorProto.INT32 and list(i.dims) == [4]]
    (stored,) = (v for v in (np.frombuffer(i.raw_data, np.int32) for i in integers) if v.any())
    np.testing.assert_array_equal(b.data, stored)
    np.testing.assert_array_equal(b.quantization.scale, w.quantization.scale * np.float32(0.05))


def test_before_opset_19():
    """And weights that are quantized in the model itself, as frameworks that train with quantization export them."""
    net = QdqNet("old", np.int8, opset=13)
    x, scale, zero = start(net, 3, 6, 5), net.random(4, low=0.01, high=0.02), net.constant([0] * 4, np.int8)
    w = net.random(4, 3, 3, 3)
    stored = net.op("QuantizeLinear", w, scale, zero, axis=0)
    real = net.op("DequantizeLinear", stored, scale, zero, axis=0)
    packed = pack(net.bytes(net.quantize(net.op("Conv", x, real), 0.1)), "old")
    assert kinds(packed.graph) == ["QUANTIZE", CONV, "DEQUANTIZE"]
    (weights,) = (t.data for t in packed.graph.tensors if t.data is not None and t.data.ndim == 4)
    given = {i.name: onnx.numpy_helper.to_array(i) for i in net.initializers}
    expected = np.clip(np.rint(given[w] / given[scale][:, None, None, None]), -128, 127)
    np.testing.assert_array_equal(weights, expected.transpose(0, 2, 3, 1))
    _same_bytes(packed, samples=4)


def test_weights_alone():
    """int8 weights before float activations are a float model."""
    net = QdqNet("weights_alone")
    w = net.weights(4, 6)
    graph = read_onnx(net.bytes(net.op("Gemm", net.input(1, 6), w, transB=1)), "w")
    assert kinds(graph) == [DENSE]
    assert {t.dtype for t in graph.tensors} == {"float32"}


def float_inside(net):
    x = net.op("Conv", start(net, 3, 6, 5), net.weights(4, 3, 3, 3))
    return net.quantize(net.op("LeakyRelu", x), 0.1)


def float_weights(net):
    return net.quantize(net.op("MatMul", start(net, 6), net.random(6, 4)), 0.1)


def asymmetric(net):
    w = net.op("DequantizeLinear", net.constant([[3, 4]] * 6, np.int8), net.constant(0.1), net.constant(5, np.int8))
    return net.quantize(net.op("MatMul", start(net, 6), w), 0.1)


def wide(net):
    scale, zero = net.constant(0.1), net.constant(0, np.int16)
    return net.op("DequantizeLinear", net.op("QuantizeLinear", net.input(1, 6), scale, zero), scale, zero)


def per_channel(net):
    scale, zero = net.random(6, low=0.1), net.constant([0] * 6, np.int8)
    return net.op("DequantizeLinear", net.op("QuantizeLinear", net.input(1, 6), scale, zero), scale, zero)


def other_scale(net):
    x = net.op("QuantizeLinear", net.input(1, 6), net.constant(0.1), net.constant(0, np.int8))
    return net.op("DequantizeLinear", x, net.constant(0.2), net.constant(0, np.int8))


def float_end(net):
    return net.op("Gemm", start(net, 6), net.weights(6, 4, axis=1))


def operator_form(net):
    x = net.op("QuantizeLinear", net.input(1, 6), net.constant(0.1), net.constant(0, np.int8))
    y = [net.constant(0.1), net.constant(0, np.int8)]
    return net.op("QLinearMatMul", x, *y, net.constant(np.ones((6, 4)), np.int8), *y, *y)


REFUSED = {
    float_inside: r"LeakyRelu 'n\d+': computes in float32 inside a quantized model \('v\d+' has no scale\); quant",
    float_weights: r"MatMul 'n\d+': its weights are float32 in a quantized model; quantize them to int8, or give the",
    asymmetric: r"MatMul 'n\d+': its weights have the zero point 5; whit needs symmetric ones",
    wide: r"QuantizeLinear 'n0': quantizes an activation to int16; whit runs int8",
    per_channel: r"QuantizeLinear 'n0': has 6 scales for an activation; quantize activations per tensor",
    other_scale: r"DequantizeLinear 'n1': reads integers with a scale other than theirs; quantize the model again",
    float_end: r"x: output 'v\d+' of FULLY_CONNECTED is not quantized; quantize every activation",
    operator_form: r"QLinearMatMul 'n1': is not a supported operator; quantize in the QDQ format \(QuantizeLinear",
}


@pytest.mark.parametrize("build", REFUSED, ids=lambda build: build.__name__)
def test_refused(build):
    net = QdqNet("refused")
    with pytest.raises(WhitError, match=REFUSED[build]):
        read_onnx(net.bytes(build(net)), "x")
