"""The commands about boards, each a function that calls one module and shows what it returns."""

from __future__ import annotations

import argparse
import math
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from .. import files, virtual
from ..boards import Board, board
from ..errors import WhitError
from ..runtime import ARCHES
from .model import read_labels
from .show import facts, in_bytes, progress_bar, show

if TYPE_CHECKING:
    from ..link import Link

Arguments = argparse.Namespace


# deploy


def _deploy_arguments(p: argparse.ArgumentParser) -> None:
    p.add_argument("model", type=Path, metavar="MODEL", help="a .tflite or .whit file")
    p.add_argument("--port", metavar="PORT", help="default: the board that is connected")
    p.add_argument("--update", action="store_true", help="replace a model in the field: the one before is kept")
    p.add_argument("--dry-run", action="store_true", help="say what would be copied, and copy nothing")
    p.add_argument("--kernels", choices=("native", "viper"), default="native", help="default: native")
    p.add_argument("--labels", type=Path, metavar="FILE", help="class names, one per line; default: those in the model")
    p.add_argument(
        "--simulate", nargs="?", const="Pico", metavar="BOARD", help="on a board that is not there; default Pico"
    )


def _deploy(a: Arguments) -> int:
    """Put a model and whit onto a board over USB, run its self-test there, and take the time of an inference.

    A .tflite file is packed to fit the board. What the board has already is not copied again.
    """
    from ..link import connect

    data = files.read(a.model)
    labels = read_labels(a.labels) if a.labels else ()
    if a.simulate is None:
        with connect(a.port) as link:
            return _deploy_to(link, a, data, labels)
    if a.port:
        raise WhitError("--simulate is a board of its own; leave out --port")
    simulated = board(a.simulate)
    with virtual.virtual_board(simulated) as plugged, connect(plugged.port) as link:
        return _deploy_to(link, a, data, labels, f"{simulated.name}, simulated")


def _deploy_to(link: Link, a: Arguments, data: bytes, labels: tuple[str, ...], name: str = "") -> int:
    from .. import deploy

    plan = deploy.prepare(link, a.model, data, a.kernels, labels, a.update)
    said, needs = plan.facts, plan.needs
    print(f"{name or said.machine}, MicroPython {said.version}, {said.arch}, at {link.port}")
    about = facts()
    heap = f"at most {needs.heap_bytes:,} needed with the weights {needs.weights}"
    about.add_row("heap", f"{in_bytes(said.heap_bytes)} free, {heap}")
    about.add_row("file system", f"{in_bytes(said.free_blocks * said.block_bytes)} free")
    for folder, paths in ((said.lib[:-1], plan.runtime), (plan.model, (plan.model,))):
        missing = [len(plan.files[path]) for path in paths if path in plan.missing]
        there = f"{in_bytes(sum(missing))} to copy" if missing else "there already"
        if paths:
            about.add_row(folder, f"{in_bytes(sum(len(plan.files[path]) for path in paths))}, {there}")
    show(about)
    if a.dry_run:
        print(f"{in_bytes(plan.bytes_to_copy)} would be copied")
        return 0
    with progress_bar("copying") as progress:
        deploy.copy(link, plan, progress)
    print(f"{in_bytes(plan.bytes_to_copy)} copied" if plan.missing else "nothing to copy")
    measured = deploy.try_out(link, plan)
    if not measured.passed:
        print("the self-test FAILED: the board computes other bytes than the PC; please report this")
        return 1
    pages = f", {measured.pages} page reads" if measured.pages else ""
    print(f"self-test passed; {measured.microseconds / 1000:,.3g} ms per inference with {plan.kernels} kernels{pages}")
    print(f"whit and the model hold {in_bytes(measured.heap_bytes)} of heap, {measured.free_bytes:,} are left")
    print()
    if a.simulate:
        print("Try it, on a board that stays: whit simulate, deploy with its --port, mpremote connect PORT repl")
    else:
        print(f"Try it: mpremote connect {link.port} repl")
    module, options = ("store" if a.update else "whit"), (', kernels="viper"' if plan.kernels == "viper" else "")
    xs = ["x" if len(measured.inputs) == 1 else f"x{i}" for i in range(len(measured.inputs))]
    shapes = " and ".join(f"{math.prod(shape)} numbers {shape}" for _, shape in measured.inputs)
    print("  >>> from whit import store" if a.update else "  >>> import whit")
    print(f'  >>> m = {module}.load("{plan.model}"{options})')
    print(f"  >>> y = m.predict({', '.join(xs)})  # {shapes}")
    return 0


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

    Every file of a folder goes to the same place on the board, a .tflite file as a .whit file.
    """
    from .. import image

    known = _known_board(a)
    arch = known.arch if known else a.arch
    if a.fs == "romfs" and a.output.suffix not in (".img", ".romfs"):
        raise WhitError(f"{a.output}: mpremote deploys files named .img or .romfs; name it so")
    if a.source.is_dir() and a.source.resolve() in a.output.resolve().parents:
        raise WhitError(f"{a.output}: lies in the folder that goes into the image; write it somewhere else")
    ours = image.whit_itself(arch, a.kernels)
    there = image.contents(image.collect(a.source), ours)
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
    for path in sorted(there.keys() - ours.keys()):
        table.add_row(f"/{path}", in_bytes(len(there[path])))
    whole = sum(map(len, ours.values()))
    table.add_row("/lib", f"{in_bytes(whole)} of whit, {a.kernels} kernels for {arch}")
    print(f"{a.output}: made from {a.source}")
    show(table)
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


# simulate


def _simulate_arguments(p: argparse.ArgumentParser) -> None:
    p.add_argument("--board", default="Pico", metavar="NAME", help="as in README's table; default Pico")
    p.add_argument("--flash", type=Path, metavar="FILE", help="an image of its file system, kept; default: a new one")


def _simulate(a: Arguments) -> int:
    """Simulate a board for mpremote: MicroPython behind a serial port, with the heap and the flash of the board.

    Runs until Ctrl-C.
    """
    simulated = board(a.board)
    with virtual.virtual_board(simulated, a.flash) as plugged:
        print(f"{simulated.name}, simulated, at {plugged.port}; type: mpremote connect {plugged.port} repl", flush=True)
        try:
            reason = plugged.wait()
        except KeyboardInterrupt:
            return 0
    raise WhitError(reason)


COMMANDS: dict = {
    "deploy": ("MODEL -> a board over USB, and an answer from it", _deploy, _deploy_arguments),
    "image": ("DIR -> an image of a board's file system, to flash", _image, _image_arguments),
    "simulate": ("a board that is not there, behind a serial port", _simulate, _simulate_arguments),
}
