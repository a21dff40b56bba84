"""plan: where every buffer of a Program lies in the one arena, and for how long."""

from __future__ import annotations

from dataclasses import dataclass

from .device import format as blob
from .program import WRITTEN, Program


@dataclass(frozen=True)
class Plan:
    """Byte offsets in the arena."""

    arena_bytes: int
    offsets: tuple[int, ...]  # of each buffer of the program
    scratch: tuple[int, ...]  # of each step; 0 where the kernel takes none


@dataclass(frozen=True)
class _Block:
    """Something to place: a buffer or a step's scratch, alive from the start of step `first` to the end of `last`."""

    size: int
    first: int
    last: int

    def meets(self, other: _Block) -> bool:
        return self.first <= other.last and other.first <= self.last


def plan(program: Program) -> Plan:
    """Place every buffer so that no two that are alive at once overlap.

    Greedy by size: the largest block goes first, each to the lowest offset where it fits.
    Inputs live from before the first step until they are read for the last time, outputs until the end.
    """
    count = len(program.buffers)
    first = [len(program.steps)] * count
    last = [-1] * count
    for i, step in enumerate(program.steps):
        for name, place in step.arena.items():
            first[place.buffer] = min(first[place.buffer], i)
            last[place.buffer] = max(last[place.buffer], i)
            assert name == WRITTEN or first[place.buffer] < i or any(p.buffer == place.buffer for p in program.inputs)
    for port in program.inputs:
        first[port.buffer] = -1
    for port in program.outputs:
        last[port.buffer] = len(program.steps)
    blocks = [_Block(size, f, end) for size, f, end in zip(program.buffers, first, last, strict=True)]
    blocks += [_Block(step.extents().get("s", 0), i, i) for i, step in enumerate(program.steps)]
    offsets = _place(blocks)
    end = max((o + b.size for o, b in zip(offsets, blocks, strict=True)), default=0)
    arena = -(-max(end, 1) // blob.ALIGN) * blob.ALIGN
    return Plan(arena, tuple(offsets[:count]), tuple(offsets[count:]))


def _place(blocks: list[_Block]) -> list[int]:
    offsets = [0] * len(blocks)
    placed: list[int] = []
    for i in sorted(range(len(blocks)), key=lambda i: (-blocks[i].size, blocks[i].first, i)):
        if not blocks[i].size:
            continue
        taken = sorted((offsets[j], offsets[j] + blocks[j].size) for j in placed if blocks[i].meets(blocks[j]))
        at = 0
        for start, end in taken:
            if at + blocks[i].size <= start:
                break
            at = max(at, -(-end // blob.ALIGN) * blob.ALIGN)
        offsets[i] = at
        placed.append(i)
    return offsets
