"""The command that compares boards."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ..boards import BOOTED_BYTES, board, boards
from .show import columns, in_bytes, in_seconds, progress_bar, show

if TYPE_CHECKING:
    from ..fit import Fit

Arguments = argparse.Namespace


def _fit_arguments(p: argparse.ArgumentParser) -> None:
    p.add_argument("model", type=Path, metavar="MODEL", help="a .tflite, .onnx or .whit file")
    p.add_argument("--board", metavar="NAME", help="default: every board that is known")
    p.add_argument("--kernels", choices=("native", "viper"), default="native", help="default: native")
    p.add_argument("--no-time", action="store_true", help="do not count instructions, which needs QEMU")
    p.add_argument("--json", action="store_true", help="everything, for programs")


def _fit(a: Arguments) -> int:
    """Say which boards with stock MicroPython a model fits, what it leaves there, and about how long it runs.

    A .tflite or .onnx file is packed for each board: whole, or in pages where the heap does not hold it. Exit status 1
    if it does not fit the board that was named.
    """
    from ..fit import count, fit
    from ..listening import beside
    from ..read import read_file

    data = read_file(a.model)
    wanted = [board(a.board)] if a.board is not None else boards()
    listening = beside(a.model)
    why: list[str] = []
    with progress_bar("counting") as progress:
        fits = [fit(data, a.model.name, each, a.kernels, listening) for each in wanted]
        if not a.no_time:
            fits, why = count(fits, a.model.name, a.kernels, progress)
    status = 1 if a.board is not None and not fits[0].fits else 0
    if a.json:
        shown = [{"model": a.model.name, "kernels": a.kernels} | f.to_json() for f in fits]
        print(json.dumps(shown if a.board is None else shown[0], indent=2))
        for text in why:
            print(f"whit: no time: {text}", file=sys.stderr)
        return status
    print(f"{a.model.name}, {a.kernels} kernels, stock MicroPython")
    table = columns(
        "", "board", "fits", "weights", "heap needs", "heap left", "flash needs", "flash left", "time", left=3
    )
    for f in fits:
        weights = f"{f.weights}, {f.page_bytes:,}" if f.page_bytes else f.weights
        figures = (f.heap_bytes, f.heap_left_bytes, f.flash_bytes, f.flash_left_bytes)
        time = "" if f.seconds is None else in_seconds(f.seconds)
        table.add_row(f.board, "yes" if f.fits else "no", weights, *(f"{n:,}" for n in figures), time)
    show(table)
    print()
    for line in [f.why_not for f in fits if f.why_not] + _about(fits, a.kernels) + [f"no time: {text}" for text in why]:
        print(line)
    return status


def _about(fits: list[Fit], kernels: str) -> list[str]:
    """What the figures mean, as far as they are there."""
    lines = [f"sizes in bytes; heap: what is free after boot, {BOOTED_BYTES:,} taken off; flash: an empty littlefs"]
    if any(f.page_bytes or not f.fits for f in fits):
        heaps = _range([f.in_place_heap_bytes for f in fits])
        lines.append(f"with firmware that has a ROMFS partition the weights stay in the flash: {heaps} of heap")
    if any(f.seconds is not None for f in fits):
        without = "calls between viper functions" if kernels == "viper" else "the interpreter's work between steps"
        lines.append(
            f"times are estimates: executed instructions, by cycles for each, over the clock; without {without}"
        )
        read = [f.read_bytes for f in fits if f.read_bytes and f.seconds is not None]
        if read:
            lines.append(f"and, where weights are paged, without reading {_range(read)} of the file in each run")
    return lines


def _range(sizes: list[int]) -> str:
    return in_bytes(min(sizes)) if min(sizes) == max(sizes) else f"{min(sizes):,} to {in_bytes(max(sizes))}"


COMMANDS = {
    "fit": ("which boards a model fits, and about how long it runs there", _fit, _fit_arguments),
}
