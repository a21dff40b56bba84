"""What several nodes say together: Hardswish spelled out, and what stands behind a classifier's scores."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np

from .model import Constant, Model, Node

_HIDDEN = ("ZipMap", "Cast", "Identity", "Reshape", "ArrayFeatureExtractor", "LabelEncoder", "Squeeze", "Unsqueeze",
           "Gather", "Flatten")  # fmt: skip
_PICKS = ("ArgMax", "TopK")
_LABEL_ATTRIBUTES = ("classlabels_strings", "classlabels_int64s", "values_strings", "values_int64s")


def simplify(model: Model) -> Model:
    """The same model without what only names the winner, with Hardswish as one node, and nothing that is not used."""
    return _used(_hard_swish(_scores(model)))


def _used(model: Model) -> Model:
    wanted = {name for name, _ in model.outputs}
    kept: list[Node] = []
    for node in reversed(model.nodes):
        if wanted.intersection(node.outputs):
            wanted.update(node.inputs)
            kept.append(node)
    return replace(model, nodes=tuple(reversed(kept)))


# Classifiers


def _scores(model: Model) -> Model:
    """Outputs that name the winner give way to the scores it is taken from; class names become labels."""
    producer = {o: node for node in model.nodes for o in node.outputs}
    labels: tuple[str, ...] = ()
    outputs: list[tuple[str, str]] = []
    for name, dtype in model.outputs:
        at, picks = name, False
        names: tuple[str, ...] = ()
        while at in producer and producer[at].kind in (*_HIDDEN, *_PICKS):
            node = producer[at]
            names = names or _names(model, node)
            inner = next((i for i in node.inputs if i not in model.constants), None)
            if inner is None:
                break
            at, picks = inner, picks or node.kind in _PICKS or node.kind == "ZipMap"
            if node.kind in _PICKS:
                break
        if not picks:
            at = name
        else:
            labels = labels or names
        if at not in [n for n, _ in outputs]:
            outputs.append((at, "float32" if picks else dtype))
    return replace(model, outputs=tuple(outputs), labels=labels)


def _names(model: Model, node: Node) -> tuple[str, ...]:
    """The class names that a node turns indices into."""
    found = next((node.attributes[a] for a in _LABEL_ATTRIBUTES if node.attributes.get(a)), None)
    if found is None and node.kind in ("ArrayFeatureExtractor", "Gather") and node.inputs[0] in model.constants:
        found = model.constants[node.inputs[0]].data.reshape(-1)
    return () if found is None else tuple(v.decode() if isinstance(v, bytes) else str(v) for v in found)


# Hardswish: x * relu6(x + 3) / 6


def _hard_swish(model: Model) -> Model:
    producer = {o: node for node in model.nodes for o in node.outputs}
    readers = Counter(i for node in model.nodes for i in node.inputs) + Counter(name for name, _ in model.outputs)
    nodes = []
    for node in model.nodes:
        gated = _gated(model, producer, readers, node)
        if gated is not None:
            x, factor = gated
            if abs(factor - 1) < 1e-5:
                node = replace(node, kind="HardSwish", inputs=(x,), attributes={})
        nodes.append(node)
    return _used(replace(model, nodes=tuple(nodes)))


def _scalar(model: Model, name: str) -> float | None:
    found: Constant | None = model.constants.get(name)
    return float(found.real.reshape(())) if found is not None and found.data.size == 1 else None


def _scaled(model: Model, node: Node) -> tuple[str, float] | None:
    """(name, factor) of a node that only multiplies or divides by a scalar."""
    if node.kind == "Mul":
        for a, b in (node.inputs, node.inputs[::-1]):
            factor = _scalar(model, b)
            if factor is not None:
                return a, factor
    if node.kind == "Div":
        divisor = _scalar(model, node.inputs[1])
        if divisor:
            return node.inputs[0], 1 / divisor
    return None


def _gated(model: Model, producer: dict[str, Node], readers: Counter[str], node: Node) -> tuple[str, float] | None:
    """(x, factor) where the node computes factor * hardswish(x)."""
    scaled = _scaled(model, node)
    if scaled is not None:
        inner = producer.get(scaled[0])
        found = _gated(model, producer, readers, inner) if inner and readers[scaled[0]] == 1 else None
        return (found[0], found[1] * scaled[1]) if found else None
    if node.kind == "Mul":
        for x, gate in (node.inputs, node.inputs[::-1]):
            found = _gate(model, producer, readers, gate)
            if found is not None and found[0] == x:
                return found
    return None


def _gate(model: Model, producer: dict[str, Node], readers: Counter[str], name: str) -> tuple[str, float] | None:
    """(x, factor) where `name`, which nothing else reads, is factor * hardsigmoid(x)."""
    node = producer.get(name)
    if node is None or readers[name] != 1:
        return None
    scaled = _scaled(model, node)
    if scaled is not None:
        found = _gate(model, producer, readers, scaled[0])
        return (found[0], found[1] * scaled[1]) if found else None
    if node.kind == "HardSigmoid":
        alpha, beta = node.attributes.get("alpha", 0.2), node.attributes.get("beta", 0.5)
        return (node.inputs[0], 1.0) if np.allclose((alpha, beta), (1 / 6, 0.5)) else None
    if node.kind == "Clip" and _bounds(model, node) == (0, 6):
        plus = producer.get(node.inputs[0])
        if plus is not None and plus.kind == "Add" and readers[node.inputs[0]] == 1:
            for x, three in (plus.inputs, plus.inputs[::-1]):
                if _scalar(model, three) == 3:
                    return x, 6.0
    return None


def _bounds(model: Model, node: Node) -> tuple[float | None, float | None]:
    given = [*node.inputs[1:], "", ""]
    low, high = (node.attributes.get(k, _scalar(model, given[i])) for i, k in enumerate(("min", "max")))
    return low, high
