"""What CMSIS-NN takes for the models of MLPerf Tiny, for comparison.

The snapshot of 2026-07-15, compiled by arm-none-eabi-gcc 12.2 with -Ofast, counted as in whit.emulate: executed
instructions of the kernels alone, without an interpreter around them. The counts hold for a network of the same shapes,
whatever its weights are. For Cortex-M3 they are known to three digits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from .device import opset


class Network(NamedTuple):
    """A network's shapes, as far as they tell it from others, and the instructions it takes by core."""

    macs: int
    kernels: tuple[tuple[str, int], ...]  # how often each is called
    instructions: dict[str, int]


NETWORKS = (
    Network(  # kws_ref_model
        2_656_768,
        (("average_pool", 1), ("conv2d", 5), ("dense", 1), ("depthwise", 4), ("softmax", 1)),
        {"m4": 7_846_080, "m0plus": 29_010_280, "m3": 10_500_000},
    ),
    Network(  # vww_96_int8
        7_489_664,
        (("average_pool", 1), ("conv2d", 14), ("dense", 1), ("depthwise", 13), ("softmax", 1)),
        {"m4": 24_713_360, "m0plus": 86_866_280, "m3": 32_100_000},
    ),
    Network(  # pretrainedResnet_quant
        12_501_632,
        (("add", 3), ("average_pool", 1), ("conv2d", 9), ("dense", 1), ("softmax", 1)),
        {"m4": 29_873_640, "m0plus": 97_586_720, "m3": 41_800_000},
    ),
    Network(  # ad01_int8
        264_192,
        (("dense", 10),),
        {"m4": 579_720, "m0plus": 1_755_920, "m3": 953_000},
    ),
)

# Single layers, in instructions per multiply-accumulate; for add, per element. The key is that of layer().
LAYERS: dict[tuple, dict[str, float]] = {
    ("conv2d", 10, 4, 2, 25, 5, 1, 64): {"m4": 3.47, "m0plus": 9.42},
    ("depthwise", 3, 3, 1, 25, 5, 64, 64): {"m4": 8.33, "m0plus": 35.7},
    ("conv2d", 1, 1, 1, 25, 5, 64, 64): {"m4": 2.09, "m0plus": 7.57},
    ("conv2d", 3, 3, 2, 48, 48, 3, 8): {"m4": 6.16, "m0plus": 13.7},
    ("depthwise", 3, 3, 1, 48, 48, 8, 8): {"m4": 9.95, "m0plus": 40.0},
    ("conv2d", 1, 1, 1, 48, 48, 8, 16): {"m4": 6.63, "m0plus": 18.2},
    ("conv2d", 1, 1, 1, 6, 6, 128, 128): {"m4": 1.83, "m0plus": 6.88},
    ("conv2d", 1, 1, 1, 3, 3, 256, 256): {"m4": 1.97, "m0plus": 6.90},
    ("conv2d", 3, 3, 1, 32, 32, 16, 16): {"m4": 2.33, "m0plus": 7.56},
    ("conv2d", 3, 3, 1, 16, 16, 32, 32): {"m4": 1.93, "m0plus": 6.71},
    ("conv2d", 3, 3, 1, 8, 8, 64, 64): {"m4": 1.76, "m0plus": 6.33},
    ("dense", 640, 128): {"m4": 1.96, "m0plus": 6.19},
    ("add",): {"m4": 82, "m0plus": 237},
}


def network(macs: int, kernels: Sequence[str]) -> dict[str, int]:
    """core -> instructions of a whole network, as far as they are known."""
    counts = tuple(sorted((name, kernels.count(name)) for name in set(kernels)))
    return next((n.instructions for n in NETWORKS if (n.macs, n.kernels) == (macs, counts)), {})


def layer(kernel: str, fields: dict[str, int]) -> dict[str, float]:
    """core -> instructions per multiply-accumulate of one layer, or per element for add, as far as they are known; none
    are for int4 weights."""
    if fields["flags"] & opset.INT4:
        return {}
    names = {"dense": ("k", "o"), "add": ()}.get(kernel, ("kh", "kw", "sy", "oh", "ow", "ic", "oc"))
    return LAYERS.get((kernel, *(fields.get(name) for name in names)), {})
