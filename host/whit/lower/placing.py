"""Tensors inside others: parts of a concatenation that are made where they belong, and variables that stay in front.

A concatenation whose parts follow one another in memory needs no step where each part is written to its place at once.
A streaming model keeps the last frames of a layer's input: it reads them from a variable, concatenates the new frame,
and assigns the end of that to the variable again. Where nothing else uses the variable, it lies in front of the
concatenation for good: the layer reads both where they are, the new frame is written behind, and what is left to do at
the end of a run is to move the last frames to the front.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from ..graph import Graph, Operator
from .spans import strided_spans

RENAMED = ("RESHAPE", "SQUEEZE", "EXPAND_DIMS")  # the output is the first input under another shape
# What they give may lie inside another tensor already.
_INSIDE = ("READ_VARIABLE", "STRIDED_SLICE", "SLICE", "SPLIT", "SPLIT_V", "CONCATENATION")


@dataclass
class Placing:
    """inside: tensor -> the tensor that it is made in, and the byte where it starts.

    homes: a variable's tensor -> the concatenation at whose front it stays.
    """

    inside: dict[int, tuple[int, int]] = field(default_factory=dict)
    homes: dict[int, int] = field(default_factory=dict)


def placing(graph: Graph) -> Placing:
    """What of a graph can lie inside what else. Whatever it does not find here takes a copy."""
    return _Search(graph).found


class _Search:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.producer = {i: op for op in graph.operators for i in op.outputs}
        self.readers: dict[int, list[Operator]] = {}
        for op in graph.operators:
            for i in op.inputs:
                self.readers.setdefault(i, []).append(op)
        self.found = Placing()
        for variable in graph.variables:
            self._home(variable.tensor)
        for op in graph.operators:
            written_once = len(op.outputs) == 1 and self.producer[op.outputs[0]] is op
            if op.kind == "CONCATENATION" and written_once and self._in_line(op):
                self._place_parts(op)

    def _in_line(self, op: Operator) -> bool:
        """Whether the parts of a concatenation follow one another in memory."""
        y = self.graph.tensors[op.outputs[0]]
        axis = int(op.options["Axis"]) % len(y.shape) if y.shape else 0
        sizes = [self.graph.tensors[i].size for i in op.inputs if i >= 0]
        return math.prod(y.shape[:axis]) == 1 and min(y.shape, default=0) > 0 and sum(sizes) == y.size

    def _home(self, variable: int) -> None:
        graph, operators = self.graph, self.graph.operators
        uses = [i for i, op in enumerate(operators) if variable in op.inputs]
        if [operators[i].kind for i in uses] != ["READ_VARIABLE", "ASSIGN_VARIABLE"]:
            return
        read, assign = (operators[i] for i in uses)
        if len(read.outputs) != 1 or len(assign.inputs) != 2:
            return
        held, kept = read.outputs[0], assign.inputs[1]
        joins, cut = self.readers.get(held, []), self.producer.get(kept)
        once = len(joins) == 1 and len(self.readers[kept]) == 1 and not {held, kept} & set(graph.outputs)
        if not once or cut is None or cut.kind != "STRIDED_SLICE" or joins[0].kind != "CONCATENATION":
            return
        if len(cut.inputs) != 4:
            return
        (join,) = joins
        if join.inputs[0] != held or join.inputs.count(held) != 1 or len(join.outputs) != 1 or not self._in_line(join):
            return
        size = graph.tensors[held].size
        if cut.inputs[0] == join.outputs[0] and self._takes_end(cut, size) and graph.tensors[kept].size == size:
            self.found.homes[variable] = join.outputs[0]

    def _takes_end(self, cut: Operator, size: int) -> bool:
        """Whether a slice is the last `size` bytes of its input."""
        tensors = [self.graph.tensors[i].data for i in cut.inputs[1:] if i >= 0]
        lists = [x.reshape(-1).tolist() for x in tensors if x is not None and x.dtype == "int32"]
        if len(lists) != 3:
            return False
        shape = self.graph.tensors[cut.inputs[0]].shape
        spans = strided_spans(shape, lists[0], lists[1], lists[2], cut.options)
        if spans is None or any(
            step != 1 or first + count != n for (first, count, step), n in zip(spans, shape, strict=True)
        ):
            return False
        taken = [count for _, count, _ in spans]
        cuts = [i for i, (count, n) in enumerate(zip(taken, shape, strict=True)) if count != n]
        return math.prod(taken) == size and (not cuts or math.prod(taken[: cuts[-1]]) == 1)

    def _place_parts(self, join: Operator) -> None:
        at = 0
        for part in join.inputs:
            root = self._root(part)
            if root is not None and root not in self.found.inside and root != join.outputs[0]:
                self.found.inside[root] = join.outputs[0], at
            at += self.graph.tensors[part].size

    def _root(self, index: int) -> int | None:
        """The tensor whose bytes these are, if it can be made anywhere."""
        graph = self.graph
        op = self.producer.get(index)
        seen = set()  # a broken model may name its bytes in a circle
        while op and op.kind in RENAMED and op.inputs and index not in seen and index not in graph.outputs:
            seen.add(index)
            index = op.inputs[0]
            op = self.producer.get(index)
        known = op.kind not in _INSIDE if op else index in graph.inputs
        fixed = index < 0 or graph.tensors[index].data is not None or index in graph.outputs
        return index if known and not fixed else None
