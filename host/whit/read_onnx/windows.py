"""What convolutions and pools share: images with their channels last, and windows that slide over them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..graph import affine
from .reading import SAME, VALID, Reading, Value

LOWEST = np.finfo(np.float32).min  # what pads an image before a maximum; the quantizer makes int8's least of it


@dataclass(frozen=True)
class Slide:
    """A window along one dimension: input, output, kernel, stride, dilation, and padding at both ends."""

    i: int
    o: int
    k: int
    s: int
    d: int
    before: int
    after: int

    @property
    def reach(self) -> int:
        return (self.k - 1) * self.d + 1

    @property
    def padded(self) -> bool:
        return self.before > 0 or self.after > 0

    def fits(self, padding: int) -> bool:
        """Whether TFLite's scheme gives the same windows."""
        if padding == VALID:
            return self.before == 0 and self.o == (self.i - self.reach) // self.s + 1
        total = max((self.o - 1) * self.s + self.reach - self.i, 0)
        return self.o == -(-self.i // self.s) and self.before == total // 2


def image(r: Reading, x: Value) -> tuple[int, np.ndarray]:
    """A tensor (1, height, width, channels), and for each of its channels the model's index of it."""
    if len(x.shape) not in (3, 4):
        raise r.error(
            f"its input has the shape {x.shape}", "1-D models need (N, C, L) and images (N, C, H, W) as inputs"
        )
    if x.shape[0] != 1:
        raise r.error(f"its input has the shape {x.shape}, a batch of {x.shape[0]}", "export with batch size 1")
    spatial, channels = x.layout.dimensions(range(2, len(x.shape))), x.layout.axes[1]
    if (*spatial, *sorted(channels)) != tuple(range(len(x.layout.sizes))):
        raise r.misplaced("bringing the channels last")
    c = x.shape[1]
    shape = (1, *([1] * (4 - len(x.shape))), *x.shape[2:], c)
    return r.reshape(x.tensor, shape), x.layout.axis(1).arrange(np.arange(c))


def slides(r: Reading, x: Value, kernel: tuple[int, ...], grows: bool = False) -> tuple[Slide, Slide]:
    """The window over height and width, with the node's attributes; height is 1 in 1-D models.

    `grows`: where ceil_mode lets a window hang over the end, padding at the end may be added.
    """
    n = len(x.shape) - 2
    if len(kernel) != n or min(kernel, default=0) < 1:
        raise r.error(f"its kernel {tuple(kernel)} does not fit the input {x.shape}", "export the model again")
    strides, dilations = r.attribute("strides", [1] * n), r.attribute("dilations", [1] * n)
    pads, auto = r.attribute("pads", [0] * 2 * n), r.attribute("auto_pad", "NOTSET")
    if len(strides) != n or len(dilations) != n or len(pads) != 2 * n or min(*strides, *dilations) < 1:
        raise r.error("its strides, dilations or pads do not fit its input", "export the model again")
    if min(pads) < 0:
        raise r.error(f"pads {list(pads)} are negative", "crop the input before the model")
    found = [
        _slide(r, i, k, s, d, (pads[axis], pads[axis + n]), auto, grows)
        for axis, (i, k, s, d) in enumerate(zip(x.shape[2:], kernel, strides, dilations, strict=True))
    ]
    return (Slide(1, 1, 1, 1, 1, 0, 0), found[0]) if n == 1 else (found[0], found[1])


def _slide(r: Reading, i: int, k: int, s: int, d: int, pads: tuple[int, int], auto: str, grows: bool) -> Slide:
    reach = (k - 1) * d + 1
    before, after = (0, 0) if auto == "VALID" else pads
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        o = -(-i // s)
        total = max((o - 1) * s + reach - i, 0)
        before = total // 2 if auto == "SAME_UPPER" else total - total // 2
        return Slide(i, o, k, s, d, before, total - before)
    room = i + before + after - reach
    if room < 0:
        raise r.error(f"kernel {k} with dilation {d} is larger than its input of {i}", "use a larger input")
    o = room // s + 1
    if r.attribute("ceil_mode", 0) and room % s and o * s < i + before:  # a window must start inside
        slide = Slide(i, o + 1, k, s, d, before, after)
        if not grows and not slide.fits(SAME):
            raise r.error("ceil_mode makes windows that hang over the end", "export with ceil_mode=False")
        return slide
    return Slide(i, o, k, s, d, before, after)


def options(padding: int, y: Slide, x: Slide) -> dict[str, int]:
    return {"Padding": padding, "StrideH": y.s, "StrideW": x.s}


def dilations(y: Slide, x: Slide) -> dict[str, int]:
    return {"DilationHFactor": y.d, "DilationWFactor": x.d}


def padded(r: Reading, source: int, y: Slide, x: Slide, lowest: bool = False) -> tuple[int, int]:
    """(tensor, TFLite's padding) for windows over an image; a PAD in front where neither scheme gives them.

    `lowest`: the padding counts as less than any value, else as zero.
    """
    for padding in (SAME, VALID):
        if y.fits(padding) and x.fits(padding):
            return source, padding
    pads = [(s.before, max((s.o - 1) * s.s + s.reach - s.i - s.before, 0)) for s in (y, x)]
    value = float(LOWEST) if lowest and source not in r.not_negative else 0.0
    return pad(r, source, [(0, 0), *pads, (0, 0)], value), VALID


def pad(r: Reading, source: int, pads: list[tuple[int, int]], filler: float) -> int:
    """PAD, or PADV2 where the filler is not zero."""
    tensor = r.tensors[source]
    shape = [before + n + after for n, (before, after) in zip(tensor.shape, pads, strict=True)]
    inputs = [source, r.fixed(np.array(pads, np.int32), "paddings")]
    if filler == 0:
        return r.add("PAD", inputs, shape)
    if tensor.quantization is not None:
        q = np.clip(np.rint(filler / tensor.scale) + tensor.zero_point, -128, 127)
        inputs.append(r.fixed(q.astype(np.int8).reshape(1), "filler", affine(tensor.scale, tensor.zero_point)))
    else:
        inputs.append(r.fixed(np.array([filler], np.float32), "filler"))
    return r.add("PADV2", inputs, shape)


def result_shape(x: Value, channels: int, y: Slide, across: Slide) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """(the tensor's shape, the model's)."""
    sizes = (y.o, across.o)
    return (1, *sizes, channels), (1, channels, *sizes[4 - len(x.shape) :])
