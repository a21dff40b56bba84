"""read: the bytes of a model file of any format whit takes -> Graph. The content tells the format, not the name."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

from . import files
from .device import format as blob
from .errors import WhitError
from .graph import Graph
from .read_onnx import read_onnx, with_weights
from .read_tflite import read_tflite
from .tflite_schema import FILE_IDENTIFIER

_TAKES = "whit reads .tflite and .onnx"
_TORCH = (
    "export the module: whit.from_torch(module, example), or "
    "torch.onnx.export(module, (example,), 'model.onnx', dynamo=False)"
)
_KERAS = "convert it: tf.lite.TFLiteConverter.from_keras_model(keras.models.load_model(PATH)).convert()"
_SAVED = "convert the folder it is in: tf.lite.TFLiteConverter.from_saved_model(FOLDER).convert()"
_SKLEARN = "export the estimator: skl2onnx.to_onnx(estimator, X[:1].astype('float32')).SerializeToString()"


def read_file(path: Path) -> bytes:
    """The bytes of a model's file, for read(); with what an ONNX model keeps in files beside it.

    Raises:
        WhitError: the file cannot be read.
    """
    data = files.read(path)
    return with_weights(data, path.resolve().parent) if path.suffix.lower() == ".onnx" else data


def read(data: bytes, name: str) -> Graph:
    """Read a TFLite or an ONNX model.

    Args:
        data: the file.
        name: what messages call the model, usually the file's name.

    Raises:
        WhitError: neither of them, with how to export it; or what read_tflite and read_onnx raise.
    """
    if data[4:8] == FILE_IDENTIFIER:
        return read_tflite(data, name)
    if not data:
        raise WhitError(f"{name}: an empty file; {_TAKES}")
    other = _other(data)
    if other is not None:
        what, remedy = other
        raise WhitError(f"{name}: {what}, not a model that whit reads; {remedy}")
    if not _is_onnx(data):
        raise WhitError(
            f"{name}: not a TFLite or ONNX model (it starts with {data[:8]!r}); give a .tflite or .onnx file"
        )
    return read_onnx(data, name)


def _other(data: bytes) -> tuple[str, str] | None:
    """(what it is, how to export from it) of the formats that people have; None for another."""
    if data[: len(blob.MAGIC)] == blob.MAGIC:
        return "a packed .whit file", "give the model that it was packed from"
    if data[:4] == b"PK\x03\x04":
        return _archive(data)
    if data[:8] == b"\x89HDF\r\n\x1a\n":
        return "a Keras model or weights in HDF5", _KERAS
    if data[:1] == b"\x80" and data[1:2] in b"\2\3\4\5" and data[-1:] == b".":
        return "a Python pickle", f"{_SKLEARN}; or of PyTorch, {_TORCH[:1].lower()}{_TORCH[1:]}"
    text = data[:64].lstrip()
    if text[:1] in (b"{", b"["):
        return "JSON", f"export from the framework that made it; {_TAKES}"
    if data[:3] == b"\x08\x01\x12" and b"serve" in data:  # schema version 1, then a graph with the tag "serve"
        return "a TensorFlow SavedModel", _SAVED
    return None


def _archive(data: bytes) -> tuple[str, str]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = archive.namelist()
    except zipfile.BadZipFile:
        return "a zip archive that is cut off", "copy it again"
    if any(n.endswith("data.pkl") for n in names):
        return "a PyTorch checkpoint", _TORCH
    if "model.weights.h5" in names or "config.json" in names:
        return "a Keras model", _KERAS
    inside = [n for n in names if n.endswith((".tflite", ".onnx", "saved_model.pb"))]
    if inside:
        return f"a zip archive with {inside[0]} in it", "unpack it and give that file"
    return "a zip archive", _TAKES


def _is_onnx(data: bytes) -> bool:
    """Whether the first fields can be those of ONNX's ModelProto (onnx.proto): numbers and wire types."""
    wires = {1: 0, 2: 2, 3: 2, 4: 2, 5: 0, 6: 2, 7: 2, 8: 2, 14: 2, 20: 2, 25: 2, 26: 2}
    at = 0
    while at < min(len(data), 4096):
        key, at = _varint(data, at)
        if wires.get(key >> 3) != key & 7:
            return False
        value, at = _varint(data, at)
        at += value if key & 7 == 2 else 0
    return True


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data) and shift < 64:
        value |= (data[at] & 0x7F) << shift
        at += 1
        if data[at - 1] < 0x80:
            return value, at
        shift += 7
    return 0, len(data)
