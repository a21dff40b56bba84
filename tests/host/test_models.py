"""The main job on real models: packed small, planned within bounds, and every output byte that of tflite-micro."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from whit import models, oracle
from whit.device import check
from whit.execute import execute
from whit.inspect import describe
from whit.models.cards import beats, cards
from whit.pack import Packed, pack
from whit.quantize import quantize
from whit.simulate import KERNEL_SETS, simulate
from whit.verify import verify
from whit.write_tflite import write_tflite

# file: (most bytes a blob may take, inputs, outputs)
PUBLIC = {
    "kws_ref_model.tflite": (30_000, [(1, 49, 10, 1)], [(1, 12)]),
    "vww_96_int8.tflite": (240_000, [(1, 96, 96, 3)], [(1, 2)]),
    "pretrainedResnet_quant.tflite": (84_000, [(1, 32, 32, 3)], [(1, 10)]),
    "ad01_int8.tflite": (282_000, [(1, 640)], [(1, 640)]),
    "hello_world_int8.tflite": (2_000, [(1, 1)], [(1, 1)]),
    "micro_speech_quantized.tflite": (20_000, [(1, 1960)], [(1, 4)]),
}


@pytest.mark.parametrize("name", PUBLIC)
def test_every_kernel_set_is_bit_exact(name, public_model):
    """20 random inputs, all-minimum, all-maximum and zero-point."""
    for result in verify(public_model(name), Path(name), samples=20, seed=0):
        assert result.samples == 23
        assert result.differing == 0, result


@pytest.mark.parametrize("name", PUBLIC)
def test_size_and_shapes(name, public_model):
    most, inputs, outputs = PUBLIC[name]
    packed = pack(public_model(name), name)
    about = describe(packed.blob)
    assert len(packed.blob) <= most
    assert about["arena_bytes"] == packed.plan.arena_bytes
    assert [tuple(p["shape"]) for p in about["inputs"]] == inputs
    assert [tuple(p["shape"]) for p in about["outputs"]] == outputs
    json.dumps(about)


@pytest.mark.parametrize("name", ["kws_ref_model_float32.tflite", "vww_96_float.tflite", "ad01_fp32.tflite"])
def test_float_models_are_refused_in_one_sentence(name, public_model):
    sentence = r"is float32, so this is a .* model.*; whit runs int8: give samples of the input, as in whit quantize"
    with pytest.raises(Exception, match=sentence):
        pack(public_model(name), name)


@dataclass(frozen=True)
class Example:
    """A model that is shipped, with its test split."""

    name: str
    int8: bytes
    packed: Packed
    vectors: dict[str, np.ndarray]

    @property
    def right(self) -> int:
        return hits(self.vectors["outputs"], self.vectors["labels"])


def hits(answers: np.ndarray, labels: np.ndarray) -> int:
    return int((answers.reshape(len(labels), -1).argmax(1) == labels).sum())


@pytest.fixture(scope="module")
def examples() -> dict[str, Example]:
    found = {}
    for name in models.NAMES:
        data = (models.FOLDER / name / f"{name}_int8.tflite").read_bytes()
        found[name] = Example(name, data, pack(data, f"{name}_int8.tflite"), models.vectors(name))
    return found


@pytest.fixture(scope="module")
def digits_model(examples) -> Packed:
    return examples["digits"].packed


@pytest.mark.parametrize("name", models.NAMES)
def test_vectors_are_of_tflite_micro(examples, name):
    e = examples[name]
    x = models.quantized(models.load(models.FOLDER / name, "int8"), e.vectors["inputs"])
    want = oracle.run(e.int8, [x], name, 1)[0]
    np.testing.assert_array_equal(want.reshape(e.vectors["outputs"].shape), e.vectors["outputs"])


@pytest.mark.parametrize("kernels", KERNEL_SETS)
@pytest.mark.parametrize("name", models.NAMES)
def test_vectors(examples, name, kernels):
    """predict() on real values and run() on quantized ones both give the recorded bytes."""
    e = examples[name]
    outputs = e.vectors["outputs"]
    port = e.packed.program.inputs[0]
    real = e.vectors["inputs"].astype(np.float32)
    scaled = (real / np.float32(port.scale)).astype(np.float64)
    quantized = np.clip(np.trunc(scaled + np.copysign(0.5, scaled)) + port.zero_point, -128, 127).astype(np.int8)
    path = Path(f"{name}_int8.whit")
    ints = simulate(path, e.packed.blob, [quantized], kernels)[0]
    floats = simulate(path, e.packed.blob, [real], kernels)[0]
    np.testing.assert_array_equal(ints.reshape(outputs.shape), outputs)
    np.testing.assert_array_equal(floats.reshape(outputs.shape), (outputs.astype(np.float32) + 128) / 256)


@pytest.mark.parametrize(("name", "least"), [("digits", 0.985), ("motions", 0.97), ("beats", 0.99)])
def test_int8_is_within_a_point_of_float(examples, name, least):
    """`least` is of the float model, what training has to reach."""
    e = examples[name]
    labels = e.vectors["labels"]
    right = hits(execute(models.load(models.FOLDER / name, "float"), [e.vectors["inputs"]])[0], labels)
    assert right >= least * len(labels)
    assert abs(right - e.right) <= 0.01 * len(labels)


@pytest.mark.parametrize("name", models.NAMES)
def test_the_shipped_samples_quantize_the_shipped_model(examples, name):
    """What `whit quantize` makes of them keeps labels and accuracy.

    Not the bytes: the ranges of activations end in the last bits of float32 sums, whose order is that of a CPU's BLAS.
    """
    folder = models.FOLDER / name
    e = examples[name]
    graph = quantize(models.load(folder, "float"), [np.load(folder / "calibration.npy")]).graph
    assert graph.labels == e.packed.program.labels != ()
    labels = e.vectors["labels"]
    y = oracle.run(write_tflite(graph), [models.quantized(graph, e.vectors["inputs"])], name, 1)[0]
    assert abs(hits(y, labels) - e.right) <= 0.01 * len(labels)


def test_no_sample_to_quantize_with_is_a_test_sample(examples):
    for name, e in examples.items():
        test = {x.tobytes() for x in e.vectors["inputs"]}
        assert not any(x.tobytes() in test for x in np.load(models.FOLDER / name / "calibration.npy"))


def test_the_cards():
    """Their figures are what the files give."""
    written = cards()
    assert len(written) == 1 + len(models.NAMES)
    for path, text in written.items():
        assert text.count("<!-- figures -->\n| ") == text.count("|\n<!-- end -->") == 1
        assert path.read_text() == text, f"{path} is out of date; run: make cards"


def test_beats_are_counted_as_runs_of_windows():
    """One told late and twice, one missed, one told where there is none."""
    true, told = np.zeros(20, int), np.zeros(20, int)
    true[[2, 9, 19]] = 1
    told[[3, 4, 14, 19]] = 1
    assert beats(np.eye(2)[told], true) == "2 of 3 found, 1 where there is none"
    assert beats(np.eye(2)[true], true) == "3 of 3 found, 0 where there is none"
    assert beats(np.eye(2)[0 * true], true) == "0 of 3 found, 0 where there is none"


def test_a_blob_is_the_same_every_time(digits_model):
    folder = models.FOLDER / "digits"
    script = (
        "import sys, pathlib, zlib; from whit.pack import pack;"
        "print(zlib.crc32(pack(pathlib.Path(sys.argv[1]).read_bytes(), 'x').blob))"
    )
    command = [sys.executable, "-c", script, str(folder / "digits_int8.tflite")]
    assert len({subprocess.check_output(command) for _ in range(2)}) == 1


def test_the_boards_check_accepts_what_the_packager_writes(digits_model):
    arena_bytes, sections, used, _ = check.check("digits", memoryview(digits_model.blob))
    assert arena_bytes == digits_model.plan.arena_bytes
    assert set(sections) == {1, 2, 3, 4, 5}
    assert len(used) == 6
