"""PAD as the padding of the layer behind it: neither a step nor memory of its own."""

from __future__ import annotations

from dataclasses import dataclass

from ..graph import Graph, Operator, Tensor

_CONVOLUTIONS = ("CONV_2D", "DEPTHWISE_CONV_2D")
_VALID = 1
_MOST = 255  # the field's width


@dataclass(frozen=True)
class Padding:
    """What stands before and behind an image, each (rows, columns). `source` is the tensor without it."""

    source: int
    before: tuple[int, int]
    behind: tuple[int, int]


def paddings(graph: Graph) -> dict[int, Padding]:
    """The padded tensors that no step needs to make, each with how the one operator that reads it shall pad."""
    readers: dict[int, list[Operator]] = {}
    for op in graph.operators:
        for index in op.inputs:
            readers.setdefault(index, []).append(op)
    found = {}
    for op in graph.operators:
        if op.kind in ("PAD", "PADV2") and len(op.outputs) == 1 and op.outputs[0] not in graph.outputs:
            reader = readers.get(op.outputs[0], [])
            padding = _padding(graph, op)
            if padding and len(reader) == 1 and _takes(graph, reader[0], op, padding):
                found[op.outputs[0]] = padding
    return found


def _constant(graph: Graph, op: Operator, position: int, dtype: str) -> Tensor | None:
    index = op.inputs[position] if position < len(op.inputs) else -1
    tensor = graph.tensors[index] if index >= 0 else None
    return tensor if tensor is not None and tensor.data is not None and tensor.dtype == dtype else None


def _padding(graph: Graph, op: Operator) -> Padding | None:
    """What a PAD adds to one image of int8; None for any other, which movement.py does or refuses."""
    given = _constant(graph, op, 1, "int32")
    if given is None or given.data is None or given.data.size != 8 or op.inputs[0] < 0:
        return None
    x, y = graph.tensors[op.inputs[0]], graph.tensors[op.outputs[0]]
    (n, rows, columns, c) = given.data.reshape(4, 2).tolist()
    added = [sum(pair) for pair in (n, rows, columns, c)]
    plain = len(x.shape) == 4 and x.shape[0] == 1 and x.data is None and x.dtype == y.dtype == "int8"
    if not plain or any((*n, *c)) or min(*rows, *columns) < 0:
        return None
    if y.shape != tuple(d + a for d, a in zip(x.shape, added, strict=True)):
        return None
    if (x.scale, x.zero_point) != (y.scale, y.zero_point):
        return None
    return Padding(op.inputs[0], (rows[0], columns[0]), (rows[1], columns[1]))


def _takes(graph: Graph, reader: Operator, pad: Operator, padding: Padding) -> bool:
    """Whether the kernel of `reader` pads so: with this value, and windows that start and end in the image's reach."""
    if reader.inputs[0] != pad.outputs[0] or reader.options.get("Padding") != _VALID or len(reader.outputs) != 1:
        return False
    x, y = graph.tensors[padding.source], graph.tensors[reader.outputs[0]]
    if len(y.shape) != 4:
        return False
    value = _constant(graph, pad, 2, "int8") if pad.kind == "PADV2" else None
    if pad.kind == "PADV2" and (value is None or value.data is None or value.data.size != 1):
        return False
    filler = x.zero_point if value is None or value.data is None else int(value.data.reshape(-1)[0])
    if reader.kind in _CONVOLUTIONS:
        weights = graph.tensors[reader.inputs[1]].shape if len(reader.inputs) > 1 else ()
        if filler != x.zero_point or len(weights) != 4:
            return False
        kernel = weights[1:3]
    elif reader.kind == "MAX_POOL_2D":
        if filler != -128:
            return False
        kernel = (int(reader.options["FilterHeight"]), int(reader.options["FilterWidth"]))
    else:
        return False
    sizes = zip(x.shape[1:3], y.shape[1:3], kernel, padding.before, "HW", strict=True)
    return all(_slides(reader, i, o, k, p, axis) for i, o, k, p, axis in sizes)


def _slides(reader: Operator, i: int, o: int, k: int, p: int, axis: str) -> bool:
    """The condition on every record, opset.py's."""
    stride, dilation = reader.options[f"Stride{axis}"], reader.options.get(f"Dilation{axis}Factor", 1)
    return p <= min((k - 1) * dilation, _MOST) and (o - 1) * stride < i + p
