"""Sound .whit files of every kind, and ways to change one byte or section of them."""

from __future__ import annotations

import struct
from functools import cache
from pathlib import Path

import nets
from whit import models
from whit.device import format as blob
from whit.pack import pack
from whit.write import seal

DIGITS = Path(models.__file__).with_name("digits") / "digits_int8.tflite"


@cache
def digits() -> bytes:
    """The example model: nine steps, labels."""
    return pack(DIGITS.read_bytes(), "digits").blob


@cache
def dense() -> bytes:
    """One step, one input of 8 and one output of 4."""
    return pack(nets.dense("dense"), "dense").blob


@cache
def scores(name: str) -> bytes:
    """One step, with the input and output of digits; its weights depend on the name."""
    return pack(nets.dense(name, 64, 10), name).blob


@cache
def add() -> bytes:
    """Two inputs of 45, one output."""
    return pack(nets.add("add"), "add").blob


@cache
def two_outputs() -> bytes:
    """One input, two outputs: logistic and tanh of every int8 value."""
    net = nets.Net("two_outputs")
    x = net.activation((1, 256), 0.05)
    y = net.activation((1, 256), 1 / 256, -128)
    z = net.activation((1, 256), 1 / 128)
    net.op("LOGISTIC", [x], [y])
    net.op("TANH", [x], [z])
    return pack(net.tflite([x], [y, z]), "two_outputs").blob


@cache
def quantize(source: str, target: str, x: tuple[float, int], y: tuple[float, int]) -> bytes:
    """256 values from one data type, scale and zero point to another."""
    return pack(nets.quantize("quantize", source, target, x, y), "quantize").blob


def find(data: bytes, number: int) -> tuple[int, int]:
    """Where a section lies: offset, bytes."""
    count = struct.unpack_from(blob.HEADER, data)[4]
    for i in range(count):
        found, _, offset, length = struct.unpack_from(blob.SECTION, data, blob.HEADER_BYTES + blob.SECTION_BYTES * i)
        if found == number:
            return offset, length
    raise KeyError(number)


def sealed(data: bytes) -> bytes:
    """`data` with its own length and CRC32 in the header."""
    return seal(data[:12] + struct.pack("<I", len(data)) + data[16:])


def with_byte(data: bytes, at: int, value: int) -> bytes:
    return sealed(data[:at] + bytes([value]) + data[at + 1 :])


def with_section(data: bytes, number: int, content: bytes) -> bytes:
    """`data` with one more section at its end."""
    magic, crc, major, minor, count, size, arena, spare = struct.unpack_from(blob.HEADER, data)
    end_of_table = blob.HEADER_BYTES + blob.SECTION_BYTES * count
    table = [list(struct.unpack_from(blob.SECTION, data, at)) for at in range(blob.HEADER_BYTES, end_of_table, 12)]
    shift = blob.ALIGN  # the table grows by an entry; every section moves by a whole alignment
    table = [[n, r, offset + shift, length] for n, r, offset, length in table]
    start = -(-(len(data) + shift) // blob.ALIGN) * blob.ALIGN
    table.append([number, 0, start, len(content)])
    out = struct.pack(blob.HEADER, magic, crc, major, minor, count + 1, size, arena, spare)
    out += b"".join(struct.pack(blob.SECTION, *entry) for entry in table)
    out += bytes(end_of_table + shift - len(out)) + data[end_of_table:]
    return sealed(out + bytes(start - len(out)) + content)
