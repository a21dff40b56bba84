"""The network between the stages of the packager: tensors, operators, and nothing of any file format."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Quantization:
    """real = scale * (q - zero_point). One scale, or one per index of dimension `axis`."""

    scale: np.ndarray  # float32 [1 or channels]
    zero_point: np.ndarray  # int64, same length
    axis: int = 0

    @property
    def per_tensor(self) -> bool:
        return len(self.scale) == 1


@dataclass(frozen=True)
class Tensor:
    """An array of the graph; `data` holds the values of a constant and is None for an activation.

    Values of the dtype "int4" are -8 to 7 and lie in an int8 array of the tensor's shape.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str  # a numpy type name ("int8", "uint8", "int32", "float32", ...) or "int4"
    quantization: Quantization | None = None
    data: np.ndarray | None = field(default=None, repr=False)

    @property
    def title(self) -> str:
        """The name as messages give it: converters join the names of all they fused."""
        name = "".join(c if c.isprintable() else "?" for c in self.name)
        return name if len(name) <= 60 else f"{name[:28]}...{name[-28:]}"

    @property
    def size(self) -> int:
        """Number of elements."""
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def scale(self) -> float:
        """The scale of a per-tensor quantized tensor, a float32 held in a double; 0 where there is none."""
        return float(self.quantization.scale[0]) if self.quantization else 0.0

    @property
    def zero_point(self) -> int:
        return int(self.quantization.zero_point[0]) if self.quantization else 0

    @property
    def real(self) -> np.ndarray:
        """What a constant stands for: its data, float32 where that is quantized or of another float type."""
        assert self.data is not None
        q = self.quantization
        if q is None:
            return self.data.astype(np.float32, copy=False) if self.data.dtype.kind == "f" else self.data
        shape = [1] * self.data.ndim
        if not q.per_tensor:
            shape[q.axis] = -1
        whole = self.data.astype(np.int64) - q.zero_point.reshape(shape)
        return (whole * q.scale.reshape(shape).astype(np.float64)).astype(np.float32)


@dataclass(frozen=True)
class Operator:
    """One operator. `kind` is its TFLite name; inputs and outputs index Graph.tensors, -1 for an absent input."""

    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: dict[str, int | float] = field(default_factory=dict)


@dataclass(frozen=True)
class Variable:
    """What a network keeps from one run to the next.

    READ_VARIABLE and ASSIGN_VARIABLE name it by `tensor`, the index of a tensor of the type "resource". `initial` is
    what it holds before the first run, None for its zero point.
    """

    tensor: int
    initial: np.ndarray | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Graph:
    """A network. Operators stand in an order in which they can run.

    A model whose images had their channels first has them last here. `input_axes` and `output_axes` tell the
    model's own order: for each input or output, which of the model's axes each axis here was, (0, 2, 3, 1) for images;
    empty where nothing was moved.
    """

    name: str
    tensors: tuple[Tensor, ...] = field(repr=False)
    operators: tuple[Operator, ...] = field(repr=False)
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    labels: tuple[str, ...] = ()
    input_axes: tuple[tuple[int, ...], ...] = ()
    output_axes: tuple[tuple[int, ...], ...] = ()
    variables: tuple[Variable, ...] = ()


def affine(scale: float, zero_point: int = 0) -> Quantization:
    """Per-tensor quantization."""
    return Quantization(np.array([scale], np.float32), np.array([zero_point], np.int64))
