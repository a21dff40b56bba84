"""The commands that train, as a user meets them: what they print, what they write, and one sentence for a mistake."""

from pathlib import Path

import numpy as np
import pytest
from floats import FloatNet, reference, samples_of
from whit.channels import channels
from whit.cli import main
from whit.costs import macs
from whit.inspect import describe
from whit.models import digits as packed_digits
from whit.pack import pack
from whit.read_tflite import read_tflite
from whit.write_tflite import write_tflite

torch = pytest.importorskip("torch", reason="PyTorch is not installed: the extra whit[train]")

from trained import autoencoder, digits, reader, separable  # noqa: E402


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A trained model, a small one, and the first digits."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m.tflite").write_bytes(write_tflite(reader()))
    (tmp_path / "s.tflite").write_bytes(write_tflite(separable(4, name="small")))
    np.save("x.npy", digits()[0][:150])
    np.save("y.npy", digits()[1][:150])
    return tmp_path


def table(capsys) -> dict[str, list[str]]:
    """First word of each line -> the others."""
    return {line.split()[0]: line.split()[1:] for line in capsys.readouterr().out.splitlines() if line.split()}


def test_prune(folder, capsys):
    assert main("prune m.tflite x.npy y.npy -o p.tflite --macs 0.4 --epochs 2".split()) == 0
    shown = table(capsys)
    graph = read_tflite((folder / "p.tflite").read_bytes(), "p.tflite")
    assert macs(graph) <= 0.4 * macs(reader())
    assert [int(shown[row][-1].replace(",", "")) for row in ("before", "after")] == [macs(reader()), macs(graph)]
    assert shown["p.tflite:"] == ["pruned", "from", "m.tflite"]
    assert shown["measured"][:3] == ["on", "30", "samples"]
    assert shown["accuracy"] == ["parameters", "multiply-accumulates"]
    reference(graph, samples_of(graph, 1))


def test_prune_without_labels(folder, capsys):
    (folder / "a.tflite").write_bytes(write_tflite(autoencoder()))
    np.save("v.npy", np.random.default_rng(0).normal(size=(30, 32)))
    assert main("prune a.tflite v.npy -o p.tflite --epochs 1 --distil".split()) == 0
    assert table(capsys)["mean"][:2] == ["squared", "error"]


def test_distil(folder, capsys):
    command = "distil s.tflite m.tflite x.npy y.npy -o d.tflite --epochs 1 --from-scratch --temperature 2 --alpha 0.5"
    assert main(command.split()) == 0
    shown = table(capsys)
    assert {"teacher", "before", "after", "accuracy"} <= set(shown)
    after = read_tflite((folder / "d.tflite").read_bytes(), "d.tflite")
    assert macs(after) == macs(separable(4)) == channels(after).macs(channels(after).all())
    assert main("distil s.tflite m.tflite x.npy -o d.tflite --epochs 1".split()) == 0
    shown = table(capsys)
    assert "agreement" in shown and shown["teacher"][0] == "100.00%"


def test_finetune(folder, capsys):
    assert main("finetune m.tflite x.npy y.npy -o f.whit --epochs 1".split()) == 0
    shown = table(capsys)
    assert {"float", "quantized", "quantized,"} <= set(shown)
    assert describe((folder / "f.whit").read_bytes(), "f.whit")["inputs"][0]["shape"] == [1, 8, 8, 1]
    assert main("finetune m.tflite x.npy y.npy -o f.tflite --epochs 1".split()) == 0
    assert pack((folder / "f.tflite").read_bytes()).blob == (folder / "f.whit").read_bytes()


@pytest.mark.parametrize("command", ["prune", "distil", "finetune"])
def test_help(command, capsys):
    with pytest.raises(SystemExit) as stopped:
        main([command, "--help"])
    assert stopped.value.code == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"usage: whit {command}") and "SAMPLES.npy [LABELS.npy]" in " ".join(shown.split())


REFUSED = {
    "prune m.tflite x.npy y.npy -o m.tflite": "is what is read",
    "prune m.tflite x.npy y.npy -o y.npy": "is what is read",
    "prune m.tflite x.npy short.npy -o p.tflite": "give one label for each sample",
    "prune m.tflite few.npy -o p.tflite": "3 samples are too few",
    "prune m.tflite x.npy -o p.tflite": "without labels",
    "prune m.tflite x.npy y.npy -o p.tflite --macs 0": "0 of the multiply-accumulates cannot be kept",
    "prune m.tflite x.npy y.npy -o p.tflite --epochs 0": "train nothing",
    "prune m.tflite x.npy y.npy -o p.tflite --rate 0": "train nothing",
    "prune m.tflite x.npy y.npy -o p.tflite --seed -1": "--seed -1: give 0 to",
    "prune int8.tflite x.npy y.npy -o p.tflite": "only float models can be trained; give the one that it was made of",
    "prune two.tflite x.npy y.npy -o p.tflite": "2 inputs and 1 outputs",
    "distil s.tflite int8.tflite x.npy y.npy -o p.tflite": "only float models can be trained",
    "distil s.tflite nine.tflite x.npy y.npy -o p.tflite": "give two models of the same inputs and outputs",
    "distil s.tflite m.tflite x.npy y.npy -o p.tflite --alpha 2": "an alpha from 0 to 1",
    "finetune m.tflite x.npy y.npy -o out.txt": "does not end in .whit or .tflite",
    "prune m.tflite x.npy y.npy -o out.whit": "out.whit: the name does not end in .tflite",
}


@pytest.mark.parametrize("command", REFUSED)
def test_refused(folder, capsys, command):
    (folder / "int8.tflite").write_bytes(Path(packed_digits.__path__[0], "digits_int8.tflite").read_bytes())
    (folder / "nine.tflite").write_bytes(write_tflite(separable(4, 9)))
    net = FloatNet("two")
    a, b = net.input(1, 6), net.input(1, 6)
    two = net.graph([a, b], [net.then("ADD", [a, b], (1, 6), FusedActivationFunction=0)])
    (folder / "two.tflite").write_bytes(write_tflite(two))
    np.save("few.npy", digits()[0][:3])
    np.save("short.npy", digits()[1][:149])
    before = {path: path.read_bytes() for path in folder.iterdir()}
    assert main(command.split()) == 2
    said = capsys.readouterr()
    assert not said.out and said.err.startswith("whit: ") and said.err.count("\n") == 1
    assert REFUSED[command] in said.err
    assert {path: path.read_bytes() for path in folder.iterdir()} == before
