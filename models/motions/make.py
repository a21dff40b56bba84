"""What a wrist does, of an accelerometer and a gyroscope: standing, running, walking, badminton.

python models/motions/make.py
"""

from pathlib import Path

import numpy as np
import torch
from sktime.datasets import load_basic_motions
from torch import nn
from whit.models.training import save, train

NAMES = ("standing", "running", "walking", "badminton")
WINDOW = 25  # samples: 2.5 seconds


def read(split: str) -> tuple[np.ndarray, np.ndarray]:
    """The series (40, 6, 100) and their labels (40,) of one of the data set's two parts."""
    series, names = load_basic_motions(split=split, return_type="numpy3D")
    return series, np.array([NAMES.index(name) for name in names])


def windows(series: np.ndarray, labels: np.ndarray, step: int) -> tuple[np.ndarray, np.ndarray]:
    """Windows (n, 6, WINDOW), `step` samples apart, one series after the other, and their labels."""
    cut = np.lib.stride_tricks.sliding_window_view(series, WINDOW, 2)[:, :, ::step].transpose(0, 2, 1, 3)
    return cut.reshape(-1, series.shape[1], WINDOW), np.repeat(labels, cut.shape[1])


def build() -> nn.Module:
    return nn.Sequential(
        nn.Conv1d(6, 16, 5, padding=2, bias=False), nn.BatchNorm1d(16), nn.ReLU(), nn.MaxPool1d(2),
        nn.Conv1d(16, 16, 5, padding=2, groups=16, bias=False), nn.BatchNorm1d(16),
        nn.Conv1d(16, 24, 1, bias=False), nn.BatchNorm1d(24), nn.ReLU(), nn.MaxPool1d(2),
        nn.Conv1d(24, 24, 3, padding=1, groups=24, bias=False), nn.BatchNorm1d(24),
        nn.Conv1d(24, 32, 1, bias=False), nn.BatchNorm1d(32), nn.ReLU(),
        nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Dropout(0.3),
        nn.Linear(32, 4),
    )  # fmt: skip


def varied(x: torch.Tensor) -> torch.Tensor:
    """Each window louder or quieter as a whole and channel by channel, and with the noise of a sensor."""
    gain = 2 ** (0.5 * torch.randn(len(x), 1, 1) + 0.2 * torch.randn(len(x), x.shape[1], 1))
    return x * gain + 0.1 * torch.randn_like(x)


def main() -> None:
    torch.manual_seed(0)
    train_series, train_labels = read("train")
    x, y = windows(train_series, train_labels, 2)
    network = build()
    train(network, x, y, epochs=40, rate=3e-3, augment=varied)
    calibration, _ = windows(train_series, train_labels, WINDOW)
    save(Path(__file__).parent, network, NAMES, calibration[::2], *windows(*read("test"), WINDOW))


if __name__ == "__main__":
    main()
