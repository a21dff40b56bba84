"""lower: an int8 Graph -> a Program of the board's kernels.

One function per TFLite operator, registered under its name. Elementwise functions become one `lookup`, shapes that
only rename bytes become nothing, and whatever a kernel would otherwise compute at run time from constants (folded
zero points, multipliers, tables) is computed here.
"""

from __future__ import annotations

from ..graph import Graph
from ..program import Program
from . import elementwise, movement, pooling, weighted  # noqa: F401  each registers its operators
from .lowering import OPERATORS, OUTPUTS, Lowering
from .variables import finish

__all__ = ["lower"]


def lower(graph: Graph) -> Program:
    """Lower an int8 graph.

    Raises:
        WhitError: an operator, a data type or a shape that no kernel covers; the text names it and says what to do.
    """
    low = Lowering(graph)
    inputs = tuple(low.input_port(i) for i in graph.inputs)
    for op in graph.operators:
        low.op = op
        if op.kind not in OPERATORS:
            raise low.error("is not a supported operator", "supported: " + ", ".join(sorted(OPERATORS)))
        if OUTPUTS[op.kind] not in (None, len(op.outputs)):
            raise low.error(f"has {len(op.outputs)} outputs", "export the model again")
        try:
            OPERATORS[op.kind](low, op)
        except OverflowError as e:
            raise low.error(str(e), "quantize the model again with calibration data of a realistic range") from None
    finish(low)
    outputs = tuple(low.output_port(i) for i in graph.outputs)
    states = tuple(low.states.values())
    return Program(graph.name, tuple(low.buffers), tuple(low.steps), inputs, outputs, graph.labels, states=states)
