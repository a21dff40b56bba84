"""Handwritten digits of 8x8 pixels.

python models/digits/make.py
"""

from pathlib import Path

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn
from whit.models.training import save, train

PIXEL_MAX = 16


def build() -> nn.Module:
    """Two depthwise-separable stages after a 3x3 stem; each batch norm folds into the convolution before it."""
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU(),
        nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False), nn.BatchNorm2d(8),
        nn.Conv2d(8, 16, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 16, 3, padding=1, groups=16, bias=False), nn.BatchNorm2d(16),
        nn.Conv2d(16, 32, 1, bias=False), nn.BatchNorm2d(32), nn.ReLU(),
        # 2x2, not global: where a stroke lies separates digits this small.
        nn.AvgPool2d(2), nn.Flatten(), nn.Dropout(0.2),
        nn.Linear(128, 10),
    )  # fmt: skip


def shifted(images: torch.Tensor) -> torch.Tensor:
    """Each image moved by up to one pixel (zero fill), so that a digit off centre is read too."""
    padded = nn.functional.pad(images, (1, 1, 1, 1))
    y, x = torch.randint(3, (2, len(images), 1, 1))
    rows, columns = y + torch.arange(8).view(8, 1), x + torch.arange(8)
    return padded[torch.arange(len(images)).view(-1, 1, 1), 0, rows, columns][:, None]


def main() -> None:
    torch.manual_seed(0)
    digits = load_digits()
    train_x, test_x, train_y, test_y = train_test_split(
        (digits.images / PIXEL_MAX)[:, None], digits.target, test_size=0.2, stratify=digits.target, random_state=0
    )
    network = build()
    train(network, train_x, train_y, epochs=150, augment=shifted)
    names = [str(digit) for digit in range(10)]
    save(Path(__file__).parent, network, names, train_x[:256], test_x, test_y)


if __name__ == "__main__":
    main()
