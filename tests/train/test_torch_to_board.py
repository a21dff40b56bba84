"""From a PyTorch module to MicroPython: module -> ONNX -> whit quantize -> board, without a byte of difference."""

import re

import numpy as np
import pytest
from conftest import ROOT
from whit import oracle, reference, simulate
from whit.cli import main
from whit.execute import execute
from whit.inspect import describe
from whit.lower import lower
from whit.read import read
from whit.read_tflite import read_tflite

torch = pytest.importorskip("torch")
nn = torch.nn


class Residual(nn.Module):
    """Images of 3 channels to 4 classes, with what a small image network is made of."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU6())
        self.depthwise = nn.Sequential(nn.Conv2d(8, 8, 3, 1, 1, groups=8, bias=False), nn.BatchNorm2d(8), nn.ReLU())
        self.pointwise = nn.Sequential(nn.Conv2d(8, 8, 1, bias=False), nn.BatchNorm2d(8))
        self.pool = nn.MaxPool2d(3, 2, 1)
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(8 * 4 * 3, 4), nn.Softmax(1))

    def forward(self, x):
        x = self.stem(x)
        return self.head(self.pool(torch.relu(x + self.pointwise(self.depthwise(x)))))


def _series():
    """A sensor's 6 channels over time to 3 classes."""
    return nn.Sequential(
        nn.BatchNorm1d(6), nn.Conv1d(6, 8, 5, 2), nn.ReLU(), nn.MaxPool1d(2), nn.Conv1d(8, 12, 3, padding=1), nn.ReLU(),
        nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(12, 3), nn.Softmax(1),
    )  # fmt: skip


MODULES = {
    "image": (Residual, (3, 16, 12)),
    "series": (_series, (6, 40)),
    "features": (lambda: nn.Sequential(nn.Linear(10, 16), nn.ReLU(), nn.Linear(16, 1), nn.Sigmoid()), (10,)),
}


@pytest.mark.parametrize("name", MODULES)
def test_a_module_runs_in_micropython_as_it_was_quantized(name, tmp_path, capsys):
    make, shape = MODULES[name]
    torch.manual_seed(1)
    module = make()
    samples = torch.randn(40, *shape) * 2 + 0.5
    module(samples)  # the batch normalizations measure what they see
    module.eval()
    with torch.no_grad():
        expected = module(samples).numpy()
    onnx, whit, tflite, calibrate = (tmp_path / n for n in ("m.onnx", "m.whit", "m.tflite", "samples.npy"))
    torch.onnx.export(module, (samples[:1],), str(onnx), dynamo=False)
    np.save(calibrate, samples.numpy())

    graph = read(onnx.read_bytes(), "m.onnx")
    np.testing.assert_allclose(execute(graph, [samples.numpy()])[0].reshape(40, -1), expected, rtol=1e-4, atol=1e-5)
    for output in whit, tflite:
        assert main(["quantize", str(onnx), "--calibrate", str(calibrate), "-o", str(output)]) == 0

    int8 = read_tflite(tflite.read_bytes(), "m.tflite")
    program = lower(int8)
    port = program.inputs[0]
    assert describe(whit.read_bytes(), "m.whit")["inputs"][0]["shape"] == list(port.shape)
    rng = np.random.default_rng(2)
    x = rng.integers(-128, 128, (12, *port.shape), dtype=np.int8)
    want = np.stack([reference.run(program, [sample])[0] for sample in x])
    assert np.array_equal(oracle.run(tflite.read_bytes(), [x], "m.tflite", 1)[0], want)
    for kernels in simulate.KERNEL_SETS:
        (got,) = simulate.simulate(whit, whit.read_bytes(), [x], kernels)
        assert np.array_equal(got.reshape(want.shape), want), kernels

    # And with real values, channels last, as predict() takes them on the board.
    real = samples.numpy().transpose(0, *range(2, samples.ndim), 1) if samples.ndim > 2 else samples.numpy()
    (found,) = simulate.simulate(whit, whit.read_bytes(), [real.reshape(40, *port.shape).astype(np.float32)])
    assert np.abs(found.reshape(40, -1) - expected).mean() < 0.02
    capsys.readouterr()


def test_the_lines_of_the_document():
    text = (ROOT / "docs/quantization.md").read_text()
    (lines,) = re.findall(r"```python\n(.*?)```", text, re.S)
    module = _series().eval()
    example = torch.randn(1, 6, 40)
    names = {"module": module, "example": example, "labels": ("a", "b", "c")}
    names["samples"] = np.random.default_rng(0).normal(size=(20, 6, 40))
    exec(lines, names)
    about = describe(names["blob"], "m.whit")
    assert about["labels"] == ["a", "b", "c"] and about["inputs"][0]["shape"] == [1, 40, 6]


def test_pruned_and_tuned_models_take_the_samples_of_their_module(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(2)
    module = nn.Sequential(
        nn.Conv2d(2, 16, 3), nn.ReLU(), nn.Conv2d(16, 16, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 3), nn.Softmax(1)
    )
    samples = torch.randn(60, 2, 6, 6)
    torch.onnx.export(module.eval(), (samples[:1],), "m.onnx", dynamo=False)
    np.save("x.npy", samples.numpy())
    np.save("y.npy", np.arange(60) % 3)
    assert main(["prune", "m.onnx", "x.npy", "y.npy", "-o", "p.tflite", "--epochs", "2"]) == 0
    assert main(["quantize", "p.tflite", "--calibrate", "x.npy", "-o", "p.whit"]) == 0
    assert main(["finetune", "p.tflite", "x.npy", "y.npy", "-o", "t.whit", "--epochs", "1", "--int4"]) == 0
    sizes = []
    for name in ("p.whit", "t.whit"):
        data = (tmp_path / name).read_bytes()
        (got,) = simulate.simulate(tmp_path / name, data, [np.zeros((1, 1, 6, 6, 2), np.int8)])
        assert got.size == 3
        sizes.append(describe(data, name)["weights_bytes"])
    assert sizes[1] < sizes[0]
    capsys.readouterr()
