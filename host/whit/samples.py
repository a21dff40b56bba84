"""The user's samples, checked against a model's inputs and brought into their axes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .errors import WhitError
from .graph import Graph


def arrange(graph: Graph, samples: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Samples as the graph takes them: one float32 array (samples, *shape) per input.

    Args:
        graph: the model.
        samples: one array per input, the samples along its first axis; each sample in the shape of the input, with or
            without the leading 1, and with its axes as the model had them or as they are in the graph.

    Raises:
        WhitError: nothing there, other shapes, values that are not numbers, or no difference between the samples.
    """
    inputs = [graph.tensors[i] for i in graph.inputs]
    if len(samples) != len(inputs):
        raise WhitError(f"{graph.name}: {len(samples)} arrays of samples for {len(inputs)} inputs; give one for each")
    found = []
    for n, (tensor, given) in enumerate(zip(inputs, samples, strict=True)):
        axes = graph.input_axes[n] if graph.input_axes else ()
        found.append(_arranged(f"{graph.name}: the samples of '{tensor.title}'", tensor.shape, axes, np.asarray(given)))
    counts = {len(x) for x in found}
    if len(counts) > 1:
        raise WhitError(f"{graph.name}: {[len(x) for x in found]} samples for its inputs; give equally many for each")
    return found


def _arranged(what: str, shape: tuple[int, ...], axes: tuple[int, ...], x: np.ndarray) -> np.ndarray:
    if x.dtype.kind not in "fiub":
        raise WhitError(f"{what} are {x.dtype}, not numbers; save them as float32")
    if x.ndim == 0 or not x.size:
        raise WhitError(f"{what} are none ({x.shape}); give some that look like what the board will see")
    own = tuple(shape[axes.index(i)] for i in range(len(axes))) if axes else shape
    for wanted, order in ((own, axes), (shape, ())):
        for leading in (wanted, wanted[1:] if wanted[:1] == (1,) else wanted):
            if x.shape[1:] == leading:
                x = x.reshape(len(x), *wanted).astype(np.float32)
                x = x.transpose(0, *(a + 1 for a in order)) if order else x
                if not np.isfinite(x).all():
                    raise WhitError(f"{what} hold NaN or infinite values; leave those out")
                return x
    takes = " or ".join(f"(samples, {', '.join(map(str, s[s[:1] == (1,) :]))})" for s in dict.fromkeys((own, shape)))
    raise WhitError(f"{what} have the shape {x.shape}, the model takes {takes}")


def class_numbers(labels: np.ndarray, classes: int) -> np.ndarray:
    """Integers for labels that say classes as whole floats or as one-hot rows; other labels as they are."""
    if labels.dtype.kind not in "fiub" or labels.ndim == 0 or not labels.size or classes < 2:
        return labels
    if labels.size == len(labels) * classes and labels.shape[-1] == classes:
        rows = labels.reshape(len(labels), classes)
        one_hot = ((rows == 0) | (rows == 1)).all() and (rows.sum(1) == 1).all()
        return rows.argmax(1) if one_hot else labels
    whole = labels.dtype.kind == "f" and labels.size == len(labels) and (labels == np.rint(labels)).all()
    return labels.astype(np.int64) if whole else labels


def check_variety(graph: Graph, samples: Sequence[np.ndarray]) -> None:
    """Refuse samples that say nothing of a range.

    Raises:
        WhitError: all values of an input are equal.
    """
    for i, x in zip(graph.inputs, samples, strict=True):
        if x.min() == x.max():
            raise WhitError(
                f"{graph.name}: the samples of '{graph.tensors[i].title}' are all equal ({x.flat[0]:g}); "
                "give some that look like what the board will see"
            )
