"""Graph -> the bytes of a .tflite file: how tests and examples put a network before the reference interpreter."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import flatbuffers
import numpy as np
import tflite

from .graph import Graph, Operator, Quantization, Tensor
from .tflite_schema import AXES_NAME, DTYPES, FILE_IDENTIFIER, METADATA_NAME, OPERATORS, OPTIONS

_CODES = {name: code for code, name in OPERATORS.items()}
_TYPES = {name: code for code, name in DTYPES.items()}
_FLOAT_OPTIONS = ("Beta", "Alpha")
_LABEL_FILE = "labels.txt"
# Of the metadata, a flatbuffer in a buffer of the model (schema: metadata_schema.fbs of tflite-support).
_METADATA_IDENTIFIER = b"M001"
_TENSOR_AXIS_LABELS = 2


def write_tflite(graph: Graph) -> bytes:
    """Write `graph` as a TFLite model; read_tflite() of the result gives the same graph.

    It has one subgraph, and where there are variables a second one that sets them before the first run.

    Label names, of the first output, are named by the metadata and lie in a zip archive behind the model, which readers
    of TFLite pass over. So do they over the axes that inputs and outputs had.
    """
    b = flatbuffers.Builder(1024)
    parts = [_Part(graph.tensors, (*_declared(graph), *graph.operators), graph.inputs, graph.outputs)]
    if any(v.initial is not None for v in graph.variables):
        parts.append(_first_values(graph))
    constants = [_stored(t) for part in parts for t in part.tensors if t.data is not None]
    buffers = [_buffer(b, data) for data in [None, *constants]]
    numbers = iter(range(1, len(buffers)))
    metadata = []
    for name, data in _all_metadata(graph).items():
        metadata.append(_table(b, "Metadata", {"Name": b.CreateString(name), "Buffer": len(buffers)}))
        buffers.append(_buffer(b, np.frombuffer(data, np.uint8)))
    kinds = sorted({op.kind for part in parts for op in part.operators})
    subgraphs = [_subgraph(b, part, kinds, numbers) for part in parts]
    codes = [_code(b, kind) for kind in kinds]
    model = {
        "Version": 3,
        "OperatorCodes": _offsets(b, codes),
        "Subgraphs": _offsets(b, subgraphs),
        "Description": b.CreateString(graph.name),
        "Buffers": _offsets(b, buffers),
    }
    if metadata:
        model["Metadata"] = _offsets(b, metadata)
    b.Finish(_table(b, "Model", model), FILE_IDENTIFIER)
    return _with_labels(bytes(b.Output()), graph.labels)


@dataclass(frozen=True)
class _Part:
    """A subgraph."""

    tensors: Sequence[Tensor]
    operators: Sequence[Operator]
    inputs: Sequence[int] = ()
    outputs: Sequence[int] = ()


def _declared(graph: Graph) -> list[Operator]:
    """What stands before the operators of a graph with variables."""
    handles = [Operator("VAR_HANDLE", (), (v.tensor,)) for v in graph.variables]
    once = [Operator("CALL_ONCE", (), (), {"InitSubgraphIndex": 1})]
    return [*(once if any(v.initial is not None for v in graph.variables) else []), *handles]


def _first_values(graph: Graph) -> _Part:
    """The subgraph that sets the variables of a graph."""
    tensors: list[Tensor] = []
    operators = []
    for v in graph.variables:
        if v.initial is not None:
            dtype = v.initial.dtype.name
            tensors += [graph.tensors[v.tensor], Tensor(f"{len(tensors)}", v.initial.shape, dtype, None, v.initial)]
            handle = len(tensors) - 2
            operators += [
                Operator("VAR_HANDLE", (), (handle,)),
                Operator("ASSIGN_VARIABLE", (handle, handle + 1), ()),
            ]
    return _Part(tensors, operators)


def _subgraph(b: flatbuffers.Builder, part: _Part, kinds: list[str], numbers: Iterator[int]) -> int:
    tensors = [_tensor(b, t, next(numbers) if t.data is not None else 0) for t in part.tensors]
    operators = [_operator(b, op, kinds.index(op.kind), part.tensors) for op in part.operators]
    fields = {
        "Tensors": _offsets(b, tensors),
        "Inputs": b.CreateNumpyVector(np.array(part.inputs, np.int32)),
        "Outputs": b.CreateNumpyVector(np.array(part.outputs, np.int32)),
        "Operators": _offsets(b, operators),
    }
    return _table(b, "SubGraph", fields)


def _stored(t: Tensor) -> np.ndarray:
    """The values of a constant as they lie in the file: int4 two to a byte, the low nibble first."""
    assert t.data is not None
    if t.dtype != "int4":
        return t.data
    nibbles: np.ndarray = t.data.astype(np.uint8).reshape(-1) & 15
    padded = np.append(nibbles, np.zeros(len(nibbles) % 2, np.uint8))
    return padded[::2] | padded[1::2] << 4


def _table(b: flatbuffers.Builder, name: str, fields: dict) -> int:
    getattr(tflite, f"{name}Start")(b)
    for field, value in fields.items():
        getattr(tflite, f"{name}Add{field}")(b, value)
    return getattr(tflite, f"{name}End")(b)


def _offsets(b: flatbuffers.Builder, items: list[int]) -> int:
    b.StartVector(4, len(items), 4)
    for item in reversed(items):
        b.PrependUOffsetTRelative(item)
    return b.EndVector()


def _buffer(b: flatbuffers.Builder, data: np.ndarray | None) -> int:
    if data is None:
        return _table(b, "Buffer", {})
    raw = np.frombuffer(np.ascontiguousarray(data).tobytes(), np.uint8)
    b.StartVector(1, len(raw), 16)  # the schema asks for 16-byte alignment
    b.head -= len(raw)
    b.Bytes[b.head : b.head + len(raw)] = raw.tobytes()
    return _table(b, "Buffer", {"Data": b.EndVector()})


def _tensor(b: flatbuffers.Builder, t: Tensor, buffer: int) -> int:
    fields = {
        "Shape": b.CreateNumpyVector(np.array(t.shape, np.int32)),
        "Type": _TYPES[t.dtype],
        "Buffer": buffer,
        "Name": b.CreateString(t.name),
    }
    if t.quantization:
        fields["Quantization"] = _quantization(b, t.quantization)
    return _table(b, "Tensor", fields)


def _quantization(b: flatbuffers.Builder, q: Quantization) -> int:
    fields = {
        "Scale": b.CreateNumpyVector(q.scale.astype(np.float32)),
        "ZeroPoint": b.CreateNumpyVector(q.zero_point.astype(np.int64)),
        "QuantizedDimension": q.axis,
    }
    return _table(b, "QuantizationParameters", fields)


def _operator(b: flatbuffers.Builder, op: Operator, code: int, tensors: Sequence[Tensor]) -> int:
    fields = {
        "OpcodeIndex": code,
        "Inputs": b.CreateNumpyVector(np.array(op.inputs, np.int32)),
        "Outputs": b.CreateNumpyVector(np.array(op.outputs, np.int32)),
    }
    if op.kind in OPTIONS:
        table = OPTIONS[op.kind][0]
        options = {k: float(v) if k in _FLOAT_OPTIONS else int(v) for k, v in op.options.items()}
        fields["BuiltinOptionsType"] = getattr(tflite.BuiltinOptions, table)
        fields["BuiltinOptions"] = _table(b, table, options)
    if op.kind == "VAR_HANDLE":
        table, name = "VarHandleOptions", b.CreateString(tensors[op.outputs[0]].name)
        fields["BuiltinOptionsType"] = getattr(tflite.BuiltinOptions, table)
        fields["BuiltinOptions"] = _table(b, table, {"SharedName": name})
    return _table(b, "Operator", fields)


def _code(b: flatbuffers.Builder, kind: str) -> int:
    code = _CODES[kind]
    return _table(b, "OperatorCode", {"DeprecatedBuiltinCode": min(code, 127), "BuiltinCode": code, "Version": 1})


def _all_metadata(graph: Graph) -> dict[str, bytes]:
    found = {METADATA_NAME: _metadata(len(graph.inputs))} if graph.labels else {}
    if graph.input_axes or graph.output_axes:
        axes = {"inputs": graph.input_axes, "outputs": graph.output_axes}
        found[AXES_NAME] = json.dumps(axes, separators=(",", ":")).encode()
    return found


def _metadata(inputs: int) -> bytes:
    """A ModelMetadata table that gives output 0 a file of labels, and says nothing else."""
    b = flatbuffers.Builder(256)

    def table(fields: dict[int, int], file_type: int = 0) -> int:
        b.StartObject(8)
        for field, offset in fields.items():
            b.PrependUOffsetTRelativeSlot(field, offset, 0)
        b.PrependInt8Slot(2, file_type, 0)  # of an AssociatedFile; 0 is the default and writes nothing
        return b.EndObject()

    file = table({0: b.CreateString(_LABEL_FILE)}, _TENSOR_AXIS_LABELS)  # name, type
    output = table({6: _offsets(b, [file])})  # associated_files
    nothing = [table({}) for _ in range(inputs)]
    subgraph = table({2: _offsets(b, nothing), 3: _offsets(b, [output])})  # of the inputs, of the outputs
    b.Finish(table({3: _offsets(b, [subgraph])}), _METADATA_IDENTIFIER)
    return bytes(b.Output())


def _with_labels(data: bytes, labels: tuple[str, ...]) -> bytes:
    """The model, and behind it a zip archive of the file of labels, if there are any."""
    if not labels:
        return data
    file = io.BytesIO(data)
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr(zipfile.ZipInfo(_LABEL_FILE), "".join(f"{name}\n" for name in labels))  # of a fixed date
    return file.getvalue()
