"""lifetimes: when each buffer of a Program is alive, and how many bytes of arena a step cannot do without."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from math import gcd

from .device import format as blob
from .overlap import Overlap, overlaps
from .program import WRITTEN, Program, Step


@dataclass(frozen=True)
class Life:
    """A buffer is alive from the start of step `first` to the end of step `last`."""

    first: int
    last: int

    def meets(self, other: Life) -> bool:
        return self.first <= other.last and other.first <= self.last


@dataclass(frozen=True)
class Need:
    """Bytes of arena while a step runs, each buffer rounded up to the alignment of the arena."""

    alive: int  # of all buffers that hold a value then
    overlap: int  # of `alive`, what the output can save by lying over inputs that die
    scratch: int

    @property
    def bytes(self) -> int:
        return self.alive - self.overlap + self.scratch


def before(program: Program) -> set[int]:
    """The buffers that hold something before the first step."""
    return {p.buffer for p in program.inputs} | {state.buffer for state in program.states}


def after(program: Program) -> set[int]:
    """The buffers that are used behind the last step."""
    return {p.buffer for p in program.outputs} | {state.buffer for state in program.states}


def lifetimes(program: Program) -> list[Life]:
    """Of each buffer. Inputs live from before the first step to their last reader, outputs to the end, states for
    all the time."""
    count, held = len(program.buffers), before(program)
    first, last = [len(program.steps)] * count, [-1] * count
    for i, step in enumerate(program.steps):
        for name, place in step.arena.items():
            first[place.buffer] = min(first[place.buffer], i)
            last[place.buffer] = max(last[place.buffer], i)
            assert name == WRITTEN or first[place.buffer] < i or place.buffer in held
    for buffer in held:
        first[buffer] = -1
    for buffer in after(program):
        last[buffer] = len(program.steps)
    return [Life(*life) for life in zip(first, last, strict=True)]


def dying_inputs(step: Step, dying: Collection[int]) -> dict[int, Overlap]:
    """The input buffers among `dying` that a new output buffer may lie over, and at which distances of the two."""
    allowed = overlaps(step)
    output = step.arena[WRITTEN]
    found: dict[int, Overlap] = {}
    refused = {output.buffer}
    for name, place in step.arena.items():
        if name == WRITTEN:
            continue
        overlap = allowed.get(name)
        if overlap is not None:
            overlap = Overlap(overlap.least - place.offset + output.offset, overlap.stride)
        if overlap is None or found.setdefault(place.buffer, overlap) != overlap:
            refused.add(place.buffer)
    return {buffer: overlap for buffer, overlap in found.items() if buffer in dying and buffer not in refused}


def aligned(size: int) -> int:
    """`size` up to the next offset at which a buffer may start."""
    return -(-size // blob.ALIGN) * blob.ALIGN


def aligned_overlap(overlap: Overlap) -> Overlap | None:
    """Those of its distances that two aligned buffers can have."""
    shared = gcd(overlap.stride, blob.ALIGN)
    if overlap.least % shared:
        return None
    least = overlap.least
    while least % blob.ALIGN:
        least += overlap.stride
    return Overlap(least, overlap.stride * blob.ALIGN // shared)


def need(program: Program, step: Step, alive: Collection[int], born: bool, dying: Collection[int]) -> Need:
    """What a step needs at least.

    Args:
        alive: the buffers that hold a value before, while or after it runs, its output included.
        born: whether the output holds nothing before it.
        dying: those of `alive` that hold nothing that is used after it.
    """
    output = step.arena[WRITTEN].buffer
    written = aligned(program.buffers[output])
    saved = 0
    if born:
        for buffer, overlap in dying_inputs(step, dying).items():
            saved += _shared(aligned(program.buffers[buffer]), written, overlap)
    scratch = aligned(step.extents().get("s", 0))
    return Need(sum(aligned(program.buffers[b]) for b in alive), min(saved, written), scratch)


def needs(program: Program, lives: list[Life]) -> list[Need]:
    """What each step needs at least."""
    found = []
    for i, step in enumerate(program.steps):
        alive = [b for b, life in enumerate(lives) if life.first <= i <= life.last]
        dying = {b for b in alive if lives[b].last == i}
        found.append(need(program, step, alive, lives[step.arena[WRITTEN].buffer].first == i, dying))
    return found


def least_bytes(program: Program, steps: Collection[Need]) -> int:
    """No plan takes less: the largest need of a step, or of what is alive before the first or behind the last."""
    ends = [sum(aligned(program.buffers[b]) for b in buffers) for buffers in (before(program), after(program))]
    return max(blob.ALIGN, *ends, *(step.bytes for step in steps))


def _shared(x: int, y: int, overlap: Overlap) -> int:
    """The most bytes that an input of x bytes and an output of y bytes can share."""
    found = aligned_overlap(overlap)
    if found is None:
        return 0
    # From one lying inside the other on, the larger the distance, the less they share.
    inside = min(0, y - x)
    step = found.stride
    nearest = found.least + max(0, inside - found.least) // step * step
    return max(max(0, min(y, d + x) - max(0, d)) for d in (nearest, nearest + step))
