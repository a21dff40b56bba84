"""whit quantize, and pack and verify of a float model: from samples to a file; a mistake is one sentence."""

from __future__ import annotations

import json

import numpy as np
import pytest
from floats import FloatNet, mobile, samples_of
from whit.cli import main
from whit.inspect import describe
from whit.quantize import quantize
from whit.read_tflite import read_tflite
from whit.write_tflite import write_tflite


@pytest.fixture
def model(tmp_path, monkeypatch):
    """A folder with a float model, samples of it, and the class that it gives each."""
    monkeypatch.chdir(tmp_path)
    graph = mobile()
    (tmp_path / "m.tflite").write_bytes(write_tflite(graph))
    samples = samples_of(graph, 30)[0]
    np.save("x.npy", samples)
    np.savez("x.npz", anything=samples)
    return tmp_path


def _refused(capsys, *arguments) -> str:
    assert main([str(a) for a in arguments]) == 2
    done = capsys.readouterr()
    assert not done.out and done.err.startswith("whit: ") and done.err.count("\n") == 1, done
    return done.err[6:-1]


def test_a_float_model_and_samples_become_a_whit_file(model, capsys):
    assert main(["quantize", "m.tflite", "--calibrate", "x.npy"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("m.whit: quantized from m.tflite with x.npy\n")
    rows = [line.split() for line in text.splitlines()]
    assert [row[1] for row in rows if row and row[0].isdigit()] == [
        "input", "CONV_2D", "DEPTHWISE_CONV_2D", "CONV_2D", "DEPTHWISE_CONV_2D", "CONV_2D", "MEAN", "FULLY_CONNECTED",
        "SOFTMAX",
    ]  # fmt: skip
    assert f"{(model / 'm.whit').stat().st_size:,} bytes" in text
    assert describe((model / "m.whit").read_bytes(), "m.whit")["inputs"][0]["dtype"] == "int8"


def test_pack_and_npz_give_the_same_bytes(model, capsys):
    for arguments in (
        ("quantize", "m.tflite", "--calibrate", "x.npy", "-o", "a.whit"),
        ("quantize", "m.tflite", "--calibrate", "x.npz", "-o", "b.whit"),
        ("pack", "m.tflite", "--calibrate", "x.npy", "-o", "c.whit"),
    ):
        assert main(list(arguments)) == 0
    assert len({(model / f"{name}.whit").read_bytes() for name in "abc"}) == 1


def test_the_int8_model_as_tflite(model, capsys):
    assert main(["quantize", "m.tflite", "--calibrate", "x.npy", "-o", "int8.tflite"]) == 0
    want = quantize(read_tflite((model / "m.tflite").read_bytes(), "m.tflite"), [np.load("x.npy")]).graph
    assert (model / "int8.tflite").read_bytes() == write_tflite(want)


def test_verify_quantizes_compares_and_keeps_the_model(model, capsys):
    assert main(["verify", "m.tflite", "--calibrate", "x.npy", "-o", "kept.tflite", "--samples", "3"]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["native", "6", "30", "0"] in rows and ["viper", "6", "30", "0"] in rows
    assert read_tflite((model / "kept.tflite").read_bytes(), "kept").tensors[0].dtype == "int8"


def test_everything_for_programs(model, capsys):
    assert main(["quantize", "m.tflite", "--calibrate", "x.npy", "--json"]) == 0
    about = json.loads(capsys.readouterr().out)
    assert about["decibels"] > 20
    assert about["layers"][1]["kind"] == "CONV_2D" and about["layers"][1]["bits"] == 8


def test_limits(model, capsys):
    assert main(["quantize", "m.tflite", "--calibrate", "x.npy"]) == 0
    size = (model / "m.whit").stat().st_size
    assert main(["quantize", "m.tflite", "--calibrate", "x.npy", "--max-bytes", str(size - 40)]) == 0
    assert (model / "m.whit").stat().st_size <= size - 40
    np.save("y.npy", np.zeros(30, int))
    assert main(["quantize", "m.tflite", "--calibrate", "x.npy", "--max-loss", "100", "--truth", "y.npy"]) == 0
    assert (model / "m.whit").stat().st_size < size - 40
    capsys.readouterr()


def _save(name, values):
    np.save(name, values)
    return name


IMAGE = (8, 8, 3)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (lambda: ["none.npy"], "none.npy: cannot be read (No such file or directory); check the path"),
        (lambda: ["m.tflite"], "m.tflite: not a .npy or .npz file; save the samples with numpy.save() or savez()"),
        (
            lambda: [_save("e.npy", np.zeros((0, *IMAGE)))],
            "m.tflite: the samples of 't0' are none ((0, 8, 8, 3)); give",
        ),
        (lambda: [_save("s.npy", np.ones((2, 3, 3)))], "m.tflite: the samples of 't0' have the shape (2, 3, 3), the"),
        (lambda: [_save("q.npy", np.ones((2, *IMAGE)))], "m.tflite: the samples of 't0' are all equal (1); give some"),
        (lambda: [_save("n.npy", np.full((2, *IMAGE), np.nan))], "m.tflite: the samples of 't0' hold NaN or infinite"),
        (lambda: ["x.npy", "--truth", "x.npy"], "--truth: is for --max-loss; give both or neither"),
        (lambda: ["x.npy", "-o", "m.bin"], "m.bin: the name ends in neither .whit nor .tflite; name the one that is"),
        (lambda: ["x.npy", "-o", "m.tflite"], "m.tflite: is what is read; give the output another name"),
        (lambda: ["x.npy", "--max-bytes", "100"], "m.tflite: takes "),
        (
            lambda: ["x.npy", "--max-loss", "1", "--truth", _save("t.npy", np.zeros(7, int))],
            "m.tflite: (7,) classes for 30 samples; give one whole number for each",
        ),
        (
            lambda: ["x.npy", "--max-loss", "1", "--truth", _save("u.npy", np.full(30, 9))],
            "m.tflite: classes 9 to 9 for an output of 5; they count from 0",
        ),
    ],
)
def test_mistakes_are_one_sentence_and_write_nothing(arguments, text, model, capsys):
    before = sorted(p.name for p in model.iterdir())
    given = arguments()
    added = {name for name in given if name.endswith(".npy")}
    assert _refused(capsys, "quantize", "m.tflite", "--calibrate", *given).startswith(text)
    assert sorted(set(before) | {n for n in added if n != "none.npy"}) == sorted(p.name for p in model.iterdir())


def test_a_float_model_without_samples(model, capsys):
    assert "give samples of the input, as in whit quantize MODEL --calibrate SAMPLES.npy" in _refused(
        capsys, "pack", "m.tflite"
    )


def test_a_model_of_two_inputs_takes_an_array_for_each(model, capsys):
    net = FloatNet("two")
    a, b = net.input(1, 6), net.input(1, 6)
    graph = net.graph([a, b], [net.same("ADD", net.dense(a, 6), b, FusedActivationFunction=0)])
    (model / "two.tflite").write_bytes(write_tflite(graph))
    x, y = samples_of(graph, 20)
    np.savez("both.npz", t1=y, t0=x)  # by name, not by place
    assert main(["quantize", "two.tflite", "--calibrate", "both.npz", "-o", "two.int8.tflite"]) == 0
    capsys.readouterr()
    want = write_tflite(quantize(read_tflite(write_tflite(graph), "two.tflite"), [x, y]).graph)
    assert (model / "two.int8.tflite").read_bytes() == want
    text = _refused(capsys, "quantize", "two.tflite", "--calibrate", "x.npy")
    assert text == "x.npy: holds 1 arrays, the model has 2 inputs; give one for each"
    np.savez("swapped.npz", T0=y, T1=x)
    text = _refused(capsys, "quantize", "two.tflite", "--calibrate", "swapped.npz")
    assert text == "swapped.npz: holds T0, T1, the inputs are t0, t1; name the arrays so"
