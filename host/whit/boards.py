"""The boards that are known by name, and what stock MicroPython gives of each. Their figures are in boards.toml."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from .errors import WhitError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

# What is allocated after boot, before whit is imported: 6,256 bytes on a Pico 2 (boards.toml), and room for a main.py.
BOOTED_BYTES = 8 << 10

_FILE = Path(__file__).with_name("boards.toml")


@dataclass(frozen=True)
class Board:
    """One board; what each field means stands at the head of boards.toml."""

    name: str
    mcu: str
    core: str
    arch: str
    clock_hz: int
    heap_bytes: int
    flash_bytes: int
    block_size: int
    block_count: int
    fs_address: int
    flash_tool: str
    sources: dict[str, str] = field(hash=False, repr=False)
    largest_block_bytes: int | None = None

    @property
    def free_bytes(self) -> int:
        """Of the heap, on a board that has booted."""
        return self.heap_bytes - BOOTED_BYTES

    @property
    def fs_bytes(self) -> int:
        """Of the file system."""
        return self.block_size * self.block_count


@cache
def boards() -> tuple[Board, ...]:
    """Every board, in the order of boards.toml."""
    return tuple(Board(**entry) for entry in tomllib.loads(_FILE.read_text(encoding="utf-8"))["board"])


def board(name: str) -> Board:
    """The board of that name, or the only one whose name contains it; case and punctuation do not count.

    Raises:
        WhitError: no board is called so, or several could be meant.
    """
    wanted = _plain(name)
    named = {_plain(b.name): b for b in boards()}
    if wanted in named:
        return named[wanted]
    found = [b for plain, b in named.items() if wanted and wanted in plain]
    if len(found) == 1:
        return found[0]
    known = ", ".join(b.name for b in found or boards())
    raise WhitError(f"board {name!r} {'could be several' if found else 'is not known'}; use one of {known}")


def _plain(name: str) -> str:
    return "".join(c for c in name.lower() if c.isalnum())
