"""Distillation: a small network learns the outputs of a large one (Hinton, Vinyals and Dean 2015)."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ..errors import WhitError
from ..graph import Graph
from .loop import RATE, Loss, Progress, deterministic, fit, quiet
from .network import Network
from .task import CLASSES, VALUES, Task, applied, as_samples, task, through

TEMPERATURE = 2.0  # of those tried on the digits of tools/compression.py (1, 2, 4), with
ALPHA = 0.5  # (0.5, 0.9), the pair that did best


def distil(
    student: Graph,
    teacher: Graph,
    samples: np.ndarray,
    labels: np.ndarray | None = None,
    temperature: float = TEMPERATURE,
    alpha: float = ALPHA,
    epochs: int = 30,
    seed: int = 0,
    rate: float = RATE,
    progress: Progress = quiet,
) -> Graph:
    """The student, trained from the weights it has.

    Args:
        student, teacher: float graphs with inputs of one shape and outputs of one shape.
        labels: as in task(); without them the teacher alone is learned from.
        temperature: what logits are divided by before they are compared; without effect on values.
        alpha: the teacher's part of the loss, 0 to 1; the labels' part is the rest.
        progress: called with (epochs done, epochs).

    Raises:
        WhitError: graphs that do not go together, and whatever task() refuses.
    """
    check_settings(temperature, alpha)
    check_pair(student, teacher)
    network = Network(student)
    own = task(student, samples, labels) if labels is not None else None
    inputs = own.samples if own else as_samples(student, samples)
    targets, loss = lesson(network, teacher, inputs, own, temperature, alpha)
    fit(network, inputs, targets, loss, epochs, seed, rate, progress=progress)
    return network.graph()


def lesson(
    network: Network, teacher: Graph, samples: Tensor, own: Task | None, temperature: float, alpha: float
) -> tuple[list[Tensor], Loss]:
    """Targets and loss for fit(): what the teacher makes of the samples, mixed with what their labels ask for."""
    source = Network(teacher)
    with deterministic(source):
        learned = through(source, samples)
    kind = own.kind if own else _kind(source)

    def loss(logits: Tensor, soft: Tensor, *targets: Tensor) -> Tensor:
        value = imitation(kind, network, logits, source, soft, temperature)
        return value if own is None else alpha * value + (1 - alpha) * own.loss(network, logits, *targets)

    return [learned, own.targets] if own else [learned], loss


def imitation(
    kind: str, student: Network, logits: Tensor, teacher: Network, soft: Tensor, temperature: float
) -> Tensor:
    """How far the student's logits are from the teacher's.

    For classes the divergence of the two distributions at the temperature, times its square, so that the gradient keeps
    its size; for values the mean squared difference.
    """
    if kind == VALUES:
        return functional.mse_loss(applied(student, logits), applied(teacher, soft))
    if kind == CLASSES:
        a, b = (torch.log_softmax(x.reshape(-1, x.shape[-1]) / temperature, -1) for x in (logits, soft))
    else:  # a distribution over yes and no
        a, b = (functional.logsigmoid(torch.stack([x, -x], -1) / temperature).reshape(-1, 2) for x in (logits, soft))
    return temperature**2 * functional.kl_div(a, b, reduction="batchmean", log_target=True)


def answers(teacher: Graph, samples: np.ndarray) -> np.ndarray:
    """What the teacher says of samples, as labels: classes where a SOFTMAX makes its output, else its values."""
    network = Network(teacher)
    inputs = as_samples(teacher, samples)
    with deterministic(network):
        logits = through(network, inputs)
    if _kind(network) == CLASSES:
        return logits.argmax(-1).reshape(len(inputs), -1).numpy()
    return applied(network, logits).reshape(len(inputs), -1).numpy()


def _kind(teacher: Network) -> str:
    return CLASSES if teacher.head is not None and teacher.head.kind == "SOFTMAX" else VALUES


def check_settings(temperature: float, alpha: float) -> None:
    """Raises: WhitError: a temperature or a part of the loss that makes no sense."""
    if not 0 < temperature < 1e3 or not 0 <= alpha <= 1:
        raise WhitError(
            f"temperature {temperature:g} and alpha {alpha:g} are not supported; "
            "give a temperature above 0 and below 1000, and an alpha from 0 to 1"
        )


def check_pair(student: Graph, teacher: Graph) -> None:
    """Raises: WhitError: the two do not take the same samples, or do not make the same outputs."""
    for what, one, other in (
        ("take", student.inputs, teacher.inputs),
        ("make", student.outputs, teacher.outputs),
    ):
        shapes = [[g.tensors[i].shape for i in which] for g, which in ((student, one), (teacher, other))]
        if shapes[0] != shapes[1]:
            mine, its = (", ".join(map(str, s)) for s in shapes)
            raise WhitError(
                f"{student.name} and its teacher {teacher.name} {what} {mine} and {its}; give two models of the same "
                "inputs and outputs"
            )
