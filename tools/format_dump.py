"""The worked example of FORMAT.md: a whole small file, byte by byte."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import numpy as np
from whit import layout
from whit.device import format as blob
from whit.device import opset
from whit.plan import plan
from whit.program import ROWS, Place, Port, Program, Step
from whit.write import write


def offsets(row: tuple) -> list[tuple[str, str, int, int]]:
    """(name, code, byte offset, width) of each field of a kernel's record."""
    at, found = 4, []
    for name, code in opset.fields_of(row):
        width = {"H": 2, "B": 1, "b": 1}.get(code, 4)
        assert at % width == 0, (row[1], name)
        found.append((name, code, at, width))
        at += width
    return found


def example() -> bytes:
    """Dense, three inputs, two outputs; all scales 1 but for the input's and output's."""
    weights = np.array([[1, 2, 3], [-4, 5, -6]], np.int8)
    bias = np.array([10, 20]) + 128 * weights[:, 1::2].sum(1)
    quant = layout.quant_blocks(bias, np.array([1 << 30] * 2), np.array([1, 1]))
    values = {"k": 3, "o": 2, "rows": 1, "zo": 0, "lo": -128, "hi": 127}
    arrays = {"w": layout.dense_blocks(weights), "q": quant}
    step = Step("dense", "dense", values, {"x": Place(0), "y": Place(1)}, arrays, opset.BOUNDED)
    ports = Port("in", (1, 3), "int8", 0.5, 0, 0), Port("out", (1, 2), "int8", 2.0, 0, 1)
    program = Program("example", (3, 2), (step,), ports[:1], ports[1:], ("no", "yes"))
    return write(program, plan(program))


def _pieces(data: bytes) -> Iterator[tuple[int, int, str]]:
    """(offset, bytes, meaning) of every field of the example."""
    names = ("magic", "crc32", "format major", "minor", "sections", "length", "arena bytes", "page bytes")
    at = 0
    for name, width, value in zip(names, (4, 4, 1, 1, 2, 4, 4, 4), struct.unpack_from(blob.HEADER, data), strict=True):
        yield at, width, f"{name} {value.decode() if isinstance(value, bytes) else value}"
        at += width
    titles = {blob.TENSORS: "TENSORS", blob.STEPS: "STEPS", blob.WEIGHTS: "WEIGHTS"}
    titles |= {blob.LABELS: "LABELS", blob.SELFTEST: "SELFTEST"}
    sections = [
        struct.unpack_from(blob.SECTION, data, at + blob.SECTION_BYTES * i)
        for i in range(struct.unpack_from("<H", data, 10)[0])
    ]
    for number, _, offset, length in sections:
        yield at, blob.SECTION_BYTES, f"section {number} {titles[number]}: at {offset}, {length} bytes"
        at += blob.SECTION_BYTES
    parts = {blob.TENSORS: _tensors, blob.STEPS: _steps, blob.WEIGHTS: _weights, blob.LABELS: _labels}
    for number, _, offset, length in sections:
        if offset > at:
            yield at, offset - at, "padding to 16"
        yield from parts.get(number, _selftest)(data, offset, length)
        at = offset + length
    if len(data) > at:
        yield at, len(data) - at, "padding to 4"


def _tensors(data: bytes, at: int, length: int) -> Iterator[tuple[int, int, str]]:
    end = at + length
    while at < end:
        fields = struct.unpack_from(blob.TENSOR, data, at)
        kind = "output" if fields[4] else "input"
        yield at, blob.TENSOR_BYTES, f"{kind}: arena offset {fields[0]}, {fields[1]} elements, scale {fields[2]}"
        at += blob.TENSOR_BYTES
        yield at, 4 * fields[6], f"shape {struct.unpack_from(f'<{fields[6]}I', data, at)}"
        at += 4 * fields[6]
        yield at, fields[7] + -fields[7] % 4, f"name '{data[at : at + fields[7]].decode()}', padded"
        at += fields[7] + -fields[7] % 4


def _steps(data: bytes, at: int, length: int) -> Iterator[tuple[int, int, str]]:
    row = ROWS["dense"]
    yield at, 4, "dense, flags BOUNDED, 40 bytes"
    values = struct.unpack_from(opset.struct_of(row), data, at)[3:]
    end = 4
    for (name, _, start, width), value in zip(offsets(row), values, strict=True):
        yield at + start, width, f"{name} {value}"
        end = start + width
    yield at + end, length - end, "padding"


def _weights(data: bytes, at: int, length: int) -> Iterator[tuple[int, int, str]]:
    for channel in range(4):
        yield at + 4 * channel, 4, f"w, channel {channel}" if channel < 2 else "w, padding"
    for start, name in ((16, "bias"), (32, "multiplier")):
        yield at + start, 16, f"{name} {struct.unpack_from('<4i', data, at + start)}"
    yield at + 48, 4, "right shift"
    assert length == 52


def _labels(data: bytes, at: int, length: int) -> Iterator[tuple[int, int, str]]:
    yield at, length, repr(data[at : at + length].decode())


def _selftest(data: bytes, at: int, length: int) -> Iterator[tuple[int, int, str]]:
    yield at, 4, "seed, reserved"
    yield at + 4, 4, "crc32 of what the step writes"


def dump() -> str:
    data = example()
    lines, end = [], 0
    for at, width, meaning in _pieces(data):
        assert at == end, (at, end)
        end = at + width
        for i in range(at, end, 12):
            row = data[i : min(i + 12, end)].hex(" ")
            lines.append(f"    {i:03x}  {row:35}  {meaning if i == at else ''}".rstrip())
    assert end == len(data)
    return "\n".join(lines) + "\n"
