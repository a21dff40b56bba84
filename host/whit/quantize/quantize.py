"""quantize: a float Graph and samples -> an int8 Graph, in the arithmetic of every int8 TFLite model.

One pass over the layers, in their order. Each layer gets integer weights; its bias takes up what these and the layers
before it have shifted the mean of each channel by (bias correction: M. Nagel et al., Data-Free Quantization, 2019);
then its output gets the range with which the network's own output comes out nearest to the float model's. The pass is
made for the network as it is and equalized, and the nearest is kept. Nothing in it is random.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from ..errors import WhitError
from ..execute import LINEAR, Values, compute, forward, rows
from ..fold import WEIGHTED, fold, is_float
from ..graph import Graph, Operator, Quantization, affine
from ..samples import arrange, check_variety
from . import weights as integers
from .equalize import channel_peaks, equalize
from .ranges import candidates, round_to

# Operators whose output is quantized as their input is, and those whose output TFLite fixes.
_KEEPING = ("AVERAGE_POOL_2D", "MAX_POOL_2D", "RESHAPE", "PAD", "PADV2", "RELU6")
_FIXED = {"SOFTMAX": affine(1 / 256, -128), "LOGISTIC": affine(1 / 256, -128), "TANH": affine(1 / 128, 0)}
_SQUASHING = ("SOFTMAX", "LOGISTIC")  # what goes in is what an output's error is measured on
FOUR_BITS = ("CONV_2D", "FULLY_CONNECTED")
EQUALIZED = ("", "before depthwise layers", "before every layer")  # what is tried

_MOST_VALUES = 1 << 26  # of all activations of the samples that are used
_MOST_SAMPLES = 256  # used for ranges and means
_FEW = 64  # of them used to choose between ranges
_MOST_ROWS = 1 << 14  # used to fit 4-bit weights
_LARGEST = 1e30  # |value|
_GAIN = 0.98  # of the error: a range other than min to max has to be at least so much better

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Layer:
    """What quantizing did to one layer, as signal-to-quantization-noise ratios in decibels."""

    name: str
    kind: str  # the operator, or "input"
    bits: int  # of its weights; 0 if it has none
    range: str  # how the range of its output was found
    output_decibels: float  # of its output, behind all that was quantized before it
    alone_decibels: float  # of the network's output, were nothing else quantized


@dataclass(frozen=True)
class Quantized:
    """An int8 graph, and where it differs from the float one."""

    graph: Graph
    folded: Graph  # the float graph that it was made of, tensor by tensor
    layers: tuple[Layer, ...] = field(repr=False)
    decibels: float  # of the network's output over these samples; before a final softmax or sigmoid
    equalized: str  # which channels were: one of EQUALIZED


def quantize(
    graph: Graph,
    samples: Sequence[np.ndarray],
    four: Collection[str] = (),
    ranges: Mapping[int, Quantization] | None = None,
    equalized: str | None = None,
    progress: Progress = lambda what, done, total: None,
) -> Quantized:
    """Quantize a float graph.

    Args:
        graph: float32.
        samples: one array per input, (samples, *shape): what the board will see, some dozens to hundreds of them.
        four: names of the outputs of those CONV_2D and FULLY_CONNECTED whose weights get 4 bits instead of 8.
        ranges: quantizations of activations to take instead of calibrating, by tensor of the folded graph; nothing is
            equalized then.
        equalized: one of EQUALIZED to take, instead of trying all.
        progress: called with what is being done, and how far it is.

    Raises:
        WhitError: not a float model, an operator that whit does not know, or samples that do not fit it.
    """
    if not is_float(graph):
        raise WhitError(f"{graph.name}: is quantized already; give the float model that it was made of")
    inputs = arrange(graph, samples)
    check_variety(graph, inputs)
    folded = fold(graph)
    inputs = _used(folded, inputs)
    if ranges is not None:
        equalized = ""
    peaks = {} if equalized == "" else channel_peaks(folded, inputs)
    found: list[Quantized] = []
    for what in EQUALIZED if equalized is None else (equalized,):
        even = equalize(folded, peaks, halfway=what == EQUALIZED[2]) if what else folded
        if not any(_same(even, other.folded) for other in found):
            found.append(_Pass(even, inputs, four, ranges or {}).run(what, progress))
    return max(found, key=lambda q: q.decibels)


def _same(a: Graph, b: Graph) -> bool:
    return all(
        x.data is y.data or (x.data is not None and y.data is not None and np.array_equal(x.data, y.data))
        for x, y in zip(a.tensors, b.tensors, strict=True)
    )


def _used(graph: Graph, inputs: list[np.ndarray]) -> list[np.ndarray]:
    """Samples evenly out of all, as many as the memory of a PC takes well."""
    values = sum(graph.tensors[op.outputs[0]].size for op in graph.operators)
    count = max(1, min(_MOST_SAMPLES, _MOST_VALUES // max(values, 1), len(inputs[0])))
    return [x[np.linspace(0, len(x) - 1, count).astype(int)] for x in inputs]


def decibels(signal: np.ndarray, found: np.ndarray) -> float:
    """Signal-to-quantization-noise ratio; infinite where there is no difference."""
    noise = float(np.square(signal.astype(np.float64) - found).sum())
    power = float(np.square(signal.astype(np.float64)).sum())
    return float("inf") if noise == 0 else 10 * float(np.log10(power / noise)) if power else float("-inf")


class _Pass:
    """One way through the layers of a folded graph."""

    def __init__(
        self, graph: Graph, inputs: list[np.ndarray], four: Collection[str], ranges: Mapping[int, Quantization]
    ) -> None:
        self.graph, self.four, self.given = graph, four, ranges
        self.tensors = list(graph.tensors)  # to become those of the int8 graph
        self.simulated = list(graph.tensors)  # float, the constants being what the integers stand for
        self.float: Values = dict(zip(graph.inputs, inputs, strict=True))
        self.now: Values = {}  # the same behind quantized layers
        self.methods: dict[int, str] = {}
        makers = {op.outputs[0]: op for op in graph.operators}
        self.judged = [
            makers[i].inputs[0] if i in makers and makers[i].kind in _SQUASHING else i for i in graph.outputs
        ]
        self.few = slice(None, None, -(-len(inputs[0]) // _FEW))
        self.truth = forward(graph, dict(self._of(self.float)), self.judged)

    def _of(self, values: Values) -> Values:
        return {i: x[self.few] for i, x in values.items()}

    def run(self, equalized: str, progress: Progress) -> Quantized:
        graph, layers = self.graph, []
        what = f"quantizing, equalized {equalized}" if equalized else "quantizing"
        last = {i: n for n, op in enumerate(graph.operators) for i in op.inputs}
        for i in graph.inputs:
            self.now[i] = self._settle(i, self.float[i])
            layers.append(self._layer(i, None))
        for n, op in enumerate(graph.operators):
            progress(what, n, len(graph.operators))
            i = op.outputs[0]
            self.float[i] = compute(graph, op, self.float)
            if op.kind in WEIGHTED:
                self._weights(op)
            elif op.kind == "PADV2":
                self._filler(op)
            found = compute(self.graph_now, op, self.now)
            kept = op.inputs[0] if op.kind in _KEEPING else None
            self.now[i] = self._settle(i, found, kept, _FIXED.get(op.kind))
            if op.kind not in ("RESHAPE", "PAD", "PADV2"):
                layers.append(self._layer(i, op))
            for j in {*op.inputs} - {*graph.outputs, *self.judged}:
                if last[j] == n:
                    self.float.pop(j, None)
                    self.now.pop(j, None)
        ratios = [decibels(self.float[i], self.now[i]) for i in self.judged]
        return Quantized(replace(graph, tensors=tuple(self.tensors)), graph, tuple(layers), min(ratios), equalized)

    @property
    def graph_now(self) -> Graph:
        return replace(self.graph, tensors=tuple(self.simulated))

    def quantization(self, index: int) -> Quantization:
        found = self.tensors[index].quantization
        assert found is not None
        return found

    def _settle(
        self, index: int, x: np.ndarray, kept: int | None = None, fixed: Quantization | None = None
    ) -> np.ndarray:
        """Decide how a tensor of these values is quantized; the values behind that."""
        tensor = self.tensors[index]
        if kept is None and not max(np.abs(x).max(), np.abs(self.float[index]).max()) < _LARGEST:
            raise WhitError(
                f"{self.graph.name}: '{tensor.title}' becomes infinite, or nearly, with these samples; give them as "
                "the model was trained on"
            )
        if kept is not None:
            chosen, method = self.quantization(kept), "as before"
        elif fixed is not None:
            chosen, method = fixed, "fixed"
        elif index in self.given:
            chosen, method = self.given[index], "given"
        else:
            chosen, method = self._best(index, x)
        self.tensors[index] = replace(tensor, dtype="int8", quantization=chosen)
        self.methods[index] = method
        return round_to(chosen, x)

    def _best(self, index: int, x: np.ndarray) -> tuple[Quantization, str]:
        options = candidates(x)
        if len(options) == 1 or index in self.judged:
            # Nothing behind an output evens out what is cut off; its own error would prefer to cut.
            method = "min-max" if index in self.judged else next(iter(options))
            return options[method], method
        errors = {}
        for method, q in options.items():
            values = self._of(self.now) | {index: round_to(q, x[self.few])}
            errors[method] = self._error(values) / (1 if method == "min-max" else _GAIN)
        method = min(errors, key=lambda name: errors[name])
        return options[method], method

    def _error(self, values: Values) -> float:
        found = forward(self.graph, values, self.judged)
        return sum(
            float(np.square(found[i] - self.truth[i]).mean() / (np.square(self.truth[i]).mean() or 1))
            for i in self.judged
        )

    def _layer(self, index: int, op: Operator | None) -> Layer:
        q, method = self.quantization(index), self.methods[index]
        few = self._of(self.float)
        alone = few[index] if op is None else compute(self.graph_now, op, few)
        found = forward(self.graph, few | {index: round_to(q, alone)}, self.judged)
        bits = 0
        if op is not None and op.kind in WEIGHTED:
            bits = 4 if self.tensors[op.inputs[1]].dtype == "int4" else 8
        return Layer(
            self.graph.tensors[index].name,
            op.kind if op is not None else "input",
            bits,
            method,
            decibels(self.float[index], self.now[index]),
            min(decibels(self.truth[i], found[i]) for i in self.judged),
        )

    def _weights(self, op: Operator) -> None:
        """Integer weights for a layer, and a bias that keeps the mean of each of its channels."""
        axis = WEIGHTED[op.kind]
        w, b = (self.graph.tensors[i] for i in op.inputs[1:3])
        assert w.data is not None and b.data is not None
        flat: np.ndarray = np.moveaxis(w.data, axis, 0).reshape(w.shape[axis], -1)
        x_scale = self.quantization(op.inputs[0]).scale[0]
        bias = b.data.astype(np.float64).reshape(-1)
        # A bias stays within 30 bits, and a channel without weights gets a scale in which it can be said.
        largest = np.abs(flat).max() / 127 or 1.0
        least = np.maximum(np.abs(bias) / (float(x_scale) * 2**30), largest * 2.0**-16)
        bits = 4 if self.graph.tensors[op.outputs[0]].name in self.four and op.kind in FOUR_BITS else 8
        if bits == 4:
            x = rows(self.graph, op, self.now)
            ints, scale = integers.fitted(flat, x[:: -(-len(x) // _MOST_ROWS)], bits, least)
        else:
            scale = integers.scales(flat, bits, least)
            ints = integers.rounded(flat, scale, bits)
        shape = np.moveaxis(w.data, axis, 0).shape
        zeros = np.zeros(len(scale), np.int64)
        put = np.moveaxis(ints.reshape(shape), 0, axis)
        real = np.moveaxis((ints * scale[:, None]).reshape(shape), 0, axis).astype(np.float32)
        self.tensors[op.inputs[1]] = replace(
            w, dtype=f"int{bits}", data=np.ascontiguousarray(put), quantization=Quantization(scale, zeros, axis)
        )
        self.simulated[op.inputs[1]] = replace(w, data=np.ascontiguousarray(real))
        linear = replace(op, options=op.options | {"FusedActivationFunction": LINEAR})
        means = [
            compute(graph, linear, values).reshape(-1, len(scale)).mean(0, dtype=np.float64)
            for graph, values in ((self.graph, self.float), (self.graph_now, self.now))
        ]
        bias_scale = (x_scale * scale).astype(np.float32)
        whole = np.rint((bias + means[0] - means[1]) / bias_scale).astype(np.int64)
        whole = np.clip(whole, -(1 << 31), (1 << 31) - 1).astype(np.int32)
        self.tensors[op.inputs[2]] = replace(
            b, dtype="int32", data=whole.reshape(b.shape), quantization=Quantization(bias_scale, zeros)
        )
        self.simulated[op.inputs[2]] = replace(b, data=(whole * bias_scale).astype(np.float32).reshape(b.shape))

    def _filler(self, op: Operator) -> None:
        """The value that a PADV2 fills with, as its input is quantized."""
        index = op.inputs[2]
        tensor, q = self.graph.tensors[index], self.quantization(op.inputs[0])
        assert tensor.data is not None
        least = -(float(q.zero_point[0]) + 128) * q.scale[0]  # a pool's filler may be the least of all floats
        real = round_to(q, np.maximum(tensor.data, least))
        ints = np.rint(real / q.scale[0] + np.float32(q.zero_point[0]))
        self.tensors[index] = replace(tensor, dtype="int8", quantization=q, data=ints.astype(np.int8))
        self.simulated[index] = replace(tensor, data=real)
