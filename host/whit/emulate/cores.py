"""The emulated cores, and how a program gets onto one."""

from __future__ import annotations

import json
import shutil
import struct
import subprocess
import tempfile
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache
from pathlib import Path

from ..errors import WhitError

# A kernel takes its time on a PC as well: QEMU executes some ten million instructions a second here.
TIMEOUT_S = 600
# -icount: time goes by instructions, 64 ns each, so that a timer counts them.
FLAGS = "-icount shift=6,sleep=off -nographic -monitor none -serial none -semihosting-config enable=on,target=native"
NS_PER_INSTRUCTION = 64
INSTALL = "run: apt-get install qemu-system-arm qemu-system-misc"
STATUS = {  # of tools/harness/harness.c
    1: "its results cannot be written",
    2: "its memory was cut",
    3: "the core took a fault",
    4: "a kernel took a buffer for an integer",
    5: "a kernel made an integer of more than 31 bits",
    6: "a kernel called a function of the interpreter that is not there",
}


@dataclass(frozen=True)
class Machine:
    """What is around a core: the map of its memory and a timer."""

    isa: str  # of the harness
    rom: int  # where it starts
    memory: range  # the addresses for kernels and what they work on
    timer: int = 0  # its address; 0 where there is none, or where it has none
    timer_hz: int = 0  # 0: no instructions can be counted
    flash: int = 0  # where the kernels are, on a machine whose RAM is small; else they are in memory as on a board


@dataclass(frozen=True)
class Core:
    """A core that QEMU emulates, and what runs on it."""

    name: str
    title: str
    arch: str  # of the kernels
    emulator: tuple[str, ...]
    machine: Machine
    cycles: float = 0.0  # that an instruction takes on silicon, about: _CYCLES

    @property
    def emulated(self) -> bool:
        """Whether its emulator is installed."""
        return bool(shutil.which(self.emulator[0]))

    def instructions(self, ticks: int | Fraction) -> Fraction:
        """How many instructions the timer's ticks are, to within one tick."""
        return Fraction(ticks * 10**9, self.machine.timer_hz * NS_PER_INSTRUCTION)


@dataclass(frozen=True)
class Isa:
    """An instruction set of the harness."""

    elf_machine: int
    stack_top: int
    nothing: bytes  # a function that returns at once: what is measured of it is what a call costs
    lacking: bytes  # the same with instructions that the emulated core has not


_BX_LR, _RET = bytes.fromhex("7047"), bytes.fromhex("8280")
_ENTRY, _RETW_N, _MULSH = bytes.fromhex("364100"), bytes.fromhex("1df0"), bytes.fromhex("8088b2")  # mulsh a8, a8, a8
ISAS = {
    "thumb": Isa(40, 0x20000C00, _BX_LR, _BX_LR),
    "rv32": Isa(243, 0x81000C00, _RET, _RET),
    "xtensa": Isa(94, 1 << 20, _ENTRY + _RETW_N, _ENTRY + 64 * _MULSH + _RETW_N),
}

_MPS2 = Machine("thumb", 0, range(0x20000C00, 0x20400000), 0x40000000, 25_000_000)
_MPS2_M33 = Machine("thumb", 0x10000000, range(0x80000000, 0x81000000), 0x50000000, 20_000_000)
_MICROBIT = Machine("thumb", 0, range(0x20000C00, 0x20004000), flash=0x10000)
_VIRT = Machine("rv32", 0x80000000, range(0x81001000, 0x82000000), 0x0200BFF8, 10_000_000)
_SIM = Machine("xtensa", 0xFE000000, range(1 << 20, 128 << 20))
# What an instruction of the native kernels takes in cycles, code and data in RAM, by the mix of instructions that the
# four models of MLPerf Tiny execute, counted in QEMU's log (-d in_asm,exec,nochain). By the manuals, but for what
# "estimated" says; no board has been measured.
_CYCLES = {
    # DDI 0484C, 3.3: one more for each word loaded or stored and for a taken branch; MULS in one cycle (RP2040
    # datasheet, 2.4). 0.30 to 0.35 words and 0.02 to 0.05 taken branches an instruction: 1.32 to 1.37.
    "m0plus": 1.35,
    # DDI 0337H, 3.3: one more for each word, but for a load after a load; about two for a taken branch. 0.42 to 0.52
    # words, 0.10 to 0.18 of them after another, 0.03 taken: 1.38 to 1.40.
    "m3": 1.4,
    # DDI 0439B, 3.3: as the M3; LDM and LDRD move most words. 0.40 to 0.44 words, 0.03 to 0.04 taken: 1.47 to 1.50.
    # An STM32F4 fetches code in SRAM over the bus of its data, which that keeps busy for 1.42 to 1.44 of them.
    "m4": 1.5,
    # Estimated, as Arm publishes no cycles: from the M4's by the published latencies of MLPerf Tiny (closed division,
    # best of v1.1 to v1.3; L4R5, U575 and H7A3) in cycles: 0.84 to 1.02 for the M33, 0.58 to 0.62 for the M7.
    "m33": 1.4,
    "m7": 0.9,
    # Estimated, as for a short pipeline in order: one more where the next instruction waits for a load or a product
    # (0.07 to 0.28 and 0.08 to 0.19), two for a taken branch (0.02 to 0.04). 1.21 to 1.24, 1.52 for dense layers alone.
    "rv32": 1.3,
    # Estimated: 1.29 to 1.44 if the LX7 waits as above, 1.49 to 1.71 if the LX6, with its seven stages (ESP32
    # datasheet, CPU), waits one more for a load and for a branch; 0.17 to 0.24 loads are waited for.
    "xtensa": 1.5,
}

_ARM = "qemu-system-arm", "-M"
_RV32 = "qemu-system-riscv32", "-M", "virt", "-bios", "none"
_XTENSA = "qemu-system-xtensa", "-M", "sim", "-cpu"
CORES = (
    # An M3 that takes the kernels of an M0+, and faults on an unaligned access as that would.
    Core("m0plus", "Cortex-M0+", "armv6m", (*_ARM, "mps2-an385"), _MPS2, _CYCLES["m0plus"]),
    Core("m3", "Cortex-M3", "armv7m", (*_ARM, "mps2-an385"), _MPS2, _CYCLES["m3"]),
    Core("m4", "Cortex-M4", "armv7emsp", (*_ARM, "mps2-an386"), _MPS2, _CYCLES["m4"]),
    Core("m7", "Cortex-M7", "armv7emdp", (*_ARM, "mps2-an500"), _MPS2, _CYCLES["m7"]),
    Core("m33", "Cortex-M33", "armv7emsp", (*_ARM, "mps2-an505"), _MPS2_M33, _CYCLES["m33"]),
    Core("rv32", "RV32IMC", "rv32imc", _RV32, _VIRT, _CYCLES["rv32"]),
    Core(
        "xtensa",
        "Xtensa LX",
        "xtensawin",
        (*_XTENSA, "de233_fpu"),
        replace(_SIM, timer_hz=40_000_000),
        _CYCLES["xtensa"],
    ),
)
# Besides, for tests: a true Cortex-M0 with 16 KB of RAM and no timer of this kind, and another Xtensa.
TRUE_M0 = Core("m0", "Cortex-M0", "armv6m", (*_ARM, "microbit"), _MICROBIT)
DC233C = Core("dc233c", "Xtensa LX", "xtensawin", (*_XTENSA, "dc233c"), replace(_SIM, timer_hz=10_000_000))

_THUMB_VECTORS = 16
_XTENSA_CODE, _XTENSA_SERVICES = 0x2000, 0x1100
_SERVICES = "read", "write", "now", "stop"


@cache
def harness(isa: str) -> dict[str, dict]:
    """The parts of the program: label -> its place, and the code in hexadecimal."""
    return json.loads(Path(__file__).with_name(f"harness_{isa}.json").read_bytes())


def table(core: Core) -> dict[str, int]:
    """The addresses of the functions that the harness has for the function table: get_buffer and so on."""
    labels, base = harness(core.machine.isa)["harness"]["labels"], _code_address(core)
    return {name.removeprefix("table_"): base + at for name, at in labels.items() if name.startswith("table_")}


def _code_address(core: Core) -> int:
    return {"thumb": core.machine.rom + 4 * _THUMB_VECTORS, "rv32": core.machine.rom, "xtensa": _XTENSA_CODE}[
        core.machine.isa
    ]


def _elf(core: Core, flash: bytes) -> bytes:
    """An executable of the harness for this core, with these bytes in its flash."""
    parts = harness(core.machine.isa)
    code, labels = bytes.fromhex(parts["harness"]["code"]), parts["harness"]["labels"]
    base = _code_address(core)
    segments = {base: code}
    if core.machine.isa == "thumb":
        handlers = [base + labels["entry"], *[base + labels["fault"]] * (_THUMB_VECTORS - 2)]
        segments = {
            core.machine.rom: struct.pack(f"<{_THUMB_VECTORS}I", ISAS[core.machine.isa].stack_top, *handlers) + code
        }
    elif core.machine.isa == "xtensa":
        boot, places = bytes.fromhex(parts["boot"]["code"]), parts["boot"]["labels"]
        services = struct.pack("<4I", *(places[name] for name in _SERVICES))
        segments |= {0: boot, core.machine.rom: boot, _XTENSA_SERVICES: services}
    if flash:
        segments |= {core.machine.flash: flash}
    return _elf_file(ISAS[core.machine.isa].elf_machine, core.machine.rom, segments)


def _elf_file(machine: int, entry: int, segments: dict[int, bytes]) -> bytes:
    """An executable that puts these bytes at these addresses."""
    header, entry_bytes = 52, 32
    programs, contents, at = b"", b"", header + entry_bytes * len(segments)
    for address, data in segments.items():
        programs += struct.pack("<8I", 1, at + len(contents), address, address, len(data), len(data), 7, 4)
        contents += data
    ident = b"\x7fELF\1\1\1".ljust(16, b"\0")
    fields = 2, machine, 1, entry, header, 0, 0, header, entry_bytes, len(segments), 0, 0, 0
    return ident + struct.pack("<HHIIIIIHHHHHH", *fields) + programs + contents


def emulate(core: Core, blocks: bytes, flash: bytes = b"") -> bytes:
    """What the harness writes when it reads `blocks`, with these bytes in the machine's flash.

    Raises:
        WhitError: QEMU is not installed, the kernels did what they must not, or they take more than TIMEOUT_S.
    """
    if not core.emulated:
        raise WhitError(f"{core.emulator[0]} is not installed, which emulates the {core.title}; {INSTALL}")
    with tempfile.TemporaryDirectory(prefix="whit-") as name:
        folder = Path(name)
        (folder / "in").write_bytes(struct.pack("<I", core.machine.timer) + blocks)
        (folder / "harness.elf").write_bytes(_elf(core, flash))
        command = [*core.emulator, *FLAGS.split(), "-kernel", "harness.elf"]
        # ARM and RISC-V open the two files by their names, Xtensa takes its standard input and output.
        with (folder / "in").open("rb") as stdin, (folder / "out").open("wb") as stdout:
            try:
                done = subprocess.run(
                    command, cwd=folder, stdin=stdin, stdout=stdout, stderr=subprocess.PIPE, timeout=TIMEOUT_S
                )
            except subprocess.TimeoutExpired:
                raise WhitError(
                    f"the emulated {core.title} did not end within {TIMEOUT_S} s; use a smaller model"
                ) from None
        if done.returncode or done.stderr:
            said = STATUS.get(done.returncode, f"status {done.returncode}")
            if done.returncode >= 100:
                said = f"the core took exception {done.returncode - 100}"
            # Where QEMU itself has something to say, its status is not the harness's, and the first line is enough.
            words = done.stderr.decode(errors="replace").strip().splitlines()
            said = words[0] if words else said
            raise WhitError(
                f"the emulated {core.title} stopped: {said}; report this as a bug, with your version of QEMU"
            )
        return (folder / "out").read_bytes()
