"""The command that quantizes, and what others need to do it on their way."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table

from .. import files
from ..errors import WhitError
from .show import columns, facts, in_bytes, progress_bar, show, size

if TYPE_CHECKING:
    from ..graph import Graph
    from ..quantize import Layer, Quantized

Arguments = argparse.Namespace


def byte_count(text: str) -> int:
    """The type of an argument that limits a file."""
    if size(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not 1 or more; write bytes as 20000 or 20k")
    return size(text)


def _points(text: str) -> float:
    try:
        points = float(text)
    except ValueError:
        points = -1
    if not 0 <= points <= 100:
        raise argparse.ArgumentTypeError(f"{text!r} is not 0 to 100 points of accuracy")
    return points


def calibrate_argument(p: argparse.ArgumentParser, required: bool = False) -> None:
    p.add_argument(
        "--calibrate",
        type=Path,
        metavar="SAMPLES.npy",
        required=required,
        help="samples of the input to quantize a float model with, as the board will see them: real values, the first "
        "axis counts them; .npz with one array per input",
    )


def quantized(path: Path, samples: Path, **limits: Any) -> Quantized:
    """The float model in a file, quantized with the samples in another."""
    from ..quantize import quantize, quantize_within

    graph = read_model(path)
    arrays = files.read_arrays(samples, [graph.tensors[i].name for i in graph.inputs])
    with progress_bar("quantizing") as progress:
        if any(value is not None for value in limits.values()):
            return quantize_within(graph, arrays, **limits, progress=progress)
        return quantize(graph, arrays, progress=progress)


def read_model(path: Path) -> Graph:
    """The model in a .tflite or .onnx file."""
    from ..read import read, read_file

    return read(read_file(path), path.name)


def _quantize_arguments(p: argparse.ArgumentParser) -> None:
    p.add_argument("model", type=Path, metavar="MODEL", help="a float model: .tflite or .onnx")
    calibrate_argument(p, required=True)
    p.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="OUT",
        help="OUT.whit, or OUT.tflite for the int8 model; default MODEL.whit",
    )
    p.add_argument("--labels", type=Path, metavar="FILE", help="class names, one per line; default: those in the model")
    p.add_argument(
        "--max-bytes", type=byte_count, metavar="BYTES", help="of OUT.whit: 4-bit weights where it takes them"
    )
    p.add_argument(
        "--max-loss",
        type=_points,
        metavar="POINTS",
        help="of accuracy on the samples: alone, 4-bit weights wherever that allows; with --max-bytes, a limit",
    )
    p.add_argument(
        "--truth",
        type=Path,
        metavar="LABELS.npy",
        help="the class of each sample, for --max-loss; default: the float model's answer",
    )
    p.add_argument("--json", action="store_true", help="everything, for programs")


def _quantize(a: Arguments) -> int:
    """Quantize a float model to int8 with samples of its input, and show what that does to each layer."""
    from ..pack import pack_graph
    from ..write_tflite import write_tflite
    from .model import read_labels

    if a.truth is not None and a.max_loss is None:
        raise WhitError("--truth: is for --max-loss; give both or neither")
    output = a.output or a.model.with_suffix(".whit")
    if output.suffix not in (".whit", ".tflite"):
        raise WhitError(f"{output}: the name ends in neither .whit nor .tflite; name the one that is wanted")
    files.keep(output, a.model, a.calibrate)
    labels = read_labels(a.labels) if a.labels else ()
    truth = files.read_array(a.truth) if a.truth else None
    found = quantized(a.model, a.calibrate, max_bytes=a.max_bytes, max_loss=a.max_loss, truth=truth)
    packed = pack_graph(found.graph, labels)
    files.write(output, write_tflite(found.graph) if output.suffix == ".tflite" else packed.blob)
    if a.json:
        layers = [vars(layer) for layer in found.layers]
        print(json.dumps({"decibels": found.decibels, "equalized": found.equalized, "layers": layers}, indent=2))
        return 0
    print(f"{output}: quantized from {a.model.name} with {a.calibrate.name}")
    table = facts()
    table.add_row("blob", in_bytes(len(packed.blob)))
    table.add_row("arena", in_bytes(packed.plan.arena_bytes))
    table.add_row("signal to noise at the output", f"{found.decibels:.1f} dB")
    if found.equalized:
        table.add_row("channels equalized", found.equalized)
    show(table)
    print()
    show(layer_table(found.layers))
    print(
        "dB: signal to quantization noise, of the output of a layer behind all before it; and of the model's output if"
    )
    print("only that layer were quantized: the least of these tells which layer hurts")
    return 0


def layer_table(layers: tuple[Layer, ...]) -> Table:
    """A row for each layer."""
    table = columns("layers", "", "operator", "output", "bits", "range", "dB", "alone", left=3)
    for i, layer in enumerate(layers):
        name = layer.name if len(layer.name) <= 36 else f"{layer.name[:16]}...{layer.name[-17:]}"
        bits = str(layer.bits) if layer.bits else ""
        decibels = (f"{d:.1f}" for d in (layer.output_decibels, layer.alone_decibels))
        table.add_row(str(i), layer.kind, name, bits, layer.range, *decibels)
    return table


COMMANDS = {
    "quantize": ("a float model and samples -> an int8 model", _quantize, _quantize_arguments),
}
