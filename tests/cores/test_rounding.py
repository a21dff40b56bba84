"""Rounding on emulated cores, where fast paths have their own: accumulators that no trained model may show."""

from __future__ import annotations

import struct
from itertools import product

import numpy as np
import pytest
from nets import convolution, dense
from test_cores import _need
from whit import fixedpoint as fp
from whit import layout
from whit.device import check, opset
from whit.device import format as blob_format
from whit.emulate import CORES, Core, Job, run
from whit.emulate.cores import DC233C
from whit.pack import pack
from whit.write import seal

CHANNELS, PIXELS = 64, 35
LIMIT = (1 << 29) - (1 << 16)  # what a dense layer's correction leaves of the bound
CLAMPS = ((-128, -128, 127), (7, 7, 127), (3, -128, 127), (-20, -20, 60), (5, -50, 50), (127, -128, 127))


def _quantization(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Biases near ties, near multiples of 2^16, at the bounds; multipliers with their bounds; shifts."""
    n = CHANNELS
    shift = rng.integers(1, 29, n)
    multiplier = rng.choice([rng.integers(1 << 30, 1 << 31, n), np.full(n, 1 << 30), np.full(n, (1 << 31) - 1)], axis=0)
    ties = ((rng.integers(-300, 300, n) << shift) + (1 << shift >> 1)) * (1 << 31) // multiplier
    kinds = [
        ties + rng.integers(-2, 3, n),
        rng.integers(-LIMIT, LIMIT, n),
        rng.integers(-70000, 70000, n),
        rng.integers(-512, 513, n) * 65536 + rng.integers(-3, 4, n),
        rng.choice([-LIMIT, LIMIT], n),
        rng.integers(-3, 4, n),
    ]
    bias = np.array(kinds)[rng.integers(0, len(kinds), n), np.arange(n)]
    return np.clip(bias, -LIMIT, LIMIT), multiplier, shift


def _case(kernel: str, clamp: tuple[int, int, int], rng: np.random.Generator) -> tuple[Job, bytes]:
    """A file in which output channel o is bias[o] + one input value, requantized; and what comes of it."""
    weights = np.zeros((CHANNELS, 9 if kernel == "depthwise" else 4), np.int8)
    weights[:, 4 if kernel == "depthwise" else 0] = 1
    if kernel == "conv2d":
        model, clamp_at = convolution("r", x=(5, 7, 4), out=CHANNELS, k=(1, 1)), 45
        data = layout.quad_blocks(weights)
    elif kernel == "depthwise":
        model, clamp_at = convolution("r", x=(5, 7, CHANNELS), out=1, depthwise=True), 45
        data = weights.tobytes()
    else:
        model, clamp_at = dense("r", k=4, o=CHANNELS, rows=PIXELS), 34
        data = layout.dense_blocks(weights)
    blob = bytearray(pack(model, "r").blob)
    _, sections, *_ = check.check("r", memoryview(blob))
    step, weights_at = sections[blob_format.STEPS][0], sections[blob_format.WEIGHTS][0]
    fields = next(opset.records(blob[step:]))[1]
    bias, multiplier, shift = _quantization(rng)
    zo, lo, hi = clamp
    blob[step + 1] |= opset.BOUNDED
    struct.pack_into("<bbb", blob, step + clamp_at, zo, lo, hi)
    for at, content in ((fields["w"], data), (fields["q"], layout.quant_blocks(bias, multiplier, shift))):
        blob[weights_at + at : weights_at + at + len(content)] = content
    x = rng.integers(-128, 128, (PIXELS, CHANNELS if kernel == "depthwise" else 4)).astype(np.int8)
    sums = bias + (x if kernel == "depthwise" else x[:, :1]).astype(np.int64)
    want = np.clip(fp.requantize(sums, multiplier, shift) + zo, lo, hi).astype(np.int8)
    return Job(seal(bytes(blob)), (x.tobytes(),)), want.tobytes()


@pytest.mark.parametrize("core", (*CORES, DC233C), ids=lambda core: core.name)
def test_requantize(core: Core):
    """Every clamp, by conv2d, depthwise and dense."""
    _need(core)
    rng = np.random.default_rng(3)
    kernels = "conv2d", "depthwise", "dense"
    cases = [_case(kernel, clamp, rng) for _ in range(4) for kernel, clamp in product(kernels, CLAMPS)]
    got = run(core, "native", [job for job, _ in cases])
    assert [have.outputs[0] for have in got] == [want for _, want in cases]
