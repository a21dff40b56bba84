"""Build the program that runs kernels on emulated cores: tools/harness -> host/whit/emulate/harness_ISA.json.

    python tools/build_harness.py                 build it for every instruction set
    python tools/build_harness.py --output DIR    into another folder

Each file holds flat code, in hexadecimal, and the places of its labels. Needs clang-22, lld-22 and llvm-22 (apt).
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
from pathlib import Path

import xtensa
from build_kernels import ARCHES, ROOT, link
from llvm import BuildError, run, tool
from whit import files

SOURCES = ROOT / "tools/harness"
OUTPUT = ROOT / "host/whit/emulate"
ARCH_OF = {"thumb": "armv6m", "rv32": "rv32imc", "xtensa": "xtensawin"}  # instruction set -> what it is compiled as


def build(isa: str) -> dict[str, dict]:
    """Of each part of the program: its code and its labels."""
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        arch = next(arch for arch in ARCHES if arch.name == ARCH_OF[isa])
        extra = ("-march=rv32imc_zicsr",) if isa == "rv32" else ()
        elf, flat = link(arch, work, SOURCES / "harness.c", extra), work / "harness.bin"
        run(tool("llvm-objcopy"), "-O", "binary", "-j", ".text", str(elf), str(flat))
        listing = run(tool("llvm-readelf"), "--section-headers", "--symbols", "--wide", str(elf))
        text = re.search(r"\.text\s+PROGBITS\s+([0-9a-f]+)", listing)
        assert text
        found = re.findall(r"^ *\d+: (\w+) .* (entry|fault|table_\w+)$", listing, re.M)
        labels = {name: int(at, 16) - int(text[1], 16) for at, name in found}
        parts = {"harness": _part(flat.read_bytes(), labels)}
        if isa == "xtensa":
            lines = map(xtensa.plain, (SOURCES / "xtensa.S").read_text().splitlines())
            code, labels, _ = xtensa.assemble(lines, work / "boot.o")
            parts["boot"] = _part(code, {name: labels[name] for name in ("read", "write", "now", "stop")})
    return parts


def _part(code: bytes, labels: dict[str, int]) -> dict:
    return {"labels": dict(sorted(labels.items())), "code": code.hex()}


def main() -> int:
    parser = argparse.ArgumentParser(description="Build the program that runs kernels on emulated cores.")
    parser.add_argument("--output", type=Path, default=OUTPUT, metavar="DIR", help="default: host/whit/emulate")
    folder = parser.parse_args().output
    try:
        built = {f"harness_{isa}.json": build(isa) for isa in ARCH_OF}
    except BuildError as e:
        print(f"build_harness: {e}", file=sys.stderr)
        return 2
    for name, parts in built.items():
        files.write(folder / name, (json.dumps(parts, indent=1) + "\n").encode())
        print(f"{name} {sum(len(part['code']) // 2 for part in parts.values())} bytes of code")
    return 0


if __name__ == "__main__":
    sys.exit(main())
