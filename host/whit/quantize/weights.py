"""Weights of a layer as integers: symmetric, one scale per output channel."""

from __future__ import annotations

import numpy as np

MOST = {8: 127, 4: 7}  # bits -> the largest weight; the smallest is its negative
_SHRINK = np.linspace(0.5, 1, 26)  # of a channel's range, tried for 4 bits
_DAMPING = 0.01  # of the mean of the diagonal


def scales(weights: np.ndarray, bits: int, least: np.ndarray) -> np.ndarray:
    """float32 [channels] for weights [channels, k]: the largest of a channel becomes the largest integer.

    `least` bounds them from below, by what the channel's bias needs of them; a channel without weights gets that.
    """
    return np.maximum(np.abs(weights).max(1) / MOST[bits], least).astype(np.float32)


def rounded(weights: np.ndarray, scale: np.ndarray, bits: int) -> np.ndarray:
    """int8 [channels, k], each to the nearest."""
    return np.clip(np.rint(weights / scale[:, None]), -MOST[bits], MOST[bits]).astype(np.int8)


def fitted(weights: np.ndarray, rows: np.ndarray, bits: int, least: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weights that keep a layer's outputs, rather than each weight, near to what they were.

    Column by column: what rounding one weight does to the output is made good by the weights that are still to be
    rounded, as far as the inputs allow (E. Frantar et al., GPTQ, 2022, https://arxiv.org/abs/2210.17323).

    Args:
        weights: float [channels, k].
        rows: what they are multiplied with, [any, k].
        bits: 8 or 4.
        least: bounds of the scales from below, [channels].

    Returns:
        int8 [channels, k] and float32 scales [channels].
    """
    most = MOST[bits]
    hessian = rows.T.astype(np.float64) @ rows
    power = np.diag(hessian).copy()
    damping = _DAMPING * power.mean() or 1.0
    # The range of each channel that loses least when every weight is rounded to the nearest.
    widest = scales(weights, bits, least)
    errors = []
    for shrink in _SHRINK:
        scale = np.maximum(widest * shrink, least).astype(np.float32)[:, None]
        off = weights - np.clip(np.rint(weights / scale), -most, most) * scale
        errors.append((off**2 * (power + damping)).sum(1))
    scale = np.maximum(widest * _SHRINK[np.argmin(errors, 0)], least).astype(np.float32)
    order = np.argsort(-power, kind="stable")  # those that matter most are rounded while most are left to make it good
    inverse = np.linalg.inv(hessian[np.ix_(order, order)] + damping * np.eye(len(order)))
    upper = np.linalg.cholesky(inverse).T
    left = weights[:, order].astype(np.float64)
    result = np.zeros_like(left)
    for i in range(left.shape[1]):
        result[:, i] = np.clip(np.rint(left[:, i] / scale), -most, most)
        off = (left[:, i] - result[:, i] * scale) / upper[i, i]
        left[:, i + 1 :] -= np.outer(off, upper[i, i + 1 :])
    back = np.empty_like(order)
    back[order] = np.arange(len(order))
    return result[:, back].astype(np.int8), scale
