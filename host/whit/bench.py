"""Count the instructions that a .whit file takes on an emulated core, whole and by layer.

Executed instructions are the same on every machine and in every run, and times are not. They are not cycles, of which
each takes one or two: emulate/cores.py says about how many on every core.
"""

from __future__ import annotations

import struct
from dataclasses import asdict, dataclass
from math import prod
from typing import Any

from . import cmsis_nn
from .device import check, opset
from .device import format as blob_format
from .emulate import Core, Job, run
from .errors import WhitError
from .inspect import describe
from .program import macs_of


@dataclass(frozen=True)
class Layer:
    """One step. `work` counts multiply-accumulates, or output bytes where there are none; cmsis_nn is its instructions,
    if they are known."""

    kernel: str
    shape: str
    outputs: int
    work: int
    instructions: int
    cmsis_nn: int | None


@dataclass(frozen=True)
class Report:
    """What a model takes on a core.

    instructions: from entering the kernel set to leaving it; for viper kernels, whose loop over the steps is bytecode,
        the sum of the layers.
    cmsis_nn: what CMSIS-NN takes for it there; None where that is not known.
    """

    model: str
    core: str
    kernels: str
    macs: int
    instructions: int
    cmsis_nn: int | None
    layers: tuple[Layer, ...]

    @property
    def ratio(self) -> float | None:
        """instructions / cmsis_nn"""
        return round(self.instructions / self.cmsis_nn, 4) if self.cmsis_nn else None

    def to_json(self) -> dict[str, Any]:
        """In types that json can write."""
        return asdict(self) | {"ratio": self.ratio}


def bench(data: bytes, name: str, core: Core, kernels: str = "native") -> Report:
    """Run a .whit file on `core` on the inputs of its self-test.

    Args:
        data: its bytes.
        name: what the report and messages call it.
        core: one of whit.emulate.CORES.
        kernels: "native" or "viper".

    Raises:
        WhitError: the file is not one that a board takes, the model does not fit the core, QEMU is not installed, or
            the core computed something else than the PC.
    """
    about = describe(data, name)
    inputs, golden = _selftest(data, about, name)
    jobs = [Job(data, inputs), Job(data, inputs, apart=True)]
    whole, apart = run(core, kernels, jobs)
    if apart.crc32 != golden or whole.outputs != apart.outputs:
        raise WhitError(f"{name}: the emulated {core.title} computes other bytes than the PC; report this as a bug")
    layers = tuple(_layer(step, n, core) for step, n in zip(about["steps"], apart.instructions, strict=True))
    macs = sum(macs_of(step["kernel"], step["fields"]) for step in about["steps"])
    int4 = any(step["fields"]["flags"] & opset.INT4 for step in about["steps"])
    others = {} if int4 else cmsis_nn.network(macs, [step["kernel"] for step in about["steps"]])
    return Report(name, core.name, kernels, macs, sum(whole.instructions), others.get(core.name), layers)


def _selftest(data: bytes, about: dict[str, Any], name: str) -> tuple[tuple[bytes, ...], int]:
    """The inputs of the file's golden vector, and the CRC32 of what the steps make of them."""
    _, sections, *_ = check.check(name, memoryview(data))
    if blob_format.SELFTEST not in sections:
        raise WhitError(f"{name}: has no self-test; pack it again")
    seed, _, golden = struct.unpack_from(blob_format.SELFTEST_RECORD, data, sections[blob_format.SELFTEST][0])
    inputs = [bytearray(prod(port["shape"])) for port in about["inputs"]]
    for buffer in inputs:
        seed = blob_format.noise(seed, buffer)
    return tuple(map(bytes, inputs)), golden


def _layer(step: dict[str, Any], instructions: int, core: Core) -> Layer:
    kernel, f = step["kernel"], step["fields"]
    outputs = _outputs(f)
    work = macs_of(kernel, f) or outputs
    per_unit = cmsis_nn.layer(kernel, f).get(core.name)
    return Layer(kernel, _shape(f), outputs, work, instructions, round(per_unit * work) if per_unit else None)


def _outputs(f: dict[str, int]) -> int:
    """Output bytes of a step."""
    for names in (("oh", "ow", "oc"), ("oh", "ow", "c"), ("rows", "o"), ("rows", "depth"), ("n0", "n1", "n2", "n3"),
                  ("c",), ("n",)):  # fmt: skip
        if all(n in f for n in names):
            return prod(f[n] for n in names)
    return 0


def _shape(f: dict[str, int]) -> str:
    return _sizes(f) + (", int4" if f["flags"] & opset.INT4 else "")


def _sizes(f: dict[str, int]) -> str:
    if "kh" in f:
        channels = f"{f['ic']}->{f['oc']}" if "ic" in f else f["c"]
        stride = f" s{f['sy']}" + (f",{f['sx']}" if f["sx"] != f["sy"] else "")
        return f"{f['kh']}x{f['kw']}{stride}, {f['ih']}x{f['iw']} -> {f['oh']}x{f['ow']}, {channels}"
    if "k" in f:
        return f"{f['k']} -> {f['o']}"
    return f"{_outputs(f):,} elements"
