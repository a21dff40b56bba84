"""place: offsets for blocks in one arena, some of which may not meet and some may lie over another in part."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from .overlap import Overlap

_MOST_PLACED = 400_000  # blocks in all trials together: seconds


@dataclass
class Block:
    """Something to place: its size, and those of the other blocks that matter for it, by their index."""

    size: int
    apart: set[int] = field(default_factory=set)  # may not share a byte with it
    over: dict[int, Overlap] = field(default_factory=dict)  # may be overlapped, at these distances: theirs - its own
    under: dict[int, Overlap] = field(default_factory=dict)  # may overlap it, at these distances: its own - theirs


def place(blocks: Sequence[Block], least: int, orders: Sequence[Sequence[int]]) -> list[int]:
    """Offsets that end as low as a search finds, which stops at `least`.

    Blocks are placed one after another, each as low as those before it let it lie; sorted by its offsets, any tight
    placement arises so. What is searched for is the order: the best of `orders`, then one block moved forward at a
    time, mostly one that ends highest. Deterministic, also over versions of Python.
    """
    best = min((_Trial(blocks, list(order)) for order in orders), key=lambda trial: trial.cost(least))
    now, since, left = best, 0, _MOST_PLACED // max(1, len(blocks))
    chance = random.Random(0).random
    while best.end > least and left > 0:
        left -= 1
        trial = _Trial(blocks, now.neighbour(chance), now.end)
        if trial.end <= now.end and trial.cost(least) <= now.cost(least):
            since = 0 if trial.cost(least) < now.cost(least) else since + 1
            now = trial
        else:
            since += 1
        if now.cost(least) < best.cost(least):
            best = now
        if since > 40 * len(blocks):  # stuck: from another order, shaken
            order = list(orders[int(chance() * len(orders))])
            for _ in range(3):
                order.insert(int(chance() * len(order)), order.pop(int(chance() * len(order))))
            now, since = _Trial(blocks, order), 0
    return best.offsets


class _Trial:
    """The placement that an order of the blocks gives; abandoned, with an end beyond `limit`, where it exceeds that."""

    def __init__(self, blocks: Sequence[Block], order: list[int], limit: int | None = None) -> None:
        self.blocks, self.order = blocks, order
        self.offsets = [0] * len(blocks)
        self.end = 0
        placed: set[int] = set()
        for i in order:
            self.offsets[i] = _lowest(blocks[i], placed, blocks, self.offsets)
            placed.add(i)
            self.end = max(self.end, self.offsets[i] + blocks[i].size)
            if limit is not None and self.end > limit:
                return

    def cost(self, least: int) -> tuple[int, int]:
        """The end, then by how much all blocks together exceed the bound."""
        ends = (at + block.size - least for at, block in zip(self.offsets, self.blocks, strict=True))
        return self.end, sum(end for end in ends if end > 0)

    def neighbour(self, chance: Callable[[], float]) -> list[int]:
        """Another order: a block moved to an earlier turn."""
        order = self.order.copy()
        highest = [t for t, i in enumerate(order) if self.offsets[i] + self.blocks[i].size == self.end]
        turns = highest if chance() < 0.7 else range(len(order))
        turn = turns[int(chance() * len(turns))]
        order.insert(int(chance() * (turn + 1)), order.pop(turn))
        return order


def _lowest(block: Block, placed: set[int], blocks: Sequence[Block], offsets: list[int]) -> int:
    """The lowest offset at which the block agrees with those placed."""
    size = block.size
    apart = sorted((offsets[j], offsets[j] + blocks[j].size) for j in block.apart & placed)
    over = [(offsets[j], blocks[j].size, o) for j, o in block.over.items() if j in placed]
    under = [(offsets[j], blocks[j].size, o) for j, o in block.under.items() if j in placed]
    at, before = 0, -1
    while at != before:
        before = at
        for start, end in apart:
            if at < end and start < at + size:
                at = end
        for start, theirs, overlap in over:  # the block is the output, the placed one the input
            if at < start + theirs and start < at + size and not overlap.allows(start - at):
                lower = at + (start - at - overlap.least) % overlap.stride
                at = lower if overlap.allows(start - lower) and lower < start + theirs else start + theirs
        for start, theirs, overlap in under:  # the other way round
            if at < start + theirs and start < at + size and not overlap.allows(at - start):
                at = max(at, start + overlap.least)
                at = min(at + (start + overlap.least - at) % overlap.stride, start + theirs)
    return at
