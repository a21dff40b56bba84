"""order: the order of a Program's steps, where the graph leaves a choice, that needs the least arena."""

from __future__ import annotations

import heapq
from dataclasses import replace

from .lifetimes import after, before, least_bytes, lifetimes, need, needs
from .program import WRITTEN, Program, Step

_MOST_STATES = 5_000  # sets of steps that may have run; graphs of a few branches have hundreds
_MOST_TRIED = 25_000  # next steps looked at; a set of a graph with many branches has as many as it has branches


def order(program: Program) -> Program:
    """The same program with its steps in an order of the least peak; as it is where no order is better.

    A search for the path of the least peak through the sets of steps that may have run. How many bytes a step needs
    depends on that set alone, so of two ways to the same set the one with the lower peak is enough.
    """
    steps = program.steps
    earlier = _before(program)
    given = least_bytes(program, needs(program, lifetimes(program)))
    if given <= max((_alone(program, step) for step in steps), default=given):
        return program
    everything = (1 << len(steps)) - 1
    peaks = _Peaks(program)
    # Lowest peak first, then the longest way, then the nearest to the given order.
    ways: list[tuple[int, int, tuple[int, ...], int]] = [(0, 0, (), 0)]
    seen: set[int] = set()
    tried = 0
    while ways and len(seen) < _MOST_STATES and tried < _MOST_TRIED:
        peak, _, way, done = heapq.heappop(ways)
        if done == everything:
            found = replace(program, steps=tuple(steps[i] for i in way))
            better = least_bytes(found, needs(found, lifetimes(found))) < given
            return found if better else program
        if done in seen:
            continue
        seen.add(done)
        for i in range(len(steps)):
            if not done >> i & 1 and earlier[i] & ~done == 0 and done | 1 << i not in seen:
                tried += 1
                highest = max(peak, peaks.of(i, done))
                if highest < given:
                    heapq.heappush(ways, (highest, -len(way) - 1, (*way, i), done | 1 << i))
    return program


def _alone(program: Program, step: Step) -> int:
    """What a step needs in any order: with nothing alive but what it reads and writes, all of which dies."""
    buffers = {place.buffer for place in step.arena.values()}
    return need(program, step, buffers, True, buffers).bytes


def _before(program: Program) -> list[int]:
    """For each step the set, as bits, of those that must run before it: one of the two writes what both touch."""
    touched: list[tuple[set[int], int]] = []
    found = []
    for step in program.steps:
        buffers, written = {place.buffer for place in step.arena.values()}, step.arena[WRITTEN].buffer
        found.append(sum(1 << j for j, (theirs, out) in enumerate(touched) if out in buffers or written in theirs))
        touched.append((buffers, written))
    return found


class _Peaks:
    """What a step needs once a set of others has run."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.inputs, self.outputs = before(program), after(program)
        count = len(program.buffers)
        self.users = [0] * count  # as bits
        for i, step in enumerate(program.steps):
            for place in step.arena.values():
                self.users[place.buffer] |= 1 << i

    def of(self, i: int, done: int) -> int:
        step = self.program.steps[i]
        output = step.arena[WRITTEN].buffer
        after = done | 1 << i
        held = [b for b, users in enumerate(self.users) if users & done or b in self.inputs]
        alive = {b for b in held if self.users[b] & ~done or b in self.outputs} | {output}
        dying = {b for b in alive if not self.users[b] & ~after and b not in self.outputs}
        return need(self.program, step, alive, output not in held, dying).bytes
