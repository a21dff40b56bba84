"""Float networks of one or a few operators, and TensorFlow Lite Micro's answer to them."""

from __future__ import annotations

import numpy as np
from nets import NONE, RELU, RELU6, SAME, VALID, Net
from whit import oracle
from whit.graph import Graph
from whit.write_tflite import write_tflite

POOL = dict(Padding=VALID, StrideH=2, StrideW=2, FilterHeight=2, FilterWidth=2, FusedActivationFunction=NONE)
CONV = dict(Padding=SAME, StrideH=1, StrideW=1, DilationHFactor=1, DilationWFactor=1, FusedActivationFunction=NONE)
DENSE = dict(FusedActivationFunction=NONE, WeightsFormat=0, KeepNumDims=0)


class FloatNet(Net):
    """A float network that grows at its end: each method adds an operator and returns the tensor that it makes."""

    def input(self, *shape: int) -> int:
        return self.tensor(shape, dtype="float32")

    def values(self, *shape: int, scale: float = 1.0) -> int:
        return self.constant(self.rng.normal(0, scale, shape), "float32")

    def then(self, kind: str, inputs, shape, **options) -> int:
        y = self.tensor(shape, dtype="float32")
        self.op(kind, inputs, [y], **options)
        return y

    def conv(self, x: int, channels: int, k=(3, 3), bias=True, **options) -> int:
        n, h, w, c = self.tensors[x].shape
        o = CONV | options
        weights = self.values(channels, *k, c, scale=(k[0] * k[1] * c) ** -0.5)
        size = [_out(i, k[a], o["Stride" + "HW"[a]], o[f"Dilation{'HW'[a]}Factor"], o) for a, i in enumerate((h, w))]
        return self.then("CONV_2D", [x, weights, self.values(channels) if bias else -1], (n, *size, channels), **o)

    def depthwise(self, x: int, k=(3, 3), multiplier=1, **options) -> int:
        n, h, w, c = self.tensors[x].shape
        o = CONV | {"DepthMultiplier": multiplier} | options
        weights = self.values(1, *k, c * multiplier, scale=(k[0] * k[1]) ** -0.5)
        size = [_out(i, k[a], o["Stride" + "HW"[a]], o[f"Dilation{'HW'[a]}Factor"], o) for a, i in enumerate((h, w))]
        inputs = [x, weights, self.values(c * multiplier)]
        return self.then("DEPTHWISE_CONV_2D", inputs, (n, *size, c * multiplier), **o)

    def dense(self, x: int, units: int, **options) -> int:
        k = self.tensors[x].shape[-1]
        inputs = [x, self.values(units, k, scale=k**-0.5), self.values(units)]
        return self.then("FULLY_CONNECTED", inputs, (*self.tensors[x].shape[:-1], units), **DENSE | options)

    def pool(self, kind: str, x: int, **options) -> int:
        n, h, w, c = self.tensors[x].shape
        o = POOL | options
        k = o["FilterHeight"], o["FilterWidth"]
        size = [_out(i, k[a], o["Stride" + "HW"[a]], 1, o) for a, i in enumerate((h, w))]
        return self.then(kind, [x], (n, *size, c), **o)

    def reshape(self, x: int, *shape: int) -> int:
        return self.then("RESHAPE", [x, self.constant(shape)], shape)

    def same(self, kind: str, x: int, *more: int, **options) -> int:
        """An operator whose output has the shape of its first input."""
        return self.then(kind, [x, *more], self.tensors[x].shape, **options)


def _out(size: int, k: int, stride: int, dilation: int, options: dict) -> int:
    return -(-size // stride) if options["Padding"] == SAME else (size - (k - 1) * dilation - 1) // stride + 1


def samples_of(graph: Graph, count: int, seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.normal(0, 2, (count, *graph.tensors[i].shape)).astype(np.float32) for i in graph.inputs]


def reference(graph: Graph, inputs: list[np.ndarray]) -> list[np.ndarray]:
    """What TensorFlow Lite Micro computes: one array per output, (samples, *shape)."""
    return oracle.run(write_tflite(graph), inputs, graph.name, len(graph.outputs))


def mobile(name: str = "mobile", classes: int = 5) -> Graph:
    """A small network of what mobile ones are made of: 8x8 images of 3 channels to class probabilities."""
    net = FloatNet(name)
    x = net.input(1, 8, 8, 3)
    y = net.conv(x, 8, StrideH=2, StrideW=2, FusedActivationFunction=RELU)
    for channels in (8, 16):
        y = net.conv(net.depthwise(y, FusedActivationFunction=RELU), channels, (1, 1), FusedActivationFunction=RELU6)
    y = net.pool("AVERAGE_POOL_2D", y, FilterHeight=4, FilterWidth=4)
    y = net.dense(net.reshape(y, 1, 16), classes)
    return net.graph([x], [net.same("SOFTMAX", y, Beta=1.0)])
