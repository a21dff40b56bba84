"""C -> flat machine code for Xtensa with register windows: ESP32, ESP32-S2 and ESP32-S3.

lld does not link Xtensa, and clang 22 reaches every function through a literal that holds its absolute address. So this
takes clang's assembly, makes one section of it, and sets every pc-relative operand itself:

    j entry | literals, numbers only | functions

The literals come first because l32r reaches backwards only. They are all the data there is: an ESP32 runs native code
from memory that it reads by aligned words alone, as l32r does and a load from a table of bytes would not.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from llvm import BuildError, run, tool

# What the three chips share. -mcpu=esp32 is more: the S2 has no loops, no MAC16, no floats and no atomics.
FEATURES = "windowed density mul16 mul32 mul32high div32 nsa minmax sext clamps".split()
TARGET = ("--target=xtensa", *(flag for f in FEATURES for flag in ("-Xclang", "-target-feature", "-Xclang", f"+{f}")))
# Left to itself the compiler loads the address of a function before a loop, or once for several calls. Without those
# two passes every call is a pair that direct_calls() can make one of. A frame pointer would cost movsp, which needs an
# exception handler's help, and so would an array of no constant size.
CFLAGS = "-fno-pic -fomit-frame-pointer -mllvm -disable-machine-licm -mllvm -enable-tail-merge=false".split()

# verify() lets nothing else through. callx8 calls the interpreter, by an address from the function table.
ALLOWED = frozenset(
    """
    entry retw retw.n call8 callx8 j l32r nop nop.n
    beq bne blt bge bltu bgeu beqi bnei blti bgei bltui bgeui beqz bnez bltz bgez
    ball bnall bany bnone bbc bbs bbci bbsi
    l8ui l16si l16ui l32i l32i.n s8i s16i s32i s32i.n
    movi movi.n mov.n moveqz movnez movltz movgez add add.n addi addi.n addmi addx2 addx4 addx8 sub subx2 subx4 subx8
    and or xor neg abs sll slli sra srai src srl srli ssl ssr ssai ssa8l extui
    mul16s mul16u mull mulsh muluh quos quou rems remu nsa nsau min max minu maxu sext clamps
    """.split()
)
LAST = ("retw", "retw.n", "j")  # nothing runs on into the next function


def link(source: Path, cflags: Iterable[str], work: Path) -> Path:
    """Compile one C file to an ELF file, whose .text is flat code and starts with a jump to the function `entry`."""
    assembly = read(run(tool("clang"), *cflags, *CFLAGS, "-S", str(source), "-o", "-"))
    lines = [narrow(line) for line in direct_calls(assembly)]
    elf, flat = work / "xtensa.elf", work / "xtensa.bin"
    code, symbols, targets = assemble([*head(assembly), *lines, ".p2align 2"], elf)
    verify(code, symbols, targets, assembly)
    flat.write_bytes(code)
    run(tool("llvm-objcopy"), f"--update-section=.text={flat}", str(elf))
    return elf


@dataclass
class Assembly:
    """What clang wrote: labels, instructions and the sizes of functions, one a line and with single spaces."""

    lines: list[str] = field(default_factory=list)
    literals: dict[str, int | str] = field(default_factory=dict)  # label -> number, or name of what lies at an address
    ends: dict[str, str] = field(default_factory=dict)  # function -> the label behind it

    def numbers(self) -> dict[int, list[str]]:
        """The literals that are numbers, each with all its labels."""
        numbers: dict[int, list[str]] = {}
        for label, value in self.literals.items():
            if isinstance(value, int):
                numbers.setdefault(value & 0xFFFFFFFF, []).append(label)
        return numbers


_LABEL = re.compile(r"([\w.$]+):")
_LITERAL = re.compile(r"\.literal (\S+), (\S+)")
_SILENT = re.compile(r'\.(text|literal_position|globa?l|hidden|file|ident|addrsig\w*|section "?\.(text|note))\b')
_KEPT = re.compile(r"\.(p2align 2$|type \S+,@function$|size )")


def plain(line: str) -> str:
    """Without comment, and with single spaces."""
    return " ".join(line.split("#")[0].split())


def read(text: str) -> Assembly:
    """clang's assembly as one section, which takes code and literals only."""
    assembly, function = Assembly(), ""
    for raw in text.splitlines():
        line = plain(raw).replace(".L", "L.")  # names in .L would be missing from the object's symbols
        if literal := _LITERAL.fullmatch(line):
            number = re.fullmatch(r"-?\d+", literal[2])
            assembly.literals[literal[1]] = int(literal[2]) if number else literal[2]
        elif label := _LABEL.fullmatch(line):
            if label[1].startswith("L.func_end"):
                assembly.ends[function] = label[1]
            elif not label[1].startswith("L."):
                function = label[1]
            assembly.lines.append(line)
        elif line.startswith(".") and not _SILENT.match(line) and not _KEPT.match(line):
            raise BuildError(f"`{line}`: data has no place in the kernels; pass it as an argument or build it in code")
        elif line and not _SILENT.match(line):
            assembly.lines.append(line)
    return assembly


def head(assembly: Assembly) -> Iterable[str]:
    """What comes before the functions."""
    yield "j entry"
    yield ".p2align 2"
    for number, labels in assembly.numbers().items():
        yield from (f"{label}:" for label in labels)
        yield f".long {number:#x}"


def direct_calls(assembly: Assembly) -> list[str]:
    """The lines with every `l32r aN, ADDRESS` ... `callx8 aN` made `call8 FUNCTION`."""
    lines = list(assembly.lines)
    for at, line in enumerate(assembly.lines):
        load = re.fullmatch(r"l32r (a\d+), (\S+)", line)
        function = assembly.literals.get(load[2]) if load else None
        if not load or not isinstance(function, str):
            continue
        if function not in assembly.ends:
            raise BuildError(f"{function} is not a function of the kernels; they have no library and no data")
        call = _call_through(load[1], lines, at + 1)
        if not call:
            raise BuildError(f"the address of {function} is used other than for a call right after; call it by name")
        lines[at], lines[call] = "", f"call8 {function}"
    return [line for line in lines if line]


def _call_through(register: str, lines: list[str], at: int) -> int:
    """Where from `at` on the basic block does nothing with the register but call through it, or 0."""
    for i in range(at, len(lines)):
        line = lines[i]
        if line == f"callx8 {register}":
            return i if int(register[1:]) >= 8 else 0  # the callee's registers are dead after the call
        if line.endswith(":") or re.match(r"b|j|call|ret", line) or re.search(rf"\b{register}\b", line):
            break
    return 0


def narrow(line: str) -> str:
    """The 16-bit form of an instruction that has one. clang 22 hardly uses them, and nothing grows."""
    name, _, rest = line.partition(" ")
    operands = rest.split(", ")
    number = int(operands[-1]) if re.fullmatch(r"-?\d+", operands[-1]) else None
    if name == "or" and operands[1] == operands[2]:
        return f"mov.n {operands[0]}, {operands[1]}"
    short = (
        name == "add"
        or (name == "addi" and number in (-1, *range(1, 16)))
        or (name == "movi" and number in range(-32, 96))
        or (name in ("l32i", "s32i") and number in range(0, 64, 4))
    )
    return f"{name}.n {rest}" if short else line


@dataclass(frozen=True)
class Distance:
    """A pc-relative operand: `bits` bits from bit `shift` on, counting `unit` bytes."""

    shift: int
    bits: int
    unit: int = 1
    backwards: bool = False  # always negative, with the sign left out

    def origin(self, at: int) -> int:
        """What the instruction at `at` counts from."""
        return (at + 3) & ~3 if self.backwards else (at & -self.unit) + 4

    def get(self, code: bytes, at: int) -> int:
        """The target of the instruction at `at`."""
        value = int.from_bytes(code[at : at + 3], "little") >> self.shift & (1 << self.bits) - 1
        if self.backwards or value >> (self.bits - 1):
            value -= 1 << self.bits
        return self.origin(at) + value * self.unit

    def set(self, code: bytearray, at: int, target: int) -> None:
        """Make the instruction at `at` reach `target`."""
        mask = ((1 << self.bits) - 1) << self.shift
        value = (target - self.origin(at)) // self.unit << self.shift
        word = int.from_bytes(code[at : at + 3], "little") & ~mask | value & mask
        code[at : at + 3] = word.to_bytes(3, "little")
        if self.get(code, at) != target:
            raise BuildError(f"the instruction at {at:#x} does not reach {target:#x}: the code is too large")


def distance(name: str) -> Distance | None:
    """How an instruction holds its target, None for one without."""
    if name == "l32r":
        return Distance(8, 16, unit=4, backwards=True)
    if name == "call8":
        return Distance(6, 18, unit=4)
    if name == "j":
        return Distance(6, 18)
    if name in ("beqz", "bnez", "bltz", "bgez"):
        return Distance(12, 12)
    return Distance(16, 8) if re.fullmatch(r"b(?!reak)\w+", name) else None


def assemble(lines: Iterable[str], obj: Path) -> tuple[bytearray, dict[str, int], dict[int, int]]:
    """-> the machine code at address 0, its labels, and the target of every pc-relative instruction by its address.

    Near an alignment llvm-mc 22 sets some l32r four bytes off, without a word, so no such operand is left to it. `obj`
    keeps its version.
    """
    marked, uses = [], []
    for line in lines:
        use = re.fullmatch(r"(\w+) (?:.*, )?([A-Za-z_$][\w.$]*)", line)
        if use and distance(use[1]):
            marked.append(f"L.use{len(uses)}:")
            uses.append((use[1], use[2]))
        marked.append(line)
    flat = obj.with_suffix(".bin")
    source = "\n".join((".text", *marked, ""))
    run(tool("llvm-mc"), "-triple=xtensa", "-mcpu=esp32", "-filetype=obj", "-o", str(obj), text=source)
    listing = run(tool("llvm-readelf"), "--symbols", "--relocs", str(obj))
    if "no relocations" not in listing:
        raise BuildError(f"relocations remain, so the code would depend on its address:\n{listing}")
    run(tool("llvm-objcopy"), "-O", "binary", "-j", ".text", str(obj), str(flat))
    symbols = {name: int(at, 16) for at, name in re.findall(r"^ *\d+: (\w+) .* (\S+)$", listing, re.M)}
    code, targets = bytearray(flat.read_bytes()), {}
    for n, (name, label) in enumerate(uses):
        at = symbols[f"L.use{n}"]
        targets[at] = symbols[label]
        how = distance(name)
        assert how
        how.set(code, at, targets[at])
    return code, symbols, targets


def verify(code: bytes, symbols: dict[str, int], targets: dict[int, int], assembly: Assembly) -> None:
    """Read the code as a CPU would, and refuse what depends on an address or is not on every chip."""
    literals = range(4, 4 + 4 * len(assembly.numbers()), 4)
    spans = [(symbols[name], symbols[end]) for name, end in assembly.ends.items()]
    functions = [disassemble(code, start, end) for start, end in spans]
    names = disassemble(code, 0, 3) | {at: name for function in functions for at, name in function.items()}
    edges = [literals.stop, *(edge for span in spans for edge in span), len(code)]
    if any(not 0 <= after - before < 4 for before, after in zip(edges[::2], edges[1::2], strict=True)):
        raise BuildError("there is something other than alignment between the functions")
    if any(list(function.values())[-1] not in LAST for function in functions):
        raise BuildError("a function runs on behind its end")
    for at, name in names.items():
        if name not in ALLOWED:
            raise BuildError(f"{name} at {at:#x} is not an instruction that every ESP32 has and a kernel may use")
    reached = {at: how.get(code, at) for at, name in names.items() if (how := distance(name))}
    if reached != targets or reached[0] != symbols["entry"]:
        raise BuildError("an instruction does not reach what it names")
    for at, target in reached.items():
        if not _is_target(names[at] if at else "call8", target, names, literals):
            raise BuildError(f"{names[at]} at {at:#x} may not reach {target:#x}")


def _is_target(name: str, target: int, names: dict[int, str], literals: range) -> bool:
    """Whether an instruction of this name may reach there."""
    if name == "l32r":
        return target in literals
    if name == "call8":
        return target % 4 == 0 and names.get(target) == "entry"
    return target in names


def disassemble(code: bytes, start: int, end: int) -> dict[int, str]:
    """The name of every instruction from start to end, by its address."""
    places, at = [], start
    while at < end:
        places.append(at)
        at += 2 if code[at] & 15 >= 8 else 3
    chunks = [code[at:behind] for at, behind in zip(places, [*places[1:], at], strict=True)]
    text = "".join(" ".join(map(hex, chunk)) + "\n" for chunk in chunks)
    printed = run(tool("llvm-mc"), "--disassemble", "-triple=xtensa", "-mcpu=esp32", text=text)
    names = re.findall(r"^\t(\w[\w.]*)", printed, re.M)
    if at != end or len(names) != len(places):
        raise BuildError(f"the bytes from {start:#x} to {end:#x} are not instructions")
    return dict(zip(places, names, strict=True))
