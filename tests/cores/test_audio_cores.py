"""The front end's machine code as shipped on emulated cores: 32 bits, alignment, instruction sets, and no byte beside
its memory."""

from __future__ import annotations

import random
from functools import cache

import numpy as np
import pytest
from sounds import reference, signals, speech
from test_cores import _need
from whit import features, frontend
from whit.device import frontend as section_check
from whit.emulate import CORES, Core, hear
from whit.emulate.cores import DC233C, TRUE_M0
from whit.errors import WhitError

SCALING = frontend.scaling(26 / 255, -128, "int8")
SECTION = frontend.write_section(frontend.tables(frontend.Parameters()), SCALING)
GUARDS = bytes([0x01]) * 512, bytes([0x81]) * 512
EVERY = (TRUE_M0, *CORES, DC233C)


@cache
def _samples() -> np.ndarray:
    """Three seconds of speech and a fifth of a second of everything else."""
    return np.concatenate([speech()[8000:56000], *signals(0.2).values()])


@pytest.mark.parametrize("kernels", ["native", "viper"])
@pytest.mark.parametrize("core", EVERY, ids=lambda core: core.name)
def test_features(core: Core, kernels: str):
    """Against pymicro-features, from an odd address and in chunks, with deep stacks."""
    _need(core)
    samples = _samples()
    if core is TRUE_M0:
        samples = np.concatenate([samples[20000:21000], signals(0.2)["turn 7"][:500]])
    elif kernels == "viper":
        samples = samples[40000:]
    want = reference(samples)
    frames = hear(core, kernels, SECTION, samples.tobytes(), (160, 3, 999, 70), odd=True, deep=True)
    assert b"".join(frame.features for frame in frames) == want.tobytes()
    assert b"".join(frame.data for frame in frames) == SCALING.bytes(want).tobytes()
    assert len(frames) > (5 if core is TRUE_M0 else 400)


@pytest.mark.parametrize("core", EVERY, ids=lambda core: core.name)
def test_other_parameters(core: Core):
    """Odd sizes and no rest of what is optional; most of what can be asked for."""
    _need(core)
    odd = frontend.Parameters(rate=11111, window_ms=41, step_ms=13, channels=17, upper_band_limit=5000.0)
    plain = frontend.Parameters(channels=3, smoothing_bits=0, enable_pcan=False, enable_log=False)
    wild = frontend.Parameters(gain_bits=31, pcan_strength=4.0, pcan_offset=10.0, scale_shift=11, smoothing_bits=16)
    scaling = frontend.scaling(26 / 255, 0, "uint8")
    samples = _samples()[45000:46500] if core is TRUE_M0 else _samples()[40000:60000]
    for parameters in odd, plain, wild:
        tables = frontend.tables(parameters)
        want = features.Frontend(tables).feed(samples)
        frames = hear(core, "native", frontend.write_section(tables, scaling), samples.tobytes())
        assert b"".join(frame.features for frame in frames) == want.tobytes(), parameters
        assert b"".join(frame.data for frame in frames) == scaling.bytes(want).tobytes(), parameters


def _mutants(count: int) -> list[bytes]:
    """Sections with some bytes changed that a board takes."""
    rng, found = random.Random(5), []
    while len(found) < count:
        mutant = bytearray(SECTION)
        for _ in range(rng.randint(1, 3)):
            at = rng.randrange(32) if rng.random() < 0.7 else rng.randrange(len(mutant))
            mutant[at] = rng.choice((0, 1, 64, 127, 128, 255, rng.getrandbits(8)))
        if rng.random() < 0.5:
            del mutant[rng.choice((-512, -260, -252)) :]
        try:
            section_check.check("mutant", memoryview(mutant))
        except ValueError:
            continue
        if mutant != SECTION:
            found.append(bytes(mutant))
    return found


@pytest.mark.parametrize("kernels", ["native", "viper"])
@pytest.mark.parametrize("name", ["m0plus", "m4", "rv32", "xtensa"])
def test_no_mutant_escapes(name: str, kernels: str):
    """None writes beside its memory, and none reads there: other bytes around it give the same."""
    core = next(core for core in CORES if core.name == name)
    _need(core)
    samples = _samples()[60000:61100].tobytes()
    for number, mutant in enumerate(_mutants(60 if kernels == "native" else 15)):
        one, other = (
            [(f.features, f.data) for f in hear(core, kernels, mutant, samples, guard=guard)] for guard in GUARDS
        )
        assert one == other and one, number


def test_what_cannot_be_heard():
    _need(CORES[0])
    with pytest.raises(WhitError, match="the section is broken: its front end has the wrong size; pack it again"):
        hear(CORES[0], "native", SECTION[:-2], bytes(960))
    with pytest.raises(WhitError, match="the samples do not fit the 13,312 bytes of RAM of the emulated Cortex-M0; "):
        hear(TRUE_M0, "native", SECTION, bytes(32000))
