"""int4 weights under MicroPython: in RAM, where the file lies, and by page; the same answers, nothing allocated."""

from pathlib import Path

import nets
import numpy as np
import pytest
from installed import WAYS
from micropython import run
from whit import oracle
from whit.device import opset
from whit.image import romfs
from whit.pack import pack
from whit.page import least_page_bytes
from whit.simulate import KERNEL_SETS

MODEL = nets.mixed()
WHOLE = pack(MODEL, "mixed")
PAGED = pack(MODEL, "mixed", page_bytes=least_page_bytes(WHOLE.program))
ALLOCATED = Path(__file__).with_name("allocated.py").read_bytes()


def test_the_model_has_both():
    flags = [step.flags & opset.INT4 for step in WHOLE.program.steps if "w" in step.weights]
    assert 0 in flags and opset.INT4 in flags
    assert len(PAGED.program.steps) > len(WHOLE.program.steps)
    assert [packed.blob[8:10] for packed in (WHOLE, PAGED)] == 2 * [bytes((2, 0))]


@pytest.mark.parametrize("kernels", KERNEL_SETS)
def test_in_ram_in_place_and_by_page(kernels):
    """Against TensorFlow Lite Micro; a ROMFS file is read where it lies."""
    (port,) = WHOLE.program.inputs
    x = np.random.default_rng(3).integers(-128, 128, port.shape).astype(np.int8)
    (expected,) = oracle.run(MODEL, [x[None]], "mixed", 1)
    kernel_set, prebuilt = WAYS[kernels]
    files = {"m.whit": WHOLE.blob, "p.whit": PAGED.blob, "x": x.tobytes(), "y": expected.tobytes()}
    files |= {"rom": romfs({"m.whit": WHOLE.blob}), "allocated.py": ALLOCATED}
    run(
        f"""
        import os, vfs, whit
        from allocated import allocated
        from uctypes import addressof
        with open("rom", "rb") as f:
            rom = f.read()
        with open("x", "rb") as f:
            x = bytearray(f.read())
        with open("y", "rb") as f:
            expected = f.read()
        y = bytearray(len(expected))
        vfs.mount(vfs.VfsRom(rom), "/rom")
        for path, paged in ("m.whit", False), ("/rom/m.whit", False), ("p.whit", False), ("p.whit", True):
            m = whit.load(path, kernels={kernel_set!r}, paged=paged)
            assert m.pages > 1 if paged else not m.pages
            inside = addressof(rom) <= addressof(m._weights) < addressof(rom) + len(rom)
            assert inside == path.startswith("/rom")
            assert m.selftest(), path
            assert allocated(m, x, y) == 0
            assert y == expected, path
        """,
        files,
        prebuilt=prebuilt,
    )
