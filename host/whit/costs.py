"""What a Graph costs before anything is known of kernels: multiply-accumulates and parameters."""

from __future__ import annotations

import math

from .fold import WEIGHTED
from .graph import Graph, Operator


def macs(graph: Graph) -> int:
    """Multiply-accumulates of one sample, counted as the field counts them: padding included."""
    return sum(positions(graph, op) * graph.tensors[op.inputs[1]].size for op in graph.operators if weighted(op))


def parameters(graph: Graph) -> int:
    """Numbers in weights and biases; one that two operators share counts once."""
    held = {i for op in graph.operators if weighted(op) for i in op.inputs[1:3] if i >= 0}
    return sum(graph.tensors[i].size for i in held)


def weighted(op: Operator) -> bool:
    return op.kind in WEIGHTED


def positions(graph: Graph, op: Operator) -> int:
    """How often a weighted operator uses each of its weights: once per pixel of its output, or per row."""
    return math.prod(graph.tensors[op.outputs[0]].shape[:-1])
