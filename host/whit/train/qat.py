"""Quantization-aware fine-tuning: a float graph learns to live with the rounding of its int8 or int4 form.

Values are rounded as they will be on the board, and gradients pass through the rounding as if it were not there
(Jacob et al. 2018). Activations keep the ranges of the quantized graph; weights are symmetric, with a scale for each
output channel that follows the largest weight.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from ..costs import weighted
from ..errors import WhitError
from ..fold import WEIGHTED
from ..graph import Graph, Quantization
from .loop import Progress, quiet, train
from .network import Network
from .task import task

_LARGEST = {"int8": 127, "int4": 7}  # of a symmetric weight
RATE = 3e-4  # the network is trained already


def finetune(
    graph: Graph,
    quantized: Graph,
    samples: np.ndarray,
    labels: np.ndarray | None = None,
    epochs: int = 10,
    seed: int = 0,
    rate: float = RATE,
    progress: Progress = quiet,
) -> Graph:
    """The float graph with weights that stand being quantized.

    Its weights lie on the grid that quantization gives them, so that quantizing it again, with ranges(quantized),
    leaves them where they are.

    Args:
        graph: a trained float graph, folded: Quantized.folded.
        quantized: what quantize() made of it, Quantized.graph: activations with a scale and a zero point, weights that
            are int8 or int4.
        samples, labels: as in task().
        progress: called with (epochs done, epochs).

    Raises:
        WhitError: the two graphs do not go together, and whatever Network() and task() refuse.
    """
    network = Rounded(graph, quantized)
    train(network, task(graph, samples, labels), epochs, seed, rate, progress)
    return network.graph()


def ranges(quantized: Graph) -> dict[int, Quantization]:
    """How the activations of a quantized graph are quantized: what quantize() takes to do it so again."""
    return {i: t.quantization for i, t in enumerate(quantized.tensors) if t.data is None and t.quantization is not None}


def four_bits(quantized: Graph) -> frozenset[str]:
    """The layers of a quantized graph with 4-bit weights, as quantize() takes them."""
    return frozenset(
        quantized.tensors[op.outputs[0]].name
        for op in quantized.operators
        if weighted(op) and quantized.tensors[op.inputs[1]].dtype == "int4"
    )


class Rounded(Network):
    """A network that computes with the rounding of a quantized graph."""

    def __init__(self, graph: Graph, quantized: Graph) -> None:
        """Raises: WhitError: `quantized` was not made of `graph`."""
        super().__init__(graph)
        _check_pair(graph, quantized)
        # By tensor: scale, zero point and the ends of the range of an activation; the axes over which weights share a
        # scale, and the largest of them.
        self._grids: dict[int, tuple[float, int, int, int]] = {}
        self._weights: dict[int, tuple[list[int], int]] = {}
        for i, q in ranges(quantized).items():
            limits = np.iinfo(quantized.tensors[i].dtype)
            self._grids[i] = (float(q.scale[0]), int(q.zero_point[0]), int(limits.min), int(limits.max))
        for op in graph.operators:
            if weighted(op):
                weights = quantized.tensors[op.inputs[1]]
                single = weights.quantization is None or weights.quantization.per_tensor
                axes = [d for d in range(len(weights.shape)) if single or d != WEIGHTED[op.kind]]
                self._weights[op.inputs[1]] = (axes, _LARGEST[weights.dtype])

    def graph(self) -> Graph:
        """The graph with the weights on their grids."""
        graph = super().graph()
        tensors = list(graph.tensors)
        with torch.no_grad():
            for i in self._weights:
                tensors[i] = replace(tensors[i], data=self.parameter(i).numpy().copy())
        return replace(graph, tensors=tuple(tensors))

    def parameter(self, index: int) -> Tensor:
        value = super().parameter(index)
        if index not in self._weights:
            return value
        axes, largest = self._weights[index]
        scale = value.detach().abs().amax(axes, keepdim=True).clamp_min(1e-12) / largest
        return _rounded(value, torch.clamp((value / scale).round(), -largest, largest) * scale)

    def computed(self, index: int, value: Tensor) -> Tensor:
        if index not in self._grids:
            return value
        scale, zero, low, high = self._grids[index]
        inside = value.clamp((low - zero) * scale, (high - zero) * scale)  # beyond the range no gradient passes
        return _rounded(inside, torch.clamp((value / scale).round() + zero, low, high).sub(zero) * scale)


def _rounded(value: Tensor, result: Tensor) -> Tensor:
    """`result`, with the gradient of `value`."""
    return value + (result - value).detach()


def _check_pair(graph: Graph, quantized: Graph) -> None:
    where = f"{graph.name} and its quantized form"
    if [op.kind for op in graph.operators] != [op.kind for op in quantized.operators]:
        raise WhitError(f"{where} have different operators; quantize the same model")
    for op, other in zip(graph.operators, quantized.operators, strict=True):
        indices = [i for i in (*op.inputs, *op.outputs) if i >= 0]
        shapes = [[g.tensors[i].shape for i in indices] for g in (graph, quantized) if max(indices) < len(g.tensors)]
        if op.outputs != other.outputs or len(shapes) < 2 or shapes[0] != shapes[1]:
            raise WhitError(
                f"{where} differ at {op.kind} '{graph.tensors[op.outputs[0]].title}'; quantize the same model"
            )
        if weighted(op) and (dtype := quantized.tensors[op.inputs[1]].dtype) not in _LARGEST:
            raise WhitError(
                f"{where} differ: the weights of {op.kind} '{graph.tensors[op.outputs[0]].title}' are {dtype}, "
                "int8 and int4 are supported; quantize the model again"
            )
