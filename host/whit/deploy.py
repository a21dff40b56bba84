"""Deploy: a model and the runtime onto a board, checked before, verified after, and run there.

deployment = prepare(link, path, data)      what the board is, what it needs, what it has of it
copy(link, deployment)                      file by file: under another name, hashed on the board, renamed
measured = try_out(link, deployment)        the self-test and the time of a run, after a soft reset
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from .errors import WhitError
from .inspect import describe
from .link import BoardError, Facts, Link
from .listening import Listening
from .needs import IN_PLACE, IN_RAM, PAGED, Needs, needs, packings
from .runtime import ABI, ARCHES, runtime

_PART, _NEW = ".part", ".new"  # a file that is being written, and a model that whit.store is to take
_STEADY_BYTES = 4 << 10  # of heap: a better choice that fits by less is none, as it would not fit the next time
_NAME_BYTES = 250  # a file system takes 255, .part included


@dataclass(frozen=True)
class Deployment:
    """What goes onto a board."""

    facts: Facts
    kernels: str
    model: str  # path on the board
    needs: Needs
    files: dict[str, bytes]  # all that must be there, by path, the model last
    missing: tuple[str, ...]  # those of them that are not, or differ
    leftovers: tuple[str, ...]  # what a copy left that was cut
    update: bool  # of a model, by whit.store

    @property
    def runtime(self) -> tuple[str, ...]:
        """Those of the files that are whit's own."""
        return tuple(path for path in self.files if path != self.model)

    @property
    def options(self) -> str:
        """Arguments of whit.load, behind others, with which the model runs as it was checked."""
        viper = ', kernels="viper"' if self.kernels == "viper" else ""
        return viper + (", paged=True" if self.needs.weights == PAGED else "")

    @property
    def bytes_to_copy(self) -> int:
        return sum(len(self.files[path]) for path in self.missing)


@dataclass(frozen=True)
class Measured:
    """What a model did on the board."""

    passed: bool  # its self-test
    microseconds: float  # of a run, the mean over a second
    kernels: str  # those that the board has taken
    pages: int  # read in a run
    heap_bytes: int  # what whit and the model hold
    free_bytes: int  # of heap, beside them
    inputs: tuple[tuple[str, tuple[int, ...]], ...]  # name, shape
    labels: int  # how many, if there is one output


def prepare(
    link: Link,
    source: Path,
    data: bytes,
    kernels: str = "native",
    labels: tuple[str, ...] = (),
    update: bool = False,
    listening: Listening | None = None,
) -> Deployment:
    """Ask the board what it is and what it has, and make sure that the model will run there; nothing is written.

    Args:
        link: the board, after a soft reset.
        source: where the model comes from; it is called so on the board too.
        data: of a .tflite or .onnx file, which is packed to fit the board, or of a .whit file.
        kernels: "native", or "viper" for those precompiled.
        labels: class names, for a .tflite file.
        update: replace the model by whit.store, and leave the runtime as it is.
        listening: what a .tflite file listens for.

    Raises:
        WhitError: firmware that whit does not run on, or a model that does not fit; by how much, and what would help.
    """
    name = source.with_suffix(".whit").name
    if not name.isprintable() or len(name.encode()) > _NAME_BYTES:
        raise WhitError(f"{str(source)!a}: a board cannot hold this name; rename the file")
    facts = link.facts()
    _check_firmware(link, facts)
    path = facts.root + name
    found: Iterable[tuple[bytes, Needs]]
    if source.suffix.lower() == ".whit":
        found = [(data, need) for need in needs(data, facts.arch, kernels, str(source)) if need.weights != IN_PLACE]
    else:
        tried = packings(data, source.name, facts.arch, kernels, labels, listening)
        found = ((packed.blob, need) for packed, need in tried)
    blob, need = _choose(link, facts, path, found)
    _check_heap(link, source, blob, need, facts)
    ours = {} if update else runtime(facts.arch, kernels, describe(blob)["sections"])
    files = {facts.lib + path: content for path, content in ours.items()}
    files[path] = blob
    if not update:
        _check_imports(link, facts)
    there = link.hashes(files)
    missing = tuple(path for path, content in files.items() if there.get(path) != hashlib.sha256(content).digest())
    deployment = Deployment(facts, kernels, path, need, files, missing, _leftovers(link, facts), update)
    if update:
        _check_store(link, kernels)
    _check_flash(link, deployment)
    return deployment


def copy(link: Link, deployment: Deployment, progress: Callable[[str, int, int], None]) -> None:
    """Copy what is missing. A file that was there is there, old or new and in whole, at any moment.

    Args:
        progress: called with (path, bytes copied of all, bytes of all).

    Raises:
        WhitError: the board is full or gone, or what it holds is not what was sent.
    """
    done = 0
    if deployment.leftovers:
        link.remove(deployment.leftovers)
    for path in deployment.missing:
        content = deployment.files[path]
        new = path + (_NEW if deployment.update else _PART)
        if deployment.update:
            link.remove([new])  # written over, it would keep its blocks until the end
        progress(path, done, deployment.bytes_to_copy)
        link.write(new, content, lambda n, path=path, done=done: progress(path, done + n, deployment.bytes_to_copy))  # type: ignore[misc]
        if link.hashes([new]).get(new) != hashlib.sha256(content).digest():
            raise WhitError(f"{new} is not what was sent; deploy again, with another cable if that does not help")
        done += len(content)
        if deployment.update:
            link.reset()  # the heap that a board has when it starts
            _board(link, f"from whit import store\nstore.commit({path!r}{deployment.options})")
        else:
            link.rename(new, path)
    link.remove([deployment.model + _NEW])  # of an update that was cut; there is a whole model now
    progress("", done, deployment.bytes_to_copy)


def try_out(link: Link, deployment: Deployment) -> Measured:
    """Load the model on the board, run its self-test, and take the time.

    Raises:
        WhitError: the board cannot load it; the text is the board's.
    """
    link.reset()
    options = {"path": deployment.model, "options": deployment.options}
    return Measured(*link.literal(_board(link, _TRY_OUT % options)))


def _check_firmware(link: Link, facts: Facts) -> None:
    where = f"{facts.machine} at {link.port}"
    if facts.arch not in ARCHES:
        known = ", ".join(ARCHES)
        raise WhitError(
            f"{where}: its firmware loads native code for {facts.arch or 'no architecture'}, and whit has kernels for "
            f"{known}; install firmware of another variant"
        )
    if facts.abi != ABI:
        raise WhitError(
            f"{where}: MicroPython {facts.version} loads .mpy files of ABI {facts.abi[0]}.{facts.abi[1]}, whit has "
            f"those of {ABI[0]}.{ABI[1]}; install MicroPython 1.23 or later"
        )


def _choose(link: Link, facts: Facts, path: str, found: Iterable[tuple[bytes, Needs]]) -> tuple[bytes, Needs]:
    """The first that fits, or what is on the board if the first fits only just; else what lacks least."""
    first: tuple[bytes, Needs] | None = None
    lacking = []
    there = None
    for blob, need in found:
        if need.heap_bytes > facts.heap_bytes or not _has_blocks(link, need):
            lacking.append((blob, need))
            continue
        if first is None:
            first = blob, need
            if need.heap_bytes <= facts.heap_bytes - _STEADY_BYTES:
                return first
            there = link.hashes([path]).get(path)
        if hashlib.sha256(blob).digest() == there:
            return blob, need
    return first or min(lacking, key=lambda f: (max(f[1].heap_bytes, facts.heap_bytes), f[1].largest_block_bytes))


def _has_blocks(link: Link, need: Needs) -> bool:
    return link.value(_TRY_BLOCKS % {"sizes": repr(need.blocks)})


def _check_imports(link: Link, facts: Facts) -> None:
    hiding = link.sizes([folder + "whit" + end for folder in facts.before_lib for end in ("", ".py", ".mpy")])
    for path in hiding:
        raise WhitError(f"{path} on the board hides {facts.lib}whit from an import; rename or remove it")


def _leftovers(link: Link, facts: Facts) -> tuple[str, ...]:
    ours = {facts.lib + path for kernels in ("native", "viper") for path in runtime(facts.arch, kernels)}
    models = [facts.root + name for name in link.names(facts.root) if name.endswith(".whit" + _PART)]
    return tuple(link.sizes([*models, *(path + _PART for path in sorted(ours))]))


def _check_heap(link: Link, source: Path, blob: bytes, need: Needs, facts: Facts) -> None:
    lacking = need.heap_bytes - facts.heap_bytes
    remedy = "free heap in boot.py, or use a smaller model or a board with more RAM"
    if need.weights == IN_RAM and not describe(blob)["pages"] and source.suffix.lower() == ".whit":
        remedy = "give the model that it was packed from, or pack it with --page 8k"
    if lacking > 0:
        raise WhitError(
            f"{source.name} needs {need.heap_bytes:,} bytes of heap ({need.weights}), {facts.heap_bytes:,} are free on "
            f"the board, {lacking:,} too few; {remedy}"
        )
    if not _has_blocks(link, need):
        raise WhitError(
            f"{source.name} needs a block of {need.largest_block_bytes:,} bytes, and the heap of the board, "
            f"{facts.heap_bytes:,} bytes free in all, is too divided for it; {remedy}"
        )


def _check_flash(link: Link, deployment: Deployment) -> None:
    """What is copied replaces its predecessor only when it is there in whole."""
    facts = deployment.facts
    gone = [*deployment.leftovers, *(path + _NEW for path in deployment.missing if deployment.update)]
    sizes = link.sizes([*deployment.missing, *gone])
    # A small one may lie in its folder's block.
    again = [-(-sizes[path] // facts.block_bytes) for path in gone if sizes.get(path, 0) > facts.block_bytes // 4]
    # A folder of a littlefs takes two blocks for what half of one holds, at some 32 bytes for each entry.
    entries = Counter(path.rpartition("/")[0] + "/" for path in deployment.missing)
    folders = [2 * -(-64 * n // facts.block_bytes) for folder, n in entries.items() if folder != facts.root]
    free = least = facts.free_blocks + sum(again) - sum(folders)
    for path in deployment.missing:
        free -= _blocks(len(deployment.files[path]), facts)
        least = min(least, free)
        if path in sizes and not deployment.update:
            free += _blocks(sizes[path], facts)
    if least < 0:
        raise WhitError(
            f"{deployment.bytes_to_copy:,} bytes are to be copied, and may take {-least * facts.block_bytes:,} more "
            f"than the {facts.free_blocks * facts.block_bytes:,} that the board's file system has free; remove files "
            f"from it, use a smaller model, or flash an image (whit image)"
        )


def _blocks(size: int, facts: Facts) -> int:
    """Of the file system, that a file takes: its data and the links between its blocks."""
    return -(-size // (facts.block_bytes - 8))


def _check_store(link: Link, kernels: str) -> None:
    """An update takes what is on the board as it is."""
    try:
        link.run("from whit import kernelset, store")
    except BoardError:
        raise WhitError(
            f"{link.port}: the board has no whit, which an update needs; deploy without --update first"
        ) from None
    try:
        link.run(f"kernelset.select({'viper' if kernels == 'viper' else None!r})")
    except BoardError:
        raise WhitError(f"{link.port}: the board has no {kernels} kernels; deploy without --update first") from None


def _board(link: Link, script: str) -> str:
    """Run a script that may end with one of whit's own errors, which then is the message."""
    try:
        return link.run(script)
    except BoardError as e:
        kind, _, text = e.said.partition(": ")
        if kind == "OSError":
            text = text.partition("] ")[2] or text
            text = text.partition(": ")[2] or text
        if kind in ("ValueError", "MemoryError", "OSError") and "; " in text:
            raise WhitError(text) from None
        raise


_TRY_BLOCKS = """
import gc
_blocks = []
try:
    for _n in %(sizes)s:
        _blocks.append(bytearray(_n))
    print(True)
except MemoryError:
    print(False)
_blocks = None
gc.collect()
"""

_TRY_OUT = """
import gc, time
gc.collect()
_before = gc.mem_alloc()
import whit
m = whit.load(%(path)r%(options)s)
_passed = m.selftest()
_runs = _us = 0
_begin = time.ticks_us()
while _us < 1000000:
    m.run()
    _runs += 1
    _us = time.ticks_diff(time.ticks_us(), _begin)
gc.collect()
_inputs = tuple([(t.name, t.shape) for t in m.inputs])
_labels = len(m.labels) if len(m.outputs) == 1 else 0
print((_passed, _us / _runs, m.kernels, m.pages, gc.mem_alloc() - _before, gc.mem_free(), _inputs, _labels))
"""
