"""read_onnx: the bytes of an .onnx file -> Graph. Everything that is particular to ONNX ends here.

ONNX has its channels first and TFLite has them last. A transpose is never made: each value of the model is a tensor
of the graph and a Layout that tells how the model's array lies in it; weights are stored in the order that lies there.
The one thing to choose is the order of each input's axes, so the graph is read with one order after the other, the
likeliest first, until no operator would have to move elements.

One function per ONNX operator, registered under its name, as in lower/.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np

from ..errors import WhitError
from ..graph import Graph
from . import elementwise, movement, pooling, quantized, weighted  # noqa: F401  each registers its operators
from .external import with_weights
from .finish import finish
from .model import BROKEN, Input, Model, fold, load
from .patterns import simplify
from .reading import OPERATORS, LayoutError, Reading, title

__all__ = ["read_onnx", "with_weights"]

_MOST_ATTEMPTS = 64
_LOOKS_AT_CHANNELS = ("Conv", "MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool", "BatchNormalization")
_LOOKS_AT_NOTHING = ("Add", "Sub", "Mul", "Div", "Neg", "Identity", "Cast", "Relu", "Clip", "Pad", "QuantizeLinear",
                     "DequantizeLinear", "LeakyRelu", "HardSwish", "Sigmoid", "Tanh")  # fmt: skip

_REMEDIES = {
    "Concat": "join branches by Add",
    "ConvTranspose": "train without upsampling",
    "Resize": "train without upsampling",
    "Upsample": "train without upsampling",
    "LSTM": "train with convolutions over time",
    "GRU": "train with convolutions over time",
    "RNN": "train with convolutions over time",
    "PRelu": "train with LeakyRelu, whose slope is one constant",
    "Elu": "train with Relu or HardSwish",
    "Gelu": "train with Relu or HardSwish",
    "Erf": "train with Relu or HardSwish instead of GELU",
    "HardSigmoid": "whit has it as part of Hardswish, x * hardsigmoid(x), and has Sigmoid",
    "LogSoftmax": "leave it out or use Softmax: the winner is the same",
    "LayerNormalization": "train with BatchNormalization",
    "InstanceNormalization": "train with BatchNormalization",
    "GroupNormalization": "train with BatchNormalization",
    "QLinearConv": "quantize in the QDQ format (QuantizeLinear and DequantizeLinear around each operator)",
    "QLinearMatMul": "quantize in the QDQ format (QuantizeLinear and DequantizeLinear around each operator)",
    "ConvInteger": "quantize statically in the QDQ format, or give the float model",
    "MatMulInteger": "quantize statically in the QDQ format, or give the float model",
    "DynamicQuantizeLinear": "quantize statically in the QDQ format, or give the float model",
    "TreeEnsembleClassifier": "trees have runtimes of their own; whit runs neural networks",
    "TreeEnsembleRegressor": "trees have runtimes of their own; whit runs neural networks",
    "TreeEnsemble": "trees have runtimes of their own; whit runs neural networks",
}


def read_onnx(data: bytes, name: str) -> Graph:
    """Read an ONNX model, of float32 or quantized in the QDQ format.

    Args:
        data: the file.
        name: what messages call the model, usually the file's name.

    Returns:
        A graph of TFLite's operators with channels last and batch size 1: in float32, or in int8.

    Raises:
        WhitError: not an ONNX model, or one with something that no operator of TFLite expresses; the text names it.
    """
    try:
        with np.errstate(all="ignore"):  # what is not finite is refused at its end
            return _first(simplify(load(data, name)))
    except WhitError as e:  # names in a model may hold anything
        raise type(e)("".join(c if c.isprintable() else "?" for c in str(e))) from e


def _first(model: Model) -> Graph:
    """The graph with the likeliest order of the inputs' axes among those that have one."""
    first: LayoutError | None = None
    for orders in itertools.islice(_orders(model), _MOST_ATTEMPTS):
        try:
            return _read(model, orders)
        except LayoutError as e:
            first = first or e
        except BROKEN as e:
            raise WhitError(
                f"{model.name}: the ONNX file is corrupted ({type(e).__name__}); export or copy it again"
            ) from e
    assert first is not None
    raise first


def _read(model: Model, orders: tuple[tuple[int, ...], ...]) -> Graph:
    r = Reading(model, orders)
    for node in model.nodes:
        r.node = node
        folded = fold(node, r.constants, model.opset)
        if folded is not None:
            r.constants |= folded
            continue
        if node.kind not in OPERATORS:
            remedy = _REMEDIES.get(node.kind, "supported: " + ", ".join(sorted(OPERATORS)))
            raise r.error("is not a supported operator", remedy)
        for name in node.inputs:
            if name and name not in r.values and name not in r.constants:
                raise r.error(f"its input '{title(name)}' is computed by no operator", "export the model again")
        OPERATORS[node.kind](r)
    return finish(r, orders)


def _orders(model: Model) -> Iterator[tuple[tuple[int, ...], ...]]:
    """In which order each input's axes may lie: the likeliest of all inputs first."""
    return itertools.product(*(_orders_of(given, model) for given in model.inputs))


def _orders_of(given: Input, model: Model) -> list[tuple[int, ...]]:
    rank = len(given.shape)
    own = tuple(range(rank))
    if rank < 3 or rank > 4:
        return [own]
    last = (0, *range(2, rank), 1)
    likely = [last, own] if _image(given.name, model) else [own, last]
    fixed = 1 if given.shape[0] == 1 else 0
    others = [own[:fixed] + p for p in itertools.permutations(own[fixed:])]
    return likely + [order for order in others if order not in likely]


def _image(name: str, model: Model) -> bool:
    """Whether the first operator that cares finds channels at axis 1."""
    names = {name}
    for node in model.nodes:
        if names.intersection(node.inputs):
            if node.kind in _LOOKS_AT_CHANNELS:
                return True
            if node.kind not in _LOOKS_AT_NOTHING:
                return False
            names.update(node.outputs)
    return False
