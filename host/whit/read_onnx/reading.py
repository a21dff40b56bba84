"""The graph under construction, and the register of the functions that read one operator each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..errors import WhitError
from ..graph import Operator, Quantization, Tensor, affine
from .layout import Layout, packed
from .model import Constant, Model, Node

SAME, VALID = 0, 1
NONE, RELU, RELU_N1_TO_1, RELU6 = 0, 1, 2, 3

WEIGHTED = {"CONV_2D": 0, "DEPTHWISE_CONV_2D": 3, "FULLY_CONNECTED": 0}  # the axis of the weights' output channels
_FUSES = (*WEIGHTED, "ADD", "MAX_POOL_2D", "AVERAGE_POOL_2D")
# int8: what keeps its input's quantization, and what has one of its own; TFLite's rules.
_KEEPS = ("RESHAPE", "PAD", "PADV2", "MAX_POOL_2D", "AVERAGE_POOL_2D", "RELU6")
_FIXED = {"SOFTMAX": (1 / 256, -128), "LOGISTIC": (1 / 256, -128), "TANH": (1 / 128, 0)}
_NOT_NEGATIVE = ("RELU", "RELU6", "SOFTMAX", "LOGISTIC")
_STAYS_NOT_NEGATIVE = ("RESHAPE", "PAD", "MAX_POOL_2D", "AVERAGE_POOL_2D", "MEAN")


class LayoutError(WhitError):
    """Elements would have to move in memory; another order of the input's axes may avoid it."""


@dataclass(frozen=True)
class Value:
    """An array of the model that is computed at run time: a tensor of the graph, and how it lies there."""

    tensor: int
    layout: Layout

    @property
    def shape(self) -> tuple[int, ...]:
        """The model's own."""
        return self.layout.shape


Read = Callable[["Reading"], None]
OPERATORS: dict[str, Read] = {}


def operator(*kinds: str) -> Callable[[Read], Read]:
    def register(function: Read) -> Read:
        OPERATORS.update(dict.fromkeys(kinds, function))
        return function

    return register


class Reading:
    """One attempt at the whole graph, with the axes of each input in one order.

    Weights stay as the model has them, float32 or int8, and biases real numbers, until finish.py makes tensors of them.
    """

    def __init__(self, model: Model, orders: Sequence[tuple[int, ...]]) -> None:
        self.model = model
        self.node: Node | None = None
        self.tensors: list[Tensor] = []
        self.operators: list[Operator] = []
        self.biases: dict[int, np.ndarray] = {}  # operator -> float64 [channels]
        self.producer: dict[int, int] = {}  # tensor -> operator
        self.shared: set[int] = set()  # tensors that more than one node or output reads
        self.not_negative: set[int] = set()
        self.provisional: set[int] = set()  # int8 tensors whose scale a QuantizeLinear right behind may still set
        self.constants = dict(model.constants)
        self.values: dict[str, Value] = {}
        self.inputs: list[int] = []
        self.entered: dict[tuple[int, float, int], int] = {}  # (input, scale, zero point) -> the same in int8
        self.readers = Counter(i for node in model.nodes for i in node.inputs)
        self.readers.update(name for name, _ in model.outputs)
        # Whether the model computes in int8: activations are quantized, not weights alone.
        self.quantized = any(node.kind in ("QuantizeLinear", "DequantizeLinear") for node in model.nodes)
        for given, order in zip(model.inputs, orders, strict=True):
            shape = tuple(given.shape[axis] for axis in order)
            self.inputs.append(self.tensor(shape, given.name, given.dtype))
            self.values[given.name] = Value(self.inputs[-1], packed(given.shape, order))
            self._share(given.name)

    # Errors

    def error(self, problem: str, remedy: str) -> WhitError:
        return WhitError(f"{self._where}: {problem}; {remedy}")

    def misplaced(self, what: str) -> LayoutError:
        return LayoutError(
            f"{self._where}: {what} would take moving elements in memory, a transpose that is not supported; "
            "put it right behind the model's input, or leave it out"
        )

    @property
    def _where(self) -> str:
        return self.model.name + (f": {self.node.kind} '{title(self.node.title)}'" if self.node else "")

    # What a node has

    @property
    def _node(self) -> Node:
        assert self.node is not None
        return self.node

    def attribute(self, name: str, default: Any = None) -> Any:
        return self._node.attributes.get(name, default)

    def name(self, position: int) -> str:
        """The name of an input, '' where it is absent."""
        return self._node.inputs[position] if position < len(self._node.inputs) else ""

    def value(self, position: int) -> Value:
        name = self.name(position)
        if name in self.constants:
            raise self.error(f"its input '{title(name)}' is a constant", "fold it into its neighbours before export")
        if name not in self.values:
            raise self.error(f"its input '{title(name)}' is missing", "export the model again")
        return self.values[name]

    def maybe_constant(self, position: int) -> Constant | None:
        """None where the input is absent."""
        name = self.name(position)
        if not name:
            return None
        if name not in self.constants:
            raise self.error(
                f"its input '{title(name)}' is computed at run time", "export the model with that one constant"
            )
        found = self.constants[name]
        if found.data.dtype.kind == "f" and not np.all(np.isfinite(found.data)):
            raise self.error(f"its constant '{title(name)}' is not finite (NaN or infinite)", "train the model again")
        return found

    def constant(self, position: int) -> Constant:
        found = self.maybe_constant(position)
        if found is None:
            raise self.error(f"its input {position} is missing", "export the model again")
        return found

    def is_constant(self, position: int) -> bool:
        return self.name(position) in self.constants

    def integers(self, position: int, attribute: str) -> list[int] | None:
        """What older opsets have as an attribute and newer ones as an input; None where it is absent."""
        if self.attribute(attribute) is not None:
            return [int(v) for v in np.atleast_1d(self.attribute(attribute))]
        found = self.maybe_constant(position)
        return None if found is None else [int(v) for v in found.data.reshape(-1)]

    # Values

    def set(self, tensor: int, layout: Layout) -> None:
        """The node's output."""
        name = self._node.outputs[0]
        self.values[name] = Value(tensor, layout)
        self._share(name)

    def _share(self, name: str) -> None:
        if self.readers[name] > 1:
            self.shared.add(self.values[name].tensor)

    def tensor(self, shape: Sequence[int], name: str, dtype: str = "float32", data: np.ndarray | None = None) -> int:
        self.tensors.append(Tensor(name, tuple(int(d) for d in shape), dtype, None, data))
        return len(self.tensors) - 1

    def fixed(self, values: np.ndarray, what: str, quantization: Quantization | None = None) -> int:
        """A constant tensor beside the node's output."""
        name = f"{self._node.outputs[0]}/{what}" if self.node else what
        index = self.tensor(values.shape, name, values.dtype.name, np.ascontiguousarray(values))
        self.tensors[index] = replace(self.tensors[index], quantization=quantization)
        return index

    # Operators

    def add(self, kind: str, inputs: Sequence[int], shape: Sequence[int], **options: int | float) -> int:
        """A new operator; returns its one output."""
        quantization = None
        if self.quantized:
            for index in inputs:
                if self.tensors[index].data is None and self.tensors[index].quantization is None:
                    raise self.error(
                        f"computes in float32 inside a quantized model ('{self.tensors[index].title}' has no scale)",
                        "quantize every activation, or give the float model",
                    )
            if kind in _KEEPS or kind == "RELU":
                quantization = self.tensors[inputs[0]].quantization
            elif kind in _FIXED:
                quantization = affine(*_FIXED[kind])
        result = self.tensor(shape, self._node.outputs[0] if self.node else self.tensors[inputs[0]].name)
        self.tensors[result] = replace(self.tensors[result], quantization=quantization)
        if kind == "RELU":
            self.provisional.add(result)
        kept = kind in _STAYS_NOT_NEGATIVE and inputs[0] in self.not_negative
        if kind in _NOT_NEGATIVE or kept:
            self.not_negative.add(result)
        self.producer[result] = len(self.operators)
        self.operators.append(Operator(kind, tuple(inputs), (result,), dict(options)))
        return result

    def reshape(self, tensor: int, shape: Sequence[int]) -> int:
        """The tensor under another shape."""
        made_by = self.made_by(tensor)
        if made_by is not None and made_by.kind == "RESHAPE":
            tensor = made_by.inputs[0]
        if self.tensors[tensor].shape == tuple(shape):
            return tensor
        return self.add("RESHAPE", (tensor, self.fixed(np.array(shape, np.int32), "shape")), shape)

    def made_by(self, tensor: int) -> Operator | None:
        """The operator that computes a tensor, unless something else reads the tensor too."""
        if tensor in self.shared or tensor not in self.producer:
            return None
        return self.operators[self.producer[tensor]]

    def fuse(self, tensor: int, activation: int) -> bool:
        """Put an activation function into the operator that computes `tensor`; False where that is impossible."""
        op = self.made_by(tensor)
        if op is None or op.kind not in _FUSES or op.options["FusedActivationFunction"] != NONE:
            return False
        options = op.options | {"FusedActivationFunction": activation}
        self.operators[self.producer[tensor]] = replace(op, options=options)
        if activation in (RELU, RELU6):
            self.not_negative.add(tensor)
        return True

    def weighted(
        self,
        kind: str,
        source: int,
        weights: Constant,
        bias: np.ndarray | None,
        shape: Sequence[int],
        **options: int,
    ) -> int:
        """An operator with weights, which have TFLite's layout already; int8 ones stay so before an int8 input."""
        data, quantization = weights.real.astype(np.float32), None
        if self.quantized:
            data, quantization = self._int8_weights(weights, WEIGHTED[kind])
        index = self.fixed(data, "weights", quantization)
        result = self.add(kind, (source, index), shape, FusedActivationFunction=NONE, **options)
        if bias is not None:
            channels = self.tensors[index].shape[WEIGHTED[kind]]
            self.biases[self.producer[result]] = np.broadcast_to(bias.reshape(-1), (channels,)).astype(np.float64)
        return result

    def _int8_weights(self, weights: Constant, axis: int) -> tuple[np.ndarray, Quantization]:
        if weights.scale is None or weights.zero_point is None or weights.data.dtype.name not in ("int8", "uint8"):
            raise self.error(
                f"its weights are {weights.data.dtype.name} in a quantized model",
                "quantize them to int8, or give the float model",
            )
        zero = weights.zero_point - (128 if weights.data.dtype.name == "uint8" else 0)
        if np.any(zero):
            raise self.error(
                f"its weights have the zero point {int(weights.zero_point.reshape(-1)[0])}",
                "whit needs symmetric ones: quantize the weights as int8, symmetric",
            )
        if weights.scale.size > 1 and weights.axis != axis:
            raise self.error("its weights have scales along an axis of inputs", "quantize by output channel or tensor")
        if not np.all(np.isfinite(weights.scale) & (weights.scale > 0)):
            raise self.error("its weights have a scale that is not a positive number", "quantize the model again")
        data = weights.data
        if data.dtype.name == "uint8":
            data = (data.astype(np.int16) - 128).astype(np.int8)
        scale = weights.scale.astype(np.float32)
        return data, Quantization(scale, np.zeros(scale.size, np.int64), axis if scale.size > 1 else 0)

    def scale_and_shift(self, tensor: int, factor: np.ndarray, shift: np.ndarray) -> bool:
        """y -> factor * y + shift, both float64 [channels], put into the weights of the operator that computes y."""
        op = self.made_by(tensor)
        if op is None or op.kind not in WEIGHTED or op.options["FusedActivationFunction"] != NONE:
            return False
        w, axis = self.tensors[op.inputs[1]], WEIGHTED[op.kind]
        if self.quantized and self.tensors[tensor].quantization is not None:
            return False  # what is folded would not be rounded as the model has it
        assert w.data is not None
        along = [-1 if i == axis else 1 for i in range(w.data.ndim)]
        at = self.producer[tensor]
        if np.any(factor != 1):
            if w.quantization is None:
                data = (w.data * factor.reshape(along)).astype(np.float32)
                self.tensors[op.inputs[1]] = replace(w, data=data)
            else:
                data = (w.data * np.sign(factor).astype(np.int8).reshape(along)).astype(np.int8)
                if np.any((w.data == -128) & (factor.reshape(along) < 0)):
                    return False  # 128 is no int8
                scale = (w.quantization.scale * np.where(factor == 0, 1, np.abs(factor))).astype(np.float32)
                quantization = Quantization(scale, np.zeros(scale.size, np.int64), axis)
                self.tensors[op.inputs[1]] = replace(w, data=data, quantization=quantization)
        self.biases[at] = self.biases.get(at, np.zeros(len(shift))) * factor + shift
        return True


def title(name: str) -> str:
    """A name as messages give it."""
    return Tensor(name, (), "float32").title
