"""A recording of sound: a WAV file of the one kind that a model listens to."""

from __future__ import annotations

import shlex
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from . import files
from .errors import WhitError

_PCM, _EXTENSIBLE = 1, 0xFFFE
_FORMATS = {3: "floats", 6: "A-law", 7: "mu-law", 2: "ADPCM", 17: "ADPCM"}
_UNKNOWN_BYTES = 0x7FFF0000  # from here on a size is what a program writes that does not know how long it will go on


def read_wav(path: Path, rate: int) -> np.ndarray:
    """The samples, int16, of a WAV file with one channel of 16 bits at `rate` a second.

    Raises:
        WhitError: another kind of file, or one that is empty or cut; the text has the command that converts it.
    """
    data = files.read(path)
    if not data:
        raise WhitError(f"{path}: is empty; record it again")
    convert = f"convert it: {_command(path, rate)}"
    if data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        raise WhitError(f"{path}: not a WAV file; {convert}")
    chunks = dict(_chunks(data))
    if b"fmt " not in chunks or b"data" not in chunks or len(chunks[b"fmt "][1]) < 16:
        raise WhitError(f"{path}: a WAV file without sound; record it again")
    _, form = chunks[b"fmt "]
    size, sound = chunks[b"data"]
    kind, channels, found, _, _, bits = struct.unpack_from("<HHIIHH", form)
    if kind == _EXTENSIBLE and len(form) >= 26:
        (kind,) = struct.unpack_from("<H", form, 24)
    if kind != _PCM:
        raise WhitError(f"{path}: holds {_FORMATS.get(kind, f'format {kind}')}, PCM is supported; {convert}")
    if bits != 16:
        raise WhitError(f"{path}: has samples of {bits} bits, 16 are supported; {convert}")
    if channels != 1:
        raise WhitError(f"{path}: has {channels} channels, 1 is supported; {convert}")
    if found != rate:
        raise WhitError(f"{path}: has {found:,} samples a second, the model takes {rate:,}; {convert}")
    if len(sound) < size < _UNKNOWN_BYTES:
        raise WhitError(
            f"{path}: is truncated: {len(sound):,} bytes of sound, its header says {size:,}; copy or record it again"
        )
    samples = np.frombuffer(sound, "<i2", len(sound) // 2)
    if not len(samples):
        raise WhitError(f"{path}: holds no samples; record it again")
    return samples


def _chunks(data: bytes) -> Iterator[tuple[bytes, tuple[int, bytes]]]:
    """(id, (size by its header, what is there of it)) of each chunk."""
    at = 12
    while at + 8 <= len(data):
        name, size = struct.unpack_from("<4sI", data, at)
        yield name, (size, data[at + 8 : at + 8 + size])
        at += 8 + size + (size & 1)


def _command(path: Path, rate: int) -> str:
    target = path.with_name(f"{path.stem}_{rate}.wav")
    return f"ffmpeg -i {shlex.quote(str(path))} -ac 1 -ar {rate} -c:a pcm_s16le {shlex.quote(str(target))}"


def write_wav(samples: np.ndarray, rate: int) -> bytes:
    """A WAV file of int16 samples with one channel."""
    data = samples.astype("<i2").tobytes()
    form = struct.pack("<HHIIHH", _PCM, 1, rate, 2 * rate, 2, 16)
    body = b"WAVEfmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", len(body)) + body
