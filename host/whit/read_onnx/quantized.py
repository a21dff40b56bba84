"""QuantizeLinear and DequantizeLinear: not operators here, but what they say of a tensor."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..graph import Quantization, affine
from .model import Constant
from .reading import Reading, operator


def _parameters(r: Reading, default: str) -> tuple[float, int, str]:
    """(scale, zero point, data type) as the model has them."""
    import onnx

    scale, zero = r.constant(1), r.maybe_constant(2)
    if scale.data.size != 1:
        raise r.error(f"has {scale.data.size} scales for an activation", "quantize activations per tensor")
    if r.attribute("output_dtype"):
        default = onnx.helper.tensor_dtype_to_np_dtype(r.attribute("output_dtype")).name
    dtype = default if zero is None else zero.data.dtype.name
    if dtype not in ("int8", "uint8"):
        raise r.error(f"quantizes an activation to {dtype}", "whit runs int8: quantize to int8 or uint8")
    value = float(scale.data.astype(np.float32).reshape(()))
    if not 0 < value < np.inf:
        raise r.error(f"has the scale {value:g}", "quantize the model again")
    return value, 0 if zero is None else int(zero.data.reshape(())), dtype


def _signed(scale: float, zero_point: int, dtype: str) -> Quantization:
    """uint8 becomes int8: both ends of the range move by 128."""
    return affine(scale, zero_point - (128 if dtype == "uint8" else 0))


def same(a: Quantization | None, b: Quantization) -> bool:
    return a is not None and np.array_equal(a.scale, b.scale) and np.array_equal(a.zero_point, b.zero_point)


@operator("QuantizeLinear")
def _quantize(r: Reading) -> None:
    x = r.value(0)
    wanted = _signed(*_parameters(r, "uint8"))
    r.set(requantized(r, x.tensor, wanted), x.layout)


def requantized(r: Reading, tensor: int, wanted: Quantization) -> int:
    """The tensor in int8 with this quantization: its own where it has none yet, else by QUANTIZE."""
    t = r.tensors[tensor]
    if same(t.quantization, wanted):
        return tensor
    unset = t.quantization is None or (tensor in r.provisional and tensor not in r.shared)
    if unset and tensor not in r.inputs:
        r.tensors[tensor] = replace(t, quantization=wanted)
        r.provisional.discard(tensor)
        return tensor
    key = (tensor, float(wanted.scale[0]), int(wanted.zero_point[0]))
    if key not in r.entered:
        quantized, r.quantized = r.quantized, False  # the one operator that may read float32
        r.entered[key] = r.add("QUANTIZE", (tensor,), t.shape)
        r.quantized = quantized
        r.tensors[r.entered[key]] = replace(r.tensors[r.entered[key]], quantization=wanted)
    return r.entered[key]


@operator("DequantizeLinear")
def _dequantize(r: Reading) -> None:
    if r.is_constant(0):
        found: Constant = r.constant(0)
        raise r.error(f"has a constant of {found.data.dtype.name}, or scales in blocks", "quantize weights to int8")
    x = r.value(0)
    t = r.tensors[x.tensor]
    scale, zero_point, dtype = _parameters(r, t.dtype if x.tensor in r.inputs else "uint8")
    wanted = _signed(scale, zero_point, dtype)
    tensor = x.tensor
    if tensor in r.inputs and t.dtype != "float32" and t.quantization is None:
        r.tensors[tensor] = replace(t, quantization=affine(scale, zero_point))
        if t.dtype == "uint8":
            tensor = requantized(r, tensor, wanted)
    elif t.dtype == "uint8":
        tensor = requantized(r, tensor, wanted)
    elif not same(t.quantization, wanted):
        raise r.error("reads integers with a scale other than theirs", "quantize the model again")
    r.set(tensor, x.layout)
