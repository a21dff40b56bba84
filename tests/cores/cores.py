"""The emulated cores: how to build the harness for one, and how to run jobs on it."""

from __future__ import annotations

import shutil
import struct
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import pytest
import whit.prebuilt
import xtensa_core
from whit.device import check
from whit.device import format as blob
from whit.inspect import describe

HERE = Path(__file__).parent
TIMEOUT_S = 120
QEMU_FLAGS = "-nographic -monitor none -serial none -semihosting-config enable=on,target=native".split()
POISON = 0x55  # fills the arena: a kernel that reads what nobody wrote gives other bytes than the reference


@dataclass(frozen=True)
class Core:
    """A core that QEMU emulates, and the architecture whose kernels it runs."""

    name: str
    arch: str  # of the native module
    emulator: tuple[str, ...]
    target: tuple[str, ...]  # of the harness
    rom: tuple[int, int]  # address, bytes
    ram: tuple[int, int]


_ARM = "qemu-system-arm", "-M"
_V6M = "--target=thumbv6m-none-eabi", "-mcpu=cortex-m0plus"
_V7M = "--target=thumbv7m-none-eabi", "-mcpu=cortex-m3"
_V7EM = "--target=thumbv7em-none-eabi", "-mcpu=cortex-m4"
_MPS2 = {"rom": (0, 4 << 20), "ram": (0x20000000, 4 << 20)}
_TZ = {"rom": (0x10000000, 4 << 20), "ram": (0x80000000, 16 << 20)}
_XTENSA = "qemu-system-xtensa", "-M", "sim", "-cpu"
_RV = "--target=riscv32-unknown-elf", "-march=rv32imc_zicsr", "-mabi=ilp32"
CORES = (
    # A true Cortex-M0 has 16 KB of RAM here and runs what fits; the M3 runs the rest, made to fault alike.
    Core("m0", "armv6m", (*_ARM, "microbit"), (*_V6M, "-DARMV6M"), (0, 256 << 10), (0x20000000, 16 << 10)),
    Core("m0plus", "armv6m", (*_ARM, "mps2-an385"), _V6M, **_MPS2),
    Core("m3", "armv7m", (*_ARM, "mps2-an385"), _V7M, **_MPS2),
    Core("m4", "armv7emsp", (*_ARM, "mps2-an386"), _V7EM, **_MPS2),
    Core("m7", "armv7emdp", (*_ARM, "mps2-an500"), _V7EM, **_MPS2),
    Core("m33", "armv7emsp", (*_ARM, "mps2-an505"), _V7EM, **_TZ),
    Core("rv32", "rv32imc", ("qemu-system-riscv32", "-M", "virt", "-bios", "none"), _RV,
         (0x80000000, 4 << 20), (0x81000000, 16 << 20)),
    Core("dc233c", "xtensawin", (*_XTENSA, "dc233c"), (), (0xFE000000, 32 << 20), (0, 128 << 20)),
    Core("de233", "xtensawin", (*_XTENSA, "de233_fpu"), (), (0xFE000000, 32 << 20), (0, 128 << 20)),
)  # fmt: skip


@dataclass(frozen=True)
class Job:
    """One inference: a .whit file and the bytes of each input."""

    blob: bytes
    inputs: tuple[bytes, ...]

    def parts(self) -> tuple[bytes, bytes, bytes]:
        """Steps, weights, and the arena with the inputs in it."""
        arena_bytes, sections, _ = check.check("job", memoryview(self.blob))
        steps, weights = (self.blob[at : at + n] for at, n in (sections[blob.STEPS], sections[blob.WEIGHTS]))
        arena = bytearray([POISON]) * arena_bytes
        for port, data in zip(describe(self.blob)["inputs"], self.inputs, strict=True):
            arena[port["offset"] : port["offset"] + len(data)] = data
        return steps, weights, bytes(arena)


def run(core: Core, jobs: Sequence[Job]) -> list[list[bytes]]:
    """The bytes of every output of every job."""
    parts = [job.parts() for job in jobs]
    code = _machine_code(core.arch)
    if core.arch == "xtensawin":
        _need("llvm-mc-22", core.emulator[0])
        arenas = xtensa_core.run((*core.emulator, *QEMU_FLAGS), code, parts, TIMEOUT_S)
    else:
        arenas = _run_harness(core, code, parts)
    outputs, at = [], 0
    for job, (_, _, arena) in zip(jobs, parts, strict=True):
        ports = describe(job.blob)["outputs"]
        starts = [(at + p["offset"], int(np.prod(p["shape"]))) for p in ports]
        outputs.append([arenas[start : start + n] for start, n in starts])
        at += len(arena)
    assert at == len(arenas)
    return outputs


def _run_harness(core: Core, code: bytes, parts: Sequence[tuple[bytes, bytes, bytes]]) -> bytes:
    """Every arena after its run, by harness.c."""
    folder = Path(mkdtemp(prefix="whit-"))
    try:
        heads = [struct.pack("<3I", *map(len, p)) + b"".join(p) for p in parts]
        (folder / "jobs").write_bytes(struct.pack("<I", len(code)) + code + b"".join(heads))
        command = [*core.emulator, *QEMU_FLAGS, "-kernel", str(_harness(core))]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=TIMEOUT_S)
        assert done.returncode == 0 and not done.stderr, f"{core.name}: {done.stdout}{done.stderr}"
        return (folder / "arenas").read_bytes()
    finally:
        shutil.rmtree(folder)


def fits(core: Core, job: Job) -> bool:
    """Whether the job has room beside the harness and the code."""
    return sum(map(len, job.parts())) + len(_machine_code(core.arch)) + 6000 < core.ram[1]


@cache
def _machine_code(arch: str) -> bytes:
    """The native kernels as they are shipped, taken out of the committed .mpy."""
    from build_kernels import machine_code_of

    return machine_code_of((Path(whit.prebuilt.__file__).parent / f"whit_native_{arch}.mpy").read_bytes())


def _need(*tools: str) -> None:
    for tool in tools:
        if not shutil.which(tool):
            packages = "clang-22 lld-22 llvm-22 qemu-system-arm qemu-system-misc"
            pytest.skip(f"{tool} is not installed; run: apt-get install {packages}")


@cache
def _harness(core: Core) -> Path:
    _need("clang-22", "ld.lld-22", core.emulator[0])
    folder = Path(mkdtemp(prefix="whit-harness-"))
    flags = "-std=gnu11 -O1 -Wall -Wextra -Werror -ffreestanding -fno-builtin -fno-pic -mno-unaligned-access".split()
    if "riscv32" in core.target[0]:
        flags = [f for f in flags if f != "-mno-unaligned-access"] + ["-mcmodel=medany"]
    obj, elf = folder / "harness.o", folder / f"{core.name}.elf"
    subprocess.run(["clang-22", *core.target, *flags, "-c", HERE / "harness.c", "-o", obj], check=True)
    names = zip(("ROM", "ROM_SIZE", "RAM", "RAM_SIZE"), (*core.rom, *core.ram), strict=True)
    symbols = [f"--defsym={name}={value:#x}" for name, value in names]
    subprocess.run(["ld.lld-22", *symbols, "-T", HERE / "memory.ld", obj, "-o", elf], check=True)
    return elf
