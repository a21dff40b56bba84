"""Activation functions and softmax."""

from __future__ import annotations

import numpy as np

from .reading import RELU, RELU6, RELU_N1_TO_1, Reading, operator


def _unary(r: Reading, kind: str, **options: float) -> None:
    x = r.value(0)
    r.set(r.add(kind, (x.tensor,), r.tensors[x.tensor].shape, **options), x.layout)


def _clamp(r: Reading, kind: str, activation: int) -> None:
    """An operator of its own, which fold.py fuses; at once where an int8 model has no scale in between."""
    x = r.value(0)
    if r.quantized and r.tensors[x.tensor].quantization is None and r.fuse(x.tensor, activation):
        r.set(x.tensor, x.layout)
    else:
        _unary(r, kind)


@operator("Relu")
def _relu(r: Reading) -> None:
    _clamp(r, "RELU", RELU)


@operator("Clip")
def _clip(r: Reading) -> None:
    bounds = []
    for i, (name, default) in enumerate((("min", -np.inf), ("max", np.inf))):
        given = r.attribute(name)
        constant = r.constants.get(r.name(i + 1))
        if r.name(i + 1) and constant is None:
            raise r.error("has bounds computed at run time", "clip to constants")
        bounds.append(float(given if given is not None else default if constant is None else constant.real.reshape(())))
    low, high = (b if abs(b) < 3e38 else np.copysign(np.inf, b) for b in bounds)  # float32's largest is no bound
    x = r.value(0)
    if (low, high) == (-np.inf, np.inf):
        r.set(x.tensor, x.layout)
    elif (low, high) == (0, 6):
        _clamp(r, "RELU6", RELU6)
    elif (low, high) == (0, np.inf):
        _clamp(r, "RELU", RELU)
    elif (low, high) == (-1, 1) and r.fuse(x.tensor, RELU_N1_TO_1):
        r.set(x.tensor, x.layout)
    else:
        raise r.error(
            f"clips to {low:g} to {high:g}", "whit clips to 0 to 6, from 0 on, and to -1 to 1 right behind a layer"
        )


@operator("LeakyRelu")
def _leaky_relu(r: Reading) -> None:
    _unary(r, "LEAKY_RELU", Alpha=float(r.attribute("alpha", 0.01)))


@operator("Sigmoid")
def _sigmoid(r: Reading) -> None:
    _unary(r, "LOGISTIC")


@operator("Tanh")
def _tanh(r: Reading) -> None:
    _unary(r, "TANH")


@operator("HardSwish")
def _hard_swish(r: Reading) -> None:
    _unary(r, "HARD_SWISH")


@operator("Softmax")
def _softmax(r: Reading) -> None:
    x = r.value(0)
    rank, old = len(x.shape), r.model.opset < 13  # then over all axes from the given one on
    axis = int(r.attribute("axis", 1 if old else -1))
    if not -rank <= axis < rank:
        raise r.error(f"axis {axis} of {x.shape} does not exist", "export the model again")
    over = list(range(axis % rank, rank)) if old else [axis % rank]
    rest = x.layout.dimensions([a for a in range(rank) if a not in over])
    if sorted(rest) != list(range(len(rest))):
        raise r.misplaced(f"bringing axis {axis} last")
    depth = int(np.prod([x.shape[a] for a in over]))
    shape = r.tensors[x.tensor].shape
    if shape[-1:] != (depth,):
        shape = (x.layout.size // depth, depth)
    r.set(r.add("SOFTMAX", (r.reshape(x.tensor, shape),), shape, Beta=1.0), x.layout)
