"""The commands about models, each a function that calls one module and shows what it returns."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from .. import files
from ..device import opset
from ..emulate import CORES
from ..errors import WhitError
from .quantize import calibrate_argument, quantized, read_model
from .show import columns, facts, in_bytes, progress_bar, show, size

Arguments = argparse.Namespace


# pack


_LEAST_HEAP, _MOST_HEAP = 16 << 10, 1 << 30  # between them the interpreter starts and the PC stands it
_MOST_PAGE = 16 << 20  # more than any microcontroller has


def _heap(text: str) -> int:
    if not _LEAST_HEAP <= size(text) <= _MOST_HEAP:
        raise argparse.ArgumentTypeError(f"{text!r} is not 16k to 1024M; write bytes as 200000, 200k or 2M")
    return size(text)


def _page(text: str) -> int:
    if not 1 <= size(text) <= _MOST_PAGE:
        raise argparse.ArgumentTypeError(f"{text!r} is not 1 to 16M; write bytes as 8192 or 8k")
    return size(text)


def json_argument(p: argparse.ArgumentParser) -> None:
    p.add_argument(
        "--json",
        type=Path,
        metavar="FILE",
        help="what to listen for: the JSON of a wake word; default: MODEL.json where that is one",
    )


def _pack_arguments(p: argparse.ArgumentParser) -> None:
    p.add_argument("model", type=Path, metavar="MODEL", help="a .tflite or .onnx file")
    calibrate_argument(p)
    p.add_argument("-o", "--output", type=Path, metavar="OUT.whit", help="default: the model's name with .whit")
    p.add_argument("--labels", type=Path, metavar="FILE", help="class names, one per line; default: those in the model")
    json_argument(p)
    p.add_argument(
        "--page",
        type=_page,
        metavar="BYTES",
        default=0,
        help="cut the weights into pages of at most so many bytes, which a board can read one by one: 8k, for example",
    )
    p.add_argument("--report", action="store_true", help="what each step needs of the arena, and which needs most")


def read_labels(path: Path) -> tuple[str, ...]:
    """Class names, one per line of a text file."""
    try:
        lines = files.read(path).decode("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise WhitError(f"{path}: not a text file in UTF-8; give one class name per line") from None
    labels = tuple(line.strip() for line in lines if line.strip())
    if not labels:
        raise WhitError(f"{path}: holds no names; give one class name per line")
    return labels


def _pack(a: Arguments) -> int:
    """Pack a model into a .whit file and print what a board needs for it; a float one is quantized first."""
    from ..listening import beside
    from ..pack import pack_graph

    labels = read_labels(a.labels) if a.labels else ()
    listening = beside(a.model, a.json)
    output = a.output or a.model.with_suffix(".whit")
    files.keep(output, a.model, *(path for path in (a.calibrate, a.json) if path))
    graph = quantized(a.model, a.calibrate).graph if a.calibrate else read_model(a.model)
    packed = pack_graph(graph, labels, a.page, listening)
    files.write(output, packed.blob)
    about = _describe(output, packed.blob)
    table = facts()
    table.add_row("blob", in_bytes(about["blob_bytes"]))
    table.add_row("arena", in_bytes(about["arena_bytes"]))
    table.add_row("largest heap block", in_bytes(about["largest_block_bytes"]))
    if about["pages"]:
        table.add_row("weights", f"{about['pages']} pages of at most {in_bytes(about['page_bytes'])}")
        table.add_row("heap where paged", in_bytes(sum(about[f"{key}_bytes"] for key in ("resident", "page", "arena"))))
    table.add_row("multiply-accumulates", f"{sum(s.macs for s in packed.program.steps):,}")
    table.add_row("kernels", " ".join(about["kernels"]))
    if about["labels"]:
        table.add_row("labels", str(len(about["labels"])))
    _listening_rows(table, about)
    planned, steps = packed.plan, packed.program.steps
    if a.report:
        peak = f"{planned.peak} ({steps[planned.peak].kernel})" if steps else "none"
        table.add_row("arena at least", in_bytes(planned.least_bytes))
        table.add_row("without scratch", in_bytes(planned.least_without_scratch))
        table.add_row("peak step", peak)
    print(f"{output}: packed from {a.model.name}" + (f", to listen as {listening.name} says" if listening else ""))
    show(table)
    if a.report:
        rows = columns("bytes of arena", "", "kernel", "alive", "overlap", "scratch", "needs", left=2)
        for i, (step, need) in enumerate(zip(steps, planned.needs, strict=True)):
            numbers = (need.alive, need.overlap, need.scratch, need.bytes)
            rows.add_row(str(i), step.kernel, *(f"{n:,}" for n in numbers))
        print()
        show(rows)
    return 0


def _listening_rows(table: Table, about: dict) -> None:
    """The front end of a model, and what it listens for."""
    if heard := about["frontend"]:
        frames = f"{heard['channels']} channels of {heard['window']} samples, every {heard['step']}"
        table.add_row("front end", f"{frames} at {heard['rate']:,} a second")
    if found := about["detection"]:
        table.add_row("listens for", ", ".join(found["words"]))
        runs = f"{found['window']} runs" if found["window"] > 1 else "a run"
        every = f"{found['every']} frames" if found["every"] > 1 else "frame"
        table.add_row("heard", f"above {found['cutoff']:g} in the mean of {runs}, a run every {every}")
        table.add_row("heard again", f"after {found['refractory_ms']:,} ms")


# inspect


def _inspect_arguments(p: argparse.ArgumentParser) -> None:
    p.add_argument("file", type=Path, metavar="FILE.whit")
    p.add_argument("--json", action="store_true", help="everything, for programs")


def _describe(path: Path, data: bytes) -> dict:
    from ..inspect import describe

    return describe(data, str(path))


def _inspect(a: Arguments) -> int:
    """Show what a .whit file holds, after the same check that a board makes."""
    about = _describe(a.file, files.read(a.file))
    if a.json:
        print(json.dumps(about, indent=2))
        return 0
    print(a.file)
    table = facts()
    for key in ("format", "blob_bytes", "weights_bytes", "arena_bytes", "largest_block_bytes", "pages", "page_bytes"):
        value = about[key]
        if not value:
            continue
        table.add_row(key.replace("_", " "), f"{value:,}" if isinstance(value, int) else value)
    for key in ("inputs", "outputs"):
        for port in about[key]:
            real = f"real = {port['scale']:g} * (q {-port['zero_point']:+d})"
            table.add_row(key[:-1], f"{port['name']} {port['dtype']} {tuple(port['shape'])}, {real}")
    if about["labels"]:
        table.add_row("labels", ", ".join(about["labels"]))
    _listening_rows(table, about)
    show(table)
    steps = columns("steps", "", "kernel", "shape", "reads at", "writes at", left=3)
    for i, step in enumerate(about["steps"]):
        f = step["fields"]
        image = f"{f['ih']}x{f['iw']} -> {f['oh']}x{f['ow']}" if "ih" in f else ""
        reads = " ".join(str(f[k]) for k in "xab" if k in f)
        kernel = step["kernel"] + (" int4" if f["flags"] & opset.INT4 else "")
        steps.add_row(str(i), kernel, image, reads, str(f["y"]))
    print()
    show(steps)
    return 0


# run


def heap_argument(p: argparse.ArgumentParser) -> None:
    p.add_argument("--heap", type=_heap, metavar="BYTES", help="heap of the interpreter, as on a board; default 8M")


def _run_arguments(p: argparse.ArgumentParser) -> None:
    p.add_argument("file", type=Path, metavar="FILE.whit")
    p.add_argument("inputs", type=Path, nargs="+", metavar="INPUT.npy", help="one per input; first axis samples")
    p.add_argument("-o", "--output", type=Path, action="append", metavar="OUTPUT.npy", help="one per output")
    p.add_argument("--kernels", choices=("native", "viper"), help="default: native where there is one")
    heap_argument(p)


def _run(a: Arguments) -> int:
    """Run samples through a .whit file under the unix port of MicroPython.

    Integer arrays are quantized values and give quantized values back; float arrays are real values and give floats.
    """
    from .. import simulate

    blob = files.read(a.file)
    about = _describe(a.file, blob)
    targets = a.output or []
    if targets and len(targets) != len(about["outputs"]):
        raise WhitError(
            f"{a.file}: the model has {len(about['outputs'])} outputs, {len(targets)} files were named; "
            "give one -o for each"
        )
    for target in targets:
        files.keep(target, a.file, *a.inputs)
    inputs = [files.read_array(path) for path in a.inputs]
    with progress_bar("running") as progress:
        outputs = simulate.simulate(a.file, blob, inputs, a.kernels, a.heap or simulate.HEAP_BYTES, progress)
    for target, array in zip(targets, outputs, strict=False):
        files.write_array(target, array)
        print(f"{target}: {array.dtype} {array.shape}")
    if not targets:
        for port, array in zip(about["outputs"], outputs, strict=True):
            print(f"{port['name']} {array.dtype} {array.shape}")
            for row in array.reshape(len(array), -1)[:10]:
                named = f"  {about['labels'][row.argmax()]}" if len(about["labels"]) == row.size else ""
                print(f"  {np.array2string(row, max_line_width=1 << 14, threshold=20)}{named}")
            if len(array) > 10:
                print(f"  and {len(array) - 10} more; name a file with -o for all of them")
    return 0


# verify


def _verify_arguments(p: argparse.ArgumentParser) -> None:
    p.add_argument("model", type=Path, metavar="MODEL", help="a .tflite or .onnx file")
    calibrate_argument(p)
    p.add_argument("-o", "--output", type=Path, metavar="OUT.tflite", help="keep the int8 model that is compared")
    p.add_argument("--samples", type=int, default=20, metavar="N", help="random inputs beside the extremes; default 20")
    p.add_argument("--seed", type=int, default=0, metavar="S", help="of the random inputs; default 0")


_MOST_SAMPLES = 10_000


def _verify(a: Arguments) -> int:
    """Pack a model, run it with every kernel set, and compare each output byte with TensorFlow Lite Micro."""
    from ..read import read_file
    from ..tflite_schema import FILE_IDENTIFIER
    from ..verify import verify
    from ..write_tflite import write_tflite

    if not 0 <= a.samples <= _MOST_SAMPLES or a.seed < 0:
        raise WhitError(
            f"--samples {a.samples} --seed {a.seed}: give 0 to {_MOST_SAMPLES} samples and no negative seed"
        )
    if a.output:
        files.keep(a.output, a.model, *([a.calibrate] if a.calibrate else []))
    # What is not TFLite becomes it, as the reference reads nothing else.
    data = read_file(a.model)
    if a.calibrate or data[4:8] != FILE_IDENTIFIER:
        data = write_tflite(quantized(a.model, a.calibrate).graph if a.calibrate else read_model(a.model))
    if a.output:
        files.write(a.output, data)
    with progress_bar("verifying") as progress:
        results = verify(data, a.model, a.samples, a.seed, progress)
    table = columns("", "kernels", "samples", "output bytes", "differing")
    for r in results:
        table.add_row(r.kernels, str(r.samples), f"{r.compared:,}", f"{r.differing:,}")
    print(f"{a.model.name} against tflite-micro")
    show(table)
    return 1 if any(r.differing for r in results) else 0


# bench


def _bench_arguments(p: argparse.ArgumentParser) -> None:
    p.add_argument("model", type=Path, metavar="MODEL", help="a .tflite, .onnx or .whit file")
    p.add_argument("--core", choices=[core.name for core in CORES], help="default: every core")
    p.add_argument("--kernels", choices=("native", "viper"), default="native", help="default: native")
    p.add_argument("--json", action="store_true", help="everything, for programs")


def _bench(a: Arguments) -> int:
    """Count the instructions that a model takes on emulated cores, beside those of CMSIS-NN where they are known.

    With --core also by layer. Of a file with an audio front end also what a second of audio takes: tones and noise, the
    same each time. Needs QEMU.
    """
    from ..audio_bench import second
    from ..bench import bench
    from ..listening import beside
    from ..pack import pack
    from ..read import read_file

    data = read_file(a.model)
    if a.model.suffix.lower() != ".whit":
        data = pack(data, a.model.name, listening=beside(a.model)).blob
    cores = [core for core in CORES if a.core in (None, core.name)]
    reports, seconds = [], []
    with progress_bar("counting") as progress:
        for i, core in enumerate(cores):
            progress(core.title, i, len(cores))
            reports.append(bench(data, a.model.name, core, a.kernels))
            seconds.append(second(data, core, a.kernels, reports[-1].instructions))
    if a.json:
        shown = [
            report.to_json() | ({"second": heard.to_json()} if heard else {})
            for report, heard in zip(reports, seconds, strict=True)
        ]
        print(json.dumps(shown[0] if a.core else shown, indent=2))
        return 0
    print(f"{a.model.name}: {reports[0].macs:,} multiply-accumulates, {a.kernels} kernels, executed instructions")
    table = columns("", "core", "instructions", "per MAC", "CMSIS-NN", "ratio")
    for core, report in zip(cores, reports, strict=True):
        ratio = f"{report.ratio:.3f}" if report.ratio else ""
        table.add_row(core.title, f"{report.instructions:,}", *_per(report, report.macs), ratio)
    show(table)
    heard = [(core, found) for core, found in zip(cores, seconds, strict=True) if found]
    if heard:
        listening = columns("a second of audio", "core", "front end", "model", "together")
        for core, found in heard:
            counts = found.frontend, found.model, found.frontend + found.model
            listening.add_row(core.title, *(f"{count:,}" for count in counts))
        print()
        show(listening)
        any_core = heard[0][1]
        print(f"{any_core.frames:g} frames and {any_core.inferences:g} inferences, the mean over tones and noise")
    if a.kernels == "viper":
        print("of the interpreter's own work in calls between viper functions only a part is counted")
    if a.core:
        layers = columns("layers", "", "kernel", "shape", "instructions", "per unit", "CMSIS-NN", left=3)
        for i, layer in enumerate(reports[0].layers):
            layers.add_row(str(i), layer.kernel, layer.shape, f"{layer.instructions:,}", *_per(layer, layer.work))
        print()
        show(layers)
        print("a unit is a multiply-accumulate, or an output byte of a layer without any")
    return 0


def _per(counted: Any, units: int) -> tuple[str, str]:
    """Instructions per unit, and CMSIS-NN's instructions, of a report or a layer."""
    return f"{counted.instructions / units:.2f}" if units else "", f"{counted.cmsis_nn:,}" if counted.cmsis_nn else ""


# demo


def _demo_arguments(p: argparse.ArgumentParser) -> None:
    p.add_argument("what", nargs="?", choices=("digits", "wakeword"), default="digits", help="default: digits")
    p.add_argument("--kernels", choices=("native", "viper"), help="default: native where there is one")
    p.add_argument(
        "--wav",
        type=Path,
        metavar="FILE.wav",
        help="for wakeword: a recording in place of a synthetic voice, of one channel, 16 bits, 16,000 a second",
    )


def _demo(a: Arguments) -> int:
    """Pack the digits model, load it in MicroPython, and read handwritten digits it has never seen.

    Or a wake-word model, which hears "Hey Jarvis" in what a synthetic voice says.
    """
    if a.what == "wakeword":
        from ..demo_wakeword import demo_wakeword

        with progress_bar("listening") as progress:
            text, status = demo_wakeword(a.wav, a.kernels, progress)
    else:
        from ..demo import demo

        if a.wav:
            raise WhitError("--wav goes with: whit demo wakeword")
        with progress_bar("reading digits") as progress:
            text, status = demo(a.kernels, progress)
    print(text)
    return status


COMMANDS = {
    "pack": ("a model -> MODEL.whit, and what a board needs for it", _pack, _pack_arguments),
    "inspect": ("what a .whit file holds", _inspect, _inspect_arguments),
    "run": ("samples through a .whit file, under MicroPython", _run, _run_arguments),
    "verify": ("compare with TensorFlow Lite Micro, byte for byte", _verify, _verify_arguments),
    "bench": ("instructions on emulated cores, beside CMSIS-NN's", _bench, _bench_arguments),
    "demo": ("see it work: handwritten digits, or a wake word", _demo, _demo_arguments),
}
