"""The order in which kernels access memory: outputs over inputs, as far as FORMAT.md lets them, change no byte."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from access import KERNELS
from installed import WAYS, installed
from test_cores import KERNEL_TESTS, _need
from whit import reference
from whit.device import format as blob_format
from whit.device import opset
from whit.emulate import CORES, Core, Job, run
from whit.emulate.cores import DC233C, TRUE_M0
from whit.emulate.run import fits
from whit.inspect import describe
from whit.lifetimes import aligned
from whit.pack import Packed, pack
from whit.plan import Plan
from whit.simulate import simulate
from whit.verify import samples_for
from whit.write import write

Fields = dict[str, int]
# A kernel's moments, counted up as FORMAT.md describes its order: when each byte of the input is read for the last
# time (-1: never), and when each byte of the output is written, which is behind the reads of the same moment.
Moments = tuple[np.ndarray, np.ndarray]


def _conv2d(f: Fields) -> Moments:
    read = np.full((f["ih"], f["iw"], f["ic"]), -1)
    for pixel in range(f["oh"] * f["ow"]):
        y, x = pixel // f["ow"] * f["sy"] - f["py"], pixel % f["ow"] * f["sx"] - f["px"]
        rows = [i for i in range(y, y + f["kh"] * f["dy"], f["dy"]) if 0 <= i < f["ih"]]
        columns = [i for i in range(x, x + f["kw"] * f["dx"], f["dx"]) if 0 <= i < f["iw"]]
        read[np.ix_(rows, columns)] = pixel
    return read, np.repeat(np.arange(f["oh"] * f["ow"]), f["oc"])


def _depthwise(f: Fields) -> Moments | None:
    if f["ic"] != f["oc"]:
        return None
    read = np.full((f["ih"], f["iw"], f["ic"]), -1)
    channels = np.arange(f["ic"]) * f["oh"]
    for r in range(f["oh"]):
        y = r * f["sy"] - f["py"]
        for i in range(y, y + f["kh"] * f["dy"], f["dy"]):
            if 0 <= i < f["ih"] and read[i, 0, 0] < 0:  # once, for all windows that reach it
                read[i] = channels + r
    written = np.arange(f["oh"])[:, None, None] + channels
    return read, np.broadcast_to(written, (f["oh"], f["ow"], f["oc"]))


def _dense(f: Fields) -> Moments | None:
    rows = np.arange(f["rows"])
    return (np.repeat(rows, f["k"]), np.repeat(rows, f["o"])) if f["k"] <= opset.WIDENED else None


def _pool(f: Fields) -> Moments:
    read, written = _conv2d(f | {"ic": f["c"], "oc": f["c"], "dy": 1, "dx": 1})
    channels = np.arange(f["c"])
    return np.where(read < 0, -1, read * f["c"] + channels), written * f["c"] + np.tile(channels, f["oh"] * f["ow"])


def _elementwise(f: Fields) -> Moments:
    elements = np.arange(f["n"])
    return elements, elements


def _softmax(f: Fields) -> Moments:
    return _elementwise({"n": f["rows"] * f["depth"]})


def _mean(f: Fields) -> Moments:
    channels = np.arange(f["c"])
    return np.tile(channels, f["n"]), channels


ORDERS: dict[str, Callable[[Fields], Moments | None]] = {
    "conv2d": _conv2d,
    "depthwise": _depthwise,
    "dense": _dense,
    "average_pool": _pool,
    "max_pool": _pool,
    "add": _elementwise,
    "lookup": _elementwise,
    "softmax": _softmax,
    "mean": _mean,
}


def _distances(moments: Moments) -> set[int]:
    """How far behind the input an output may start, as tensors do at multiples of 16: with the most bytes in common,
    and the farthest."""
    read, written = (m.reshape(-1) for m in moments)
    common = {}
    first = -(len(written) - 1) // blob_format.ALIGN * blob_format.ALIGN
    for distance in range(first, len(read), blob_format.ALIGN):
        start, stop = max(0, -distance), min(len(written), len(read) - distance)
        if start < stop and (written[start:stop] >= read[start + distance : stop + distance]).all():
            common[distance] = stop - start
    return {max(common, key=lambda d: (common[d], d)), max(common)} if common else set()


def _overlapping(packed: Packed) -> Iterator[bytes]:
    """The model with its output over an input."""
    (step,), buffers = packed.program.steps, packed.program.buffers
    moments = ORDERS[step.kernel](step.values)
    scratch = step.extents().get("s", 0)
    y = step.arena["y"].buffer
    for name in {"a", "b", "x"} & step.arena.keys() if moments else ():
        x = step.arena[name].buffer
        for distance in _distances(moments):
            offsets = [0] * len(buffers)
            offsets[x] = aligned(scratch) + aligned(buffers[y])
            offsets[y] = offsets[x] + distance
            end = max(offsets[x] + buffers[x], offsets[y] + buffers[y])
            for other in set(range(len(buffers))) - {x, y}:
                offsets[other] = aligned(end)
                end = offsets[other] + buffers[other]
            yield write(packed.program, Plan(aligned(end), tuple(offsets), (0,), 0, ()))


@cache
def _cases() -> dict[str, list[tuple[Job, tuple[bytes, ...]]]]:
    """By kernel: jobs out of the case tables, and their outputs."""
    sys.path.insert(0, str(KERNEL_TESTS))
    rng = np.random.default_rng(3)
    cases: dict[str, list[tuple[Job, tuple[bytes, ...]]]] = {kernel: [] for kernel in ORDERS}
    for path in sorted(KERNEL_TESTS.glob("test_*.py")):
        for model in importlib.import_module(path.stem).models():
            packed = pack(model, path.stem)
            if len(packed.program.steps) != 1 or packed.program.steps[0].kernel not in ORDERS:
                continue
            pairs = zip(packed.graph.inputs, packed.program.inputs, strict=True)
            sample = tuple(samples_for(packed.graph.tensors[i], port, 1, rng)[0] for i, port in pairs)
            outputs = tuple(y.tobytes() for y in reference.run(packed.program, sample))
            for blob in _overlapping(packed):
                cases[packed.program.steps[0].kernel].append((Job(blob, tuple(x.tobytes() for x in sample)), outputs))
    return cases


def test_every_kernel_with_an_order_is_here():
    assert set(ORDERS) == set(KERNELS)


@pytest.mark.parametrize("kernel", ORDERS)
def test_cases(kernel: str):
    """There is something to try for every kernel."""
    sizes = [sum(map(len, outputs)) for _, outputs in _cases()[kernel]]
    assert len(sizes) >= 3, kernel


@pytest.mark.parametrize("kernels", ["native", "viper"])
@pytest.mark.parametrize("core", (TRUE_M0, *CORES, DC233C), ids=lambda core: core.name)
def test_overlap(core: Core, kernels: str):
    """Every kernel that promises an order."""
    _need(core)
    differing = {}
    for kernel, cases in _cases().items():
        fitting = [(job, want) for job, want in cases if fits(core, kernels, job)]
        got = run(core, kernels, [job for job, _ in fitting]) if fitting else []
        assert len(got) > 0.7 * len(cases), kernel
        wrong = sum(have.outputs != want for have, (_, want) in zip(got, fitting, strict=True))
        if wrong:
            differing[kernel] = f"{wrong} of {len(got)}"
    assert not differing


@pytest.mark.parametrize("way", WAYS)
def test_overlap_on_pc(way: str):
    """The same under the unix port."""
    kernels, names = WAYS[way]
    differing = []
    with installed(names) as folder:
        for kernel, cases in _cases().items():
            for job, want in cases:
                ports = describe(job.blob)["inputs"]
                inputs = [
                    np.frombuffer(x, p["dtype"]).reshape(1, *p["shape"]) for x, p in zip(job.inputs, ports, strict=True)
                ]
                got = simulate(Path("case.whit"), job.blob, inputs, kernels, prebuilt=folder)
                if tuple(y.tobytes() for y in got) != want:
                    differing.append(kernel)
    assert not differing
