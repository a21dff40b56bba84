"""pack: the whole way from the bytes of a model's file to a .whit file's bytes."""

from __future__ import annotations

from dataclasses import dataclass

from .errors import WhitError
from .graph import Graph
from .listening import Listening, with_sections
from .lower import lower
from .order import order
from .page import page
from .plan import Plan, plan
from .program import Program
from .read import read
from .write import write


@dataclass(frozen=True)
class Packed:
    """A packed model and the stages it came from."""

    blob: bytes
    graph: Graph
    program: Program
    plan: Plan


def pack(
    data: bytes,
    name: str = "model",
    labels: tuple[str, ...] = (),
    page_bytes: int = 0,
    listening: Listening | None = None,
) -> Packed:
    """Pack an int8 model: TFLite, or ONNX in the QDQ format.

    Args:
        data: the .tflite or .onnx file.
        name: what messages call it.
        labels: class names, one per output element; those in the model's metadata when empty.
        page_bytes: cut the layers so that a board can read the weights in pages of so many bytes; 0 for whole layers.
        listening: what the JSON of a wake word asks for, from listening.read_manifest().

    Raises:
        WhitError: the file is not a model whit can run; the text says why and what to do.
    """
    return pack_graph(read(data, name), labels, page_bytes, listening)


def pack_graph(
    graph: Graph, labels: tuple[str, ...] = (), page_bytes: int = 0, listening: Listening | None = None
) -> Packed:
    """The same for a graph that was read or quantized before."""
    program = lower(graph)
    if listening:
        program = with_sections(program, listening, labels)
    elif labels:
        counts = [port.shape[-1] if port.shape else 1 for port in program.outputs]
        if len(labels) not in counts:
            raise WhitError(
                f"{graph.name}: {len(labels)} labels for outputs of {counts} values; give one name per value"
            )
        program = program.with_labels(labels)
    program = page(order(program), page_bytes)
    planned = plan(program)
    return Packed(write(program, planned), graph, program, planned)
