"""The shipped machine code on emulated cores: what x64 cannot show about 32 bits, alignment and instruction sets."""

from __future__ import annotations

import importlib
import shutil
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from poison import poisoned
from whit import oracle, reference
from whit.device import check, opset
from whit.device import format as blob_format
from whit.emulate import CORES, Core, Job, run
from whit.emulate.cores import DC233C, TRUE_M0
from whit.emulate.run import fits
from whit.pack import Packed, pack
from whit.verify import samples_for
from whit.write import seal

KERNEL_TESTS = Path(__file__).parent.parent / "kernels"
MODELS = (
    "hello_world_int8.tflite",
    "kws_ref_model.tflite",
    "pretrainedResnet_quant.tflite",
    "ad01_int8.tflite",
    "vww_96_int8.tflite",
)


def _samples(packed: Packed, count: int) -> list[np.ndarray]:
    """Random inputs and the extremes, one array per input, first axis samples."""
    rng = np.random.default_rng(2)
    pairs = zip(packed.graph.inputs, packed.program.inputs, strict=True)
    return [samples_for(packed.graph.tensors[i], port, count, rng) for i, port in pairs]


@cache
def _cases() -> dict[str, list[tuple[Job, tuple[bytes, ...]]]]:
    """The case tables of all kernels with what the reference executor gives, which tests/kernels holds to TFLM."""
    sys.path.insert(0, str(KERNEL_TESTS))
    tables = {}
    for path in sorted(KERNEL_TESTS.glob("test_*.py")):
        jobs = tables[path.stem] = []
        for model in importlib.import_module(path.stem).models():
            packed = pack(model, path.stem)
            columns = _samples(packed, 2)
            for sample in zip(*columns, strict=True):
                outputs = reference.run(packed.program, sample)
                job = poisoned(packed, tuple(x.tobytes() for x in sample), deep=True)
                jobs.append((job, tuple(y.tobytes() for y in outputs)))
    return tables


def _need(core: Core) -> None:
    if not shutil.which(core.emulator[0]):
        pytest.skip(f"{core.emulator[0]} is not installed; run: apt-get install qemu-system-arm qemu-system-misc")


@pytest.mark.parametrize("kernels", ["native", "viper"])
@pytest.mark.parametrize("core", (TRUE_M0, *CORES, DC233C), ids=lambda core: core.name)
def test_case_tables(core: Core, kernels: str):
    """Every kernel, every case."""
    _need(core)
    ran = differing = 0
    for cases in _cases().values():
        fitting = [(job, want) for job, want in cases if fits(core, kernels, job)]
        got = run(core, kernels, [job for job, _ in fitting])
        ran += len(got)
        differing += sum(have.outputs != want for have, (_, want) in zip(got, fitting, strict=True))
    print(f"\n{core.name}, {kernels}: {ran} runs, {differing} differ")
    assert not differing
    assert ran > 0.9 * sum(map(len, _cases().values()))


def _unbounded(job: Job) -> Job:
    """The same file without the packager's promise that fast paths ask for."""
    blob = bytearray(job.blob)
    _, sections, *_ = check.check("job", memoryview(blob))
    at, size = sections[blob_format.STEPS]
    end = at + size
    while at < end:
        blob[at + 1] &= ~opset.BOUNDED
        at += blob[at + 2] | blob[at + 3] << 8
    return replace(job, blob=seal(bytes(blob)))


@pytest.mark.parametrize("core", (TRUE_M0, *CORES, DC233C), ids=lambda core: core.name)
def test_case_tables_unbounded(core: Core):
    """Every case of a kernel with weights, by the paths for any weights."""
    _need(core)
    cases = [case for name in ("conv2d", "depthwise", "dense", "int4") for case in _cases()[f"test_{name}"]]
    fitting = [(_unbounded(job), want) for job, want in cases if fits(core, "native", job)]
    got = run(core, "native", [job for job, _ in fitting])
    assert [have.outputs for have in got] == [want for _, want in fitting]


@cache
def _model(data: bytes, name: str) -> list[tuple[Job, tuple[bytes, ...]]]:
    packed = pack(data, name)
    columns = _samples(packed, 1)
    expected = oracle.run(data, columns, name, len(packed.program.outputs))
    rows = zip(zip(*columns, strict=True), zip(*expected, strict=True), strict=True)
    return [
        (poisoned(packed, tuple(x.tobytes() for x in xs), deep=True), tuple(y.tobytes() for y in ys)) for xs, ys in rows
    ]


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("kernels", ["native", "viper"])
@pytest.mark.parametrize("core", (*CORES, DC233C), ids=lambda core: core.name)
def test_models(core: Core, kernels: str, name: str, public_model):
    """Whole models against TensorFlow Lite Micro, with all that is dead overwritten behind every step."""
    _need(core)
    cases = _model(public_model(name), name)
    if kernels == "viper":
        cases = cases[:1]
    got = run(core, kernels, [job for job, _ in cases])
    for have, (_, want) in zip(got, cases, strict=True):
        assert have.outputs == want
