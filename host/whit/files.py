"""Files of the user: read with a message, written whole or not at all."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
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


def read_arrays(path: Path, names: Sequence[str]) -> list[np.ndarray]:
    """One array for each name: of a .npy file the only one, of a .npz file by name, or in order if its names differ."""
    data = read(path)
    try:
        loaded = np.load(io.BytesIO(data), allow_pickle=False)
        arrays = [loaded] if isinstance(loaded, np.ndarray) else {name: loaded[name] for name in loaded.files}
    except (ValueError, EOFError, OSError, zipfile.BadZipFile):
        raise WhitError(f"{path}: not a .npy or .npz file; save the samples with numpy.save() or savez()") from None
    if len(arrays) != len(names):
        raise WhitError(f"{path}: holds {len(arrays)} arrays, the model has {len(names)} inputs; give one for each")
    if isinstance(arrays, list):
        return arrays
    if set(arrays) == set(names):
        return [arrays[name] for name in names]
    if len(names) > 1 and set(arrays) != {f"arr_{i}" for i in range(len(names))}:  # what savez calls those without
        raise WhitError(f"{path}: holds {', '.join(arrays)}, the inputs are {', '.join(names)}; name the arrays so")
    return list(arrays.values())


def write_array(path: Path, array: np.ndarray) -> None:
    """Save as .npy, under exactly this name."""
    buffer = io.BytesIO()
    np.save(buffer, array)
    write(path, buffer.getvalue())
