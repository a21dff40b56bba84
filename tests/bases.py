"""bases: sound .whit files for every kernel, of which fuzz tests make mutants."""

from __future__ import annotations

import nets
from whit.pack import pack


def chain() -> bytes:
    """Several steps in one arena."""
    net = nets.Net("chain")
    x = net.activation((1, 6, 6, 3))
    w = net.weights((5, 3, 3, 3), 0, 0.01)
    a = net.activation((1, 6, 6, 5))
    net.op("CONV_2D", [x, w, net.bias(5, 100, x, w)], [a], Padding=nets.SAME, StrideH=1, StrideW=1,
           DilationHFactor=1, DilationWFactor=1, FusedActivationFunction=nets.RELU)  # fmt: skip
    b = net.activation((1, 6, 6, 5), 0.1)
    net.op("ADD", [a, a], [b], FusedActivationFunction=nets.NONE)
    c = net.activation((1, 5), 0.1)
    net.op("MEAN", [b, net.constant((1, 2))], [c], KeepDims=False)
    y = net.activation((1, 5), 1 / 256, -128)
    net.op("SOFTMAX", [c], [y], Beta=1.0)
    return net.tflite([x], [y])


def bases() -> dict[str, bytes]:
    """The sound files, small enough that mutants meet every field."""
    models = {
        "conv2d": nets.convolution("conv2d", x=(4, 5, 3), out=5),
        "pointwise": nets.convolution("pointwise", x=(3, 3, 4), out=4, k=(1, 1)),
        "depthwise": nets.convolution("depthwise", x=(4, 4, 3), out=2, depthwise=True),
        "multiplied": nets.convolution("multiplied", x=(5, 4, 1), out=3, depthwise=True, padding=nets.SAME),
        "channels": nets.convolution("channels", x=(5, 6, 3), out=1, depthwise=True, padding=nets.SAME),
        "strided": nets.convolution("strided", x=(6, 5, 5), out=1, depthwise=True, stride=(2, 2), act=nets.RELU),
        "words": nets.convolution("words", x=(4, 7, 8), out=10, k=(2, 3), act=nets.RELU),
        "int4": nets.convolution("int4", x=(4, 5, 3), out=6, weights="int4"),
        "dense": nets.dense("dense", k=9, o=5, rows=2),
        "dense words": nets.dense("dense words", k=16, o=12),
        "dense int4": nets.dense("dense int4", k=13, o=6, rows=2, weights="int4"),
        "average_pool": nets.pool("average_pool", "AVERAGE_POOL_2D", padding=nets.SAME, k=(3, 3)),
        "max_pool": nets.pool("max_pool", "MAX_POOL_2D", padding=nets.SAME, k=(3, 3)),
        "global": nets.pool("global", "AVERAGE_POOL_2D", x=(4, 4, 8), k=(4, 4)),
        "add": nets.add("add"),
        "add tables": nets.add("add tables", shape=(1, 8, 8, 9)),
        "softmax": nets.softmax("softmax", shape=(3, 40)),
        "lookup": nets.unary("lookup", "LOGISTIC", y=(1 / 256, -128)),
        "pad": nets.pad("pad"),
        "mean": nets.mean("mean"),
        "chain": chain(),
        "stream": nets.frames("stream", new=2, computed=True),
        "stored stream": nets.frames("stored stream", initial="random", front=False),
    }
    found = {name: pack(model, name).blob for name, model in models.items()}
    for name, page_bytes in (
        ("words", 400),
        ("chain", 1008),
        ("dense words", 128),
        ("strided", 96),
        ("dense int4", 96),
        ("stream", 256),
    ):
        found[f"{name} by page"] = pack(models[name], name, page_bytes=page_bytes).blob
    return found
