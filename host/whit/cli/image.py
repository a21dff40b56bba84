"""The command that makes images of file systems."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path

from .. import files
from ..boards import Board, board
from ..errors import WhitError
from ..inspect import describe
from ..needs import needs_on
from ..runtime import ARCHES
from .show import facts, in_bytes, show, size

Arguments = argparse.Namespace


def _block_size(text: str) -> int:
    if size(text) < 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no size in bytes; write 4096 or 4k")
    return size(text)


def _image_arguments(p: argparse.ArgumentParser) -> None:
    p.add_argument(
        "source", type=Path, metavar="DIR|MODEL", help="a folder for the board, or a .tflite, .onnx or .whit file"
    )
    p.add_argument("-o", "--output", type=Path, required=True, metavar="OUT.img")
    p.add_argument("--board", metavar="NAME", help="a board whose file system is known, such as pico")
    p.add_argument("--block-size", type=_block_size, metavar="N", help="in bytes, of the file system of another board")
    p.add_argument("--block-count", type=int, metavar="N", help="how many blocks it has, exactly")
    p.add_argument("--arch", metavar="ARCH", help="the native architecture of another board, such as armv6m")
    p.add_argument("--fs", choices=("littlefs", "romfs"), default="littlefs", help="default: littlefs")
    p.add_argument("--disk-version", choices=("2.0", "2.1"), help="of the littlefs; default 2.0, which all read")
    p.add_argument("--kernels", choices=("native", "viper"), default="native", help="default: native")


def _image(a: Arguments) -> int:
    """Make an image of a board's file system with the runtime, the model and your own files, and say how to flash it.

    Every file of a folder goes to the same place on the board, a model as a .whit file, packed for its heap.
    """
    from .. import image

    known = _known_board(a)
    arch = known.arch if known else a.arch
    if a.fs == "romfs" and a.output.suffix not in (".img", ".romfs"):
        raise WhitError(f"{a.output}: mpremote deploys files named .img or .romfs; name it so")
    if a.source.is_dir() and a.source.resolve() in a.output.resolve().parents:
        raise WhitError(f"{a.output}: lies in the folder that goes into the image; write it somewhere else")
    files.keep(a.output, a.source)
    ours = image.whit_itself(arch, a.kernels)
    # In a ROMFS the weights are used where they lie.
    there = image.contents(image.collect(a.source), ours, known if a.fs == "littlefs" else None, a.kernels)
    table = facts()
    if a.fs == "romfs":
        data = image.romfs(there)
        table.add_row("ROMFS", in_bytes(len(data)))
    else:
        block_size, count = (known.block_size, known.block_count) if known else (a.block_size, a.block_count)
        version = a.disk_version or "2.0"
        data = image.littlefs(there, block_size, count, image.DISK_VERSIONS[version])
        table.add_row(f"littlefs {version}", f"{count:,} blocks of {in_bytes(block_size)}, {in_bytes(len(data))}")
    files.write(a.output, data)
    unfit = []
    for path in sorted(there.keys() - ours.keys()):
        size = in_bytes(len(there[path]))
        if known and a.fs == "littlefs" and path.lower().endswith(".whit"):
            need, lacking = needs_on(known, there[path], path, a.kernels)
            size += f", weights {need.weights}"
            if lacking:
                paged = "" if describe(there[path])["pages"] else "pack it with --page, "
                unfit.append(
                    f"/{path} does not load: the {known.name} lacks {in_bytes(lacking)} of heap for it; "
                    f"{paged}use a smaller model or a board with more heap"
                )
        table.add_row(f"/{path}", size)
    whole = sum(len(data) for path, data in there.items() if path in ours)
    table.add_row("/lib", f"{in_bytes(whole)} of whit, {a.kernels} kernels for {arch}")
    print(f"{a.output}: made from {a.source}")
    show(table)
    for line in unfit:
        print(f"whit: {line}", file=sys.stderr)
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
    return 1 if unfit else 0


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


COMMANDS = {
    "image": ("DIR -> an image of a board's file system, to flash", _image, _image_arguments),
}
