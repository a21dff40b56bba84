"""Structured pruning: whole channels go, those first that the loss would miss least for the work they take."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from .. import costs
from ..channels import Channels, channels, remove
from ..errors import WhitError
from ..graph import Graph
from .distil import ALPHA, TEMPERATURE, lesson
from .loop import RATE, Progress, check_epochs, deterministic, fit, quiet, train
from .network import Network
from .task import Task, task

_ROUNDS = 5  # pruned in so many steps, with training between them
_RATED = 1024  # samples that importance is measured on
_BATCH = 64


def prune(
    graph: Graph,
    samples: np.ndarray,
    labels: np.ndarray | None = None,
    macs: float = 0.5,
    epochs: int = 40,
    seed: int = 0,
    rate: float = RATE,
    distilled: bool = False,
    progress: Progress = quiet,
) -> Graph:
    """A smaller graph with at most the fraction `macs` of the multiply-accumulates, trained again.

    Half of the epochs lie between the steps of pruning, half behind the last.

    Args:
        graph: a trained float graph.
        samples, labels: as in task().
        macs: the part to keep, above 0 and below 1.
        distilled: learn also from the unpruned graph in the epochs behind the last step.
        progress: called with (epochs done, epochs).

    Raises:
        WhitError: a part that cannot be reached, and whatever Network() and task() refuse.
    """
    check_epochs(epochs, rate)
    wanted, work = task(graph, samples, labels), costs.macs(graph)
    small = Network(graph).graph()
    target = check_target(graph, macs)
    rounds = max(min(_ROUNDS, epochs // 2), 1)
    each = epochs // (2 * rounds)
    done = 0
    for i in range(1, rounds + 1):
        network = Network(small)
        units = channels(small)
        ratings = importance(network, wanted, units, seed)
        limit = target if i == rounds else round(work * macs ** (i / rounds))
        small = remove(network.graph(), units, units.choose(units.all(), ratings, limit))
        network = Network(small)

        def report(now: int, total: int, before: int = done) -> None:
            progress(before + now, epochs)

        if i < rounds:
            train(network, wanted, each, seed + i, rate, report)
            done += each
        elif distilled:
            targets, loss = lesson(network, graph, wanted.samples, wanted, TEMPERATURE, ALPHA)
            fit(network, wanted.samples, targets, loss, epochs - done, seed + i, rate, progress=report)
        else:
            train(network, wanted, epochs - done, seed + i, rate, report)
        small = network.graph()
    return small


def check_target(graph: Graph, macs: float) -> int:
    """The multiply-accumulates that a part of `macs` is.

    Raises:
        WhitError: not a part, or less than is left with four channels everywhere.
    """
    if not 0 < macs < 1:
        raise WhitError(f"{macs:g} of the multiply-accumulates cannot be kept; give a part above 0 and below 1")
    work, least = costs.macs(graph), channels(graph).least_macs()
    if work * macs < least:
        raise WhitError(
            f"{graph.name}: {macs:g} of {work:,} multiply-accumulates cannot be reached, with four channels in every "
            f"layer that can lose some {least:,} are left; give at least {np.ceil(100 * least / work) / 100:g}"
        )
    return int(work * macs)


def importance(network: Network, wanted: Task, units: Channels, seed: int) -> np.ndarray:
    """How much the loss would change without each unit: the squared first-order Taylor term (Molchanov et al. 2019).

    A unit is gone when all that read it with weights read zero. So each has a factor of one at those places, and the
    gradient for the factor is the term, squared and averaged over samples. Unlike the size of weights it does not
    depend on how the scale is shared out between layers, which folding and equalizing change.
    """
    measured = _Factors(network.graph(), units)
    order = np.random.default_rng(seed).permutation(len(wanted.samples))[:_RATED]
    chosen = wanted.part(order)
    total = torch.zeros(units.units, dtype=torch.float64)
    with deterministic(measured):
        for samples, targets in zip(chosen.samples.split(_BATCH), chosen.targets.split(_BATCH), strict=True):
            measured.factors = torch.ones(len(samples), units.units, requires_grad=True)
            loss = wanted.loss(measured, measured.logits(samples), targets) * len(samples)
            (gradient,) = torch.autograd.grad(loss, measured.factors)
            total += gradient.double().square().sum(0)
    return (total / len(order)).numpy()


class _Factors(Network):
    """A network in which each unit has a factor, per sample, where weights read it."""

    factors: Tensor  # [n, units]

    def __init__(self, graph: Graph, units: Channels) -> None:
        super().__init__(graph)
        self._ins = {
            at: torch.from_numpy(units.ins[at])
            for at, op in enumerate(graph.operators)
            if op.kind in ("CONV_2D", "FULLY_CONNECTED")
        }

    def entering(self, at: int, value: Tensor) -> Tensor:
        if at not in self._ins:  # a depthwise convolution passes channels on
            return value
        factors = self.factors[:, self._ins[at]]
        rows = value.reshape(len(value), -1, factors.shape[1])
        return (rows * factors[:, None]).reshape(value.shape)
