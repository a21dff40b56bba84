"""Example models, one folder each: how it is made, its card, its files.

NAME_float.tflite   the trained network
calibration.npy     samples of the training split, float16 [n, *shape]
NAME_int8.tflite    what `whit quantize` makes of these two
vectors.npz         the test split: inputs float16 [n, *shape], labels uint8 [n], and outputs int8 [n, classes], as
                    the tflite-micro interpreter computed them
"""

from pathlib import Path

import numpy as np
from whit.graph import Graph
from whit.read_tflite import read_tflite

FOLDER = Path(__file__).parent
NAMES = ("digits", "motions", "beats")


def load(folder: Path, form: str) -> Graph:
    """The model of an example in the form "float" or "int8"."""
    path = folder / f"{folder.name}_{form}.tflite"
    return read_tflite(path.read_bytes(), path.name)


def vectors(name: str) -> dict[str, np.ndarray]:
    with np.load(FOLDER / name / "vectors.npz") as stored:
        return dict(stored)


def quantized(graph: Graph, x: np.ndarray) -> np.ndarray:
    """Real samples as int8 (samples, *shape of the input), rounded as predict() on the board does it."""
    port = graph.tensors[graph.inputs[0]]
    real = (x.astype(np.float32) / np.float32(port.scale)).astype(np.float64)
    rounded = np.trunc(real + np.copysign(0.5, real)).astype(np.int32) + port.zero_point
    return np.clip(rounded, -128, 127).astype(np.int8).reshape(-1, *port.shape)
