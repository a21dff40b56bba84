"""Run .whit files on an emulated core and count what each call took."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import prod

from ..device import check, opset, state
from ..device import format as blob_format
from ..errors import WhitError
from ..inspect import describe
from .cores import Core, emulate
from .kernels import SETS, Buffers, Kernels
from .memory import Block

POISON = 0x55  # fills the arena: a kernel that reads what nobody wrote gives other bytes than the reference
CALL = struct.Struct("<9I")  # of tools/harness/harness.c
FRAMES = 20  # more than there are register windows


@dataclass(frozen=True)
class Job:
    """One inference: a .whit file and the bytes of each input.

    apart: a call for each step, as viper kernels have in any case.
    deep: many frames before and inside each call, so that on Xtensa the kernels start in any register window, and
        what theirs hold goes to the stack and comes back.
    guard: bytes that lie on both sides of the weights and of the arena, a multiple of 16 of them.
    """

    blob: bytes
    inputs: tuple[bytes, ...]
    apart: bool = False
    deep: bool = False
    guard: bytes = b""

    def parts(self) -> tuple[bytes, bytes, bytes]:
        """Steps, weights, and the arena with the inputs, and what a streaming model starts with, in it."""
        arena_bytes, sections, *_ = check.check("job", memoryview(self.blob))
        places = sections[blob_format.STEPS], sections[blob_format.WEIGHTS]
        steps, weights = (self.blob[at : at + size] for at, size in places)
        arena = bytearray([POISON]) * arena_bytes
        if blob_format.STATE in sections:
            at, size = sections[blob_format.STATE]
            state.write(memoryview(self.blob)[at : at + size], memoryview(arena))
        for port, data in zip(describe(self.blob)["inputs"], self.inputs, strict=True):
            arena[port["offset"] : port["offset"] + len(data)] = data
        return steps, weights, bytes(arena)


@dataclass(frozen=True)
class Result:
    """What came of a job.

    outputs: the bytes of each.
    instructions: of each call.
    crc32: of what each step wrote, in their order, as in the file's self-test; nothing where the steps were not apart.
    """

    outputs: tuple[bytes, ...]
    instructions: tuple[int, ...]
    crc32: int


def run(core: Core, kernels: str, jobs: Sequence[Job], *, forged: bool = False) -> list[Result]:
    """Run every job with the native or viper kernels of the core's architecture.

    forged: of files that the packager has not made. Viper kernels may then make integers of any size, of which 31 bits
    are kept.

    Instructions are counted from the entry of a call to its return, to within two, and are 0 where the core has no
    timer. One that the emulated core lacks and a trap handler supplies counts as one.

    Raises:
        WhitError: QEMU is not installed, a job does not fit the core's memory, or a kernel wrote outside its arena.
    """
    kernel_set = SETS[kernels](core, forged)
    parts = [job.parts() for job in jobs]
    for steps, _, _ in parts:
        kernel_set.prepare(steps)
    layouts = [_lay_out(kernel_set, *each) for each in zip(range(len(jobs)), jobs, parts, strict=True)]
    if any(layout.block.end > kernel_set.free.stop for layout in layouts):
        raise WhitError(
            f"the model does not fit the {len(core.machine.memory):,} bytes of RAM of the emulated {core.title}; "
            "choose a core with more"
        )
    measures = lay_out_calls(kernel_set, (kernel_set.nothing, kernel_set.lacking))
    stream = kernel_set.stream() + b"".join(layout.stream() for layout in (measures, *layouts))
    written = emulate(core, stream, kernel_set.flash())
    meter, at, results = Meter(core, *measures.records(written)), measures.size, []
    for job, layout in zip(jobs, layouts, strict=True):
        results.append(layout.result(job, meter, written[at : at + layout.size]))
        at += layout.size
    return results


def fits(core: Core, kernels: str, job: Job) -> bool:
    """Whether the core has the memory for a job."""
    kernel_set, parts = SETS[kernels](core), job.parts()
    kernel_set.prepare(parts[0])
    return _lay_out(kernel_set, 0, job, parts).block.end <= kernel_set.free.stop


@dataclass(frozen=True)
class Record:
    """What the harness wrote of a call."""

    ticks: int
    crc32: int
    emulated: int


@dataclass(frozen=True)
class Layout:
    """A block with calls in it, and where in it the arena is."""

    block: Block
    calls: int  # the address of the records
    count: int
    arena: slice

    @property
    def size(self) -> int:
        """Bytes that the harness writes of it; it leaves out a block without calls, which nothing has changed."""
        return len(self.block.contents()) if self.count else 0

    def stream(self) -> bytes:
        return self.block.stream(self.calls, self.count)

    def records(self, written: bytes) -> list[Record]:
        start = self.calls - self.block.address
        found = CALL.iter_unpack(written[start : start + self.count * CALL.size])
        return [Record(*fields[6:]) for fields in found]

    def check(self, core: Core, written: bytes, *outputs: slice) -> None:
        """Refuses bytes that changed elsewhere than in the arena and these outputs."""
        expected, start = bytearray(self.block.contents()), self.calls - self.block.address
        for same in (self.arena, *outputs, slice(start, start + self.count * CALL.size)):
            expected[same] = written[same]
        if written != expected:
            raise WhitError(f"the kernels wrote outside the arena on the emulated {core.title}; report this as a bug")

    def result(self, job: Job, meter: Meter, written: bytes) -> Result:
        written = written or self.block.contents()
        records = self.records(written)
        self.check(meter.core, written)
        arena, ports = written[self.arena], describe(job.blob)["outputs"]
        outputs = tuple(arena[p["offset"] : p["offset"] + prod(p["shape"])] for p in ports)
        return Result(outputs, tuple(map(meter.instructions, records)), records[-1].crc32 if records else 0)


def _lay_out(kernels: Kernels, number: int, job: Job, parts: tuple[bytes, bytes, bytes]) -> Layout:
    block = Block(kernels.free.start)
    places = [block.put(job.guard + data + job.guard) + len(job.guard) for data in parts]
    frames = FRAMES if job.deep else 0
    buffers = Buffers(*(block.put_words(at, len(x), 0, frames) for at, x in zip(places, parts, strict=True)))
    calls = kernels.calls(parts[0], buffers, job.apart)
    rows = [(f["y"], opset.written(row, f)) for row, f in opset.records(parts[0])]
    spans = [(places[2] + y, size) for y, size in rows] if len(rows) == len(calls) else [(0, 0)] * len(calls)
    frames = number % FRAMES if job.deep else 0
    heads = [(function, len(args), block.put_words(*args), frames) for function, args in calls]
    records = b"".join(CALL.pack(*head, *span, 0, 0, 0) for head, span in zip(heads, spans, strict=True))
    start = places[2] - block.address
    return Layout(block, block.put(records), len(calls), slice(start, start + len(parts[2])))


def lay_out_calls(kernels: Kernels, functions: Sequence[int]) -> Layout:
    """Calls of functions that take no arguments."""
    block = Block(kernels.free.start)
    records = b"".join(CALL.pack(function, *[0] * 8) for function in functions)
    return Layout(block, block.put(records), len(functions), slice(0))


class Meter:
    """Ticks to instructions, by what was measured of two functions of kernels.py: `nothing` and `lacking`."""

    def __init__(self, core: Core, nothing: Record, lacking: Record) -> None:
        self.core, self.nothing = core, nothing.ticks
        self.trap = Fraction(0)  # in ticks, beyond the one instruction
        if lacking.emulated:
            self.trap = Fraction(lacking.ticks - nothing.ticks, lacking.emulated) - 1 / core.instructions(1)

    def instructions(self, record: Record) -> int:
        ticks = record.ticks - self.nothing - record.emulated * self.trap
        return round(self.core.instructions(ticks)) if self.core.machine.timer_hz else 0
