"""read: the bytes of a .tflite file -> Graph. Everything that is particular to TFLite ends here."""

from __future__ import annotations

import io
import json
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator

import flatbuffers
import numpy as np
import tflite

from .errors import WhitError
from .graph import Graph, Operator, Quantization, Tensor
from .tflite_schema import AXES_NAME, DTYPES, FILE_IDENTIFIER, METADATA_NAME, OPERATORS, OPTIONS, RESOURCE
from .tflite_variables import read_variables

# What the flatbuffer accessors raise when an offset leads out of the file.
_BROKEN = (
    struct.error,
    IndexError,
    ValueError,
    TypeError,
    AttributeError,
    OverflowError,
    UnicodeDecodeError,
    RecursionError,
)
_MAX_RANK = 8
_MAX_ELEMENTS = 1 << 28  # of one tensor: far beyond any microcontroller, well within int64 arithmetic


def read_tflite(data: bytes, name: str) -> Graph:
    """Read a TFLite model.

    Args:
        data: the file.
        name: what messages call the model, usually the file's name.

    Raises:
        WhitError: not a TFLite file, truncated, corrupted, or with subgraphs for more than to set variables.
    """
    if len(data) < 8 or data[4:8] != FILE_IDENTIFIER:
        found = "an empty file" if not data else f"{data[4:8]!r} at byte 4"
        raise WhitError(f"{name}: not a TFLite model (found {found}, not {FILE_IDENTIFIER!r}); give a .tflite file")
    try:
        return _read(data, name)
    except _BROKEN as e:
        found = f", {e}" if type(e) in (ValueError, IndexError) else ""  # of this module, not of a library
        raise WhitError(
            f"{name}: the TFLite file is truncated or corrupted ({len(data):,} bytes{found}); export or copy it again"
        ) from e


def _read(data: bytes, name: str) -> Graph:
    model = tflite.Model.GetRootAsModel(data, 0)
    parts = [_part(model, model.Subgraphs(i)) for i in range(model.SubgraphsLength())]
    if not parts:
        raise ValueError("no subgraph")
    sub, tensors = model.Subgraphs(0), parts[0][0]
    operators, variables = read_variables(model, parts, name)
    inputs = _indices(sub.Inputs, sub.InputsLength(), len(tensors))
    outputs = _indices(sub.Outputs, sub.OutputsLength(), len(tensors))
    if not inputs or not outputs:
        raise WhitError(f"{name}: the model has no inputs or no outputs; export it with both")
    axes = json.loads(_metadata(model, AXES_NAME) or b"{}")
    input_axes, output_axes = (
        _axes(axes.get(key, ()), [tensors[i] for i in ports])
        for key, ports in (("inputs", inputs), ("outputs", outputs))
    )
    labels = _labels(data, model)
    return Graph(
        name, tensors, tuple(operators), inputs, outputs, labels, input_axes, output_axes, variables=tuple(variables)
    )


def _part(model: tflite.Model, sub: tflite.SubGraph) -> tuple[tuple[Tensor, ...], tuple[Operator, ...]]:
    """The tensors and operators of a subgraph."""
    tensors = tuple(_tensor(model, sub.Tensors(i), i) for i in range(sub.TensorsLength()))
    return tensors, tuple(_operator(model, sub.Operators(i), len(tensors)) for i in range(sub.OperatorsLength()))


def _axes(found: list[list[int]], ports: list[Tensor]) -> tuple[tuple[int, ...], ...]:
    axes = tuple(tuple(order) for order in found)
    fits = all(not a or sorted(a) == list(range(len(t.shape))) for a, t in zip(axes, ports, strict=bool(axes)))
    if not fits:
        raise ValueError("the axes of its inputs and outputs are not theirs")
    return axes


def _metadata(model: tflite.Model, name: str) -> bytes | None:
    """The buffer of the metadata of that name."""
    for i in range(model.MetadataLength()):
        entry = model.Metadata(i)
        if entry.Name() == name.encode():
            raw = model.Buffers(entry.Buffer()).DataAsNumpy()
            return raw.tobytes() if isinstance(raw, np.ndarray) else None
    return None


def _indices(get: Callable[[int], int], length: int, tensors: int, optional: bool = False) -> tuple[int, ...]:
    indices = tuple(int(get(i)) for i in range(length))
    if any(not (-1 if optional else 0) <= i < tensors for i in indices):
        raise IndexError("an operator or the model names a tensor that is not there")
    return indices


def _tensor(model: tflite.Model, t: tflite.Tensor, index: int) -> Tensor:
    name = t.Name().decode() if t.Name() else f"tensor_{index}"
    shape = tuple(int(t.Shape(i)) for i in range(t.ShapeLength()))
    if len(shape) > _MAX_RANK or any(d < 0 for d in shape) or np.prod(shape, dtype=float) > _MAX_ELEMENTS:
        raise ValueError(f"tensor {index} has an impossible shape")
    dtype = DTYPES.get(t.Type(), f"type {t.Type()}")
    raw = model.Buffers(t.Buffer()).DataAsNumpy()
    values: np.ndarray | None = None
    if isinstance(raw, np.ndarray) and raw.size and dtype in DTYPES.values() and dtype != RESOURCE:
        count = int(np.prod(shape, dtype=np.int64))
        wanted = (count + 1) // 2 if dtype == "int4" else count * np.dtype(dtype).itemsize
        if raw.size != wanted:
            raise ValueError(f"tensor {index} has {raw.size} bytes of data, its shape {shape} needs {wanted}")
        if dtype == "int4":
            values = _nibbles(raw, count).reshape(shape)
        else:
            values = np.frombuffer(raw.tobytes(), np.dtype(dtype).newbyteorder("<")).reshape(shape)
    return Tensor(name, shape, dtype, _quantization(t.Quantization(), shape, index), values)


def _nibbles(raw: np.ndarray, count: int) -> np.ndarray:
    """int8 values of `count` nibbles in two's complement, two to a byte, the low one first."""
    two = raw.astype(np.uint8)
    nibbles = np.stack((two & 15, two >> 4), -1).reshape(-1)[:count]
    return ((nibbles ^ 8).astype(np.int8) - 8).astype(np.int8)


def _quantization(q: tflite.QuantizationParameters | None, shape: tuple[int, ...], index: int) -> Quantization | None:
    if q is None or not q.ScaleLength():
        return None
    scale = np.array(q.ScaleAsNumpy(), np.float32)
    stored = q.ZeroPointLength()
    zero_point = np.array(q.ZeroPointAsNumpy() if stored else [0] * len(scale), np.int64)
    axis = q.QuantizedDimension()
    if len(zero_point) != len(scale) or (len(scale) > 1 and (axis >= len(shape) or shape[axis] != len(scale))):
        raise ValueError(f"tensor {index} has {len(scale)} scales and {len(zero_point)} zero points for {shape}")
    if not np.all(np.isfinite(scale) & (scale > 0)):
        raise ValueError(f"tensor {index} has a scale that is not a positive number")
    return Quantization(scale, zero_point, axis)


def _operator(model: tflite.Model, op: tflite.Operator, tensors: int) -> Operator:
    code = model.OperatorCodes(op.OpcodeIndex())
    # Old files fill only the 8-bit field, new ones both; 127 there says to look at the other.
    number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
    kind = OPERATORS.get(number, f"operator {number}")
    if kind == "CUSTOM":
        kind = f"CUSTOM {code.CustomCode().decode() if code.CustomCode() else ''}".strip()
    options: dict[str, int | float] = {}
    if kind in OPTIONS:
        table, fields = OPTIONS[kind]
        parsed = getattr(tflite, table)()
        parsed.Init(op.BuiltinOptions().Bytes, op.BuiltinOptions().Pos)
        options = {f: getattr(parsed, f)() for f in fields}
    return Operator(
        kind,
        _indices(op.Inputs, op.InputsLength(), tensors, optional=True),
        _indices(op.Outputs, op.OutputsLength(), tensors),
        options,
    )


# Label files. The buffer named TFLITE_METADATA is itself a flatbuffer (schema: metadata_schema.fbs of tflite-support);
# the files it names are in a zip archive behind the model. Field numbers, all of tables:
_MODEL_SUBGRAPHS, _SUBGRAPH_OUTPUTS, _TENSOR_FILES, _FILE_NAME, _FILE_TYPE = 3, 3, 6, 0, 2
_LABEL_TYPES = (2, 3)  # TENSOR_AXIS_LABELS, TENSOR_VALUE_LABELS


def _labels(data: bytes, model: tflite.Model) -> tuple[str, ...]:
    """The label names of the first output that has a label file; none if there is no metadata that says so."""
    found = _metadata(model, METADATA_NAME)
    name = _label_file(found) if found else None
    return _label_lines(data, name) if name else ()


def _label_file(metadata: bytes) -> str | None:
    (start,) = struct.unpack_from("<I", metadata, 0)
    root = flatbuffers.table.Table(metadata, start)
    for subgraph in _tables(root, _MODEL_SUBGRAPHS):
        for output in _tables(subgraph, _SUBGRAPH_OUTPUTS):
            for file in _tables(output, _TENSOR_FILES):
                kind = file.Offset(4 + 2 * _FILE_TYPE)
                name = file.Offset(4 + 2 * _FILE_NAME)
                if kind and name and metadata[kind + file.Pos] in _LABEL_TYPES:
                    return file.String(name + file.Pos).decode()
    return None


def _tables(table: flatbuffers.table.Table, field: int) -> Iterator[flatbuffers.table.Table]:
    offset = table.Offset(4 + 2 * field)
    for i in range(table.VectorLen(offset) if offset else 0):
        yield flatbuffers.table.Table(table.Bytes, table.Indirect(table.Vector(offset) + 4 * i))


def _label_lines(data: bytes, name: str) -> tuple[str, ...]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            lines = archive.read(name).decode().splitlines()
    except (zipfile.BadZipFile, KeyError, OSError, EOFError, RuntimeError, zlib.error):  # as broken archives end
        raise ValueError(f"the metadata names the label file {name}, which is not behind the model") from None
    return tuple(line.strip() for line in lines if line.strip())
