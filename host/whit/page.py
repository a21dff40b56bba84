"""page: a Program whose weights are read a page at a time, for boards whose heap does not hold them all.

A layer whose weights do not fit a page is cut into slices by output channel, each a step of its own, which computes
what the whole layer computes for these channels. It writes them to a buffer of its own, from which a copy takes them to
their places between those of other slices; where the output is one pixel or row, they lie there one after another
already. A convolution with int4 weights is cut in any case where they would take too much scratch as bytes.
"""

from __future__ import annotations

from dataclasses import replace
from math import lcm

from .device.opset import INT4, quad_bytes, quant_bytes
from .errors import WhitError
from .lifetimes import aligned, least_bytes, lifetimes, needs
from .program import WRITTEN, Place, Program, Step, copy_step

# Scratch for int4 weights of a convolution as bytes: the most that it may take, unless four channels take more. Whole
# layers take the fewest instructions, slices may take less arena: of these, the first with which a program takes least.
UNPACKED_BYTES = (64 << 10, 32 << 10, 16 << 10, 8 << 10)


def page(program: Program, page_bytes: int = 0) -> Program:
    """The same program with every layer cut so that its weights fit `page_bytes`, and as bytes some UNPACKED_BYTES; its
    steps keep their order. 0 for weights that are not read by page.

    Raises:
        WhitError: a layer whose weights cannot be cut so small; the text says what page it needs.
    """
    least = least_page_bytes(program)
    if 0 < page_bytes < least:
        raise WhitError(f"{program.name}: pages of {page_bytes} bytes are too small; its layers need at least {least}")
    int4 = any(step.flags & INT4 for step in program.steps)
    found = [_cut(program, page_bytes, most) for most in (UNPACKED_BYTES if int4 else UNPACKED_BYTES[:1])]
    return min(found, key=lambda cut: least_bytes(cut, needs(cut, lifetimes(cut))))


def _cut(program: Program, page_bytes: int, unpacked_bytes: int) -> Program:
    buffers, steps = list(program.buffers), []
    for step in program.steps:
        if step.kernel in _CUT:
            steps += _Layer(step).slices(page_bytes or weights_bytes(step), unpacked_bytes, buffers)
        else:
            steps.append(step)
    return replace(program, buffers=tuple(buffers), steps=tuple(steps), page_bytes=page_bytes)


def weights_bytes(step: Step) -> int:
    """What a step takes of a page."""
    return sum(aligned(len(data)) for data in step.weights.values())


def least_page_bytes(program: Program) -> int:
    """The smallest page that every layer can be cut for."""
    return max(map(_least_bytes, program.steps), default=0)


def _least_bytes(step: Step) -> int:
    whole = weights_bytes(step)
    return min(whole, _Layer(step).slice_bytes(1)) if step.kernel in _CUT else whole


def groups(program: Program) -> list[list[Step]]:
    """The steps in runs whose weights share a page, in which equal arrays count once."""
    found: list[list[Step]] = []
    held: dict[bytes, int] = {}
    for step in program.steps:
        own = {data: aligned(len(data)) for data in step.weights.values()}
        if not found or sum((held | own).values()) > program.page_bytes:
            found.append([])
            held = {}
        held |= own
        found[-1].append(step)
    return found


_CUT = {"conv2d": "oc", "depthwise": "oc", "dense": "o"}  # what can be cut, and the field that counts its channels


class _Layer:
    """How a step with weights can be cut."""

    def __init__(self, step: Step) -> None:
        v = self.values = step.values
        self.step = step
        self.channels = v[_CUT[step.kernel]]
        self.pixels = v["rows"] if step.kernel == "dense" else v["oh"] * v["ow"]
        self.unpacked_bytes = 0  # of four channels
        self.unit = 4  # channels; weights lie in blocks of so many
        if step.kernel == "dense":
            self.quad_bytes = quad_bytes(4, v["k"])
        elif step.kernel == "conv2d":
            self.quad_bytes = quad_bytes(4, v["kh"] * v["kw"] * v["ic"])
        else:
            self.unit = lcm(4, v["oc"] // v["ic"])  # and those that read the same input channel stay together
            self.quad_bytes = 4 * v["kh"] * v["kw"]
        if step.flags & INT4:
            if step.kernel == "conv2d":
                self.unpacked_bytes = self.quad_bytes
            self.quad_bytes //= 2

    def slice_bytes(self, units: int) -> int:
        """What `units` times unit channels take of a page."""
        count = min(self.unit * units, -(-self.channels // 4) * 4) // 4
        return aligned(self.quad_bytes * count) + aligned(quant_bytes(4 * count))

    def fits(self, units: int, page_bytes: int, unpacked_bytes: int) -> bool:
        """Whether `units` times unit channels fit a page, and the scratch where they are unpacked."""
        all_of_them = self.unit * units >= self.channels
        taken = weights_bytes(self.step) if all_of_them else self.slice_bytes(units)
        return taken <= page_bytes and (units == 1 or self.unpacked_bytes * units <= unpacked_bytes)

    def slices(self, page_bytes: int, unpacked_bytes: int, buffers: list[int]) -> list[Step]:
        """Steps of about equally many channels, or the one as it is; the buffers that they need are appended to
        `buffers`."""
        units = -(-self.channels // self.unit)
        count = next(n for n in range(1, units + 1) if self.fits(-(-units // n), page_bytes, unpacked_bytes))
        if count == 1:
            return [self.step]
        bounds = [min(self.channels, self.unit * (-(-units * i // count))) for i in range(count + 1)]
        return [step for i in range(count) for step in self.slice(bounds[i], bounds[i + 1], buffers)]

    def slice(self, first: int, end: int, buffers: list[int]) -> list[Step]:
        """Channels first to end: the kernel, and the copies that bring it its input and its output to their places."""
        v, step, count = self.values, self.step, end - first
        w, q, quant = step.weights["w"], step.weights["q"], quant_bytes(4)
        a, b = first // 4, -(-end // 4)
        weights = {"w": w[a * self.quad_bytes : b * self.quad_bytes], "q": q[a * quant : b * quant]}
        values = v | {_CUT[step.kernel]: count}
        x, y = step.arena["x"], step.arena[WRITTEN]
        before, after = [], []
        if step.kernel == "depthwise":  # it reads channels of its own
            each, pixels = v["oc"] // v["ic"], v["ih"] * v["iw"]
            values["ic"] = count // each
            inner = _new(buffers, pixels * values["ic"])
            source = Place(x.buffer, x.offset + first // each)
            before = [copy_step(step.name, source, inner, values["ic"], pixels, v["ic"], values["ic"])]
            x = inner
        place = Place(y.buffer, y.offset + first)
        if self.pixels > 1:
            inner = _new(buffers, self.pixels * count)
            after = [copy_step(step.name, inner, place, count, self.pixels, count, self.channels)]
            place = inner
        kernel = replace(step, values=values, weights=weights, arena={"x": x, WRITTEN: place})
        return [*before, kernel, *after]


def _new(buffers: list[int], size: int) -> Place:
    buffers.append(size)
    return Place(len(buffers) - 1)
