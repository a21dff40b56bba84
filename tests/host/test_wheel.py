"""One wheel holds both halves, the prebuilt kernels and the example, and works away from the sources."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from whit.models import NAMES

ROOT = Path(__file__).resolve().parent.parent.parent
PREBUILT = ROOT / "device/prebuilt"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, ROOT]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode and "setuptools" in done.stderr:
        pytest.skip(f"no package index to build with: {done.stderr.splitlines()[-1]}")
    assert done.returncode == 0, done.stderr
    return next(folder.glob("whit-*.whl"))


def test_contents(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    wanted = {"whit/boards.toml", "whit/report.html", "whit/emulate/harness_thumb.json"}
    for package, folder in (("whit", "host/whit"), ("whit/device", "device/whit"), ("whit/models", "models")):
        wanted |= {f"{package}/{path.relative_to(ROOT / folder).as_posix()}" for path in (ROOT / folder).rglob("*.py")}
    for name in NAMES:
        files = ("README.md", "calibration.npy", "vectors.npz", f"{name}_float.tflite", f"{name}_int8.tflite")
        wanted |= {f"whit/models/{name}/{file}" for file in files}
    wanted |= {f"whit/prebuilt/{path.relative_to(PREBUILT).as_posix()}" for path in PREBUILT.rglob("*.mpy")}
    assert wanted <= names
    assert not any(name.startswith(("tests/", "tools/")) for name in names)


@pytest.mark.parametrize("kernels", ["native", "viper"])
def test_the_installed_wheel_runs_the_demo(wheel, tmp_path, kernels):
    target = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(target)
    script = "import sys, whit; assert whit.__file__.startswith(sys.argv[1]), whit.__file__; "
    script += "from whit.cli import main; sys.exit(main(['demo', '--kernels', sys.argv[2]]))"
    environment = os.environ | {"PYTHONPATH": str(target)}
    done = subprocess.run(
        [sys.executable, "-c", script, str(target), kernels],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "every score equals TensorFlow Lite Micro's" in done.stdout
