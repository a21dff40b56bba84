"""An .onnx file as plain Python: nodes, constants, inputs and outputs; all that whit does not take refused."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..errors import WhitError

OLDEST_OPSET = 7
_MAX_ELEMENTS = 1 << 28  # of one tensor: far beyond any microcontroller
_DOMAINS = ("", "ai.onnx", "ai.onnx.ml")
_RANDOM = ("RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike", "Bernoulli", "Multinomial")
_CONTROL = ("If", "Loop", "Scan", "SequenceMap")
_QUANTIZED = ("int8", "uint8", "int32")  # what QDQ models store

# What onnx and numpy raise when a file contradicts itself.
BROKEN = (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError, RuntimeError, MemoryError)


@dataclass(frozen=True)
class Constant:
    """Values known now. `scale` and `zero_point` are of DequantizeLinear: real = scale * (data - zero_point)."""

    data: np.ndarray
    scale: np.ndarray | None = None
    zero_point: np.ndarray | None = None
    axis: int = 0

    @property
    def real(self) -> np.ndarray:
        """float64."""
        values = self.data.astype(np.float64)
        if self.scale is None or self.zero_point is None:
            return values
        along = [-1 if i == self.axis else 1 for i in range(values.ndim)] if self.scale.size > 1 else []
        return (values - self.zero_point.reshape(along)) * self.scale.astype(np.float64).reshape(along)

    def transposed(self, permutation: Sequence[int]) -> Constant:
        per_axis = self.scale is not None and self.scale.size > 1
        axis = list(permutation).index(self.axis) if per_axis else 0
        return replace(self, data=np.transpose(self.data, permutation), axis=axis)


@dataclass(frozen=True)
class Node:
    """One operator of the model. Absent inputs are ''."""

    kind: str
    title: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any]


@dataclass(frozen=True)
class Input:
    name: str
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class Model:
    name: str
    opset: int
    nodes: tuple[Node, ...]
    constants: dict[str, Constant]
    inputs: tuple[Input, ...]
    outputs: tuple[tuple[str, str], ...]  # (name, data type)
    batch: int = 1  # of the file; the inputs here have one of 1
    labels: tuple[str, ...] = ()


def load(data: bytes, name: str) -> Model:
    """Read the file; nodes that depend on constants alone are computed."""
    try:
        import onnx
        from onnx import inliner
    except ImportError:
        raise WhitError("onnx, which reads ONNX models, is not installed; install the extra whit[onnx]") from None
    try:
        proto = onnx.load_model_from_string(data)
    except Exception as e:  # protobuf's own, which depends on its implementation
        raise WhitError(
            f"{name}: not an ONNX model, or one that is truncated ({len(data):,} bytes); export or copy it again"
        ) from e
    if not proto.graph.node or not proto.opset_import:
        raise WhitError(f"{name}: not an ONNX model (no operators in it); give a .onnx file")
    opset = _opset(proto, name)
    try:
        if proto.functions:
            proto = inliner.inline_local_functions(proto)
        _refuse(proto, name)
        return _model(proto, name, opset)
    except BROKEN as e:
        raise WhitError(f"{name}: the ONNX file is corrupted ({type(e).__name__}); export or copy it again") from e


def _opset(proto: Any, name: str) -> int:
    import onnx

    newest = onnx.defs.onnx_opset_version()
    found = [entry.version for entry in proto.opset_import if entry.domain in ("", "ai.onnx")]
    opset = found[0] if found else newest  # none for a model of ai.onnx.ml alone
    if not OLDEST_OPSET <= opset <= newest:
        remedy = "update onnx" if opset > newest else "convert it with onnx.version_converter"
        raise WhitError(
            f"{name}: opset {opset} is not supported ({OLDEST_OPSET} to {newest}); {remedy}, or export with opset 17"
        )
    return opset


def _refuse(proto: Any, name: str) -> None:
    """What is not supported wherever it stands, before anything else is looked at."""
    import onnx

    for node in proto.graph.node:
        title = node.name or (node.output[0] if node.output else "")
        if node.domain not in _DOMAINS:
            raise WhitError(
                f"{name}: {node.op_type} '{title}' is of the domain {node.domain}, which is not supported; "
                "export with operators of ONNX itself, before any optimizer of a runtime"
            )
        if node.op_type in _CONTROL and not node.domain:
            raise WhitError(
                f"{name}: {node.op_type} '{title}' is control flow, which is not supported; "
                "export the model without loops and branches"
            )
    for tensor in proto.graph.initializer:
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            entries = {entry.key: entry.value for entry in tensor.external_data}
            other = entries.get("location", "")
            raise WhitError(
                f"{name}: its weights are in another file, '{other}', which is not beside it; copy both into one "
                "folder, or export with external_data=False"
            )
        if math.prod(tensor.dims) > _MAX_ELEMENTS:
            raise ValueError("a tensor of impossible size")


def _model(proto: Any, name: str, opset: int) -> Model:
    import onnx
    from onnx import numpy_helper

    constants = {t.name: Constant(_array(numpy_helper.to_array(t))) for t in proto.graph.initializer}
    nodes: list[Node] = []
    for p in proto.graph.node:
        attributes = {a.name: _attribute(a) for a in p.attribute}
        node = Node(p.op_type, p.name or p.output[0], tuple(p.input), tuple(p.output), attributes)
        folded = fold(node, constants, opset)
        if folded is None:
            nodes.append(node)
        else:
            constants |= folded
    given = [i for i in proto.graph.input if i.name not in constants]
    outputs = []
    for o in proto.graph.output:
        kind = onnx.helper.tensor_dtype_to_np_dtype(o.type.tensor_type.elem_type) if _is_tensor(o) else None
        outputs.append((o.name, str(kind)))
    batch = _batch(given, proto.graph.output)
    inputs = tuple(_input(i, name, batch) for i in given)
    if not inputs or not outputs:
        raise WhitError(f"{name}: the model has no inputs or no outputs; export it with both")
    return Model(name, opset, tuple(nodes), constants, inputs, tuple(outputs), batch)


def _is_tensor(value: Any) -> bool:
    return value.type.WhichOneof("value") == "tensor_type" and value.type.tensor_type.elem_type != 0


def _attribute(attribute: Any) -> Any:
    import onnx

    value = onnx.helper.get_attribute_value(attribute)
    if isinstance(value, onnx.TensorProto):
        return onnx.numpy_helper.to_array(value)
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, list | tuple) or hasattr(value, "__len__"):
        return [v.decode() if isinstance(v, bytes) else v for v in value]
    return value


def _array(values: np.ndarray) -> np.ndarray:
    """Floats of any width become float32: what a model computes in is float32 here."""
    return values.astype(np.float32) if values.dtype.name in ("float16", "bfloat16", "float64") else values


# Inputs


def _dims(value: Any) -> list[int | str]:
    """Sizes; where a dimension is open its name, or ''."""
    dims = value.type.tensor_type.shape.dim
    return [d.dim_value if d.WhichOneof("value") == "dim_value" and d.dim_value > 0 else d.dim_param for d in dims]


def _batch(inputs: Sequence[Any], outputs: Sequence[Any]) -> int:
    """The fixed size of the first axis that all inputs and outputs have: a batch. 1 where there is no such axis."""
    shaped = [o for o in outputs if _is_tensor(o) and o.type.tensor_type.HasField("shape")]
    first = {dims[0] if dims else 1 for dims in map(_dims, [*inputs, *shaped])}
    (only,) = first if len(first) == 1 else (1,)
    return only if isinstance(only, int) and all(len(_dims(i)) > 1 for i in inputs) else 1


def _input(value: Any, name: str, batch: int) -> Input:
    import onnx

    if not _is_tensor(value):
        raise WhitError(f"{name}: input '{value.name}' is not a tensor; export the model with tensors as inputs")
    dtype = onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type).name
    if dtype in ("float16", "float64", "bfloat16"):
        dtype = "float32"
    if dtype not in ("float32", "int8", "uint8"):
        raise WhitError(f"{name}: input '{value.name}' is {dtype}; export the model with a float32 input")
    if not value.type.tensor_type.HasField("shape") or not value.type.tensor_type.shape.dim:
        raise WhitError(f"{name}: input '{value.name}' has no shape; export the model with a fixed input shape")
    dims = _dims(value)
    if isinstance(dims[0], str) or (len(dims) > 1 and dims[0] == batch):
        dims[0] = 1
    for axis, size in enumerate(dims):
        if isinstance(size, str):
            raise WhitError(
                f"{name}: input '{value.name}' has the dynamic dimension '{size or '?'}' (axis {axis}); export with a "
                "fixed size, or set it with onnx.tools.update_model_dims"
            )
    shape = tuple(int(d) for d in dims)
    if len(shape) > 8 or math.prod(shape) > _MAX_ELEMENTS:
        raise ValueError(f"input '{value.name}' has an impossible shape")
    return Input(value.name, shape, dtype)


# Constants


def fold(node: Node, constants: dict[str, Constant], opset: int) -> dict[str, Constant] | None:
    """The outputs of a node that depends on constants alone; None where it does not."""
    if any(i and i not in constants for i in node.inputs) or node.kind in _RANDOM:
        return None
    given = [constants[i] for i in node.inputs if i]
    if node.kind == "DequantizeLinear" and given[0].data.dtype.name in _QUANTIZED:
        zero = given[2].data if len(given) > 2 else np.zeros_like(given[1].data, given[0].data.dtype)
        axis = int(node.attributes.get("axis", 1)) % max(given[0].data.ndim, 1)
        if given[1].data.ndim > 1:
            return None  # in blocks: refused where it is used
        stored = Constant(given[0].data, given[1].data.reshape(-1), zero.astype(np.int64).reshape(-1), axis)
        return {node.outputs[0]: stored}
    if node.kind == "QuantizeLinear":
        return {node.outputs[0]: _quantized(node, given)}
    if node.kind == "Identity":
        return {node.outputs[0]: given[0]}
    if node.kind == "Transpose":
        order = node.attributes.get("perm", range(given[0].data.ndim)[::-1])
        return {node.outputs[0]: given[0].transposed(order)}
    try:
        results = _computed(node, given, opset)
    except (RuntimeError, NotImplementedError):
        return None  # ONNX's reference does not have it in this opset
    return {o: Constant(_array(np.asarray(v))) for o, v in zip(node.outputs, results, strict=False) if o}


def _quantized(node: Node, given: list[Constant]) -> Constant:
    """QuantizeLinear, which ONNX's reference has from opset 19 on."""
    x, scale = given[0].real.astype(np.float32), given[1].data.astype(np.float32)
    zero = given[2].data if len(given) > 2 else np.zeros_like(scale, np.uint8)
    along = [1] * x.ndim
    if scale.size > 1:
        along[int(node.attributes.get("axis", 1))] = -1
    limits = np.iinfo(zero.dtype)
    q = np.rint(x / scale.reshape(along)) + zero.astype(np.int64).reshape(along)
    return Constant(np.clip(q, limits.min, limits.max).astype(zero.dtype))


def _computed(node: Node, given: list[Constant], opset: int) -> list[np.ndarray]:
    import onnx
    from onnx import helper
    from onnx.reference import ReferenceEvaluator

    if node.kind == "Constant" and "value" in node.attributes:
        return [node.attributes["value"]]
    arrays = [c.data if c.scale is None else c.real.astype(np.float32) for c in given]
    if node.kind in ("ConstantOfShape", "Expand", "Tile") and arrays:
        counts = arrays[-1].astype(float)
        if np.prod(counts) * (arrays[0].size if node.kind == "Tile" else 1) > _MAX_ELEMENTS:
            raise ValueError("a constant of impossible size")
    attributes = {
        k: onnx.numpy_helper.from_array(v) if isinstance(v, np.ndarray) else v for k, v in node.attributes.items()
    }
    names = [i for i in node.inputs if i]
    proto = helper.make_node(node.kind, node.inputs, node.outputs, **attributes)
    graph = helper.make_graph(
        [proto],
        "constant",
        [helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(a.dtype), None) for n, a in
         dict(zip(names, arrays, strict=True)).items()],
        [helper.make_empty_tensor_value_info(o) for o in node.outputs],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    return list(ReferenceEvaluator(model).run(None, dict(zip(names, arrays, strict=True))))
