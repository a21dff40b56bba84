"""The commands that a board answers: one that is plugged in, or a simulated one."""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING

from .. import virtual
from ..boards import board
from ..errors import WhitError
from ..inspect import describe
from .model import read_labels
from .show import facts, in_bytes, in_seconds, progress_bar, show

if TYPE_CHECKING:
    from ..deploy import Deployment, Measured
    from ..link import Link
    from ..listening import Listening

Arguments = argparse.Namespace


def _deploy_arguments(p: argparse.ArgumentParser) -> None:
    p.add_argument("model", type=Path, metavar="MODEL", help="a .tflite, .onnx or .whit file")
    p.add_argument("--port", metavar="PORT", help="default: the board that is connected")
    p.add_argument("--update", action="store_true", help="replace a model in the field: the one before is kept")
    p.add_argument("--dry-run", action="store_true", help="say what would be copied, and copy nothing")
    p.add_argument("--kernels", choices=("native", "viper"), default="native", help="default: native")
    p.add_argument("--labels", type=Path, metavar="FILE", help="class names, one per line; default: those in the model")
    p.add_argument("--simulate", action="store_true", help="on a board that is not there")
    p.add_argument("--board", metavar="NAME", help="which one to simulate; default Pico")


def _deploy(a: Arguments) -> int:
    """Put a model and whit onto a board over USB, run its self-test there, and take the time of an inference.

    A .tflite or .onnx file is packed to fit the board, with MODEL.json beside it where that is the JSON of a wake word.
    What the board has already is not copied again.
    """
    from ..link import connect
    from ..listening import beside
    from ..read import read_file

    data = read_file(a.model)
    listening = beside(a.model)
    labels = read_labels(a.labels) if a.labels else ()
    if labels and a.model.suffix.lower() == ".whit":
        raise WhitError("--labels are packed with a model; give the model that it was packed from")
    if not a.simulate:
        if a.board:
            raise WhitError("--board names a board to simulate; add --simulate, or leave it out: a real one is asked")
        with connect(a.port) as link:
            return _deploy_to(link, a, data, labels, listening)
    if a.port or a.update:
        raise WhitError(
            f"--simulate is a new board; leave out {'--port' if a.port else '--update'}, or use one that stays: "
            "whit simulate"
        )
    simulated = board(a.board or "Pico")
    with virtual.virtual_board(simulated) as plugged, connect(plugged.port) as link:
        return _deploy_to(link, a, data, labels, listening, f"{simulated.name}, simulated")


def _deploy_to(
    link: Link, a: Arguments, data: bytes, labels: tuple[str, ...], listening: Listening | None, name: str = ""
) -> int:
    from .. import deploy

    plan = deploy.prepare(link, a.model, data, a.kernels, labels, a.update, listening)
    said, needs = plan.facts, plan.needs
    name = name or ("a simulated board" if said.machine.startswith("linux") else said.machine)
    print(f"{name}, MicroPython {said.version}, {said.arch}, at {link.port}")
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
    time = in_seconds(measured.microseconds / 1e6) + " per inference" + (" on this PC" if a.simulate else "")
    pages = f", {measured.pages} page reads" if measured.pages else ""
    print(f"self-test passed; {time} with {measured.kernels} kernels{pages}")
    wide = "; this PC's objects are twice as wide as a board's, of which whit fit tells" if a.simulate else ""
    print(f"whit and the model hold {in_bytes(measured.heap_bytes)} of heap, {measured.free_bytes:,} are left{wide}")
    print()
    if a.simulate:
        print("Try it, on a board that stays: whit simulate, deploy with its --port, mpremote connect PORT repl")
    else:
        print(f"Try it: mpremote connect {link.port} repl")
    for line in _repl(plan, measured):
        print(f"  >>> {line}")
    return 0


def _repl(plan: Deployment, measured: Measured) -> list[str]:
    """What to type on the board, as it stands."""
    module = "store" if plan.update else "whit"
    sizes = [math.prod(shape) for _, shape in measured.inputs]
    shapes = " and ".join(str(shape) for _, shape in measured.inputs)
    lines = ["from whit import store"] if plan.update else ["import whit"]
    lines.append(f"m = {module}.load({json.dumps(plan.model, ensure_ascii=False)}{plan.options})")
    heard = describe(plan.files[plan.model])["frontend"]
    if heard:
        sound = f"# 16-bit samples, {heard['rate']:,} a second; with a microphone: docs/wakeword.md"
        return [
            *lines,
            "from whit.listen import Listener",
            f"Listener(m).feed(bytearray({2 * heard['rate']}))  {sound}",
        ]
    lines.append(f"y = m.predict({', '.join(f'bytearray({n})' for n in sizes)})  # or other numbers, {shapes}")
    if measured.labels:
        lines.append("m.labels[max(range(len(y)), key=lambda i: y[i])]")
    return lines


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


COMMANDS = {
    "deploy": ("MODEL -> a board over USB, and an answer from it", _deploy, _deploy_arguments),
    "simulate": ("a board that is not there, behind a serial port", _simulate, _simulate_arguments),
}
