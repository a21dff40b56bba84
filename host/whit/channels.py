"""Which channels of a float Graph can only go together, and the graph without some of them.

The channels of a tensor are the indices of its last dimension. A *unit* is a set of channels, of any number of tensors,
that are kept or removed as one: ADD joins the channels of its operands, a depthwise convolution those of its input and
output, and a tensor that is flattened has each channel once per pixel. A *family* is what one layer makes: units that
lie side by side. What cannot change its number of channels is in the unit FIXED: inputs and outputs of the network, and
what an operator mixes that has no weights.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from .costs import positions, weighted
from .graph import Graph, Operator, Tensor

FIXED = 0
BLOCK = 4  # kernels work in blocks of four channels: a family loses so many at a time, and keeps as many

# Each channel of the output comes of the same channel of the input.
_CHANNELWISE = {"AVERAGE_POOL_2D", "MAX_POOL_2D", "RELU", "RELU6", "LEAKY_RELU", "LOGISTIC", "TANH", "HARD_SWISH"}
_RENAMES = {"RESHAPE", "SQUEEZE", "EXPAND_DIMS"}


@dataclass(frozen=True)
class Layer:
    """Multiply-accumulates of one operator: `positions` * kept of `ins` * kept of `outs`."""

    positions: int  # and what else does not depend on channels, the size of the kernel
    ins: np.ndarray  # unit of each input channel, or column of a dense layer; empty for a depthwise convolution
    outs: np.ndarray  # unit of each output channel


@dataclass(frozen=True)
class Channels:
    """The units of a graph. Units are numbers below `units`; arrays over units have that length."""

    units: int
    families: tuple[np.ndarray, ...]  # units of each family, FIXED never among them
    of: dict[int, np.ndarray]  # tensor -> unit of each of its channels
    ins: dict[int, np.ndarray]  # position of a weighted operator -> unit of each input channel or column
    layers: tuple[Layer, ...]

    def all(self) -> np.ndarray:
        """The choice that keeps every unit."""
        return np.ones(self.units, bool)

    def macs(self, keep: np.ndarray) -> int:
        """Multiply-accumulates of the graph with the units in `keep`, a bool each."""
        return sum(
            layer.positions * (int(keep[layer.ins].sum()) if len(layer.ins) else 1) * int(keep[layer.outs].sum())
            for layer in self.layers
        )

    def choose(self, keep: np.ndarray, importance: np.ndarray, macs: int) -> np.ndarray:
        """Keep fewer units until at most `macs` are left.

        Blocks of four units of one family go, each time those with the least importance for the multiply-accumulates
        that go with them; then those come back, last first, for which there is room. A family never falls below four.

        Args:
            keep: the units there are now.
            importance: of each unit; only its ratios count.
            macs: a number that the graph can reach: least_macs().
        """
        keep = keep.copy()
        gone: list[tuple[int, np.ndarray]] = []  # family and block
        while (now := self.macs(keep)) > macs:
            best: tuple[float, int, np.ndarray] | None = None
            for number, family in enumerate(self.families):
                block = self._block(family[keep[family]], importance)
                if len(block):
                    without = keep.copy()
                    without[block] = False
                    saved = now - self.macs(without)
                    price = float(importance[block].sum()) / saved if saved else np.inf
                    if best is None or price < best[0]:
                        best = price, number, block
            assert best is not None, "least_macs() is the limit"
            gone.append(best[1:])
            keep[gone[-1][1]] = False
        settled: set[int] = set()  # families whose last block stays away, so that those before it do
        for number, block in reversed(gone):
            keep[block] = number not in settled
            if self.macs(keep) > macs:
                keep[block] = False
                settled.add(number)
        return keep

    def least_macs(self) -> int:
        """Multiply-accumulates where every family has come down to four units."""
        keep = self.all()
        for family in self.families:
            keep[family[BLOCK:]] = False
        return self.macs(keep)

    @staticmethod
    def _block(left: np.ndarray, importance: np.ndarray) -> np.ndarray:
        """The units that a family of `left` loses next: four, or what is more than a multiple of four."""
        if len(left) <= BLOCK:
            return left[:0]
        return left[np.argsort(importance[left], kind="stable")][: len(left) % BLOCK or BLOCK]


class _Analysis:
    """Union-find over units, and over the families that they came from."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.unit: list[int] = [FIXED]  # unit -> one it was joined with, itself at the root
        self.block: list[int] = [0]  # unit -> its family's first unit, in the same way
        self.of: dict[int, np.ndarray] = {}
        self.ins: dict[int, np.ndarray] = {}

    def fresh(self, count: int) -> np.ndarray:
        first = len(self.unit)
        self.unit += range(first, first + count)
        self.block += [first] * count
        return np.arange(first, first + count)

    @staticmethod
    def _root(parents: list[int], i: int) -> int:
        while parents[i] != i:
            parents[i] = parents[parents[i]]
            i = parents[i]
        return i

    def join(self, a: np.ndarray, b: np.ndarray) -> None:
        for i, j in zip(a.tolist(), b.tolist(), strict=True):
            i, j = sorted((self._root(self.unit, i), self._root(self.unit, j)))
            self.unit[j] = i  # FIXED is the least, so what meets it becomes it
            if i != FIXED:
                low, high = sorted((self._root(self.block, i), self._root(self.block, j)))
                self.block[high] = low

    def fix(self, units: np.ndarray) -> None:
        self.join(units, np.zeros_like(units))

    def units_of(self, index: int) -> np.ndarray:
        if index not in self.of:  # an input, a constant, or what is computed by no operator
            self.of[index] = np.zeros(_channels(self.graph.tensors[index]), int)
        return self.of[index]

    def renamed(self, index: int, shape: tuple[int, ...]) -> np.ndarray:
        """The units of the channels of a tensor under another shape; fixed where its rows would differ."""
        before = self.graph.tensors[index].shape
        units = self.units_of(index)
        rows = np.broadcast_to(units, before or (1,)).reshape(-1, shape[-1] if shape else 1)
        if not (rows == rows[0]).all():
            self.fix(units)
            return np.zeros(rows.shape[1], int)
        return rows[0].copy()

    def visit(self, at: int, op: Operator) -> None:
        tensors, y = self.graph.tensors, op.outputs[0]
        last = _channels(tensors[y])
        if weighted(op):
            self.of[y] = self.weighted(at, op, last)
        elif op.kind in _CHANNELWISE or (op.kind in ("MEAN", "PAD", "PADV2") and self.keeps_channels(op)):
            self.of[y] = self.units_of(op.inputs[0]).copy()
        elif op.kind in _RENAMES:
            self.of[y] = self.renamed(op.inputs[0], tensors[y].shape)
        elif op.kind == "ADD":
            operands = [i for i in op.inputs if tensors[i].data is None]
            self.of[y] = self.units_of(operands[0]).copy()
            if any(tensors[i].shape != tensors[y].shape for i in operands):
                self.close(op)
            for i in operands[1:]:
                self.join(self.of[y], self.units_of(i))
        else:
            self.close(op)

    def close(self, op: Operator) -> None:
        """All that an operator reads and writes stays."""
        for i in op.inputs:
            if i >= 0:
                self.fix(self.units_of(i))
        for i in op.outputs:
            self.of[i] = np.zeros(_channels(self.graph.tensors[i]), int)

    def keeps_channels(self, op: Operator) -> bool:
        x, y = self.graph.tensors[op.inputs[0]], self.graph.tensors[op.outputs[0]]
        given = self.graph.tensors[op.inputs[1]].data
        if given is None:
            return False
        if op.kind == "MEAN":
            return len(x.shape) - 1 not in {int(a) % len(x.shape) for a in given.reshape(-1)}
        return x.shape[-1:] == y.shape[-1:]

    def weighted(self, at: int, op: Operator, last: int) -> np.ndarray:
        x, weights = op.inputs[0], self.graph.tensors[op.inputs[1]]
        if op.kind == "FULLY_CONNECTED":
            self.ins[at] = self.renamed(x, (weights.shape[1],))
            return self.fresh(last)
        self.ins[at] = self.units_of(x)
        channels = len(self.ins[at])
        if op.kind == "DEPTHWISE_CONV_2D" and channels > 1:
            return np.repeat(self.ins[at], last // channels)
        if op.kind == "CONV_2D" and weights.shape[3] != channels:  # groups
            self.fix(self.ins[at])
            return np.zeros(last, int)
        return self.fresh(last)

    def result(self) -> Channels:
        roots = np.array([self._root(self.unit, i) for i in range(len(self.unit))])
        distinct, number = np.unique(roots, return_inverse=True)  # FIXED is the least and stays 0
        families: dict[int, list[int]] = {}
        for unit, root in enumerate(distinct.tolist()):
            if unit != FIXED:
                families.setdefault(self._root(self.block, root), []).append(unit)
        of = {i: number[units] for i, units in self.of.items()}
        ins = {at: number[units] for at, units in self.ins.items()}
        layers = []
        for at, op in enumerate(self.graph.operators):
            if weighted(op):
                weights, outs = self.graph.tensors[op.inputs[1]], of[op.outputs[0]]
                inputs = ins[at] if op.kind != "DEPTHWISE_CONV_2D" else outs[:0]
                each = positions(self.graph, op) * weights.size // len(outs) // max(len(inputs), 1)
                layers.append(Layer(each, inputs, outs))
        return Channels(len(distinct), tuple(map(np.array, families.values())), of, ins, tuple(layers))


def channels(graph: Graph) -> Channels:
    """The units of a graph."""
    analysis = _Analysis(graph)
    for at, op in enumerate(graph.operators):
        analysis.visit(at, op)
    for i in (*graph.inputs, *graph.outputs):
        analysis.fix(analysis.units_of(i))
    return analysis.result()


def remove(graph: Graph, units: Channels, keep: np.ndarray) -> Graph:
    """The graph with only the units in `keep`, a bool each. Tensors and operators keep their places.

    A constant of two operators that keep different parts of it becomes two, the second behind all other tensors.
    """
    keep = keep.copy()
    keep[FIXED] = True
    tensors = [
        replace(t, shape=(*t.shape[:-1], int(keep[units.of[i]].sum()))) if i in units.of and t.data is None else t
        for i, t in enumerate(graph.tensors)
    ]
    cut: dict[int, list[tuple[int, np.ndarray]]] = {}  # constant -> the tensors that are made of it, their data

    def put(index: int, data: np.ndarray) -> int:
        made = cut.setdefault(index, [])
        for at, other in made:
            if np.array_equal(other, data):
                return at
        part = replace(graph.tensors[index], shape=data.shape, data=data)
        if made:
            tensors.append(part)
        else:
            tensors[index] = part
        made.append((len(tensors) - 1 if made else index, data))
        return made[-1][0]

    operators = []
    for at, op in enumerate(graph.operators):
        kept = keep[units.of[op.outputs[0]]]
        inputs = list(op.inputs)
        for position, data in _constants(graph, op, kept, keep[units.ins[at]] if at in units.ins else kept):
            inputs[position] = put(inputs[position], np.ascontiguousarray(data))
        if op.kind == "RESHAPE" and len(inputs) > 1:
            inputs[1] = put(inputs[1], np.array(tensors[op.outputs[0]].shape, np.int32))
        op = replace(op, inputs=tuple(inputs))
        if op.kind == "DEPTHWISE_CONV_2D":
            multiplier = int(kept.sum()) // tensors[op.inputs[0]].shape[3]
            op = replace(op, options={**op.options, "DepthMultiplier": multiplier})
        operators.append(op)
    return replace(graph, tensors=tuple(tensors), operators=tuple(operators))


def _constants(graph: Graph, op: Operator, outs: np.ndarray, ins: np.ndarray) -> Iterable[tuple[int, np.ndarray]]:
    """The constants of an operator that lose channels: the input's position, and what is left of it."""
    for position, index in enumerate(op.inputs):
        data = graph.tensors[index].data if index >= 0 else None
        if data is None:
            continue
        if weighted(op) and position == 1:
            if op.kind == "DEPTHWISE_CONV_2D":
                yield position, data[..., outs]
            elif data.shape[-1] == len(ins):  # else groups, where nothing goes
                yield position, data[outs][..., ins]
        elif (weighted(op) and position == 2) or (op.kind == "ADD" and data.shape[-1:] == outs.shape):
            yield position, data[..., outs]


def _channels(tensor: Tensor) -> int:
    return tensor.shape[-1] if tensor.shape else 1
