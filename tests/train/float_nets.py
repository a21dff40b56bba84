"""Float networks of a few operators, which tests train and put before the reference."""

from __future__ import annotations

import math

import numpy as np
from nets import NONE, RELU, SAME, VALID, Net
from whit.graph import Graph

__all__ = ["NONE", "RELU", "SAME", "VALID", "FloatNet"]


class FloatNet(Net):
    """A float graph under construction; each method adds a layer behind tensor `x` and returns its output."""

    def shape(self, x: int) -> tuple[int, ...]:
        return self.tensors[x].shape

    def input(self, *shape: int) -> int:
        return self.tensor((1, *shape), dtype="float32")

    def weights_of(self, *shape: int, fan_in: int) -> int:
        return self.constant(self.rng.normal(0, math.sqrt(2 / fan_in), shape), "float32")

    def layer(self, kind: str, inputs, shape, **options) -> int:
        y = self.tensor(shape, dtype="float32")
        self.op(kind, inputs, [y], **options)
        return y

    def conv(self, x, out, k=3, stride=1, act=RELU, padding=SAME, dilation=1, bias=True, depthwise=False) -> int:
        """A convolution; `out` of a depthwise one is its multiplier."""
        n, h, w, c = self.shape(x)
        channels = c * out if depthwise else out
        shape = (1, k, k, channels) if depthwise else (channels, k, k, c)
        reach = (k - 1) * dilation + 1
        oh, ow = (-(-s // stride) if padding == SAME else (s - reach) // stride + 1 for s in (h, w))
        inputs = [x, self.weights_of(*shape, fan_in=k * k * (1 if depthwise else c))]
        if bias:
            inputs.append(self.constant(self.rng.normal(0, 0.1, channels), "float32"))
        options = dict(Padding=padding, StrideH=stride, StrideW=stride, FusedActivationFunction=act)
        options |= dict(DilationHFactor=dilation, DilationWFactor=dilation)
        if depthwise:
            options["DepthMultiplier"] = out
        return self.layer("DEPTHWISE_CONV_2D" if depthwise else "CONV_2D", inputs, (n, oh, ow, channels), **options)

    def depthwise(self, x, multiplier=1, **options) -> int:
        return self.conv(x, multiplier, depthwise=True, **options)

    def dense(self, x, out, act=NONE, bias=True) -> int:
        k = self.shape(x)[-1]
        inputs = [x, self.weights_of(out, k, fan_in=k)]
        if bias:
            inputs.append(self.constant(self.rng.normal(0, 0.1, out), "float32"))
        shape = (*self.shape(x)[:-1], out)
        return self.layer("FULLY_CONNECTED", inputs, shape, FusedActivationFunction=act, WeightsFormat=0, KeepNumDims=0)

    def pool(self, x, kind="MAX_POOL_2D", k=2, stride=2, padding=VALID, act=NONE) -> int:
        n, h, w, c = self.shape(x)
        oh, ow = (-(-s // stride) if padding == SAME else (s - k) // stride + 1 for s in (h, w))
        options = dict(Padding=padding, StrideH=stride, StrideW=stride, FilterHeight=k, FilterWidth=k)
        return self.layer(kind, [x], (n, oh, ow, c), **options, FusedActivationFunction=act)

    def add(self, a, b, act=NONE) -> int:
        return self.layer("ADD", [a, b], self.shape(a), FusedActivationFunction=act)

    def unary(self, x, kind, **options) -> int:
        return self.layer(kind, [x], self.shape(x), **options)

    def reshape(self, x, *shape: int) -> int:
        return self.layer("RESHAPE", [x, self.constant([1, *shape])], (1, *shape))

    def flatten(self, x) -> int:
        return self.reshape(x, math.prod(self.shape(x)))

    def mean(self, x, axes=(1, 2), keep=False) -> int:
        shape = [1 if i in axes else d for i, d in enumerate(self.shape(x)) if keep or i not in axes]
        return self.layer("MEAN", [x, self.constant(axes)], shape, KeepDims=keep)

    def pad(self, x, paddings, value=None) -> int:
        shape = [n + before + after for n, (before, after) in zip(self.shape(x), paddings, strict=True)]
        inputs = [x, self.constant(paddings)]
        if value is None:
            return self.layer("PAD", inputs, shape)
        return self.layer("PADV2", [*inputs, self.constant([value], "float32")], shape)

    def softmax(self, x) -> int:
        return self.unary(x, "SOFTMAX", Beta=1.0)

    def to(self, y: int) -> Graph:
        """The graph from the first tensor to `y`."""
        return self.graph([0], [y])


def separable(size: int = 8, channels: int = 16, classes: int = 10) -> Graph:
    """A small classifier with every shape that pruning meets: depthwise, residual, pooled, flattened."""
    net = FloatNet("separable")
    x = net.conv(net.input(size, size, 1), channels)
    x = net.conv(net.depthwise(x), channels, k=1)
    y = net.conv(net.conv(x, channels), channels, act=NONE)
    x = net.pool(net.add(x, y, RELU))
    x = net.pool(net.conv(net.depthwise(x, act=NONE), 2 * channels, k=1), "AVERAGE_POOL_2D")
    return net.to(net.softmax(net.dense(net.flatten(x), classes)))


def random_samples(graph: Graph, count: int, seed: int = 0) -> np.ndarray:
    """[count, *shape] of the first input."""
    shape = graph.tensors[graph.inputs[0]].shape
    return np.random.default_rng(seed).normal(0, 1, (count, *shape)).astype(np.float32)
