"""Operators that only move bytes, or only rename them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..graph import Operator
from ..program import Place
from .lowering import Lowering, operator
from .placing import RENAMED
from .spans import Span, parts, strided_spans


@operator(*RENAMED)
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
    copy_box(low, x.shape, _strides(x.shape), strides, source, Place(result.buffer, result.offset + start))


@operator("CONCATENATION")
def _concatenation(low: Lowering, op: Operator) -> None:
    y = low.output(0)
    if op.options.get("FusedActivationFunction", 0):
        raise low.error("with a fused activation is not supported", "export the activation as an operator of its own")
    axis = _axis(low, int(op.options["Axis"]), y.shape)
    pieces = [low.activation(i) for i in range(len(op.inputs))]
    result = low.allocate(op.outputs[0])  # behind its parts: it is none of them
    for x, _ in pieces:
        if len(x.shape) != len(y.shape) or (*x.shape[:axis], *x.shape[axis + 1 :]) != (
            *y.shape[:axis],
            *y.shape[axis + 1 :],
        ):
            raise low.error(f"of {x.shape} to {y.shape} is not supported", "export the model again")
        low.keep_quantization(x, y, "CONCATENATION keeps")
    if sum(x.shape[axis] for x, _ in pieces) != y.shape[axis]:
        raise low.error(f"does not fill {y.shape}", "export the model again")
    strides, at = _strides(y.shape), result.offset
    for x, source in pieces:
        target = Place(result.buffer, at)
        if source != target or math.prod(y.shape[:axis]) != 1:
            copy_box(low, x.shape, _strides(x.shape), strides, source, target)
        at += x.shape[axis] * strides[axis]


def _axis(low: Lowering, axis: int, shape: Sequence[int]) -> int:
    if not -len(shape) <= axis < len(shape):
        raise low.error(f"axis {axis} of {tuple(shape)} is not supported", "export the model again")
    return axis % len(shape)


@operator("STRIDED_SLICE")
def _strided_slice(low: Lowering, op: Operator) -> None:
    x, _ = low.activation(0)
    lists = [_numbers(low, i + 1, name) for i, name in enumerate(("begin", "end", "strides"))]
    spans = strided_spans(x.shape, lists[0], lists[1], lists[2], op.options)
    if spans is None:
        begin, end, strides = lists
        raise low.error(
            f"of {x.shape} from {begin} to {end} by {strides} is not supported",
            "slice forwards, at least one element, without new axes",
        )
    _take(low, 0, 0, spans)


@operator("SLICE")
def _slice(low: Lowering, op: Operator) -> None:
    x, _ = low.activation(0)
    begin, size = _numbers(low, 1, "begin"), _numbers(low, 2, "size")
    spans = [(b, n - b if s < 0 else s, 1) for b, s, n in zip(begin, size, x.shape, strict=False)]
    if not len(begin) == len(size) == len(x.shape) or any(
        b < 0 or s < 1 or b + s > n for (b, s, _), n in zip(spans, x.shape, strict=True)
    ):
        raise low.error(f"of {x.shape} from {begin}, {size} elements, is not supported", "export the model again")
    _take(low, 0, 0, spans)


@operator("SPLIT", outputs=None)
def _split(low: Lowering, op: Operator) -> None:
    _split_along(low, op, 1, _numbers(low, 0, "axis"), [])


@operator("SPLIT_V", outputs=None)
def _split_v(low: Lowering, op: Operator) -> None:
    _split_along(low, op, 0, _numbers(low, 2, "axis"), _numbers(low, 1, "sizes"))


def _split_along(low: Lowering, op: Operator, position: int, axes: list[int], sizes: list[int]) -> None:
    """Input `position` in pieces of these sizes along an axis; of equal ones where none are given."""
    x, _ = low.activation(position)
    axis, count = _axis(low, axes[0] if len(axes) == 1 else len(x.shape), x.shape), len(op.outputs)
    n = x.shape[axis]
    sizes = sizes or [n // max(count, 1)] * count
    if sizes.count(-1) == 1:  # what the others leave
        sizes = [n - sum(sizes) - 1 if size == -1 else size for size in sizes]
    if len(sizes) != count or sum(sizes) != n or min(sizes, default=0) < 1:
        raise low.error(f"of {x.shape} along axis {axis} into {sizes} is not supported", "export the model again")
    for i, spans in enumerate(parts(x.shape, axis, sizes)):
        _take(low, position, i, spans)


def _numbers(low: Lowering, position: int, what: str) -> list[int]:
    given = low.constant(position, ("int32",), what)
    return [] if given is None else given.reshape(-1).tolist()


def _take(low: Lowering, position: int, output: int, spans: Sequence[Span]) -> None:
    """Output `output` of the operator is a part of its input `position`: where it lies together, it stays there."""
    assert low.op is not None
    x, source = low.activation(position)
    y = low.output(output)
    low.keep_quantization(x, y, f"{low.op.kind} keeps")
    shape, strides = [count for _, count, _ in spans], _strides(x.shape)
    if math.prod(shape) != y.size:
        raise low.error(f"makes {y.shape} of {x.shape}, it should be {tuple(shape)}", "export the model again")
    place = Place(source.buffer, source.offset + sum(at * n for (at, _, _), n in zip(spans, strides, strict=True)))
    steps = [stride * step for stride, (_, _, step) in zip(strides, spans, strict=True)]
    boxes, _ = _boxes(shape, steps, _strides(shape))
    index = low.op.outputs[output]
    if boxes or index in low.graph.outputs or index in low.placing.inside:
        copy_box(low, shape, steps, _strides(shape), place, low.allocate(index))
    else:
        low.rename(index, place)


def _strides(shape: Sequence[int]) -> list[int]:
    """Bytes between neighbours along each dimension of a packed int8 array."""
    return [math.prod(shape[i + 1 :]) for i in range(len(shape))]


def copy_box(
    low: Lowering,
    shape: Sequence[int],
    x_strides: Sequence[int],
    y_strides: Sequence[int],
    source: Place,
    target: Place,
) -> None:
    """Add the `copy` step for a box of `shape`."""
    boxes, run = _boxes(shape, x_strides, y_strides)
    if len(boxes) > 3:
        raise low.error(f"moves a box of {len(shape)} dimensions", "use at most 4")
    values = {"n3": run}
    for i, (n, xs, ys) in enumerate([(1, 0, 0)] * (3 - len(boxes)) + boxes[::-1]):
        values |= {f"n{i}": n, f"x{i}": xs, f"y{i}": ys}
    low.add_step("copy", values, {"x": source, "y": target})


def _boxes(
    shape: Sequence[int], x_strides: Sequence[int], y_strides: Sequence[int]
) -> tuple[list[tuple[int, int, int]], int]:
    """(count, x stride, y stride), innermost first, and the length of a run, after merging the dimensions that lie
    together on both sides."""
    boxes: list[tuple[int, int, int]] = []
    for n, xs, ys in reversed(list(zip(shape, x_strides, y_strides, strict=True))):
        if boxes and (xs, ys) == (boxes[-1][0] * boxes[-1][1], boxes[-1][0] * boxes[-1][2]):
            boxes[-1] = (boxes[-1][0] * n, *boxes[-1][1:])
        elif n > 1:
            boxes.append((n, xs, ys))
    run = boxes.pop(0)[0] if boxes and boxes[0][1:] == (1, 1) else 1
    return boxes, run
