"""The commands that train: each calls one function of whit.train and shows what it changed."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .. import files
from ..costs import macs, parameters
from ..errors import WhitError
from ..fold import fold, is_float
from ..graph import Graph
from ..write_tflite import write_tflite
from .quantize import byte_count, read_model
from .show import columns, in_bytes, progress_bar, show

if TYPE_CHECKING:
    from ..train.task import Task

Arguments = argparse.Namespace


def _common(p: argparse.ArgumentParser, epochs: int, output: str = "OUT.tflite") -> None:
    """What every command that trains takes, behind its models."""
    p.add_argument("samples", type=Path, metavar="SAMPLES.npy", help="floats, first axis samples; a fifth is held out")
    p.add_argument(
        "labels",
        type=Path,
        nargs="?",
        metavar="LABELS.npy",
        help="integers: class numbers; floats: the values of the output",
    )
    p.add_argument("-o", "--output", type=Path, required=True, metavar=output)
    p.add_argument("--epochs", type=int, default=epochs, metavar="N", help=f"default {epochs}")
    p.add_argument("--rate", type=float, metavar="R", help="the highest learning rate")
    p.add_argument("--seed", type=int, default=0, metavar="S", help="default 0")


def _read_model(path: Path) -> Graph:
    graph = read_model(path)
    if not is_float(graph):
        raise WhitError(f"{path}: is quantized, and only float models can be trained; give the one that it was made of")
    return fold(graph)


def _read_data(
    a: Arguments, *models: Path, ends: tuple[str, ...] = (".tflite",)
) -> tuple[np.ndarray, np.ndarray | None]:
    """Samples and labels, after a look at what the command could only refuse when it is done."""
    given = [*models, a.samples, *([a.labels] if a.labels else [])]
    files.keep(a.output, *given)
    if a.output.suffix not in ends:
        raise WhitError(f"{a.output}: the name does not end in {' or '.join(ends)}; name the file that is wanted so")
    if not 0 <= a.seed < 1 << 32:
        raise WhitError(f"--seed {a.seed}: give 0 to {(1 << 32) - 1}")
    samples = files.read_array(a.samples)
    labels = files.read_array(a.labels) if a.labels else None
    if labels is not None and (samples.ndim == 0 or labels.ndim == 0 or len(samples) != len(labels)):
        raise WhitError(
            f"{a.labels}: has the shape {labels.shape}, the samples have {samples.shape}; "
            "give one label for each sample"
        )
    return samples, labels


def _part(values: np.ndarray | None, chosen: np.ndarray) -> np.ndarray | None:
    return None if values is None else values[chosen]


def _compare(graphs: dict[str, Graph], samples: np.ndarray, labels: np.ndarray | None, measured: str = "") -> None:
    """A row for each graph: how well it does on the samples, and what it costs."""
    from ..train.task import outputs, task

    measure = ""
    rows = []
    for title, graph in graphs.items():
        wanted = task(graph, samples, labels)
        measure = measured or wanted.measure
        rows.append(
            (title, _score(wanted, outputs(graph, wanted.samples)), f"{parameters(graph):,}", f"{macs(graph):,}")
        )
    table = columns("", "", measure, "parameters", "multiply-accumulates")
    for row in rows:
        table.add_row(*row)
    show(table)
    print(_HELD_OUT.format(len(samples)))


_HELD_OUT = "measured on {} samples that were held out"


def _score(wanted: Task, outputs: np.ndarray) -> str:
    score = wanted.score(outputs)
    return f"{score:.2%}" if wanted.measure == "accuracy" else f"{score:.5g}"


# prune


def _prune_arguments(p: argparse.ArgumentParser) -> None:
    p.add_argument("model", type=Path, metavar="MODEL", help="a trained float model: .tflite or .onnx")
    _common(p, 40)
    p.add_argument(
        "--macs", type=float, default=0.5, metavar="PART", help="multiply-accumulates to keep; default 0.5, the half"
    )
    p.add_argument("--distil", action="store_true", help="learn also from the unpruned model, at the end")


def _prune(a: Arguments) -> int:
    """Remove the channels of a float model that it needs least, and train it again.

    Without labels the outputs are to equal the samples, as those of an autoencoder do.
    """
    from ..train.loop import RATE
    from ..train.prune import prune
    from ..train.task import held_out

    graph = _read_model(a.model)
    samples, labels = _read_data(a, a.model)
    kept, held = held_out(len(samples) if samples.ndim else 0, a.seed)
    with progress_bar("pruning") as progress:
        pruned = prune(
            graph,
            samples[kept],
            _part(labels, kept),
            a.macs,
            a.epochs,
            a.seed,
            RATE if a.rate is None else a.rate,
            a.distil,
            progress,
        )
    files.write(a.output, write_tflite(pruned))
    print(f"{a.output}: pruned from {a.model.name}")
    _compare({"before": graph, "after": pruned}, samples[held], _part(labels, held))
    return 0


# distil


def _distil_arguments(p: argparse.ArgumentParser) -> None:
    p.add_argument("student", type=Path, metavar="STUDENT", help="a small float model")
    p.add_argument("teacher", type=Path, metavar="TEACHER", help="a large float model, trained")
    _common(p, 40)
    p.add_argument("--from-scratch", action="store_true", help="begin with fresh weights, not with the student's own")
    p.add_argument("--temperature", type=float, default=2, metavar="T", help="what logits are divided by; default 2")
    p.add_argument("--alpha", type=float, default=0.5, metavar="A", help="the teacher's part of the loss; default 0.5")


_SCRATCH_RATE = 3e-3


def _distil(a: Arguments) -> int:
    """Train a small float model to answer like a large one; labels are not needed for that."""
    from ..train.distil import answers, distil
    from ..train.loop import RATE
    from ..train.network import initialize
    from ..train.task import held_out

    given, teacher = _read_model(a.student), _read_model(a.teacher)
    samples, labels = _read_data(a, a.student, a.teacher)
    kept, held = held_out(len(samples) if samples.ndim else 0, a.seed)
    student = initialize(given, a.seed) if a.from_scratch else given
    usual = _SCRATCH_RATE if a.from_scratch else RATE
    with progress_bar("distilling") as progress:
        settings = (a.temperature, a.alpha, a.epochs, a.seed, usual if a.rate is None else a.rate, progress)
        learned = distil(student, teacher, samples[kept], _part(labels, kept), *settings)
    files.write(a.output, write_tflite(learned))
    print(f"{a.output}: distilled from {a.teacher.name}")
    truth = answers(teacher, samples[held]) if labels is None else labels[held]
    measured = "" if labels is not None else "agreement" if truth.dtype.kind == "i" else "mean squared difference"
    _compare({"teacher": teacher, "before": student, "after": learned}, samples[held], truth, measured)
    return 0


# finetune


def _finetune_arguments(p: argparse.ArgumentParser) -> None:
    p.add_argument("model", type=Path, metavar="MODEL", help="a trained float model")
    _common(p, 20, "OUT")
    four = p.add_mutually_exclusive_group()
    four.add_argument("--int4", action="store_true", help="4-bit weights in every layer that can have them")
    four.add_argument(
        "--max-bytes", type=byte_count, metavar="BYTES", help="of OUT.whit: 4-bit weights where it takes them"
    )


def _finetune(a: Arguments) -> int:
    """Quantize a float model, and train it to stand that: to OUT.whit, or OUT.tflite for the quantized model.

    The samples are those to quantize with, too. Without labels the outputs are to equal the samples.
    """
    from ..pack import pack_graph
    from ..quantize import execute_rounded, quantize, quantize_within
    from ..quantize.quantize import FOUR_BITS
    from ..train.qat import RATE, finetune, four_bits, ranges
    from ..train.task import held_out, outputs, task

    graph = _read_model(a.model)
    samples, labels = _read_data(a, a.model, ends=(".whit", ".tflite"))
    kept, held = held_out(len(samples) if samples.ndim else 0, a.seed)
    four = {graph.tensors[op.outputs[0]].name for op in graph.operators if a.int4 and op.kind in FOUR_BITS}
    with progress_bar("quantizing") as progress:
        if a.max_bytes is None:
            before = quantize(graph, [samples[kept]], four, progress=progress)
        else:
            before = quantize_within(graph, [samples[kept]], a.max_bytes, progress=progress)
    with progress_bar("training") as progress:
        rate = RATE if a.rate is None else a.rate
        data = (samples[kept], _part(labels, kept))
        tuned = finetune(before.folded, before.graph, *data, a.epochs, a.seed, rate, progress)
    after = quantize(tuned, [samples[kept]], four_bits(before.graph), ranges(before.graph))
    packed = pack_graph(after.graph)
    files.write(a.output, write_tflite(after.graph) if a.output.suffix == ".tflite" else packed.blob)
    print(f"{a.output}: quantized from {a.model.name}, fine-tuned; {in_bytes(len(packed.blob))} as .whit")
    wanted = task(graph, samples[held], _part(labels, held))
    table = columns("", "", wanted.measure)
    table.add_row("float", _score(wanted, outputs(graph, wanted.samples)))
    table.add_row("quantized", _score(wanted, execute_rounded(before.graph, [samples[held]])[0]))
    table.add_row("quantized, fine-tuned", _score(wanted, execute_rounded(after.graph, [samples[held]])[0]))
    show(table)
    print(_HELD_OUT.format(len(held)))
    return 0


COMMANDS = {
    "prune": ("a float model with fewer channels, trained again", _prune, _prune_arguments),
    "distil": ("a small float model that learns from a large one", _distil, _distil_arguments),
    "finetune": ("a float model -> an int8 model that was trained for it", _finetune, _finetune_arguments),
}
