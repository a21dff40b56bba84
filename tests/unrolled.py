"""unrolled: a streaming model over many frames as one file, whose steps are those of each run one after another."""

from __future__ import annotations

import math
from dataclasses import replace

from whit.pack import Packed
from whit.plan import Plan
from whit.program import Place, Step, copy_step
from whit.write import write


def unrolled(packed: Packed, frames: int) -> bytes:
    """The .whit file that takes the inputs of so many runs at once and gives their outputs; of one input, one output.

    A copy brings a frame to the model's input, then its own steps run, then a copy takes the output away.
    """
    program, plan = packed.program, packed.plan
    ports = *program.inputs, *program.outputs
    x, y = (math.prod(port.shape) for port in ports)
    inside = [Place(port.buffer, port.offset) for port in ports]
    first = len(program.buffers)
    steps: list[Step] = []
    for i in range(frames):
        steps += [copy_step("frame", Place(first, i * x), inside[0], x), *program.steps]
        steps.append(copy_step("frame", inside[1], Place(first + 1, i * y), y))
    outside = [
        replace(port, shape=(frames, size), buffer=first + i, offset=0)
        for i, (port, size) in enumerate(zip(ports, (x, y), strict=True))
    ]
    program = replace(
        program,
        buffers=(*program.buffers, frames * x, frames * y),
        steps=tuple(steps),
        inputs=(outside[0],),
        outputs=(outside[1],),
    )
    offsets = *plan.offsets, plan.arena_bytes, plan.arena_bytes + frames * x
    scratch = frames * (0, *plan.scratch, 0)
    end = -(-(offsets[-1] + frames * y) // 16) * 16
    return write(program, Plan(end, offsets, scratch, 0, ()))
