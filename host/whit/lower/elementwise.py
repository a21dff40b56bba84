"""Elementwise operators and softmax."""

from __future__ import annotations

from .. import fixedpoint as fp
from ..graph import Operator
from ..program import Place
from ..tables import TABLES, exp_table, requantize_table
from .lowering import Lowering, operator


@operator("ADD")
def _add(low: Lowering, op: Operator) -> None:
    a, b = (low.tensor(i) for i in op.inputs)
    if a.shape != b.shape:
        raise low.error(f"of {a.shape} and {b.shape} is not supported", "give both operands the same shape")
    (a, left), (b, right) = low.activation(0), low.activation(1)
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
    if x.size != y.size:
        raise low.error(f"makes {y.shape} of {x.shape}", "export the model again")
    table = TABLES[op.kind](x, y, op, low.error)
    low.add_step("lookup", {"n": x.size}, {"x": source, "y": result}, {"t": table})


@operator("QUANTIZE")
def _quantize(low: Lowering, op: Operator) -> None:
    source, result = op.inputs[0], op.outputs[0]
    if source in low.edge:
        return  # the float edge: the caller's values are quantized on their way into the arena
    x, y = low.tensor(source), low.tensor(result)
    if x.dtype == "float32":
        raise low.not_int8(x, op)
    if (x.dtype, y.dtype) not in (("int8", "int8"), ("uint8", "int8"), ("int8", "uint8")):
        raise low.error(f"from {x.dtype} to {y.dtype} is not supported", "use int8 and uint8 only")
    if source not in low.buffer_of:
        low.activation(0)  # says why
    if x.quantization is None or not x.quantization.per_tensor:
        raise low.error(f"'{x.name}' has no single scale", "quantize the model again")
    place = Place(low.buffer_of[source])
    y, target = low.result(y.dtype)
    low.add_step("lookup", {"n": x.size}, {"x": place, "y": target}, {"t": requantize_table(x, y)})


@operator("DEQUANTIZE")
def _dequantize(low: Lowering, op: Operator) -> None:
    source, result = op.inputs[0], op.outputs[0]
    if result not in low.graph.outputs or any(result in other.inputs for other in low.graph.operators):
        raise low.not_int8(low.tensor(result), op)
    low.activation(0)
    low.edge[result] = source


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
