"""Whether a model fits a board with stock MicroPython, what it takes of heap and flash, and about how long it runs.

Heap is held against what is free after boot (Board.free_bytes), flash against an empty littlefs on the board's file
system. Times are estimates: executed instructions by the cycles that each takes on such a core, over the clock.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import PurePath
from typing import Any

from .bench import bench
from .boards import Board
from .emulate import CORES, INSTALL
from .errors import WhitError
from .image import contents, littlefs_bytes, whit_itself
from .inspect import describe
from .listening import Listening
from .needs import IN_PLACE, PAGED, Needs, needs, needs_on, pack_for

_CORES = {core.name: core for core in CORES}


@dataclass(frozen=True)
class Fit:
    """A model on a board. What is left is negative where the model takes more than there is.

    weights: "in RAM" or "paged"; where it does not fit, that of which least is missing.
    page_bytes, read_bytes: the page, and what a run reads of the file in pages; 0 where the weights are in RAM.
    largest_block_bytes: what it takes of the heap in one piece.
    in_place_heap_bytes: what it takes with its weights in a ROMFS, for which stock firmware has no partition.
    instructions: that an inference executes, the page reads and the interpreter left out; None if not counted.
    why_not: what is missing, and what helps; empty if it fits.
    """

    board: str
    fits: bool
    weights: str
    page_bytes: int
    read_bytes: int
    heap_bytes: int
    heap_left_bytes: int
    largest_block_bytes: int
    in_place_heap_bytes: int
    flash_bytes: int
    flash_left_bytes: int
    core: str
    cycles_per_instruction: float
    clock_hz: int
    why_not: str
    instructions: int | None = None
    blob: bytes = field(default=b"", repr=False)  # what was packed for it

    @property
    def seconds(self) -> float | None:
        """An inference, about."""
        if self.instructions is None:
            return None
        return self.instructions * self.cycles_per_instruction / self.clock_hz

    def to_json(self) -> dict[str, Any]:
        """In types that json can write."""
        return {key: value for key, value in asdict(self).items() if key != "blob"} | {"seconds": self.seconds}


def fit(data: bytes, name: str, board: Board, kernels: str = "native", listening: Listening | None = None) -> Fit:
    """How a model fits a board.

    Args:
        data: a .tflite or .onnx file, which is packed for the board, or a .whit file, which is taken as it is.
        name: of the file; its suffix tells which of the two it is.
        board: one of boards().
        kernels: "native" or "viper".
        listening: what a .tflite or .onnx file listens for.

    Raises:
        WhitError: the model is broken or not supported.
    """
    packed = PurePath(name).suffix.lower() != ".whit"
    blob = pack_for(board, data, name, kernels, listening)[0].blob if packed else data
    about = describe(blob, name)
    in_place = next(n for n in needs(blob, board.arch, kernels, name) if n.weights == IN_PLACE)
    need, lacking = needs_on(board, blob, name, kernels)
    paged = need.weights == PAGED
    flash = littlefs_bytes(contents({"model.whit": blob}, whit_itself(board.arch, kernels)), board.block_size)
    why_not = _why_not(need, lacking, board, flash, can_be_paged=not packed and not about["pages"])
    return Fit(
        board=board.name,
        fits=not why_not,
        weights=need.weights,
        page_bytes=about["page_bytes"] if paged else 0,
        read_bytes=about["read_bytes"] if paged else 0,
        heap_bytes=need.heap_bytes,
        heap_left_bytes=board.free_bytes - need.heap_bytes,
        largest_block_bytes=need.largest_block_bytes,
        in_place_heap_bytes=in_place.heap_bytes,
        flash_bytes=flash,
        flash_left_bytes=board.fs_bytes - flash,
        core=board.core,
        cycles_per_instruction=_CORES[board.core].cycles,
        clock_hz=board.clock_hz,
        why_not=why_not,
        blob=blob,
    )


def _why_not(need: Needs, heap: int, board: Board, flash: int, can_be_paged: bool) -> str:
    missing, more, remedies = [], [], ["use a smaller model"]
    if heap:
        in_one = heap > need.heap_bytes - board.free_bytes
        missing.append(f"{heap:,} bytes of heap" + (" in one block" if in_one else ""))
        if can_be_paged:
            remedies.insert(0, "pack it with --page")
        more.append("more heap")
    if flash > board.fs_bytes:
        missing.append(f"{flash - board.fs_bytes:,} bytes of flash")
        more.append("a larger file system")
    if not missing:
        return ""
    remedies.append(f"a board with {' and '.join(more)}")
    return f"{board.name} lacks {' and '.join(missing)}; {', '.join(remedies[:-1])} or {remedies[-1]}"


def count(
    fits: Sequence[Fit], name: str, kernels: str = "native", progress: Callable[..., None] | None = None
) -> tuple[list[Fit], list[str]]:
    """The same with instructions, counted on emulated cores for those that fit, once for all that run the same.

    Args:
        fits: from fit().
        name: of the file, in messages.
        kernels: as for fit().
        progress: called with (core, done, total).

    Returns:
        The fits, and a sentence for each reason why there are some without instructions.
    """
    counted: dict[tuple[str, bytes], int | None] = dict.fromkeys((f.core, f.blob) for f in fits if f.fits)
    missing, why = set(), []
    for done, (core_name, blob) in enumerate(counted):
        core = _CORES[core_name]
        if progress:
            progress(core.title, done, len(counted))
        if not core.emulated:
            missing.add(core.emulator[0])
            continue
        try:
            counted[core_name, blob] = bench(blob, name, core, kernels).instructions
        except WhitError as e:
            why.append(str(e))
    if missing:
        why.append(f"{' and '.join(sorted(missing))} {'is' if len(missing) == 1 else 'are'} not installed; {INSTALL}")
    found = [replace(f, instructions=counted[f.core, f.blob]) if f.fits else f for f in fits]
    return found, list(dict.fromkeys(why))
