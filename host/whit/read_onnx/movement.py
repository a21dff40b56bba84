"""Operators that move axes, rename shapes or do nothing: none of them becomes an operator, but for padding."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from .layout import packed
from .model import Constant
from .reading import Reading, operator
from .windows import pad


@operator("Identity", "Dropout")
def _identity(r: Reading) -> None:
    x = r.value(0)
    r.set(x.tensor, x.layout)


@operator("Cast", "CastLike")
def _cast(r: Reading) -> None:
    import onnx

    x = r.value(0)
    target = r.attribute("to", onnx.TensorProto.FLOAT)
    name = onnx.helper.tensor_dtype_to_np_dtype(target).name
    if not name.startswith(("float", "bfloat")) or not r.tensors[x.tensor].dtype.startswith("float"):
        raise r.error(f"converts {r.tensors[x.tensor].dtype} to {name}", "keep the model in float32")
    r.set(x.tensor, x.layout)


@operator("Shape")
def _shape(r: Reading) -> None:
    shape = r.value(0).shape
    part = shape[r.attribute("start", 0) : r.attribute("end", len(shape))]
    r.constants[r._node.outputs[0]] = Constant(np.array(part, np.int64))


@operator("Size")
def _size(r: Reading) -> None:
    r.constants[r._node.outputs[0]] = Constant(np.array(r.value(0).layout.size, np.int64))


@operator("Transpose")
def _transpose(r: Reading) -> None:
    x = r.value(0)
    order = [int(a) for a in r.attribute("perm", range(len(x.shape))[::-1])]
    if sorted(order) != list(range(len(x.shape))):
        raise r.error(f"perm {order} does not fit {x.shape}", "export the model again")
    r.set(x.tensor, x.layout.transposed(order))


def _reshaped(r: Reading, shape: Sequence[int]) -> None:
    x = r.value(0)
    layout = x.layout.reshaped(shape)
    if layout is None:
        raise r.misplaced(f"making {tuple(shape)} of {x.shape}")
    r.set(x.tensor, layout)


@operator("Reshape")
def _reshape(r: Reading) -> None:
    x = r.value(0)
    given = r.integers(1, "shape")
    if given is None:
        raise r.error("has no shape", "export the model again")
    shape = given
    if not r.attribute("allowzero", 0) and any(n == 0 for n in shape[len(x.shape) :]):
        raise r.error(f"copies a size that {x.shape} does not have into {shape}", "export the model again")
    if not r.attribute("allowzero", 0):
        shape = [x.shape[i] if n == 0 else n for i, n in enumerate(shape)]
    filled = _filled(shape, x.layout.size)
    if filled is None and shape and shape[0] == r.model.batch:  # the file's own batch
        filled = _filled([1, *shape[1:]], x.layout.size)
    if filled is None:
        raise r.error(f"cannot make {given} of {x.shape}", "export with batch size 1")
    _reshaped(r, filled)


def _filled(shape: Sequence[int], size: int) -> list[int] | None:
    """The shape with its -1 worked out; None where it does not have `size` elements."""
    known = math.prod(n for n in shape if n != -1)
    if list(shape).count(-1) > 1 or any(n < -1 or n == 0 for n in shape):
        return None
    if -1 in shape:
        return [size // known if n == -1 else n for n in shape] if size % known == 0 else None
    return list(shape) if known == size else None


@operator("Flatten")
def _flatten(r: Reading) -> None:
    shape = r.value(0).shape
    axis = int(r.attribute("axis", 1))
    if not -len(shape) <= axis <= len(shape):
        raise r.error(f"axis {axis} of {shape} does not exist", "export the model again")
    axis += len(shape) if axis < 0 else 0
    _reshaped(r, (math.prod(shape[:axis]), math.prod(shape[axis:])))


@operator("Squeeze")
def _squeeze(r: Reading) -> None:
    shape = r.value(0).shape
    axes = r.integers(1, "axes")
    if axes is None:
        axes = [a for a, n in enumerate(shape) if n == 1]
    if any(not -len(shape) <= a < len(shape) or shape[a] != 1 for a in axes):
        raise r.error(f"cannot take the axes {axes} out of {shape}", "export with batch size 1")
    taken = {a % len(shape) for a in axes}
    _reshaped(r, [n for a, n in enumerate(shape) if a not in taken])


@operator("Unsqueeze")
def _unsqueeze(r: Reading) -> None:
    shape = list(r.value(0).shape)
    axes = r.integers(1, "axes") or []
    rank = len(shape) + len(axes)
    if any(not -rank <= a < rank for a in axes):
        raise r.error(f"cannot put the axes {axes} into {tuple(shape)}", "export the model again")
    for axis in sorted(a % rank for a in axes):
        shape.insert(axis, 1)
    _reshaped(r, shape)


@operator("Pad")
def _pad(r: Reading) -> None:
    x = r.value(0)
    rank, mode = len(x.shape), r.attribute("mode", "constant")
    if mode != "constant":
        raise r.error(f"pads by mode {mode}", "pad with a constant")
    pads = r.integers(1, "pads") or []
    value = r.maybe_constant(2)
    filler = float(r.attribute("value", 0) if value is None else value.real.reshape(()))
    axes = [a % rank for a in (r.integers(3, "axes") or range(rank))]
    if len(pads) != 2 * len(axes) or min(pads, default=0) < 0:
        raise r.error(f"pads {pads} of {x.shape} are not supported", "pad by none or more at each end")
    by_axis = dict(zip(axes, zip(pads, pads[len(axes) :], strict=False), strict=True))
    if all(p == (0, 0) for p in by_axis.values()):
        r.set(x.tensor, x.layout)
        return
    # One dimension of the tensor for each axis, in the order in which they lie; those of size 1 stay where they are
    # among images with their channels last.
    last = [0, *range(2, rank), 1] if rank > 1 else [0]
    first = {a: min(x.layout.axes[a]) for a in range(rank) if x.layout.axes[a]}
    orders = [last, list(range(rank)), sorted(range(rank), key=lambda a: first.get(a, -1))]
    order = next((o for o in orders if x.layout.ordered(o)), None)
    if order is None or rank > 4:
        raise r.misplaced("padding axes that do not lie together")
    ones = [1] * (4 - rank)
    shape = [x.shape[order[0]], *ones, *(x.shape[a] for a in order[1:])]
    boxed = [by_axis.get(a, (0, 0)) for a in order]
    source = r.reshape(x.tensor, shape)
    y = pad(r, source, [boxed[0], *((0, 0) for _ in ones), *boxed[1:]], max(filler, -3.4028234e38))
    after = [n + sum(by_axis.get(a, (0, 0))) for a, n in enumerate(x.shape)]
    r.set(y, packed(after, order))
