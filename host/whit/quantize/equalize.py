"""Cross-layer equalization: channels of about one range, so that one scale suits them all.

A layer's output channel divided by s > 0, and what reads it multiplied by s, is the same network, as far as only
functions f(x / s) = f(x) / s lie between (M. Nagel et al., Data-Free Quantization, 2019,
https://arxiv.org/abs/1906.04721). Weights have a scale per output channel, so the layer before pays nothing for it, nor
does a depthwise layer behind. A convolution or dense layer behind has one scale for all its input channels: there the
ranges are evened out half the way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from ..execute import LINEAR, forward
from ..fold import WEIGHTED
from ..graph import Graph, Operator

_RELU = 1  # of the FusedActivationFunction option
_LEAST = 2.0**-6  # a channel is not raised further than this
_THROUGH = ("AVERAGE_POOL_2D", "MAX_POOL_2D", "LEAKY_RELU", "RELU")


def channel_peaks(graph: Graph, inputs: Sequence[np.ndarray]) -> dict[int, np.ndarray]:
    """tensor -> the largest |value| of each of its channels over some samples."""
    peaks: dict[int, np.ndarray] = {}

    def note(index: int, value: np.ndarray) -> np.ndarray:
        peaks[index] = np.abs(value).reshape(-1, *graph.tensors[index].shape[-1:]).max(0)
        return value

    forward(graph, dict(zip(graph.inputs, inputs, strict=True)), graph.outputs, note)
    return peaks


def equalize(graph: Graph, peaks: Mapping[int, np.ndarray], halfway: bool) -> Graph:
    """The same function with evener channels.

    Args:
        graph: a folded float graph.
        peaks: from channel_peaks.
        halfway: also channels that a convolution or dense layer reads, not only those that depthwise layers do.
    """
    tensors = list(graph.tensors)
    for op in graph.operators:
        readers = _readers(graph, op.outputs[0]) if _scales(op) else None
        if not readers or not (halfway or all(r.kind == "DEPTHWISE_CONV_2D" for r in readers)):
            continue
        if any(graph.tensors[i].data is None for reader in (op, *readers) for i in reader.inputs[1:3]):
            continue
        peak = peaks[op.outputs[0]]
        if not peak.max() > 0:
            continue
        even = np.where(peak > 0, np.maximum(peak / peak.max(), _LEAST), 1)
        if any(r.kind != "DEPTHWISE_CONV_2D" for r in readers):
            even = np.sqrt(even)
        even = even.astype(np.float32)
        axis = WEIGHTED[op.kind]
        _multiply(tensors, op.inputs[1], 1 / even, axis)
        _multiply(tensors, op.inputs[2], 1 / even, 0)
        for reader in readers:
            _multiply(tensors, reader.inputs[1], even, 3 if reader.kind == "DEPTHWISE_CONV_2D" else -1)
    return replace(graph, tensors=tuple(tensors))


def _scales(op: Operator) -> bool:
    """Whether a scaled output is the output, scaled."""
    return op.kind in WEIGHTED and op.options.get("FusedActivationFunction", LINEAR) in (LINEAR, _RELU)


def _readers(graph: Graph, index: int) -> list[Operator] | None:
    """The layers that read a tensor, maybe behind pools; None if something else does."""
    if index in graph.outputs:
        return None
    found: list[Operator] = []
    channels = graph.tensors[index].shape[-1:]
    for op in graph.operators:
        if index not in op.inputs:
            continue
        result = graph.tensors[op.outputs[0]].shape
        if op.kind in WEIGHTED:
            weights = graph.tensors[op.inputs[1]].shape
            if weights[3:] != channels if op.kind == "DEPTHWISE_CONV_2D" else weights[-1:] != channels:
                return None
            found.append(op)
        elif (op.kind in _THROUGH or op.kind == "RESHAPE") and result[-1:] == channels:
            if op.options.get("FusedActivationFunction", LINEAR) not in (LINEAR, _RELU):
                return None
            behind = _readers(graph, op.outputs[0])
            if behind is None:
                return None
            found += behind
        else:
            return None
    return found


def _multiply(tensors: list, index: int, factors: np.ndarray, axis: int) -> None:
    data = tensors[index].data
    shape = [1] * data.ndim
    shape[axis] = -1
    tensors[index] = replace(tensors[index], data=(data * factors.reshape(shape)).astype(np.float32))
