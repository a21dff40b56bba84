"""unrolled: a streaming model over many frames as one file, whose steps are those of each run one after another."""

from __future__ import annotations

from dataclasses import replace

from whit.pack import Packed
from whit.plan import Plan
from whit.program import Place, Port, Program, Step
from whit.write import write


def unrolled(packed: Packed, frames: int) -> bytes:
    """The .whit file that takes the inputs of so many runs at once and gives their outputs; one input, one output.

    A copy brings a frame to the model's input, then its own steps run, then a copy takes the output away.
    """
    program, plan = packed.program, packed.plan
    (x,), (y,) = program.inputs, program.outputs
    sizes = [_size(port) for port in (x, y)]
    count = len(program.buffers)
    steps: list[Step] = []
    scratch: list[int] = []
    for i in range(frames):
        frame, answer = Place(count, i * sizes[0]), Place(count + 1, i * sizes[1])
        steps += [_copy(sizes[0], frame, Place(x.buffer, x.offset)), *program.steps]
        steps.append(_copy(sizes[1], Place(y.buffer, y.offset), answer))
        scratch += [0, *plan.scratch, 0]
    ports = [
        replace(port, shape=(frames, size), buffer=count + i, offset=0)
        for i, (port, size) in enumerate(zip((x, y), sizes, strict=True))
    ]
    buffers = (*program.buffers, frames * sizes[0], frames * sizes[1])
    long = replace(program, buffers=buffers, steps=tuple(steps), inputs=(ports[0],), outputs=(ports[1],))
    places = plan.arena_bytes, plan.arena_bytes + frames * sizes[0]
    end = -(-(places[1] + frames * sizes[1]) // 16) * 16
    return write(long, Plan(end, (*plan.offsets, *places), tuple(scratch), 0, ()))


def _size(port: Port) -> int:
    size = 1
    for n in port.shape:
        size *= n
    return size


def _copy(size: int, x: Place, y: Place) -> Step:
    strides = dict.fromkeys(("x0", "x1", "x2", "y0", "y1", "y2"), 0)
    return Step("copy", "frame", {"n0": 1, "n1": 1, "n2": 1, "n3": size} | strides, {"x": x, "y": y})


__all__ = ["Program", "unrolled"]
