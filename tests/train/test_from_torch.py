"""PyTorch modules as graphs, against what the modules themselves compute."""

import subprocess
import sys

import numpy as np
import pytest
from in_tflm import assert_same
from onnx_nets import kinds
from whit import WhitError, from_torch

torch = pytest.importorskip("torch")
nn = torch.nn
functional = nn.functional

CONV, DEPTHWISE, DENSE = "CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"


class Residual(nn.Module):
    """A small ResNet: batch norm everywhere, and one shortcut with a convolution."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU())
        self.a = nn.Sequential(nn.Conv2d(8, 8, 3, 1, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU())
        self.b = nn.Sequential(nn.Conv2d(8, 12, 3, 2, 1, bias=False), nn.BatchNorm2d(12))
        self.shortcut = nn.Sequential(nn.Conv2d(8, 12, 1, 2, bias=False), nn.BatchNorm2d(12))
        self.head = nn.Linear(12, 5)

    def forward(self, x):
        x = self.stem(x)
        x = functional.relu(self.b(self.a(x) + x) + self.shortcut(x))
        return self.head(torch.flatten(functional.adaptive_avg_pool2d(x, 1), 1))


class Viewed(nn.Module):
    """view() behind a convolution: the order of the columns matters."""

    def __init__(self):
        super().__init__()
        self.conv, self.head = nn.Conv2d(2, 3, 3), nn.Linear(3 * 4 * 5, 4)

    def forward(self, x):
        return self.head(self.conv(x).view(x.size(0), -1))


class Permuted(nn.Module):
    """Audio as (time, features), features as channels; the dense layer sees (time, channels) again."""

    def __init__(self):
        super().__init__()
        self.conv, self.head = nn.Conv1d(6, 4, 3, padding=1), nn.Linear(9 * 4, 3)

    def forward(self, x):
        x = functional.relu(self.conv(x.permute(0, 2, 1)))
        return self.head(x.permute(0, 2, 1).reshape(1, -1))


class Mean(nn.Module):
    def forward(self, x):
        return functional.softmax(x.mean((2, 3)), -1)


class Two(nn.Module):
    def forward(self, a, b):
        return functional.relu(a + b), torch.tanh(b)


class Normalised(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.tensor([0.4, 0.5, 0.6]).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor([0.2, 0.3, 0.4]).view(1, 3, 1, 1))
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, x):
        return self.conv((x - self.mean) / self.std)


def separable(i, o, stride):
    return [
        nn.Conv2d(i, i, 3, stride, 1, groups=i, bias=False), nn.BatchNorm2d(i), nn.ReLU6(),
        nn.Conv2d(i, o, 1, bias=False), nn.BatchNorm2d(o), nn.Hardswish(),
    ]  # fmt: skip


MODULES = {
    "residual": (Residual, [(3, 16, 16)], None),
    "conv1d": (
        lambda: nn.Sequential(
            nn.Conv1d(3, 8, 5, 2, 2),
            nn.BatchNorm1d(8),
            nn.LeakyReLU(0.1),
            nn.MaxPool1d(2),
            nn.Conv1d(8, 6, 3, dilation=2),
            nn.ReLU(),
            nn.AdaptiveAvgPool1d(1),
            nn.Flatten(),
            nn.Linear(6, 4),
            nn.Softmax(-1),
        ),
        [(3, 40)],
        None,
    ),
    "separable": (
        lambda: nn.Sequential(
            nn.Conv2d(1, 8, (4, 3), 2, (1, 1)),
            nn.ReLU(),
            *separable(8, 12, 1),
            *separable(12, 16, 2),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Dropout(0.5),
            nn.Linear(16, 5),
        ),
        [(1, 20, 11)],
        None,
    ),
    "mlp": (
        lambda: nn.Sequential(
            nn.Linear(7, 9), nn.BatchNorm1d(9), nn.ReLU(), nn.Linear(9, 5), nn.Sigmoid(), nn.Linear(5, 2)
        ),
        [(7,)],
        [DENSE, "RELU", DENSE, "LOGISTIC", DENSE],
    ),
    "lenet": (
        lambda: nn.Sequential(
            nn.Conv2d(1, 4, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(4, 6, 5),
            nn.ReLU(),
            nn.MaxPool2d(3, 2, 1),
            nn.Flatten(),
            nn.Linear(6 * 3 * 3, 10),
            nn.ReLU(),
            nn.Linear(10, 4),
        ),
        [(1, 18, 18)],
        None,
    ),
    "viewed": (Viewed, [(2, 6, 7)], [CONV, "RESHAPE", DENSE]),
    "permuted": (Permuted, [(9, 6)], ["RESHAPE", CONV, "RELU", "RESHAPE", DENSE]),
    "mean": (Mean, [(5, 4, 3)], ["MEAN", "SOFTMAX", "RESHAPE"]),
    "two": (Two, [(5,), (5,)], ["ADD", "RELU", "TANH"]),
    "normalised": (Normalised, [(3, 6, 6)], [DEPTHWISE, CONV]),
    "pools": (
        lambda: nn.Sequential(
            nn.AvgPool2d(3, 2, 1), nn.MaxPool2d(2, ceil_mode=True), nn.ZeroPad2d(1), nn.Conv2d(2, 3, 3)
        ),
        [(2, 13, 13)],
        None,
    ),
    "rows": (lambda: nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 3)), [(5, 6)], None),
    "gates": (lambda: nn.Sequential(nn.Conv2d(2, 4, 3), nn.Hardswish(), nn.Hardtanh(0, 6)), [(2, 6, 6)], None),
}


def trained(build, seed=1):
    """A module whose batch norms have seen something."""
    torch.manual_seed(seed)
    module = build()
    for m in module.modules():
        if isinstance(m, nn.modules.batchnorm._BatchNorm):
            m.running_mean.uniform_(-0.5, 0.5)
            m.running_var.uniform_(0.5, 2)
            nn.init.uniform_(m.weight, 0.5, 1.5)
            nn.init.uniform_(m.bias, -0.5, 0.5)
    return module.eval()


@pytest.mark.parametrize("name", MODULES)
def test_module(name):
    build, shapes, expected = MODULES[name]
    module = trained(build)
    graph = from_torch(module, tuple(torch.zeros(1, *s) for s in shapes), name)
    samples = [[torch.randn(1, *s) for s in shapes] for _ in range(3)]
    with torch.no_grad():
        outputs = [module(*sample) for sample in samples]
    outputs = [out if isinstance(out, tuple) else (out,) for out in outputs]
    assert_same(graph, [[x.numpy() for x in s] for s in samples], [[y.numpy() for y in out] for out in outputs])
    if expected is not None:
        assert kinds(graph) == expected


def test_mode_and_seed_stay():
    module = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Sequential(nn.Dropout(0.5)))
    module.train()
    module[1].eval()
    torch.manual_seed(3)
    before = torch.get_rng_state()
    from_torch(module, torch.zeros(1, 1, 5, 5))
    assert [m.training for m in module.modules()] == [True, True, False, True, True]
    assert torch.equal(before, torch.get_rng_state())
    np.testing.assert_array_equal(module[1].running_mean.numpy(), [0, 0])


class Sorted(nn.Module):
    def forward(self, x):
        return torch.linalg.eigvals(x)


REFUSED = {
    "lstm": (nn.LSTM(3, 4), (5, 3), r"m: LSTM '.*': is not a supported operator; train with convolutions over time"),
    "silu": (nn.SiLU(), (3,), r"Mul '.*': is SiLU \(Swish\), x \* sigmoid\(x\), which is not supported; train with"),
    "groups": (nn.Conv2d(4, 6, 3, groups=2), (4, 5, 5), r"2 groups over 4 channels are not supported; use groups=1"),
    "upsample": (nn.ConvTranspose2d(2, 2, 3), (2, 5, 5), r"is not a supported operator; train without upsampling"),
    "volume": (nn.Conv3d(1, 1, 3), (1, 5, 5, 5), r"weights \(1, 1, 3, 3, 3\) over an input \(1, 1, 5, 5, 5\) are not"),
    "exporter": (Sorted(), (3, 3), r"^m: PyTorch cannot export this module \(.*\); try torch.onnx.export$"),
    "shape": (nn.Linear(3, 2), (4,), r"^m: PyTorch cannot export this module \(.*\); try torch.onnx.export$"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name):
    module, shape, message = REFUSED[name]
    with pytest.raises(WhitError, match=message) as caught:
        from_torch(module, torch.zeros(1, *shape), "m")
    assert "\n" not in str(caught.value)


def test_whit_is_there_without_torch_and_onnx():
    code = "import sys, whit; print(sorted({'torch', 'onnx'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
