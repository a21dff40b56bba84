"""The table of docs/quantization.md: float models quantized by whit beside the int8 models that their authors publish.

python tools/quantization.py FOLDER            write it; FOLDER holds the models of MLPerf Tiny
python tools/quantization.py FOLDER --check    exit 1 where the document says otherwise

Each float model is calibrated on some inputs and compared on others, of other pictures and sounds. Both int8 models run
in TensorFlow Lite Micro. Needs scikit-learn and scikit-image for their pictures, and espeak-ng to say the words.
"""

from __future__ import annotations

import argparse
import io
import subprocess
import sys
import wave
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from build_kernels import ROOT
from generate_format import between
from whit import oracle
from whit.execute import execute
from whit.graph import Graph
from whit.quantize import quantize
from whit.read_tflite import read_tflite
from whit.write_tflite import write_tflite

DOCUMENT = ROOT / "docs/quantization.md"
CALIBRATED, COMPARED = 128, 400
RATE = 16_000

# Pictures

GREY = ("brick", "camera", "clock", "coins", "grass", "gravel", "moon", "page", "text")
COLOURED = ("astronaut", "cat", "coffee", "colorwheel", "hubble_deep_field", "immunohistochemistry", "retina", "rocket")


def pictures() -> list[np.ndarray]:
    """uint8 [h, w, 3]: the sample pictures that lie in the packages."""
    import skimage.data
    from sklearn.datasets import load_sample_images

    grey = [np.repeat(getattr(skimage.data, name)()[..., None], 3, axis=2) for name in GREY]
    return [*load_sample_images().images, *(getattr(skimage.data, name)()[..., :3] for name in COLOURED), *grey]


def crops(size: int, held_out: bool, count: int) -> np.ndarray:
    """float32 [count, size, size, 3], 0 to 255: squares of every other picture, scaled down."""
    from skimage.transform import resize

    rng = np.random.default_rng(held_out)
    chosen = pictures()[held_out::2]
    found = []
    for i in range(count):
        picture = chosen[i % len(chosen)]
        side = rng.integers(size, min(picture.shape[:2]) + 1)
        y, x = (rng.integers(0, n - side + 1) for n in picture.shape[:2])
        square = picture[y : y + side, x : x + side].astype(np.float32)
        found.append(resize(square, (size, size), order=1, anti_aliasing=True, preserve_range=True))
    return np.array(found, np.float32)


# Sounds

WORDS = ("down", "go", "left", "no", "off", "on", "right", "stop", "up", "yes", "seven", "marvin")
VOICES = ("en-us", "en-gb", "en-us+f3", "en-gb+m5")  # the first two are calibrated with


def words(held_out: bool, count: int) -> np.ndarray:
    """float32 [count, 49, 10, 1]: what the keyword model hears, ten cepstral coefficients every 20 ms of a second."""
    from scipy.signal import resample_poly

    rng = np.random.default_rng(10 + held_out)
    found = []
    for i in range(count):
        voice = VOICES[2 * held_out + i // len(WORDS) % 2]
        speed, pitch = rng.integers(120, 220), rng.integers(20, 80)
        command = ["espeak-ng", "--stdout", f"-v{voice}", f"-s{speed}", f"-p{pitch}", WORDS[i % len(WORDS)]]
        with wave.open(io.BytesIO(subprocess.run(command, check=True, capture_output=True).stdout)) as file:
            sound = np.frombuffer(file.readframes(file.getnframes()), "<i2") / 32768
            sound = resample_poly(sound, RATE, file.getframerate())[: RATE - 1000]
        second = np.zeros(RATE)
        at = rng.integers(0, RATE - len(sound) + 1)
        second[at : at + len(sound)] = sound * rng.uniform(0.2, 1)
        second += rng.normal(0, 10 ** rng.uniform(-4, -2), RATE)
        found.append(cepstrum(second))
    return np.array(found, np.float32)[..., None]


def cepstrum(sound: np.ndarray) -> np.ndarray:
    """[frames, 10] from the magnitudes of 40 mel bands of 20 to 4000 Hz, in windows of 30 ms every 20 ms."""
    frames = np.lib.stride_tricks.sliding_window_view(sound, 480)[::320]
    magnitude = np.abs(np.fft.rfft(frames * np.hanning(481)[:-1], 512))
    bands = np.log(magnitude @ mel_bands(40, 512, 20, 4000).T + 1e-6)
    angles = np.pi / 40 * (np.arange(40)[:, None] + 0.5) * np.arange(10)
    return bands @ np.cos(angles) * np.sqrt(2 / 40)


def machines(held_out: bool, count: int) -> np.ndarray:
    """float32 [count, 640]: five frames of 128 mel bands in decibels, of motors and what turns in them."""
    rng = np.random.default_rng(20 + held_out)
    found = []
    for _ in range(count):
        t = np.arange(1024 + 4 * 512) / RATE
        sound = rng.normal(0, 10 ** rng.uniform(-3.5, -1.5), len(t))
        speed = rng.uniform(20, 120)  # of a motor, in turns a second
        for harmonic in range(1, 30):
            sound += 10 ** rng.uniform(-4, -1) * np.sin(2 * np.pi * harmonic * speed * t + rng.uniform(0, 6))
        clicks = (t * rng.uniform(5, 60)) % 1 < 0.02  # a bearing
        sound += clicks * rng.normal(0, 10 ** rng.uniform(-3, -1), len(t))
        frames = np.lib.stride_tricks.sliding_window_view(sound, 1024)[::512]
        power = np.abs(np.fft.rfft(frames * np.hanning(1025)[:-1])) ** 2
        found.append(10 * np.log10(power @ mel_bands(128, 1024, 0, RATE / 2, even=True).T + 1e-12).reshape(-1))
    return np.array(found, np.float32)


def mel_bands(count: int, points: int, low: float, high: float, even: bool = False) -> np.ndarray:
    """[count, points / 2 + 1]: overlapping triangles, evenly wide in mel; of one height, or `even` of one area."""
    edges = 700 * (10 ** (np.linspace(*(np.log10(1 + np.array([low, high]) / 700)), count + 2)) - 1)
    frequencies = np.arange(points // 2 + 1) * RATE / points
    rise = (frequencies - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    fall = (edges[2:, None] - frequencies) / (edges[2:] - edges[1:-1])[:, None]
    return np.maximum(np.minimum(rise, fall), 0) * ((2 / (edges[2:] - edges[:-2]))[:, None] if even else 1)


# The comparison


@dataclass(frozen=True)
class Case:
    title: str
    inputs: str
    float_model: str
    int8_model: str
    samples: Callable[[bool, int], np.ndarray]
    classes: bool = True


CASES = (
    Case(
        "visual wake words",
        "pictures",
        "vww_96_float.tflite",
        "vww_96_int8.tflite",
        lambda held_out, count: crops(96, held_out, count) / 255,
    ),
    Case(
        "CIFAR-10, ResNet8",
        "pictures",
        "pretrainedResnet.tflite",
        "pretrainedResnet_quant.tflite",
        lambda held_out, count: crops(32, held_out, count),
    ),
    Case("keyword spotting", "spoken words", "kws_ref_model_float32.tflite", "kws_ref_model.tflite", words),
    Case("anomaly detection", "machine sounds", "ad01_fp32.tflite", "ad01_int8.tflite", machines, False),
)


def int8_outputs(data: bytes, graph: Graph, samples: np.ndarray) -> np.ndarray:
    """Real values [samples, outputs] of an int8 model in TensorFlow Lite Micro."""
    x, y = graph.tensors[graph.inputs[0]], graph.tensors[graph.outputs[0]]
    q = np.clip(np.rint(samples / x.scale) + x.zero_point, -128, 127).astype(np.int8)
    found = oracle.run(data, [q.reshape(-1, *x.shape)], graph.name, 1)[0]
    return (found.reshape(len(samples), -1).astype(np.float64) - y.zero_point) * y.scale


@dataclass(frozen=True)
class Compared:
    """An int8 model beside the float one."""

    same: float  # of the inputs, those whose largest output is the float model's
    rmse: float  # over all output values


def compare(case: Case, folder: Path) -> list[Compared]:
    """The published int8 model, and whit's."""
    float_graph, published = (
        read_tflite((folder / name).read_bytes(), name) for name in (case.float_model, case.int8_model)
    )
    ours = quantize(float_graph, [case.samples(False, CALIBRATED)]).graph
    held_out = case.samples(True, COMPARED)
    truth = execute(float_graph, [held_out])[0].reshape(len(held_out), -1)
    found = []
    for data, graph in (((folder / case.int8_model).read_bytes(), published), (write_tflite(ours), ours)):
        y = int8_outputs(data, graph, held_out)
        same = np.mean(y.argmax(1) == truth.argmax(1))
        found.append(Compared(float(same), float(np.sqrt(np.mean((y - truth) ** 2)))))
    return found


def row(case: Case, folder: Path) -> str:
    cells = [f"{f'{c.same:.1%}' if case.classes else ''} | {c.rmse:.4f}" for c in compare(case, folder)]
    return f"| {case.title} | {case.inputs} | {' | '.join(cells)} |"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--check", action="store_true")
    a = parser.parse_args()
    lines = [
        "| model | inputs | published: same class | RMSE | whit: same class | RMSE |",
        "|---|---|--:|--:|--:|--:|",
        *(row(case, a.folder) for case in CASES),
    ]
    table = "\n".join(lines) + "\n"
    print(table)
    text = DOCUMENT.read_text()
    new = between(text, "published", table)
    if a.check:
        return int(new != text)
    DOCUMENT.write_text(new)
    return 0


if __name__ == "__main__":
    sys.exit(main())
