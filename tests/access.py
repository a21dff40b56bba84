"""The reads and writes of every kernel, byte by byte, in the orders that FORMAT.md leaves it: plain loops.

An access is (field, byte of that tensor). Each order reads as late as it may, but for `ahead`, which says how many
pixels, rows or elements a kernel gathers before it writes them. Reads whose value is not used are left out.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from whit.device import opset
from whit.program import Place, Step

Access = tuple[str, int]
KERNELS = ("conv2d", "depthwise", "dense", "average_pool", "max_pool", "add", "lookup", "softmax", "mean")
AHEAD = (1, 2, 4, 1 << 20)


def accesses(step: Step, ahead: int = 1) -> Iterator[Access]:
    """What a step reads and writes, in order."""
    return _ORDERS[step.kernel](step.values, ahead)


def _window(v: dict[str, int], r: int, c: int) -> list[int]:
    """The input pixels under the window of an output pixel."""
    found = []
    for i in range(v["kh"]):
        for j in range(v["kw"]):
            y, x = r * v["sy"] - v["py"] + i * v.get("dy", 1), c * v["sx"] - v["px"] + j * v.get("dx", 1)
            if 0 <= y < v["ih"] and 0 <= x < v["iw"]:
                found.append(y * v["iw"] + x)
    return found


def _groups(n: int, ahead: int) -> Iterator[range]:
    for start in range(0, n, ahead):
        yield range(start, min(start + ahead, n))


def _conv2d(v: dict[str, int], ahead: int) -> Iterator[Access]:
    for group in _groups(v["oh"] * v["ow"], ahead):
        for p in group:
            for pixel in _window(v, *divmod(p, v["ow"])):
                for k in range(v["ic"]):
                    yield "x", pixel * v["ic"] + k
        for k in range(v["oc"]):  # channel by channel through the pixels, as kernels of several pixels do
            for p in group:
                yield "y", p * v["oc"] + k


def _depthwise(v: dict[str, int], ahead: int) -> Iterator[Access]:
    c = v["ic"]
    if c != v["oc"]:  # nothing is promised: any byte may be read after any other was written
        yield from (("y", i) for i in range(v["oh"] * v["ow"] * v["oc"]))
        yield from (("x", i) for i in range(v["ih"] * v["iw"] * c))
        return
    windows = [[set(_window(v, r, x)) for x in range(v["ow"])] for r in range(v["oh"])]
    used = set().union(*(w for row in windows for w in row))
    for k in range(c):
        held: set[int] = set()  # input rows of this channel in scratch
        for group in _groups(v["oh"], ahead):
            for r in group:
                for row in sorted(_rows(v, r) - held):
                    held.add(row)
                    yield from (("x", p * c + k) for p in range(row * v["iw"], (row + 1) * v["iw"]) if p in used)
            for r in group:
                yield from (("y", (r * v["ow"] + x) * c + k) for x in range(v["ow"]))


def _rows(v: dict[str, int], r: int) -> set[int]:
    return {y for i in range(v["kh"]) if 0 <= (y := r * v["sy"] - v["py"] + i * v["dy"]) < v["ih"]}


def _dense(v: dict[str, int], ahead: int) -> Iterator[Access]:
    scratch = v["k"] <= opset.WIDENED
    for group in _groups(v["rows"], ahead if scratch else 1):
        reads = [("x", i) for i in range(group.start * v["k"], group.stop * v["k"])]
        yield from reads
        yield from (("y", i) for i in range(group.start * v["o"], group.stop * v["o"]))
        if not scratch:  # once for each channel, say
            yield from reads


def _pool(v: dict[str, int], ahead: int) -> Iterator[Access]:
    for p in range(v["oh"] * v["ow"]):
        window = _window(v, *divmod(p, v["ow"]))
        for group in _groups(v["c"], ahead):
            yield from (("x", pixel * v["c"] + k) for k in group for pixel in window)
            yield from (("y", p * v["c"] + k) for k in group)


def _elementwise(n: int, inputs: str, ahead: int) -> Iterator[Access]:
    for group in _groups(n, ahead):
        yield from ((name, i) for i in group for name in inputs)
        yield from (("y", i) for i in group)


def _softmax(v: dict[str, int], ahead: int) -> Iterator[Access]:
    for r in range(v["rows"]):
        row = range(r * v["depth"], (r + 1) * v["depth"])
        yield from (("x", i) for _ in ("the maximum", "the sum") for i in row)
        for group in _groups(v["depth"], ahead):
            yield from (("x", row[i]) for i in group)
            yield from (("y", row[i]) for i in group)


def _mean(v: dict[str, int], ahead: int) -> Iterator[Access]:
    for group in _groups(v["c"], ahead):
        yield from (("x", i * v["c"] + k) for k in group for i in range(v["n"]))
        yield from (("y", k) for k in group)


_ORDERS = {
    "conv2d": _conv2d,
    "depthwise": _depthwise,
    "dense": _dense,
    "average_pool": _pool,
    "max_pool": _pool,
    "add": lambda v, ahead: _elementwise(v["n"], "ab", ahead),
    "lookup": lambda v, ahead: _elementwise(v["n"], "x", ahead),
    "softmax": _softmax,
    "mean": _mean,
    "fill": lambda v, ahead: (("y", i) for i in range(v["n"])),
}


def random_step(rng: random.Random, kernel: str) -> Step:
    """A step of small random shapes; its values for arithmetic are missing."""
    some = rng.randrange
    if kernel in ("add", "lookup"):
        values = {"n": some(1, 20)}
    elif kernel == "softmax":
        values = {"rows": some(1, 4), "depth": some(1, 6), "entries": 256}
    elif kernel == "mean":
        values = {"n": some(1, 6), "c": some(1, 6)}
    elif kernel == "dense":
        long = rng.random() < 0.1
        values = {"rows": some(1, 5), "k": opset.WIDENED + 1 if long else some(1, 7), "o": some(1, 7)}
    else:
        values = random_windows(rng, kernel, some(1, 8), some(1, 8))
    names = ("a", "b") if kernel == "add" else ("x",)
    return Step(kernel, kernel, values, {name: Place(i) for i, name in enumerate((*names, "y"))})


def random_windows(rng: random.Random, kernel: str, ih: int, iw: int, channels: int = 0) -> dict[str, int]:
    """Fields of a step that slides windows over an image: any stride, padding and dilation that the check accepts."""
    values: dict[str, int] = {}
    pool = kernel.endswith("pool")
    for axis, other, size in (("h", "y", ih), ("w", "x", iw)):
        k, s, d = rng.randrange(1, 5), rng.randrange(1, 4), 1 if pool else rng.choice((1, 1, 2, 3))
        p = rng.randrange(min((k - 1) * d, 4) + 1)
        most = -(-(size + p) // s)  # every window starts before the image ends
        values |= {
            "i" + axis: size,
            "o" + axis: rng.randrange(1, most + 1),
            "k" + axis: k,
            "s" + other: s,
            "p" + other: p,
        }
        values |= {} if pool else {"d" + other: d}
    c = channels or rng.randrange(1, 5)
    if pool:
        return values | {"c": c}
    return values | {"ic": c, "oc": rng.choice((c, c, 2 * c)) if kernel == "depthwise" else rng.randrange(1, 6)}
