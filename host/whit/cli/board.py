"""The commands about boards, each a function that calls one module and shows what it returns."""

from __future__ import annotations

import argparse
from pathlib import Path

from .. import boards, virtual
from ..errors import WhitError


def simulate(arguments: argparse.Namespace) -> int:
    """Simulate a board for mpremote: MicroPython behind a serial port, with the heap and the flash of the board. Runs
    until Ctrl-C."""
    board = boards.board(arguments.board)
    with virtual.virtual_board(board, arguments.flash) as plugged:
        print(f"{board.name}, simulated, at {plugged.port}; type: mpremote connect {plugged.port} repl", flush=True)
        try:
            reason = plugged.wait()
        except KeyboardInterrupt:
            return 0
    raise WhitError(reason)


def _simulate_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--board", default="Pico", help="as in README's table (default: %(default)s)")
    parser.add_argument(
        "--flash", type=Path, metavar="FILE", help="image of its file system, kept (default: a new one)"
    )


COMMANDS: dict = {
    "simulate": ("simulate a board behind a serial port", simulate, _simulate_arguments),
}
