"""write: a Program and its Plan -> the bytes of a .whit file, as FORMAT.md specifies them."""

from __future__ import annotations

import binascii
import struct

import numpy as np

from . import reference
from .device import format as blob
from .device import opset
from .device import state as state_section
from .errors import WhitError
from .page import groups
from .plan import Plan
from .program import ROWS, Program, Step

_SELFTEST_SEED = 0x5749
# The versions of files that earlier readers take too: no step has a flag but BOUNDED, no section that is new.
_BEFORE_INT4, _BEFORE_STATE = (1, 1), (2, 0)
_SINCE_2_1 = (blob.STATE, blob.FRONTEND, blob.DETECTION)


def write(program: Program, plan: Plan) -> bytes:
    """Serialize a planned program.

    Raises:
        WhitError: a value that the format's fields cannot hold.
    """
    runs = groups(program) if program.page_bytes else [list(program.steps)]
    weights, places, pages = _weights(runs)
    sections = {
        blob.TENSORS: _tensors(program, plan),
        blob.STEPS: _steps(program, plan, runs, places),
        blob.SELFTEST: _selftest(program),
    }
    if program.labels:
        sections[blob.LABELS] = "\n".join(program.labels).encode()
    if program.states:
        sections[blob.STATE] = _states(program, plan)
    sections.update(program.sections)
    if program.page_bytes:
        sections[blob.PAGES] = _pages(runs, pages)
    sections[blob.WEIGHTS] = weights  # last: a board that reads them page by page keeps what is before them
    body = bytearray()
    table = bytearray()
    start = blob.HEADER_BYTES + blob.SECTION_BYTES * len(sections)
    for number, data in sections.items():
        body += b"\0" * (-(start + len(body)) % blob.ALIGN)
        table += struct.pack(blob.SECTION, number, 0, start + len(body), len(data))
        body += data
    body += b"\0" * (-len(body) % 4)
    size = start + len(body)
    page_bytes = max([blob.ALIGN, *(stop - start for start, stop in pages)]) if program.page_bytes else 0
    version = _BEFORE_INT4
    if any(step.flags & opset.INT4 for step in program.steps):
        version = _BEFORE_STATE
    if any(number in sections for number in _SINCE_2_1):
        version = blob.VERSION
    header = struct.pack(blob.HEADER, blob.MAGIC, 0, *version, len(sections), size, plan.arena_bytes, page_bytes)
    return seal(header + table + body)


def seal(data: bytes) -> bytes:
    """`data` with the CRC32 of its header set to what its bytes give."""
    return data[:4] + struct.pack("<I", binascii.crc32(data[blob.CRC_FROM :])) + data[blob.CRC_FROM :]


def _weights(runs: list[list[Step]]) -> tuple[bytes, list[dict[bytes, int]], list[tuple[int, int]]]:
    """The WEIGHTS section; where the arrays of each run lie in it, and from where to where all of the run do.

    Equal arrays of a run are stored once.
    """
    section = bytearray()
    found, ends = [], []
    for run in runs:
        places: dict[bytes, int] = {}
        for data in (data for step in run for data in step.weights.values()):
            if data not in places:
                section += b"\0" * (-len(section) % blob.ALIGN)
                places[data] = len(section)
                section += data
        found.append(places)
        ends.append((min(places.values(), default=0), len(section) if places else 0))
    return bytes(section), found, ends


def _pages(runs: list[list[Step]], ends: list[tuple[int, int]]) -> bytes:
    section, end = b"", 0
    for run, (start, stop) in zip(runs, ends, strict=True):
        end += sum(struct.calcsize(opset.struct_of(ROWS[step.kernel])) for step in run)
        section += struct.pack(blob.PAGE, end, start, stop - start)
    return section


def _steps(program: Program, plan: Plan, runs: list[list[Step]], places: list[dict[bytes, int]]) -> bytes:
    section = bytearray()
    held = [arrays for run, arrays in zip(runs, places, strict=True) for _ in run]
    for i, step in enumerate(program.steps):
        row = ROWS[step.kernel]
        values = dict(step.values)
        for name, place in step.arena.items():
            values[name] = plan.offsets[place.buffer] + place.offset
        for name, data in step.weights.items():
            values[name] = held[i][data]
        names = [name for name, _ in opset.fields_of(row)]
        if "s" in names:
            values["s"] = plan.scratch[i]
        layout = opset.struct_of(row)
        try:
            section += struct.pack(layout, row[0], step.flags, struct.calcsize(layout), *(values[n] for n in names))
        except struct.error as e:
            raise WhitError(
                f"{program.name}: layer '{step.name}' is too large for the file format ({e}); make it smaller"
            ) from e
    return bytes(section)


def _states(program: Program, plan: Plan) -> bytes:
    """A record for each state, and its values behind it unless all are the same."""
    section = b""
    for state in program.states:
        same = len(set(state.initial)) == 1
        kind, value = (state_section.FILLED, state.initial[0]) if same else (state_section.STORED, 0)
        section += struct.pack(state_section.RECORD, plan.offsets[state.buffer], len(state.initial), kind, value)
        section += b"" if same else state.initial + b"\0" * (-len(state.initial) % 4)
    return section


def _tensors(program: Program, plan: Plan) -> bytes:
    section = bytearray()
    kinds = [blob.INPUT] * len(program.inputs) + [blob.OUTPUT] * len(program.outputs)
    for kind, port in zip(kinds, program.inputs + program.outputs, strict=True):
        name = port.name.encode()[:255].decode(errors="ignore").encode()
        section += struct.pack(
            blob.TENSOR,
            plan.offsets[port.buffer] + port.offset,
            int(np.prod(port.shape)),
            port.scale,
            port.zero_point,
            kind,
            blob.DTYPES.index(port.dtype),
            len(port.shape),
            len(name),
        )
        section += struct.pack(f"<{len(port.shape)}I", *port.shape) + name + b"\0" * (-len(name) % 4)
    return bytes(section)


def _selftest(program: Program) -> bytes:
    """A golden vector: the seed that makes the inputs, and a CRC32 over what each step of the reference writes."""
    seed = _SELFTEST_SEED
    inputs = []
    for port in program.inputs:
        data = bytearray(int(np.prod(port.shape)))
        seed = blob.noise(seed, data)
        inputs.append(np.frombuffer(bytes(data), port.dtype).reshape(port.shape))
    crc = 0

    def add(step: Step, written: np.ndarray) -> None:
        nonlocal crc
        row = ROWS[step.kernel]
        crc = binascii.crc32(written[: opset.written(row, step.fields)].tobytes(), crc)

    reference.run(program, inputs, add)
    return struct.pack(blob.SELFTEST_RECORD, _SELFTEST_SEED, 0, crc)
