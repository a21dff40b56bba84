"""What lowering makes of a graph: steps over buffers, in the terms of the board's kernels (whit.device.opset)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from .device import opset

ROWS = {row[1]: row for row in opset.KERNELS}
WRITTEN = "y"  # the one arena field a kernel writes; it reads the others


@dataclass(frozen=True)
class Place:
    """Bytes `offset` and following of a buffer."""

    buffer: int
    offset: int = 0


@dataclass(frozen=True)
class Step:
    """One kernel call.

    `values` holds the fields of its opset row that are numbers, `arena` those of code a, `weights` the bytes behind
    those of code w. The offsets themselves are the planner's and the writer's to choose.
    """

    kernel: str
    name: str
    values: dict[str, int]
    arena: dict[str, Place]
    weights: dict[str, bytes] = field(default_factory=dict)
    flags: int = 0

    @property
    def fields(self) -> dict[str, int]:
        """What opset's functions take: the numbers and the flags."""
        return self.values | {"flags": self.flags}

    def extents(self) -> dict[str, int]:
        """Bytes that the kernel may touch from each of its offsets, scratch included; {} for impossible fields."""
        row = ROWS[self.kernel]
        names = [name for name, code in opset.fields_of(row) if code in "aws"]
        return dict(zip(names, row[3](self.fields), strict=False))

    @property
    def macs(self) -> int:
        """Multiply-accumulates."""
        return macs_of(self.kernel, self.values)


def macs_of(kernel: str, f: dict[str, int]) -> int:
    """Multiply-accumulates of a step with these fields, counted as the field counts them: padding included."""
    if kernel == "conv2d":
        return f["oh"] * f["ow"] * f["oc"] * f["kh"] * f["kw"] * f["ic"]
    if kernel == "depthwise":
        return f["oh"] * f["ow"] * f["oc"] * f["kh"] * f["kw"]
    return f["rows"] * f["k"] * f["o"] if kernel == "dense" else 0


def copy_step(name: str, x: Place, y: Place, run: int, runs: int = 1, x_stride: int = 0, y_stride: int = 0) -> Step:
    """The step that copies `runs` times `run` bytes; the strides are from one run to the next."""
    strides = {"x0": 0, "x1": 0, "x2": x_stride, "y0": 0, "y1": 0, "y2": y_stride}
    return Step("copy", name, {"n0": 1, "n1": 1, "n2": runs, "n3": run} | strides, {"x": x, WRITTEN: y})


@dataclass(frozen=True)
class Port:
    """An input or output of the network; real = scale * (q - zero_point)."""

    name: str
    shape: tuple[int, ...]
    dtype: str  # "int8" or "uint8": what lies in the arena
    scale: float
    zero_point: int
    buffer: int
    offset: int = 0  # in the buffer


@dataclass(frozen=True)
class State:
    """A buffer that stays from one run to the next; `initial` is what its first bytes hold before the first one."""

    buffer: int
    initial: bytes = field(repr=False)


@dataclass(frozen=True)
class Program:
    """A network ready to be planned and written.

    `buffers` holds the size in bytes of each. The weights of each step fit `page_bytes`, 0 where they are not to be
    read page by page.
    """

    name: str
    buffers: tuple[int, ...]
    steps: tuple[Step, ...]
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    labels: tuple[str, ...]
    page_bytes: int = 0
    states: tuple[State, ...] = ()
    sections: tuple[tuple[int, bytes], ...] = ()  # more of the file, (id, bytes): what a listener needs

    def with_labels(self, labels: tuple[str, ...]) -> Program:
        return replace(self, labels=labels)
