"""Elementwise operators and softmax."""

from __future__ import annotations

from .. import fixedpoint as fp
from ..graph import Operator
from ..tables import TABLES, exp_table, requantize_table
from .lowering import Lowering, operator


@operator("ADD")
def _add(low: Lowering, op: Operator) -> None:
    (a, left), (b, right) = low.activation(0), low.activation(1)
    if a.shape != b.shape:
        raise low.error(f"of {a.shape} and {b.shape} is not supported", "give both operands the same shape")
    y, result = low.result()
    # Both operands are shifted left by 20 bits and brought to twice the larger scale before they meet.
    twice = 2 * max(a.scale, b.scale)
    values = {"n": a.size, "za": a.zero_point, "zb": b.zero_point, "zo": y.zero_point} | low.clamp(y)
    for letter, real in (("a", a.scale / twice), ("b", b.scale / twice), ("o", twice / ((1 << 20) * y.scale))):
        values["m" + letter], values["e" + letter] = fp.quantize_multiplier(real)
    low.add_step("add", values, {"a": left, "b": right, "y": result})


@operator(*TABLES)
def _unary(low: Lowering, op: Operator) -> None:
    x, source = low.activation(0)
    y, result = low.result()
    table = TABLES[op.kind](x, y, op, low.error)
    low.add_step("lookup", {"n": y.size}, {"x": source, "y": result}, {"t": table})


@operator("QUANTIZE")
def _quantize(low: Lowering, op: Operator) -> None:
    if op.inputs and op.inputs[0] in low.edge:
        return  # the float edge: the caller's values are quantized on their way into the arena
    x, source = low.activation(0, ("int8", "uint8"))
    y, result = low.result(("int8", "uint8"))
    if (x.dtype, y.dtype) == ("uint8", "uint8"):
        raise low.error("from uint8 to uint8 is not supported", "convert with int8 inside the model")
    low.add_step("lookup", {"n": y.size}, {"x": source, "y": result}, {"t": requantize_table(x, y)})


@operator("DEQUANTIZE")
def _dequantize(low: Lowering, op: Operator) -> None:
    result = op.outputs[0]
    if result not in low.graph.outputs or any(result in other.inputs for other in low.graph.operators):
        raise low.not_int8(low.tensor(result), op)
    low.activation(0)
    low.edge[result] = op.inputs[0]


@operator("SOFTMAX")
def _softmax(low: Lowering, op: Operator) -> None:
    x, source = low.activation(0)
    y, result = low.result()
    if y.scale != 1 / 256 or y.zero_point != -128:
        raise low.error(f"has output scale {y.scale:g} and zero point {y.zero_point}", "TFLite fixes 1/256 and -128")
    depth = x.shape[-1] if x.shape else 1
    table = exp_table(x.scale, float(op.options["Beta"]), low.error)
    values = {"rows": x.size // depth, "depth": low.field("depth", depth, 4095), "entries": len(table)}
    low.add_step("softmax", values, {"x": source, "y": result}, {"t": table.astype("<i4").tobytes()})
