"""Files of the user: read with a message, written whole or not at all."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from .errors import WhitError


def read(path: Path) -> bytes:
    """The bytes of a file.

    Raises:
        WhitError: there is no such file, or it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as e:
        raise WhitError(f"{path}: cannot be read ({e.strerror}); check the path") from None


def write(path: Path, data: bytes) -> None:
    """Write to a new name beside `path`, then rename: what was there survives a full disk or a cut.

    Raises:
        WhitError: the file cannot be written.
    """
    try:
        if path.exists() and not path.is_file():
            path.write_bytes(data)  # a device or a pipe
            return
        target = path.resolve()  # a link stays one
        part = target.with_name(target.name + ".part")
        try:
            part.write_bytes(data)
            part.replace(target)
        except OSError:
            part.unlink(missing_ok=True)
            raise
    except OSError as e:
        raise WhitError(f"{path}: cannot be written ({e.strerror}); check the folder and the space on it") from None


def keep(output: Path, *inputs: Path) -> None:
    """Refuse an output that would take the place of what it is made from.

    Raises:
        WhitError: it is one of the inputs.
    """
    for path in inputs:
        if output.exists() and path.exists() and output.samefile(path):
            raise WhitError(f"{output}: is what is read; give the output another name")


def read_array(path: Path) -> np.ndarray:
    """The array of a .npy file."""
    data = read(path)
    try:
        array = np.load(io.BytesIO(data), allow_pickle=False)
    except (ValueError, EOFError, OSError):
        raise WhitError(f"{path}: not a .npy file; save the samples with numpy.save()") from None
    if not isinstance(array, np.ndarray):
        raise WhitError(f"{path}: holds {len(array.files)} arrays (.npz); save one array with numpy.save()")
    return array


def write_array(path: Path, array: np.ndarray) -> None:
    """Save as .npy, under exactly this name."""
    buffer = io.BytesIO()
    np.save(buffer, array)
    write(path, buffer.getvalue())
