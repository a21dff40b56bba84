"""Distillation: the student comes nearer to its teacher, with and without labels."""

import numpy as np
import pytest
from floats import FloatNet
from whit.errors import WhitError
from whit.write_tflite import write_tflite

torch = pytest.importorskip("torch", reason="PyTorch is not installed: the extra whit[train]")

from torch.nn import functional  # noqa: E402
from trained import autoencoder, digits, reader, score, separable  # noqa: E402
from whit.train.distil import answers, distil, imitation  # noqa: E402
from whit.train.network import Network, initialize  # noqa: E402
from whit.train.task import BINARY, CLASSES, VALUES  # noqa: E402


def test_without_labels():
    images, classes = (x[:600] for x in digits())
    student, said = initialize(separable(4)), answers(reader(), images)
    assert said.shape == (600, 1) and (said[:, 0] == classes).mean() == score(reader(), images, classes) > 0.8
    seen: list = []
    after = distil(student, reader(), images, epochs=6, rate=1e-2, progress=lambda *given: seen.append(given))
    assert score(after, images, said) > score(student, images, said) + 0.2
    assert seen[-1] == (6, 6)


def test_labels_have_their_part():
    """The teacher alone leads to the same student with any labels; the labels alone with any teacher."""
    images, classes = (x[:100] for x in digits())
    student, wrong = initialize(separable(4)), (classes + 1) % 10
    other = initialize(separable(6), 3)

    def after(teacher, labels, alpha):
        return write_tflite(distil(student, teacher, images, labels, 4, alpha, 1))

    assert after(reader(), classes, 1.0) == after(reader(), wrong, 1.0) != after(other, classes, 1.0)
    assert after(reader(), classes, 0.0) == after(other, classes, 0.0) != after(reader(), wrong, 0.0)


def test_values():
    x = np.random.default_rng(0).normal(size=(300, 32)).astype(np.float32)
    teacher, student = initialize(autoencoder(), 1), initialize(autoencoder(), 2)
    said = answers(teacher, x)
    assert said.dtype == np.float32
    after = distil(student, teacher, x, epochs=20, rate=5e-3)
    assert score(after, x, said) < 0.5 * score(student, x, said)


def test_imitation():
    """Hinton's loss, its gradient of the same size at every temperature, and nothing to learn from oneself."""
    net = FloatNet("plain")
    x = net.input(1, 5)
    network = Network(net.graph([x], [net.dense(x, 5)]))
    a, b = torch.tensor([[2.0, 0.0, -1.0]]), torch.tensor([[0.5, 0.5, 3.0]])
    for t in (1.0, 4.0):
        p, q = torch.softmax(b / t, -1), torch.softmax(a / t, -1)
        want = t * t * float((p * (p / q).log()).sum())
        assert float(imitation(CLASSES, network, a, network, b, t)) == pytest.approx(want, rel=1e-5)
        assert float(imitation(CLASSES, network, a, network, a, t)) == pytest.approx(0, abs=1e-6)
    one = torch.tensor([[0.7], [-2.0]])
    p, q = torch.sigmoid(one / 2), torch.sigmoid(one / 4)
    want = functional.binary_cross_entropy(q, p) - functional.binary_cross_entropy(p, p)
    assert float(imitation(BINARY, network, one / 2, network, one, 2.0)) == pytest.approx(4 * float(want), rel=1e-4)
    assert float(imitation(VALUES, network, a, network, b, 3.0)) == pytest.approx(float(((a - b) ** 2).mean()))


def test_refused():
    images, classes = (x[:20] for x in digits())
    with pytest.raises(WhitError, match=r"separable and its teacher separable make .* give two models of the same"):
        distil(separable(), separable(classes=9), images, classes, epochs=1)
    with pytest.raises(WhitError, match="separable and its teacher autoencoder take "):
        distil(separable(), autoencoder(), images, classes, epochs=1)
    for temperature, alpha in ((0, 0.5), (-1, 0.5), (float("nan"), 0.5), (4, -0.1), (4, 1.1), (4, float("nan"))):
        with pytest.raises(WhitError, match="give a temperature above 0"):
            distil(separable(), reader(), images, classes, temperature, alpha, 1)
