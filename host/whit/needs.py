"""What a .whit file takes of a board: the heap, by where its weights are, and the flash."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from .boards import Board
from .device import frontend
from .inspect import describe
from .listening import Listening
from .pack import Packed, pack
from .page import least_page_bytes
from .runtime import runtime

# Heap of `import whit` and a loaded model, but for the kernels and the model's file and arena; and what loading and the
# self-test take for a moment beside that. Measured on the unix port, whose objects are 64 bits wide
# (tools/size_report.py holds them to it). On a board objects are half as wide and bytecode is as long: about five
# eighths of it.
RUNTIME_BYTES = 19 << 10
LOADING_BYTES = 18 << 10
LISTENING_BYTES = 17 << 10  # beside them, of a listener; without the front end's kernels and state
_WIDE = ("x64",)

# Of a heap in two areas: what is there of the runtime before the blocks of the model, and the second area's tables.
_FIRST_BYTES = 8 << 10

IN_RAM, IN_PLACE, PAGED = "in RAM", "in place", "paged"


@dataclass(frozen=True)
class Needs:
    """Bytes that a model takes with its weights in RAM, in place (a memory-mapped file) or paged."""

    weights: str
    blocks: tuple[int, ...]  # its file or the part of it that is kept in RAM, a page, its arena: each in one piece
    whit_heap_bytes: int  # the runtime and the kernels; an estimate, as no board has been measured
    flash_bytes: int  # the file and whit's own

    @property
    def model_heap_bytes(self) -> int:
        return sum(self.blocks)

    @property
    def largest_block_bytes(self) -> int:
        return max(self.blocks)

    @property
    def heap_bytes(self) -> int:
        return self.model_heap_bytes + self.whit_heap_bytes

    def lacking_bytes(self, heap_bytes: int, largest_block_bytes: int | None = None) -> int:
        """How many bytes too small a heap is; 0 if the model fits.

        Args:
            heap_bytes: free before whit is imported.
            largest_block_bytes: the most that one object can be, of a heap in two areas, as the ESP32's. What the
                first area does not take has to fit the second together. None for a heap in one area.
        """
        lacking = self.heap_bytes - heap_bytes
        if largest_block_bytes is not None:
            first = heap_bytes - largest_block_bytes - _FIRST_BYTES
            lacking = max(lacking, sum(size for size in self.blocks if size > first) - largest_block_bytes)
        return max(lacking, 0)


def needs(data: bytes, arch: str, kernels: str = "native", name: str = "model") -> list[Needs]:
    """What a .whit file takes on an architecture, for each place that its weights can be in.

    Args:
        data: the .whit file.
        arch: one of runtime.ARCHES.
        kernels: "native", or "viper" for those precompiled.
        name: what messages call the file.

    Raises:
        WhitError: a file that a board would refuse, or no kernels for the architecture.
    """
    about = describe(data, name)
    files = runtime(arch, kernels, about["sections"])
    arena, page, resident = about["arena_bytes"], about["page_bytes"], about["resident_bytes"]
    blocks = {IN_RAM: [len(data), arena], IN_PLACE: [arena]}
    if page:
        blocks[PAGED] = [resident, page, arena]
    whit = (RUNTIME_BYTES + LOADING_BYTES) * (8 if arch in _WIDE else 5) // 8 + _code_bytes(files, about["kernels"])
    if heard := about["frontend"]:
        state = frontend.ESTIMATES + 7 * heard["channels"] + 2 * heard["window"]
        whit += LISTENING_BYTES * (8 if arch in _WIDE else 5) // 8 + state
    flash = len(data) + sum(map(len, files.values()))
    return [Needs(place, tuple(sizes), whit, flash) for place, sizes in blocks.items()]


PAGES = (32 << 10, 16 << 10, 8 << 10, 4 << 10, 2 << 10)  # bytes; the larger a page, the fewer pieces of layers


def pack_to_fit(
    data: bytes,
    name: str,
    arch: str,
    heap_bytes: int,
    kernels: str = "native",
    labels: tuple[str, ...] = (),
    *,
    largest_block_bytes: int | None = None,
    listening: Listening | None = None,
) -> tuple[Packed, Needs]:
    """Pack a TFLite model for a heap: whole if it fits, else in the largest pages with which it fits.

    Args:
        data: the .tflite file.
        name: what messages call it.
        arch, kernels: as for needs().
        heap_bytes, largest_block_bytes: of the board, as for Needs.lacking_bytes().
        labels, listening: as for pack().

    Returns:
        The packed model and what it needs; where it fits in no way, the one that lacks least.

    Raises:
        WhitError: as pack() and needs() do.
    """

    def lacking(need: Needs) -> int:
        return need.lacking_bytes(heap_bytes, largest_block_bytes)

    tried = []
    for packed, need in packings(data, name, arch, kernels, labels, listening):
        if not lacking(need):
            return packed, need
        tried.append((packed, need))
    return min(tried, key=lambda t: lacking(t[1]))


def packings(
    data: bytes,
    name: str,
    arch: str,
    kernels: str = "native",
    labels: tuple[str, ...] = (),
    listening: Listening | None = None,
) -> Iterator[tuple[Packed, Needs]]:
    """A TFLite model packed whole, and then in ever smaller pages; arguments and errors as for pack_to_fit()."""
    whole = _pack(data, name, labels, listening=listening)
    yield whole, needs(whole.blob, arch, kernels, name)[0]
    least = least_page_bytes(whole.program)
    for page_bytes in sorted(({size for size in PAGES if size > least} | {least}) - {0}, reverse=True):
        packed = _pack(data, name, labels, page_bytes, listening)
        yield packed, next(n for n in needs(packed.blob, arch, kernels, name) if n.weights == PAGED)


def pack_for(
    board: Board, data: bytes, name: str, kernels: str = "native", listening: Listening | None = None
) -> tuple[Packed, Needs]:
    """pack_to_fit() for a board with stock firmware that has booted."""
    return pack_to_fit(
        data,
        name,
        board.arch,
        board.free_bytes,
        kernels,
        largest_block_bytes=board.largest_block_bytes,
        listening=listening,
    )


def needs_on(board: Board, data: bytes, name: str, kernels: str = "native") -> tuple[Needs, int]:
    """What a .whit file takes of a board with stock firmware that has booted, and how many bytes of heap are missing.

    With its weights in RAM if they fit, else paged if it has pages; where it fits in no way, what lacks least.
    """
    stock = [need for need in needs(data, board.arch, kernels, name) if need.weights != IN_PLACE]
    lacking = [need.lacking_bytes(board.free_bytes, board.largest_block_bytes) for need in stock]
    return min(zip(stock, lacking, strict=True), key=lambda found: found[1])


_pack = lru_cache(maxsize=8)(pack)  # one board after the other asks for the same


def _code_bytes(files: dict[str, bytes], used: list[str]) -> int:
    """Machine code runs from RAM: the native modules, or the viper kernels of the model. Those of a front end are
    among the files only for a model that has one."""
    stems = {*used, "requantize", "audio"}
    return sum(
        len(data)
        for path, data in files.items()
        if path.startswith(("whit_native_", "whit_audio_"))
        or (path.startswith("whit_viper_") and path.rsplit("/", 1)[1].removesuffix(".mpy") in stems)
    )
