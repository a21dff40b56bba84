"""execute: a float Graph computed by numpy, a batch at a time: what a model gives before it is quantized.

Operators as TFLite's float kernels compute them (tensorflow/lite/kernels/internal/reference), up to the rounding of
float32. Every value has the shape (samples, *tensor.shape), so also the 1 that a model calls its batch.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence

import numpy as np

from .errors import WhitError
from .graph import Graph, Operator
from .samples import arrange

Values = dict[int, np.ndarray]  # tensor index -> (samples, *shape) of an activation
_SAME = 0  # of the Padding option
_MOST = 1 << 16  # pixels that a window spans
LINEAR = 0  # of the FusedActivationFunction option
# What numpy and we raise for shapes, options and constants that do not go together.
_MISFIT = (ValueError, IndexError, KeyError, TypeError, AttributeError, ZeroDivisionError, OverflowError, MemoryError)
ACTIVATIONS: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    LINEAR: lambda x: x,
    1: lambda x: np.maximum(x, 0),  # RELU
    2: lambda x: np.clip(x, -1, 1),  # RELU_N1_TO_1
    3: lambda x: np.clip(x, 0, 6),  # RELU6
}


def execute(graph: Graph, inputs: Sequence[np.ndarray], batch: int = 32) -> list[np.ndarray]:
    """Run samples through a float graph.

    Args:
        graph: float32, of operators that whit knows.
        inputs: one array per input, (samples, *shape), as samples.arrange() takes them.
        batch: how many samples are computed at once.

    Returns:
        one array per output, float32 (samples, *shape).

    Raises:
        WhitError: an operator that cannot be computed, or samples that do not fit the inputs.
    """
    inputs, parts = arrange(graph, inputs), []
    for at in range(0, len(inputs[0]), batch):
        values = {i: x[at : at + batch] for i, x in zip(graph.inputs, inputs, strict=True)}
        parts.append(forward(graph, values, graph.outputs))
    return [np.concatenate([part[i] for part in parts]) for i in graph.outputs]


def forward(
    graph: Graph,
    values: Values,
    wanted: Collection[int],
    after: Callable[[int, np.ndarray], np.ndarray] = lambda index, value: value,
) -> Values:
    """Compute the tensors `wanted` from those in `values`, which hold the inputs or whatever stands in their place.

    `after` may put another value in the place of each that an operator computes.
    """
    values = dict(values)
    operators = list(needed(graph, values, wanted))
    last = {i: n for n, op in enumerate(operators) for i in op.inputs}
    for n, op in enumerate(operators):
        values[op.outputs[0]] = after(op.outputs[0], compute(graph, op, values))
        for i in set(op.inputs) - set(wanted):
            if last[i] == n:
                values.pop(i, None)
    return {i: values[i] for i in wanted}


def needed(graph: Graph, given: Collection[int], wanted: Collection[int]) -> Iterator[Operator]:
    """The operators, in order, that compute `wanted` from what is given."""
    missing, found = set(wanted) - set(given), []
    for op in reversed(graph.operators):
        if missing & set(op.outputs):
            found.append(op)
            missing = (missing - set(op.outputs)) | {
                i for i in op.inputs if i >= 0 and i not in given and graph.tensors[i].data is None
            }
    return reversed(found)


def compute(graph: Graph, op: Operator, values: Values) -> np.ndarray:
    """The output of one operator: float32 (samples, *shape).

    Raises:
        WhitError: an operator that is not known, or whose inputs and output do not go together.
    """
    tensor = graph.tensors[op.outputs[0]]
    if op.kind not in KERNELS:
        raise WhitError(
            f"{graph.name}: {op.kind} '{tensor.title}' is not supported in a float model; "
            "supported: " + ", ".join(sorted(KERNELS))
        )
    try:
        result = KERNELS[op.kind](_Call(graph, op, values)).astype(np.float32, copy=False)
        fits = result.shape[1:] == tensor.shape
    except _MISFIT:
        fits = False
    if not fits:
        shapes = [str(graph.tensors[i].shape) for i in op.inputs if i >= 0]
        raise WhitError(
            f"{graph.name}: {op.kind} '{tensor.title}' of {' and '.join(shapes)} does not give {tensor.shape}; export "
            "the model again, with batch size 1 and groups=1"
        )
    return result


class _Call:
    """An operator with its inputs at hand."""

    def __init__(self, graph: Graph, op: Operator, values: Values) -> None:
        self.graph, self.op, self.values = graph, op, values
        self.options = op.options

    def __getitem__(self, position: int) -> np.ndarray:
        """Input `position`: (samples, *shape), or what a constant stands for."""
        index = self.op.inputs[position]
        tensor = self.graph.tensors[index]
        return self.values[index] if tensor.data is None else tensor.real

    def has(self, position: int) -> bool:
        return position < len(self.op.inputs) and self.op.inputs[position] >= 0

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the output, without samples."""
        return self.graph.tensors[self.op.outputs[0]].shape

    def activated(self, y: np.ndarray) -> np.ndarray:
        """`y` in the output's shape, through the fused activation."""
        code = int(self.options.get("FusedActivationFunction", LINEAR))
        if code not in ACTIVATIONS:
            raise WhitError(f"{self.graph.name}: fused activation {code} of {self.op.kind} is not supported")
        return ACTIVATIONS[code](y).reshape(-1, *self.shape)

    def windows(self, x: np.ndarray, kernel: tuple[int, int], fill: float) -> np.ndarray:
        """(samples, 1, h, w, c) -> (samples, oh, ow, c, kh, kw), padded with `fill`."""
        spans = []
        for axis, k, i, o in zip("HW", kernel, x.shape[2:4], self.shape[1:3], strict=True):
            stride, dilation = int(self.options[f"Stride{axis}"]), int(self.options.get(f"Dilation{axis}Factor", 1))
            reach, same = (k - 1) * dilation + 1, self.options["Padding"] == _SAME
            if (
                min(stride, dilation) < 1
                or reach > _MOST
                or o != (-(-i // stride) if same else (i - reach) // stride + 1)
            ):
                raise ValueError("windows that do not give the output")
            total = max((o - 1) * stride + reach - i, 0) if same else 0
            spans.append((stride, dilation, reach, (total // 2, total - total // 2)))
        (sy, dy, high, rows), (sx, dx, wide, columns) = spans
        padded = np.pad(x[:, 0], ((0, 0), rows, columns, (0, 0)), constant_values=fill)
        view = np.lib.stride_tricks.sliding_window_view(padded, (high, wide), (1, 2))  # type: ignore[call-overload]
        return view[:, ::sy, ::sx, :, ::dy, ::dx]


def rows(graph: Graph, op: Operator, values: Values) -> np.ndarray:
    """What a CONV_2D or FULLY_CONNECTED multiplies its weights [channels, k] with: [outputs of a channel, k]."""
    call = _Call(graph, op, values)
    if op.kind == "FULLY_CONNECTED":
        return call[0].reshape(-1, call[1].shape[1])
    windows = call.windows(call[0], call[1].shape[1:3], 0)
    return windows.transpose(0, 1, 2, 4, 5, 3).reshape(-1, call[1][0].size)


def _by_rows(call: _Call) -> np.ndarray:
    w = call[1].reshape(len(call[1]), -1)
    return call.activated(rows(call.graph, call.op, call.values) @ w.T + (call[2] if call.has(2) else 0))


def _depthwise_conv_2d(call: _Call) -> np.ndarray:
    w = call[1][0]
    windows = call.windows(call[0], w.shape[:2], 0)
    multiplier = w.shape[2] // windows.shape[3]
    total = np.zeros((*windows.shape[:3], w.shape[2]), np.float32)
    for i in range(w.shape[0]):
        for j in range(w.shape[1]):
            total += np.repeat(windows[..., i, j], multiplier, axis=3) * w[i, j]
    return call.activated(total + (call[2] if call.has(2) else 0))


def _pool_kernel(call: _Call) -> tuple[int, int]:
    return int(call.options["FilterHeight"]), int(call.options["FilterWidth"])


def _average_pool(call: _Call) -> np.ndarray:
    x, kernel = call[0], _pool_kernel(call)
    count = call.windows(np.ones((1, *x.shape[1:-1], 1), np.float32), kernel, 0).sum((4, 5))
    return call.activated(call.windows(x, kernel, 0).sum((4, 5)) / count)


def _max_pool(call: _Call) -> np.ndarray:
    return call.activated(call.windows(call[0], _pool_kernel(call), -np.inf).max((4, 5)))


def _mean(call: _Call) -> np.ndarray:
    rank = call[0].ndim - 1
    axes = tuple(sorted({int(a) % rank + 1 for a in call[1].reshape(-1)}))
    return call[0].mean(axes).reshape(-1, *call.shape)


def _pad(call: _Call) -> np.ndarray:
    value = float(call[2].reshape(-1)[0]) if call.has(2) else 0
    return np.pad(call[0], [(0, 0), *map(tuple, call[1].reshape(-1, 2).tolist())], constant_values=value)


def _softmax(call: _Call) -> np.ndarray:
    x = call[0] * np.float32(call.options["Beta"])
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def _logistic(call: _Call) -> np.ndarray:
    return 0.5 + 0.5 * np.tanh(0.5 * call[0])  # never overflows


def _reshape(call: _Call) -> np.ndarray:
    return call[0].reshape(-1, *call.shape)


KERNELS: dict[str, Callable[[_Call], np.ndarray]] = {
    "ADD": lambda call: call.activated(call[0] + call[1]),
    "SUB": lambda call: call.activated(call[0] - call[1]),
    "MUL": lambda call: call.activated(call[0] * call[1]),
    "DIV": lambda call: call.activated(call[0] / call[1]),
    "AVERAGE_POOL_2D": _average_pool,
    "CONV_2D": _by_rows,
    "DEPTHWISE_CONV_2D": _depthwise_conv_2d,
    "EXPAND_DIMS": _reshape,
    "FULLY_CONNECTED": _by_rows,
    "HARD_SWISH": lambda call: call[0] * np.clip(call[0] + 3, 0, 6) / 6,
    "LEAKY_RELU": lambda call: np.where(call[0] < 0, call[0] * np.float32(call.options["Alpha"]), call[0]),
    "LOGISTIC": _logistic,
    "MAX_POOL_2D": _max_pool,
    "MEAN": _mean,
    "PAD": _pad,
    "PADV2": _pad,
    "RELU": lambda call: np.maximum(call[0], 0),
    "RELU6": lambda call: np.clip(call[0], 0, 6),
    "RESHAPE": _reshape,
    "SOFTMAX": _softmax,
    "SQUEEZE": _reshape,
    "TANH": lambda call: np.tanh(call[0]),
}
