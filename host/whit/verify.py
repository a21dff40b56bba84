"""verify: every kernel set against TensorFlow Lite Micro, byte for byte, on random and on extreme inputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from . import oracle
from .graph import Graph, Tensor
from .pack import pack
from .program import Port
from .simulate import KERNEL_SETS, simulate
from .write_tflite import write_tflite


@dataclass(frozen=True)
class Result:
    """How one kernel set did. Counts are of output bytes over all samples."""

    kernels: str
    samples: int
    compared: int
    differing: int


def verify(
    data: bytes,
    path: Path,
    samples: int = 20,
    seed: int = 0,
    progress: Callable[[str, int, int], None] = lambda kernels, done, total: None,
) -> list[Result]:
    """Compare on `samples` random inputs plus all-minimum, all-maximum and zero-point ones.

    A model with float edges (QUANTIZE and DEQUANTIZE) is compared on its float values.
    """
    packed = pack(data, path.name)
    graph = packed.graph
    rng = np.random.default_rng(seed)
    inputs = [
        samples_for(graph.tensors[i], port, samples, rng)
        for i, port in zip(graph.inputs, packed.program.inputs, strict=True)
    ]
    expected = oracle.run(_reference(data, graph), inputs, path.name, len(graph.outputs))
    if any(x.dtype.kind == "f" for x in inputs):  # then all go in as real values
        inputs = [_real(x, port) for x, port in zip(inputs, packed.program.inputs, strict=True)]
    results = []
    for kernels in KERNEL_SETS:
        got = simulate(path, packed.blob, inputs, kernels, progress=partial(progress, kernels))
        results.append(Result(kernels, len(inputs[0]), *_compare(packed.program.outputs, expected, got)))
    return results


def _reference(data: bytes, graph: Graph) -> bytes:
    """The model as TensorFlow Lite Micro takes it, which knows 4-bit weights of dense layers only with one scale."""
    tensors = tuple(replace(t, dtype="int8") if t.dtype == "int4" else t for t in graph.tensors)
    four = any(t.dtype == "int4" for t in graph.tensors)
    return write_tflite(replace(graph, tensors=tensors)) if four else data


def samples_for(tensor: Tensor, port: Port, count: int, rng: np.random.Generator) -> np.ndarray:
    """`count` random inputs, then the three extremes, in the model's own data type, shaped (samples, *shape)."""
    limits = np.iinfo(port.dtype)
    shape = (count, *port.shape)
    extremes = [np.full(port.shape, v) for v in (limits.min, limits.max, port.zero_point)]
    if tensor.dtype != "float32":
        random = rng.integers(limits.min, limits.max, shape, dtype=port.dtype, endpoint=True)
        return np.concatenate([random, np.array(extremes).astype(port.dtype)])
    # Real values over the whole range and past both ends; every other sample on the ties between two levels.
    q = rng.uniform(limits.min - 8, limits.max + 8, shape)
    q[::2] = np.floor(q[::2]) + 0.5
    real = (np.concatenate([q, np.array(extremes)]) - port.zero_point) * port.scale
    return real.astype(np.float32)


def _real(values: np.ndarray, port: Port) -> np.ndarray:
    """Quantized values as float32, the way DEQUANTIZE computes them; float32 passes through."""
    if values.dtype.kind == "f":
        return values
    return np.float32(port.scale or 1) * (values.astype(np.int32) - port.zero_point).astype(np.float32)


def _compare(ports: Sequence[Port], expected: list[np.ndarray], got: list[np.ndarray]) -> tuple[int, int]:
    """(output bytes compared, bytes that differ); where one side is real values, both are compared as such."""
    compared = differing = 0
    for port, want, have in zip(ports, expected, got, strict=True):
        if want.dtype != have.dtype:
            want, have = _real(want, port), _real(have, port)
        a, b = (np.ascontiguousarray(values).view(np.uint8).reshape(-1) for values in (want, have))
        compared += a.size
        differing += int(np.count_nonzero(a != b))
    return compared, differing
