"""whit evaluate: what it counts against what is counted by hand, what it writes, and what it refuses."""

import base64
import importlib.util
import json
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from floats import FloatNet
from nets import NONE, Net
from whit import evaluate as module
from whit import report
from whit.bench import bench
from whit.cli import main
from whit.emulate import CORES
from whit.errors import WhitError
from whit.evaluate import Evaluation, File, Score, count, evaluate, quantized
from whit.execute import execute
from whit.models import digits
from whit.pack import pack
from whit.program import Port
from whit.quantize import quantize
from whit.read_tflite import read_tflite
from whit.simulate import simulate
from whit.targets import Classes, Values, targets
from whit.write_tflite import write_tflite

DIGITS = Path(digits.__file__).parent / "digits_int8.tflite"
M4 = [core for core in CORES if core.name == "m4"]


@pytest.fixture
def qemu():
    if not M4[0].emulated:
        pytest.skip(f"{M4[0].emulator[0]} is not installed; run: apt-get install qemu-system-arm qemu-system-misc")


@pytest.fixture
def matplotlib():
    if importlib.util.find_spec("matplotlib") is None:
        pytest.skip("matplotlib is not installed; run: pip install 'whit[report]'")


@pytest.fixture(scope="module")
def vectors():
    with np.load(DIGITS.with_name("vectors.npz")) as stored:
        found = dict(stored)
    return found | {"x": found["inputs"].astype(np.float32), "y": found["labels"].astype(int)}


def dense(name: str, weights: np.ndarray, shape=None, last: str = "") -> bytes:
    """A float model of one dense layer, [outputs, inputs], and SOFTMAX or LOGISTIC behind it."""
    net = FloatNet(name)
    x = net.input(*shape or (1, weights.shape[1]))
    y = net.reshape(x, 1, weights.shape[1]) if shape else x
    options = dict(FusedActivationFunction=NONE, WeightsFormat=0, KeepNumDims=0)
    y = net.then("FULLY_CONNECTED", [y, net.constant(weights, "float32")], (1, len(weights)), **options)
    y = net.same(last, y, **({"Beta": 1.0} if last == "SOFTMAX" else {})) if last else y
    return net.tflite([x], [y])


@pytest.fixture(scope="module")
def linear(vectors) -> np.ndarray:
    """Weights [10, 64] that tell digits, by least squares on every other one."""
    pixels = vectors["x"].reshape(-1, 64).astype(float)
    return np.linalg.lstsq(pixels[::2], np.eye(10)[vectors["y"][::2]] * 8 - 4, rcond=None)[0].T.astype(np.float32)


@pytest.fixture(scope="module")
def float_model(linear) -> File:
    return File("linear.tflite", dense("linear", linear, (1, 8, 8, 1), "SOFTMAX"))


@pytest.fixture(scope="module")
def int8_models() -> list[File]:
    data = DIGITS.read_bytes()
    return [File("digits.tflite", data), File("digits.whit", pack(data, "digits").blob)]


@pytest.fixture(scope="module")
def found(float_model, int8_models, vectors) -> Evaluation:
    return evaluate(int8_models, float_model, vectors["x"], vectors["y"])


# The figures


def test_int8_scores_are_those_of_tflite_micro(found, vectors):
    """Counted by hand from the outputs that tflite-micro gave, which are stored with the model."""
    answers, truth = vectors["outputs"].argmax(1), vectors["y"]
    for s in found.scores[1:]:
        assert s.right == int((answers == truth).sum()) == 359 and s.samples == 360
        assert s.accuracy == 359 / 360 and s.rmse is None
        for i in range(10):
            for j in range(10):
                assert s.confusion[i][j] == np.count_nonzero((truth == i) & (answers == j))
            assert s.recall(i) == np.mean(answers[truth == i] == i)
            assert s.precision(i) == np.mean(truth[answers == i] == i)
    assert found.classes == tuple("0123456789") and found.samples == 360 and found.sample_shape == (1, 8, 8, 1)


def test_the_float_model_comes_first(found, vectors, linear):
    logits = vectors["x"].reshape(-1, 64) @ linear.T
    base = found.scores[0]
    assert base.right == np.count_nonzero(logits.argmax(1) == vectors["y"])
    assert base.agreement == 1 and base.decibels is None and base.kind == "float32" and base.ran_in == "numpy"
    assert base.weights_bytes == 4 * (640 + 10)  # folding gives every layer a bias
    assert base.blob_bytes is None and base.arena_bytes is None and not base.instructions


def test_against_the_float_model(found, vectors, linear):
    logits = (vectors["x"].reshape(-1, 64) @ linear.T).astype(float)
    truth = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    scores = (vectors["outputs"].astype(float) + 128) / 256
    for s in found.scores[1:]:
        assert s.agreement == np.mean(scores.argmax(1) == truth.argmax(1)) < 1
        assert s.decibels == pytest.approx(10 * np.log10(np.sum(truth**2) / np.sum((truth - scores) ** 2)), rel=1e-5)


def test_sizes(found, int8_models):
    packed = pack(DIGITS.read_bytes(), "digits")
    for s, file in zip(found.scores[1:], int8_models, strict=True):
        assert s.blob == packed.blob and s.blob_bytes == len(packed.blob) and s.file_bytes == len(file.data)
        assert s.arena_bytes == packed.plan.arena_bytes and s.kind == "int8" and s.ran_in == "MicroPython"
        assert s.sha256 == file.sha256 and 0 < s.weights_bytes < s.blob_bytes


def test_without_the_unix_port(found, float_model, int8_models, vectors, monkeypatch):
    """The same figures to the last bit; and a .whit file needs it."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    again = evaluate(int8_models[:1], float_model, vectors["x"], vectors["y"])
    assert again.scores[1] == replace(found.scores[1], ran_in="numpy")
    assert any("the unix port of MicroPython is not installed" in line for line in report.about(again))
    with pytest.raises(WhitError, match="the unix port of MicroPython is not installed"):
        evaluate(int8_models[1:], float_model, vectors["x"], vectors["y"])


@pytest.mark.parametrize("dtype, zero_point", [("int8", -3), ("uint8", 120)])
def test_real_values_are_rounded_as_on_a_board(dtype, zero_point):
    net = Net("rounding")
    x, y = (net.activation((1, 1), 0.1, zero_point, dtype) for _ in range(2))
    net.op("RESHAPE", [x, net.constant([1, 1])], [y])
    packed = pack(net.tflite([x], [y]), "rounding")
    values = np.concatenate([(np.arange(-300, 301) / 2 * np.float32(0.1)), [1e30, -1e30]]).astype(np.float32)[:, None]
    (got,) = simulate(Path("rounding.whit"), packed.blob, [values])
    port = packed.program.inputs[0]
    want = np.float32(port.scale) * (quantized(values, port).astype(np.int32) - zero_point).astype(np.float32)
    assert port.dtype == dtype
    np.testing.assert_array_equal(got, want)


def test_ties_go_away_from_zero():
    port = Port("x", (1,), "int8", 0.5, 10, 0)
    values = np.array([-1.25, -0.75, -0.25, -0.2, 0.2, 0.25, 0.75, 1.25, 63, -99], np.float32)
    assert quantized(values, port).tolist() == [7, 8, 9, 10, 10, 11, 12, 13, 127, -128]


@pytest.mark.parametrize("shape", [(3, 2, 4), (3, 3, 3)])
def test_samples_in_the_axes_of_the_float_model(monkeypatch, shape):
    """A float model that had its channels first beside an int8 one that never did; also where any order would fit."""
    size = int(np.prod(shape))
    net = FloatNet("axes")
    x = net.input(1, *shape)
    graph = replace(net.graph([x], [net.dense(net.reshape(x, 1, size), 5)]), input_axes=((0, 2, 3, 1),))
    other = Net("other")
    q, flat, y = other.activation((1, *shape), 0.03), other.activation((1, size), 0.03), other.activation((1, 5))
    other.op("RESHAPE", [q, other.constant([1, size])], [flat])
    w = other.weights((5, size), 0, 0.002)
    options = dict(FusedActivationFunction=NONE, WeightsFormat=0, KeepNumDims=0)
    other.op("FULLY_CONNECTED", [flat, w, other.bias(5, 10, flat, w)], [y], **options)
    files = {"float.tflite": graph, "int8.tflite": other.graph([q], [y])}
    monkeypatch.setattr(module, "read", lambda data, name: files[name])
    last = np.random.default_rng(0).normal(0, 1, (9, *shape)).astype(np.float32)
    first = np.moveaxis(last, 3, 1)
    truth = execute(replace(graph, input_axes=()), [last[:, None]])[0].reshape(9, 5)
    blob = pack(write_tflite(files["int8.tflite"]), "int8").blob
    (answers,) = simulate(Path("int8.whit"), blob, [last])
    for samples in (first, last) if len(set(shape)) == 3 else (first,):
        found = evaluate([File("int8.tflite", b"")], File("float.tflite", b""), samples, truth.argmax(1))
        right = np.count_nonzero(answers.argmax(1) == truth.argmax(1))
        assert [s.right for s in found.scores] == [9, right] and right < 9


# Labels


def target(labels, data=None, names=(), samples=None) -> Classes | Values:
    graph = read_tflite(dense("d", np.ones((4, 3)), last="SOFTMAX") if data is None else data, "d.tflite")
    labels = np.asarray(labels)
    return targets(graph, labels, len(labels) if samples is None else samples, names, "y.npy")


NAMES = ("cat", "dog", "owl", "eel")


@pytest.mark.parametrize(
    "labels",
    [
        [0, 3, 2],
        [[0], [3], [2]],
        np.uint8([0, 3, 2]),
        [0.0, 3.0, 2.0],
        np.eye(4, dtype=int)[[0, 3, 2]],
        np.eye(4, dtype=np.float32)[[0, 3, 2]],
        np.eye(4, dtype=bool)[[0, 3, 2]],
        ["cat", "eel", "owl"],
        [["cat"], ["eel"], ["owl"]],
    ],
)
def test_every_way_to_write_classes(labels):
    classes = target(labels, names=NAMES)
    assert isinstance(classes, Classes)
    assert classes.expected.tolist() == [0, 3, 2] and classes.names == NAMES


@pytest.mark.parametrize("labels", [[0, 1, 1], [[0.0], [1.0], [1.0]], [False, True, True], ["no", "yes", "yes"]])
def test_one_sigmoid_has_two_classes(labels):
    classes = target(labels, dense("s", np.ones((1, 2)), last="LOGISTIC"), ("no", "yes"))
    assert isinstance(classes, Classes)
    answers = classes.answers(np.array([[0.4999], [0.5], [0.1]]))
    assert answers.tolist() == [0, 1, 0]
    assert classes.confusion(answers).tolist() == [[1, 0], [1, 1]]


def test_values():
    values = target([[0.5], [2]], dense("v", np.ones((1, 2))))
    assert isinstance(values, Values) and values.rmse(np.array([[1.5], [2]])) == np.sqrt(0.5)
    assert isinstance(target([3, 7], dense("v", np.ones((1, 2)))), Values)  # an age, or a count
    assert isinstance(target([0.0, 1.0], dense("v", np.ones((1, 2)))), Values)
    assert isinstance(target([0.25, 1.0], dense("s", np.ones((1, 2)), last="LOGISTIC")), Values)
    several = target(np.full((2, 1, 4), 0.5))
    assert isinstance(several, Values) and several.expected.shape == (2, 4)


def test_values_in_the_axes_of_the_model():
    net = FloatNet("image")
    x = net.input(1, 2, 3, 4)
    graph = replace(net.graph([x], [net.same("RELU", x)]), output_axes=((0, 2, 3, 1),))
    last = np.random.default_rng(1).normal(size=(5, 1, 2, 3, 4)).astype(np.float32)
    for given in (last, last[:, 0], last.transpose(0, 1, 4, 2, 3), last[:, 0].transpose(0, 3, 1, 2)):
        values = targets(graph, given, 5, (), "y.npy")
        assert isinstance(values, Values)
        np.testing.assert_array_equal(values.expected, last.reshape(5, -1))


@pytest.mark.parametrize(
    "labels, data, names, sentence",
    [
        ([0, 4], None, (), "labels 0 to 4 are out of the range of the model's classes, 0 to 3; number the classes"),
        ([-1, 3], None, (), "labels -1 to 3 are out of the range"),
        (["cat", "cow"], None, NAMES, "the label 'cow' is no name of a class; the classes are cat, dog, owl, eel; "),
        ([0, 1], None, NAMES[:3], "3 class names for 4 classes of d.tflite; give one name per class"),
        ([0.5, 1], None, (), r"labels of the shape \(2,\); give \(samples,\) class numbers, or values as the output"),
        (np.ones((2, 3)), None, (), r"labels of the shape \(2, 3\); .* \(samples, 1, 4\)"),
        ([0, np.nan], None, (), "the labels hold NaN or infinite values"),
        ([0j, 1j], None, (), "labels of complex128 are not supported"),
        (3, None, (), "one value, not an array labels for 3 samples"),
        ([0, 2], dense("s", np.ones((1, 2)), last="LOGISTIC"), (), "labels 0 to 2 are out of the range"),
        ([0, 1], dense("v", np.ones((1, 2))), (), "an output that is no sigmoid; end d.tflite in a sigmoid"),
    ],
)
def test_labels_that_do_not_fit(labels, data, names, sentence):
    with pytest.raises(WhitError, match=sentence):
        target(labels, data, names, samples=3 if np.ndim(labels) == 0 else None)


def test_an_image_has_no_class():
    net = FloatNet("image")
    x = net.input(1, 2, 3, 4)
    with pytest.raises(WhitError, match=r"class labels for an output of \(1, 2, 3, 4\); the model needs one score"):
        targets(net.graph([x], [net.same("RELU", x)]), np.array([0, 1]), 2, (), "y.npy")


def test_a_regression(vectors):
    """Reconstruction: RMSE over every value, and no classes."""
    weights = np.random.default_rng(2).normal(0, 0.1, (64, 64)).astype(np.float32)
    files = [File(f"{n}.tflite", dense(n, w)) for n, w in (("a", weights), ("b", np.eye(64, dtype=np.float32)))]
    x = vectors["x"].reshape(-1, 64)
    found = evaluate(files[1:], files[0], x, x)
    base, other = found.scores
    assert base.rmse == pytest.approx(np.sqrt(np.mean((x @ weights.T - x) ** 2)), rel=1e-5)
    assert other.rmse == 0 and other.right is None and other.agreement is None and not other.confusion
    assert not found.classes and "RMSE: " in report.about(found)[0]


# What does not go together


def test_a_model_of_another_task(float_model, int8_models, vectors):
    wider = File("wider.tflite", dense("wider", np.ones((11, 64)), last="SOFTMAX"))
    taller = File("taller.tflite", dense("taller", np.ones((10, 32)), (1, 4, 8, 1)))
    longer = File("longer.tflite", dense("longer", np.ones((10, 64)), (1, 4, 16, 1)))
    net = Net("two")
    a, b, y = (net.activation((1, 10)) for _ in range(3))
    net.op("ADD", [a, b], [y], FusedActivationFunction=0)
    two = File("two.tflite", net.tflite([a, b], [y]))
    x, labels = vectors["x"], vectors["y"]
    for model, sentence in (
        (wider, "wider.tflite: gives 11 values, the float model linear.tflite 10; give models of the same task"),
        (taller, r"taller.tflite: takes \(1, 4, 8, 1\), the float model linear.tflite \(1, 8, 8, 1\); give models"),
        (longer, r"longer.tflite: takes \(1, 4, 16, 1\), the float model linear.tflite \(1, 8, 8, 1\); give models"),
        (two, r"two.tflite: 2 inputs and 1 outputs cannot be evaluated \(1 of each only\)"),
        (File("bad.whit", int8_models[1].data[:-4] + b"oops"), "bad.whit is corrupted: the CRC32 does not match"),
    ):
        with pytest.raises(WhitError, match=sentence):
            evaluate([model], float_model, x, labels)
    with pytest.raises(WhitError, match=r"digits\.tflite: is quantized, but stands where the float model belongs"):
        evaluate([float_model], int8_models[0], x, labels)
    flat = File("flat.tflite", dense("flat", np.ones((10, 64))))
    assert evaluate([flat], float_model, x, labels).scores[1].samples == 360


def test_data_that_does_not_fit(float_model, vectors):
    x, y = vectors["x"][:5], vectors["y"][:5]
    broken = x.copy()
    broken[3, 2, 2] = np.nan
    for samples, labels, sentence in (
        (x[:0], y[:0], r"the samples of 't0' are none \(\(0, 8, 8, 1\)\)"),
        (x, y[:4], "the labels: 4 labels for 5 samples; give one for each"),
        (broken, y, "the samples of 't0' hold NaN or infinite values"),
        (x[:, 1:], y, r"have the shape \(5, 7, 8, 1\), the model takes \(samples, 8, 8, 1\)"),
    ):
        with pytest.raises(WhitError, match=sentence):
            evaluate([], float_model, samples, labels)
    huge = File("huge.tflite", dense("huge", np.full((10, 64), 3e38, np.float32), (1, 8, 8, 1)))
    with pytest.raises(WhitError, match=r"huge\.tflite: gives NaN or infinite values for sample 0"):
        evaluate([], huge, x, y)


# Instructions


def test_instructions_are_those_of_bench(found, monkeypatch, qemu):
    """Once for the two files that are the same on a board."""
    calls = []

    def record(blob, name, core):
        calls.append((blob, name, core.name))
        return bench(blob, name, core)

    monkeypatch.setattr(module, "bench", record)
    counted = count(found, M4)
    want = bench(found.scores[1].blob, "digits", M4[0]).instructions
    assert calls == [(found.scores[1].blob, "digits.tflite", "m4")]
    assert [s.instructions for s in counted.scores] == [{}, {"m4": want}, {"m4": want}]
    assert counted.cores == ("m4",) and not counted.missing


def test_a_machine_without_qemu(found, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    counted = count(found, CORES)
    assert counted.cores == () and all(not s.instructions for s in counted.scores)
    assert report.about(counted)[-1] == (
        "no instructions: qemu-system-arm and qemu-system-riscv32 and qemu-system-xtensa are not installed; "
        "run: apt-get install qemu-system-arm qemu-system-misc"
    )


def test_a_count_that_fails(found, monkeypatch, qemu):
    def fail(*_):
        raise WhitError("digits.whit: has no self-test; pack it again")

    monkeypatch.setattr(module, "bench", fail)
    counted = count(found, M4)
    assert counted.missing == ("digits.whit: has no self-test; pack it again",) and counted.cores == ()


# The command


@pytest.fixture
def whit_evaluate(tmp_path, monkeypatch, capsys, float_model, int8_models, vectors):
    """The command beside the models and the data: status, standard output, standard error."""
    monkeypatch.chdir(tmp_path)
    for file in (float_model, *int8_models):
        (tmp_path / file.name).write_bytes(file.data)
    np.save("x.npy", vectors["x"])
    np.save("y.npy", vectors["y"])

    def call(*arguments) -> tuple[int, str, str]:
        status = main(["evaluate", *map(str, arguments)])
        return status, *capsys.readouterr()

    return call


ALL = "digits.tflite", "digits.whit", "linear.tflite", "x.npy", "y.npy"


def test_the_table(whit_evaluate, found, qemu):
    status, out, err = whit_evaluate(*ALL, "--core", "m4")
    lines = out.splitlines()
    counted = count(found, M4)
    assert status == 0 and not err and lines[0] == "360 samples of x.npy"
    assert lines[1].split() == "accuracy right as float SQNR .whit weights arena Cortex-M4".split()
    for line, s in zip(lines[2:5], counted.scores, strict=True):
        wanted = [s.name, s.kind, f"{s.accuracy:.1%}", str(s.right), f"{s.agreement:.1%}"]
        wanted += [f"{s.decibels:.1f}", "dB"] if s.decibels is not None else []
        numbers = (s.blob_bytes, s.weights_bytes, s.arena_bytes, *s.instructions.values())
        assert line.split() == wanted + [f"{n:,}" for n in numbers if n is not None]
    for s in found.scores:
        at = lines.index(f"{s.name}: classes, and what they were taken for")
        for i in range(10):
            row = [str(n) if n else "." for n in s.confusion[i]]
            assert lines[at + 2 + i].split() == [str(i), *row, f"{s.recall(i):.1%}"]


def test_json(whit_evaluate, found):
    status, out, _ = whit_evaluate(*ALL, "--no-instructions", "--json")
    about = json.loads(out)
    assert status == 0 and about["classes"] == list("0123456789") and about["samples"] == 360
    assert about["samples_file"] == {"name": "x.npy", "sha256": File("", Path("x.npy").read_bytes()).sha256}
    for shown, s in zip(about["scores"], found.scores, strict=True):
        assert shown["accuracy"] == s.accuracy and shown["confusion"] == [list(row) for row in s.confusion]
        assert shown["recall"] == [s.recall(i) for i in range(10)] and "blob" not in shown
        assert shown["decibels"] == s.decibels and shown["agreement"] == s.agreement and shown["sha256"] == s.sha256


def test_names_of_classes_and_files(whit_evaluate, tmp_path):
    (tmp_path / "names.txt").write_text("\n".join([*"abcdefgh", "[i]", "j"]))
    (tmp_path / "sub").mkdir()
    shutil.copy("digits.whit", "sub/digits.whit")
    _, out, _ = whit_evaluate("sub/digits.whit", *ALL, "--no-instructions", "--labels", "names.txt")
    assert re.search(r"^sub/digits.whit +int8", out, re.M) and re.search(r"^digits.whit +int8", out, re.M)
    assert re.search(r"^ +a +b +c +d +e +f +g +h +\[i\] +j +recall$", out, re.M)
    _, out, _ = whit_evaluate("linear.tflite", "digits.whit", *ALL[2:], "--no-instructions")
    assert out.count("linear.tflite  float32") == 1  # named twice, it is still one model


def test_mistakes(whit_evaluate, tmp_path):
    order = r"give MODEL \[MODEL ...\] FLOAT_MODEL SAMPLES.npy LABELS.npy"
    np.save("text.npy", np.array(["one"] * 360))
    for arguments, sentence in (
        (ALL[1:2] + ALL[3:], f"digits.whit, x.npy, y.npy: 3 of at least 4 files; {order}"),
        (("digits.whit", *ALL[1:4]), f"linear.tflite: a model where an array belongs; {order}"),
        (
            ("digits.whit", "linear.tflite", "x.npy", "x.npy", "y.npy"),
            f"x.npy: an array where a model belongs; {order}",
        ),
        (("linear.tflite", "digits.tflite", *ALL[3:]), "digits.tflite: is quantized, but stands where the float model"),
        (("none.whit", *ALL[2:]), "none.whit: cannot be read"),
        ((*ALL[:4], "text.npy"), "text.npy: the label 'one' is no name of a class; the classes are 0, 1, 2,"),
        ((*ALL, "--html", "x.npy"), "x.npy: is what is read; give the output another name"),
        ((*ALL, "--html", "sub/../digits.whit"), "digits.whit: is what is read"),
    ):
        (tmp_path / "sub").mkdir(exist_ok=True)
        status, out, err = whit_evaluate(*arguments)
        assert status == 2 and not out and len(err.splitlines()) == 1, err
        assert re.search(sentence, err), err


# The page


class Page(HTMLParser):
    """Tags that are opened and closed, what they name, and the text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.sources: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.sources += [value for name, value in attributes if name in ("src", "href") and value]
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def svg(source: str) -> str:
    head = "data:image/svg+xml;base64,"
    assert source.startswith(head)
    return base64.b64decode(source.removeprefix(head)).decode()


def test_the_page(whit_evaluate, found, tmp_path, matplotlib):
    assert whit_evaluate(*ALL, "--no-instructions", "--html", "a.html")[0] == 0
    text = Path("a.html").read_text()
    data = [File(name, Path(name).read_bytes()) for name in ("x.npy", "y.npy")]
    assert text == report.page(found, *data) and str(tmp_path) not in text
    assert "http" not in text and "<script" not in text and "$" not in text
    page = Page(text)
    for s in found.scores:
        assert s.name in page.text and f"{s.accuracy:.1%}" in page.text and s.sha256[:16] in page.text
    assert "360 samples (8x8x1) of x.npy, labels of y.npy, 10 classes" in page.text
    assert len(page.sources) == 3 + 3  # accuracy, weights, .whit, and a matrix for each model
    pictures = [ElementTree.fromstring(svg(source)) for source in page.sources]
    counts = ["".join(picture.itertext()) for picture in pictures]
    int8 = found.scores[1]
    assert f"{int8.accuracy:.1%}" in counts[0] and f"{len(int8.blob):,}" in counts[2]
    assert sorted(p.name for p in tmp_path.glob("*.html*")) == ["a.html"]


def scores_of(classes: int, names=("m.tflite",)) -> tuple[Score, ...]:
    table = tuple(map(tuple, np.random.default_rng(classes).integers(0, 9, (classes, classes)).tolist()))
    right, samples = sum(table[i][i] for i in range(classes)), sum(map(sum, table))
    return tuple(
        Score(n, "0" * 64, "float32", "numpy", 9, None, 8, None, samples, right, None, 1.0, None, table) for n in names
    )


@pytest.mark.parametrize("classes", [2, 20, 60, 61])
def test_any_number_of_classes(classes, matplotlib):
    """Numbers in the cells as long as there is room, names beside them a little longer."""
    names = tuple(f"$<{i}>$&\u2028" for i in range(classes))
    found = Evaluation(names, 1, (), scores_of(classes, ("<m>$x", "y" * 80)[: 2 if classes == 2 else 1]))
    text = report.page(found, File("<x>", b""), File("y", b""))
    page = Page(text)
    assert "<m>$x" in page.text and "$<0>$&" in page.text and "<x>" in page.text
    drawn = [ElementTree.fromstring(svg(source)) for source in page.sources][-len(found.scores) :]
    for picture, score in zip(drawn, found.scores, strict=True):
        words = [element.text for element in picture.iter() if element.tag.endswith("}text")]
        counted = [word for word in words if word and word.isdecimal()]
        cells = [str(n) for row in score.confusion for n in row if n]
        assert counted == (cells if classes <= 20 else [])
        assert words.count("$<0>$&?") == (2 if classes <= 60 else 0)


def test_a_page_of_values(matplotlib, vectors):
    x = vectors["x"].reshape(-1, 64)
    found = evaluate([], File("eye.tflite", dense("eye", np.eye(64) / 2)), x, x)
    page = Page(report.page(found, File("x", b""), File("x", b"")))
    assert "RMSE" in page.text and "Confusion" not in page.text and f"{found.scores[0].rmse:.4g}" in page.text


def test_without_matplotlib(whit_evaluate, monkeypatch):
    """Said before anything runs; the table needs none."""
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "matplotlib" else found(name))
    status, out, err = whit_evaluate(*ALL, "--html", "r.html")
    assert status == 2 and not out and not Path("r.html").exists()
    assert err == "whit: a page has plots, and matplotlib is not installed; run: pip install 'whit[report]'\n"
    assert whit_evaluate(*ALL, "--no-instructions")[0] == 0


def test_matplotlib_is_only_for_the_page():
    script = "import sys, whit.cli, whit.report; assert 'matplotlib' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], check=True)


@pytest.mark.parametrize(
    "part, text", [(1, "100.0%"), (0.99999, "99.9%"), (0.9985, "99.9%"), (0.5, "50.0%"), (0, "0.0%"), (None, "")]
)
def test_only_all_is_all(part, text):
    assert report.percent(part) == text


def test_weights_of_4_bits_are_told(tmp_path):
    net = FloatNet("bits")
    x = net.input(1, 12)
    graph = net.graph([x], [net.same("SOFTMAX", net.dense(net.dense(x, 16), 3), Beta=1.0)])
    samples = np.random.default_rng(0).normal(size=(40, 12))
    int8, four = (write_tflite(quantize(graph, [samples], names).graph) for names in ((), ["t3"]))
    files = [File("int8.tflite", int8), File("four.tflite", four), File("float.tflite", write_tflite(graph))]
    scores = evaluate(files[:2], files[2], samples, np.arange(40) % 3).scores
    assert {s.name: s.kind for s in scores} == {
        "float.tflite": "float32",
        "int8.tflite": "int8",
        "four.tflite": "int8, int4",
    }
