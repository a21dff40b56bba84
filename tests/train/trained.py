"""Float networks to train, on the smallest of data sets."""

from __future__ import annotations

import functools

import numpy as np
from floats import FloatNet
from nets import RELU
from whit.graph import Graph
from whit.train.loop import train
from whit.train.network import Network, initialize
from whit.train.task import task


def separable(channels: int = 8, classes: int = 10, name: str = "separable") -> Graph:
    """8x8 images to classes, with every shape that pruning meets: depthwise, residual, pooled, flattened."""
    relu = {"FusedActivationFunction": RELU}
    net = FloatNet(name)
    source = net.input(1, 8, 8, 1)
    x = net.conv(source, channels, **relu)
    x = net.conv(net.depthwise(x, **relu), channels, (1, 1), bias=False, **relu)
    y = net.conv(net.conv(x, channels, **relu), channels)
    x = net.pool("MAX_POOL_2D", net.same("ADD", x, y, **relu))
    x = net.conv(net.depthwise(x), 2 * channels, (1, 1))
    x = net.pool("AVERAGE_POOL_2D", net.same("HARD_SWISH", x))
    x = net.dense(net.reshape(x, 1, 8 * channels), classes)
    return net.graph([source], [net.same("SOFTMAX", x, Beta=1.0)])


def autoencoder(size: int = 32, name: str = "autoencoder") -> Graph:
    net = FloatNet(name)
    source = x = net.input(1, size)
    for units in (24, 4, 24):
        x = net.dense(x, units, FusedActivationFunction=RELU)
    return net.graph([source], [net.dense(x, size)])


@functools.cache
def digits() -> tuple[np.ndarray, np.ndarray]:
    """800 of scikit-learn's images [n, 8, 8, 1] of 0 to 1, and their classes."""
    from sklearn.datasets import load_digits

    data = load_digits()
    return (data.images[:800, ..., None] / 16).astype(np.float32), data.target[:800]


@functools.cache
def reader() -> Graph:
    """separable(), trained on the digits."""
    network = Network(initialize(separable()))
    train(network, task(separable(), *digits()), 5, rate=1e-2)
    return network.graph()


def score(graph: Graph, samples: np.ndarray, labels: np.ndarray | None) -> float:
    from whit.train.task import outputs

    wanted = task(graph, samples, labels)
    return wanted.score(outputs(graph, wanted.samples))
