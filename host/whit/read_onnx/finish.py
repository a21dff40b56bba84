"""The graph that was read, made whole: biases, the edges, and nothing in it that is not used."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..graph import Graph, Operator, Quantization, Tensor
from .quantized import requantized
from .reading import WEIGHTED, Reading, Value

_INT32 = np.iinfo(np.int32)


def finish(r: Reading, orders: tuple[tuple[int, ...], ...]) -> Graph:
    """The Graph of a reading whose nodes have all been read."""
    r.node = None
    _biases(r)
    for t in r.tensors:
        if t.data is not None and t.dtype == "float32" and not np.all(np.isfinite(t.data)):
            raise r.error(f"the constants of '{t.title}' are not finite when folded", "train the model again")
    outputs, axes = [], []
    for name, dtype in r.model.outputs:
        if name not in r.values:
            raise r.error(f"output '{name}' is a constant or computed by no operator", "export the model again")
        tensor, moved = _output(r, name, r.values[name])
        if r.quantized:
            tensor = _edge(r, tensor, name, dtype)
        outputs.append(tensor)
        axes.append(moved)
    if r.quantized:
        _int8(r)
    moved_inputs = tuple(() if list(order) == sorted(order) else order for order in orders)
    return _compact(
        Graph(
            r.model.name,
            tuple(r.tensors),
            tuple(r.operators),
            tuple(r.inputs),
            tuple(outputs),
            _labels(r, outputs),
            moved_inputs if any(moved_inputs) else (),
            tuple(axes) if any(axes) else (),
        )
    )


def _labels(r: Reading, outputs: list[int]) -> tuple[str, ...]:
    """The model's class names, where an output has a value for each, on one line each."""
    names = tuple(" ".join(name.split()) for name in r.model.labels)
    counts = [r.tensors[index].shape[-1:] for index in outputs]
    return names if (len(names),) in counts and all(names) else ()


def _biases(r: Reading) -> None:
    for at, bias in r.biases.items():
        op = r.operators[at]
        if not np.any(bias):
            continue
        name = r.tensors[op.outputs[0]].name + "/bias"
        if not r.quantized:
            index = r.tensor(bias.shape, name, "float32", bias.astype(np.float32))
        else:
            x, w = (r.tensors[i] for i in op.inputs[:2])
            assert x.quantization is not None and w.quantization is not None
            scale = (w.quantization.scale * x.quantization.scale[0]).astype(np.float32)
            values = np.rint(bias / scale.astype(np.float64))
            if np.any((values < _INT32.min) | (values > _INT32.max)):
                raise r.error(f"a bias of '{r.tensors[op.outputs[0]].title}' exceeds int32", "quantize the model again")
            index = r.tensor(bias.shape, name, "int32", values.astype(np.int32))
            quantization = Quantization(scale, np.zeros(scale.size, np.int64), 0)
            r.tensors[index] = replace(r.tensors[index], quantization=quantization)
        r.operators[at] = replace(op, inputs=(*op.inputs, index))


def _output(r: Reading, name: str, value: Value) -> tuple[int, tuple[int, ...]]:
    """(tensor, which of the model's axes each of its axes is; () where none was moved)."""
    shape, layout = value.shape, value.layout
    rank = len(shape)
    first = {a: min(layout.axes[a]) for a in range(rank) if layout.axes[a]}
    candidates = [list(range(rank)), [0, *range(2, rank), 1], sorted(range(rank), key=lambda a: first.get(a, -1))]
    order = next((o for o in candidates if layout.ordered(o)), None) if rank else []
    if order is None:
        raise r.misplaced(f"output '{name}', in the order in which the model has it,")
    tensor = r.reshape(value.tensor, [shape[a] for a in order])
    if r.tensors[tensor].data is None and tensor in r.producer:
        r.tensors[tensor] = replace(r.tensors[tensor], name=name)
    return tensor, () if order == sorted(order) else tuple(order)


def _edge(r: Reading, tensor: int, name: str, dtype: str) -> int:
    """An output of an int8 model in the data type that the model gives it."""
    t = r.tensors[tensor]
    if t.quantization is None:
        made_by = r.operators[r.producer[tensor]].kind if tensor in r.producer else "no operator"
        raise r.error(
            f"output '{name}' of {made_by} is not quantized", "quantize every activation, or give the float model"
        )
    if dtype == "int8":
        return tensor
    r.tensors[tensor] = replace(t, name=name + "/int8")
    if dtype == "uint8":
        scale, zero = t.quantization.scale, t.quantization.zero_point + 128
        result = requantized(r, tensor, Quantization(scale, zero))
        r.tensors[result] = replace(r.tensors[result], name=name, dtype="uint8")
    else:
        result = r.add("DEQUANTIZE", (tensor,), t.shape)
        r.tensors[result] = replace(r.tensors[result], name=name, quantization=None)
    return result


def _int8(r: Reading) -> None:
    """Activations with a scale hold int8; one without is float32, and must be at the edge."""
    edges = {op.outputs[0] for op in r.operators if op.kind == "DEQUANTIZE"}
    for index, t in enumerate(r.tensors):
        if t.data is None and t.quantization is not None and t.dtype == "float32":
            r.tensors[index] = replace(t, dtype="int8")
    for op in r.operators:
        t = r.tensors[op.outputs[0]]
        if t.quantization is None and op.outputs[0] not in edges:
            raise r.error(f"'{t.title}' of {op.kind} is not quantized", "quantize every activation")
        if op.kind in WEIGHTED:
            assert r.tensors[op.inputs[1]].dtype == "int8"


def _compact(graph: Graph) -> Graph:
    """Without operators and tensors that nothing uses."""
    wanted = set(graph.outputs)
    kept: list[Operator] = []
    for op in reversed(graph.operators):
        if wanted.intersection(op.outputs):
            wanted.update(op.inputs)
            kept.append(op)
    used = sorted(wanted | set(graph.inputs))
    new = {index: i for i, index in enumerate(used)}
    tensors: tuple[Tensor, ...] = tuple(graph.tensors[i] for i in used)
    operators = tuple(
        replace(op, inputs=tuple(new[i] for i in op.inputs), outputs=tuple(new[i] for i in op.outputs))
        for op in reversed(kept)
    )
    inputs, outputs = (tuple(new[i] for i in ports) for ports in (graph.inputs, graph.outputs))
    return replace(graph, tensors=tensors, operators=operators, inputs=inputs, outputs=outputs)
