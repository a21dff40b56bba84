"""The command that lets a model listen to a recording."""

from __future__ import annotations

import argparse
from pathlib import Path

from .. import files
from ..errors import WhitError
from .model import heap_argument, json_argument
from .show import progress_bar

Arguments = argparse.Namespace


def _listen_arguments(p: argparse.ArgumentParser) -> None:
    p.add_argument("recording", type=Path, metavar="FILE.wav", help="one channel, 16 bits, at the model's rate")
    p.add_argument("model", type=Path, metavar="MODEL", help="a .whit file, or a .tflite or .onnx file and its JSON")
    json_argument(p)
    p.add_argument("--kernels", choices=("native", "viper"), help="default: native where there is one")
    heap_argument(p)


def _listen(a: Arguments) -> int:
    """Let a model listen to a recording under the unix port of MicroPython, and print the words it hears."""
    from ..hear import hear, listener_of
    from ..recording import read_wav
    from ..simulate import HEAP_BYTES

    _check_kinds(a)
    blob = _blob(a)
    rate = listener_of(a.model, blob)["frontend"]["rate"]
    samples = read_wav(a.recording, rate)
    with progress_bar("listening") as progress:
        heard = hear(a.model, blob, samples, a.kernels, a.heap or HEAP_BYTES, progress)
    print(f"{a.recording}: {len(samples) / rate:.2f} s, heard by {a.model.name} under MicroPython")
    print("\n".join(f"{each.ms / 1000:9.3f} s  {each.word}" for each in heard) or "  no word")
    return 0


def _check_kinds(a: Arguments) -> None:
    """Raises WhitError for a recording that is a model, or a model that is its JSON."""
    if a.recording.suffix.lower() in (".whit", ".tflite", ".onnx"):
        raise WhitError(f"{a.recording}: a model where the recording goes; run: whit listen FILE.wav {a.recording}")
    if a.model.suffix.lower() == ".json":
        raise WhitError(f"{a.model}: not a model; give the .tflite, .onnx or .whit file that it belongs to")


def _blob(a: Arguments) -> bytes:
    """The .whit file, packed where it is not yet."""
    from ..listening import beside
    from ..pack import pack
    from ..read import read_file

    if a.model.suffix.lower() == ".whit":
        if a.json:
            raise WhitError(f"{a.json}: --json goes with a .tflite or .onnx file, {a.model} is packed; leave it out")
        return files.read(a.model)
    data = read_file(a.model)
    listening = beside(a.model, a.json)
    if listening is None:
        words = a.model.with_suffix(".json")
        if words.is_file():
            raise WhitError(f"{words}: not the JSON of a wake word; give that of {a.model.name} with --json")
        raise WhitError(f"{a.model}: no JSON of a wake word lies beside it; give it with --json")
    return pack(data, a.model.name, listening=listening).blob


COMMANDS = {"listen": ("the words that a model hears in a recording, under MicroPython", _listen, _listen_arguments)}
