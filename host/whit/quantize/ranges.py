"""Ranges of activations: what each way of calibrating says of a tensor's values, and the int8 scale that follows."""

from __future__ import annotations

import numpy as np

from ..graph import Quantization, affine

_BINS = 2048
_PERCENT = (0.01, 0.1)  # cut off at either end
_SHRINK = np.linspace(0.2, 1, 33)


def of_range(low: float, high: float) -> Quantization:
    """int8 for the real values low to high, widened so that 0 is one of its levels, as padding needs it."""
    low, high = min(float(low), 0.0), max(float(high), 0.0)
    scale = np.float32((high - low) / 255) or np.float32(1)
    return affine(float(scale), int(np.clip(np.rint(-128 - low / float(scale)), -128, 127)))


def round_to(q: Quantization, x: np.ndarray) -> np.ndarray:
    """The real values that int8 makes of `x`."""
    scale, zero_point = q.scale[0], np.float32(q.zero_point[0])
    return (np.clip(np.rint(x / scale) + zero_point, -128, 127) - zero_point) * scale


def candidates(x: np.ndarray) -> dict[str, Quantization]:
    """Ways of calibrating -> what each makes of these values; those that hardly differ from another are left out."""
    low, high = min(float(x.min()), 0.0), max(float(x.max()), 0.0)
    counts, edges = np.histogram(x, _BINS, (low, high or 1.0))
    ranges = {"min-max": (low, high)}
    ranges["mse"] = _least_squares(counts, edges, low, high)
    total = np.cumsum(counts)
    for percent in _PERCENT:
        tail = total[-1] * percent / 100
        a, b = edges[np.searchsorted(total, tail)], edges[1 + np.searchsorted(total, total[-1] - tail)]
        # The end that 0 makes is nobody's tail.
        ranges[f"{100 - percent:g} %"] = (a if low < 0 else low, b if high > 0 else high)
    found: dict[str, Quantization] = {}
    for name, (a, b) in ranges.items():
        q = of_range(a, b)
        if not any(abs(q.scale[0] / other.scale[0] - 1) < 0.01 for other in found.values()):
            found[name] = q
    return found


def _least_squares(counts: np.ndarray, edges: np.ndarray, low: float, high: float) -> tuple[float, float]:
    """The range, shrunk evenly, of the least squared error: of rounding, scale**2 / 12, and of what is cut off."""
    middles = (edges[:-1] + edges[1:]) / 2
    errors = []
    for shrink in _SHRINK:
        cut = middles - np.clip(middles, low * shrink, high * shrink)
        errors.append(counts.sum() * (shrink * (high - low) / 255) ** 2 / 12 + (counts * cut**2).sum())
    best = _SHRINK[int(np.argmin(errors))]
    return low * best, high * best
