"""TensorFlow Lite Micro itself, run in a process of its own: where it meets a model it will not run, it aborts."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from .errors import WhitError

_ARENA_BYTES = 64 << 20


def run(model: bytes, inputs: Sequence[np.ndarray], name: str, outputs: int) -> list[np.ndarray]:
    """Run every sample; inputs and outputs have the samples as their first axis and the model's own data types.

    `name` is what messages call the model, `outputs` the number of its outputs.

    Raises:
        WhitError: tflite-micro is not installed, or refuses the model.
    """
    if importlib.util.find_spec("tflite_micro") is None:
        raise WhitError("tflite-micro, the reference, is not installed; install the extra whit[verify] beside whit")
    with tempfile.TemporaryDirectory(prefix="whit-") as folder:
        work = Path(folder)
        (work / "model.tflite").write_bytes(model)
        np.savez(work / "inputs.npz", *inputs)
        command = [sys.executable, "-m", "whit.oracle", folder, str(outputs)]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace")
        if done.returncode:
            said = [line for line in done.stderr.splitlines() if line.strip()] or ["it was aborted"]
            raise WhitError(f"{name}: tflite-micro cannot run this model ({said[-1].strip()}); there is no reference")
        with np.load(work / "outputs.npz") as stored:
            return [stored[key] for key in stored.files]


def _main(folder: Path, count: int) -> None:
    from tflite_micro.python.tflite_micro import runtime

    with np.load(folder / "inputs.npz") as stored:
        inputs = [stored[key] for key in stored.files]
    interpreter = runtime.Interpreter.from_bytes((folder / "model.tflite").read_bytes(), arena_size=_ARENA_BYTES)
    results: list[list[np.ndarray]] = []
    for sample in zip(*inputs, strict=True):
        for i, x in enumerate(sample):
            interpreter.set_input(x, i)
        interpreter.invoke()
        results.append([interpreter.get_output(i).copy() for i in range(count)])
    np.savez(folder / "outputs.npz", *(np.stack(column) for column in zip(*results, strict=True)))


if __name__ == "__main__":
    _main(Path(sys.argv[1]), int(sys.argv[2]))
