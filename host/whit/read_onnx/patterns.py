"""What several nodes say together: Hardswish spelled out."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np

from .estimators import estimators, scalar
from .model import Model, Node


def simplify(model: Model) -> Model:
    """The same model without what only names the winner, with Hardswish as one node, and nothing that is not used."""
    return _used(_hard_swish(estimators(model)))


def _used(model: Model) -> Model:
    wanted = {name for name, _ in model.outputs}
    kept: list[Node] = []
    for node in reversed(model.nodes):
        if wanted.intersection(node.outputs):
            wanted.update(node.inputs)
            kept.append(node)
    return replace(model, nodes=tuple(reversed(kept)))


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
    return replace(model, nodes=tuple(nodes))


def _scaled(model: Model, node: Node) -> tuple[str, float] | None:
    """(name, factor) of a node that only multiplies or divides by a scalar."""
    if node.kind == "Mul":
        for a, b in (node.inputs, node.inputs[::-1]):
            factor = scalar(model, b)
            if factor is not None:
                return a, factor
    if node.kind == "Div":
        divisor = scalar(model, node.inputs[1])
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
                if scalar(model, three) == 3:
                    return x, 6.0
    return None


def _bounds(model: Model, node: Node) -> tuple[float | None, float | None]:
    given = [*node.inputs[1:], "", ""]
    low, high = (node.attributes.get(k, scalar(model, given[i])) for i, k in enumerate(("min", "max")))
    return low, high
