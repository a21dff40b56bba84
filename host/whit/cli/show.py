"""What the commands show: tables on standard output, progress on standard error."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
from rich.progress import Progress as ProgressBar
from rich.table import Table

Progress = Callable[..., None]


def facts() -> Table:
    """A table of names and values, without a heading."""
    return Table(box=None, pad_edge=False, show_header=False)


def columns(title: str, *headings: str, left: int = 1) -> Table:
    """A table whose first `left` columns are words and the others numbers."""
    table = Table(title=title or None, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for i, heading in enumerate(headings):
        table.add_column(heading, justify="left" if i < left else "right")
    return table


def show(table: Table) -> None:
    # Piped into a file or a page, a table keeps its lines whole. Names are a model's own, so they are not markup.
    width = None if sys.stdout.isatty() else 1 << 14
    console = Console(width=width, highlight=False, markup=False)
    with console.capture() as captured:
        console.print(table)
    print("\n".join(line.rstrip() for line in captured.get().rstrip().splitlines()))


@contextmanager
def progress_bar(text: str) -> Iterator[Progress]:
    """A bar on standard error, where that is a terminal: call with (done, total) or (step, done, total)."""
    console = Console(stderr=True)
    parts = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with ProgressBar(*parts, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(text, total=None)

        def update(*progress: Any) -> None:
            *step, done, total = progress
            bar.update(task, completed=done, total=total, description=" ".join([text, *step]))

        yield update


def size(text: str) -> int:
    """Bytes, written as 200000, 200k or 2M; -1 for anything else."""
    units = {"k": 1 << 10, "m": 1 << 20}
    unit = units.get(text[-1:].lower(), 1)
    digits = text[:-1] if text[-1:].lower() in units else text
    return int(digits) * unit if digits.isascii() and digits.isdecimal() and len(digits) < 12 else -1


def in_bytes(n: int) -> str:
    return f"{n:,} bytes"


def in_seconds(n: float) -> str:
    """Two digits: an estimate has no more."""
    scale, unit = (1, "s") if n >= 0.995 else (1e3, "ms") if n >= 0.995e-3 else (1e6, "us")
    value = float(f"{n * scale:.2g}")
    return f"{value:.0f} {unit}" if value >= 10 else f"{value:.1f} {unit}"
