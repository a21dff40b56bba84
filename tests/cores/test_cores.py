"""The shipped machine code on emulated cores: what x64 cannot show about 32 bits, alignment and instruction sets."""

from __future__ import annotations

import importlib
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from cores import CORES, Core, Job, fits, run
from whit import oracle, reference
from whit.pack import Packed, pack
from whit.verify import samples_for

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
def _cases() -> list[tuple[Job, list[bytes]]]:
    """Every case of every kernel's table with what the reference executor gives, which tests/kernels holds to TFLM."""
    sys.path.insert(0, str(KERNEL_TESTS))
    jobs = []
    for path in sorted(KERNEL_TESTS.glob("test_*.py")):
        for model in importlib.import_module(path.stem).models():
            packed = pack(model, path.stem)
            columns = _samples(packed, 2)
            for sample in zip(*columns, strict=True):
                outputs = reference.run(packed.program, sample)
                job = Job(packed.blob, tuple(x.tobytes() for x in sample))
                jobs.append((job, [y.tobytes() for y in outputs]))
    return jobs


@pytest.mark.parametrize("core", CORES, ids=lambda core: core.name)
def test_case_tables(core: Core):
    """Every kernel, every case."""
    cases = [(job, want) for job, want in _cases() if fits(core, job)]
    assert len(cases) > 0.9 * len(_cases())
    got = run(core, [job for job, _ in cases])
    wrong = [i for i, (have, (_, want)) in enumerate(zip(got, cases, strict=True)) if have != want]
    print(f"\n{core.name}: {len(cases)} runs, {len(wrong)} differ")
    assert not wrong


@cache
def _model(data: bytes, name: str) -> list[tuple[Job, list[bytes]]]:
    packed = pack(data, name)
    columns = _samples(packed, 1)
    expected = oracle.run(data, columns, name, len(packed.program.outputs))
    rows = zip(zip(*columns, strict=True), zip(*expected, strict=True), strict=True)
    return [(Job(packed.blob, tuple(x.tobytes() for x in xs)), [y.tobytes() for y in ys]) for xs, ys in rows]


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("core", [c for c in CORES if c.name != "m0"], ids=lambda core: core.name)
def test_models(core: Core, name: str, public_model):
    """Whole models against TensorFlow Lite Micro."""
    cases = _model(public_model(name), name)
    got = run(core, [job for job, _ in cases])
    for have, (_, want) in zip(got, cases, strict=True):
        assert have == want
