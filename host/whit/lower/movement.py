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
    x, source = low.activation(0)
    y, result = low.result()
    if x.scale != y.scale or x.zero_point != y.zero_point:
        raise low.error("input and output are quantized differently", "quantize the model again: PAD keeps the scale")
    given = low.constant(1, "int32", "paddings")
    paddings = [] if given is None else given.reshape(-1, 2).tolist()
    if [b + d + a for (b, a), d in zip(paddings, x.shape, strict=False)] != list(y.shape) or min(
        map(min, paddings)
    ) < 0:
        raise low.error(f"paddings {paddings} do not take {x.shape} to {y.shape}", "export the model again")
    value = low.constant(2, "int8", "value") if op.kind == "PADV2" else None
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
    loops = [(1, 0, 0)] * 3  # (count, x stride, y stride), outermost first
    run = 1
    for n, xs, ys in reversed([d for d in zip(shape, x_strides, y_strides, strict=True) if d[0] > 1]):
        if loops[0] == (1, 0, 0) and xs == ys == run and loops.count((1, 0, 0)) == 3:
            run *= n
        else:
            inner = next((i for i in range(3) if loops[i] != (1, 0, 0)), 3)
            if inner < 3 and xs == loops[inner][0] * loops[inner][1] and ys == loops[inner][0] * loops[inner][2]:
                loops[inner] = (loops[inner][0] * n, *loops[inner][1:])
            elif inner == 0:
                raise low.error(f"moves a box of {len(shape)} dimensions", "use at most 4")
            else:
                loops[inner - 1] = (n, xs, ys)
    values = {"n3": run}
    for i, (n, xs, ys) in enumerate(loops):
        values |= {f"n{i}": n, f"x{i}": xs, f"y{i}": ys}
    low.add_step("copy", values, {"x": source, "y": target})
