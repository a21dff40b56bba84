"""No file can crash the board, on emulated cores: mutants that pass the check, with memory around them that tells.

python tests/cores/test_escape.py CORE KERNELS FIRST LAST runs those mutants and names one that escapes.
"""

from __future__ import annotations

import random
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from math import prod
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "board"))
import mutants
import nets
from bases import bases
from test_cores import _need
from whit.device import check, opset
from whit.device import format as blob_format
from whit.emulate import CORES, Core, Job, run
from whit.errors import WhitError
from whit.inspect import describe
from whit.pack import pack

MUTANTS = 5_000  # for each set of kernels
ACCEPTED = 2_000  # of them, at least
WORK = 10_000  # as mutants.work() counts it, in all steps of a file: so that many run in a short time
ARENA = 1 << 14
GUARD = 512
# Two runs with other bytes around must give the same. As biases these are far apart, as shifts they keep that.
AROUND = bytes([0x01]) * GUARD, bytes([0x81]) * GUARD
TRIED = [("m4", "native"), ("m0plus", "native"), ("rv32", "native"), ("xtensa", "native"), ("m0plus", "viper")]


def records(blob: bytes) -> list[tuple[tuple, dict[str, int]]]:
    _, sections, *_ = check.check("mutant", memoryview(blob))
    at, size = sections[blob_format.STEPS]
    return [(row, dict(fields)) for row, fields in opset.records(blob[at : at + size])]


def accepted(first: int, last: int) -> dict[int, bytes]:
    """The mutants of these numbers that load() takes and that are not much work."""
    sound, found = list(bases().values()), {}
    for number in range(first, last):
        blob = bytes(mutants.mutant(sound, number))
        try:
            steps = records(blob)
        except ValueError:
            continue
        arena = int.from_bytes(blob[16:20], "little")
        if steps and arena <= ARENA and sum(mutants.work(*step) for step in steps) <= WORK:
            found[number] = blob
    return found


def _inputs(blob: bytes, number: int) -> tuple[bytes, ...]:
    """Some bytes for each input."""
    rng = random.Random(number)
    return tuple(rng.randbytes(prod(port["shape"])) for port in describe(blob)["inputs"])


def _escapes(core: Core, kernels: str, blobs: dict[int, bytes]) -> str:
    """What went wrong, or nothing."""
    numbers = list(blobs)
    jobs = [Job(blobs[n], _inputs(blobs[n], n), apart=True, guard=guard) for guard in AROUND for n in numbers]
    try:
        results = run(core, kernels, jobs, forged=True)
    except WhitError as error:
        return str(error)
    pairs = zip(numbers, results[: len(numbers)], results[len(numbers) :], strict=True)
    for number, one, other in pairs:
        if (one.outputs, one.crc32) != (other.outputs, other.crc32):
            return f"mutant {number} read bytes around its memory"
    return ""


def escaping(core: Core, kernels: str, blobs: dict[int, bytes]) -> str:
    """Run them all; where something goes wrong, the number of a mutant that does it, and what that is."""
    wrong = _escapes(core, kernels, blobs)
    while wrong and len(blobs) > 1:
        items = list(blobs.items())
        halves = dict(items[: len(items) // 2]), dict(items[len(items) // 2 :])
        for half in halves:
            if here := _escapes(core, kernels, half):
                blobs, wrong = half, here
                break
        else:
            break
    return f"mutant {', '.join(map(str, blobs))}: {wrong}" if wrong else ""


def _core(name: str) -> Core:
    return next(core for core in CORES if core.name == name)


def kinds(blobs: Iterable[bytes]) -> Counter[str]:
    """What there is among them."""
    found: Counter[str] = Counter()
    for blob in blobs:
        for row, f in records(blob):
            names, extents = [name for name, _ in opset.fields_of(row)], row[3](f)
            spans = [
                (f[name], f[name] + size)
                for (name, code), size in zip(opset.fields_of(row), extents, strict=False)
                if code in "as" and size
            ]
            found[row[1]] += 1
            found[f"{row[1]} bounded"] += f["flags"] & opset.BOUNDED
            found[f"{row[1]} int4"] += f["flags"] & opset.INT4 > 0
            found["overlapping"] += any(a[0] < b[1] and b[0] < a[1] for i, a in enumerate(spans) for b in spans[:i])
            found["misaligned"] += any(f[name] & 3 for name in ("a", "b", "x", "y") if name in names)
    return found


@pytest.fixture(scope="module")
def blobs() -> dict[int, bytes]:
    return accepted(0, MUTANTS)


def test_the_mutants_reach_the_kernels(blobs: dict[int, bytes]):
    """Every kernel, with and without the promise that fast paths ask for, at odd places and over one another."""
    found = kinds(blobs.values())
    print(f"\n{len(blobs)} of {MUTANTS}: {dict(found)}")
    assert len(blobs) >= ACCEPTED
    for row in opset.KERNELS:
        assert found[row[1]] >= 20, row[1]
    for kernel in ("conv2d", "depthwise", "dense"):
        assert 10 <= found[f"{kernel} bounded"] <= found[kernel] - 10, kernel
    for kernel in ("conv2d", "dense"):
        assert 10 <= found[f"{kernel} int4"] <= found[kernel] - 10, kernel
    assert found["overlapping"] >= 200 and found["misaligned"] >= 200


@pytest.mark.parametrize(("name", "kernels"), TRIED)
def test_no_mutant_escapes(name: str, kernels: str, blobs: dict[int, bytes]):
    """None writes outside the arena, reads outside it and the weights, or takes a fault."""
    core = _core(name)
    _need(core)
    assert not escaping(core, kernels, blobs)


@pytest.mark.parametrize("core", CORES, ids=lambda core: core.name)
def test_quant_blocks_without_shifts(core: Core):
    """Right shifts of a bounded step are at least 1; 0 must not lead a kernel through the blocks another way."""
    _need(core)
    blob = bytearray(pack(nets.convolution("shifts", x=(2, 2, 4), out=61, k=(1, 1)), "shifts").blob)
    _, sections, *_ = check.check("shifts", memoryview(blob))
    ((row, f),) = records(bytes(blob))
    at = sections[blob_format.WEIGHTS][0] + f["q"]
    for block in range(at, at + row[3](f)[3], 36):
        blob[block + 32 : block + 36] = bytes(4)
    blob[sections[blob_format.STEPS][0] + 1] |= opset.BOUNDED
    assert not escaping(core, "native", {0: bytes(mutants.sealed(blob))})


def main(name: str, kernels: str, first: str, last: str) -> int:
    blobs = accepted(int(first), int(last))
    items: Sequence[tuple[int, bytes]] = list(blobs.items())
    for at in range(0, len(items), 2000):
        if wrong := escaping(_core(name), kernels, dict(items[at : at + 2000])):
            print(wrong)
            return 1
    print(f"{name}, {kernels}: {len(blobs)} of {int(last) - int(first)} ran: {dict(kinds(blobs.values()))}")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
