"""The training loop: epochs, batches, AdamW with a cosine schedule, and nothing random that the seed does not fix."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from ..errors import WhitError
from .network import Network
from .task import Task

Progress = Callable[[int, int], None]
Loss = Callable[..., Tensor]  # of logits, and of a batch of each target
RATE = 1e-3
_LARGEST_GRADIENT = 1.0  # its norm: folded batch norms leave layers of very different scale
_DECAY = 1e-4
_SMALL = 4_000_000  # multiply-accumulates of a sample: less and one thread is faster than several


def quiet(done: int, total: int) -> None:
    """The progress that nobody looks at."""


def check_epochs(epochs: int, rate: float) -> None:
    """Raises: WhitError: less than one epoch, or a learning rate that is not a positive number."""
    if epochs < 1 or not (math.isfinite(rate) and rate > 0):
        raise WhitError(f"{epochs} epochs at the learning rate {rate:g} train nothing; give at least 1 and a rate > 0")


def fit(
    network: Network,
    samples: Tensor,
    targets: Sequence[Tensor],
    loss: Loss,
    epochs: int,
    seed: int = 0,
    rate: float = RATE,
    batch: int = 64,
    progress: Progress = quiet,
) -> None:
    """Train the parameters of `network` in place.

    The learning rate rises over the first twentieth of the steps and falls to zero along a cosine. One machine and one
    seed give the same bytes; PyTorch's own random state is what it was before.

    Args:
        samples: [n, *shape of the input].
        targets: tensors with n in front: what `loss` takes of each sample beside the logits.
        loss: the mean over a batch.
        batch: samples in a step.
        progress: called with (epochs done, epochs).

    Raises:
        WhitError: the loss is no longer a number.
    """
    check_epochs(epochs, rate)
    with deterministic(network, seed):
        steps = epochs * -(-len(samples) // batch)
        warm = max(steps // 20, 1)
        optimizer = torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=_DECAY)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: min((step + 1) / warm, (1 + math.cos(math.pi * step / steps)) / 2)
        )
        for epoch in range(epochs):
            for chosen in torch.randperm(len(samples)).split(batch):
                optimizer.zero_grad()
                value = loss(network.logits(samples[chosen]), *(target[chosen] for target in targets))
                if not torch.isfinite(value):
                    raise WhitError(
                        f"the loss became {value.item():g} in epoch {epoch + 1}; lower the learning rate, or scale "
                        "the samples to about -1 to 1"
                    )
                value.backward()
                torch.nn.utils.clip_grad_norm_(network.parameters(), _LARGEST_GRADIENT)
                optimizer.step()
                schedule.step()
            progress(epoch + 1, epochs)


@contextmanager
def deterministic(network: Network, seed: int = 0) -> Iterator[None]:
    """Deterministic algorithms and a seeded generator inside, everything as it was outside.

    A small network gets one thread: its steps are too short to be shared out.
    """
    before, warn = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    threads = torch.get_num_threads()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        torch.use_deterministic_algorithms(True)
        torch.set_num_threads(1 if network.macs < _SMALL else threads)
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(before, warn_only=warn)
            torch.set_num_threads(threads)


def train(
    network: Network, task: Task, epochs: int, seed: int = 0, rate: float = RATE, progress: Progress = quiet
) -> None:
    """fit() on the loss of the task alone."""

    def loss(logits: Tensor, targets: Tensor) -> Tensor:
        return task.loss(network, logits, targets)

    fit(network, task.samples, [task.targets], loss, epochs, seed, rate, progress=progress)
