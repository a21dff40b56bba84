"""The published wake-word models over 2,000 consecutive frames, against TensorFlow Lite Micro."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pymicro_wakeword
import pytest
from installed import WAYS, installed
from sounds import reference, speech
from test_cores import _need
from unrolled import unrolled
from whit import oracle
from whit.emulate import CORES, Core, Job, run
from whit.pack import Packed, pack
from whit.read import read
from whit.simulate import simulate
from whit.write_tflite import write_tflite

FRAMES = 2000
MODELS = ("hey_jarvis", "okay_nabu")
FOLDER = Path(pymicro_wakeword.__file__).parent / "models"


@cache
def _inputs() -> np.ndarray:
    """int8 [2000, 1, 3, 40]: the features of a minute of speech, and a quarter of random ones between them."""
    heard = reference(speech()).astype(float) * 0.0390625 / 0.10196078568696976
    x = np.clip(np.round(heard - 128), -128, 127).astype(np.int8)
    x = x[: len(x) // 3 * 3].reshape(-1, 1, 3, 40)
    assert len(x) > 1500
    random = np.random.default_rng(4).integers(-128, 128, (FRAMES - 1500, 1, 3, 40)).astype(np.int8)
    return np.concatenate([x[:750], random, x[750:1500]])


def _model(name: str) -> bytes:
    return (FOLDER / f"{name}.tflite").read_bytes()


def _seen(name: str) -> bytes:
    """The same model with what its hidden layers compute as outputs: a byte that differs there, differs."""
    graph = read(_model(name), name)
    made = [op.outputs[0] for op in graph.operators if op.kind in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")]
    return write_tflite(replace(graph, outputs=(*graph.outputs, *made)))


@cache
def _expected(name: str) -> tuple[Packed, np.ndarray]:
    packed = pack(_model(name), name)
    (probabilities,) = oracle.run(_model(name), [_inputs()], name, 1)
    assert len(np.unique(probabilities)) > 30  # so many different answers
    return packed, probabilities


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", MODELS)
def test_on_the_pc(name: str, way: str):
    packed, expected = _expected(name)
    kernels, names = WAYS[way]
    with installed(names) as folder:
        (got,) = simulate(Path(f"{name}.whit"), packed.blob, [_inputs()], kernels, prebuilt=folder)
    assert np.count_nonzero(got.reshape(-1) != expected.reshape(-1)) == 0


@pytest.mark.parametrize("kernels", ["native", "viper"])
@pytest.mark.parametrize("name", MODELS)
def test_every_layer(name: str, kernels: str):
    model = _seen(name)
    packed = pack(model, name)
    expected = oracle.run(model, [_inputs()], name, len(packed.program.outputs))
    got = simulate(Path(f"{name}.whit"), packed.blob, [_inputs()], kernels)
    assert len(got) > 8
    for have, want in zip(got, expected, strict=True):
        assert np.count_nonzero(have.reshape(-1) != want.reshape(-1)) == 0


@pytest.mark.parametrize(
    "core", [c for c in CORES if c.name in ("m0plus", "m4", "rv32", "xtensa")], ids=lambda c: c.name
)
@pytest.mark.parametrize("name", MODELS)
def test_on_cores(core: Core, name: str):
    """The native code as shipped."""
    _need(core)
    _, expected = _expected(name)
    (got,) = run(core, "native", [Job(_unrolled(name), (_inputs().tobytes(),))])
    assert np.count_nonzero(np.frombuffer(got.outputs[0], np.uint8) != expected.reshape(-1)) == 0


@cache
def _unrolled(name: str) -> bytes:
    return unrolled(_expected(name)[0], FRAMES)
