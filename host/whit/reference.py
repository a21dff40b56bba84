"""A plain numpy executor of a Program: the third opinion beside the kernel sets and TensorFlow Lite Micro.

It reads the weights back from their layout, so it checks the packager as well; the packager takes the file's
self-test vector from it. Exact, not fast: products of int8 stay exact in the float64 matrix product.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from . import fixedpoint as fp
from . import layout
from .device import opset
from .program import WRITTEN, Program, Step

Memory = list[np.ndarray]  # of each buffer


def memory_of(program: Program) -> Memory:
    """What the buffers hold before the first run."""
    memory = [np.zeros(size, np.int8) for size in program.buffers]
    for state in program.states:
        memory[state.buffer][: len(state.initial)] = np.frombuffer(state.initial, np.int8)
    return memory


def run(
    program: Program,
    inputs: Sequence[np.ndarray],
    after: Callable[[Step, np.ndarray], None] = lambda step, written: None,
    memory: Memory | None = None,
) -> list[np.ndarray]:
    """Run the program once on quantized inputs, in the order and the dtypes of program.inputs.

    `after` is called with each step and the bytes it may have written, before the next one runs. `memory` is what
    memory_of() gave, for several runs of a program with states; a run is its first without.

    Returns:
        one array per output, in the port's dtype and shape.
    """
    memory = memory_of(program) if memory is None else memory
    for port, values in zip(program.inputs, inputs, strict=True):
        data = np.frombuffer(np.ascontiguousarray(values, port.dtype).tobytes(), np.int8)
        memory[port.buffer][port.offset : port.offset + data.size] = data
    for step in program.steps:
        extents = step.extents()
        arrays = {
            name: memory[place.buffer][place.offset : place.offset + extents[name]]
            for name, place in step.arena.items()
        }
        result = KERNELS[step.kernel](step, arrays)
        if result is not None:
            arrays[WRITTEN][:] = result.astype(np.int8).reshape(-1)
        after(step, arrays[WRITTEN])
    return [
        np.frombuffer(memory[p.buffer][p.offset :][: math.prod(p.shape)].tobytes(), p.dtype).reshape(p.shape)
        for p in program.outputs
    ]


Arrays = dict[str, np.ndarray]


def _windows(x: np.ndarray, v: dict[str, int], fill: int) -> np.ndarray:
    """[ih, iw, c] -> [oh, ow, kh, kw, c], padded with `fill`."""
    dy, dx = v.get("dy", 1), v.get("dx", 1)
    high, wide = (v["oh"] - 1) * v["sy"] + (v["kh"] - 1) * dy + 1, (v["ow"] - 1) * v["sx"] + (v["kw"] - 1) * dx + 1
    padded = np.full((max(high, v["py"] + v["ih"]), max(wide, v["px"] + v["iw"]), x.shape[2]), fill, np.int64)
    padded[v["py"] : v["py"] + v["ih"], v["px"] : v["px"] + v["iw"]] = x
    rows = np.arange(v["oh"])[:, None] * v["sy"] + np.arange(v["kh"]) * dy
    columns = np.arange(v["ow"])[:, None] * v["sx"] + np.arange(v["kw"]) * dx
    return padded[rows[:, None, :, None], columns[None, :, None, :]]


def _finish(step: Step, acc: np.ndarray) -> np.ndarray:
    """int64 accumulators [..., channels] without bias -> output bytes."""
    v = step.values
    bias, multiplier, shift = layout.read_quant_blocks(step.weights["q"], acc.shape[-1])
    scaled = fp.requantize(fp.wrap32(acc + bias), multiplier, shift)
    return np.clip(scaled + v["zo"], v["lo"], v["hi"])


def _weights(step: Step, read: Callable[[bytes, int, int], np.ndarray], o: int, k: int) -> np.ndarray:
    """The int8 weights [o, k], which `read` reads where they are not int4."""
    return (layout.read_int4_blocks if step.flags & opset.INT4 else read)(step.weights["w"], o, k)


def _conv2d(step: Step, arrays: Arrays) -> np.ndarray:
    v = step.values
    k = v["kh"] * v["kw"] * v["ic"]
    w = _weights(step, layout.read_quad_blocks, v["oc"], k)
    patches = _windows(arrays["x"].reshape(v["ih"], v["iw"], v["ic"]), v, v["zi"]).reshape(-1, k)
    return _finish(step, (patches.astype(float) @ w.T.astype(float)).astype(np.int64))


def _depthwise(step: Step, arrays: Arrays) -> np.ndarray:
    v = step.values
    w = np.frombuffer(step.weights["w"], np.int8).reshape(v["oc"], v["kh"], v["kw"]).transpose(1, 2, 0)
    x = np.repeat(arrays["x"].reshape(v["ih"], v["iw"], v["ic"]), v["oc"] // v["ic"], axis=2)
    return _finish(step, (_windows(x, v, v["zi"]) * w).sum((2, 3)))


def _dense(step: Step, arrays: Arrays) -> np.ndarray:
    v = step.values
    w = _weights(step, layout.read_dense_blocks, v["o"], v["k"]).astype(np.int64)
    x = arrays["x"].reshape(v["rows"], v["k"]).astype(np.int64)
    x[:, 1::2] -= 128  # the bias holds 128 * sum(w of odd k)
    return _finish(step, x @ w.T)


def _average_pool(step: Step, arrays: Arrays) -> np.ndarray:
    v = step.values
    x = arrays["x"].reshape(v["ih"], v["iw"], v["c"])
    count = _windows(np.ones_like(x), v, 0).sum((2, 3))
    total = _windows(x, v, 0).sum((2, 3))
    mean = np.sign(total) * ((np.abs(total) + count // 2) // count)  # ties away from zero
    return np.clip(mean, v["lo"], v["hi"])


def _max_pool(step: Step, arrays: Arrays) -> np.ndarray:
    v = step.values
    x = arrays["x"].reshape(v["ih"], v["iw"], v["c"])
    return np.clip(_windows(x, v, -128).max((2, 3)), v["lo"], v["hi"])


def _add(step: Step, arrays: Arrays) -> np.ndarray:
    v = step.values
    a, b = (fp.requantize((arrays[i].astype(np.int64) - v["z" + i]) << 20, v["m" + i], v["e" + i]) for i in ("a", "b"))
    return np.clip(fp.requantize(a + b, v["mo"], v["eo"]) + v["zo"], v["lo"], v["hi"])


def _softmax(step: Step, arrays: Arrays) -> np.ndarray:
    v = step.values
    x = arrays["x"].reshape(v["rows"], v["depth"]).astype(np.int64)
    table = np.zeros(256, np.int64)
    table[: v["entries"]] = np.frombuffer(step.weights["t"], "<i4")
    exps = table[x.max(1, keepdims=True) - x]
    sums = fp.rounding_shift(exps, 12).sum(1)  # Q12
    result = np.empty_like(x)
    for row, total in enumerate(sums):
        headroom = 32 - int(total).bit_length()
        scale = fp.one_over_one_plus((int(total) << headroom) - (1 << 31))
        # 12 - headroom bits over unit, and 31 - 8 to come from Q0 to a byte
        result[row] = fp.rounding_shift(fp.high_mul(exps[row], scale), min(12 - headroom + 23, 31)) - 128
    return fp.clamp8(result)


def _lookup(step: Step, arrays: Arrays) -> np.ndarray:
    return np.frombuffer(step.weights["t"], np.int8)[arrays["x"].view(np.uint8)]


def _copy(step: Step, arrays: Arrays) -> None:
    v = step.values
    shape = tuple(v[f"n{i}"] for i in range(4))
    views = (
        np.lib.stride_tricks.as_strided(arrays[s], shape, (*(v[f"{s}{i}"] for i in range(3)), 1), writeable=s == "y")
        for s in "xy"
    )
    source, target = views
    target[:] = source


def _fill(step: Step, arrays: Arrays) -> np.ndarray:
    return np.full(step.values["n"], step.values["value"])


def _mean(step: Step, arrays: Arrays) -> np.ndarray:
    v = step.values
    total = arrays["x"].reshape(v["n"], v["c"]).sum(0, dtype=np.int64) + v["bias"]
    return fp.clamp8(fp.requantize(total, v["m"], v["e"]) + v["zo"])


KERNELS: dict[str, Callable[[Step, Arrays], np.ndarray | None]] = {
    "conv2d": _conv2d,
    "depthwise": _depthwise,
    "dense": _dense,
    "average_pool": _average_pool,
    "max_pool": _max_pool,
    "add": _add,
    "softmax": _softmax,
    "lookup": _lookup,
    "copy": _copy,
    "fill": _fill,
    "mean": _mean,
}
