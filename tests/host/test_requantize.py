"""The one rounding everything rests on: ties, negatives and extremes pinned, and every kernel set held to it."""

from pathlib import Path

import numpy as np
import pytest
from installed import WAYS, installed
from whit import layout
from whit.fixedpoint import high_mul, quantize_multiplier, requantize, rounding_shift
from whit.plan import plan
from whit.program import Place, Port, Program, Step
from whit.simulate import simulate
from whit.write import write

HALF = 1 << 30  # the multiplier 0.5


@pytest.mark.parametrize(
    ("x", "multiplier", "shift", "expected"),
    [
        # the inner tie goes upwards: x * 0.5 rounds 0.5 to 1, -0.5 to 0, -1.5 to -1
        (1, HALF, 0, 1),
        (-1, HALF, 0, 0),
        (-3, HALF, 0, -1),
        (3, HALF, 0, 2),
        # the outer tie goes away from zero: 2 / 4 to 1, -2 / 4 to -1
        (4, HALF, 2, 1),
        (-4, HALF, 2, -1),
        (12, HALF, 2, 2),
        (-12, HALF, 2, -2),
        # rounding twice is not rounding once: 2.5 - 2**-31 becomes 5 / 2, then 3
        (5, (1 << 31) - 1, 1, 3),
        (-5, (1 << 31) - 1, 1, -3),
        # left shifts wrap
        (3, HALF, -2, 6),
        ((1 << 30) + 1, HALF, -2, 2),
        # extremes
        (-(1 << 31), (1 << 31) - 1, 0, -(1 << 31) + 1),
        ((1 << 31) - 1, (1 << 31) - 1, 0, (1 << 31) - 2),
        ((1 << 31) - 1, (1 << 31) - 1, 31, 1),
        (-(1 << 31), (1 << 31) - 1, 31, -1),
        (12345, 0, 0, 0),
    ],
)
def test_pinned(x, multiplier, shift, expected):
    assert requantize(x, multiplier, shift) == expected


def test_parts():
    assert high_mul(-(1 << 31), -(1 << 31)) == (1 << 31) - 1
    assert [int(rounding_shift(x, 1)) for x in (-3, -2, -1, 0, 1, 2, 3)] == [-2, -1, -1, 0, 1, 1, 2]
    assert rounding_shift(7, 0) == 7


@pytest.mark.parametrize(
    ("real", "expected"),
    [
        (0.5, (HALF, 0)),
        (1.0, (HALF, -1)),
        (0.75, (3 << 29, 0)),
        (2.0**-33, (0, 0)),
        (0.0, (0, 0)),
        (2.0**-32, (HALF, 31)),
    ],
)
def test_quantize_multiplier(real, expected):
    assert quantize_multiplier(real) == expected


@pytest.mark.parametrize("real", [float("nan"), float("inf"), 2.0**31])
def test_ratios_without_a_multiplier(real):
    with pytest.raises(OverflowError):
        quantize_multiplier(real)


@pytest.mark.parametrize("way", WAYS)
def test_kernels_round_alike(way):
    """4,096 hostile accumulators through `dense`: its bias, with weights of zero."""
    rng = np.random.default_rng(7)
    n = 4096
    acc = rng.integers(-(1 << 31), 1 << 31, n)
    small = rng.integers(0, 28, n)
    acc = np.where(rng.random(n) < 0.6, acc >> small, acc)
    acc[:8] = [-(1 << 31), (1 << 31) - 1, 0, -1, 1, 1 << 30, -(1 << 30), 65535]
    multiplier = rng.integers(HALF, 1 << 31, n)
    multiplier[::7] = rng.choice([HALF, (1 << 31) - 1, 0x40010000, 0x4000FFFF, 0], len(multiplier[::7]))
    shift = rng.integers(-3, 32, n)
    # Near the ties of the outer rounding.
    acc[1::5] = ((rng.integers(-200, 200, n) << np.clip(shift, 0, 22)) + rng.integers(-2, 3, n))[1::5]
    weights = layout.dense_blocks(np.zeros((n, 1), np.int8))
    step = Step(
        "dense",
        "dense",
        {"k": 1, "o": n, "rows": 1, "zo": 3, "lo": -128, "hi": 127},
        {"x": Place(0), "y": Place(1)},
        {"w": weights, "q": layout.quant_blocks(acc, multiplier, shift)},
    )
    x, y = Port("x", (1, 1), "int8", 1.0, 0, 0), Port("y", (1, n), "int8", 1.0, 0, 1)
    program = Program("rounding", (1, n), (step,), (x,), (y,), ())
    kernels, names = WAYS[way]
    sample, data = [np.array([[5]], np.int8)], write(program, plan(program))
    with installed(names) as folder:
        got = simulate(Path("x.whit"), data, sample, kernels, prebuilt=folder)[0]
    want = np.clip(requantize(acc, multiplier, shift) + 3, -128, 127)
    np.testing.assert_array_equal(got[0], want)
    assert len(np.unique(want)) > 200
