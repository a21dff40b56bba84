"""An int8 graph computed in float32: what it gives up to a step of rounding, for many samples at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..execute import forward
from ..graph import Graph
from ..samples import arrange
from .ranges import round_to


def execute_rounded(graph: Graph, inputs: Sequence[np.ndarray], batch: int = 32) -> list[np.ndarray]:
    """Run samples through a quantized graph: the float values of every tensor are rounded to its int8.

    The integer kernels round sums a little differently, so a value may be a step off; its mean error is theirs.

    Args:
        graph: what quantize() made.
        inputs: real values, as samples.arrange() takes them.

    Returns:
        one array of real values per output, float32 (samples, *shape).
    """

    def after(index: int, value: np.ndarray) -> np.ndarray:
        q = graph.tensors[index].quantization
        return value if q is None else round_to(q, value)

    arranged, parts = arrange(graph, inputs), []
    for at in range(0, len(arranged[0]), batch):
        values = {i: after(i, x[at : at + batch]) for i, x in zip(graph.inputs, arranged, strict=True)}
        parts.append(forward(graph, values, graph.outputs, after))
    return [np.concatenate([part[i] for part in parts]) for i in graph.outputs]
