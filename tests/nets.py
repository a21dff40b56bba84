"""Networks of one or a few operators, written as TFLite files so that the reference can run them too."""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass, field

import numpy as np
from whit.graph import Graph, Operator, Quantization, Tensor, Variable, affine
from whit.write_tflite import write_tflite

SAME, VALID = 0, 1
NONE, RELU, RELU_N1_TO_1, RELU6 = 0, 1, 2, 3


@dataclass
class Net:
    """A graph under construction. Tensors are named by what add() returns: their index."""

    name: str
    tensors: list[Tensor] = field(default_factory=list)
    operators: list[Operator] = field(default_factory=list)
    variables: list[Variable] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(zlib.crc32(self.name.encode()))

    def tensor(self, shape, quantization=None, dtype="int8", data=None, name="") -> int:
        name = name or f"t{len(self.tensors)}"
        self.tensors.append(Tensor(name, tuple(shape), dtype, quantization, data))
        return len(self.tensors) - 1

    def activation(self, shape, scale=0.05, zero_point=0, dtype="int8") -> int:
        return self.tensor(shape, affine(scale, zero_point), dtype)

    def constant(self, values, dtype="int32", quantization=None) -> int:
        data = np.array(values, dtype)
        return self.tensor(data.shape, quantization, dtype, data)

    def variable(self, initial=None) -> int:
        """What is kept between runs; `initial`: int8 values, None for none."""
        handle = self.tensor((), None, "resource", name=f"variable{len(self.variables)}")
        self.variables.append(Variable(handle, None if initial is None else np.array(initial, np.int8)))
        return handle

    def like(self, x, shape) -> int:
        """An activation of another shape, quantized as x is."""
        return self.tensor(shape, self.tensors[x].quantization, self.tensors[x].dtype)

    def op(self, kind: str, inputs, outputs, **options) -> None:
        self.operators.append(Operator(kind, tuple(inputs), tuple(outputs), options))

    def graph(self, inputs, outputs) -> Graph:
        parts = (self.tensors, self.operators, inputs, outputs)
        return Graph(self.name, *map(tuple, parts), variables=tuple(self.variables))

    def tflite(self, inputs, outputs) -> bytes:
        return write_tflite(self.graph(inputs, outputs))

    def weights(self, shape, axis, scale, values="random", per_channel=True, dtype="int8", limit=0) -> int:
        """int8 weights: "random" in [-127, 127], "extreme": only -128 and 127, "large": only -127 and 127, or "sparse":
        random, but none in every other channel. The same of int4 with -8 and 7, random ones from -8 on. Random ones lie
        in [-limit, limit] where that is given.
        """
        low, high = (-8, 7) if dtype == "int4" else (-127, 127)
        if values in ("extreme", "large"):
            least = -128 if values == "extreme" and dtype == "int8" else low
            data = self.rng.choice(np.array([least, high], np.int8), shape)
        else:
            data = self.rng.integers(-limit if limit else low, (limit or high) + 1, shape).astype(np.int8)
        if values == "sparse":
            np.moveaxis(data, axis, 0)[1::2] = 0
        n = shape[axis] if per_channel else 1
        scales = (scale * self.rng.uniform(0.5, 1.5, n)).astype(np.float32) if n > 1 else np.array([scale], np.float32)
        return self.tensor(shape, Quantization(scales, np.zeros(n, np.int64), axis), dtype, data)

    def bias(self, n: int, reach: int, x: int, w: int) -> int:
        q = self.tensors[w].quantization
        assert q is not None
        scale = (q.scale * np.float32(self.tensors[x].scale)).astype(np.float32)
        values = self.rng.integers(-reach, reach + 1, n)
        return self.constant(values, "int32", Quantization(scale, np.zeros(len(scale), np.int64), 0))


def _out(size: int, k: int, stride: int, dilation: int, padding: int) -> int:
    return -(-size // stride) if padding == SAME else (size - (k - 1) * dilation - 1) // stride + 1


def convolution(
    name,
    x=(5, 5, 4),
    out=4,
    k=(3, 3),
    stride=(1, 1),
    dilation=(1, 1),
    padding=SAME,
    zi=0,
    zo=0,
    act=NONE,
    so=None,
    values="random",
    per_channel=True,
    bias=1000,
    depthwise=False,
    weights="int8",
) -> bytes:
    """CONV_2D, or DEPTHWISE_CONV_2D where `out` is the depth multiplier."""
    net = Net(name)
    h, w, c = x
    channels = c * out if depthwise else out
    shape = (1, *k, channels) if depthwise else (channels, *k, c)
    source = net.activation((1, h, w, c), 0.05, zi)
    taps = math.prod(k) * (1 if depthwise else c)
    unit = 0.01 if weights == "int8" else 0.16
    weight = net.weights(shape, 3 if depthwise else 0, unit, values, per_channel, weights)
    oh, ow = (_out(s, k[i], stride[i], dilation[i], padding) for i, s in enumerate((h, w)))
    # By default outputs spread over the whole range; so=... saturates them.
    scale = so or 0.05 * 0.01 * 73 * 73 * math.sqrt(taps) / 60
    y = net.activation((1, oh, ow, channels), scale, zo)
    inputs = [source, weight] + ([net.bias(channels, bias, source, weight)] if bias is not None else [])
    options = dict(Padding=padding, StrideH=stride[0], StrideW=stride[1], FusedActivationFunction=act)
    options |= dict(DilationHFactor=dilation[0], DilationWFactor=dilation[1])
    if depthwise:
        options["DepthMultiplier"] = out
    net.op("DEPTHWISE_CONV_2D" if depthwise else "CONV_2D", inputs, [y], **options)
    return net.tflite([source], [y])


def dense(
    name,
    k=8,
    o=4,
    rows=1,
    zi=0,
    zo=0,
    act=NONE,
    so=None,
    values="random",
    per_channel=False,
    bias=1000,
    weights="int8",
    limit=0,
) -> bytes:
    net = Net(name)
    x = net.activation((rows, k), 0.05, zi)
    unit = 0.01 if weights == "int8" and not limit else 0.16
    w = net.weights((o, k), 0, unit, values, per_channel, weights, limit)
    y = net.activation((rows, o), so or 0.05 * 0.01 * 73 * 73 * math.sqrt(k) / 60, zo)
    inputs = [x, w] + ([net.bias(o, bias, x, w)] if bias is not None else [])
    net.op("FULLY_CONNECTED", inputs, [y], FusedActivationFunction=act, WeightsFormat=0, KeepNumDims=0)
    return net.tflite([x], [y])


def pool(name, kind, x=(6, 6, 4), k=(2, 2), stride=(2, 2), padding=VALID, act=NONE, scale=0.05, zero_point=0) -> bytes:
    net = Net(name)
    h, w, c = x
    source = net.activation((1, h, w, c), scale, zero_point)
    oh, ow = (_out(s, k[i], stride[i], 1, padding) for i, s in enumerate((h, w)))
    y = net.activation((1, oh, ow, c), scale, zero_point)
    options = dict(Padding=padding, StrideH=stride[0], StrideW=stride[1], FilterHeight=k[0], FilterWidth=k[1])
    net.op(kind, [source], [y], **options, FusedActivationFunction=act)
    return net.tflite([source], [y])


def add(name, shape=(1, 3, 3, 5), a=(0.05, 0), b=(0.05, 0), y=(0.1, 0), act=NONE, same=False) -> bytes:
    net = Net(name)
    left = net.activation(shape, *a)
    right = left if same else net.activation(shape, *b)
    out = net.activation(shape, *y)
    net.op("ADD", [left, right], [out], FusedActivationFunction=act)
    return net.tflite([left] if same else [left, right], [out])


def softmax(name, shape=(1, 10), scale=0.1, zero_point=0, beta=1.0) -> bytes:
    net = Net(name)
    x = net.activation(shape, scale, zero_point)
    y = net.activation(shape, 1 / 256, -128)
    net.op("SOFTMAX", [x], [y], Beta=beta)
    return net.tflite([x], [y])


def unary(name, kind, x=(0.05, 0), y=(0.05, 0), **options) -> bytes:
    """An elementwise operator over every int8 value."""
    net = Net(name)
    source = net.activation((1, 256), *x)
    out = net.activation((1, 256), *y)
    net.op(kind, [source], [out], **options)
    return net.tflite([source], [out])


def quantize(name, source, target, x=(0.05, 0), y=(0.05, 0)) -> bytes:
    """QUANTIZE between int8 and uint8."""
    net = Net(name)
    a = net.activation((1, 256), *x, dtype=source)
    b = net.activation((1, 256), *y, dtype=target)
    net.op("QUANTIZE", [a], [b])
    return net.tflite([a], [b])


def mean(name, shape=(1, 5, 5, 6), axes=(1, 2), keep=True, x=(0.05, 0), y=(0.05, 0)) -> bytes:
    net = Net(name)
    source = net.activation(shape, *x)
    reduced = {a % len(shape) for a in axes}
    kept = [1 if i in reduced else d for i, d in enumerate(shape) if keep or i not in reduced]
    out = net.activation(kept, *y)
    net.op("MEAN", [source, net.constant(axes)], [out], KeepDims=keep)
    return net.tflite([source], [out])


def pad(name, shape=(1, 3, 4, 5), paddings=((0, 0), (1, 2), (3, 0), (0, 0)), zero_point=7, value=None) -> bytes:
    net = Net(name)
    x = net.activation(shape, 0.05, zero_point)
    y = net.activation([b + d + a for d, (b, a) in zip(shape, paddings, strict=True)], 0.05, zero_point)
    inputs = [x, net.constant(paddings)]
    if value is not None:
        inputs.append(net.constant([value], "int8", affine(0.05, zero_point)))
    net.op("PAD" if value is None else "PADV2", inputs, [y])
    return net.tflite([x], [y])


def mixed() -> bytes:
    """A small network: int8 and int4, a convolution that is cut, an output over its input."""
    net = Net("mixed")
    shapes = ((1, 12, 10, 3), (1, 6, 5, 24), (1, 6, 5, 24), (1, 6, 5, 48))
    tensors = [net.activation(shape, 0.05, -3) for shape in shapes]
    window = dict(Padding=SAME, DilationHFactor=1, DilationWFactor=1, FusedActivationFunction=RELU)
    layers = (("CONV_2D", 3, 2, "int8"), ("DEPTHWISE_CONV_2D", 3, 1, "int8"), ("CONV_2D", 3, 1, "int4"))
    for i, (kind, k, stride, dtype) in enumerate(layers):
        x, y = tensors[i : i + 2]
        c, o = shapes[i][3], shapes[i + 1][3]
        shape, axis, options = ((o, k, k, c), 0, {}) if kind == "CONV_2D" else ((1, k, k, c), 3, {"DepthMultiplier": 1})
        w = net.weights(shape, axis, 0.002 if dtype == "int8" else 0.015, dtype=dtype)
        net.op(kind, [x, w, net.bias(o, 100, x, w)], [y], StrideH=stride, StrideW=stride, **window, **options)
    x = tensors[-1]
    for o, dtype in ((40, "int4"), (10, "int8")):
        y = net.activation((1, o), 0.1, 4)
        w = net.weights((o, net.tensors[x].size), 0, 0.002, per_channel=False, dtype=dtype)
        options = dict(FusedActivationFunction=NONE, WeightsFormat=0, KeepNumDims=0)
        net.op("FULLY_CONNECTED", [x, w, net.bias(o, 100, x, w)], [y], **options)
        x = y
    return net.tflite([tensors[0]], [x])


# Streams

_MASKS = dict(BeginMask=0, EndMask=0, EllipsisMask=0, NewAxisMask=0, ShrinkAxisMask=0)


def join(net, parts, y, axis):
    net.op("CONCATENATION", parts, [y], Axis=axis, FusedActivationFunction=NONE)


def cut(net, x, y, begin, end, strides=None, **masks):
    lists = [net.constant(values) for values in (begin, end, strides or [1] * len(begin))]
    net.op("STRIDED_SLICE", [x, *lists], [y], **_MASKS | masks)


def over(net, x, o=3):
    k = net.tensors[x].size
    w = net.weights((o, k), 0, 0.01)
    y = net.activation((1, o), 0.1, -5)
    net.op("FULLY_CONNECTED", [x, w, net.bias(o, 300, x, w)], [y], FusedActivationFunction=NONE, WeightsFormat=0,
           KeepNumDims=0)  # fmt: skip
    return y


def frames(
    name,
    keeps=4,
    new=1,
    c=3,
    initial="zero point",
    lead=1,
    front=True,
    tail=True,
    reader="dense",
    reshaped=False,
    computed=False,
    twice="",
    seen="",
) -> bytes:
    """The frames of a window: what a variable keeps, and new ones behind.

    lead: a dimension before that of the frames. front: the kept frames come first. tail: the last frames are kept, else
    the first. reader: what reads the window; "late" ones stand behind the assignment. computed: the new frames are a
    layer's output. twice: the variable is "read" or "assigned" once more. seen: what is an output as well.
    """
    net = Net(name)
    shape, axis = ((1, lead, new, c), 2) if lead > 1 else ((1, new, 1, c), 1)

    def of(n):
        return (*shape[:axis], n, *shape[axis + 1 :])

    x = net.activation((1, lead * new * c) if reshaped else shape, 0.05, 5)
    frame = x
    if reshaped:
        frame = net.like(x, shape)
        net.op("RESHAPE", [x, net.constant(shape)], [frame])
    if computed:
        before, frame = frame, net.like(frame, shape)
        net.op("RELU", [before], [frame])
    first = {"zero point": np.full(of(keeps), 5), "none": None}.get(initial, net.rng.integers(-128, 128, of(keeps)))
    variable = net.variable(first)
    kept, window, left = net.like(x, of(keeps)), net.like(x, of(keeps + new)), net.like(x, of(keeps))
    net.op("READ_VARIABLE", [variable], [kept])
    if twice == "read":
        again = net.like(x, of(keeps))
        net.op("READ_VARIABLE", [variable], [again])
    join(net, [kept, frame] if front else [frame, kept], window, axis)
    outputs = []
    if reader == "late":
        _cut_frames(net, window, left, axis, keeps, new, tail)
        net.op("ASSIGN_VARIABLE", [variable, left], [])
    if reader == "convolution":
        w = net.weights((5, keeps + new, 1, c), 0, 0.01)
        y = net.activation((1, 1, 1, 5), 0.2, 3)
        net.op("CONV_2D", [window, w, net.bias(5, 300, x, w)], [y], Padding=VALID, StrideH=1, StrideW=1,
               DilationHFactor=1, DilationWFactor=1, FusedActivationFunction=NONE)  # fmt: skip
        outputs.append(y)
    else:
        outputs.append(over(net, window))
    if reader != "late":
        _cut_frames(net, window, left, axis, keeps, new, tail)
        net.op("ASSIGN_VARIABLE", [variable, left], [])
    if twice == "read":
        outputs.append(over(net, again))
    if twice == "assigned":
        net.op("ASSIGN_VARIABLE", [variable, kept], [])
    outputs += [{"kept": kept, "window": window, "left": left, "frame": frame}[name] for name in seen.split()]
    return net.tflite([x], outputs)


def _cut_frames(net, window, left, axis, keeps, new, tail):
    shape = net.tensors[window].shape
    begin = [new if i == axis and tail else 0 for i in range(len(shape))]
    end = [keeps if i == axis and not tail else n for i, n in enumerate(shape)]
    cut(net, window, left, begin, end)
