"""Run an audio front end on an emulated core and count what each frame took."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle

from ..device import frontend
from ..errors import WhitError
from .cores import Core, emulate
from .kernels import SETS, small_int
from .memory import Block
from .run import CALL, FRAMES, POISON, Layout, Meter, lay_out_calls


@dataclass(frozen=True)
class Frame:
    """Its features, two bytes each; the model's input bytes; what taking its samples and computing it took."""

    features: bytes
    data: bytes
    instructions: int


def hear(
    core: Core,
    kernels: str,
    section: bytes,
    samples: bytes,
    chunks: Sequence[int] = (),
    *,
    odd: bool = False,
    deep: bool = False,
    guard: bytes = b"",
) -> list[Frame]:
    """The frames that the native or viper front end of the core's architecture makes of samples.

    Args:
        section: a FRONTEND section.
        samples: int16, little-endian.
        chunks: how many samples there are at a time, again and again; nothing for all of them.
        odd: the samples lie at an odd address.
        deep, guard: as of a Job; the guard lies around each of what the kernels get.

    Raises:
        WhitError: the section is not one that a board takes, QEMU is not installed, the samples do not fit the core's
            memory, or a kernel wrote where it must not.
    """
    try:
        _, window, step, channels = frontend.check("the section", memoryview(section))
    except ValueError as e:
        raise WhitError(str(e)) from None
    kernel_set = SETS[kernels](core)
    feed = kernel_set.feed()
    block = Block(kernel_set.free.start)
    frames = FRAMES if deep else 0

    def buffer(data: bytes) -> tuple[int, slice]:
        """An object of a buffer with this in it, and where that is in the block."""
        at = block.put(guard + data + guard) + len(guard)
        start = at - block.address
        return block.put_words(at, len(data), 0, frames), slice(start, start + len(data))

    spoiled = bytes([POISON])
    state = window.to_bytes(4, "little") + spoiled * (frontend.ESTIMATES - 4) + bytes(4 * channels)
    section_at, _ = buffer(section)
    state_at, changed = buffer(state + spoiled * 2 * window)
    samples_at = block.put(guard + spoiled * odd + samples + guard) + len(guard) + odd
    samples_at = block.put_words(samples_at, len(samples), 0, frames)
    outputs = [(buffer(spoiled * 2 * channels), buffer(spoiled * channels))]
    calls, ends = [], []
    for number, (first, last, whole) in enumerate(_cuts(len(samples) // 2, window, step, chunks)):
        (features, _), (data, _) = outputs[-1]
        args = section_at, state_at, features, data, samples_at, small_int(first), small_int(last)
        calls.append(CALL.pack(feed, len(args), block.put_words(*args), number % FRAMES if deep else 0, *[0] * 5))
        if whole:
            outputs.append((buffer(spoiled * 2 * channels), buffer(spoiled * channels)))
            ends.append(number + 1)
    layout = Layout(block, block.put(b"".join(calls)), len(calls), changed)
    if block.end > kernel_set.free.stop:
        raise WhitError(
            f"the samples do not fit the {len(core.machine.memory):,} bytes of RAM of the emulated {core.title}; "
            "give fewer, or choose a core with more"
        )
    measures = lay_out_calls(kernel_set, (kernel_set.nothing, kernel_set.lacking))
    written = emulate(core, kernel_set.stream() + measures.stream() + layout.stream(), kernel_set.flash())
    meter, written = Meter(core, *measures.records(written)), written[measures.size :]
    places = [place for pair in outputs[: len(ends)] for _, place in pair]
    layout.check(core, written, *places)
    counts = [meter.instructions(record) for record in layout.records(written)]
    starts = [0, *ends][: len(ends)]
    return [
        Frame(written[features], written[data], sum(counts[start:end]))
        for ((_, features), (_, data)), start, end in zip(outputs, starts, ends, strict=False)
    ]


def _cuts(samples: int, window: int, step: int, chunks: Sequence[int]) -> Iterator[tuple[int, int, bool]]:
    """The calls of feed(): from which sample to which, and whether a frame is whole behind it. To the last such."""
    at, left, calls = 0, window, []
    for chunk in cycle(chunks or [samples]):
        end = min(at + chunk, samples)
        while at < end:
            taken = min(left, end - at)
            calls.append((at, end, taken == left))
            at, left = at + taken, left - taken or step
            if calls[-1][2]:
                yield from calls
                calls.clear()
        if at == samples:
            return
