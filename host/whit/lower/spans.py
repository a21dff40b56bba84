"""Which part of a tensor a slice takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

Span = tuple[int, int, int]  # of a dimension: the first index, how many, the step between them


def strided_spans(
    shape: Sequence[int],
    begin: Sequence[int],
    end: Sequence[int],
    strides: Sequence[int],
    options: Mapping[str, int | float],
) -> list[Span] | None:
    """What STRIDED_SLICE takes of each dimension; None for what whit does not do: new axes, an ellipsis, steps that do
    not go forward, and lists of several lengths."""
    if not len(begin) == len(end) == len(strides) <= len(shape) or min(strides, default=1) < 1:
        return None
    if options.get("EllipsisMask", 0) or options.get("NewAxisMask", 0):
        return None

    def masked(name: str, i: int) -> bool:
        return bool(int(options.get(name, 0)) >> i & 1)

    spans = [(0, n, 1) for n in shape]
    for i, (n, first, last, step) in enumerate(zip(shape, begin, end, strides, strict=False)):
        if options.get("Offset", 0):
            last += first
        first = 0 if masked("BeginMask", i) else min(max(first + (n if first < 0 else 0), 0), n)
        last = n if masked("EndMask", i) else min(max(last + (n if last < 0 else 0), 0), n)
        if masked("ShrinkAxisMask", i):
            last, step = first + 1, 1
        if not first < last <= n:
            return None
        spans[i] = first, -(-(last - first) // step), step
    return spans


def parts(shape: Sequence[int], axis: int, sizes: Sequence[int]) -> list[list[Span]]:
    """What each of several pieces takes that lie along `axis` one after another."""
    starts = [sum(sizes[:i]) for i in range(len(sizes))]
    whole = [(0, n, 1) for n in shape]
    return [[*whole[:axis], (at, n, 1), *whole[axis + 1 :]] for at, n in zip(starts, sizes, strict=True)]
