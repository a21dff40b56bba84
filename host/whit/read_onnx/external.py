"""Weights that an ONNX model keeps in another file beside it, as PyTorch's exporter does."""

from __future__ import annotations

from pathlib import Path

_KEY = b"location"  # of every tensor that lies elsewhere


def with_weights(data: bytes, folder: Path) -> bytes:
    """The model with the weights in it that it names in files of `folder`; as it is, where there are none.

    What cannot be read is left to read_onnx, which says so.
    """
    if _KEY not in data:
        return data
    try:
        import onnx
        from onnx.external_data_helper import load_external_data_for_model
    except ImportError:
        return data
    try:
        model = onnx.load_model_from_string(data)
        load_external_data_for_model(model, str(folder))
        return model.SerializeToString()
    except Exception:  # protobuf's own, those of onnx's checks, and of the file
        return data
