"""assert_exact: one model through every way of running it, each output byte against TensorFlow Lite Micro."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from installed import WAYS, installed
from whit import oracle, reference
from whit.pack import pack
from whit.simulate import simulate
from whit.verify import samples_for


def assert_exact(
    model: bytes, samples: int = 6, inputs: list[np.ndarray] | None = None, same_as: bytes = b""
) -> list[np.ndarray]:
    """Run random and extreme inputs (or the given ones) and compare; returns what the reference gave. They follow one
    another, as the state of a streaming model has it.

    same_as: a model that computes the same, for a reference that does not take this one.
    """
    packed = pack(model, "case")
    graph = packed.graph
    if inputs is None:
        rng = np.random.default_rng(1)
        pairs = zip(graph.inputs, packed.program.inputs, strict=True)
        inputs = [samples_for(graph.tensors[i], port, samples, rng) for i, port in pairs]
    expected = oracle.run(same_as or model, inputs, "case", len(graph.outputs))
    if all(x.dtype.kind in "iu" for x in inputs):
        memory = reference.memory_of(packed.program)
        for i, sample in enumerate(zip(*inputs, strict=True)):
            for want, got in zip(expected, reference.run(packed.program, sample, memory=memory), strict=True):
                np.testing.assert_array_equal(got, want[i], "numpy reference")
    for way, (kernels, names) in WAYS.items():
        with installed(names) as folder:
            got = simulate(Path("case.whit"), packed.blob, inputs, kernels, prebuilt=folder)
        for want, have in zip(expected, got, strict=True):
            np.testing.assert_array_equal(have.reshape(-1), want.reshape(-1), f"{way} kernels")
    return expected
