"""What the examples' make.py call: a loop that learns, the same every time, and files that whit takes."""

import zipfile

import numpy as np
import pytest
import torch
from torch import nn
from whit import models
from whit.models.training import save, train
from whit.pack import pack


def _waves(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Slow and fast oscillations of two channels (count, 2, 24), and which they are."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, count)
    t = np.arange(24) / 24
    phase = rng.uniform(0, 2 * np.pi, (count, 2, 1))
    waves = np.sin(2 * np.pi * (2 + 4 * labels[:, None, None]) * t + phase)
    return waves + rng.normal(0, 0.1, waves.shape), labels


def _build() -> nn.Module:
    return nn.Sequential(nn.Conv1d(2, 6, 5), nn.ReLU(), nn.MaxPool1d(4), nn.Flatten(), nn.Linear(30, 2))


def _trained() -> nn.Module:
    torch.manual_seed(0)
    network = _build()
    train(network, *_waves(256), epochs=40, batch=32, augment=lambda x: x + 0.1 * torch.randn_like(x))
    return network


def test_training_learns_and_repeats():
    network, again = _trained(), _trained()
    x, y = _waves(300)
    assert not network.training
    told = network(torch.from_numpy(x.astype(np.float32))).argmax(1).numpy()
    assert (told == y)[256:].mean() > 0.95
    for a, b in zip(network.parameters(), again.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("examples") / "waves"
    folder.mkdir()
    network = _trained()
    x, y = _waves(300)
    save(folder, network, ("slow", "fast"), x[:64], x[256:], y[256:])
    return folder, network, x[256:], y[256:]


def test_what_is_saved(saved):
    """Channels last, probabilities, labels in both models, and the bytes of tflite-micro."""
    folder, network, x, y = saved
    assert sorted(path.name for path in folder.iterdir()) == [
        "calibration.npy",
        "vectors.npz",
        "waves_float.tflite",
        "waves_int8.tflite",
    ]
    vectors = np.load(folder / "vectors.npz")
    np.testing.assert_array_equal(vectors["inputs"], x.transpose(0, 2, 1).astype(np.float16))
    np.testing.assert_array_equal(vectors["labels"], y)
    assert np.load(folder / "calibration.npy").shape == (64, 24, 2)
    with torch.no_grad():
        real = nn.functional.softmax(network(torch.from_numpy(x.astype(np.float32))), 1).numpy()
    assert (vectors["outputs"].argmax(1) == real.argmax(1)).all()
    for form in ("float", "int8"):
        graph = models.load(folder, form)
        assert graph.labels == ("slow", "fast")
        assert graph.tensors[graph.inputs[0]].shape == (1, 24, 2)
    assert pack((folder / "waves_int8.tflite").read_bytes(), "waves").program.labels == ("slow", "fast")


def test_saving_again_gives_the_same_bytes(saved, tmp_path):
    folder, network, x, y = saved
    (tmp_path / "waves").mkdir()
    save(tmp_path / "waves", network, ("slow", "fast"), _waves(300)[0][:64], x, y)
    for path in folder.iterdir():
        assert (tmp_path / "waves" / path.name).read_bytes() == path.read_bytes()
    with zipfile.ZipFile(folder / "waves_int8.tflite") as archive:
        assert archive.read("labels.txt") == b"slow\nfast\n"
