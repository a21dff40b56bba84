"""What a network is trained for, by its labels: the loss of its logits, and a score of how well it does."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ..errors import WhitError
from ..graph import Graph
from ..samples import arrange, class_numbers
from .network import Network

CLASSES, BINARY, VALUES = "classes", "binary", "values"
_LEAST = 10  # samples for a held-out part
_BATCH = 256  # of samples that only go through


@dataclass(frozen=True)
class Task:
    """Samples and what the network is to make of them.

    kind: CLASSES for a class number a position, BINARY for 0 or 1 from a single LOGISTIC, VALUES for numbers.
    samples: [n, *shape of the input], float32.
    targets: int64 [n, positions], or float32 [n, size of the output].
    """

    kind: str
    samples: Tensor
    targets: Tensor

    @property
    def measure(self) -> str:
        """What score() gives."""
        return "mean squared error" if self.kind == VALUES else "accuracy"

    def part(self, indices: np.ndarray) -> Task:
        """The task on some of the samples."""
        chosen = torch.from_numpy(indices)
        return replace(self, samples=self.samples[chosen], targets=self.targets[chosen])

    def loss(self, network: Network, logits: Tensor, targets: Tensor) -> Tensor:
        """The mean over a batch: cross entropy for classes, squared error for values."""
        if self.kind == CLASSES:
            return functional.cross_entropy(logits.reshape(-1, logits.shape[-1]), targets.reshape(-1))
        flat = logits.reshape(targets.shape)
        if self.kind == BINARY:
            return functional.binary_cross_entropy_with_logits(flat, targets.to(flat.dtype))
        return functional.mse_loss(applied(network, flat), targets)

    def score(self, outputs: np.ndarray) -> float:
        """Of outputs [n, *shape]: the part of the positions that are right, or the mean squared error."""
        flat = outputs.reshape(len(outputs), -1)
        targets = self.targets.numpy()
        if self.kind == VALUES:
            return float(np.square(flat.astype(np.float64) - targets).mean())
        found = outputs.reshape(*targets.shape, -1).argmax(-1) if self.kind == CLASSES else flat > 0.5
        return float((found == targets).mean())


def held_out(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Samples to train with, and a fifth of all to measure with: numbers below `count`, drawn at random.

    Raises:
        WhitError: too few for both.
    """
    if count < _LEAST:
        raise WhitError(
            f"{count} samples are too few to train with some and measure with others; give {_LEAST} or more"
        )
    order = np.random.default_rng(seed).permutation(count)
    return np.sort(order[count // 5 :]), np.sort(order[: count // 5])


def applied(network: Network, logits: Tensor) -> Tensor:
    """The output that the logits make: numbers are compared behind a LOGISTIC."""
    return torch.sigmoid(logits) if network.head is not None and network.head.kind == "LOGISTIC" else logits


def through(network: Network, samples: Tensor) -> Tensor:
    """The logits of all samples, without gradients."""
    with torch.no_grad():
        return torch.cat([network.logits(batch) for batch in samples.split(_BATCH)])


def outputs(graph: Graph, samples: Tensor) -> np.ndarray:
    """What a float graph makes of all samples, [n, *shape]."""
    network = Network(graph)
    with torch.no_grad():
        return torch.cat([network(batch)[0] for batch in samples.split(_BATCH)]).numpy()


def task(graph: Graph, samples: np.ndarray, labels: np.ndarray | None = None) -> Task:
    """What `labels` ask of a network with the input and output of `graph`.

    Args:
        samples: as arrange() takes them.
        labels: integers, whole floats and one-hot rows are class numbers, one a sample (integers also one for each
            position of the output); other floats are the values of the output; None asks for the samples themselves.

    Raises:
        WhitError: samples or labels that the graph does not take; the text says which and what to give.
    """
    inputs = as_samples(graph, samples)
    shape = graph.tensors[graph.outputs[0]].shape
    softmax = any(op.kind == "SOFTMAX" and op.outputs == graph.outputs for op in graph.operators)
    size, positions = math.prod(shape), math.prod(shape[:-1])
    if labels is None:
        if math.prod(graph.tensors[graph.inputs[0]].shape) != size or softmax:
            raise WhitError(
                f"{graph.name}: without labels the outputs are compared with the samples, but the model makes {shape} "
                f"of {graph.tensors[graph.inputs[0]].shape}; give labels"
            )
        return Task(VALUES, inputs, inputs.reshape(len(inputs), -1))
    if labels.ndim == 0 or len(labels) != len(inputs):
        raise WhitError(
            f"{graph.name}: {len(inputs)} samples and labels of the shape {labels.shape} were given; "
            "give one label for each sample"
        )
    labels = class_numbers(labels, shape[-1] if shape and positions == 1 else 1)
    per_label = labels.size // len(labels)
    if labels.dtype.kind in "iub":
        classes = shape[-1] if shape else 1
        kind = CLASSES if classes > 1 else BINARY
        if per_label != positions:
            raise WhitError(
                f"{graph.name}: integer labels of the shape {labels.shape} are {per_label} class numbers a sample, the "
                f"output {shape} takes {positions}; give class numbers, or floats for values"
            )
        if kind == BINARY and not any(op.kind == "LOGISTIC" and op.outputs == graph.outputs for op in graph.operators):
            raise WhitError(
                f"{graph.name}: integer labels are class numbers, but the model has a single output without LOGISTIC; "
                "give floats for values"
            )
        most = max(classes, 2) - 1
        if labels.min() < 0 or labels.max() > most:
            raise WhitError(
                f"{graph.name}: labels from {labels.min()} to {labels.max()} were given, the model tells {most + 1} "
                f"classes apart; give 0 to {most}"
            )
        return Task(kind, inputs, torch.from_numpy(labels.reshape(len(labels), -1).astype(np.int64)))
    if softmax:
        raise WhitError(
            f"{graph.name}: labels of {labels.dtype} {labels.shape} were given to a model that ends in SOFTMAX; "
            "give class numbers as integers"
        )
    return Task(VALUES, inputs, _values(graph, labels))


def as_samples(graph: Graph, samples: np.ndarray) -> Tensor:
    """[n, *shape of the input], float32.

    Raises:
        WhitError: not as arrange() takes them, or the model has more than one input or output.
    """
    if len(graph.inputs) != 1 or len(graph.outputs) != 1:
        raise WhitError(
            f"{graph.name}: {len(graph.inputs)} inputs and {len(graph.outputs)} outputs are not supported in training "
            "(1 of each); export a model with one of each"
        )
    return torch.from_numpy(np.ascontiguousarray(arrange(graph, [samples])[0]))


def _values(graph: Graph, labels: np.ndarray) -> Tensor:
    """Float labels as values of the output, [n, size]."""
    if labels.dtype.kind != "f":
        raise WhitError(f"{graph.name}: labels of {labels.dtype} are not supported; give integers or floats")
    tensor, axes = graph.tensors[graph.outputs[0]], graph.output_axes[0] if graph.output_axes else ()
    if labels.size != len(labels) * tensor.size:
        raise WhitError(
            f"{graph.name}: the output {tensor.shape} has {tensor.size} values a sample, the labels are "
            f"{labels.shape}; give as many for each sample"
        )
    values = labels.astype(np.float32)
    if not np.isfinite(values).all():
        raise WhitError(f"{graph.name}: the labels hold NaN or infinite values; leave those samples out")
    if axes:
        values = values.reshape(len(values), *(tensor.shape[axes.index(i)] for i in range(len(axes))))
        values = values.transpose(0, *(1 + axis for axis in axes))
    return torch.from_numpy(np.ascontiguousarray(values.reshape(len(values), -1)))
