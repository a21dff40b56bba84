"""Heart beats in an electrocardiogram: is there one in the middle of this window?

python models/beats/make.py
"""

from pathlib import Path

import numpy as np
import sleepecg
import torch
from scipy import signal
from torch import nn
from whit.models.training import save, train

NAMES = ("between", "beat")
RATE = 120  # samples a second
WINDOW, STEP = 96, 12  # samples: 0.8 and 0.1 seconds
TRAIN, TEST = (0, 205), (215, 300)  # seconds; the electrode comes loose in between


def read() -> tuple[np.ndarray, np.ndarray]:
    """The signal in millivolts, and where its beats are: the peaks that stand out by 0.75 mV between 1 and 20 Hz."""
    ecg, rate = sleepecg.get_toy_ecg()
    band = signal.sosfiltfilt(signal.butter(2, (1, 20), "bandpass", fs=rate, output="sos"), ecg)
    peaks, _ = signal.find_peaks(band, prominence=0.75, distance=0.3 * rate)
    return ecg.reshape(-1, rate // RATE).mean(1), peaks * RATE // rate


def windows(ecg: np.ndarray, beats: np.ndarray, seconds: tuple[int, int], step: int) -> tuple[np.ndarray, np.ndarray]:
    """Windows (n, 1, WINDOW) of a part, `step` samples apart, and whether a beat is in the STEP samples amid each."""
    starts = np.arange(seconds[0] * RATE, seconds[1] * RATE - WINDOW + 1, step)
    middles = starts + (WINDOW - STEP) // 2
    labels = np.array([np.any((beats >= m) & (beats < m + STEP)) for m in middles])
    return np.stack([ecg[s : s + WINDOW] for s in starts])[:, None], labels.astype(int)


def build() -> nn.Module:
    return nn.Sequential(
        nn.Conv1d(1, 8, 8, stride=2, padding=3, bias=False), nn.BatchNorm1d(8), nn.ReLU(),
        nn.Conv1d(8, 8, 5, padding=2, groups=8, bias=False), nn.BatchNorm1d(8),
        nn.Conv1d(8, 16, 1, bias=False), nn.BatchNorm1d(16), nn.ReLU(), nn.MaxPool1d(2),
        nn.Conv1d(16, 16, 5, padding=2, groups=16, bias=False), nn.BatchNorm1d(16),
        nn.Conv1d(16, 16, 1, bias=False), nn.BatchNorm1d(16), nn.ReLU(), nn.MaxPool1d(2),
        nn.Flatten(), nn.Dropout(0.3),
        nn.Linear(16 * 12, 2),
    )  # fmt: skip


def varied(x: torch.Tensor) -> torch.Tensor:
    """Each window louder or quieter, higher or lower, and with the noise of another electrode."""
    n = len(x)
    return x * 2 ** (0.3 * torch.randn(n, 1, 1)) + 0.3 * torch.randn(n, 1, 1) + 0.03 * torch.randn_like(x)


def main() -> None:
    torch.manual_seed(0)
    ecg, beats = read()
    x, y = windows(ecg, beats, TRAIN, 2)
    network = build()
    train(network, x, y, epochs=12, rate=3e-3, augment=varied)
    save(Path(__file__).parent, network, NAMES, x[::100], *windows(ecg, beats, TEST, STEP))


if __name__ == "__main__":
    main()
