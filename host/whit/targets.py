"""What a model should answer for each sample: one of its classes, or the values themselves."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from .errors import WhitError
from .graph import Graph
from .samples import arrange

_THRESHOLD = 0.5  # of a single sigmoid: from here on it answers class 1


@dataclass(frozen=True)
class Classes:
    """Classification: the class of each sample as an index into the class names."""

    expected: np.ndarray  # int64 (samples,)
    names: tuple[str, ...]

    def answers(self, outputs: np.ndarray) -> np.ndarray:
        """The classes that a model gives: int64 (samples,) of its outputs (samples, scores)."""
        if outputs.shape[1] == 1:
            return (outputs[:, 0] >= _THRESHOLD).astype(np.int64)
        return outputs.argmax(1)

    def confusion(self, answers: np.ndarray) -> np.ndarray:
        """How many samples of class i (row) were taken for class j (column): int64 [classes, classes]."""
        n = len(self.names)
        return np.bincount(self.expected * n + answers, minlength=n * n).reshape(n, n)


@dataclass(frozen=True)
class Values:
    """Regression or reconstruction: the outputs themselves."""

    expected: np.ndarray  # float32 (samples, values)

    def rmse(self, outputs: np.ndarray) -> float:
        """The root of the mean square of what the outputs (samples, values) differ by."""
        return float(np.sqrt(np.square(outputs.astype(np.float64) - self.expected).mean()))


def targets(graph: Graph, labels: np.ndarray, samples: int, names: tuple[str, ...], what: str) -> Classes | Values:
    """Labels as the model's output has to be held against them.

    Args:
        graph: the float model, folded, of one output.
        labels: one for each sample: class numbers (samples,) or (samples, 1), one-hot rows, names of classes, or, for
            regression, what the output should be, in its shape. A single sigmoid has the classes 0 and 1.
        samples: how many there are.
        names: of the classes; may be empty, then their numbers are.
        what: what messages call the labels.

    Raises:
        WhitError: labels that do not fit the samples or the output.
    """
    if labels.ndim == 0 or len(labels) != samples:
        found = len(labels) if labels.ndim else "one value, not an array"
        raise WhitError(f"{what}: {found} labels for {samples} samples; give one for each")
    if labels.dtype.kind not in "fiubU":
        raise WhitError(
            f"{what}: labels of {labels.dtype} are not supported; give class numbers, class names or floats"
        )
    if labels.dtype.kind == "f" and not np.isfinite(labels).all():
        raise WhitError(f"{what}: the labels hold NaN or infinite values; leave those samples out")
    sigmoid = _is_sigmoid(graph)
    scores = graph.tensors[graph.outputs[0]].size
    names = names or tuple(map(str, range(2 if sigmoid else scores)))
    classes = _classes(labels, scores, names, what)
    if classes is None:
        return Values(_values(graph, labels, what))
    if scores == 1 and not sigmoid:
        if labels.dtype.kind == "U" or (classes.min() >= 0 and classes.max() <= 1 and labels.dtype.kind != "f"):
            raise WhitError(
                f"{what}: labels of two classes for an output that is no sigmoid; end {graph.name} in a sigmoid, or "
                "save the labels as float32 for a regression"
            )
        return Values(_values(graph, labels, what))
    shape = graph.tensors[graph.outputs[0]].shape
    if shape[-1:] not in ((), (scores,)):
        raise WhitError(f"{what}: class labels for an output of {shape}; the model needs one score per class")
    if len(names) != (2 if sigmoid else scores):
        raise WhitError(
            f"{len(names)} class names for {2 if sigmoid else scores} classes of {graph.name}; give one name per class"
        )
    if classes.min() < 0 or classes.max() >= len(names):
        raise WhitError(
            f"{what}: labels {labels.min():g} to {labels.max():g} are out of the range of the model's classes, "
            f"0 to {len(names) - 1}; number the classes as the model's scores"
        )
    return Classes(classes, names)


def _is_sigmoid(graph: Graph) -> bool:
    """Whether the output is one value, a sigmoid's."""
    index = graph.outputs[0]
    made = {op.outputs[0]: op for op in graph.operators}
    while index in made and made[index].kind == "RESHAPE":
        index = made[index].inputs[0]
    return graph.tensors[index].size == 1 and index in made and made[index].kind == "LOGISTIC"


def _classes(labels: np.ndarray, scores: int, names: tuple[str, ...], what: str) -> np.ndarray | None:
    """The numbers of the classes, in or out of range, int64 (samples,); None if these are not labels of classes."""
    if labels.dtype.kind == "U":
        number = {name: i for i, name in enumerate(names)}
        unknown = next((text for text in labels.flat if text not in number), None)
        if labels.size != len(labels) or unknown is not None:
            found = f"the label {str(unknown)!r} is" if unknown is not None else f"labels of {labels.shape} are"
            few = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
            raise WhitError(f"{what}: {found} no name of a class; the classes are {few}; name them with --labels")
        return np.array([number[text] for text in labels.flat], np.int64)
    if labels.size == len(labels):
        flat = labels.reshape(-1)
        whole = (flat == np.trunc(flat.astype(float))).all()
        return np.clip(flat, -1, 1 << 30).astype(np.int64) if whole else None
    rows = labels.reshape(len(labels), -1).astype(float)
    if rows.shape[1] == scores and np.isin(rows, (0, 1)).all() and (rows.sum(1) == 1).all():
        return rows.argmax(1)
    return None


def _values(graph: Graph, labels: np.ndarray, what: str) -> np.ndarray:
    """Labels in the shape of the output: float32 (samples, values)."""
    output = graph.tensors[graph.outputs[0]]
    axes = graph.output_axes[0] if graph.output_axes else ()
    own = tuple(output.shape[axes.index(i)] for i in range(len(axes))) if axes else output.shape
    if labels.size == len(labels) and output.size == 1:
        return labels.reshape(-1, 1).astype(np.float32)
    if not any(labels.shape[1:] in (shape, shape[1:]) for shape in (own, output.shape)):
        given = ", ".join(map(str, own))
        raise WhitError(
            f"{what}: labels of the shape {labels.shape}; give (samples,) class numbers, or values as the output of "
            f"{graph.name}, (samples, {given})"
        )
    # As samples are brought into the axes of an input, so are these into the output's.
    as_input = replace(graph, inputs=graph.outputs, input_axes=graph.output_axes)
    return arrange(as_input, [labels])[0].reshape(len(labels), -1)
