"""Pruning: as small as asked, still the same network to TensorFlow Lite Micro, and near in what it does."""

import numpy as np
import pytest
from floats import reference, samples_of
from whit.channels import channels
from whit.costs import macs, parameters
from whit.errors import WhitError
from whit.fold import fold
from whit.write_tflite import write_tflite

torch = pytest.importorskip("torch", reason="PyTorch is not installed: the extra whit[train]")

from trained import autoencoder, digits, reader, score, separable  # noqa: E402
from whit.train.network import Network  # noqa: E402
from whit.train.prune import importance, prune  # noqa: E402
from whit.train.task import outputs, task  # noqa: E402


@pytest.fixture(scope="module")
def halved():
    seen: list = []
    return prune(reader(), *digits(), 0.5, 6, rate=5e-3, progress=lambda *given: seen.append(given)), seen


def test_half_the_work(halved):
    graph, seen = halved
    assert 0.35 * macs(reader()) < macs(graph) <= 0.5 * macs(reader())
    assert parameters(graph) < parameters(reader())
    assert seen == [(i, 6) for i in range(1, 7)]
    assert score(graph, *digits()) > score(reader(), *digits()) - 0.2


def test_the_reference_runs_what_is_left(halved):
    graph, _ = halved
    samples = samples_of(graph, 3)
    (want,) = reference(graph, samples)
    got = outputs(graph, torch.from_numpy(samples[0]))
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("distilled", [False, True])
def test_one_seed_gives_the_same_bytes(distilled):
    images, classes = (x[:200] for x in digits())
    runs = [prune(reader(), images, classes, 0.6, 2, seed, 1e-3, distilled) for seed in (1, 1, 2)]
    first, again, other = map(write_tflite, runs)
    assert first == again != other


def test_an_autoencoder():
    x = np.random.default_rng(0).normal(size=(100, 32)).astype(np.float32)
    graph = prune(autoencoder(), x, None, 0.5, 2)
    assert macs(graph) <= 0.5 * macs(autoencoder())


def test_importance_is_what_the_loss_loses():
    """First order: a unit scaled by 1 - e changes the loss of one sample by e times the root of its importance."""
    graph = fold(reader())
    wanted = task(graph, digits()[0][7:8], digits()[1][7:8])
    units, network = channels(graph), Network(graph)
    found = importance(network, wanted, units, 0)
    assert (found[1:] >= 0).all() and found[1:].max() > 0

    class Scaled(Network):
        def entering(self, at, value):
            where = torch.from_numpy(units.ins[at] == unit)
            if graph.operators[at].kind == "DEPTHWISE_CONV_2D":
                return value
            rows = value.reshape(len(value), -1, len(where))
            return torch.where(where, rows * (1 - step), rows).reshape(value.shape)

    step = 1e-3
    scaled = Scaled(graph).double()
    plain = Network(graph).double()
    samples = wanted.samples.double()
    with torch.no_grad():
        before = wanted.loss(plain, plain.logits(samples), wanted.targets)
        for unit in np.argsort(found)[-3:].tolist():
            after = wanted.loss(scaled, scaled.logits(samples), wanted.targets)
            assert abs(float(after - before)) == pytest.approx(step * found[unit] ** 0.5, rel=0.03)


def test_refused():
    images, classes = (x[:20] for x in digits())
    for part in (0, 1, -1, 2, float("nan")):
        with pytest.raises(WhitError, match="cannot be kept; give a part above 0 and below 1"):
            prune(separable(), images, classes, part, 1)
    with pytest.raises(WhitError, match=r"0.001 of .* cannot be reached, .*; give at least 0\.\d+$") as e:
        prune(separable(), images, classes, 0.001, 1)
    least = float(str(e.value).split()[-1])
    assert macs(prune(separable(), images, classes, least, 1)) <= least * macs(separable())
    with pytest.raises(WhitError, match="give 0 to 9"):
        prune(separable(), images, classes + 10, 0.5, 1)
    with pytest.raises(WhitError, match="train nothing"):
        prune(separable(), images, classes, 0.5, 0)
