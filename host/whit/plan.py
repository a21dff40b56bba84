"""plan: where every buffer of a Program lies in the one arena, and for how long."""

from __future__ import annotations

from dataclasses import dataclass

from .device import format as blob
from .lifetimes import Life, Need, aligned, aligned_overlap, dying_inputs, least_bytes, lifetimes, needs
from .place import Block, place
from .program import WRITTEN, Program


@dataclass(frozen=True)
class Plan:
    """Byte offsets in the arena, and the bound that they are to be held against."""

    arena_bytes: int
    offsets: tuple[int, ...]  # of each buffer of the program
    scratch: tuple[int, ...]  # of each step; 0 where the kernel takes none
    least_bytes: int  # no plan of these steps in this order takes less
    needs: tuple[Need, ...]  # of each step

    @property
    def least_without_scratch(self) -> int:
        """The bound if no kernel took scratch."""
        return max((need.bytes - need.scratch for need in self.needs), default=self.least_bytes)

    @property
    def peak(self) -> int:
        """The step that needs most."""
        return max(range(len(self.needs)), key=lambda i: self.needs[i].bytes)


def plan(program: Program) -> Plan:
    """Place every buffer and every step's scratch.

    What is alive at once lies apart, but for the output of a step and an input that dies with it: those may overlap
    as far as the order of the kernel's accesses allows.
    """
    lives = lifetimes(program)
    count = len(lives)
    scratch = [Life(i, i) for i in range(len(program.steps))]
    sizes = [*program.buffers, *(step.extents().get("s", 0) for step in program.steps)]
    blocks = _blocks(program, [*lives, *scratch], [aligned(size) for size in sizes])
    steps = needs(program, lives)
    least = least_bytes(program, steps)
    offsets = place(blocks, least, _orders(blocks, [*lives, *scratch], steps))
    end = max((at + block.size for at, block in zip(offsets, blocks, strict=True)), default=0)
    offsets = [at if size else 0 for at, size in zip(offsets, sizes, strict=True)]
    return Plan(max(end, blob.ALIGN), tuple(offsets[:count]), tuple(offsets[count:]), least, tuple(steps))


def _blocks(program: Program, lives: list[Life], sizes: list[int]) -> list[Block]:
    blocks = [Block(size) for size in sizes]
    for i, step in enumerate(program.steps):
        output = step.arena[WRITTEN].buffer
        if lives[output].first < i:
            continue
        dying = {p.buffer for p in step.arena.values() if lives[p.buffer].last == i}
        for buffer, overlap in dying_inputs(step, dying).items():
            found = aligned_overlap(overlap)
            if found is not None:
                blocks[output].over[buffer] = found
                blocks[buffer].under[output] = found
    for i, block in enumerate(blocks):
        for j in range(i):
            overlapping = j in block.over or j in block.under
            if block.size and blocks[j].size and lives[i].meets(lives[j]) and not overlapping:
                block.apart.add(j)
                blocks[j].apart.add(i)
    return blocks


def _orders(blocks: list[Block], lives: list[Life], steps: list[Need]) -> list[list[int]]:
    """Orders to start the search from: by size, by time, and by how tight the tightest step of a block is."""

    def tightest(i: int) -> int:
        return max(
            (steps[t].bytes for t in range(max(0, lives[i].first), min(len(steps), lives[i].last + 1))), default=0
        )

    keys = (
        lambda i: (-blocks[i].size, lives[i].first, i),
        lambda i: (lives[i].first, -blocks[i].size, i),
        lambda i: (-lives[i].last, -blocks[i].size, i),
        lambda i: (-tightest(i), -blocks[i].size, i),
    )
    return [sorted(range(len(blocks)), key=key) for key in keys]
