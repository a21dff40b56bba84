"""The command line: one table of commands, and how any of them ends."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Callable

from .. import __version__
from ..errors import WhitError
from . import board, evaluate, fit, image, listen, model, quantize, train

# name: what it is for, what it does, its arguments
COMMANDS: dict[str, tuple[str, Callable[[argparse.Namespace], int], Callable[[argparse.ArgumentParser], None]]] = {
    **model.COMMANDS,
    **listen.COMMANDS,
    **quantize.COMMANDS,
    **train.COMMANDS,
    **fit.COMMANDS,
    **evaluate.COMMANDS,
    **board.COMMANDS,
    **image.COMMANDS,
}


def main(argv: list[str] | None = None) -> int:
    """Exit status 0 for success, 1 for a difference that was looked for and found, 2 for a mistake."""
    parser = argparse.ArgumentParser(
        prog="whit", description="Run int8 neural networks on microcontrollers under stock MicroPython."
    )
    parser.add_argument("--version", action="version", version=f"whit {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, (summary, function, add_arguments) in COMMANDS.items():
        command = commands.add_parser(name, help=summary, description=function.__doc__)
        add_arguments(command)
        command.set_defaults(function=function)
    arguments = parser.parse_args(argv)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal that cannot show a name still gets the rest
    try:
        status = arguments.function(arguments)
        sys.stdout.flush()
        return status
    except WhitError as e:
        print(f"whit: {e}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader of our output has seen enough
        sys.stderr.close()
        return 2
    except OSError as e:
        print(f"whit: the output cannot be written ({e.strerror}); check where it goes", file=sys.stderr)
        os._exit(2)  # what is left in the buffers cannot be written either
    except KeyboardInterrupt:
        print("whit: stopped", file=sys.stderr)
        return 130
