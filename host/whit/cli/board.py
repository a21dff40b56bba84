"""The commands about boards, each a function that calls one module and shows what it returns."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from .. import files
from ..boards import BOOTED_BYTES, Board, board, boards
from ..errors import WhitError
from ..needs import needs_on
from ..runtime import ARCHES
from .show import columns, facts, in_bytes, in_seconds, progress_bar, show

if TYPE_CHECKING:
    from ..fit import Fit

Arguments = argparse.Namespace


# fit


def _fit_arguments(p: argparse.ArgumentParser) -> None:
    p.add_argument("model", type=Path, metavar="MODEL", help="a .tflite or .whit file")
    p.add_argument("--board", metavar="NAME", help="default: every board that is known")
    p.add_argument("--kernels", choices=("native", "viper"), default="native", help="default: native")
    p.add_argument("--no-time", action="store_true", help="do not count instructions, which needs QEMU")
    p.add_argument("--json", action="store_true", help="everything, for programs")


def _fit(a: Arguments) -> int:
    """Say which boards with stock MicroPython a model fits, what it leaves there, and about how long it runs.

    A .tflite file is packed for each board: whole, or in pages where the heap does not hold it. Exit status 1 if it
    does not fit the board that was named.
    """
    from ..fit import count, fit

    data = files.read(a.model)
    wanted = [board(a.board)] if a.board is not None else boards()
    why: list[str] = []
    with progress_bar("counting") as progress:
        fits = [fit(data, a.model.name, each, a.kernels) for each in wanted]
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


# image


def _image_arguments(p: argparse.ArgumentParser) -> None:
    p.add_argument("source", type=Path, metavar="DIR|MODEL", help="a folder for the board, or a .tflite or .whit file")
    p.add_argument("-o", "--output", type=Path, required=True, metavar="OUT.img")
    p.add_argument("--board", metavar="NAME", help="a board whose file system is known, such as pico")
    p.add_argument("--block-size", type=int, metavar="N", help="in bytes, of the file system of another board")
    p.add_argument("--block-count", type=int, metavar="N", help="how many blocks it has, exactly")
    p.add_argument("--arch", metavar="ARCH", help="the native architecture of another board, such as armv6m")
    p.add_argument("--fs", choices=("littlefs", "romfs"), default="littlefs", help="default: littlefs")
    p.add_argument("--disk-version", choices=("2.0", "2.1"), help="of the littlefs; default 2.0, which all read")
    p.add_argument("--kernels", choices=("native", "viper"), default="native", help="default: native")


def _image(a: Arguments) -> int:
    """Make an image of a board's file system with the runtime, the model and your own files, and say how to flash it.

    Every file of a folder goes to the same place on the board, a .tflite file as a .whit file, packed for its heap.
    """
    from .. import image

    known = _known_board(a)
    arch = known.arch if known else a.arch
    if a.fs == "romfs" and a.output.suffix not in (".img", ".romfs"):
        raise WhitError(f"{a.output}: mpremote deploys files named .img or .romfs; name it so")
    if a.source.is_dir() and a.source.resolve() in a.output.resolve().parents:
        raise WhitError(f"{a.output}: lies in the folder that goes into the image; write it somewhere else")
    ours = image.whit_itself(arch, a.kernels)
    # In a ROMFS the weights are used where they lie.
    there = image.contents(image.collect(a.source), ours, known if a.fs == "littlefs" else None, a.kernels)
    table = facts()
    if a.fs == "romfs":
        data = image.romfs(there)
        table.add_row("ROMFS", in_bytes(len(data)))
    else:
        size, count = (known.block_size, known.block_count) if known else (a.block_size, a.block_count)
        version = a.disk_version or "2.0"
        data = image.littlefs(there, size, count, image.DISK_VERSIONS[version])
        table.add_row(f"littlefs {version}", f"{count:,} blocks of {in_bytes(size)}, {in_bytes(len(data))}")
    files.write(a.output, data)
    unfit = []
    for path in sorted(there.keys() - ours.keys()):
        size = in_bytes(len(there[path]))
        if known and a.fs == "littlefs" and path.lower().endswith(".whit"):
            need, lacking = needs_on(known, there[path], path, a.kernels)
            size += f", weights {need.weights}"
            if lacking:
                unfit.append(
                    f"/{path} does not load: the {known.name} lacks {in_bytes(lacking)} of heap for it; "
                    "use a smaller model or a board with more heap"
                )
        table.add_row(f"/{path}", size)
    whole = sum(map(len, ours.values()))
    table.add_row("/lib", f"{in_bytes(whole)} of whit, {a.kernels} kernels for {arch}")
    print(f"{a.output}: made from {a.source}")
    show(table)
    for line in unfit:
        print(line)
    print()
    if a.fs == "romfs":
        print("Flash it, to firmware with a ROMFS partition:")
        print(f"  mpremote romfs deploy {shlex.quote(str(a.output))}")
        if known:
            print(f"Stock firmware of the {known.name} has none.")
        if "main.py" in there:
            print("It does not start /rom/main.py by itself: name that app.py, and write main.py: import app.")
    elif known:
        print(f"Flash it to the {known.name}, in place of all files that are there:")
        for line in image.how_to_flash(known, a.output):
            print(f"  {line}")
        if known.flash_tool == "dfu-util":
            print("and press reset.")
    else:
        print("Flash it to where the file system of the board starts, in place of all files that are there.")
    return 0


def _known_board(a: Arguments) -> Board | None:
    """The board that was named; None when the options say it all."""
    blocks = a.block_size is not None or a.block_count is not None
    options = "--arch" if a.fs == "romfs" else "--block-size, --block-count and --arch"
    if a.fs == "romfs" and blocks:
        raise WhitError("a ROMFS has no blocks; leave out --block-size and --block-count")
    if a.fs == "romfs" and a.disk_version:
        raise WhitError("--disk-version is of a littlefs; leave it out")
    if a.board is not None:
        if blocks or a.arch is not None:
            raise WhitError(f"--board says it all; leave it out or give no {options.replace(' and', ' or')}")
        return board(a.board)
    if a.fs == "littlefs" and None in (a.block_size, a.block_count):
        raise WhitError(f"an image is made for a board; name it with --board, or give {options}")
    if a.arch is None:
        raise WhitError(
            f"the kernels follow from the architecture; give --arch, one of {', '.join(ARCHES)}, or name a --board"
        )
    return None


COMMANDS: dict = {
    "fit": ("which boards a model fits, and about how long it runs there", _fit, _fit_arguments),
    "image": ("DIR -> an image of a board's file system, to flash", _image, _image_arguments),
}
