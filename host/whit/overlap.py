"""overlap: how far an output may lie over an input, by the order of access that FORMAT.md promises for every kernel.

The distance is the input's offset less the output's. A kernel writes its output in pieces; behind each piece there is
a first byte of the input that it may still read. The input lies far enough behind the output if no piece reaches that
byte, so the least distance is the largest (end of a piece - first byte still to be read); what has been read may go.
A kernel is free to read earlier than it must, never later.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np

from .device import opset
from .program import WRITTEN, Step

_NONE = 1 << 40  # the first byte still to be read where there is none


@dataclass(frozen=True)
class Overlap:
    """Safe are the distance `least` and, in steps of `stride`, all greater ones; and any at which nothing overlaps."""

    least: int
    stride: int = 1

    def allows(self, distance: int) -> bool:
        return distance >= self.least and (distance - self.least) % self.stride == 0


def overlaps(step: Step) -> dict[str, Overlap]:
    """For each input that the output of a step may lie over, by its field, where it may do so."""
    found = _least(step.kernel, tuple(step.values.items()))
    if found is None:
        return {}
    extents = step.extents()
    # An output that starts behind the input's end does not lie over it, so no distance below that is of interest.
    return {name: Overlap(max(found.least, -extents[name]), found.stride) for name in step.arena if name != WRITTEN}


@cache
def _least(kernel: str, values: tuple[tuple[str, int], ...]) -> Overlap | None:
    order = _ORDERS[kernel](dict(values)) if kernel in _ORDERS else None
    if order is None:
        return None
    pieces, stride = order
    return Overlap(max((int((end - first).max()) for end, first in pieces if len(end)), default=-_NONE), stride)


Values = dict[str, int]
# (ends of the pieces, first byte still to be read behind each), in bytes; the step between safe distances
Order = tuple[list[tuple[np.ndarray, np.ndarray]], int]


def _reached(i: int, o: int, k: int, stride: int, dilation: int, padding: int) -> np.ndarray:
    """[o, k]: along one dimension, the input index under each tap of each window; _NONE outside the image."""
    taps = np.arange(o)[:, None] * stride - padding + np.arange(k) * dilation
    return np.where((taps >= 0) & (taps < i), taps, _NONE)


def _taps(v: Values) -> tuple[np.ndarray, np.ndarray]:
    """_reached() of the rows and of the columns."""
    return (
        _reached(v["ih"], v["oh"], v["kh"], v["sy"], v.get("dy", 1), v["py"]),
        _reached(v["iw"], v["ow"], v["kw"], v["sx"], v.get("dx", 1), v["px"]),
    )


def _first_pixels(v: Values) -> np.ndarray:
    """[oh * ow]: the first input pixel in the window of each output pixel."""
    rows, columns = _taps(v)
    first = rows.min(1)[:, None] * v["iw"] + columns.min(1)
    return np.minimum(first, _NONE).reshape(-1)


def _ahead(first: np.ndarray) -> np.ndarray:
    """For each position, the least of `first` behind it."""
    behind = np.append(first[1:], _NONE)
    return np.minimum.accumulate(behind[::-1])[::-1]


def _conv2d(v: Values) -> Order:
    ahead = _ahead(_first_pixels(v))
    return [((np.arange(len(ahead)) + 1) * v["oc"], ahead * v["ic"])], 1


def _pool(v: Values) -> Order:
    """A piece is a byte. While a pixel lasts, the next channel of its own window is still to be read."""
    first = _first_pixels(v)
    pixels, c = np.arange(len(first)), v["c"]
    within = [(pixels * c, first * c)] if c > 1 else []
    return [*within, ((pixels + 1) * c, _ahead(first) * c)], 1


def _depthwise(v: Values) -> Order | None:
    """Channel by channel, so at distances that are multiples of their number no channel meets another.

    A piece is an output row, in pixels. Every input row is read once, so those that earlier windows reached may go.
    """
    if v["ic"] != v["oc"]:
        return None
    rows, columns = _taps(v)
    reader = np.full(v["ih"], 0)  # the output row that is the first to reach an input row
    for r, reached in reversed(list(enumerate(rows))):
        reader[reached[reached < _NONE]] = r
    first = np.full(v["oh"], _NONE)
    for row in np.unique(rows[rows < _NONE])[::-1]:
        first[reader[row]] = row * v["iw"] + columns.min()
    pieces = (np.arange(v["oh"]) + 1) * v["ow"]
    return [(pieces * v["ic"], np.minimum(_ahead(first), _NONE) * v["ic"])], v["ic"]


def _dense(v: Values) -> Order:
    """A piece is a row. Without scratch its input row is read until the last of it is written."""
    rows = np.arange(v["rows"])
    if v["k"] > opset.WIDENED:
        return [((rows + 1) * v["o"], rows * v["k"])], 1
    return [(rows[1:] * v["o"], rows[1:] * v["k"])], 1  # behind the last one nothing is read


def _elements(n: int) -> Order:
    """Element by element: behind each but the last, the next one is still to be read."""
    return [(np.arange(1, n)[:1], np.arange(1, n)[:1])], 1


_ORDERS: dict[str, Callable[[Values], Order | None]] = {
    "conv2d": _conv2d,
    "depthwise": _depthwise,
    "dense": _dense,
    "average_pool": _pool,
    "max_pool": _pool,
    "add": lambda v: _elements(v["n"]),
    "lookup": lambda v: _elements(v["n"]),
    "softmax": lambda v: _elements(v["rows"] * v["depth"]),
    "mean": lambda v: _elements(v["c"]),
}
