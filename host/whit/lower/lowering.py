"""The program under construction, and the register of the functions that lower one operator each."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .. import fixedpoint as fp
from ..errors import WhitError
from ..graph import Graph, Operator, Tensor
from ..program import Place, Port, State, Step
from .padding import Padding, paddings
from .placing import placing

_ACTIVATIONS = {0: "NONE", 1: "RELU", 2: "RELU_N1_TO_1", 3: "RELU6", 4: "TANH", 5: "SIGN_BIT"}
_BOUNDS = {"NONE": (None, None), "RELU": (0, None), "RELU_N1_TO_1": (-1, 1), "RELU6": (0, 6)}

_MIN_SCALE = 1e-15  # of an activation; ratios of two stay within float32
_MAX_BYTES = 1 << 24  # of an activation: more than any microcontroller has

Lowered = Callable[["Lowering", Operator], None]
OPERATORS: dict[str, Lowered] = {}
OUTPUTS: dict[str, int | None] = {}  # how many an operator has; None for any number


def operator(*kinds: str, outputs: int | None = 1) -> Callable[[Lowered], Lowered]:
    def register(function: Lowered) -> Lowered:
        OPERATORS.update(dict.fromkeys(kinds, function))
        OUTPUTS.update(dict.fromkeys(kinds, outputs))
        return function

    return register


class Lowering:
    """The program under construction: which buffer holds which tensor, and the steps so far."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.op: Operator | None = None
        self.buffers: list[int] = []
        self.steps: list[Step] = []
        self.place_of: dict[int, Place] = {}  # tensor index -> where it is
        self.edge: dict[int, int] = {}  # a float tensor at the edge -> the int8 tensor that stands for it
        self.paddings = paddings(graph)  # padded tensors that are not made: their reader pads
        self.placing = placing(graph)
        self.reserved: dict[int, Place] = {}  # tensor index -> where it is or is going to be
        self.states: dict[int, State] = {}  # a variable's tensor -> what the arena keeps of it
        self.moves: list[tuple[Operator, Callable[[], None]]] = []  # behind the last operator, for the next run

    def error(self, problem: str, remedy: str) -> WhitError:
        where = self.graph.name
        if self.op is not None:
            output = f" '{self.graph.tensors[self.op.outputs[0]].title}'" if self.op.outputs else ""
            where += f": {self.op.kind}{output}"
        return WhitError(f"{where}: {problem}; {remedy}")

    def not_int8(self, tensor: Tensor, reader: Operator | None) -> WhitError:
        """Why a tensor that is not int8 ends the conversion: a float model, a hybrid one, or a type whit lacks."""
        self.op = reader
        if tensor.dtype != "float32":
            return self.error(
                f"'{tensor.title}' is {tensor.dtype}", "whit runs int8: convert with full-integer int8 quantization"
            )
        int8_weights = any(t.dtype == "int8" and t.data is not None for t in self.graph.tensors)
        what = "a hybrid model (int8 weights, float32 activations)" if int8_weights else "a float32 model"
        remedy = "whit runs int8: give samples of the input, as in whit quantize MODEL --calibrate SAMPLES.npy"
        if any(op.kind == "QUANTIZE" for op in self.graph.operators):
            what = "a model that computes in float32 outside the QUANTIZE and DEQUANTIZE at its edges"
            remedy = (
                "whit runs int8: convert with optimizations=[DEFAULT], a representative_dataset and "
                "supported_ops=[TFLITE_BUILTINS_INT8], or give the float model to whit quantize"
            )
        return self.error(f"'{tensor.title}' is float32, so this is {what}", remedy)

    # Ports

    def input_port(self, index: int) -> Port:
        tensor = self.tensor(index)
        if tensor.data is not None:
            raise self.error(f"input '{tensor.title}' is a constant", "export the model with a variable input")
        if index in self.place_of or index in self.edge:
            raise self.error(f"'{tensor.title}' is an input twice", "export the model again")
        held = index
        if tensor.dtype == "float32":
            readers = [op for op in self.graph.operators if index in op.inputs]
            quantizes = len(readers) == 1 and readers[0].kind == "QUANTIZE" and readers[0].outputs
            if not quantizes or index in self.graph.outputs:
                raise self.not_int8(tensor, readers[0] if readers else None)
            held = self.edge[index] = readers[0].outputs[0]
        self.allocate(held)
        return self._port(tensor, held)

    def output_port(self, index: int) -> Port:
        self.op = None
        tensor = self.tensor(index)
        held = self.edge.get(index, index)
        if held not in self.place_of:
            raise self.error(f"output '{tensor.title}' is computed by no operator", "export the model again")
        return self._port(tensor, held)

    def _port(self, tensor: Tensor, held: int) -> Port:
        t = self.tensor(held)
        if t.dtype not in ("int8", "uint8"):
            raise self.not_int8(t, None)
        if t.quantization:
            self._check_quantization(t)
        if t.size != tensor.size:
            raise self.error(f"'{tensor.title}' is {tensor.shape} outside and {t.shape} inside", "export it again")
        place = self.place_of[held]
        return Port(tensor.name, tensor.shape, t.dtype, t.scale, t.zero_point, place.buffer, place.offset)

    # Tensors

    def tensor(self, index: int) -> Tensor:
        return self.graph.tensors[index]

    def allocate(self, index: int) -> Place:
        """Where the tensor is made: a new buffer, or its place inside another tensor."""
        if index in self.place_of or self.tensor(index).data is not None:
            raise self.error(f"'{self.tensor(index).title}' is written twice", "export the model again")
        self.place_of[index] = self.reserve(index)
        return self.place_of[index]

    def reserve(self, index: int) -> Place:
        """The memory of a tensor that is not made yet."""
        if index not in self.reserved:
            tensor = self.tensor(index)
            if any(d < 1 for d in tensor.shape):
                raise self.error(f"'{tensor.title}' has the shape {tensor.shape}", "export with fixed, positive sizes")
            if tensor.size > _MAX_BYTES:
                raise self.error(
                    f"'{tensor.title}' takes {tensor.size} bytes (at most {_MAX_BYTES})", "use a smaller input"
                )
            if index in self.placing.inside:
                outer, at = self.placing.inside[index]
                place = self.reserve(outer)
                self.reserved[index] = Place(place.buffer, place.offset + at)
            else:
                self.reserved[index] = self.new_buffer(tensor.size)
        return self.reserved[index]

    def new_buffer(self, size: int) -> Place:
        self.buffers.append(size)
        return Place(len(self.buffers) - 1)

    def _index(self, position: int) -> int:
        """The tensor at input `position` of the current operator, -1 where there is none."""
        assert self.op is not None
        return self.op.inputs[position] if position < len(self.op.inputs) else -1

    def source(self, position: int) -> tuple[Tensor, Place]:
        """Input `position`: a tensor of any type, computed at run time."""
        index = self._index(position)
        if index < 0:
            raise self.error(f"input {position} is missing", "export the model again")
        tensor = self.tensor(index)
        if tensor.data is not None:
            raise self.error(
                f"input {position} ('{tensor.title}') is a constant", "fold it into its neighbours before export"
            )
        if index not in self.place_of:
            if tensor.dtype not in ("int8", "uint8"):
                raise self.not_int8(tensor, self.op)
            raise self.error(f"input '{tensor.title}' is used before it is computed", "export the model again")
        return tensor, self.place_of[index]

    def activation(self, position: int, dtypes: tuple[str, ...] = ("int8",)) -> tuple[Tensor, Place]:
        """Input `position`: a quantized tensor with one scale, computed at run time."""
        tensor, place = self.source(position)
        if tensor.dtype not in dtypes:
            raise self.not_int8(tensor, self.op)
        self._check_quantization(tensor)
        return tensor, place

    def padded(self) -> tuple[Tensor, Place, Padding | None]:
        """Input 0, an image; where a PAD in front is this operator's to do, what it pads, and how."""
        padding = self.paddings.get(self._index(0))
        if padding is None:
            return *self.activation(0), None
        tensor = self.tensor(padding.source)
        if padding.source not in self.place_of:
            raise self.error(f"input '{tensor.title}' is used before it is computed", "export the model again")
        self._check_quantization(tensor)
        return tensor, self.place_of[padding.source], padding

    def result(self, dtypes: tuple[str, ...] = ("int8",)) -> tuple[Tensor, Place]:
        """The output of the current operator, and where it is made."""
        assert self.op is not None
        return self.output(0, dtypes), self.allocate(self.op.outputs[0])

    def output(self, position: int, dtypes: tuple[str, ...] = ("int8",)) -> Tensor:
        """Output `position` of the current operator, a quantized tensor with one scale."""
        assert self.op is not None
        tensor = self.tensor(self.op.outputs[position])
        if tensor.dtype not in dtypes:
            raise self.not_int8(tensor, self.op)
        self._check_quantization(tensor)
        return tensor

    def _check_quantization(self, tensor: Tensor) -> None:
        q = tensor.quantization
        if q is None or not q.per_tensor:
            found = "no scale" if q is None else f"{len(q.scale)} scales"
            raise self.error(f"'{tensor.title}' has {found}", "activations need one scale; quantize the model again")
        if not _MIN_SCALE < tensor.scale < 1 / _MIN_SCALE:
            raise self.error(f"'{tensor.title}' has the scale {tensor.scale:g}", "quantize the model again")
        limits = np.iinfo(tensor.dtype)
        if not limits.min <= tensor.zero_point <= limits.max:
            raise self.error(
                f"'{tensor.title}' has zero point {tensor.zero_point}",
                f"{tensor.dtype} holds {limits.min} to {limits.max}; quantize the model again",
            )

    def keep_quantization(self, x: Tensor, y: Tensor, who_keeps: str) -> None:
        """Refuse an output that is quantized in another way than the input."""
        if x.scale != y.scale or x.zero_point != y.zero_point:
            raise self.error(
                "input and output are quantized differently", f"quantize the model again: {who_keeps} the scale"
            )

    def constant(self, position: int, dtypes: tuple[str, ...], what: str) -> np.ndarray | None:
        """The values of constant input `position`, of one of these types; None where it is absent."""
        index = self._index(position)
        if index < 0:
            return None
        tensor = self.tensor(index)
        if tensor.data is None:
            raise self.error(f"its {what} '{tensor.title}' is computed at run time", f"whit needs constant {what}")
        if tensor.dtype not in dtypes:
            needed = " or ".join(dtypes)
            raise self.error(f"its {what} '{tensor.title}' is {tensor.dtype}", f"whit needs {needed} {what}")
        return tensor.data

    # Steps

    def field(self, name: str, value: int, limit: int) -> int:
        """A value for a field of a step record that holds 0 to `limit`."""
        if not 0 <= value <= limit:
            raise self.error(f"{name} {value} is not supported (0-{limit})", "make the layer smaller")
        return int(value)

    def add_step(
        self,
        kernel: str,
        values: dict[str, int],
        arena: dict[str, Place],
        weights: dict[str, bytes] | None = None,
        flags: int = 0,
    ) -> None:
        assert self.op is not None
        name = self.tensor((*self.op.outputs, *self.op.inputs)[0]).name
        step = Step(kernel, name, {k: int(v) for k, v in values.items()}, arena, weights or {}, flags)
        extents = step.extents()
        for place_name, place in arena.items():
            if not extents or place.offset + extents[place_name] > self.buffers[place.buffer]:
                raise self.error("reads or writes more than its tensors hold", "export the model again")
        self.steps.append(step)

    def alias(self) -> None:
        """The output is the first input under another shape: no step at all."""
        assert self.op is not None
        before, place = self.source(0)
        result = self.op.outputs[0]
        after = self.tensor(result)
        if before.dtype != after.dtype or before.size != after.size:
            raise self.error(
                f"makes {after.shape} {after.dtype} of {before.shape} {before.dtype}",
                "the number of elements must stay; export the model with fixed sizes",
            )
        self.rename(result, place)

    def rename(self, index: int, place: Place) -> None:
        """The tensor is what lies there already."""
        if index in self.place_of:
            raise self.error(f"'{self.tensor(index).title}' is written twice", "export the model again")
        self.place_of[index] = place

    def clamp(self, output: Tensor) -> dict[str, int]:
        """lo and hi: int8's range cut by the fused activation."""
        assert self.op is not None
        code = int(self.op.options.get("FusedActivationFunction", 0))
        name = _ACTIVATIONS.get(code, str(code))
        if name not in _BOUNDS:
            raise self.error(f"fused activation {name} is not supported", "use one of " + ", ".join(_BOUNDS))
        low, high = _BOUNDS[name]
        lo = -128 if low is None else max(-128, fp.quantized_float(low, output.scale, output.zero_point))
        hi = 127 if high is None else min(127, fp.quantized_float(high, output.scale, output.zero_point))
        return {"lo": min(lo, 127), "hi": max(hi, -128)}
