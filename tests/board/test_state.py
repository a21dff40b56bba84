"""Streaming models on the board: what is kept between runs, and reset()."""

from pathlib import Path

import nets
import numpy as np
import pytest
from micropython import run
from whit import reference
from whit.pack import pack
from whit.simulate import KERNEL_SETS

ALLOCATED = Path(__file__).with_name("allocated.py").read_bytes()
FRAMES = np.random.default_rng(5).integers(-128, 128, (12, 6)).astype(np.int8)


def _packed(page_bytes=0):
    return pack(nets.frames("m", new=2, initial="random"), "m", page_bytes=page_bytes)


def _expected(packed) -> list[bytes]:
    memory = reference.memory_of(packed.program)
    shape = packed.program.inputs[0].shape
    return [reference.run(packed.program, [f.reshape(shape)], memory=memory)[0].tobytes() for f in FRAMES]


@pytest.mark.parametrize("kernels", KERNEL_SETS)
@pytest.mark.parametrize("paged", [False, True])
def test_runs_follow_one_another_until_reset(kernels, paged):
    packed = _packed(256 if paged else 0)
    expected = _expected(packed)
    assert len(set(expected)) > 6
    run(
        f"""
        import whit
        from allocated import allocated
        m = whit.load("m.whit", kernels="{kernels}", paged={paged})
        frames, expected = {FRAMES.tobytes()!r}, {expected!r}
        y = bytearray(3)

        def stream():
            for i in range(12):
                m.run(frames[6 * i : 6 * i + 6], y)
                assert y == expected[i], i

        stream()
        m.reset()
        stream()
        m.reset()
        assert m.selftest()  # is a first run, and leaves a first run
        stream()
        assert m.selftest()
        stream()
        m.reset()
        for i in range(12):  # the input in place, step by step
            m.inputs[0].data[:] = frames[6 * i : 6 * i + 6]
            for _ in m.steps():
                pass
            assert bytes(m.outputs[0].data) == expected[i]
        assert allocated(m, bytearray(6), y) == 0
        """,
        {"m.whit": packed.blob, "allocated.py": ALLOCATED},
    )


def test_an_arena_that_was_used_before_starts_anew():
    packed = _packed()
    run(
        f"""
        import whit
        arena = bytearray(b"\\xaa" * {packed.plan.arena_bytes})
        for _ in range(2):
            m = whit.load("m.whit", arena)
            for i in range(12):
                m.run({FRAMES.tobytes()!r}[6 * i : 6 * i + 6])
                assert bytes(m.outputs[0].data) == {_expected(packed)!r}[i]
        """,
        {"m.whit": packed.blob},
    )


def test_reset_of_a_model_that_keeps_nothing_does_nothing():
    packed = pack(nets.dense("dense"), "dense")
    run(
        """
        import whit
        m = whit.load("m.whit")
        m.run()
        y = bytes(m.outputs[0].data)
        m.reset()
        assert bytes(m.outputs[0].data) == y and m.section(7) is None
        """,
        {"m.whit": packed.blob},
    )
