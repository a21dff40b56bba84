"""The table of docs/compression.md: what pruning, distillation and 4-bit weights cost and save, on handwritten digits.

    python tools/compression.py [SEEDS]     write it; with other than five seeds print it only

The task: scikit-learn's 8x8 digits, each at a random place of a 12x12 image and under noise; 800 of them train, four
images each, the other 997 test, two images each. Every figure is the mean over the seeds (five), which choose the
digits that train, their places and the noise, the first weights and the order of the samples. Where a network learns
from few labels, 200 of the 800 digits have one; the distilled student sees the images of all, and of no label.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from build_kernels import ROOT
from generate_format import between
from sklearn.datasets import load_digits
from whit.bench import bench
from whit.emulate import CORES
from whit.graph import Graph, Operator, Tensor
from whit.inspect import describe
from whit.pack import pack_graph
from whit.quantize import execute_rounded, quantize
from whit.quantize.quantize import FOUR_BITS
from whit.train.distil import distil
from whit.train.loop import train
from whit.train.network import Network, initialize
from whit.train.prune import prune
from whit.train.task import Task, outputs, task

PAGE = ROOT / "docs/compression.md"
SEEDS = 5
CALIBRATED = 256  # samples
KEPT = 0.42  # of the multiply-accumulates, by pruning
COUNTED = ("m0plus", "m4")  # cores
SIZE, DIGIT, CLASSES = 12, 8, 10
TRAINING, LABELLED, COPIES = 800, 200, 4
NOISE = 0.15
LARGE, SMALL = 20, 4  # channels of the first layer
RATE, STUDENT_RATE = 3e-3, 5e-3

SAME, VALID, RELU = 0, 1, 1


class Layers:
    """A graph that grows at its end. Weights are zeros: initialize() gives them values."""

    def __init__(self, *shape: int) -> None:
        self.tensors: list[Tensor] = [Tensor("input", shape, "float32")]
        self.operators: list[Operator] = []

    def zeros(self, *shape: int) -> int:
        return self.constant(np.zeros(shape, np.float32))

    def constant(self, data: np.ndarray) -> int:
        self.tensors.append(Tensor(f"constant_{len(self.tensors)}", data.shape, data.dtype.name, None, data))
        return len(self.tensors) - 1

    def then(self, kind: str, inputs: list[int], *shape: int, **options: int) -> int:
        self.tensors.append(Tensor(f"{kind.lower()}_{len(self.tensors)}", shape, "float32"))
        self.operators.append(Operator(kind, tuple(inputs), (len(self.tensors) - 1,), dict(options)))
        return len(self.tensors) - 1

    def conv(self, x: int, channels: int, kernel: int = 3, activation: int = RELU) -> int:
        *image, before = self.tensors[x].shape
        weights, bias = self.zeros(channels, kernel, kernel, before), self.zeros(channels)
        options = dict(StrideH=1, StrideW=1, DilationHFactor=1, DilationWFactor=1, FusedActivationFunction=activation)
        return self.then("CONV_2D", [x, weights, bias], *image, channels, Padding=SAME, **options)

    def depthwise(self, x: int) -> int:
        shape = self.tensors[x].shape
        options = dict(StrideH=1, StrideW=1, DilationHFactor=1, DilationWFactor=1, FusedActivationFunction=RELU)
        inputs = [x, self.zeros(1, 3, 3, shape[3]), self.zeros(shape[3])]
        return self.then("DEPTHWISE_CONV_2D", inputs, *shape, Padding=SAME, DepthMultiplier=1, **options)

    def pool(self, kind: str, x: int, size: int) -> int:
        n, height, width, channels = self.tensors[x].shape
        options = dict(StrideH=size, StrideW=size, FilterHeight=size, FilterWidth=size, FusedActivationFunction=0)
        return self.then(kind, [x], n, height // size, width // size, channels, Padding=VALID, **options)


def network(channels: int) -> Graph:
    """A residual block between two separable layers."""
    n = Layers(1, SIZE, SIZE, 1)
    x = n.conv(0, channels)
    x = n.conv(n.depthwise(x), 2 * channels, 1)
    y = n.conv(n.conv(x, 2 * channels), 2 * channels, activation=0)
    x = n.then("ADD", [x, y], *n.tensors[x].shape, FusedActivationFunction=RELU)
    x = n.pool("MAX_POOL_2D", x, 2)
    x = n.pool("AVERAGE_POOL_2D", n.conv(n.depthwise(x), 4 * channels, 1), 3)
    flat = int(np.prod(n.tensors[x].shape))
    x = n.then("RESHAPE", [x, n.constant(np.array([1, flat], np.int32))], 1, flat)
    options = dict(FusedActivationFunction=0, WeightsFormat=0, KeepNumDims=0)
    x = n.then("FULLY_CONNECTED", [x, n.zeros(CLASSES, flat), n.zeros(CLASSES)], 1, CLASSES, **options)
    y = n.then("SOFTMAX", [x], 1, CLASSES, Beta=1)
    return Graph(f"digits_{channels}", tuple(n.tensors), tuple(n.operators), (0,), (y,))


def place(digits: np.ndarray, copies: int, rng: np.random.Generator) -> np.ndarray:
    """[copies * n, SIZE, SIZE, 1]: each digit somewhere, under noise."""
    images = rng.normal(0, NOISE, (copies * len(digits), SIZE, SIZE, 1)).astype(np.float32)
    for image, digit in zip(images, np.tile(digits, (copies, 1, 1)), strict=True):
        y, x = rng.integers(0, SIZE - DIGIT + 1, 2)
        image[y : y + DIGIT, x : x + DIGIT, 0] += digit
    return images


def experiment(seed: int, tell: Callable[[str], None]) -> dict[str, Figures]:
    """Each network, on the digits that were not trained with."""
    data, rng = load_digits(), np.random.default_rng(seed)
    order = rng.permutation(len(data.target))
    digits, classes = (data.images[order] / 16).astype(np.float32), data.target[order]
    images, labels = place(digits[:TRAINING], COPIES, rng), np.tile(classes[:TRAINING], COPIES)
    test = task(network(LARGE), place(digits[TRAINING:], 2, rng), np.tile(classes[TRAINING:], 2))
    labelled = np.arange(len(labels)) % TRAINING < LABELLED
    found: dict[str, Figures] = {}

    def note(name: str, graph: Graph, four: bool = False) -> Graph:
        found[name] = figures(name, graph, four, images[:CALIBRATED], test)
        tell(f"seed {seed}: {name} {found[name]}")
        return graph

    def alone(graph: Graph, x: np.ndarray, y: np.ndarray, epochs: int, rate: float) -> Graph:
        learner = Network(graph)
        train(learner, task(graph, x, y), epochs, seed, rate)
        return learner.graph()

    large = note("as trained", alone(initialize(network(LARGE), seed), images, labels, 10, RATE))
    note("4-bit weights", large, four=True)
    pruned = note("pruned", prune(large, images, labels, KEPT, 10, seed))
    note("pruned, 4-bit weights", pruned, four=True)
    small = initialize(network(SMALL), seed)
    more = TRAINING // LABELLED  # epochs, for as many steps
    note("student, 200 labels", alone(small, images[labelled], labels[labelled], 20 * more, STUDENT_RATE))
    note("student, distilled, no labels", distil(small, large, images, None, epochs=20, seed=seed, rate=STUDENT_RATE))
    note("student, all labels", alone(small, images, labels, 20, STUDENT_RATE))
    note(
        "student, distilled, all labels", distil(small, large, images, labels, epochs=20, seed=seed, rate=STUDENT_RATE)
    )
    return found


@dataclass(frozen=True)
class Figures:
    """Of one network with one seed."""

    accuracy: float  # in float32
    quantized: float  # accuracy as it runs on a board
    weights_bytes: int
    instructions: tuple[int, ...]  # on each of CORES


def figures(name: str, graph: Graph, four: bool, samples: np.ndarray, test: Task) -> Figures:
    """Quantized with training samples, 4-bit weights in every layer that can have them or none."""
    layers = [graph.tensors[op.outputs[0]].name for op in graph.operators if op.kind in FOUR_BITS]
    int8 = quantize(graph, [samples], layers if four else ()).graph
    blob = pack_graph(int8).blob
    return Figures(
        test.score(outputs(graph, test.samples)),
        test.score(execute_rounded(int8, [test.samples.numpy()])[0]),
        describe(blob, name)["weights_bytes"],
        tuple(bench(blob, f"{name}.whit", core).instructions for core in CORES if core.name in COUNTED),
    )


def table(runs: list[dict[str, Figures]]) -> str:
    """Means over the seeds, and how far the accuracies spread."""
    titles = [core.title for core in CORES if core.name in COUNTED]
    lines = ["| network | float | quantized | least to most | weights, bytes | " + " | ".join(titles) + " |"]
    lines.append("|---|" + "--:|" * (4 + len(titles)))
    for name in runs[0]:
        rows = [run[name] for run in runs]
        scores = [row.quantized for row in rows]
        cells = [f"{np.mean([row.accuracy for row in rows]):.1%}", f"{np.mean(scores):.1%}"]
        cells += [f"{min(scores):.1%} to {max(scores):.1%}", f"{np.mean([row.weights_bytes for row in rows]):,.0f}"]
        cells += [f"{np.mean(counts):,.0f}" for counts in zip(*(row.instructions for row in rows), strict=True)]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    seeds = int(sys.argv[1]) if len(sys.argv) > 1 else SEEDS
    runs = [experiment(seed, lambda text: print(text, file=sys.stderr, flush=True)) for seed in range(seeds)]
    text = table(runs)
    print(text)
    if seeds == SEEDS:
        PAGE.write_text(between(PAGE.read_text(), "compression", text))


if __name__ == "__main__":
    main()
