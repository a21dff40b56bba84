"""Planning: no byte is lost while it is needed, in whatever order the kernels may work, and no space is wasted."""

import random
import time
from pathlib import Path

import numpy as np
import pytest
from access import AHEAD, accesses, random_windows
from nets import SAME, Net
from poison import dead_after
from whit import reference
from whit.device import format as blob
from whit.lifetimes import least_bytes, lifetimes, needs
from whit.lower import lower
from whit.models import digits
from whit.order import order
from whit.pack import pack
from whit.plan import Plan, plan
from whit.program import Place, Port, Program, Step
from whit.read_tflite import read_tflite


class Graph:
    """A random program in the making: images of all sizes, and steps over any of them."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.shapes: list[tuple[int, int, int]] = []
        self.steps: list[Step] = []

    def image(self, shape: tuple[int, int, int]) -> int:
        self.shapes.append(shape)
        return len(self.shapes) - 1

    def add(self, kernel: str, values: dict[str, int], inputs: dict[str, int], shape: tuple[int, int, int]) -> None:
        places = {name: Place(buffer) for name, buffer in inputs.items()} | {"y": Place(self.image(shape))}
        step = Step(kernel, f"{kernel}_{len(self.steps)}", values, places)
        assert step.extents()
        self.steps.append(step)

    def grow(self) -> None:
        """One more operator over a random image, mostly a recent one."""
        rng, last = self.rng, len(self.shapes) - 1
        x = last if rng.random() < 0.6 else rng.randrange(len(self.shapes))
        h, w, c = shape = self.shapes[x]
        kernel = rng.choice(
            ("conv2d", "conv2d", "depthwise", "max_pool", "add", "add", "lookup", "softmax", "mean", "pad")
        )
        if kernel in ("conv2d", "depthwise", "max_pool"):
            values = random_windows(rng, kernel, h, w, c)
            self.add(kernel, values, {"x": x}, (values["oh"], values["ow"], values.get("oc", c)))
        elif kernel == "add":
            b = rng.choice([i for i, other in enumerate(self.shapes) if other == shape])
            self.add(kernel, {"n": h * w * c}, {"a": x, "b": b}, shape)
        elif kernel == "lookup":
            self.add(kernel, {"n": h * w * c}, {"x": x}, shape)
        elif kernel == "softmax":
            self.add(kernel, {"rows": h * w, "depth": c, "entries": 1}, {"x": x}, shape)
        elif kernel == "mean":
            self.add(kernel, {"n": h * w, "c": c}, {"x": x}, (1, 1, c))
        else:
            self.add("fill", {"n": (h + 1) * w * c, "value": 0}, {}, (h + 1, w, c))
            box = dict(n0=1, n1=1, n2=1, n3=h * w * c) | dict.fromkeys(("x0", "x1", "x2", "y0", "y1", "y2"), 0)
            self.steps.append(Step("copy", "copy", box, {"x": Place(x), "y": Place(len(self.shapes) - 1, w * c)}))

    def program(self, inputs: int, outputs: list[int]) -> Program:
        def ports(buffers):
            return tuple(Port(f"t{i}", self.shapes[i], "int8", 1.0, 0, i) for i in buffers)

        sizes = tuple(h * w * c for h, w, c in self.shapes)
        return Program("random", sizes, tuple(self.steps), ports(range(inputs)), ports(outputs), ())


def random_program(seed: int) -> Program:
    rng = random.Random(seed)
    graph = Graph(rng)
    inputs = rng.randrange(1, 3)
    for _ in range(inputs):
        graph.image((rng.randrange(1, 9), rng.randrange(1, 9), rng.choice((1, 2, 3, 4, 8, 16))))
    for _ in range(rng.randrange(1, 14)):
        graph.grow()
    outputs = {len(graph.shapes) - 1} | {rng.randrange(len(graph.shapes)) for _ in range(rng.randrange(2))}
    return graph.program(inputs, sorted(outputs))


def assert_nothing_is_lost(program: Program, planned: Plan, ahead: int) -> None:
    """Run every access of every step over an arena that knows which byte of which buffer each of its bytes holds."""
    held: list[tuple[int, int] | None] = [None] * planned.arena_bytes

    def write(buffer: int, byte: int) -> None:
        held[planned.offsets[buffer] + byte] = buffer, byte

    for port in program.inputs:
        for byte in range(program.buffers[port.buffer]):
            write(port.buffer, byte)
    for i, step in enumerate(program.steps):
        scratch = range(planned.scratch[i], planned.scratch[i] + step.extents().get("s", 0))
        for at in scratch:
            held[at] = None
        if step.kernel == "copy":  # nothing is promised: all may be written before anything is read
            n, from_y = step.values["n3"], step.arena["y"].offset
            moves = [("y", byte) for byte in range(n)] + [("x", byte) for byte in range(n)]
            assert from_y + n <= program.buffers[step.arena["y"].buffer]
        else:
            moves = accesses(step, ahead)
        for name, byte in moves:
            place = step.arena[name]
            at = planned.offsets[place.buffer] + place.offset + byte
            assert at not in scratch
            if name == "y":
                write(place.buffer, place.offset + byte)
            else:
                assert held[at] == (place.buffer, place.offset + byte), (step, name, byte)
        assert all(held[at] is None for at in scratch)
    for port in program.outputs:
        for byte in range(program.buffers[port.buffer]):
            assert held[planned.offsets[port.buffer] + byte] == (port.buffer, byte)


@pytest.mark.parametrize("seed", range(150))
def test_nothing_is_lost(seed):
    program = random_program(seed)
    for ordered in (program, order(program)):
        planned = plan(ordered)
        assert planned.arena_bytes % blob.ALIGN == 0
        assert all(at % blob.ALIGN == 0 for at in planned.offsets + planned.scratch)
        for ahead in AHEAD:
            assert_nothing_is_lost(ordered, planned, ahead)


def test_the_plans_are_near_the_bound():
    """Over all the random programs: none is below its bound, and those above it are few and near."""
    programs = [order(random_program(seed)) for seed in range(150)]
    ratios = [planned.arena_bytes / planned.least_bytes for planned in map(plan, programs)]
    assert min(ratios) == 1
    assert sum(ratio > 1 for ratio in ratios) <= 1 and max(ratios) <= 1.1, sorted(ratios)[-10:]


def _image(kernel: str, x: tuple[int, int, int], y: tuple[int, int, int], k: int, stride: int, padding: int, *buffers):
    values = dict(zip(("ih", "iw", "ic", "oh", "ow", "oc"), x + y, strict=True))
    values |= dict(kh=k, kw=k, sy=stride, sx=stride, dy=1, dx=1, py=padding, px=padding)
    return Step(kernel, kernel, values, dict(zip("xy", map(Place, buffers), strict=True)))


def test_scratch_lies_beside_what_the_step_uses():
    step = _image("conv2d", (5, 5, 4), (5, 5, 4), 3, 1, 1, 0, 1)
    ports = tuple(Port(name, (1, 5, 5, 4), "int8", 1.0, 0, i) for i, name in enumerate("xy"))
    planned = plan(Program("conv", (100, 100), (step,), ports[:1], ports[1:], ()))
    # A row and a pixel between input and output: 6 * 4 bytes, to 32; 9 quads of scratch.
    assert planned.arena_bytes == planned.least_bytes == 32 + 112 + 368
    assert_nothing_is_lost(Program("conv", (100, 100), (step,), ports[:1], ports[1:], ()), planned, 1)


def test_an_output_of_the_model_is_not_overwritten():
    step = Step("lookup", "lookup", {"n": 32}, {"x": Place(0), "y": Place(1)})
    x, y = (Port(name, (32,), "int8", 1.0, 0, i) for i, name in enumerate("xy"))
    assert plan(Program("one", (32, 32), (step,), (x,), (y,), ())).arena_bytes == 32
    assert plan(Program("both", (32, 32), (step,), (x,), (x, y), ())).arena_bytes == 64


def test_an_operand_that_lives_on_is_not_overwritten():
    steps = (
        Step("add", "add", {"n": 32}, {"a": Place(0), "b": Place(1), "y": Place(2)}),
        Step("add", "add", {"n": 32}, {"a": Place(0), "b": Place(2), "y": Place(3)}),
    )
    ports = tuple(Port(f"t{i}", (32,), "int8", 1.0, 0, i) for i in range(4))
    program = Program("adds", (32,) * 4, steps, ports[:2], ports[3:], ())
    planned = plan(program)
    assert planned.arena_bytes == 64
    assert planned.offsets[2] == planned.offsets[1] != planned.offsets[0]
    assert_nothing_is_lost(program, planned, 1)


def test_the_order_of_branches_is_chosen():
    """Two branches grow large before they shrink: one after the other needs less than side by side."""
    large, small = (16, 16, 16), (2, 2, 16)
    steps = (
        _image("conv2d", (16, 16, 1), large, 1, 1, 0, 0, 1),
        _image("conv2d", (16, 16, 1), large, 1, 1, 0, 0, 2),
        _image("max_pool", large, small, 8, 8, 0, 1, 3),
        _image("max_pool", large, small, 8, 8, 0, 2, 4),
        Step("add", "add", {"n": 64}, {"a": Place(3), "b": Place(4), "y": Place(5)}),
    )
    for step in steps[2:4]:
        step.values["c"] = step.values.pop("ic")
    sizes = (256, 4096, 4096, 64, 64, 64)
    ports = tuple(Port(f"t{i}", (n,), "int8", 1.0, 0, i) for i, n in enumerate(sizes))
    program = Program("branches", sizes, steps, ports[:1], ports[5:], ())
    ordered = order(program)
    assert [program.steps.index(s) for s in ordered.steps] in ([0, 2, 1, 3, 4], [1, 3, 0, 2, 4])
    assert plan(program).arena_bytes == 2 * 4096 + 48  # the input lies in the last output
    assert plan(ordered).arena_bytes == plan(ordered).least_bytes == 256 + 4096 + 48
    assert_nothing_is_lost(ordered, plan(ordered), 1)


@pytest.mark.parametrize("seed", range(150))
def test_order_keeps_what_depends(seed):
    """A step reads what the same steps wrote before it, and the peak does not grow."""
    program = random_program(seed)
    ordered = order(program)
    assert sorted(map(id, ordered.steps)) == sorted(map(id, program.steps))

    def history(steps):
        writers = {}
        seen = {}
        for step in steps:
            seen[id(step)] = {p.buffer: tuple(writers.get(p.buffer, ())) for p in step.arena.values()}
            writers.setdefault(step.arena["y"].buffer, []).append(id(step))
        return seen

    assert history(ordered.steps) == history(program.steps)
    peaks = [least_bytes(p, needs(p, lifetimes(p))) for p in (program, ordered)]
    assert peaks[1] <= peaks[0]


def test_wide_graphs_are_planned_in_time():
    """Twelve branches of five steps: too many orders to try them all."""
    graph = Graph(random.Random(0))
    graph.image((12, 12, 8))
    ends = []
    for _ in range(12):
        x = 0
        for _ in range(5):
            shape = graph.shapes[x]
            values = random_windows(graph.rng, "conv2d", *shape)
            graph.add("conv2d", values, {"x": x}, (values["oh"], values["ow"], values["oc"]))
            x = len(graph.shapes) - 1
        ends.append(x)
    program = graph.program(1, ends)
    start = time.process_time()
    ordered = order(program)
    planned = plan(ordered)
    assert time.process_time() - start < 20
    assert planned.arena_bytes <= 1.1 * planned.least_bytes
    assert_nothing_is_lost(ordered, planned, 1)


# Whole models

# file: (arena bytes at most, needed without scratch)
PUBLIC = {
    "kws_ref_model.tflite": (10_240, 8_000),
    "vww_96_int8.tflite": (40_960, 36_864),
    "pretrainedResnet_quant.tflite": (36_864, 33_296),
    "ad01_int8.tflite": (3_400, 640),
}


@pytest.mark.parametrize("name", PUBLIC)
def test_public_models_take_what_they_must(name, public_model):
    start = time.process_time()
    planned = pack(public_model(name), name).plan
    most, bare = PUBLIC[name]
    assert planned.arena_bytes == planned.least_bytes <= most
    assert planned.least_without_scratch == bare
    assert time.process_time() - start < 10


def _branches() -> bytes:
    """Pads, a branch around a depthwise convolution, a reshape, a softmax; two outputs."""
    net = Net("branches")
    x = net.activation((1, 6, 7, 8), 0.05, 3)
    padded = net.activation((1, 8, 8, 8), 0.05, 3)
    net.op("PAD", [x, net.constant([[0, 0], [1, 1], [1, 0], [0, 0]])], [padded])
    w = net.weights((1, 3, 3, 8), 3, 0.01)
    deep = net.activation((1, 8, 8, 8), 0.05, 3)
    window = dict(StrideH=1, StrideW=1, Padding=SAME, FusedActivationFunction=0)
    net.op("DEPTHWISE_CONV_2D", [padded, w], [deep], DepthMultiplier=1, **window)
    total = net.activation((1, 8, 8, 8), 0.1, -5)
    net.op("ADD", [padded, deep], [total], FusedActivationFunction=0)
    pooled = net.activation((1, 4, 4, 8), 0.1, -5)
    halves = dict(StrideH=2, StrideW=2, FilterHeight=2, FilterWidth=2, Padding=SAME, FusedActivationFunction=0)
    net.op("MAX_POOL_2D", [total], [pooled], **halves)
    flat = net.activation((1, 128), 0.1, -5)
    net.op("RESHAPE", [pooled], [flat])
    dense = net.activation((1, 10), 0.1, 0)
    options = dict(FusedActivationFunction=0, WeightsFormat=0, KeepNumDims=0)
    net.op("FULLY_CONNECTED", [flat, net.weights((10, 128), 0, 0.01, per_channel=False)], [dense], **options)
    y = net.activation((1, 10), 1 / 256, -128)
    net.op("SOFTMAX", [dense], [y], Beta=1.0)
    return net.tflite([x], [y, deep])


def run_in_an_arena(program: Program, planned: Plan, inputs: list[np.ndarray], poison: int) -> list[bytes]:
    """The reference's steps over the planned arena, where all that is dead or scratch is poisoned again and again."""
    arena = np.full(planned.arena_bytes, poison, np.int8)
    dead = dead_after(program, planned)
    for port, values in zip(program.inputs, inputs, strict=True):
        at = planned.offsets[port.buffer]
        arena[at : at + values.size] = values.view(np.int8).reshape(-1)
    arena[next(dead)] = poison
    for step in program.steps:
        extents = step.extents()
        views = {}
        for name, place in step.arena.items():
            at = planned.offsets[place.buffer] + place.offset
            views[name] = arena[at : at + extents[name]]
        result = reference.KERNELS[step.kernel](step, {n: v if n == "y" else v.copy() for n, v in views.items()})
        if result is not None:
            views["y"][:] = result.astype(np.int8).reshape(-1)
        arena[next(dead)] = poison
    return [bytes(arena[(at := planned.offsets[p.buffer]) : at + int(np.prod(p.shape))]) for p in program.outputs]


def assert_poison_is_never_read(program: Program) -> None:
    planned = plan(program)
    rng = np.random.default_rng(0)
    inputs = [
        rng.integers(*((0, 256) if p.dtype == "uint8" else (-128, 128)), p.shape).astype(p.dtype)
        for p in program.inputs
    ]
    expected = [values.tobytes() for values in reference.run(program, inputs)]
    for poison in (0x55, -1):
        assert run_in_an_arena(program, planned, inputs, poison) == expected


@pytest.mark.parametrize("name", PUBLIC)
def test_poison_in_public_models_is_never_read(name, public_model):
    assert_poison_is_never_read(order(lower(read_tflite(public_model(name), name))))


@pytest.mark.parametrize("model", [_branches, (Path(digits.__file__).parent / "digits_int8.tflite").read_bytes])
def test_poison_is_never_read(model):
    assert_poison_is_never_read(order(lower(read_tflite(model(), "model"))))
