"""Graphs under TensorFlow Lite Micro: one process for all models, as starting one for each takes longer."""

from __future__ import annotations

import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache

import numpy as np
from whit.graph import Graph
from whit.write_tflite import write_tflite


def _invoke(model: bytes, samples: list[list[np.ndarray]], outputs: int) -> list[list[np.ndarray]]:
    from tflite_micro.python.tflite_micro import runtime

    interpreter = runtime.Interpreter.from_bytes(model, arena_size=4 << 20)
    results = []
    for sample in samples:
        for i, x in enumerate(sample):
            interpreter.set_input(x, i)
        interpreter.invoke()
        results.append([interpreter.get_output(i).copy() for i in range(outputs)])
    return results


@cache
def _process() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))


def invoke(graph: Graph, samples: list[list[np.ndarray]]) -> list[list[np.ndarray]]:
    """For each sample its outputs, both as the graph has them."""
    return _process().submit(_invoke, write_tflite(graph), samples, len(graph.outputs)).result()


def run(graph: Graph, samples: Sequence[Sequence[np.ndarray]]) -> list[list[np.ndarray]]:
    """For each sample its outputs; inputs and outputs as the model had them, before its axes moved."""
    moved = [[_moved(x, graph.input_axes, i) for i, x in enumerate(sample)] for sample in samples]
    for i, index in enumerate(graph.inputs):
        assert all(sample[i].shape == graph.tensors[index].shape for sample in moved)
    return [
        [_moved(y, graph.output_axes, i, back=True) for i, y in enumerate(sample)] for sample in invoke(graph, moved)
    ]


def _moved(x: np.ndarray, axes: tuple[tuple[int, ...], ...], i: int, back: bool = False) -> np.ndarray:
    order = axes[i] if axes else ()
    return np.ascontiguousarray(x.transpose(np.argsort(order) if back else order)) if order else x


def assert_same(graph: Graph, samples: list[list[np.ndarray]], expected: list[list[np.ndarray]]) -> None:
    """The graph computes what the model does, up to float32's rounding in sums of another order."""
    for sample, wanted in zip(run(graph, samples), expected, strict=True):
        for got, want in zip(sample, wanted, strict=True):
            assert got.shape == want.shape
            np.testing.assert_allclose(got, want, rtol=2e-5, atol=2e-5 * max(1.0, float(np.abs(want).max())))
