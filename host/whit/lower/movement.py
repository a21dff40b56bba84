"""Operators that only move bytes, or only rename them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..graph import Operator
from ..program import Place
from .lowering import Lowering, operator


@operator("RESHAPE", "SQUEEZE", "EXPAND_DIMS")
def _reshape(low: Lowering, op: Operator) -> None:
    low.alias()


@operator("PAD", "PADV2")
def _pad(low: Lowering, op: Operator) -> None:
    if op.outputs[0] in low.paddings:
        return  # the layer behind it pads
    x, source = low.activation(0)
    y, result = low.result()
    low.keep_quantization(x, y, "PAD keeps")
    given = low.constant(1, ("int32",), "paddings")
    paddings = [] if given is None or given.size % 2 else given.reshape(-1, 2).tolist()
    ranks = {len(paddings), len(x.shape), len(y.shape)}
    fits = all(b >= 0 <= a and b + n + a == m for (b, a), n, m in zip(paddings, x.shape, y.shape, strict=False))
    if len(ranks) > 1 or not fits:
        raise low.error(f"paddings {paddings} do not take {x.shape} to {y.shape}", "export the model again")
    value = low.constant(2, ("int8",), "value") if op.kind == "PADV2" else None
    filler = y.zero_point if value is None else int(value.reshape(-1)[0])
    low.add_step("fill", {"n": y.size, "value": filler}, {"y": result})
    strides = _strides(y.shape)
    start = sum(before * stride for (before, _), stride in zip(paddings, strides, strict=True))
    _copy(low, x.shape, _strides(x.shape), strides, source, Place(result.buffer, start))


def _strides(shape: tuple[int, ...]) -> list[int]:
    """Bytes between neighbours along each dimension of a packed int8 array."""
    return [math.prod(shape[i + 1 :]) for i in range(len(shape))]


def _copy(
    low: Lowering,
    shape: Sequence[int],
    x_strides: Sequence[int],
    y_strides: Sequence[int],
    source: Place,
    target: Place,
) -> None:
    """Add the `copy` step for a box of `shape`, after merging dimensions that lie together on both sides."""
    boxes: list[tuple[int, int, int]] = []  # (count, x stride, y stride), innermost first
    for n, xs, ys in reversed(list(zip(shape, x_strides, y_strides, strict=True))):
        if boxes and (xs, ys) == (boxes[-1][0] * boxes[-1][1], boxes[-1][0] * boxes[-1][2]):
            boxes[-1] = (boxes[-1][0] * n, *boxes[-1][1:])
        elif n > 1:
            boxes.append((n, xs, ys))
    run = boxes.pop(0)[0] if boxes and boxes[0][1:] == (1, 1) else 1
    if len(boxes) > 3:
        raise low.error(f"moves a box of {len(shape)} dimensions", "use at most 4")
    values = {"n3": run}
    for i, (n, xs, ys) in enumerate([(1, 0, 0)] * (3 - len(boxes)) + boxes[::-1]):
        values |= {f"n{i}": n, f"x{i}": xs, f"y{i}": ys}
    low.add_step("copy", values, {"x": source, "y": target})
