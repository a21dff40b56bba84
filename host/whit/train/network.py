"""A float Graph as a PyTorch module, to be trained and read back."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from .. import graph as graphs
from ..costs import macs, weighted
from ..errors import WhitError
from ..graph import Graph, Operator
from .operators import OPERATORS, error


class Network(nn.Module):
    """Executes a float Graph. Its parameters are the weights and biases, under the numbers of their tensors.

    The graph's shapes are those of one sample; here any number goes through at once: a tensor of shape s has the value
    [n, *s]. What trains or measures overrides the three methods at the end, through which all values go.
    """

    def __init__(self, graph: Graph) -> None:
        """Raises: WhitError: an operator or a data type that is not supported; the text names it."""
        super().__init__()
        self._graph = graph = with_biases(_check(graph))
        self.macs = macs(graph)  # of one sample
        trained = {i for op in graph.operators if weighted(op) for i in op.inputs[1:3]}
        constants = {i: t.data for i, t in enumerate(graph.tensors) if t.data is not None and t.dtype == "float32"}
        copies = {i: torch.tensor(np.array(data)) for i, data in constants.items()}
        self.weights = nn.ParameterDict({str(i): nn.Parameter(copies[i]) for i in sorted(trained)})
        self._constants = {i: copy[None] for i, copy in copies.items() if i not in trained}
        last = graph.operators[-1] if graph.operators else None
        at_end = last is not None and last.kind in ("SOFTMAX", "LOGISTIC") and last.outputs == graph.outputs
        self.head = last if at_end else None  # SOFTMAX or LOGISTIC, where one makes the output

    def graph(self) -> Graph:
        """The graph with the parameters as they are now."""
        tensors = list(self._graph.tensors)
        for key, parameter in self.weights.items():
            data = parameter.detach().numpy().copy()
            tensors[int(key)] = replace(tensors[int(key)], data=data)
        return replace(self._graph, tensors=tuple(tensors))

    def forward(self, *samples: Tensor) -> tuple[Tensor, ...]:
        """Every output, [n, *shape], of one [n, *shape] for each input."""
        values = self._run(self._graph.operators, samples)
        return tuple(values[i] for i in self._graph.outputs)

    def logits(self, *samples: Tensor) -> Tensor:
        """The first output before the SOFTMAX or LOGISTIC that makes it; without one, that output."""
        if self.head is None:
            return self(*samples)[0]
        values = self._run(self._graph.operators[:-1], samples)
        return values[self.head.inputs[0]] * float(self.head.options.get("Beta", 1))

    def _run(self, operators: Sequence[Operator], samples: Sequence[Tensor]) -> dict[int, Tensor]:
        values = dict(self._constants)
        for i, sample in zip(self._graph.inputs, samples, strict=True):
            values[i] = self.computed(i, sample)
        for at, op in enumerate(operators):
            inputs: list = [values.get(i) for i in op.inputs]
            if weighted(op):
                inputs = [self.entering(at, inputs[0]), *(self.parameter(i) for i in op.inputs[1:3])]
            values[op.outputs[0]] = self.computed(op.outputs[0], OPERATORS[op.kind](self._graph, op, inputs))
        return values

    def parameter(self, index: int) -> Tensor:
        """The weights or biases in a tensor, as an operator uses them."""
        return self.weights[str(index)]

    def entering(self, at: int, value: Tensor) -> Tensor:
        """What the weighted operator at position `at` reads."""
        return value

    def computed(self, index: int, value: Tensor) -> Tensor:
        """The value of a tensor, when it was computed."""
        return value


def initialize(graph: Graph, seed: int = 0) -> Graph:
    """The same architecture with fresh weights: normal, with variance 2 / fan-in (He et al. 2015); biases are zero."""
    rng = np.random.default_rng(seed)
    tensors = list(graph.tensors)
    for op in graph.operators:
        if weighted(op):
            weights = tensors[op.inputs[1]]
            fan_in = math.prod(weights.shape[1:3] if op.kind == "DEPTHWISE_CONV_2D" else weights.shape[1:])
            data = rng.normal(0, math.sqrt(2 / fan_in), weights.shape).astype(np.float32)
            tensors[op.inputs[1]] = replace(weights, data=data)
            for i in op.inputs[2:3]:
                if i >= 0:
                    tensors[i] = replace(tensors[i], data=np.zeros(tensors[i].shape, np.float32))
    return replace(graph, tensors=tuple(tensors))


def with_biases(graph: Graph) -> Graph:
    """A bias of zeros for every weighted operator that has none; the new tensors stand behind all others."""
    tensors, operators = list(graph.tensors), []
    for op in graph.operators:
        if weighted(op) and (len(op.inputs) < 3 or op.inputs[2] < 0):
            zeros = np.zeros(tensors[op.outputs[0]].shape[-1], np.float32)
            name = f"{tensors[op.outputs[0]].name}/bias"
            tensors.append(graphs.Tensor(name, zeros.shape, "float32", None, zeros))
            op = replace(op, inputs=(*op.inputs[:2], len(tensors) - 1))
        operators.append(op)
    return replace(graph, tensors=tuple(tensors), operators=tuple(operators))


def _check(graph: Graph) -> Graph:
    """Refuse what does not compute in float32, or not with the operators that are here."""
    for op in graph.operators:
        held = [graph.tensors[i] for i in (*op.inputs, *op.outputs) if i >= 0]
        quantized = next((t for t in held if t.dtype in ("int8", "uint8", "int16", "int4") or t.quantization), None)
        if quantized:
            raise WhitError(
                f"{graph.name}: '{quantized.title}' is {quantized.dtype}, so this model is quantized; "
                "give the float model that it was made from"
            )
        if op.kind not in OPERATORS:
            raise error(graph, op, "cannot be trained", "supported: " + ", ".join(sorted(OPERATORS)))
        if len(op.outputs) != 1:
            raise error(graph, op, f"has {len(op.outputs)} outputs", "export the model again")
        other = next((t for t in held if t.dtype not in ("float32", "int32", "int64")), None)
        if other:
            raise error(graph, op, f"'{other.title}' is {other.dtype}", "export the model in float32")
        if weighted(op) and any(i >= 0 and graph.tensors[i].data is None for i in op.inputs[1:3]):
            raise error(graph, op, "its weights are computed at run time", "export the model with constant weights")
    return graph
