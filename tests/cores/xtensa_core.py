"""The Xtensa cores, for which there is no harness in C: the memory is put together here, run, and compared.

The code holds no data but the literals of its l32r, which tools/xtensa.py verifies. So it reads itself by aligned words
only, as an ESP32 demands of the memory that native code runs from; QEMU's memory would not show it.
"""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import xtensa

SOURCE = Path(__file__).with_name("xtensa.S")
HARNESS, PLAN, MEMORY, ROM = 0, 0x2000, 1 << 20, 0xFE000000
ALIGN, FILL = 16, 0xA5
GET_BUFFER, TABLE = 65, 80


class Memory:
    """What the runs work on: everything at a multiple of 16, with filling between."""

    def __init__(self) -> None:
        self.data = bytearray()

    def put(self, data: bytes) -> int:
        """Add the bytes; gives their address."""
        self.data += bytes([FILL]) * (ALIGN + -len(self.data) % ALIGN)
        self.data += data
        return MEMORY + len(self.data) - len(data)

    def put_words(self, *words: int) -> int:
        return self.put(struct.pack(f"<{len(words)}I", *words))


def run(emulator: Sequence[str], code: bytes, jobs: Sequence[tuple[bytes, bytes, bytes]], timeout_s: int) -> bytes:
    """Every arena after the run of its steps with its weights, one after another."""
    harness, labels = _harness()
    memory = Memory()
    entry = memory.put(bytes(4) + code) + 4  # the interpreter promises no more than a multiple of 4
    table = [0] * TABLE
    table[GET_BUFFER] = HARNESS + labels["get_buffer"]
    constants = memory.put_words(memory.put_words(*table))
    function = memory.put_words(0, memory.put_words(0, 0, 0, constants))
    arguments, arenas = [], []
    for job in jobs:
        places = [memory.put(data) for data in job]
        buffers = [memory.put_words(at, len(data), 0) for at, data in zip(places, job, strict=True)]
        arguments.append(memory.put_words(*buffers, 1, len(job[0]) << 1 | 1))
        arenas.append(slice(places[2] - MEMORY, places[2] - MEMORY + len(job[2])))
    before = bytes(memory.data)
    plan = struct.pack(f"<{5 + len(jobs)}I", entry, function, MEMORY, len(before), *arguments, 0)
    after = _emulate(emulator, _elf({HARNESS: harness, ROM: harness, PLAN: plan, MEMORY: before}), timeout_s)
    assert len(after) == len(before)
    expected = bytearray(before)
    for arena in arenas:
        expected[arena] = after[arena]
    assert after == expected, "a kernel wrote outside its arena"
    return b"".join(after[arena] for arena in arenas)


@cache
def _harness() -> tuple[bytes, dict[str, int]]:
    """The machine code of xtensa.S and its labels."""
    with TemporaryDirectory() as folder:
        lines = map(xtensa.plain, SOURCE.read_text().splitlines())
        code, labels, _ = xtensa.assemble(lines, Path(folder) / "harness.o")
    return bytes(code), labels


def _elf(memory: dict[int, bytes]) -> bytes:
    """An executable that puts these bytes at these addresses."""
    header, entry_bytes, xtensa_machine = 52, 32, 94
    programs, contents, at = b"", b"", header + entry_bytes * len(memory)
    for address, data in memory.items():
        programs += struct.pack("<8I", 1, at + len(contents), address, address, len(data), len(data), 7, 4)
        contents += data
    ident = b"\x7fELF\1\1\1".ljust(16, b"\0")
    fields = 2, xtensa_machine, 1, ROM, header, 0, 0, header, entry_bytes, len(memory), 0, 0, 0
    return ident + struct.pack("<HHIIIIIHHHHHH", *fields) + programs + contents


def _emulate(emulator: Sequence[str], elf: bytes, timeout_s: int) -> bytes:
    """What the core writes."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "xtensa.elf"
        path.write_bytes(elf)
        done = subprocess.run([*emulator, "-kernel", str(path)], capture_output=True, timeout=timeout_s)
    cause = f"exception {done.returncode - 100}" if done.returncode >= 100 else f"status {done.returncode}"
    assert done.returncode == 0 and not done.stderr, f"{emulator}: {cause} {done.stderr.decode()}"
    return done.stdout
