"""The operators of a float Graph in PyTorch: one function each, registered under its TFLite name.

A function takes the graph, the operator and the values of its inputs, and returns the value of its output. The value of
a tensor of shape s is a float tensor [n, *s]: the samples come first, images have their channels last. A constant that
is not trained has n = 1; weights and biases come as they are, without n; an input that is absent is None.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from ..errors import WhitError
from ..graph import Graph, Operator

Function = Callable[[Graph, Operator, list[Tensor]], Tensor]
OPERATORS: dict[str, Function] = {}
_ACTIVATIONS: dict[int, Callable[[Tensor], Tensor]] = {
    0: lambda x: x,
    1: torch.relu,
    2: lambda x: x.clamp(-1, 1),
    3: lambda x: x.clamp(0, 6),
    4: torch.tanh,
}
_SAME = 0


def operator(*kinds: str) -> Callable[[Function], Function]:
    def register(function: Function) -> Function:
        OPERATORS.update(dict.fromkeys(kinds, function))
        return function

    return register


def error(graph: Graph, op: Operator, problem: str, remedy: str) -> WhitError:
    return WhitError(f"{graph.name}: {op.kind} '{graph.tensors[op.outputs[0]].title}': {problem}; {remedy}")


def _shape(graph: Graph, op: Operator) -> tuple[int, ...]:
    return graph.tensors[op.outputs[0]].shape


def _numbers(graph: Graph, op: Operator, what: str) -> list[int]:
    """The integers of the constant that is the second input."""
    data = graph.tensors[op.inputs[1]].data if len(op.inputs) > 1 else None
    if data is None:
        raise error(graph, op, f"its {what} are computed at run time", "export the model with fixed sizes")
    return [int(v) for v in data.reshape(-1)]


def _activate(graph: Graph, op: Operator, y: Tensor) -> Tensor:
    code = int(op.options.get("FusedActivationFunction", 0))
    if code not in _ACTIVATIONS:
        raise error(graph, op, f"fused activation {code} is not supported", "use RELU, RELU6 or TANH")
    return _ACTIVATIONS[code](y)


# Windows over images


def _padding(graph: Graph, op: Operator, kernel: tuple[int, int]) -> tuple[int, int, int, int]:
    """Pixels at the left, right, top and bottom; where the sum is odd, TFLite has one more at the right and bottom."""
    before_after: list[int] = []
    x, y = graph.tensors[op.inputs[0]].shape, _shape(graph, op)
    for axis, at, k in (("W", 2, kernel[1]), ("H", 1, kernel[0])):
        reach = (k - 1) * int(op.options.get(f"Dilation{axis}Factor", 1)) + 1
        total = max((y[at] - 1) * int(op.options[f"Stride{axis}"]) + reach - x[at], 0)
        total = total if op.options["Padding"] == _SAME else 0
        before_after += [total // 2, total - total // 2]
    left, right, top, bottom = before_after
    return left, right, top, bottom


def _strides(op: Operator) -> tuple[int, int]:
    return int(op.options["StrideH"]), int(op.options["StrideW"])


def _image(x: Tensor) -> Tensor:
    """[n, 1, h, w, c] as PyTorch has it, [n, c, h, w]: a view, so that in memory the channels stay last."""
    return x.reshape(-1, *x.shape[-3:]).permute(0, 3, 1, 2)


def _back(graph: Graph, op: Operator, y: Tensor) -> Tensor:
    return _activate(graph, op, y.permute(0, 2, 3, 1).reshape(-1, *_shape(graph, op)))


@operator("CONV_2D", "DEPTHWISE_CONV_2D")
def _convolution(graph: Graph, op: Operator, values: list[Tensor]) -> Tensor:
    image, weights, bias = _image(values[0]), values[1], values[2]
    channels, kernel = image.shape[1], (weights.shape[1], weights.shape[2])
    if op.kind == "CONV_2D":  # OHWI
        groups, weights = channels // weights.shape[3], weights.permute(0, 3, 1, 2)
    else:  # 1HWC
        groups, weights = channels, weights.permute(3, 0, 1, 2)
    left, right, top, bottom = _padding(graph, op, kernel)
    padding = (top, left)
    if (left, top) != (right, bottom):
        image, padding = functional.pad(image, (left, right, top, bottom)), (0, 0)
    dilation = (int(op.options.get("DilationHFactor", 1)), int(op.options.get("DilationWFactor", 1)))
    y = functional.conv2d(image, weights, bias, _strides(op), padding, dilation, groups)
    return _back(graph, op, y)


@operator("AVERAGE_POOL_2D")
def _average_pool(graph: Graph, op: Operator, values: list[Tensor]) -> Tensor:
    kernel = (int(op.options["FilterHeight"]), int(op.options["FilterWidth"]))
    image, padding = _image(values[0]), _padding(graph, op, kernel)
    y = functional.avg_pool2d(functional.pad(image, padding), kernel, _strides(op))
    if any(padding):  # TFLite's mean is over the pixels that are there
        there = functional.pad(torch.ones_like(image[:1, :1]), padding)
        y = y / functional.avg_pool2d(there, kernel, _strides(op))
    return _back(graph, op, y)


@operator("MAX_POOL_2D")
def _max_pool(graph: Graph, op: Operator, values: list[Tensor]) -> Tensor:
    kernel = (int(op.options["FilterHeight"]), int(op.options["FilterWidth"]))
    image = functional.pad(_image(values[0]), _padding(graph, op, kernel), value=-torch.inf)
    return _back(graph, op, functional.max_pool2d(image, kernel, _strides(op)))


# Dense layers, sums


@operator("FULLY_CONNECTED")
def _fully_connected(graph: Graph, op: Operator, values: list[Tensor]) -> Tensor:
    x, weights, bias = values[0], values[1], values[2]
    y = functional.linear(x.reshape(len(x), -1, weights.shape[1]), weights, bias)
    return _activate(graph, op, y.reshape(-1, *_shape(graph, op)))


@operator("ADD")
def _add(graph: Graph, op: Operator, values: list[Tensor]) -> Tensor:
    return _activate(graph, op, values[0] + values[1])


@operator("MEAN")
def _mean(graph: Graph, op: Operator, values: list[Tensor]) -> Tensor:
    rank = len(graph.tensors[op.inputs[0]].shape)
    axes = sorted({1 + axis % rank for axis in _numbers(graph, op, "axes")})
    return values[0].mean(axes).reshape(-1, *_shape(graph, op))


# Elementwise


@operator("RELU")
def _relu(graph: Graph, op: Operator, values: list[Tensor]) -> Tensor:
    return torch.relu(values[0])


@operator("RELU6")
def _relu6(graph: Graph, op: Operator, values: list[Tensor]) -> Tensor:
    return values[0].clamp(0, 6)


@operator("LEAKY_RELU")
def _leaky_relu(graph: Graph, op: Operator, values: list[Tensor]) -> Tensor:
    return functional.leaky_relu(values[0], float(op.options["Alpha"]))


@operator("LOGISTIC")
def _logistic(graph: Graph, op: Operator, values: list[Tensor]) -> Tensor:
    return torch.sigmoid(values[0])


@operator("TANH")
def _tanh(graph: Graph, op: Operator, values: list[Tensor]) -> Tensor:
    return torch.tanh(values[0])


@operator("HARD_SWISH")
def _hard_swish(graph: Graph, op: Operator, values: list[Tensor]) -> Tensor:
    return functional.hardswish(values[0])


@operator("SOFTMAX")
def _softmax(graph: Graph, op: Operator, values: list[Tensor]) -> Tensor:
    return torch.softmax(float(op.options["Beta"]) * values[0], -1)


# Shapes


@operator("RESHAPE", "SQUEEZE", "EXPAND_DIMS")
def _reshape(graph: Graph, op: Operator, values: list[Tensor]) -> Tensor:
    return values[0].reshape(-1, *_shape(graph, op))


@operator("PAD", "PADV2")
def _pad(graph: Graph, op: Operator, values: list[Tensor]) -> Tensor:
    given = _numbers(graph, op, "paddings")
    pairs = list(zip(given[::2], given[1::2], strict=True))
    value = float(values[2].reshape(())) if len(values) > 2 else 0.0
    return functional.pad(values[0], [n for pair in reversed(pairs) for n in pair], value=value)
