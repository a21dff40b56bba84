"""Write what is derived from the runtime's tables: C structs and dispatch, and the fields of the viper kernels.

python tools/generate_format.py            write the files
python tools/generate_format.py --check    exit 1 and name each file that differs
"""

from __future__ import annotations

import re
import struct
import sys
from pathlib import Path

from format_dump import dump, offsets
from whit.device import opset

ROOT = Path(__file__).resolve().parent.parent

HEADER = ROOT / "device/kernels/opset.h"
DISPATCH = ROOT / "device/kernels/dispatch.h"
FORMAT = ROOT / "FORMAT.md"
NOTE = "// Generated from device/whit/opset.py by tools/generate_format.py; change it there."
C_TYPES = {"I": "uint32_t", "i": "int32_t", "H": "uint16_t", "B": "uint8_t", "b": "int8_t"}
WORDS = {
    "a": "u32, offset in the arena",
    "w": "u32, offset in WEIGHTS, multiple of 4",
    "s": "u32, offset of scratch in the arena, multiple of 4",
    "I": "u32",
    "i": "i32",
    "H": "u16",
    "B": "u8",
    "b": "i8",
}


# Of opset.py, beside the fields: the flags, and the limits that the kernels know as well.
CONSTANTS = {name: getattr(opset, name) for name in ("BOUNDED", "INT4", "WIDENED", "PIECE", "PLANE", "TABLED")}
FLAGS = 1  # where a record has them


def header() -> str:
    out = [NOTE, "#ifndef WHIT_OPSET_H", "#define WHIT_OPSET_H", "#include <stdint.h>", ""]
    out += [*(f"#define {name} {value}" for name, value in CONSTANTS.items()), ""]
    for row in opset.KERNELS:
        out.append("typedef struct {")
        out.append("    uint8_t kernel, flags; uint16_t size;")
        for name, code, _, _ in offsets(row):
            out.append(f"    {C_TYPES.get(code, 'uint32_t')} {name};")
        out.append(f"}} {row[1]}_step;")
        size = struct.calcsize(opset.struct_of(row))
        out += [f'_Static_assert(sizeof({row[1]}_step) == {size}, "{row[1]}: record size");', ""]
    return "\n".join([*out, "#endif", ""])


def dispatch() -> str:
    out = [NOTE, '#include "whit.h"', ""]
    # Kept apart, each function has a size of its own to report and uses the stack only while it runs.
    out += [f"static NOINLINE void {r[1]}(const {r[1]}_step *, const uint8_t *, uint8_t *);" for r in opset.KERNELS]
    out += ["", *(f'#include "{row[1]}.c"' for row in opset.KERNELS)]
    out += [
        "",
        "static void dispatch(const uint8_t *step, const uint8_t *weights, uint8_t *arena) {",
        "    switch (*step) {",
    ]
    for row in opset.KERNELS:
        out.append(f"    case {row[0]}: {row[1]}((const {row[1]}_step *)step, weights, arena); break;")
    return "\n".join([*out, "    }", "}", ""])


def viper(row, text: str) -> str:
    """The kernel's module with its field constants, in units of each field's width, between the two marks."""
    values = {name.upper(): at // width for name, _, at, width in offsets(row)} | CONSTANTS
    values["FLAGS"] = FLAGS
    code = text.split("# [end]")[1]
    used = [f"_{name} = const({value})" for name, value in values.items() if re.search(rf"\b_{name}\b", code)]
    body = "\n".join(["# [fields]", *used, "# [end]"])
    return re.sub(r"# \[fields\].*?# \[end\]", lambda _: body, text, flags=re.S)


def between(text: str, name: str, body: str) -> str:
    """`text` with what stands between the marks of `name` replaced."""
    return re.sub(rf"(<!-- {name} -->\n).*?(<!-- end -->)", lambda m: m[1] + body + m[2], text, flags=re.S)


def format_page(text: str) -> str:
    records = []
    for row in opset.KERNELS:
        size = struct.calcsize(opset.struct_of(row))
        records.append(f"**{row[0]} {row[1]}**, {size} bytes\n\n| at | field | type |\n|---|---|---|\n")
        records[-1] += "".join(f"| {at} | {name} | {WORDS[code]} |\n" for name, code, at, _ in offsets(row))
    return between(between(text, "kernels", "\n".join(records)), "dump", dump())


def files() -> dict[Path, str]:
    out = {HEADER: header(), DISPATCH: dispatch()}
    for row in opset.KERNELS:
        path = ROOT / f"device/whit/viper/{row[1]}.py"
        out[path] = viper(row, path.read_text())
    if FORMAT.exists():
        out[FORMAT] = format_page(FORMAT.read_text())
    return out


def main() -> int:
    stale = [(p, t) for p, t in files().items() if not p.exists() or p.read_text() != t]
    for path, text in stale:
        if "--check" in sys.argv:
            print(
                f"{path.relative_to(ROOT)} does not follow device/whit/opset.py; run: python tools/generate_format.py"
            )
        else:
            path.write_text(text)
            print(f"wrote {path.relative_to(ROOT)}")
    return 1 if stale and "--check" in sys.argv else 0


if __name__ == "__main__":
    sys.exit(main())
