"""lower: an int8 Graph -> a Program of the board's kernels.

One function per TFLite operator, registered under its name. Elementwise functions become one `lookup`, shapes that
only rename bytes become nothing, and whatever a kernel would otherwise compute at run time from constants (folded
zero points, multipliers, tables) is computed here.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from . import fixedpoint as fp
from . import layout
from .device import opset
from .errors import WhitError
from .graph import Graph, Operator, Tensor
from .program import Place, Port, Program, Step
from .tables import TABLES, exp_table, requantize_table

_ACTIVATIONS = {0: "NONE", 1: "RELU", 2: "RELU_N1_TO_1", 3: "RELU6", 4: "TANH", 5: "SIGN_BIT"}
_BOUNDS = {"NONE": (None, None), "RELU": (0, None), "RELU_N1_TO_1": (-1, 1), "RELU6": (0, 6)}

Lowered = Callable[["_Lowering", Operator], None]
OPERATORS: dict[str, Lowered] = {}


def _operator(*kinds: str) -> Callable[[Lowered], Lowered]:
    def register(function: Lowered) -> Lowered:
        OPERATORS.update(dict.fromkeys(kinds, function))
        return function

    return register


def lower(graph: Graph) -> Program:
    """Lower an int8 graph.

    Raises:
        WhitError: an operator, a data type or a shape that no kernel covers; the text names it and says what to do.
    """
    low = _Lowering(graph)
    inputs = tuple(low.input_port(i) for i in graph.inputs)
    for op in graph.operators:
        low.op = op
        if op.kind not in OPERATORS:
            raise low.error("is not a supported operator", "supported: " + ", ".join(sorted(OPERATORS)))
        OPERATORS[op.kind](low, op)
    outputs = tuple(low.output_port(i) for i in graph.outputs)
    return Program(graph.name, tuple(low.buffers), tuple(low.steps), inputs, outputs, graph.labels)


class _Lowering:
    """The program under construction: which buffer holds which tensor, and the steps so far."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.op: Operator | None = None
        self.buffers: list[int] = []
        self.steps: list[Step] = []
        self.buffer_of: dict[int, int] = {}  # tensor index -> buffer
        self.edge: dict[int, int] = {}  # a float tensor at the edge -> the int8 tensor that stands for it

    def error(self, problem: str, remedy: str) -> WhitError:
        where = self.graph.name
        if self.op is not None:
            output = self.graph.tensors[self.op.outputs[0]].name if self.op.outputs else "?"
            where += f": {self.op.kind} '{output}'"
        return WhitError(f"{where}: {problem}; {remedy}")

    # Ports

    def input_port(self, index: int) -> Port:
        tensor = self.graph.tensors[index]
        if tensor.data is not None:
            raise self.error(f"input '{tensor.name}' is a constant", "export the model with a variable input")
        if tensor.dtype == "float32":
            readers = [op for op in self.graph.operators if index in op.inputs]
            if len(readers) != 1 or readers[0].kind != "QUANTIZE":
                raise self.not_int8(tensor, readers[0] if readers else None)
            quantized = readers[0].outputs[0]
            self.edge[index] = quantized
            return self._port(tensor, quantized)
        return self._port(tensor, index)

    def output_port(self, index: int) -> Port:
        self.op = None
        tensor = self.graph.tensors[index]
        held = self.edge.get(index, index)
        if held not in self.buffer_of:
            raise self.error(
                f"output '{tensor.name}' is computed by no operator", "export the model with computed outputs"
            )
        return self._port(tensor, held)

    def _port(self, tensor: Tensor, held: int) -> Port:
        t = self.graph.tensors[held]
        if t.dtype not in ("int8", "uint8"):
            raise self.not_int8(t, None)
        if t.quantization and not t.quantization.per_tensor:
            raise self.error(f"'{t.name}' has a scale per channel", "activations need one scale; quantize again")
        if len(t.shape) > 255 or any(d < 1 for d in t.shape):
            raise self.error(f"'{tensor.name}' has the shape {t.shape}", "export the model with fixed, positive sizes")
        buffer = self.buffer_of.get(held)
        if buffer is None:
            buffer = self.allocate(held)
        return Port(tensor.name, tensor.shape, t.dtype, t.scale, t.zero_point, buffer)

    # Tensors

    def allocate(self, index: int) -> int:
        """A new buffer for the tensor."""
        self.buffer_of[index] = len(self.buffers)
        self.buffers.append(self.graph.tensors[index].size)
        return self.buffer_of[index]

    def tensor(self, index: int) -> Tensor:
        return self.graph.tensors[index]

    def not_int8(self, tensor: Tensor, reader: Operator | None) -> WhitError:
        """Why a tensor that is not int8 ends the conversion: a float model, a hybrid one, or a type whit lacks."""
        self.op = reader
        if tensor.dtype != "float32":
            return self.error(
                f"'{tensor.name}' is {tensor.dtype}", "whit runs int8: convert with full-integer int8 quantization"
            )
        int8_weights = any(t.dtype == "int8" and t.data is not None for t in self.graph.tensors)
        what = "a hybrid model (int8 weights, float32 activations)" if int8_weights else "a float32 model"
        return self.error(
            f"'{tensor.name}' is float32, so this is {what}",
            "whit runs int8: convert with optimizations=[DEFAULT], a representative_dataset and "
            "supported_ops=[TFLITE_BUILTINS_INT8]",
        )

    def activation(self, position: int) -> tuple[Tensor, Place]:
        """Input `position` of the current operator: an int8 tensor with one scale, computed at run time."""
        assert self.op is not None
        index = self.op.inputs[position] if position < len(self.op.inputs) else -1
        if index < 0:
            raise self.error(f"input {position} is missing", "export the model again")
        tensor = self.tensor(index)
        if tensor.data is not None:
            raise self.error(
                f"input {position} ('{tensor.name}') is a constant", "fold it into its neighbours before export"
            )
        if tensor.dtype != "int8":
            raise self.not_int8(tensor, self.op)
        if index not in self.buffer_of:
            raise self.error(f"input '{tensor.name}' is used before it is computed", "export the model again")
        self._quantized(tensor)
        return tensor, Place(self.buffer_of[index])

    def result(self, dtype: str = "int8") -> tuple[Tensor, Place]:
        """Output 0 of the current operator, with a buffer of its own."""
        assert self.op is not None
        index = self.op.outputs[0]
        tensor = self.tensor(index)
        if tensor.dtype != dtype:
            raise self.not_int8(tensor, self.op)
        if len(self.op.outputs) != 1 or index in self.buffer_of or tensor.data is not None:
            raise self.error("writes a tensor that is already there", "export the model again")
        if any(d < 1 for d in tensor.shape):
            raise self.error(f"has the output shape {tensor.shape}", "export the model with fixed, positive sizes")
        self._quantized(tensor)
        return tensor, Place(self.allocate(index))

    def _quantized(self, tensor: Tensor) -> None:
        if tensor.quantization is None or not tensor.quantization.per_tensor:
            found = "no scale" if tensor.quantization is None else f"{len(tensor.quantization.scale)} scales"
            raise self.error(f"'{tensor.name}' has {found}", "activations need one scale; quantize the model again")
        if not -128 <= tensor.zero_point - (128 if tensor.dtype == "uint8" else 0) <= 127:
            raise self.error(
                f"'{tensor.name}' has the zero point {tensor.zero_point}", f"{tensor.dtype} cannot hold it"
            )

    def constant(self, position: int, dtype: str, what: str) -> np.ndarray | None:
        """The values of constant input `position`, None where it is absent."""
        assert self.op is not None
        index = self.op.inputs[position] if position < len(self.op.inputs) else -1
        if index < 0:
            return None
        tensor = self.tensor(index)
        if tensor.data is None:
            raise self.error(f"its {what} '{tensor.name}' is computed at run time", f"whit needs a constant {what}")
        if tensor.dtype != dtype:
            raise self.error(f"its {what} '{tensor.name}' is {tensor.dtype}", f"whit needs {dtype} {what}")
        return tensor.data

    def field(self, name: str, value: int, limit: int) -> int:
        if not 0 <= value <= limit:
            raise self.error(f"{name} {value} is not supported (0-{limit})", "make the layer smaller")
        return int(value)

    def add_step(
        self,
        kernel: str,
        values: dict[str, int],
        arena: dict[str, Place],
        weights: dict[str, bytes] | None = None,
        flags: int = 0,
    ) -> None:
        assert self.op is not None
        name = self.tensor(self.op.outputs[0]).name
        self.steps.append(
            Step(kernel, name, {k: int(v) for k, v in values.items()}, arena, weights or {}, flags)
        )

    def alias(self) -> None:
        """The output is the first input under another shape: no step at all."""
        assert self.op is not None
        source, result = self.op.inputs[0], self.op.outputs[0]
        before, after = self.tensor(source), self.tensor(result)
        if before.dtype != after.dtype or before.size != after.size:
            raise self.error(
                f"makes {after.shape} {after.dtype} of {before.shape} {before.dtype}",
                "the number of elements must stay; export the model with fixed sizes",
            )
        if source not in self.buffer_of:
            self.activation(0)  # says why
        if result in self.buffer_of:
            raise self.error("writes a tensor that is already there", "export the model again")
        self.buffer_of[result] = self.buffer_of[source]

    def clamp(self, output: Tensor) -> dict[str, int]:
        """lo and hi: int8's range cut by the fused activation."""
        assert self.op is not None
        code = int(self.op.options.get("FusedActivationFunction", 0))
        name = _ACTIVATIONS.get(code, str(code))
        if name not in _BOUNDS:
            raise self.error(f"fused activation {name} is not supported", "use one of " + ", ".join(_BOUNDS))
        low, high = _BOUNDS[name]
        lo = -128 if low is None else max(-128, fp.quantized_float(low, output.scale, output.zero_point))
        hi = 127 if high is None else min(127, fp.quantized_float(high, output.scale, output.zero_point))
        return {"lo": min(lo, 127), "hi": max(hi, -128)}


# Convolutions and dense layers


def _image(low: _Lowering, tensor: Tensor) -> tuple[int, int, int]:
    """Height, width and channels of an NHWC tensor of one image."""
    if len(tensor.shape) != 4 or tensor.shape[0] != 1:
        raise low.error(
            f"'{tensor.name}' has the shape {tensor.shape}, whit needs (1, height, width, channels)",
            "export the model with batch size 1",
        )
    h, w, c = (low.field(n, d, 65535) for n, d in zip(("height", "width", "channels"), tensor.shape[1:], strict=True))
    return h, w, c


def _windows(low: _Lowering, op: Operator, x: Tensor, y: Tensor, kernel: tuple[int, int]) -> dict[str, int]:
    """The fields that slide a window over an image: sizes, strides, dilations, and the padding of the two schemes."""
    (ih, iw, _), (oh, ow, _) = _image(low, x), _image(low, y)
    values = {"ih": ih, "iw": iw, "oh": oh, "ow": ow}
    for axis, i, o, k, letter in (("H", ih, oh, kernel[0], "y"), ("W", iw, ow, kernel[1], "x")):
        stride, dilation = int(op.options[f"Stride{axis}"]), int(op.options.get(f"Dilation{axis}Factor", 1))
        reach = (k - 1) * dilation + 1
        same = op.options["Padding"] == 0
        expected = -(-i // stride) if same and stride > 0 else (i - reach) // max(stride, 1) + 1
        if stride < 1 or dilation < 1 or o != expected:
            raise low.error(
                f"stride {stride}, dilation {dilation} and kernel {k} over {i} do not give {o}", "export the model again"
            )
        padding = max((o - 1) * stride + reach - i, 0) // 2 if same else 0
        values["k" + axis.lower()] = low.field("kernel", k, 255)
        values["s" + letter] = low.field("stride", stride, 255)
        values["d" + letter] = low.field("dilation", dilation, 255)
        values["p" + letter] = low.field("padding", padding, 255)
    return values


def _multipliers(low: _Lowering, x: Tensor, w: Tensor, y: Tensor, axis: int) -> list[tuple[int, int]]:
    """(multiplier, right shift) per output channel, as TFLM rounds scale(x) * scale(w) / scale(y)."""
    assert low.op is not None and w.quantization is not None
    scales = w.quantization.scale
    if len(scales) == 1 and low.op.kind == "FULLY_CONNECTED":
        # TFLM takes this one product in float32.
        reals = [float(np.float32(x.scale) * scales[0]) / y.scale]
    else:
        if len(scales) > 1 and w.quantization.axis != axis:
            raise low.error(
                f"its weights have scales along dimension {w.quantization.axis}", f"whit needs dimension {axis}"
            )
        reals = [x.scale * float(s) / y.scale for s in scales]
    channels = w.shape[axis]
    return [fp.quantize_multiplier(r) for r in (reals * channels if len(reals) == 1 else reals)]


def _weighted(low: _Lowering, x: Tensor, y: Tensor, axis: int) -> tuple[np.ndarray, bytes, int]:
    """What the three kernels with weights share.

    Returns int8 weights [channels, k], the quant blocks with the input's zero point folded into the bias, and flags.
    """
    assert low.op is not None
    data = low.constant(1, "int8", "weights")
    if data is None:
        raise low.error("has no weights", "export the model again")
    w = low.tensor(low.op.inputs[1])
    if w.quantization is None or np.any(w.quantization.zero_point != 0):
        raise low.error("its weights are not symmetric (zero point 0)", "convert with int8 quantization, not uint8")
    if data.size == 0:
        raise low.error(f"its weights have the shape {data.shape}", "export the model again")
    weights = np.moveaxis(data, axis, 0).reshape(data.shape[axis], -1)
    channels = len(weights)
    bias = low.constant(2, "int32", "bias")
    bias = np.zeros(channels, np.int64) if bias is None else bias.astype(np.int64).reshape(-1)
    if len(bias) != channels or y.shape[-1] != channels:
        raise low.error(f"has {len(bias)} biases and {channels} channels for the output {y.shape}", "export it again")
    folded = bias - x.zero_point * weights.sum(1, dtype=np.int64)
    reach = np.abs(folded) + 128 * np.abs(weights.astype(np.int64)).sum(1)
    if low.op.kind == "FULLY_CONNECTED":  # dense_blocks() stores even k as w + 128 and takes x - 128 for odd k
        folded = folded + 128 * weights[:, 1::2].sum(1, dtype=np.int64)
        reach = np.abs(folded) + 256 * 256 * weights.shape[1]
    pairs = _multipliers(low, x, w, y, axis)
    multiplier = np.array([m for m, _ in pairs], np.int64)
    shift = np.array([e for _, e in pairs], np.int64)
    bounded = weights.min() >= -127 and shift.min() >= 1 and reach.max() < 1 << 29
    quant = layout.quant_blocks(fp.wrap32(folded), multiplier, shift)
    return weights, quant, opset.BOUNDED if bounded else 0


@_operator("CONV_2D")
def _conv_2d(low: _Lowering, op: Operator) -> None:
    x, source = low.activation(0)
    y, result = low.result()
    weights, quant, flags = _weighted(low, x, y, 0)
    shape = low.tensor(op.inputs[1]).shape
    channels = _image(low, x)[2]
    if len(shape) != 4 or shape[3] != channels:
        groups = f" ({channels // shape[3]} groups)" if len(shape) == 4 and channels % shape[3] == 0 else ""
        raise low.error(f"weights {shape} over {channels} channels{groups} are not supported", "use groups=1")
    values = _windows(low, op, x, y, shape[1:3])
    values |= {"ic": channels, "oc": len(weights), "zi": x.zero_point, "zo": y.zero_point} | low.clamp(y)
    blocks = {"w": layout.quad_blocks(weights), "q": quant}
    low.add_step("conv2d", values, {"x": source, "y": result}, blocks, flags)


@_operator("DEPTHWISE_CONV_2D")
def _depthwise_conv_2d(low: _Lowering, op: Operator) -> None:
    x, source = low.activation(0)
    y, result = low.result()
    weights, quant, flags = _weighted(low, x, y, 3)
    shape = low.tensor(op.inputs[1]).shape
    channels = _image(low, x)[2]
    if len(shape) != 4 or shape[0] != 1 or shape[3] % channels:
        raise low.error(f"weights {shape} over {channels} channels are not supported", "export the model again")
    values = _windows(low, op, x, y, shape[1:3])
    values |= {"ic": channels, "oc": len(weights), "zi": x.zero_point, "zo": y.zero_point} | low.clamp(y)
    low.add_step("depthwise", values, {"x": source, "y": result}, {"w": weights.tobytes(), "q": quant}, flags)


@_operator("FULLY_CONNECTED")
def _fully_connected(low: _Lowering, op: Operator) -> None:
    if op.options.get("WeightsFormat", 0):
        raise low.error("has shuffled weights", "export it with the default weights format")
    x, source = low.activation(0)
    y, result = low.result()
    weights, quant, flags = _weighted(low, x, y, 0)
    o, k = weights.shape
    rows = x.size // k
    if len(low.tensor(op.inputs[1]).shape) != 2 or rows * k != x.size or rows * o != y.size:
        raise low.error(f"weights ({o}, {k}) do not take {x.shape} to {y.shape}", "export the model again")
    values = {"k": k, "o": o, "rows": low.field("rows", rows, 65535), "zo": y.zero_point} | low.clamp(y)
    blocks = {"w": layout.dense_blocks(weights), "q": quant}
    low.add_step("dense", values, {"x": source, "y": result}, blocks, flags)


# Pooling and means


@_operator("AVERAGE_POOL_2D", "MAX_POOL_2D")
def _pool_2d(low: _Lowering, op: Operator) -> None:
    x, source = low.activation(0)
    y, result = low.result()
    if x.scale != y.scale or x.zero_point != y.zero_point:
        raise low.error("input and output are quantized differently", "quantize the model again: pools keep the scale")
    values = _windows(low, op, x, y, (int(op.options["FilterHeight"]), int(op.options["FilterWidth"])))
    del values["dy"], values["dx"]
    channels = _image(low, x)[2]
    if y.shape[3] != channels:
        raise low.error(f"makes {y.shape} of {x.shape}", "export the model again")
    kernel = "average_pool" if op.kind == "AVERAGE_POOL_2D" else "max_pool"
    low.add_step(kernel, values | {"c": channels} | low.clamp(y), {"x": source, "y": result})


@_operator("MEAN")
def _mean(low: _Lowering, op: Operator) -> None:
    x, source = low.activation(0)
    y, result = low.result()
    given = low.constant(1, "int32", "axes")
    axes = [] if given is None else [int(a) for a in given.reshape(-1)]
    rank = len(x.shape)
    reduced = sorted({a % rank for a in axes if -rank <= a < rank})
    first, last = (reduced[0], reduced[-1] + 1) if reduced else (0, 0)
    channels = math.prod(x.shape[last:])
    if not reduced or reduced != list(range(first, last)) or math.prod(x.shape[:first]) != 1 or y.size != channels:
        raise low.error(f"axes {axes} of {x.shape} are not supported", "take the mean over height and width")
    n = math.prod(x.shape[first:last])
    m, e = fp.quantize_multiplier(x.scale / y.scale)
    # 1 / n goes into the multiplier, as far as the shift has room: QuantizedMeanOrSum in reference/reduce.h.
    extra = min(n.bit_length() - 1, 32, 31 - e)
    values = {"n": n, "c": low.field("channels", channels, 65535), "bias": -x.zero_point * n, "zo": y.zero_point}
    values |= {"m": (m << extra) // n, "e": e + extra}
    if n > 1 << 23:
        raise low.error(f"the mean of {n} values can overflow int32", "reduce the image first")
    low.add_step("mean", values, {"x": source, "y": result})


# Elementwise


@_operator("ADD")
def _add(low: _Lowering, op: Operator) -> None:
    a, b = (low.tensor(i) for i in op.inputs)
    if a.shape != b.shape:
        raise low.error(f"of {a.shape} and {b.shape} is not supported", "give both operands the same shape")
    (a, left), (b, right) = low.activation(0), low.activation(1)
    y, result = low.result()
    # Both operands are shifted left by 20 bits and brought to twice the larger scale before they meet.
    twice = 2 * max(a.scale, b.scale)
    values = {"n": a.size, "za": a.zero_point, "zb": b.zero_point, "zo": y.zero_point} | low.clamp(y)
    for letter, real in (("a", a.scale / twice), ("b", b.scale / twice), ("o", twice / ((1 << 20) * y.scale))):
        values["m" + letter], values["e" + letter] = fp.quantize_multiplier(real)
    low.add_step("add", values, {"a": left, "b": right, "y": result})


@_operator(*TABLES)
def _unary(low: _Lowering, op: Operator) -> None:
    x, source = low.activation(0)
    y, result = low.result()
    if x.size != y.size:
        raise low.error(f"makes {y.shape} of {x.shape}", "export the model again")
    table = TABLES[op.kind](x, y, op, low.error)
    low.add_step("lookup", {"n": x.size}, {"x": source, "y": result}, {"t": table})


@_operator("QUANTIZE")
def _quantize(low: _Lowering, op: Operator) -> None:
    source, result = op.inputs[0], op.outputs[0]
    if source in low.edge:
        return  # the float edge: the caller's values are quantized on their way into the arena
    x, y = low.tensor(source), low.tensor(result)
    if x.dtype == "float32":
        raise low.not_int8(x, op)
    if (x.dtype, y.dtype) not in (("int8", "int8"), ("uint8", "int8"), ("int8", "uint8")):
        raise low.error(f"from {x.dtype} to {y.dtype} is not supported", "use int8 and uint8 only")
    if source not in low.buffer_of:
        low.activation(0)  # says why
    if x.quantization is None or not x.quantization.per_tensor:
        raise low.error(f"'{x.name}' has no single scale", "quantize the model again")
    place = Place(low.buffer_of[source])
    y, target = low.result(y.dtype)
    low.add_step("lookup", {"n": x.size}, {"x": place, "y": target}, {"t": requantize_table(x, y)})


@_operator("DEQUANTIZE")
def _dequantize(low: _Lowering, op: Operator) -> None:
    source, result = op.inputs[0], op.outputs[0]
    if result not in low.graph.outputs or any(result in other.inputs for other in low.graph.operators):
        raise low.not_int8(low.tensor(result), op)
    low.activation(0)
    low.edge[result] = source


@_operator("SOFTMAX")
def _softmax(low: _Lowering, op: Operator) -> None:
    x, source = low.activation(0)
    y, result = low.result()
    if y.scale != 1 / 256 or y.zero_point != -128:
        raise low.error(f"has the output scale {y.scale:g} and zero point {y.zero_point}", "TFLite fixes 1/256 and -128")
    depth = x.shape[-1] if x.shape else 1
    table = exp_table(x.scale, float(op.options["Beta"]), low.error)
    values = {"rows": x.size // depth, "depth": low.field("depth", depth, 4095), "entries": len(table)}
    low.add_step("softmax", values, {"x": source, "y": result}, {"t": table.astype("<i4").tobytes()})


# Bytes that only move


@_operator("RESHAPE", "SQUEEZE", "EXPAND_DIMS")
def _reshape(low: _Lowering, op: Operator) -> None:
    low.alias()


@_operator("PAD", "PADV2")
def _pad(low: _Lowering, op: Operator) -> None:
    x, source = low.activation(0)
    y, result = low.result()
    if x.scale != y.scale or x.zero_point != y.zero_point:
        raise low.error("input and output are quantized differently", "quantize the model again: PAD keeps the scale")
    given = low.constant(1, "int32", "paddings")
    paddings = [] if given is None else given.reshape(-1, 2).tolist()
    if [b + d + a for (b, a), d in zip(paddings, x.shape, strict=False)] != list(y.shape) or min(map(min, paddings)) < 0:
        raise low.error(f"paddings {paddings} do not take {x.shape} to {y.shape}", "export the model again")
    value = low.constant(2, "int8", "value") if op.kind == "PADV2" else None
    filler = y.zero_point if value is None else int(value.reshape(-1)[0])
    low.add_step("fill", {"n": y.size, "value": filler}, {"y": result})
    strides = _strides(y.shape)
    start = sum(before * stride for (before, _), stride in zip(paddings, strides, strict=True))
    _copy(low, x.shape, _strides(x.shape), strides, source, Place(result.buffer, start))


def _strides(shape: tuple[int, ...]) -> list[int]:
    """Bytes between neighbours along each dimension of a packed int8 array."""
    return [math.prod(shape[i + 1 :]) for i in range(len(shape))]


def _copy(low: _Lowering, shape, x_strides, y_strides, source: Place, target: Place) -> None:
    """Add the `copy` step for a box of `shape`, after merging dimensions that lie together on both sides."""
    loops = [(1, 0, 0)] * 3  # (count, x stride, y stride), outermost first
    run = 1
    for n, xs, ys in reversed([d for d in zip(shape, x_strides, y_strides, strict=True) if d[0] > 1]):
        if loops[0] == (1, 0, 0) and xs == ys == run and loops.count((1, 0, 0)) == 3:
            run *= n
        else:
            inner = next((i for i in range(3) if loops[i] != (1, 0, 0)), 3)
            if inner < 3 and xs == loops[inner][0] * loops[inner][1] and ys == loops[inner][0] * loops[inner][2]:
                loops[inner] = (loops[inner][0] * n, *loops[inner][1:])
            elif inner == 0:
                raise low.error(f"moves a box of {len(shape)} dimensions", "use at most 4")
            else:
                loops[inner - 1] = (n, xs, ys)
    values = {"n3": run}
    for i, (n, xs, ys) in enumerate(loops):
        values |= {f"n{i}": n, f"x{i}": xs, f"y{i}": ys}
    low.add_step("copy", values, {"x": source, "y": target})
