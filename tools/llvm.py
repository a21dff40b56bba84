"""The LLVM tools that make the native kernels."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

LLVM = 22


class BuildError(Exception):
    """What is wrong with the machine or with the code, in one sentence."""


def tool(name: str) -> str:
    found = shutil.which(f"{name}-{LLVM}")
    if not found:
        raise BuildError(f"{name}-{LLVM} is not installed; run: apt-get install clang-{LLVM} lld-{LLVM} llvm-{LLVM}")
    return found


def run(*command: str, text: str | None = None) -> str:
    """What `command` prints, given `text` to read."""
    done = subprocess.run(command, capture_output=True, text=True, input=text)
    if done.returncode:
        raise BuildError(f"{Path(command[0]).name} failed:\n{done.stderr}")
    return done.stdout
