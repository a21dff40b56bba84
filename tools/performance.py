"""Write the tables of docs/performance.md: instructions of the models of MLPerf Tiny, whole and by layer.

python tools/performance.py FOLDER     with the .tflite files
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from build_kernels import ROOT
from generate_format import between
from whit import files
from whit.bench import Layer, Report, bench
from whit.emulate import CORES
from whit.errors import WhitError
from whit.inspect import describe
from whit.pack import pack

PAGE = ROOT / "docs/performance.md"
MODELS = "kws_ref_model", "vww_96_int8", "pretrainedResnet_quant", "ad01_int8"
PAGED, PAGES = "vww_96_int8", (32 << 10, 16 << 10, 8 << 10, 4 << 10)
# The least that a core can take, per multiply-accumulate and per output byte: the multiplications alone, requantizing
# and storing. A Cortex-M4 multiplies two pairs in an instruction; a Cortex-M0+ takes two pixels in one and six more
# instructions to keep their sums apart for each four, but one a pair in a dense layer, which has no second pixel.
FLOORS = {"m4": (0.5, 0.5, 6), "m0plus": (1.75, 2.0, 16)}


def floor(layer: Layer, core: str) -> int | None:
    """Instructions that a layer cannot go below on `core`."""
    if layer.kernel not in ("conv2d", "depthwise", "dense"):
        return None
    two_pixels, one, per_output = FLOORS[core]
    return round(layer.work * (one if layer.kernel == "dense" else two_pixels) + layer.outputs * per_output)


def whole(reports: list[list[Report]]) -> str:
    """One row per model, two columns per core: instructions, and their ratio to CMSIS-NN's."""
    names = [core.title for core in CORES]
    lines = ["| model | MACs | " + " | ".join(names) + " |", "|---|" + "--:|" * (len(names) + 1)]
    for row in reports:
        cells = [f"{r.instructions:,}" + (f" ({r.ratio:.3f})" if r.ratio else "") for r in row]
        lines.append(f"| {row[0].model} | {row[0].macs:,} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def layers(reports: list[list[Report]]) -> str:
    """A table per model: equal layers in one row, instructions of one of them."""
    text = ""
    for row in reports:
        text += f"\n### {row[0].model}\n\n| | layer | work | M4 | floor | CMSIS-NN | M0+ | floor | CMSIS-NN |\n"
        text += "|--:|---|" + "--:|" * 7 + "\n"
        chosen = {r.core: r.layers for r in row if r.core in FLOORS}
        pairs = list(zip(*(chosen[core] for core in FLOORS), strict=True))
        counts = Counter((m4.kernel, m4.shape) for m4, _ in pairs)
        shown = set()
        for pair in pairs:
            key = pair[0].kernel, pair[0].shape
            if key in shown:
                continue
            shown.add(key)
            cells = [f"{counts[key]} x" if counts[key] > 1 else "", f"{key[0]} {key[1]}", f"{pair[0].work:,}"]
            for core, layer in zip(FLOORS, pair, strict=True):
                least = floor(layer, core)
                cells += [f"{layer.instructions:,}", f"{least:,}" if least else ""]
                cells += [f"{layer.cmsis_nn:,}" if layer.cmsis_nn else ""]
            text += f"| {' | '.join(cells)} |\n"
    return text


def pages(data: bytes, reports: list[Report]) -> str:
    """A row for each size of pages of the model in `data`, whose reports as a whole are given."""
    cores = [core for core in CORES if core.name in FLOORS]
    lines = ["| pages of at most | pages | arena | heap for the model | " + " | ".join(c.title for c in cores) + " |"]
    lines.append("|--:|" + "--:|" * (3 + len(cores)))
    for size in (0, *PAGES):
        packed = pack(data, page_bytes=size)
        about = describe(packed.blob)
        counted = [bench(packed.blob, PAGED, core) for core in cores] if size else reports
        by_core = {report.core: f"{report.instructions:,}" for report in counted}
        heap = sum(about[f"{part}_bytes"] for part in ("resident", "page", "arena"))
        first = [f"{about['page_bytes']:,}", str(about["pages"])] if size else ["the whole file", ""]
        cells = [*first, f"{about['arena_bytes']:,}", f"{heap:,}", *(by_core[core.name] for core in cores)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def measure(model: Callable[[str], bytes]) -> list[list[Report]]:
    """A row for every one of MODELS, whose .tflite file `model` gives, with a report for each core."""
    blobs = {name: pack(model(name), name).blob for name in MODELS}
    return [[bench(blob, name, core) for core in CORES] for name, blob in blobs.items()]


def page(text: str, reports: list[list[Report]], paged: bytes) -> str:
    """The page with these tables; `paged` is the .tflite file of PAGED."""
    text = between(between(text, "whole", whole(reports)), "layers", layers(reports))
    return between(text, "pages", pages(paged, reports[MODELS.index(PAGED)]))


def main() -> int:
    parser = argparse.ArgumentParser(description="Write the tables of docs/performance.md.")
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="with the .tflite files of MLPerf Tiny")
    folder = parser.parse_args().folder
    try:
        reports = measure(lambda name: files.read(folder / f"{name}.tflite"))
        text = page(PAGE.read_text(), reports, files.read(folder / f"{PAGED}.tflite"))
    except WhitError as e:
        print(f"performance: {e}", file=sys.stderr)
        return 2
    files.write(PAGE, text.encode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
