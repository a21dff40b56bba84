"""Variables: what a model keeps from one run to the next, in a buffer that lasts."""

from __future__ import annotations

from functools import partial

import numpy as np

from ..graph import Operator, Tensor
from ..program import Place, State
from .lowering import Lowering, operator
from .movement import copy_box


@operator("READ_VARIABLE")
def _read(low: Lowering, op: Operator) -> None:
    y = low.output(0)
    if not op.inputs:
        raise low.error("names no variable", "export the model again")
    place = _state(low, op.inputs[0], y)
    if op.inputs[0] in low.placing.homes:
        low.rename(op.outputs[0], place)  # a concatenation reads it where it is, before the next value comes there
    else:
        _move(low, y.size, place, low.allocate(op.outputs[0]))


@operator("ASSIGN_VARIABLE", outputs=0)
def _assign(low: Lowering, op: Operator) -> None:
    x, source = low.activation(1)
    move = partial(_move, low, x.size, source, _state(low, op.inputs[0], x))
    if op.inputs[0] in low.placing.homes:
        low.moves.append((op, move))
    else:
        move()


def _state(low: Lowering, variable: int, like: Tensor) -> Place:
    """Where a variable lies that is read to or assigned from a tensor like this."""
    if variable not in low.states:
        found = [v for v in low.graph.variables if v.tensor == variable]
        if not found:
            raise low.error("has no variable", "export the model again")
        initial = found[0].initial
        if initial is None:  # as TensorFlow Lite Micro has it
            initial = np.full(like.size, like.zero_point, np.int8)
        if initial.dtype != np.int8:
            raise low.error(f"starts with {initial.dtype} values", "quantize the model again, to int8")
        home = low.placing.homes.get(variable)
        place = low.new_buffer(initial.size) if home is None else low.reserve(home)
        low.states[variable] = State(place.buffer, initial.tobytes())
    size = len(low.states[variable].initial)
    if size != like.size:
        raise low.error(f"'{like.title}' has {like.size} values, its variable {size}", "export the model again")
    return Place(low.states[variable].buffer)


def _move(low: Lowering, size: int, source: Place, target: Place) -> None:
    """Of overlapping places the target lies before the source: `copy` begins at the front."""
    copy_box(low, (size,), (1,), (1,), source, target)


def finish(low: Lowering) -> None:
    """What comes behind the last operator: outputs that share memory with what is kept get their own, and the last
    frames move to the front."""
    kept = {state.buffer for state in low.states.values()}
    for index in low.graph.outputs:
        held = low.edge.get(index, index)
        place = low.place_of.get(held)
        if place is not None and place.buffer in kept:
            low.op = next((op for op in low.graph.operators if held in op.outputs), None)
            low.place_of[held] = low.new_buffer(low.tensor(held).size)
            _move(low, low.tensor(held).size, place, low.place_of[held])
    for op, move in low.moves:
        low.op = op
        move()
