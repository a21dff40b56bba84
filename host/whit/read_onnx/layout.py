"""How a model's array lies in memory once its channels are last: moving axes costs nothing until a kernel looks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Layout:
    """Memory is a packed array of the dimensions `sizes`, none of which is 1.

    Axis i of the model's array is the product of the dimensions axes[i] of memory, the first of them the slowest; ()
    for an axis of size 1.
    """

    sizes: tuple[int, ...]
    axes: tuple[tuple[int, ...], ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """The model's own."""
        return tuple(math.prod(self.sizes[d] for d in axis) for axis in self.axes)

    @property
    def size(self) -> int:
        return math.prod(self.sizes)

    def dimensions(self, axes: Sequence[int]) -> tuple[int, ...]:
        """The dimensions of memory of these axes, one after the other."""
        return tuple(d for axis in axes for d in self.axes[axis])

    def ordered(self, axes: Sequence[int]) -> bool:
        """Whether memory holds exactly these axes in this order."""
        return self.dimensions(axes) == tuple(range(len(self.sizes)))

    def transposed(self, permutation: Sequence[int]) -> Layout:
        return Layout(self.sizes, tuple(self.axes[p] for p in permutation))

    def reshaped(self, shape: Sequence[int]) -> Layout | None:
        """The same memory under another shape of the model; None where that would take moving elements."""
        runs = self._runs()
        pieces: list[list[int]] = [[] for _ in runs]  # the sizes that each run of memory is cut into
        axes: list[list[tuple[int, int]]] = []  # per axis: (run, piece)
        at, left = 0, runs[0][1] if runs else 1
        for n in shape:
            axis: list[tuple[int, int]] = []
            while n > 1:
                if left == 1:
                    at += 1
                    if at == len(runs):
                        return None
                    left = runs[at][1]
                taken = min(n, left)
                if n % taken or left % taken:
                    return None
                axis.append((at, len(pieces[at])))
                pieces[at].append(taken)
                n, left = n // taken, left // taken
            axes.append(axis)
        if left != 1 or at + 1 < len(runs):
            return None
        order = sorted(range(len(runs)), key=lambda run: runs[run][0])
        first: dict[int, int] = {}
        for run in order:
            first[run] = sum(len(pieces[r]) for r in first)
        sizes = tuple(n for run in order for n in pieces[run])
        return Layout(sizes, tuple(tuple(first[run] + piece for run, piece in axis) for axis in axes))

    def _runs(self) -> list[tuple[int, int]]:
        """(first dimension, elements) of the pieces of memory that follow each other in the model's order too."""
        runs: list[tuple[int, int]] = []
        last = -2
        for d in self.dimensions(range(len(self.axes))):
            if d == last + 1:
                runs[-1] = (runs[-1][0], runs[-1][1] * self.sizes[d])
            else:
                runs.append((d, self.sizes[d]))
            last = d
        return runs

    def same_memory(self, other: Layout) -> bool:
        """Whether equal elements of two arrays of one shape lie at equal places."""

        def order(layout: Layout) -> list[tuple[int, int]]:
            runs = layout._runs()
            ranks = sorted(first for first, _ in runs)
            return [(ranks.index(first), n) for first, n in runs]

        return self.shape == other.shape and order(self) == order(other)

    def arrange(self, values: np.ndarray) -> np.ndarray:
        """An array of the model's shape, as it lies in memory: one dimension."""
        order = self.dimensions(range(len(self.axes)))
        atoms = values.reshape([self.sizes[d] for d in order])
        return np.transpose(atoms, np.argsort(order)).reshape(-1) if order else atoms.reshape(-1)

    def axis(self, axis: int) -> Layout:
        """One axis on its own, in the order in which its dimensions lie in memory."""
        dims = sorted(self.axes[axis])
        return Layout(tuple(self.sizes[d] for d in dims), (tuple(dims.index(d) for d in self.axes[axis]),))


def packed(shape: Sequence[int], order: Sequence[int] | None = None) -> Layout:
    """An array whose axes lie in memory in `order`, by default their own."""
    dims = [axis for axis in (range(len(shape)) if order is None else order) if shape[axis] != 1]
    return Layout(
        tuple(shape[axis] for axis in dims),
        tuple((dims.index(axis),) if axis in dims else () for axis in range(len(shape))),
    )


def channels_last(shape: Sequence[int], channels: Layout) -> Layout:
    """An image (1, channels, ...) with its channels last, and these as `channels`, one axis, has them."""
    spatial = packed(shape[2:])
    first = len(spatial.sizes)
    axes = ((), tuple(first + d for d in channels.axes[0]), *spatial.axes)
    return Layout(spatial.sizes + channels.sizes, axes)
