"""fold: a float Graph as a framework left it -> the same function in the operators that are quantized.

Afterwards every constant is float32, no two layers share one, and every layer with weights has a bias; scales and
offsets by channel (a batch normalization, the normalization of the input) are in the weights of the layer before, or a
depthwise layer of one tap where there is none; activations are fused into the layer before. Nothing is left that no
output needs.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .errors import WhitError
from .execute import LINEAR
from .graph import Graph, Operator, Tensor

WEIGHTED = {"CONV_2D": 0, "DEPTHWISE_CONV_2D": 3, "FULLY_CONNECTED": 0}  # kind -> axis of the output channels
_FUSED = {"RELU": 1, "RELU_N1_TO_1": 2, "RELU6": 3}
_FUSING = (*WEIGHTED, "ADD", "AVERAGE_POOL_2D", "MAX_POOL_2D")
_AFFINE = ("ADD", "SUB", "MUL", "DIV")
_VALID = 1  # of the Padding option
_RESHAPES = ("RESHAPE", "SQUEEZE", "EXPAND_DIMS")


def is_float(graph: Graph) -> bool:
    """Whether the model computes in float32: also one whose weights are stored in a smaller type."""
    results = [graph.tensors[i] for op in graph.operators for i in op.outputs]
    return not any(t.dtype in ("int8", "uint8", "int16") for t in results) and any(
        t.dtype == "float32" for t in results
    )


def fold(graph: Graph) -> Graph:
    """Fold a float graph.

    Raises:
        WhitError: weights that are not numbers, or are not there.
    """
    work = _Work(graph)
    work.decode_constants()
    work.check()
    work.fold_scales()
    work.fuse_activations()
    work.average_whole_images()
    work.separate_constants()
    work.add_biases()
    return work.result()


class _Work:
    """A graph that is being changed."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.tensors = list(graph.tensors)
        self.operators = list(graph.operators)

    def error(self, op: Operator, text: str) -> WhitError:
        return WhitError(f"{self.graph.name}: {op.kind} '{self.tensors[op.outputs[0]].title}': {text}")

    def check(self) -> None:
        """What is used is there, in an order in which it can run, and each operator has what the rules look at."""
        there = {*self.graph.inputs, -1, *(i for i, t in enumerate(self.tensors) if t.data is not None)}
        for op in self.operators:
            if len(op.outputs) != 1 or not op.inputs or op.inputs[0] < 0:
                raise WhitError(
                    f"{self.graph.name}: {op.kind} with these inputs and outputs is not supported; export it again"
                )
            if (op.kind in WEIGHTED or op.kind in _AFFINE) and (len(op.inputs) < 2 or op.inputs[1] < 0):
                raise self.error(op, "its second input is missing; export the model again")
            if not there.issuperset(op.inputs):
                raise self.error(op, "uses what is not computed before it; export the model again")
            there.update(op.outputs)
            if op.kind in WEIGHTED:
                weights, bias = self.tensors[op.inputs[1]], self.value(op, 2)
                rank = 2 if op.kind == "FULLY_CONNECTED" else 4
                if weights.data is None or len(weights.shape) != rank or not weights.size:
                    found = "computed at run time" if weights.data is None else f"of shape {weights.shape}"
                    raise self.error(op, f"its weights are {found}, whit needs constants of {rank} dimensions")
                channels = weights.shape[WEIGHTED[op.kind]]
                if len(op.inputs) > 2 and op.inputs[2] >= 0 and (bias is None or bias.size != channels):
                    raise self.error(op, f"its bias is not {channels} constants; export the model again")

        lost = [self.tensors[i].title for i in self.graph.outputs if i not in there or self.tensors[i].data is not None]
        if lost:
            raise WhitError(f"{self.graph.name}: output '{lost[0]}' is computed by no operator; export the model again")

    def constant(self, like: str, data: np.ndarray) -> int:
        """A new constant, named after the tensor that it belongs to."""
        self.tensors.append(Tensor(like, data.shape, data.dtype.name, None, data))
        return len(self.tensors) - 1

    def activation(self, name: str, shape: tuple[int, ...]) -> int:
        self.tensors.append(Tensor(name, shape, "float32"))
        return len(self.tensors) - 1

    def value(self, op: Operator, position: int) -> np.ndarray | None:
        """The data of a constant input; None if there is none or it is computed."""
        if position >= len(op.inputs) or op.inputs[position] < 0:
            return None
        return self.tensors[op.inputs[position]].data

    def producer(self, index: int) -> Operator | None:
        """The operator that writes a tensor which one operator reads and nothing else."""
        readers = sum(op.inputs.count(index) for op in self.operators)
        if readers != 1 or index in self.graph.outputs:
            return None
        return next((op for op in self.operators if index in op.outputs), None)

    def decode_constants(self) -> None:
        """All constants in float32: those stored as float16, or as int8 with a scale, and DEQUANTIZE of such."""
        for index, t in enumerate(self.tensors):
            if t.data is None or not (t.dtype == "float16" or (t.dtype == "int8" and t.quantization)):
                continue
            self.tensors[index] = replace(t, dtype="float32", quantization=None, data=t.real)
        kept = []
        for op in self.operators:
            whole = op.kind == "DEQUANTIZE" and op.outputs and op.inputs and op.inputs[0] >= 0
            source = self.tensors[op.inputs[0]] if whole else None
            if source is not None and source.data is not None:
                target = self.tensors[op.outputs[0]]
                self.tensors[op.outputs[0]] = replace(target, data=source.data, quantization=None)
            else:
                kept.append(op)
        self.operators = kept
        for op in self.operators:
            for i in op.inputs:
                given = self.tensors[i].data if i >= 0 else None
                if given is not None and given.dtype.kind == "f" and not np.isfinite(given).all():
                    found = "NaN" if np.isnan(given).any() else "infinite values"
                    raise self.error(op, f"its constant '{self.tensors[i].title}' holds {found}; train the model again")

    def place(self, op: Operator) -> int:
        return next(n for n, other in enumerate(self.operators) if other is op)

    def merge(self, op: Operator, into: Operator) -> None:
        """`into`, which writes the input of `op` or stands in its place, does the work of both."""
        before = next(n for n, other in enumerate(self.operators) if other.outputs == into.outputs)
        self.operators[before] = replace(into, outputs=op.outputs)
        del self.operators[self.place(op)]

    def fold_scales(self) -> None:
        """Arithmetic with a constant by channel: into the weights before it, or a depthwise layer of one tap."""
        for op in list(self.operators):
            if op.kind in _AFFINE:
                self._fold_scale(op)

    def _fold_scale(self, op: Operator) -> None:
        left, right = self.value(op, 0), self.value(op, 1)
        if (left is None) == (right is None):
            return
        index = op.inputs[1 if right is None else 0]
        constant = left if right is None else right
        assert constant is not None
        shape = self.tensors[index].shape
        channels = shape[-1] if shape else 1
        if constant.size not in (1, channels) or (constant.size > 1 and constant.shape[-1] != channels):
            found = f"with a constant of shape {constant.shape} is not supported"
            raise self.error(op, f"{found}; whit folds scalars and one value per channel")
        c = np.broadcast_to(constant.reshape(-1).astype(np.float64), channels)
        one, zero = np.ones(channels), np.zeros(channels)
        if op.kind == "DIV" and left is not None:
            raise self.error(op, "of a constant by an activation is not supported; export the model without it")
        scale, offset = {
            "ADD": (one, c),
            "SUB": (one, -c) if left is None else (-one, c),
            "MUL": (c, zero),
            "DIV": (1 / c, zero),
        }[op.kind]
        fused = {"FusedActivationFunction": op.options.get("FusedActivationFunction", LINEAR)}
        last = before = self.producer(index)
        if last is not None and last.kind in _RESHAPES and self.tensors[last.inputs[0]].shape[-1:] == (channels,):
            before = self.producer(last.inputs[0])
        if (
            last is not None
            and before is not None
            and before.kind in WEIGHTED
            and self.value(before, 1) is not None
            and not before.options.get("FusedActivationFunction", LINEAR)
            and self.tensors[before.outputs[0]].shape[-1:] == (channels,)
        ):
            weights, bias = self.tensors[before.inputs[1]].data, self.value(before, 2)
            assert weights is not None
            axis = WEIGHTED[before.kind]
            by_channel = scale.reshape([-1 if n == axis else 1 for n in range(weights.ndim)])
            offset = offset + (0 if bias is None else bias.reshape(-1) * scale)
            constants = (weights * by_channel, offset)
            names = (self.tensors[before.inputs[1]].name, f"{self.tensors[op.outputs[0]].name}/bias")
            put = [self.constant(n, v.astype(np.float32)) for n, v in zip(names, constants, strict=True)]
            changed = replace(before, inputs=(before.inputs[0], *put), options=before.options | fused)
            self.operators[self.place(before)] = changed
            self.merge(op, changed if last is before else last)
            return
        name = self.tensors[op.outputs[0]].name
        image = (1, 1, self.tensors[index].size // channels, channels) if len(shape) != 4 else shape
        inner = [self.activation(f"{name}/{part}", image) for part in ("image", "scaled")]
        put = [self.constant(f"{name}/scale", scale.reshape(1, 1, 1, -1).astype(np.float32))]
        put.append(self.constant(f"{name}/bias", offset.astype(np.float32)))
        options = dict(Padding=_VALID, StrideW=1, StrideH=1, DepthMultiplier=1, DilationWFactor=1, DilationHFactor=1)
        layer = Operator("DEPTHWISE_CONV_2D", (inner[0], *put), (inner[1],), options | fused)
        if len(shape) == 4:
            layers = [replace(layer, inputs=(index, *put), outputs=op.outputs)]
        else:
            layers = [Operator("RESHAPE", (index,), (inner[0],)), layer, Operator("RESHAPE", (inner[1],), op.outputs)]
        at = self.place(op)
        self.operators[at : at + 1] = layers

    def fuse_activations(self) -> None:
        for op in list(self.operators):
            before = self.producer(op.inputs[0]) if op.kind in _FUSED else None
            if before is not None and before.kind in _FUSING:
                already, code = int(before.options.get("FusedActivationFunction", LINEAR)), _FUSED[op.kind]
                if already in (LINEAR, code) or (already == _FUSED["RELU"] and op.kind == "RELU6"):
                    self.merge(op, replace(before, options=before.options | {"FusedActivationFunction": code}))

    def average_whole_images(self) -> None:
        """AVERAGE_POOL_2D of a whole image is a MEAN, whose int8 output has a scale of its own."""
        for n, op in enumerate(self.operators):
            if op.kind != "AVERAGE_POOL_2D" or op.options.get("FusedActivationFunction", LINEAR):
                continue
            image = self.tensors[op.inputs[0]].shape[1:3]
            window = (op.options["FilterHeight"], op.options["FilterWidth"])
            if image == window and self.tensors[op.outputs[0]].shape[1:3] == (1, 1):
                axes = self.constant(f"{self.tensors[op.outputs[0]].name}/axes", np.array([1, 2], np.int32))
                self.operators[n] = Operator("MEAN", (op.inputs[0], axes), op.outputs, {"KeepDims": 1})

    def separate_constants(self) -> None:
        """Layers that share weights get their own, as each quantizes them for its input and output."""
        seen: set[int] = set()
        for n, op in enumerate(self.operators):
            inputs = list(op.inputs)
            for position, i in enumerate(inputs):
                data = self.tensors[i].data if i >= 0 else None
                if data is not None and i in seen:
                    inputs[position] = self.constant(self.tensors[i].name, data)
                seen.add(i)
            self.operators[n] = replace(op, inputs=tuple(inputs))

    def add_biases(self) -> None:
        for n, op in enumerate(self.operators):
            if op.kind in WEIGHTED and self.value(op, 1) is not None and (len(op.inputs) < 3 or op.inputs[2] < 0):
                weights = self.tensors[op.inputs[1]]
                bias = self.constant(f"{weights.name}/bias", np.zeros(weights.shape[WEIGHTED[op.kind]], np.float32))
                self.operators[n] = replace(op, inputs=(*op.inputs[:2], bias))

    def result(self) -> Graph:
        """The graph of what the outputs need, its tensors numbered anew."""
        for n, op in enumerate(self.operators):
            if op.kind in _RESHAPES:  # the shape is the output's, whatever computes it
                shape = np.array(self.tensors[op.outputs[0]].shape, np.int32)
                target = self.constant(f"{self.tensors[op.outputs[0]].name}/shape", shape)
                self.operators[n] = replace(op, kind="RESHAPE", inputs=(op.inputs[0], target))
        wanted = set(self.graph.outputs)
        operators: list[Operator] = []
        for op in reversed(self.operators):
            if wanted & set(op.outputs):
                operators.insert(0, op)
                wanted |= {i for i in op.inputs if i >= 0}
        wanted |= set(self.graph.inputs)
        number = {old: new for new, old in enumerate(sorted(wanted))} | {-1: -1}

        def renumbered(indices: tuple[int, ...]) -> tuple[int, ...]:
            return tuple(number[i] for i in indices)

        return replace(
            self.graph,
            tensors=tuple(self.tensors[i] for i in sorted(wanted)),
            operators=tuple(
                replace(op, inputs=renumbered(op.inputs), outputs=renumbered(op.outputs)) for op in operators
            ),
            inputs=renumbered(self.graph.inputs),
            outputs=renumbered(self.graph.outputs),
        )
