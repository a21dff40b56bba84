"""The files of this folder under MicroPython, where the device package is at home."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from whit import device
from whit.simulate import interpreter

HERE = Path(__file__).parent
NAMES = sorted(path.stem for path in HERE.glob("test_*.py") if path.name != Path(__file__).name)


@pytest.mark.parametrize("name", NAMES)
def test_under_micropython(name, tmp_path):
    package = tmp_path / "whit"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "device").symlink_to(Path(device.__file__).parent)
    command = [*interpreter(), str(HERE / "run_micropython.py"), str(tmp_path), str(HERE), name]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and not done.stderr and "FAILED" not in done.stdout, done.stdout + done.stderr
    defined = re.findall(r"^def (test_\w+)", (HERE / f"{name}.py").read_text(), re.M)
    assert sorted(re.findall(rf"^passed {name} (\w+)", done.stdout, re.M)) == sorted(defined)
