"""Planning: what is alive together never overlaps, and the arena is no larger than its last byte."""

import random
from itertools import pairwise

import pytest
from whit.device import format as blob
from whit.plan import plan
from whit.program import Place, Port, Program, Step


def _chain(rng: random.Random) -> Program:
    """Random adds over random earlier buffers of one size each."""
    sizes = [rng.randrange(1, 300) for _ in range(2)]
    groups = {size: [i] for i, size in enumerate(sizes)}
    steps = []
    for i in range(rng.randrange(1, 20)):
        size = rng.choice(list(groups))
        a, b = rng.choice(groups[size]), rng.choice(groups[size])
        sizes.append(size)
        groups[size].append(len(sizes) - 1)
        values = dict.fromkeys(("ma", "mb", "mo", "ea", "eb", "eo", "za", "zb", "zo", "lo", "hi"), 0) | {"n": size}
        steps.append(Step("add", f"add_{i}", values, {"a": Place(a), "b": Place(b), "y": Place(len(sizes) - 1)}))
    inputs = tuple(Port(f"x{i}", (sizes[i],), "int8", 1.0, 0, i) for i in range(2))
    outputs = (Port("y", (sizes[-1],), "int8", 1.0, 0, len(sizes) - 1),)
    return Program("chain", tuple(sizes), tuple(steps), inputs, outputs, ())


@pytest.mark.parametrize("seed", range(50))
def test_no_step_overwrites_what_is_still_read(seed):
    program = _chain(random.Random(seed))
    planned = plan(program)
    held = {}  # arena byte -> the buffer whose value it holds

    def write(buffer: int) -> None:
        at = planned.offsets[buffer]
        assert at % blob.ALIGN == 0 and at + program.buffers[buffer] <= planned.arena_bytes
        held.update(dict.fromkeys(range(at, at + program.buffers[buffer]), buffer))

    def read(buffer: int) -> None:
        at = planned.offsets[buffer]
        assert all(held[i] == buffer for i in range(at, at + program.buffers[buffer]))

    for port in program.inputs:
        write(port.buffer)
    for step in program.steps:
        # The output may not touch the inputs while the kernel runs, so it is written first and they are read after.
        write(step.arena["y"].buffer)
        for name in "ab":
            read(step.arena[name].buffer)
    for port in program.outputs:
        read(port.buffer)


@pytest.mark.parametrize("seed", range(50))
def test_the_arena_ends_with_its_last_block(seed):
    program = _chain(random.Random(seed))
    planned = plan(program)
    end = max(o + size for o, size in zip(planned.offsets, program.buffers, strict=True))
    assert end <= planned.arena_bytes < end + blob.ALIGN


def test_scratch_is_placed_beside_what_the_step_uses():
    values = dict(ih=5, iw=5, ic=3, oh=5, ow=5, oc=4, kh=3, kw=3, sy=1, sx=1, dy=1, dx=1, py=1, px=1)
    values |= dict(zi=0, zo=0, lo=-128, hi=127)
    step = Step("conv2d", "conv", values, {"x": Place(0), "y": Place(1)}, {"w": b"", "q": b""})
    ports = Port("x", (1, 5, 5, 3), "int8", 1.0, 0, 0), Port("y", (1, 5, 5, 4), "int8", 1.0, 0, 1)
    planned = plan(Program("conv", (75, 100), (step,), ports[:1], ports[1:], ()))
    spans = sorted((o, o + n) for o, n in zip((*planned.offsets, *planned.scratch), (75, 100, 280), strict=True))
    assert all(a[1] <= b[0] for a, b in pairwise(spans))
    assert planned.arena_bytes == 112 + 80 + 288
