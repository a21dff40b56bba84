"""Random programs with weights, of every kernel; also what lowering never gives, but a Program may hold."""

from __future__ import annotations

import math
import random

import numpy as np
from access import random_windows
from whit import fixedpoint as fp
from whit import layout
from whit.device import opset
from whit.program import Place, Port, Program, Step
from whit.tables import exp_table

Shape = tuple[int, int, int]
Image = tuple[Place, Shape]


_CUT = ["conv2d", "pointwise", "depthwise", "multiplied", "twins", "dense", "one row"]  # with weights by channel


class _Program:
    """A program in the making. Images lie alone in a buffer, in a row with others, or are rows of another image."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.numbers = np.random.default_rng(rng.randrange(1 << 30))
        self.buffers: list[int] = []
        self.images: list[Image] = []
        self.steps: list[Step] = []
        self.inputs = 0

    def place(self, size: int, x: Place | None = None) -> Place:
        """Where an output goes: a new buffer, or the end of the one that its input lies in."""
        if x and x.buffer >= self.inputs and self.rng.random() < 0.15:
            self.buffers[x.buffer] += size
            return Place(x.buffer, self.buffers[x.buffer] - size)
        self.buffers.append(size)
        return Place(len(self.buffers) - 1)

    def add(self, kernel: str, values: dict[str, int], arena: dict[str, Place], weights=None, flags=0) -> None:
        step = Step(kernel, f"{kernel}_{len(self.steps)}", values, arena, weights or {}, flags)
        assert step.extents()
        self.steps.append(step)

    def weighted(self, kernel: str, values: dict[str, int], x: Place, y: Place, channels: int, taps: int) -> None:
        rng, bounded = self.rng, self.rng.random() < 0.8
        int4 = kernel != "depthwise" and rng.random() < 0.3
        low, high = (-8, 8) if int4 else (-127 if bounded else -128, 128)
        w = self.numbers.integers(low, high, (channels, taps)).astype(np.int8)
        shift = (2 if int4 else 6) + round(math.log2(taps) / 2) + self.numbers.integers(-1, 2, channels)
        multiplier = self.numbers.integers(1 << 30, (1 << 31) - 1, channels)
        bias = self.numbers.integers(-3000, 3000, channels)
        blocks = {"conv2d": layout.quad_blocks, "dense": layout.dense_blocks}.get(kernel, np.ndarray.tobytes)
        blocks = layout.int4_blocks if int4 else blocks
        if kernel == "dense":  # which adds 128 to every other input
            bias += 128 * w[:, 1::2].sum(1, dtype=np.int64)
        else:
            values["zi"] = rng.randrange(-128, 128)
        weights = {"w": blocks(w), "q": layout.quant_blocks(bias, multiplier, shift)}
        low = rng.randrange(-128, 0)
        values |= {"zo": rng.randrange(-20, 20), "lo": low, "hi": rng.randrange(0, 128)}
        flags = (opset.BOUNDED if bounded else 0) | (opset.INT4 if int4 else 0)
        self.add(kernel, values, {"x": x, "y": y}, weights, flags)

    def grow(self) -> None:
        """One more image, out of one that there is, mostly a recent one."""
        rng = self.rng
        x, (h, w, c) = self.images[-1] if rng.random() < 0.6 else rng.choice(self.images)
        size = h * w * c
        kind = rng.choice(
            [*_CUT * 2, "rows", "columns", "max_pool", "average_pool", "add", "lookup", "softmax", "mean"]
        )
        clamp = {"lo": -128, "hi": rng.choice((127, 50))}
        shape: Shape = (h, w, c)
        if kind in ("conv2d", "pointwise", "depthwise", "multiplied", "twins"):
            kernel = kind if kind in ("conv2d", "depthwise") else "depthwise" if kind == "multiplied" else "conv2d"
            v = random_windows(rng, kernel, h, w, c)
            if kind == "pointwise":
                v |= dict(oh=h, ow=w, kh=1, kw=1, sy=1, sx=1, dy=1, dx=1, py=0, px=0)
            times = {"depthwise": 1, "multiplied": rng.randrange(2, 6)}.get(kind)
            v["oc"] = c * times if times else rng.randrange(1, 24)
            shape = v["oh"], v["ow"], v["oc"]
            taps = v["kh"] * v["kw"] * (c if kernel == "conv2d" else 1)
            if kind == "twins":  # two layers one behind the other in a buffer
                y = self.place(2 * math.prod(shape))
                for half in y, Place(y.buffer, y.offset + math.prod(shape)):
                    self.weighted(kernel, dict(v), x, half, v["oc"], taps)
                shape = 2 * shape[0], shape[1], shape[2]
            else:
                y = self.place(math.prod(shape), x)
                self.weighted(kernel, v, x, y, v["oc"], taps)
        elif kind in ("dense", "one row"):
            rows, k, o = (h * w, c, rng.randrange(1, 30)) if kind == "dense" else (1, size, rng.randrange(1, 60))
            shape, y = (1, rows, o), self.place(rows * o, x)
            self.weighted("dense", {"rows": rows, "k": k, "o": o}, x, y, o, k)
        elif kind == "rows":
            first = rng.randrange(h)
            y, shape = Place(x.buffer, x.offset + first * w * c), (h - first, w, c)
        elif kind == "columns":  # every other channel
            shape, y = (h, w, (c + 1) // 2), self.place(h * w * ((c + 1) // 2))
            box = dict(n0=1, n1=h * w, n2=shape[2], n3=1, x0=0, x1=c, x2=2, y0=0, y1=shape[2], y2=1)
            self.add("copy", box, {"x": x, "y": y})
        elif kind in ("max_pool", "average_pool"):
            v = random_windows(rng, kind, h, w, c)
            shape = v["oh"], v["ow"], c
            y = self.place(math.prod(shape), x)
            self.add(kind, v | clamp, {"x": x, "y": y})
        elif kind == "add":
            b = rng.choice([place for place, other in self.images if other == shape])
            v = {"n": size, "za": rng.randrange(-9, 9), "zb": 3, "zo": rng.randrange(-9, 9)} | clamp
            for letter, real in (("a", 0.5), ("b", rng.uniform(0.2, 0.5)), ("o", 2 / (1 << 20))):
                v["m" + letter], v["e" + letter] = fp.quantize_multiplier(real)
            y = self.place(size, x)
            self.add("add", v, {"a": x, "b": b, "y": y})
        elif kind == "lookup":
            y = self.place(size, x)
            self.add("lookup", {"n": size}, {"x": x, "y": y}, {"t": self.numbers.bytes(256)})
        elif kind == "softmax":
            table = exp_table(0.05, 1.0, ValueError)
            y = self.place(size, x)
            values = {"rows": h * w, "depth": c, "entries": len(table)}
            self.add("softmax", values, {"x": x, "y": y}, {"t": table.astype("<i4").tobytes()})
        else:
            shape, y = (1, 1, c), self.place(c, x)
            m, e = fp.quantize_multiplier(1.5 / (h * w))
            self.add("mean", {"n": h * w, "c": c, "bias": 40, "m": m, "e": e, "zo": -3}, {"x": x, "y": y})
        self.images.append((y, shape))


def random_program(seed: int, most: int = 10) -> Program:
    """Of up to `most` images beside the inputs; one output or two."""
    rng = random.Random(seed)
    made = _Program(rng)
    made.inputs = rng.randrange(1, 3)
    for _ in range(made.inputs):
        shape = rng.randrange(1, 8), rng.randrange(1, 8), rng.choice((1, 2, 3, 5, 8, 13, 21))
        made.images.append((made.place(math.prod(shape)), shape))
    while len(made.images) < made.inputs + rng.randrange(1, most + 1) or not made.steps:
        made.grow()
    alone = [image for image in made.images[made.inputs :] if not image[0].offset] or made.images[:1]
    outputs = dict([alone[-1], rng.choice(alone)])

    def port(place: Place, shape: Shape) -> Port:
        return Port(f"t{place.buffer}", shape, "int8", 0.5, 0, place.buffer)

    ports = [tuple(port(*image) for image in images) for images in (made.images[: made.inputs], outputs.items())]
    return Program("random", tuple(made.buffers), tuple(made.steps), *ports, ())
