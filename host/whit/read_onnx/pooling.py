"""Pools and means."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .layout import Layout, channels_last
from .reading import NONE, SAME, VALID, Reading, Value, operator
from .windows import Slide, image, options, pad, padded, result_shape, slides


@operator("MaxPool")
def _max_pool(r: Reading) -> None:
    if len(r._node.outputs) > 1 or any(d != 1 for d in r.attribute("dilations", [])):
        raise r.error("has indices as an output, or dilations", "export a plain max pool")
    x = r.value(0)
    source, _ = image(r, x)
    down, across = slides(r, x, tuple(r.attribute("kernel_shape", ())), grows=True)
    source, padding = padded(r, source, down, across, lowest=True)
    _pool(r, "MAX_POOL_2D", x, source, padding, down, across)


@operator("AveragePool")
def _average_pool(r: Reading) -> None:
    if any(d != 1 for d in r.attribute("dilations", [])):
        raise r.error("has dilations", "export a plain average pool")
    x = r.value(0)
    source, _ = image(r, x)
    down, across = slides(r, x, tuple(r.attribute("kernel_shape", ())))
    windows = (down, across)
    if r.attribute("count_include_pad", 0) and any(s.padded for s in windows):
        if r.attribute("ceil_mode", 0):
            raise r.error("counts padding and has ceil_mode", "export with count_include_pad=False")
        pads = [(s.before, max((s.o - 1) * s.s + s.reach - s.i - s.before, 0)) for s in windows]
        if any(pads_of != (0, 0) for pads_of in pads):
            source = pad(r, source, [(0, 0), *pads, (0, 0)], 0)
            down, across = (replace(s, i=s.i + sum(p), before=0) for s, p in zip(windows, pads, strict=True))
    for padding in (VALID, SAME):
        if down.fits(padding) and across.fits(padding):
            _pool(r, "AVERAGE_POOL_2D", x, source, padding, down, across)
            return
    raise r.error("its padding is not TFLite's SAME, and is not counted", "use count_include_pad=True, or no padding")


def _pool(r: Reading, kind: str, x: Value, source: int, padding: int, down: Slide, across: Slide) -> None:
    shape, model_shape = result_shape(x, x.shape[1], down, across)
    filters = {"FilterHeight": down.k, "FilterWidth": across.k, "FusedActivationFunction": NONE}
    y = r.add(kind, (source,), shape, **options(padding, down, across), **filters)
    r.set(y, channels_last(model_shape, x.layout.axis(1)))


@operator("GlobalMaxPool")
def _global_max_pool(r: Reading) -> None:
    _max_over(r, keep=True)


@operator("ReduceMax")
def _reduce_max(r: Reading) -> None:
    x = r.value(0)
    rank = len(x.shape)
    axes = r.integers(1, "axes")
    if rank not in (3, 4) or axes is None or sorted(a % rank for a in axes) != list(range(2, rank)):
        raise r.error(f"takes the maximum over axes {axes} of {x.shape}", "take it over height and width")
    _max_over(r, keep=bool(r.attribute("keepdims", 1)))


def _max_over(r: Reading, keep: bool) -> None:
    """The maximum of the whole image."""
    x = r.value(0)
    source, _ = image(r, x)
    h, w = r.tensors[source].shape[1:3]
    down, across = Slide(h, 1, h, 1, 1, 0, 0), Slide(w, 1, w, 1, 1, 0, 0)
    _pool(r, "MAX_POOL_2D", x, source, VALID, down, across)
    if not keep:
        y = r.values[r._node.outputs[0]]
        r.set(y.tensor, Layout(y.layout.sizes, y.layout.axes[:2]))


@operator("GlobalAveragePool")
def _global_average_pool(r: Reading) -> None:
    _mean(r, list(range(2, len(r.value(0).shape))), keep=True)


@operator("ReduceMean")
def _reduce_mean(r: Reading) -> None:
    rank = len(r.value(0).shape)
    axes = r.integers(1, "axes")
    if axes is None or not axes:
        axes = [] if r.attribute("noop_with_empty_axes", 0) else list(range(rank))
    if any(not -rank <= a < rank for a in axes):
        raise r.error(f"axes {axes} of {r.value(0).shape} do not exist", "export the model again")
    _mean(r, [a % rank for a in axes], bool(r.attribute("keepdims", 1)))


def _mean(r: Reading, axes: list[int], keep: bool) -> None:
    """MEAN over the height and width of an image."""
    x = r.value(0)
    reduced = set(x.layout.dimensions(axes))
    n = len(reduced)
    if reduced != set(range(n)):
        raise r.misplaced(f"a mean over the axes {sorted(axes)}, behind others that stay,")
    kept = x.layout.sizes[n:]
    c = Layout(kept, ()).size
    shape = r.tensors[x.tensor].shape
    if len(shape) != 4 or shape[0] != 1 or shape[3] != c:
        shape = (1, 1, x.layout.size // c, c)
    y = x.tensor
    if n:
        source = r.reshape(x.tensor, shape)
        y = r.add("MEAN", (source, r.fixed(np.array([1, 2], np.int32), "axes")), (1, 1, 1, c), KeepDims=1)
    left = [() if a in axes else tuple(d - n for d in dims) for a, dims in enumerate(x.layout.axes)]
    r.set(y, Layout(kept, tuple(dims for a, dims in enumerate(left) if keep or a not in axes)))
