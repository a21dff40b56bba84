"""Layers whose output lies over their input, as FORMAT.md lets a planner put it, on emulated cores."""

from __future__ import annotations

import struct
from binascii import crc32

import numpy as np
import pytest
from nets import convolution
from test_cores import _need
from whit import reference
from whit.device import check, opset
from whit.device import format as blob_format
from whit.emulate import CORES, Core, Job, run
from whit.pack import pack

POINTWISE = [
    dict(x=(1, columns, channels), out=channels, k=(1, 1)) for columns in range(1, 10) for channels in (4, 5, 8, 13)
]
NARROWING = [dict(x=(2, columns, 12), out=5, k=(1, 1)) for columns in (1, 3, 5)]
DEPTHWISE = [
    dict(x=(6, columns, 5), out=1, k=k, stride=stride, depthwise=True)
    for columns in (1, 2, 3, 5, 6, 9)
    for k in ((3, 3), (5, 5), (1, 1), (2, 3))
    for stride in ((1, 1), (2, 2))
]
KEEPING = [core for core in CORES if core.name in ("m0plus",)]  # whose kernels keep that order


def _in_place(case: dict) -> tuple[Job, bytes]:
    """A file of one step that writes where it reads, and what it should write."""
    packed = pack(convolution("in_place", **case), "in_place")
    blob = bytearray(packed.blob)
    _, sections, _ = check.check("in place", memoryview(blob))
    step, (tensors, size) = sections[blob_format.STEPS][0], sections[blob_format.TENSORS]
    x, y = struct.unpack_from("<II", blob, step + 4)
    struct.pack_into("<I", blob, step + 8, x)
    record = tensors + size // 2  # the output's, which is as long as the input's
    assert struct.unpack_from("<I", blob, record)[0] == y
    struct.pack_into("<I", blob, record, x)
    row, fields = next(opset.records(blob[step:]))
    read, wrote, _, _, scratch = row[3](fields)
    assert fields["s"] >= x + max(read, wrote) or fields["s"] + scratch <= x
    blob[4:8] = crc32(blob[8:]).to_bytes(4, "little")
    values = np.random.default_rng(4).integers(-128, 128, packed.program.inputs[0].shape).astype(np.int8)
    return Job(bytes(blob), (values.tobytes(),)), reference.run(packed.program, (values,))[0].tobytes()


@pytest.mark.parametrize("cases", [POINTWISE + NARROWING, DEPTHWISE], ids=["pointwise", "depthwise"])
@pytest.mark.parametrize("core", KEEPING, ids=lambda core: core.name)
def test_an_output_over_its_input(core: Core, cases: list[dict]):
    """Every number of pixels that a block of them leaves over, every row length."""
    _need(core)
    made = [_in_place(case) for case in cases]
    got = run(core, "native", [job for job, _ in made])
    assert [have.outputs[0] for have in got] == [want for _, want in made]
