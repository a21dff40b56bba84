"""The operators with weights: convolutions and dense layers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .. import fixedpoint as fp
from .. import layout
from ..device import opset
from ..graph import Operator, Tensor
from ..program import Place
from .geometry import image, windows
from .lowering import Lowering, operator


def _multipliers(low: Lowering, x: Tensor, w: Tensor, y: Tensor, axis: int) -> list[tuple[int, int]]:
    """(multiplier, right shift) per output channel, as TFLM rounds scale(x) * scale(w) / scale(y)."""
    assert low.op is not None and w.quantization is not None
    scales = w.quantization.scale
    if len(scales) == 1 and low.op.kind == "FULLY_CONNECTED":
        # TFLM takes this one product in float32.
        reals = [float(np.float32(x.scale) * scales[0]) / y.scale]
    else:
        if len(scales) > 1 and w.quantization.axis != axis:
            raise low.error(
                f"its weights have scales along dimension {w.quantization.axis}", f"whit needs dimension {axis}"
            )
        reals = [x.scale * float(s) / y.scale for s in scales]
    channels = w.shape[axis]
    return [fp.quantize_multiplier(r) for r in (reals * channels if len(reals) == 1 else reals)]


def _weighted(
    low: Lowering, x: Tensor, y: Tensor, axis: int, dtypes: tuple[str, ...] = ("int8", "int4"), dense: bool = False
) -> tuple[np.ndarray, bytes, int]:
    """What the three kernels with weights share; `dense`: for the kernel of that name.

    Returns int8 weights [channels, k], the quant blocks with the input's zero point folded into the bias, and flags.
    """
    assert low.op is not None
    data = low.constant(1, dtypes, "weights")
    rank = 2 if low.op.kind == "FULLY_CONNECTED" else 4
    if data is None or data.ndim != rank or data.size == 0:
        found = "no weights" if data is None else f"weights of shape {data.shape}"
        raise low.error(f"has {found}, whit needs {rank} dimensions", "export the model again")
    w = low.tensor(low.op.inputs[1])
    if w.quantization is None or np.any(w.quantization.zero_point != 0):
        raise low.error("its weights are not symmetric (zero point 0)", "convert with int8 quantization, not uint8")
    weights: np.ndarray = np.moveaxis(data, axis, 0).reshape(data.shape[axis], -1)
    channels = len(weights)
    bias = low.constant(2, ("int32",), "bias")
    bias = np.zeros(channels, np.int64) if bias is None else bias.astype(np.int64).reshape(-1)
    if len(bias) != channels or y.shape[-1:] != (channels,):
        raise low.error(f"has {len(bias)} biases and {channels} channels for the output {y.shape}", "export it again")
    pairs = _multipliers(low, x, w, y, axis)
    multiplier = np.array([m for m, _ in pairs], np.int64)
    shift = np.array([e for _, e in pairs], np.int64)
    folded = bias - x.zero_point * weights.sum(1, dtype=np.int64)
    # A channel that gives the same byte for every input is one without weights, or its multiplier, which need not mean
    # anything, would keep the whole layer from the faster kernels.
    bounds, spread = low.clamp(y), 128 * np.abs(weights.astype(np.int64)).sum(1)
    edges = [fp.requantize(folded + side * spread, multiplier, shift) + y.zero_point for side in (-1, 1)]
    least, most = (np.clip(edge, bounds["lo"], bounds["hi"]) for edge in edges)
    same = (least == most) & (np.abs(folded) + spread < 1 << 31) & (shift >= 0)
    weights = np.where(same[:, None], 0, weights).astype(np.int8)
    folded = np.where(same, 4 * (least - y.zero_point), folded)
    multiplier, shift = np.where(same, 1 << 30, multiplier), np.where(same, 1, shift)
    reach = np.abs(folded) + 128 * np.abs(weights.astype(np.int64)).sum(1)
    if dense:  # dense_blocks() stores even k as w + 128 and takes x - 128 for odd k
        folded = folded + 128 * weights[:, 1::2].sum(1, dtype=np.int64)
        reach = np.abs(folded) + 256 * 256 * weights.shape[1]
    bounded = bool((weights >= -127).all() and (shift >= 1).all() and (reach < 1 << 29).all())
    quant = layout.quant_blocks(fp.wrap32(folded), multiplier, shift)
    return weights, quant, (opset.BOUNDED if bounded else 0) | (opset.INT4 if w.dtype == "int4" else 0)


def _blocks(weights: np.ndarray, flags: int, write: Callable[[np.ndarray], bytes]) -> bytes:
    """The weights as the kernel reads them; int8 ones as `write` lays them out."""
    return (layout.int4_blocks if flags & opset.INT4 else write)(weights)


@operator("CONV_2D")
def _conv_2d(low: Lowering, op: Operator) -> None:
    x, source, padding = low.padded()
    y, result = low.result()
    shape = low.tensor(op.inputs[1]).shape if len(op.inputs) > 1 and op.inputs[1] >= 0 else ()
    dilated = any(op.options.get(f"Dilation{axis}Factor", 1) != 1 for axis in "HW")
    alone = padding is None and not dilated and x.shape[1:] == shape[1:] and y.shape[1:3] == (1, 1)
    weights, quant, flags = _weighted(low, x, y, 0, dense=alone)
    channels = image(low, x)[2]
    if shape[3] != channels:
        groups = f" ({channels // shape[3]} groups)" if channels % shape[3] == 0 else ""
        raise low.error(f"weights {shape} over {channels} channels{groups} are not supported", "use groups=1")
    values = windows(low, op, x, y, (shape[1], shape[2]), padding)
    if alone:  # the one window is the whole image, so it is a layer over all of it
        _dense(low, x.size, 1, y, weights, flags, quant, {"x": source, "y": result})
        return
    values |= {"ic": channels, "oc": len(weights), "zi": x.zero_point, "zo": y.zero_point} | low.clamp(y)
    blocks = {"w": _blocks(weights, flags, layout.quad_blocks), "q": quant}
    low.add_step("conv2d", values, {"x": source, "y": result}, blocks, flags)


@operator("DEPTHWISE_CONV_2D")
def _depthwise_conv_2d(low: Lowering, op: Operator) -> None:
    x, source, padding = low.padded()
    y, result = low.result()
    weights, quant, flags = _weighted(low, x, y, 3, ("int8",))
    shape = low.tensor(op.inputs[1]).shape
    channels = image(low, x)[2]
    if shape[0] != 1 or shape[3] % channels:
        raise low.error(f"weights {shape} over {channels} channels are not supported", "export the model again")
    values = windows(low, op, x, y, (shape[1], shape[2]), padding)
    values |= {"ic": channels, "oc": len(weights), "zi": x.zero_point, "zo": y.zero_point} | low.clamp(y)
    places = {"x": source, "y": result}
    if channels == 1 and len(weights) > 1:  # every output channel reads the one input channel: a convolution
        low.add_step("conv2d", values, places, {"w": layout.quad_blocks(weights), "q": quant}, flags)
    else:
        low.add_step("depthwise", values, places, {"w": weights.tobytes(), "q": quant}, flags)


@operator("FULLY_CONNECTED")
def _fully_connected(low: Lowering, op: Operator) -> None:
    if op.options.get("WeightsFormat", 0):
        raise low.error("has shuffled weights", "export it with the default weights format")
    x, source = low.activation(0)
    y, result = low.result()
    weights, quant, flags = _weighted(low, x, y, 0, dense=True)
    o, k = weights.shape
    rows = x.size // k
    if rows * k != x.size or rows * o != y.size:
        raise low.error(f"weights ({o}, {k}) do not take {x.shape} to {y.shape}", "export the model again")
    _dense(low, k, rows, y, weights, flags, quant, {"x": source, "y": result})


def _dense(
    low: Lowering, k: int, rows: int, y: Tensor, weights: np.ndarray, flags: int, quant: bytes, arena: dict[str, Place]
) -> None:
    values = {"k": k, "o": len(weights), "rows": low.field("rows", rows, 65535), "zo": y.zero_point} | low.clamp(y)
    blocks = {"w": _blocks(weights, flags, layout.dense_blocks), "q": quant}
    low.add_step("dense", values, arena, blocks, flags)
