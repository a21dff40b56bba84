"""The program under construction, and the register of the functions that lower one operator each."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .. import fixedpoint as fp
from ..errors import WhitError
from ..graph import Graph, Operator, Tensor
from ..program import Place, Port, Step

_ACTIVATIONS = {0: "NONE", 1: "RELU", 2: "RELU_N1_TO_1", 3: "RELU6", 4: "TANH", 5: "SIGN_BIT"}
_BOUNDS = {"NONE": (None, None), "RELU": (0, None), "RELU_N1_TO_1": (-1, 1), "RELU6": (0, 6)}

Lowered = Callable[["Lowering", Operator], None]
OPERATORS: dict[str, Lowered] = {}


def operator(*kinds: str) -> Callable[[Lowered], Lowered]:
    def register(function: Lowered) -> Lowered:
        OPERATORS.update(dict.fromkeys(kinds, function))
        return function

    return register


class Lowering:
    """The program under construction: which buffer holds which tensor, and the steps so far."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.op: Operator | None = None
        self.buffers: list[int] = []
        self.steps: list[Step] = []
        self.buffer_of: dict[int, int] = {}  # tensor index -> buffer
        self.edge: dict[int, int] = {}  # a float tensor at the edge -> the int8 tensor that stands for it

    def error(self, problem: str, remedy: str) -> WhitError:
        where = self.graph.name
        if self.op is not None:
            output = self.graph.tensors[self.op.outputs[0]].name if self.op.outputs else "?"
            where += f": {self.op.kind} '{output}'"
        return WhitError(f"{where}: {problem}; {remedy}")

    # Ports

    def input_port(self, index: int) -> Port:
        tensor = self.graph.tensors[index]
        if tensor.data is not None:
            raise self.error(f"input '{tensor.name}' is a constant", "export the model with a variable input")
        if tensor.dtype == "float32":
            readers = [op for op in self.graph.operators if index in op.inputs]
            if len(readers) != 1 or readers[0].kind != "QUANTIZE":
                raise self.not_int8(tensor, readers[0] if readers else None)
            quantized = readers[0].outputs[0]
            self.edge[index] = quantized
            return self._port(tensor, quantized)
        return self._port(tensor, index)

    def output_port(self, index: int) -> Port:
        self.op = None
        tensor = self.graph.tensors[index]
        held = self.edge.get(index, index)
        if held not in self.buffer_of:
            raise self.error(
                f"output '{tensor.name}' is computed by no operator", "export the model with computed outputs"
            )
        return self._port(tensor, held)

    def _port(self, tensor: Tensor, held: int) -> Port:
        t = self.graph.tensors[held]
        if t.dtype not in ("int8", "uint8"):
            raise self.not_int8(t, None)
        if t.quantization and not t.quantization.per_tensor:
            raise self.error(f"'{t.name}' has a scale per channel", "activations need one scale; quantize again")
        if len(t.shape) > 255 or any(d < 1 for d in t.shape):
            raise self.error(f"'{tensor.name}' has the shape {t.shape}", "export the model with fixed, positive sizes")
        buffer = self.buffer_of.get(held)
        if buffer is None:
            buffer = self.allocate(held)
        return Port(tensor.name, tensor.shape, t.dtype, t.scale, t.zero_point, buffer)

    # Tensors

    def allocate(self, index: int) -> int:
        """A new buffer for the tensor."""
        self.buffer_of[index] = len(self.buffers)
        self.buffers.append(self.graph.tensors[index].size)
        return self.buffer_of[index]

    def tensor(self, index: int) -> Tensor:
        return self.graph.tensors[index]

    def not_int8(self, tensor: Tensor, reader: Operator | None) -> WhitError:
        """Why a tensor that is not int8 ends the conversion: a float model, a hybrid one, or a type whit lacks."""
        self.op = reader
        if tensor.dtype != "float32":
            return self.error(
                f"'{tensor.name}' is {tensor.dtype}", "whit runs int8: convert with full-integer int8 quantization"
            )
        int8_weights = any(t.dtype == "int8" and t.data is not None for t in self.graph.tensors)
        what = "a hybrid model (int8 weights, float32 activations)" if int8_weights else "a float32 model"
        return self.error(
            f"'{tensor.name}' is float32, so this is {what}",
            "whit runs int8: convert with optimizations=[DEFAULT], a representative_dataset and "
            "supported_ops=[TFLITE_BUILTINS_INT8]",
        )

    def activation(self, position: int) -> tuple[Tensor, Place]:
        """Input `position` of the current operator: an int8 tensor with one scale, computed at run time."""
        assert self.op is not None
        index = self.op.inputs[position] if position < len(self.op.inputs) else -1
        if index < 0:
            raise self.error(f"input {position} is missing", "export the model again")
        tensor = self.tensor(index)
        if tensor.data is not None:
            raise self.error(
                f"input {position} ('{tensor.name}') is a constant", "fold it into its neighbours before export"
            )
        if tensor.dtype != "int8":
            raise self.not_int8(tensor, self.op)
        if index not in self.buffer_of:
            raise self.error(f"input '{tensor.name}' is used before it is computed", "export the model again")
        self._quantized(tensor)
        return tensor, Place(self.buffer_of[index])

    def result(self, dtype: str = "int8") -> tuple[Tensor, Place]:
        """Output 0 of the current operator, with a buffer of its own."""
        assert self.op is not None
        index = self.op.outputs[0]
        tensor = self.tensor(index)
        if tensor.dtype != dtype:
            raise self.not_int8(tensor, self.op)
        if len(self.op.outputs) != 1 or index in self.buffer_of or tensor.data is not None:
            raise self.error("writes a tensor that is already there", "export the model again")
        if any(d < 1 for d in tensor.shape):
            raise self.error(f"has the output shape {tensor.shape}", "export the model with fixed, positive sizes")
        self._quantized(tensor)
        return tensor, Place(self.allocate(index))

    def _quantized(self, tensor: Tensor) -> None:
        if tensor.quantization is None or not tensor.quantization.per_tensor:
            found = "no scale" if tensor.quantization is None else f"{len(tensor.quantization.scale)} scales"
            raise self.error(f"'{tensor.name}' has {found}", "activations need one scale; quantize the model again")
        if not -128 <= tensor.zero_point - (128 if tensor.dtype == "uint8" else 0) <= 127:
            raise self.error(
                f"'{tensor.name}' has the zero point {tensor.zero_point}", f"{tensor.dtype} cannot hold it"
            )

    def constant(self, position: int, dtype: str, what: str) -> np.ndarray | None:
        """The values of constant input `position`, None where it is absent."""
        assert self.op is not None
        index = self.op.inputs[position] if position < len(self.op.inputs) else -1
        if index < 0:
            return None
        tensor = self.tensor(index)
        if tensor.data is None:
            raise self.error(f"its {what} '{tensor.name}' is computed at run time", f"whit needs a constant {what}")
        if tensor.dtype != dtype:
            raise self.error(f"its {what} '{tensor.name}' is {tensor.dtype}", f"whit needs {dtype} {what}")
        return tensor.data

    def field(self, name: str, value: int, limit: int) -> int:
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
        name = self.tensor(self.op.outputs[0]).name
        self.steps.append(Step(kernel, name, {k: int(v) for k, v in values.items()}, arena, weights or {}, flags))

    def alias(self) -> None:
        """The output is the first input under another shape: no step at all."""
        assert self.op is not None
        source, result = self.op.inputs[0], self.op.outputs[0]
        before, after = self.tensor(source), self.tensor(result)
        if before.dtype != after.dtype or before.size != after.size:
            raise self.error(
                f"makes {after.shape} {after.dtype} of {before.shape} {before.dtype}",
                "the number of elements must stay; export the model with fixed sizes",
            )
        if source not in self.buffer_of:
            self.activation(0)  # says why
        if result in self.buffer_of:
            raise self.error("writes a tensor that is already there", "export the model again")
        self.buffer_of[result] = self.buffer_of[source]

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
