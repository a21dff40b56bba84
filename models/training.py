"""What the examples share: a training loop, and the way from a trained PyTorch module to the files of an example.

Deterministic for one set of package versions and one CPU type; the trained bits may differ between those.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from whit import oracle
from whit.from_torch import from_torch
from whit.models import load, quantized
from whit.quantize import quantize
from whit.write_tflite import write_tflite

try:
    import torch
    from torch import nn
except ImportError as error:
    sys.exit(f"training needs PyTorch ({error}): pip install whit[models]")

Augment = Callable[[torch.Tensor], torch.Tensor]  # a batch -> one that has the same labels


def train(
    network: nn.Module,
    inputs: np.ndarray,
    labels: np.ndarray,
    epochs: int,
    batch: int = 64,
    rate: float = 5e-3,
    augment: Augment = lambda x: x,
) -> None:
    """Train a classifier, whose output are logits, by AdamW with a rate that falls to 0.

    Args:
        network: takes (batch, channels, ...), gives (batch, classes); random numbers come from torch's generator.
        inputs: float (samples, channels, ...).
        labels: the classes, integers (samples,).
        augment: called with each batch.
    """
    torch.set_num_threads(1)  # sums in one order
    torch.use_deterministic_algorithms(True)
    x, y = torch.from_numpy(inputs.astype(np.float32)), torch.from_numpy(labels.astype(np.int64))
    steps = epochs * -(-len(x) // batch)
    optimizer = torch.optim.AdamW(network.parameters(), rate, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    network.train()
    for _ in range(epochs):
        for chosen in torch.randperm(len(x)).split(batch):
            loss = nn.functional.cross_entropy(network(augment(x[chosen])), y[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    network.eval()


def save(
    folder: Path,
    network: nn.Module,
    names: Sequence[str],
    calibration: np.ndarray,
    inputs: np.ndarray,
    labels: np.ndarray,
) -> None:
    """Write the files of the example `folder.name`, with the probabilities of the classes `names` as the output.

    Args:
        network: as train() left it.
        calibration: samples to quantize with, as train() takes them.
        inputs, labels: the test split, as train() takes it.
    """
    name = folder.name
    shown = nn.Sequential(network, nn.Softmax(1)).eval()
    found = from_torch(shown, torch.zeros(1, *inputs.shape[1:]), name)
    (folder / f"{name}_float.tflite").write_bytes(write_tflite(replace(found, labels=tuple(names))))
    graph = load(folder, "float")

    def arranged(x: np.ndarray) -> np.ndarray:
        """The axes as the graph and the board have them, channels last; float16, for files half the size."""
        return np.ascontiguousarray(x.transpose(found.input_axes[0])).astype(np.float16)

    np.save(folder / "calibration.npy", arranged(calibration))
    int8 = quantize(graph, [np.load(folder / "calibration.npy")]).graph
    data = write_tflite(int8)
    (folder / f"{name}_int8.tflite").write_bytes(data)
    outputs = oracle.run(data, [quantized(int8, arranged(inputs))], name, 1)[0].reshape(len(inputs), -1)
    vectors = {"inputs": arranged(inputs), "labels": labels.astype(np.uint8), "outputs": outputs}
    np.savez_compressed(folder / "vectors.npz", **vectors)
    right = np.sum(outputs.argmax(1) == labels)
    print(f"{name}: {right} of {len(labels)} test samples right in int8")
