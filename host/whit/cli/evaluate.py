"""The command that holds models against labelled samples."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .. import files
from ..emulate import CORES
from ..errors import WhitError
from .model import read_labels
from .show import columns, progress_bar, show

if TYPE_CHECKING:
    from ..evaluate import Evaluation, File, Score

Arguments = argparse.Namespace
_CORES = "m0plus", "m4"
_MOST_CLASSES = 12  # whose confusion matrix a terminal shows
_MODELS = ".tflite", ".onnx", ".whit"
_ORDER = "MODEL [MODEL ...] FLOAT_MODEL SAMPLES.npy LABELS.npy"


def _evaluate_arguments(p: argparse.ArgumentParser) -> None:
    p.usage = f"%(prog)s [options] {_ORDER}"
    p.add_argument(
        "files",
        type=Path,
        nargs="+",
        metavar="FILE",
        help="models, float or int8 or .whit files; then the float model that they were made of; real samples, counted "
        "by the first axis; and labels: class numbers, one-hot rows or class names, or what the output should be",
    )
    p.add_argument(
        "--labels",
        dest="names",
        type=Path,
        metavar="FILE",
        help="class names, one per line; default: those in a model",
    )
    p.add_argument(
        "--core",
        choices=[core.name for core in CORES],
        action="append",
        help=f"where instructions are counted; may be given again; default: {' and '.join(_CORES)}",
    )
    p.add_argument("--no-instructions", action="store_true", help="do not count instructions, which needs QEMU")
    p.add_argument("--html", type=Path, metavar="REPORT.html", help="a page with plots; needs whit[report]")
    p.add_argument("--json", action="store_true", help="everything, for programs")


def _evaluate(a: Arguments) -> int:
    """Run models on labelled samples: how often each is right, how far it is from the float model, what it takes.

    int8 models run in MicroPython, with the kernels of a board; float ones in numpy.
    """
    from ..evaluate import File, count, evaluate
    from ..read import read_file

    paths = a.files
    _check_order(paths)
    if a.html:
        from .. import report

        report.check_installed()
        files.keep(a.html, *paths, *([a.names] if a.names else []))
    read = [File(name, read_file(path)) for name, path in zip(_names(paths), paths, strict=True)]
    *models, float_model, samples, labels = read
    models = [model for model in models if model != float_model]
    arrays = files.read_array(paths[-2]), files.read_array(paths[-1])
    names = read_labels(a.names) if a.names else ()
    cores = [] if a.no_instructions else [core for core in CORES if core.name in (a.core or _CORES)]
    with progress_bar("evaluating") as progress:
        found = evaluate(models, float_model, *arrays, names, labels.name, progress)
    with progress_bar("counting") as progress:
        found = count(found, cores, progress)
    if a.html:
        files.write(a.html, report.page(found, samples, labels).encode())
    if a.json:
        document = {"samples_file": _source(samples), "labels_file": _source(labels)} | found.to_json()
        print(json.dumps(document, indent=2))
        return 0
    _show(found, samples.name)
    return 0


def _check_order(paths: Sequence[Path]) -> None:
    """That nothing is missing, and no model stands where an array belongs, nor the other way round."""
    if len(paths) < 4:
        names = ", ".join(map(str, paths))
        raise WhitError(f"{names}: {len(paths)} of at least 4 files; give {_ORDER}")
    for path in paths[:-2]:
        if path.suffix.lower() == ".npy":
            raise WhitError(f"{path}: an array where a model belongs; give {_ORDER}")
    for path in paths[-2:]:
        if path.suffix.lower() in _MODELS:
            raise WhitError(f"{path}: a model where an array belongs; give {_ORDER}")


def _names(paths: Sequence[Path]) -> list[str]:
    """What to call files: their names, or their paths where two have one name."""
    names = [path.name for path in paths]
    return [
        name if len({path for path in paths if path.name == name}) == 1 else str(path)
        for name, path in zip(names, paths, strict=True)
    ]


def _source(file: File) -> dict[str, str]:
    return {"name": file.name, "sha256": file.sha256}


def _show(found: Evaluation, samples: str) -> None:
    titles = {core.name: core.title for core in CORES}
    from ..report import about, decibels

    print(f"{found.samples} samples of {samples}")
    quality = ("accuracy", "right", "as float") if found.classes else ("RMSE",)
    table = columns(
        "", "", "", *quality, "SQNR", ".whit", "weights", "arena", *(titles[c] for c in found.cores), left=2
    )
    for s in found.scores:
        counted = (_number(s.instructions.get(core)) for core in found.cores)
        sizes = (_number(n) for n in (s.blob_bytes, s.weights_bytes, s.arena_bytes))
        table.add_row(s.name, s.kind, *_quality(s), decibels(s), *sizes, *counted)
    show(table)
    print()
    for line in about(found):
        print(line)
    if 0 < len(found.classes) <= _MOST_CLASSES:
        for s in found.scores:
            print()
            _show_confusion(s, found.classes)
    elif found.classes:
        print(f"confusion matrices of {len(found.classes)} classes: with --json or --html")


def _show_confusion(s: Score, classes: tuple[str, ...]) -> None:
    from ..report import percent

    print(f"{s.name}: classes, and what they were taken for")
    matrix = columns("", "", *classes, "recall")
    for i, (name, row) in enumerate(zip(classes, s.confusion, strict=True)):
        matrix.add_row(name, *(str(n) if n else "." for n in row), percent(s.recall(i)))
    show(matrix)


def _quality(s: Score) -> tuple[str, ...]:
    from ..report import percent

    if s.rmse is not None:
        return (f"{s.rmse:.4g}",)
    return percent(s.accuracy), f"{s.right:,}", percent(s.agreement)


def _number(n: int | None) -> str:
    return "" if n is None else f"{n:,}"


COMMANDS = {
    "evaluate": ("how right models are on labelled samples, side by side", _evaluate, _evaluate_arguments),
}
