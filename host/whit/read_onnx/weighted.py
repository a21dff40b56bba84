"""Convolutions, dense layers, and arithmetic with constants, which goes into their weights where it can."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .layout import Layout, channels_last, packed
from .model import Constant
from .reading import VALID, Reading, Value, operator
from .windows import dilations, image, options, padded, result_shape, slides


@operator("Conv")
def _conv(r: Reading) -> None:
    x, weights = r.value(0), r.constant(1)
    bias = r.maybe_constant(2)
    shape, groups = weights.data.shape, int(r.attribute("group", 1))
    if len(shape) != len(x.shape) or len(shape) not in (3, 4):
        raise r.error(f"weights {shape} over an input {x.shape} are not supported", "use 1-D or 2-D convolutions")
    if tuple(r.attribute("kernel_shape", shape[2:])) != shape[2:] or groups < 1 or shape[1] * groups != x.shape[1]:
        raise r.error(f"weights {shape} in {groups} groups do not fit the input {x.shape}", "export the model again")
    if groups != 1 and (shape[1] != 1 or shape[0] % groups):
        raise r.error(
            f"{groups} groups over {x.shape[1]} channels are not supported", "use groups=1, or one group per channel"
        )
    if weights.data.size == 0:
        raise r.error(f"weights {shape} are empty", "export the model again")
    source, channels = image(r, x)
    down, across = slides(r, x, shape[2:])
    if len(shape) == 3:  # 1-D: an image of one row
        weights = replace(weights, data=weights.data[:, :, None, :])
    source, padding = padded(r, source, down, across)
    tensor_shape, model_shape = result_shape(x, shape[0], down, across)
    settings = options(padding, down, across) | dilations(down, across)
    real = None if bias is None else bias.real
    if groups == 1:
        ohwi = replace(weights, data=weights.data[:, channels]).transposed((0, 2, 3, 1))
        y = r.weighted("CONV_2D", source, ohwi, real, tensor_shape, **settings)
        r.set(y, channels_last(model_shape, packed((shape[0],))))
        return
    multiplier, layout = shape[0] // groups, packed((shape[0],))
    if multiplier == 1:  # the channels stay in the order in which they lie
        weights, layout = _picked(weights, channels), x.layout.axis(1)
        real = None if real is None else real.reshape(-1)[channels]
    elif np.any(channels != np.arange(groups)):
        raise r.misplaced("multiplying channels that are not in order")
    hwo = weights.transposed((1, 2, 3, 0))
    y = r.weighted("DEPTHWISE_CONV_2D", source, hwo, real, tensor_shape, DepthMultiplier=multiplier, **settings)
    r.set(y, channels_last(model_shape, layout))


def _picked(weights: Constant, channels: np.ndarray) -> Constant:
    """Other channels along the first axis, scales with them."""
    if weights.scale is None or weights.zero_point is None or weights.scale.size == 1:
        return replace(weights, data=weights.data[channels])
    return replace(
        weights,
        data=weights.data[channels],
        scale=weights.scale[channels],
        zero_point=weights.zero_point[channels] if weights.zero_point.size > 1 else weights.zero_point,
    )


@operator("Gemm")
def _gemm(r: Reading) -> None:
    if r.is_constant(0) or not r.is_constant(1):
        raise r.error("is a product without constant weights", "use layers with weights; attention is not supported")
    if r.attribute("transA", 0):
        raise r.error("transA=1 is not supported", "export the model with transA=0")
    weights, alpha, beta = r.constant(1), float(r.attribute("alpha", 1)), float(r.attribute("beta", 1))
    if weights.data.ndim != 2:
        raise r.error(f"has weights of {weights.data.ndim} dimensions", "export the model again")
    if not r.attribute("transB", 0):
        weights = weights.transposed((1, 0))
    if alpha != 1:
        weights = _times(weights, alpha)
    bias = r.maybe_constant(2)
    if bias is not None and (bias.data.ndim > 2 or bias.data.size not in (1, len(weights.data))):
        raise r.error(f"adds an array {bias.data.shape}, not a bias", "add it in an operator of its own")
    _dense(r, weights, None if bias is None else beta * bias.real)


def _times(weights: Constant, factor: float) -> Constant:
    if weights.scale is None:
        return replace(weights, data=(weights.data * np.float64(factor)).astype(np.float32))
    sign = 1 if factor > 0 else -1
    return Constant((sign * weights.real * factor).astype(np.float32)) if sign < 0 else replace(
        weights, scale=(weights.scale * np.float32(factor)).astype(np.float32)
    )  # fmt: skip


@operator("MatMul")
def _matmul(r: Reading) -> None:
    if r.is_constant(0) or not r.is_constant(1):
        raise r.error(
            "is a product without constant weights on its right", "use layers with weights; attention is not supported"
        )
    weights = r.constant(1)
    if weights.data.ndim != 2:
        raise r.error(f"has weights of shape {weights.data.shape}", "whit needs 2 dimensions: use a linear layer")
    _dense(r, weights.transposed((1, 0)), None)


def _dense(r: Reading, weights: Constant, bias: np.ndarray | None) -> None:
    """FULLY_CONNECTED over the last axis, its inputs in the order in which they lie in memory.

    weights [out, in], bias [out] or None.
    """
    x = r.value(0)
    out, k = weights.data.shape
    if not x.shape or x.shape[-1] != k or not weights.data.size:
        raise r.error(f"weights ({out}, {k}) do not fit the input {x.shape}", "export the model again")
    rank, layout = len(x.shape), x.layout
    rows, inner = layout.dimensions(range(rank - 1)), layout.axes[-1]
    if sorted(rows) != list(range(len(rows))):
        raise r.misplaced("bringing the inputs of a dense layer together")
    order = layout.axis(rank - 1).arrange(np.arange(k))
    weights = replace(weights, data=weights.data[:, order])
    assert len(inner) + len(rows) == len(layout.sizes)
    count = layout.size // k
    source = r.reshape(x.tensor, (count, k))
    before = r.made_by(source)
    if k == 1 and before is not None and before.kind == "FULLY_CONNECTED" and not r.quantized:
        # A layer of one value is worth none of its own.
        first, at = r.tensors[before.inputs[1]].data, r.producer[source]
        assert first is not None
        if at in r.biases:
            bias = weights.real @ r.biases[at] + (0 if bias is None else bias)
        source, weights = before.inputs[0], Constant((weights.real @ first).astype(np.float32))
    y = r.weighted("FULLY_CONNECTED", source, weights, bias, (count, out), WeightsFormat=0, KeepNumDims=0)
    if out == 1:
        r.set(y, Layout(layout.sizes[: len(rows)], (*layout.axes[:-1], ())))
    else:
        r.set(y, Layout((*layout.sizes[: len(rows)], out), (*layout.axes[:-1], (len(rows),))))


# Arithmetic with constants


@operator("BatchNormalization")
def _batch_normalization(r: Reading) -> None:
    x = r.value(0)
    if r.attribute("training_mode", 0) or not r.attribute("spatial", 1):
        raise r.error("is in training mode, or not by channel", "export the model in inference mode")
    scale, bias, mean, variance = (r.constant(i).real.reshape(-1) for i in range(1, 5))
    if len(x.shape) < 2 or any(len(v) != x.shape[1] for v in (scale, bias, mean, variance)):
        raise r.error(f"has {len(scale)} channels for the input {x.shape}", "export the model again")
    if np.any(variance < 0):
        raise r.error("has a negative variance", "train the model again")
    along = [-1 if i == 1 else 1 for i in range(len(x.shape))]
    factor = scale / np.sqrt(variance + float(r.attribute("epsilon", 1e-5)))
    scale_and_shift(r, x, factor.reshape(along), (bias - mean * factor).reshape(along))


@operator("Scaler")  # of ai.onnx.ml
def _scaler(r: Reading) -> None:
    offset, scale = (np.array(r.attribute(name, [default]), float) for name, default in (("offset", 0), ("scale", 1)))
    scale_and_shift(r, r.value(0), scale, -offset * scale)


@operator("Neg")
def _neg(r: Reading) -> None:
    scale_and_shift(r, r.value(0), np.array(-1.0), np.array(0.0))


@operator("Add")
def _add(r: Reading) -> None:
    for a, b in ((0, 1), (1, 0)):
        if r.is_constant(b):
            scale_and_shift(r, r.value(a), np.array(1.0), r.constant(b).real)
            return
    x, y = r.value(0), r.value(1)
    if x.shape != y.shape:
        raise r.error(f"adds {y.shape} to {x.shape}", "give both operands the same shape")
    if not x.layout.same_memory(y.layout):
        raise r.misplaced("bringing both operands into one order")
    shape = r.tensors[x.tensor].shape
    r.set(r.add("ADD", (x.tensor, r.reshape(y.tensor, shape)), shape, FusedActivationFunction=0), x.layout)


@operator("Sub")
def _sub(r: Reading) -> None:
    if r.is_constant(1):
        scale_and_shift(r, r.value(0), np.array(1.0), -r.constant(1).real)
    elif r.is_constant(0):
        scale_and_shift(r, r.value(1), np.array(-1.0), r.constant(0).real)
    else:
        raise r.error("is a difference of two activations", "add the negative: train with x + y instead of x - y")


@operator("Mul")
def _mul(r: Reading) -> None:
    for a, b in ((0, 1), (1, 0)):
        if r.is_constant(b):
            scale_and_shift(r, r.value(a), r.constant(b).real, np.array(0.0))
            return
    for a, b in ((0, 1), (1, 0)):
        made_by = next((node for node in r.model.nodes if r.name(a) in node.outputs), None)
        if made_by is not None and made_by.kind == "Sigmoid" and made_by.inputs[0] == r.name(b):
            raise r.error("is SiLU (Swish), x * sigmoid(x), which is not supported", "train with Hardswish or ReLU")
    raise r.error("is a product of two activations", "train without gates (squeeze-and-excitation, attention)")


@operator("Div")
def _div(r: Reading) -> None:
    if not r.is_constant(1):
        raise r.error("divides by an activation", "divide by a constant, or outside the model")
    divisor = r.constant(1).real
    if np.any(divisor == 0):
        raise r.error("divides by 0", "export the model again")
    scale_and_shift(r, r.value(0), 1 / divisor, np.array(0.0))


def scale_and_shift(r: Reading, x: Value, factor: np.ndarray, shift: np.ndarray) -> None:
    """The node computes factor * x + shift, of constants that broadcast to the shape of x."""
    try:
        fits = np.broadcast_shapes(x.shape, factor.shape, shift.shape) == x.shape
    except ValueError:
        fits = False
    if not fits:
        shape = max(factor.shape, shift.shape, key=len)
        raise r.error(f"broadcasts {x.shape} against a constant {shape}", "give the constant the activation's shape")
    if not np.any(factor != 1) and not np.any(shift):
        r.set(x.tensor, x.layout)
        return
    shape = r.tensors[x.tensor].shape
    m, b = (x.layout.arrange(np.broadcast_to(v, x.shape)).reshape(shape) for v in (factor, shift))
    lead = len(shape) - 1
    while lead > 0 and any(np.any(v != v[(slice(0, 1),) * lead]) for v in (m, b)):
        lead -= 1
    m, b = (v[(0,) * lead].reshape(-1) for v in (m, b))
    if len(m) == shape[-1] and r.scale_and_shift(x.tensor, m, b):
        r.set(x.tensor, x.layout)
        return
    c = len(m)
    if len(shape) != 4 or lead != 3:
        shape = (1, 1, x.layout.size // c, c)
    source = r.reshape(x.tensor, shape)
    box = (1, 1, 1, c)
    if r.quantized:  # the factor is all scale
        signs = np.where(m == 0, 0, np.where(m < 0, -127, 127)).astype(np.int8)
        scale = np.where(m == 0, 1, np.abs(m) / 127).astype(np.float32)
        weights = Constant(signs.reshape(box), scale, np.zeros(c, np.int64), axis=3)
    else:
        weights = Constant(m.astype(np.float32).reshape(box))
    options = {"Padding": VALID, "StrideH": 1, "StrideW": 1, "DilationHFactor": 1, "DilationWFactor": 1}
    bias = b if np.any(b) else None
    y = r.weighted("DEPTHWISE_CONV_2D", source, weights, bias, shape, DepthMultiplier=1, **options)
    r.set(y, x.layout)
