"""budget: which layers get 4-bit weights, so that a model fits so many bytes, or loses no more than so much.

The layers are taken in the order of the noise that 4 bits in them alone make at the network's output, by the byte that
they save.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ..device.opset import quad_bytes
from ..errors import WhitError
from ..execute import execute
from ..graph import Graph
from ..pack import pack_graph
from ..samples import arrange, class_numbers
from .quantize import FOUR_BITS, Progress, Quantized, quantize
from .rounded import execute_rounded


def quantize_within(
    graph: Graph,
    samples: Sequence[np.ndarray],
    max_bytes: int | None = None,
    max_loss: float | None = None,
    truth: np.ndarray | None = None,
    progress: Progress = lambda what, done, total: None,
) -> Quantized:
    """Quantize a float graph, some of its layers to 4-bit weights.

    Args:
        graph: float32.
        samples: as quantize() takes them.
        max_bytes: of the .whit file. As few layers get 4 bits as that takes.
        max_loss: in points of accuracy. Without max_bytes, as many layers get 4 bits as that allows.
        truth: the class of each sample. Without it the loss is how often, in percent, the class differs from the float
            model's.

    Raises:
        WhitError: it cannot be done within the limits; the text says how near it came.
    """
    whole = quantize(graph, samples, progress=progress)
    samples = arrange(graph, samples)
    loss = _loss(whole.folded, samples, truth) if max_loss is not None else None
    saved = _saved(whole.folded)
    order = _order(graph, samples, whole, saved, progress)
    tried: dict[int, Quantized] = {0: whole}

    def at(count: int) -> Quantized:
        if count not in tried:
            tried[count] = quantize(
                graph, samples, frozenset(order[:count]), equalized=whole.equalized, progress=progress
            )
        return tried[count]

    if max_bytes is None:
        count = _most(len(order), lambda n: loss is None or loss(at(n)) <= (max_loss or 0))
        if count < 0:
            assert loss is not None
            raise WhitError(
                f"{graph.name}: loses {loss(whole):.2f} points with int8 weights already, {max_loss:g} are allowed; "
                "give more samples to calibrate, or fine-tune the model for int8: whit finetune"
            )
        return at(count)
    least = len(pack_graph(whole.graph).blob)
    count = 0
    while least > max_bytes:  # by about what is saved; then by what it really takes
        if count == len(order):
            raise WhitError(
                f"{graph.name}: takes {least:,} bytes with 4-bit weights wherever they can be, {max_bytes:,} are "
                "allowed; prune it first: whit prune"
            )
        count += 1
        about = least - saved[order[count - 1]]
        least = len(pack_graph(at(count).graph).blob) if about <= max_bytes or count == len(order) else about
    if loss is not None and max_loss is not None and loss(at(count)) > max_loss:
        raise WhitError(
            f"{graph.name}: {max_bytes:,} bytes cost {loss(at(count)):.2f} points, {max_loss:g} are allowed; "
            "allow more bytes, or prune it first: whit prune"
        )
    return at(count)


def _most(limit: int, holds: Callable[[int], bool]) -> int:
    """The largest of 0 to `limit` that holds where all below do; -1 if 0 does not."""
    if holds(limit):
        return limit
    low, high = -1, limit
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low


def _saved(folded: Graph) -> dict[str, int]:
    """The layers that can have 4-bit weights, and the bytes that these save."""
    shapes = {
        folded.tensors[op.outputs[0]].name: folded.tensors[op.inputs[1]].shape
        for op in folded.operators
        if op.kind in FOUR_BITS
    }
    return {name: quad_bytes(shape[0], int(np.prod(shape[1:]))) // 2 for name, shape in shapes.items()}


def _order(
    graph: Graph, samples: Sequence[np.ndarray], whole: Quantized, saved: dict[str, int], progress: Progress
) -> list[str]:
    """Those layers, first the ones that cost least for what they save."""
    four = quantize(graph, samples, frozenset(saved), equalized=whole.equalized, progress=progress)
    noise = {layer.name: 10 ** (-layer.alone_decibels / 10) for layer in four.layers}
    return sorted(saved, key=lambda name: noise[name] / saved[name])


def _loss(folded: Graph, samples: Sequence[np.ndarray], truth: np.ndarray | None) -> Callable[[Quantized], float]:
    """A function that gives the points of accuracy which a quantized graph loses on the samples."""
    if len(folded.outputs) != 1 or folded.tensors[folded.outputs[0]].size < 2:
        raise WhitError(f"{folded.name}: a loss in points is for models with one output of classes; give --max-bytes")
    size = folded.tensors[folded.outputs[0]].size
    if truth is not None:
        truth = class_numbers(truth, size)
        if truth.dtype.kind not in "iu" or truth.size != len(samples[0]):
            found = f"{truth.shape} classes" if truth.dtype.kind in "iu" else f"{truth.dtype} classes"
            raise WhitError(f"{folded.name}: {found} for {len(samples[0])} samples; give one whole number for each")
        truth = truth.reshape(-1)
        if truth.min() < 0 or truth.max() >= size:
            found = f"{truth.min()} to {truth.max()}"
            raise WhitError(f"{folded.name}: classes {found} for an output of {size}; they count from 0")
    before = execute(folded, samples)[0].reshape(len(samples[0]), -1).argmax(1)
    right = before if truth is None else truth

    def points(q: Quantized) -> float:
        after = execute_rounded(q.graph, samples)[0].reshape(len(before), -1).argmax(1)
        return 100 * float(np.mean(before == right) - np.mean(after == right))

    return points
