"""The commands that train, where they can say at once that they will not: also without PyTorch."""

import subprocess
import sys

import numpy as np
import pytest
from floats import mobile
from whit.cli import main
from whit.models import digits
from whit.write_tflite import write_tflite

DIGITS = digits.__path__[0] + "/digits_int8.tflite"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m.tflite").write_bytes(write_tflite(mobile()))
    rng = np.random.default_rng(0)
    np.save("x.npy", rng.normal(size=(20, 8, 8, 3)).astype(np.float32))
    np.save("y.npy", rng.integers(0, 5, 20))
    return tmp_path


COMMANDS = {
    "prune": ["m.tflite", "x.npy", "y.npy", "-o", "out.tflite"],
    "distil": ["m.tflite", "m.tflite", "x.npy", "y.npy", "-o", "out.tflite"],
    "finetune": ["m.tflite", "x.npy", "y.npy", "-o", "out.whit"],
}


@pytest.mark.parametrize("command", COMMANDS)
def test_without_torch(folder, capsys, monkeypatch, command):
    monkeypatch.setitem(sys.modules, "torch", None)
    for name in [n for n in sys.modules if n.startswith("whit.train")]:
        monkeypatch.delitem(sys.modules, name)
    assert main([command, *COMMANDS[command]]) == 2
    said = capsys.readouterr()
    assert said.err == "whit: PyTorch, which trains, is not installed; install the extra whit[train] beside whit\n"
    assert not said.out and not list(folder.glob("out.*"))


def test_whit_itself_does_not_import_torch():
    script = "import sys, whit.cli; sys.exit('torch' in sys.modules or 'onnx' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script]).returncode == 0
