"""The main job on real models: packed small, planned within bounds, and every output byte that of tflite-micro."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from whit.device import check
from whit.inspect import describe
from whit.models import digits
from whit.pack import pack
from whit.simulate import KERNEL_SETS, simulate
from whit.verify import verify

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


@pytest.fixture(scope="module")
def digits_model():
    folder = Path(digits.__file__).parent
    with np.load(folder / "vectors.npz") as stored:
        vectors = dict(stored)
    return pack((folder / "digits_int8.tflite").read_bytes(), "digits_int8.tflite"), vectors


@pytest.mark.parametrize("kernels", KERNEL_SETS)
def test_digits_vectors(digits_model, kernels):
    """predict() on real pixel values and run() on quantized ones both give the recorded bytes."""
    packed, vectors = digits_model
    real = (vectors["images"] / 16).astype(np.float32)
    port = packed.program.inputs[0]
    scaled = (real / np.float32(port.scale)).astype(np.float64)
    quantized = np.clip(np.trunc(scaled + np.copysign(0.5, scaled)) + port.zero_point, -128, 127).astype(np.int8)
    path = Path("digits_int8.whit")
    ints = simulate(path, packed.blob, [quantized], kernels)[0]
    floats = simulate(path, packed.blob, [real], kernels)[0]
    np.testing.assert_array_equal(ints, vectors["outputs"])
    np.testing.assert_array_equal(floats, (vectors["outputs"].astype(np.float32) + 128) / 256)


def test_digits_card(digits_model):
    """The card's accuracy, size and labels are those of the files."""
    packed, vectors = digits_model
    card = (Path(digits.__file__).parent / "README.md").read_text()
    right = int((vectors["outputs"].argmax(1) == vectors["labels"]).sum())
    assert f"| int8 accuracy | {right} of {len(vectors['labels'])} test images" in card
    assert f"| multiply-accumulates | {sum(s.macs for s in packed.program.steps):,} per image |" in card
    assert packed.program.labels == tuple("0123456789")


def test_a_blob_is_the_same_every_time(digits_model):
    folder = Path(digits.__file__).parent
    script = (
        "import sys, pathlib, zlib; from whit.pack import pack;"
        "print(zlib.crc32(pack(pathlib.Path(sys.argv[1]).read_bytes(), 'x').blob))"
    )
    command = [sys.executable, "-c", script, str(folder / "digits_int8.tflite")]
    assert len({subprocess.check_output(command) for _ in range(2)}) == 1


def test_the_boards_check_accepts_what_the_packager_writes(digits_model):
    arena_bytes, sections, used, _ = check.check("digits", memoryview(digits_model[0].blob))
    assert arena_bytes == digits_model[0].plan.arena_bytes
    assert set(sections) == {1, 2, 3, 4, 5}
    assert len(used) == 6
