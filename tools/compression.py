"""What pruning and distillation cost in accuracy, on handwritten digits: a Markdown table on standard output.

    python tools/compression.py [SEEDS]

The task: scikit-learn's 8x8 digits, each at a random place of a 12x12 image and under noise; 800 of them train, four
images each, the other 997 test, two images each. Every figure is the mean over the seeds (five), which choose the
digits that train, their places and the noise, the first weights and the order of the samples. Where a network learns
from few labels, 200 of the 800 digits have one; the distilled student sees the images of all, and of no label.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np
from sklearn.datasets import load_digits
from whit.costs import macs, parameters
from whit.graph import Graph, Operator, Tensor
from whit.train.distil import distil
from whit.train.loop import train
from whit.train.network import Network, initialize
from whit.train.prune import prune
from whit.train.task import outputs, task

SEEDS = 5
SIZE, DIGIT, CLASSES = 12, 8, 10
TRAINING, LABELLED, COPIES = 800, 200, 4
NOISE = 0.15
LARGE, SMALL = 16, 4  # channels of the first layer
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


def experiment(seed: int, tell: Callable[[str], None]) -> dict[str, tuple[Graph, float]]:
    """Each network, and its accuracy on the digits that were not trained with."""
    data, rng = load_digits(), np.random.default_rng(seed)
    order = rng.permutation(len(data.target))
    digits, classes = (data.images[order] / 16).astype(np.float32), data.target[order]
    images, labels = place(digits[:TRAINING], COPIES, rng), np.tile(classes[:TRAINING], COPIES)
    test = task(network(LARGE), place(digits[TRAINING:], 2, rng), np.tile(classes[TRAINING:], 2))
    labelled = np.arange(len(labels)) % TRAINING < LABELLED
    found: dict[str, tuple[Graph, float]] = {}

    def note(name: str, graph: Graph) -> Graph:
        found[name] = graph, test.score(outputs(graph, test.samples))
        tell(f"seed {seed}: {name} {found[name][1]:.2%}")
        return graph

    def alone(graph: Graph, x: np.ndarray, y: np.ndarray, epochs: int, rate: float) -> Graph:
        learner = Network(graph)
        train(learner, task(graph, x, y), epochs, seed, rate)
        return learner.graph()

    large = note("float", alone(initialize(network(LARGE), seed), images, labels, 10, RATE))
    note("pruned to half", prune(large, images, labels, 0.5, 10, seed, distilled=False))
    note("pruned to half, distilled at the end", prune(large, images, labels, 0.5, 10, seed, distilled=True))
    note("pruned to a fifth", prune(large, images, labels, 0.2, 10, seed, distilled=False))
    small = initialize(network(SMALL), seed)
    more = TRAINING // LABELLED  # epochs, for as many steps
    note("student alone, few labels", alone(small, images[labelled], labels[labelled], 20 * more, STUDENT_RATE))
    note("student distilled, no labels", distil(small, large, images, None, epochs=20, seed=seed, rate=STUDENT_RATE))
    note("student alone, all labels", alone(small, images, labels, 20, STUDENT_RATE))
    note("student distilled, all labels", distil(small, large, images, labels, epochs=20, seed=seed, rate=STUDENT_RATE))
    return found


def main() -> None:
    seeds = int(sys.argv[1]) if len(sys.argv) > 1 else SEEDS
    runs = [experiment(seed, lambda text: print(text, file=sys.stderr, flush=True)) for seed in range(seeds)]
    print("| network | parameters | multiply-accumulates | accuracy | least to most |")
    print("|---|---:|---:|---:|---:|")
    for name in runs[0]:
        graphs, scores = zip(*(run[name] for run in runs), strict=True)
        costs = [f"{np.mean([cost(graph) for graph in graphs]):,.0f}" for cost in (parameters, macs)]
        print(f"| {name} | {' | '.join(costs)} | {np.mean(scores):.2%} | {min(scores):.2%} to {max(scores):.2%} |")


if __name__ == "__main__":
    main()
