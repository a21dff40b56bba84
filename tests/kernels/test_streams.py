"""Variables, and the operators around them, against TensorFlow Lite Micro over consecutive frames."""

import numpy as np
import pytest
from exact import assert_exact
from nets import NONE, Net, frames, join, over
from nets import cut as cut_out
from whit.pack import pack


def summed(name) -> bytes:
    """A variable that is read, added to and assigned: no window."""
    net = Net(name)
    x = net.activation((1, 7), 0.05, 5)
    variable = net.variable(np.arange(-3, 4).reshape(1, 7))
    held, y = net.activation((1, 7), 0.1, -2), net.activation((1, 7), 0.1, -2)
    net.op("READ_VARIABLE", [variable], [held])
    net.op("ADD", [held, x], [y], FusedActivationFunction=NONE)
    net.op("ASSIGN_VARIABLE", [variable, y], [])
    return net.tflite([x], [y])


def two(name) -> bytes:
    """Two windows, one of what a layer makes of the other, and a third that is placed in the second's new frame."""
    net = Net(name)
    x = net.activation((1, 2, 1, 4), 0.05, 5)
    variables = [net.variable(np.full((1, n, 1, 4), 5)) for n in (3, 6)]
    windows = []
    for variable, n, new in zip(variables, (3, 6), (2, 5), strict=True):
        kept, window, left = (net.like(x, (1, k, 1, 4)) for k in (n, n + new, n))
        net.op("READ_VARIABLE", [variable], [kept])
        frame = x
        if windows:
            frame = net.like(x, (1, 5, 1, 4))
            net.op("RELU6", windows, [frame])
        join(net, [kept, frame], window, 1)
        cut_out(net, window, left, [0, new, 0, 0], [1, n + new, 1, 4])
        net.op("ASSIGN_VARIABLE", [variable, left], [])
        windows = [window]
    return net.tflite([x], [over(net, windows[0])])


def joined(name, shape=(1, 3, 2, 4), axis=-1, sizes=(4, 3, 1), again=False, made=True, seen=False) -> bytes:
    """A concatenation of parts of an input, each through a layer of its own if `made`; `again`: the first one twice."""
    net = Net(name)
    parts, inputs = [], []
    for n in sizes:
        part_shape = list(shape)
        part_shape[axis] = n
        x = net.activation(part_shape, 0.05, -4)
        inputs.append(x)
        parts.append(x)
        if made:
            parts[-1] = net.like(x, part_shape)
            net.op("RELU", [x], [parts[-1]])
    if again:
        parts.append(parts[0])
    whole = list(shape)
    whole[axis] = sum(net.tensors[p].shape[axis] for p in parts)
    y = net.like(parts[0], whole)
    join(net, parts, y, axis)
    z = net.like(y, whole)
    net.op("RELU6", [y], [z])
    return net.tflite(inputs, [z, parts[0]] if seen else [z])


def nested(name) -> bytes:
    """A concatenation in a concatenation."""
    net = Net(name)
    a, b, c = (net.activation((1, n), 0.05, 1) for n in (3, 4, 5))
    inner, outer, y = net.like(a, (1, 7)), net.like(a, (1, 12)), net.like(a, (1, 12))
    join(net, [a, b], inner, 1)
    join(net, [c, inner], outer, 1)
    net.op("RELU", [outer], [y])
    return net.tflite([a, b, c], [y])


def cut(name, shape=(1, 6, 2, 4), begin=(0, 1, 0, 0), end=(1, 5, 2, 4), strides=(1, 1, 1, 1), y=(1, 4, 2, 4),
        last=False, **masks) -> bytes:  # fmt: skip
    """STRIDED_SLICE of an input; `last`: it is the output itself."""
    net = Net(name)
    x = net.activation(shape, 0.05, 2)
    part = net.like(x, y)
    cut_out(net, x, part, begin, end, strides, **masks)
    if last:
        return net.tflite([x], [part])
    z = net.like(x, y)
    net.op("RELU", [part], [z])
    return net.tflite([x], [z])


def split(name, shape=(1, 4, 2, 6), axis=-1, sizes=(), count=3, sliced=False) -> bytes:
    """SPLIT, or SPLIT_V where there are sizes; `sliced`: SLICE of the second part."""
    net = Net(name)
    x = net.activation(shape, 0.05, 2)
    n = shape[axis]
    known = [size for size in sizes if size >= 0]
    lengths = [n - sum(known) if size < 0 else size for size in sizes] or [n // count] * count
    shapes = [[size if i == axis % len(shape) else d for i, d in enumerate(shape)] for size in lengths]
    parts = [net.like(x, s) for s in shapes]
    if sizes:
        net.op("SPLIT_V", [x, net.constant(sizes), net.constant(axis)], parts, NumSplits=len(sizes))
    else:
        net.op("SPLIT", [net.constant(axis), x], parts, NumSplits=count)
    outputs = []
    for part in parts:
        y = net.like(x, net.tensors[part].shape)
        net.op("RELU", [part], [y])
        outputs.append(y)
    if sliced:
        size = [1, *(d - 1 for d in shapes[1][1:])]
        y = net.like(x, size)
        net.op("SLICE", [parts[1], net.constant([0] + [1] * (len(shape) - 1)), net.constant([*size[:-1], -1])], [y])
        outputs.append(y)
    return net.tflite([x], outputs)


FRAMES = {
    "one": dict(),
    "words": dict(keeps=8, c=16),
    "bytes_apart": dict(keeps=9, c=7),
    "less_than_new": dict(keeps=2, new=5),
    "as_many_as_new": dict(keeps=3, new=3),
    "one_kept": dict(keeps=1, new=4, c=1),
    "stored": dict(initial="random"),
    "no_first_value": dict(initial="none"),
    "assigned_before_it_is_read": dict(reader="late", new=2),
    "convolution": dict(reader="convolution", c=8),
    "reshaped": dict(reshaped=True, new=3),
    "computed": dict(computed=True, keeps=5, new=2, c=6),
    "computed_of_reshaped": dict(computed=True, reshaped=True),
    "second": dict(front=False),
    "first_frames_kept": dict(tail=False),
    "second_and_first_frames_kept": dict(front=False, tail=False, new=2),
    "rows_of_frames": dict(lead=3),
    "read_twice": dict(twice="read"),
    "assigned_twice": dict(twice="assigned"),
    "kept_is_seen": dict(seen="kept"),
    "window_is_seen": dict(seen="window"),
    "left_is_seen": dict(seen="left"),
    "all_is_seen": dict(seen="kept left window frame", computed=True),
    "input_is_seen": dict(seen="frame", reshaped=True),
}
JOINED = {
    "channels": dict(),
    "rows": dict(axis=1, sizes=(2, 1)),
    "rows_of_inputs": dict(axis=1, sizes=(2, 1), made=False),
    "columns": dict(axis=2, sizes=(1, 2, 3)),
    "twice": dict(axis=1, sizes=(3, 1), again=True),
    "inputs_twice": dict(sizes=(3,), again=True, made=False),
    "part_is_seen": dict(axis=1, sizes=(3, 2), seen=True),
}
CUT = {
    "rows": dict(),
    "last": dict(last=True),
    "channels": dict(begin=(0, 0, 0, 1), end=(1, 6, 2, 3), y=(1, 6, 2, 2)),
    "every_other": dict(begin=(0, 1, 0, 0), end=(1, 6, 2, 4), strides=(1, 2, 1, 3), y=(1, 3, 2, 2)),
    "from_the_end": dict(begin=(0, -3, 0, 0), end=(1, -1, 2, 4), y=(1, 2, 2, 4)),
    "masked": dict(begin=(9, -2, 9, 1), end=(9, 9, 9, 9), y=(1, 2, 2, 3), BeginMask=5, EndMask=15),
    "one_dimension_less": dict(begin=(0, 2, 0, 0), end=(1, 3, 2, 4), y=(1, 2, 4), ShrinkAxisMask=2),
    "beyond": dict(begin=(-9, 3, 0, 0), end=(9, 99, 2, 4), y=(1, 3, 2, 4)),
}
SPLIT = {
    "channels": dict(),
    "rows": dict(axis=1, count=2),
    "sizes": dict(sizes=(1, 3, 2)),
    "rest": dict(axis=1, sizes=(1, -1)),
    "sliced": dict(axis=1, count=2, sliced=True),
    "whole": dict(count=1),
}
CASES = {f"{make.__name__}_{name}": (make, case) for make, table in
         ((frames, FRAMES), (joined, JOINED), (cut, CUT), (split, SPLIT)) for name, case in table.items()}  # fmt: skip
CASES |= {make.__name__: (make, {}) for make in (summed, two, nested)}


def models():
    """Every case as a .tflite file."""
    return [make(name, **case) for name, (make, case) in CASES.items()]


@pytest.mark.parametrize("name", CASES)
def test_against_tflm(name):
    make, case = CASES[name]
    assert_exact(make(name, **case), samples=10)


# A window of 4 + 1 frames of 3 bytes: what a run copies.
COPIED = {
    "one": [12],
    "reshaped": [12],
    "computed": [30],
    "assigned_before_it_is_read": [12],
    "convolution": [32],
    "second": [12, 12, 12],  # from the variable, into the window, back
    "read_twice": [12, 12, 12, 12],
}


@pytest.mark.parametrize("name", COPIED)
def test_what_a_run_moves(name):
    """Where nothing else uses the variable it is the kept frames alone."""
    steps = pack(frames(name, **FRAMES[name])).program.steps
    assert sorted(s.values["n3"] for s in steps if s.kernel == "copy") == sorted(COPIED[name])


@pytest.mark.parametrize("name", ["rows", "columns"])
def test_parts_are_made_in_their_place(name):
    steps = pack(joined(name, **JOINED[name])).program.steps
    assert sum(s.kernel == "copy" for s in steps) == (0 if name == "rows" else len(JOINED[name]["sizes"]))
