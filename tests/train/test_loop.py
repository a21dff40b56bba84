"""The training loop and what labels ask for: what it learns, that nothing is random, and what it refuses."""

from dataclasses import replace

import numpy as np
import pytest
from floats import FloatNet
from whit.errors import WhitError
from whit.write_tflite import write_tflite

torch = pytest.importorskip("torch", reason="PyTorch is not installed: the extra whit[train]")

from trained import autoencoder, digits, reader, score, separable  # noqa: E402
from whit.train.loop import train  # noqa: E402
from whit.train.network import Network, initialize  # noqa: E402
from whit.train.task import BINARY, CLASSES, VALUES, held_out, task  # noqa: E402


def single(head: str = "") -> FloatNet:
    """Six numbers to one, behind LOGISTIC or nothing."""
    net = FloatNet("single")
    x = net.input(1, 6)
    y = net.dense(x, 1)
    return net.graph([x], [net.same(head, y) if head else y])


def learned(graph, samples, labels, epochs, **options):
    network = Network(initialize(graph))
    train(network, task(graph, samples, labels), epochs, **options)
    return network.graph()


def test_classes():
    images, classes = digits()
    assert score(reader(), images, classes) > 0.8
    assert score(initialize(separable()), images, classes) < 0.3


def test_yes_and_no():
    x = np.random.default_rng(0).normal(size=(400, 6)).astype(np.float32)
    labels = (x[:, 0] + x[:, 1] > 0.3).astype(np.uint8)
    graph = single("LOGISTIC")
    assert task(graph, x, labels).kind == BINARY
    assert score(learned(graph, x, labels, 20, rate=0.02), x, labels) > 0.95


@pytest.mark.parametrize("head", ["", "LOGISTIC"])
def test_values(head):
    x = np.random.default_rng(0).normal(size=(400, 6)).astype(np.float32)
    values = x @ np.arange(6, dtype=np.float32) / 4
    values = 1 / (1 + np.exp(-values)) if head else values
    graph = single(head)
    assert task(graph, x, values).kind == VALUES
    after = learned(graph, x, values, 30, rate=0.05)
    assert score(after, x, values) < 0.01 * np.var(values)


def test_samples_themselves():
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(300, 3)) @ rng.normal(size=(3, 32))).astype(np.float32)
    assert score(learned(autoencoder(), x, None, 20, rate=5e-3), x, None) < 0.5 * np.var(x)


def test_one_seed_gives_the_same_bytes():
    images, classes = (x[:200] for x in digits())
    runs = []
    for seed in (1, 1, 2):
        torch.manual_seed(len(runs))  # whatever happened before
        torch.rand(len(runs))
        runs.append(write_tflite(learned(separable(4), images, classes, 2, seed=seed)))
    assert runs[0] == runs[1] != runs[2]


def test_the_state_of_torch_stays():
    x = np.random.default_rng(0).normal(size=(20, 6)).astype(np.float32)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    settings = torch.are_deterministic_algorithms_enabled(), torch.get_num_threads()
    learned(single(), x, x[:, 0], 1)
    assert torch.equal(torch.get_rng_state(), before)
    assert (torch.are_deterministic_algorithms_enabled(), torch.get_num_threads()) == settings


def test_progress_counts_epochs():
    x, seen = np.random.default_rng(0).normal(size=(20, 6)), []
    learned(single(), x, x[:, 0], 3, progress=lambda *given: seen.append(given))
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_images_with_channels_first():
    net = FloatNet("turned")
    x = net.input(1, 4, 6, 3)
    graph = net.graph([x], [net.conv(x, 2)])
    turned = replace(graph, input_axes=((0, 2, 3, 1),), output_axes=((0, 2, 3, 1),))
    rng = np.random.default_rng(0)
    samples, values = rng.normal(size=(5, 4, 6, 3)), rng.normal(size=(5, 4, 6, 2))
    want = task(graph, samples, values)
    got = task(turned, samples.transpose(0, 3, 1, 2), values.transpose(0, 3, 1, 2))
    assert torch.equal(got.samples, want.samples) and torch.equal(got.targets, want.targets)


def test_a_fifth_is_held_out():
    kept, held = held_out(50, 3)
    assert len(held) == 10 and sorted([*kept, *held]) == list(range(50))
    with pytest.raises(WhitError, match="9 samples are too few"):
        held_out(9, 0)


X = np.zeros((4, 6), np.float32)
IMAGES = np.zeros((4, 8, 8, 1), np.float32)
REFUSED = {
    "labels of the wrong count": (separable, IMAGES, np.zeros(3, int), "4 samples and labels of the shape"),
    "too large a class": (separable, IMAGES, np.array([0, 1, 10, 2]), "labels from 0 to 10 .* give 0 to 9"),
    "a negative class": (separable, IMAGES, np.array([0, 1, -1, 2]), "labels from -1 to 2"),
    "classes for values": (separable, IMAGES, np.zeros((4, 10), int), "are 10 class numbers a sample"),
    "values for classes": (separable, IMAGES, np.zeros((4, 10)), "ends in SOFTMAX; give class numbers"),
    "classes for one value": (single, X, np.zeros(4, int), "a single output without LOGISTIC; give floats"),
    "values of the wrong size": (single, X, np.zeros((4, 2)), "has 1 values a sample"),
    "words": (single, X, np.array(list("abcd")), "labels of <U1 are not supported"),
    "no labels": (separable, IMAGES, None, "without labels .* give labels"),
    "samples of the wrong shape": (separable, X, np.zeros(4, int), r"have the shape \(4, 6\)"),
    "no numbers": (separable, np.full((4, 8, 8, 1), "x"), np.zeros(4, int), "not numbers"),
    "NaN": (single, np.full((4, 6), np.nan), np.zeros(4), "hold NaN"),
    "NaN labels": (single, X, np.full(4, np.nan), "labels hold NaN"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name):
    build, samples, labels, said = REFUSED[name]
    with pytest.raises(WhitError, match=said):
        task(build(), samples, labels)


def test_settings_refused():
    x = np.ones((4, 6), np.float32)
    for options in ({"epochs": 0}, {"epochs": 1, "rate": 0.0}, {"epochs": 1, "rate": float("nan")}):
        with pytest.raises(WhitError, match="train nothing"):
            learned(single(), x, np.zeros(4), **options)
    with pytest.raises(WhitError, match=r"loss became .* lower the learning rate"):
        learned(single(), x * 1e30, np.zeros(4), 1)


def test_two_inputs_are_refused():
    net = FloatNet("two")
    a, b = net.input(1, 6), net.input(1, 6)
    graph = net.graph([a, b], [net.then("ADD", [a, b], (1, 6), FusedActivationFunction=0)])
    with pytest.raises(WhitError, match="2 inputs and 1 outputs are not supported in training"):
        task(graph, X, np.zeros(4))


def test_classes_of_every_position():
    net = FloatNet("map")
    x = net.input(1, 4, 4, 2)
    graph = net.graph([x], [net.same("SOFTMAX", net.conv(x, 3), Beta=1.0)])
    samples = np.random.default_rng(0).normal(size=(40, 4, 4, 2)).astype(np.float32)
    labels = (samples[..., 0] > 0).astype(int)
    assert task(graph, samples, labels).kind == CLASSES
    assert score(learned(graph, samples, labels, 60, rate=0.03), samples, labels) > 0.9
