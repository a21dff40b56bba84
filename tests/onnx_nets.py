"""ONNX models of one or a few operators, and what they compute by ONNX's own reference."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
import onnx
from in_tflm import assert_same
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun
from whit.graph import Graph
from whit.read_onnx import read_onnx


class OnnxNet:
    """A model under construction. Values are named by what op() returns."""

    def __init__(self, name: str, opset: int = 17) -> None:
        self.name, self.opset = name, opset
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []
        self.inputs: list[onnx.ValueInfoProto] = []
        self.rng = np.random.default_rng(zlib.crc32(name.encode()))

    def input(self, *shape: int | str | None, dtype: int = TensorProto.FLOAT) -> str:
        self.inputs.append(helper.make_tensor_value_info(f"x{len(self.inputs)}", dtype, shape))
        return self.inputs[-1].name

    def constant(self, values: Any, dtype: Any = np.float32) -> str:
        name = f"c{len(self.initializers)}"
        self.initializers.append(numpy_helper.from_array(np.asarray(values, dtype), name))
        return name

    def random(self, *shape: int, low: float = -1, high: float = 1) -> str:
        return self.constant(self.rng.uniform(low, high, shape))

    def op(self, kind: str, *inputs: str, outputs: int = 1, domain: str = "", **attributes: Any) -> Any:
        names = [f"v{len(self.nodes)}" + (f"_{i}" if i else "") for i in range(outputs)]
        self.nodes.append(helper.make_node(kind, inputs, names, f"n{len(self.nodes)}", domain=domain, **attributes))
        return names[0] if outputs == 1 else names

    def model(self, *outputs: str, dtype: int = TensorProto.FLOAT, shape: Any = None) -> onnx.ModelProto:
        ports = [helper.make_tensor_value_info(o, dtype, shape) for o in outputs]
        graph = helper.make_graph(self.nodes, self.name, self.inputs, ports, self.initializers)
        domains = {node.domain for node in self.nodes} - {""}
        opsets = [helper.make_opsetid("", self.opset), *(helper.make_opsetid(d, 3) for d in sorted(domains))]
        return helper.make_model(graph, opset_imports=opsets, ir_version=8)

    def bytes(self, *outputs: str, **options: Any) -> bytes:
        return self.model(*outputs, **options).SerializeToString()


class MaxPool(OpRun):
    """A maximum as ONNX defines it; that of its reference fails for some paddings."""

    def _run(self, x, kernel_shape=None, strides=None, pads=None, ceil_mode=0, **_):  # type: ignore[override]
        n = x.ndim - 2
        strides, pads = strides or [1] * n, pads or [0] * 2 * n
        counts = []
        for i, k, s, a, b in zip(x.shape[2:], kernel_shape, strides, pads, pads[n:], strict=False):
            full, rest = divmod(i + a + b - k, s)
            counts.append(full + 1 + (ceil_mode and rest > 0 and (full + 1) * s < i + a))
        y = np.empty((*x.shape[:2], *counts), x.dtype)
        for at in np.ndindex(*counts):
            starts = [i * s - p for i, s, p in zip(at, strides, pads, strict=False)]
            box = tuple(slice(max(v, 0), v + k) for v, k in zip(starts, kernel_shape, strict=True))
            y[(..., *at)] = x[(..., *box)].max(tuple(range(2, x.ndim)))
        return (y,)


def assert_reads(net: OnnxNet, *outputs: str, samples: int = 2) -> Graph:
    """The model is read as a graph that computes what ONNX's reference says, for random inputs."""
    model = net.model(*outputs)
    graph = read_onnx(model.SerializeToString(), net.name)
    evaluator = ReferenceEvaluator(model, new_ops=[MaxPool])
    names = [i.name for i in net.inputs]
    sizes = [[d.dim_value or 1 for d in i.type.tensor_type.shape.dim] for i in net.inputs]
    inputs = [[net.rng.uniform(-2, 2, s).astype(np.float32) for s in sizes] for _ in range(samples)]
    expected = [evaluator.run(None, dict(zip(names, sample, strict=True))) for sample in inputs]
    assert_same(graph, inputs, expected)
    return graph


def kinds(graph: Graph) -> list[str]:
    return [op.kind for op in graph.operators]
