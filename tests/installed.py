"""installed: what of device/prebuilt somebody has copied to a board.

Where no precompiled viper kernels are, the sources of device/whit/viper run, compiled by MicroPython: what a test must
see after a change to them, when the precompiled ones are still those of before. So the tests install them only where
they are about them, beside the same test of the sources; that both are the same code is test_prebuilt's to say.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from whit.runtime import PREBUILT

NATIVE = ("whit_native_x64.mpy",)
AUDIO = (*NATIVE, "whit_audio_x64.mpy")  # to listen
PRECOMPILED = ("whit_viper_x64",)
NOTHING = ()

# Every way of running a model under the unix port: the kernel set to ask for, and what is installed.
WAYS = {"native": ("native", NATIVE), "viper": ("viper", NOTHING), "viper precompiled": ("viper", PRECOMPILED)}


@contextmanager
def installed(names: tuple[str, ...]) -> Iterator[Path]:
    """A folder as device/prebuilt, with only these of it."""
    with tempfile.TemporaryDirectory(prefix="whit-") as folder:
        for name in names:
            (Path(folder) / name).symlink_to(PREBUILT / name)
        yield Path(folder)
