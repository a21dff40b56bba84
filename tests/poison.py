"""poison: dead bytes of the arena are overwritten, so that whoever reads them computes something else."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from whit.device import opset
from whit.emulate import Job
from whit.emulate.run import POISON
from whit.lifetimes import lifetimes
from whit.pack import Packed
from whit.plan import Plan
from whit.program import ROWS, Program

_FILL = ROWS["fill"]


def dead_after(program: Program, plan: Plan) -> Iterator[np.ndarray]:
    """Which bytes of the arena are dead before the first step, then behind each: those of no buffer that is alive both
    in the step and in the one behind it."""
    lives = lifetimes(program)
    for step in range(-1, len(program.steps)):
        dead = np.ones(plan.arena_bytes, bool)
        for at, size, life in zip(plan.offsets, program.buffers, lives, strict=True):
            if life.first <= step < life.last:
                dead[at : at + size] = False
        yield dead


@dataclass(frozen=True)
class Poisoned(Job):
    """A job with a `fill` for each dead piece of the arena behind every step."""

    fills: tuple[bytes, ...] = ()

    def parts(self) -> tuple[bytes, bytes, bytes]:
        steps, weights, arena = super().parts()
        sizes = [struct.calcsize(opset.struct_of(row)) for row, _ in opset.records(steps)]
        ends = np.cumsum([0, *sizes])
        records = [steps[start:end] for start, end in pairwise(ends)]
        return b"".join(r + fill for r, fill in zip(records, self.fills, strict=True)), weights, arena


def poisoned(packed: Packed, inputs: tuple[bytes, ...], **options: bool) -> Poisoned:
    """The job of these inputs with all that dies overwritten; before the first step run() sees to it."""
    _, *behind = dead_after(packed.program, packed.plan)
    return Poisoned(packed.blob, inputs, **options, fills=tuple(b"".join(map(_fill, *_pieces(d))) for d in behind))


def _pieces(dead: np.ndarray) -> tuple[list[int], list[int]]:
    """Offsets and sizes of what is dead."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], dead, [False]])))
    return edges[::2].tolist(), (edges[1::2] - edges[::2]).tolist()


def _fill(at: int, size: int) -> bytes:
    layout = opset.struct_of(_FILL)
    return struct.pack(layout, _FILL[0], 0, struct.calcsize(layout), at, size, POISON)
