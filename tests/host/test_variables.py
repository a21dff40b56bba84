"""Models with variables on the PC: what is refused, what a file keeps of them, and that writing a model keeps them."""

import re
import struct
import sys
from dataclasses import replace

import nets
import numpy as np
import pytest
from whit.device import format as blob_format
from whit.device import state
from whit.errors import WhitError
from whit.graph import Operator, Variable
from whit.inspect import describe
from whit.pack import pack, pack_graph
from whit.plan import plan
from whit.read import read
from whit.write_tflite import write_tflite

write_tflite_module = sys.modules["whit.write_tflite"]


def window(initial="zero point"):
    """The graph of a window of four frames that are kept and two new ones, and a layer over it."""
    return read(nets.frames("window", new=2, initial=initial), "window")


def states_of(blob: bytes) -> list[tuple[int, int, int, int]]:
    start = next(
        offset
        for i in range(struct.unpack_from("<H", blob, 10)[0])
        for number, _, offset, _ in [struct.unpack_from(blob_format.SECTION, blob, 24 + 12 * i)]
        if number == blob_format.STATE
    )
    return [struct.unpack_from(state.RECORD, blob, start)]


def test_writing_and_reading_keep_variables():
    graph = window("random")
    again = read(write_tflite(graph), "window")
    assert [(op.kind, op.inputs, op.outputs) for op in again.operators] == [
        (op.kind, op.inputs, op.outputs) for op in graph.operators
    ]
    assert [v.tensor for v in again.variables] == [v.tensor for v in graph.variables]
    np.testing.assert_array_equal(again.variables[0].initial, graph.variables[0].initial)
    assert read(write_tflite(window("none")), "window").variables[0].initial is None


def test_a_file_with_state_is_of_version_2_1_and_says_what_it_keeps():
    packed = pack_graph(window())
    about = describe(packed.blob)
    assert about["format"] == "2.1" and blob_format.STATE in about["sections"]
    (record,) = states_of(packed.blob)
    assert record[1:] == (12, state.FILLED, 5)
    # The input lies behind what is kept.
    assert about["inputs"][0]["offset"] == record[0] + 12
    graph = window("random")
    stored = pack_graph(graph).blob
    assert states_of(stored)[0][1:3] == (12, state.STORED)
    assert graph.variables[0].initial.tobytes() in stored


def test_what_is_kept_shares_its_memory_with_nothing():
    program = pack_graph(window()).program
    planned = plan(program)
    (kept,) = program.states
    for buffer, size in enumerate(program.buffers):
        if buffer != kept.buffer:
            at, start = planned.offsets[buffer], planned.offsets[kept.buffer]
            assert at + size <= start or start + program.buffers[kept.buffer] <= at


def test_an_older_reader_refuses_it():
    assert blob_format.STATE & blob_format.REQUIRED


def _without_declaration(graph):
    return replace(graph, variables=())


def _of_floats(graph):
    return replace(graph, variables=(Variable(graph.variables[0].tensor, np.zeros((1, 4, 1, 3), np.float32)),))


def _too_few(graph):
    return replace(graph, variables=(Variable(graph.variables[0].tensor, np.zeros((1, 3, 1, 3), np.int8)),))


def _activated(graph):
    return _options(graph, "CONCATENATION", FusedActivationFunction=1)


def _options(graph, kind, **options):
    change = lambda op: replace(op, options=op.options | options) if op.kind == kind else op  # noqa: E731
    return replace(graph, operators=tuple(map(change, graph.operators)))


def _ends(values):
    def change(graph):
        (cut,) = (op for op in graph.operators if op.kind == "STRIDED_SLICE")
        tensors = list(graph.tensors)
        tensors[cut.inputs[2]] = replace(tensors[cut.inputs[2]], data=np.array(values, np.int32))
        return replace(graph, tensors=tuple(tensors))

    return change


def _inputs(kind, change):
    """Operators of a kind with other inputs: what change(op) gives."""

    def changed(graph):
        other = lambda op: replace(op, inputs=change(op)) if op.kind == kind else op  # noqa: E731
        return replace(graph, operators=tuple(map(other, graph.operators)))

    return changed


def _reshaped(change):
    """As _inputs() of a RESHAPE between the input and the window."""
    return lambda graph: _inputs("RESHAPE", change)(read(nets.frames("window", new=2, reshaped=True), "window"))


def _joined_twice(graph):
    """Two concatenations, each a part of the other, both written by a layer as well."""
    one, two = (graph.tensors[i] for i in graph.inputs * 2)
    tensors = (*graph.tensors, one, two)
    a, b = len(tensors) - 2, len(tensors) - 1
    ops = [Operator("CONCATENATION", (i,), (o,), {"Axis": 1}) for i, o in ((a, b), (b, a))]
    ops += [Operator("RELU", (graph.inputs[0],), (i,)) for i in (a, b)]
    return replace(graph, tensors=tensors, operators=(*ops, *graph.operators))


REFUSED = {
    "no variable": (_inputs("READ_VARIABLE", lambda op: ()), "READ_VARIABLE 't2': names no variable; "),
    "no input": (_inputs("STRIDED_SLICE", lambda op: ()), "STRIDED_SLICE 't4': input 0 is missing; "),
    "no input to rename": (_reshaped(lambda op: ()), "RESHAPE .*: input 0 is missing; "),
    "renames itself": (_reshaped(lambda op: op.outputs), "RESHAPE .*: input .* is used before it is computed; "),
    "part of itself": (
        _inputs("CONCATENATION", lambda op: (op.inputs[0], *op.outputs)),
        "CONCATENATION 't3': input 't3' is used before it is computed; ",
    ),
    "parts of one another": (_joined_twice, "CONCATENATION .*: input 't0' is used before it is computed; "),
    "declared by nobody": (_without_declaration, "READ_VARIABLE uses a variable that nothing declares; "),
    "floats": (_of_floats, "starts with float32 values; quantize the model again, to int8"),
    "too few values": (_too_few, "has 12 values, its variable 9; "),
    "activation": (_activated, "CONCATENATION 't3': with a fused activation is not supported; "),
    "axis": (lambda g: _options(g, "CONCATENATION", Axis=4), r"axis 4 of \(1, 6, 1, 3\) is not supported; "),
    "wrong axis": (lambda g: _options(g, "CONCATENATION", Axis=3), r"of \(1, 4, 1, 3\) to \(1, 6, 1, 3\) is not"),
    "ellipsis": (lambda g: _options(g, "STRIDED_SLICE", EllipsisMask=1), "slice forwards, at least one element, "),
    "nothing": (_ends((1, 2, 1, 3)), r"from \[0, 2, 0, 0\] to \[1, 2, 1, 3\] by \[1, 1, 1, 1\] is not supported; "),
    "another shape": (_ends((1, 5, 1, 3)), r"makes \(1, 4, 1, 3\) of \(1, 6, 1, 3\), it should be \(1, 3, 1, 3\); "),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name):
    change, said = REFUSED[name]
    with pytest.raises(WhitError, match=said) as caught:
        pack(write_tflite(change(window())), "m")
    assert str(caught.value).count("\n") == 0 and re.match("m: |window: ", str(caught.value))


@pytest.mark.parametrize("part", [0, 2, -1])
def test_subgraphs_for_something_else_are_refused(part, monkeypatch):
    declared = write_tflite_module._declared(window())
    once = Operator("CALL_ONCE", (), (), {"InitSubgraphIndex": part})
    monkeypatch.setattr(write_tflite_module, "_declared", lambda graph: [once, *declared[1:]])
    with pytest.raises(WhitError, match="2 subgraphs are not supported"):
        read(write_tflite(window()), "m")


def _computed(part):
    return replace(part, operators=[replace(op, kind="RELU") if op.inputs else op for op in part.operators])


def _not_constant(part):
    return replace(part, tensors=[replace(t, data=None) for t in part.tensors])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_computed, "RELU where the variables get their first values is not supported; "),
        (_not_constant, "'0', a variable's first value, is not constant; "),
    ],
)
def test_first_values_are_constants(change, said, monkeypatch):
    part = change(write_tflite_module._first_values(window()))
    monkeypatch.setattr(write_tflite_module, "_first_values", lambda graph: part)
    with pytest.raises(WhitError, match=said):
        read(write_tflite(window()), "m")
