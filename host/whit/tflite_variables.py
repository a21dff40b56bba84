"""The variables of a TFLite model: handles, and the subgraph that gives them their first values.

In a model with state, VAR_HANDLE makes a tensor that names a variable, READ_VARIABLE and ASSIGN_VARIABLE use it, and
CALL_ONCE runs another subgraph before the first run, whose handles of the same names get constants. What is left of
all this in a Graph is one tensor for each variable, and its first value.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import tflite

from .errors import WhitError
from .graph import Operator, Tensor, Variable
from .tflite_schema import RESOURCE

Part = tuple[Sequence[Tensor], Sequence[Operator]]  # a subgraph
_REMEDY = "export the model with variables that are set to constants"


def read_variables(model: tflite.Model, parts: Sequence[Part], name: str) -> tuple[list[Operator], list[Variable]]:
    """The operators of the first of `parts` without VAR_HANDLE and CALL_ONCE, and its variables.

    Raises:
        WhitError: a subgraph that is not called once at the start, or that does something else than to set variables.
    """
    tensors, operators = parts[0]
    called = [int(op.options["InitSubgraphIndex"]) for op in operators if op.kind == "CALL_ONCE"]
    others = sorted(set(range(1, len(parts))) - set(called))
    if others or any(not 0 < i < len(parts) for i in called):
        raise WhitError(
            f"{name}: {len(parts)} subgraphs are not supported (1, and those that set variables at the start); "
            "export the model without control flow"
        )
    handles = _handles(model, 0, operators)
    first = {title: index for index, title in reversed(handles.items())}  # of several handles of a name
    initial: dict[int, np.ndarray] = {}
    for i in called:
        for title, values in _assigned(model, i, parts[i], name).items():
            if title in first:
                initial[first[title]] = values
    left = []
    for op in operators:
        if op.kind in ("CALL_ONCE", "VAR_HANDLE"):
            continue
        inputs = tuple(first[handles[i]] if i in handles else i for i in op.inputs)
        if any(i >= 0 and tensors[i].dtype == RESOURCE and i not in handles for i in op.inputs):
            raise WhitError(f"{name}: {op.kind} uses a variable that nothing declares; {_REMEDY}")
        left.append(replace(op, inputs=inputs))
    return left, [Variable(index, initial.get(index)) for index in sorted(first.values())]


def _handles(model: tflite.Model, part: int, operators: Sequence[Operator]) -> dict[int, tuple[bytes, bytes]]:
    """The tensors that name variables -> container and shared name."""
    found = {}
    for i, op in enumerate(operators):
        if op.kind == "VAR_HANDLE":
            options, raw = tflite.VarHandleOptions(), model.Subgraphs(part).Operators(i).BuiltinOptions()
            options.Init(raw.Bytes, raw.Pos)
            found[op.outputs[0]] = options.Container() or b"", options.SharedName() or b""
    return found


def _assigned(model: tflite.Model, index: int, part: Part, name: str) -> dict[tuple[bytes, bytes], np.ndarray]:
    """What a subgraph that is called once sets, by container and shared name."""
    tensors, operators = part
    handles = _handles(model, index, operators)
    found = {}
    for op in operators:
        if op.kind == "VAR_HANDLE":
            continue
        handle, source = (*op.inputs, -1, -1)[:2]
        if op.kind != "ASSIGN_VARIABLE" or handle not in handles or source < 0:
            raise WhitError(f"{name}: {op.kind} where the variables get their first values is not supported; {_REMEDY}")
        values = tensors[source].data
        if values is None:
            raise WhitError(f"{name}: '{tensors[source].title}', a variable's first value, is not constant; {_REMEDY}")
        found[handles[handle]] = values
    return found
