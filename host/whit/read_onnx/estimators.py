"""Estimators of scikit-learn as skl2onnx exports them: linear models, and what stands behind a classifier's scores."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .model import Constant, Model, Node

_HIDDEN = ("ZipMap", "Cast", "Identity", "Reshape", "ArrayFeatureExtractor", "LabelEncoder", "Squeeze", "Unsqueeze",
           "Gather", "Flatten")  # fmt: skip
_PICKS = ("ArgMax", "TopK")
_LABEL_ATTRIBUTES = ("classlabels_strings", "classlabels_int64s", "classlabels_ints", "values_strings", "values_int64s")


_POST = {"NONE": "Identity", "SOFTMAX": "Softmax", "LOGISTIC": "Sigmoid"}


def estimators(model: Model) -> Model:
    """The same model with linear models as dense layers, two classes as two scores, and scores instead of winners."""
    return _two_classes(_scores(_linear(model)))


def _linear(model: Model) -> Model:
    """LinearRegressor and LinearClassifier as Gemm, the function behind it, and for the label ArgMax."""
    constants, nodes = dict(model.constants), []
    softmax: set[str] = set()
    for node in model.nodes:
        function = _POST.get(node.attributes.get("post_transform", "NONE"))
        if node.kind == "Normalizer" and node.inputs[0] in softmax and node.attributes.get("norm") == "L1":
            node = replace(node, kind="Identity", attributes={})  # of what has the sum 1 already
        if node.kind not in ("LinearRegressor", "LinearClassifier") or function is None:
            nodes.append(node)
            continue
        scores = node.outputs[-1]
        bias = np.array(node.attributes.get("intercepts", [0.0]), np.float32)
        weights = np.array(node.attributes["coefficients"], np.float32).reshape(len(bias), -1)
        names = [f"{scores}/{what}" for what in ("weights", "bias", "sum")]
        constants |= {names[0]: Constant(weights), names[1]: Constant(bias)}
        inputs = (node.inputs[0], names[0], names[1])
        nodes.append(Node("Gemm", node.title, inputs, (names[2],), {"transB": 1}))
        nodes.append(Node(function, node.title, (names[2],), (scores,), {}))
        if function == "Softmax":
            softmax.add(scores)
        if len(node.outputs) > 1:
            nodes.append(Node("ArgMax", node.title, (scores,), node.outputs[:1], node.attributes))
    return replace(model, nodes=tuple(nodes), constants=constants)


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


def _two_classes(model: Model) -> Model:
    """(1 - p, p) of p = sigmoid(z), as classifiers of two classes have it: the sigmoid of (-z, z)."""
    producer = {o: node for node in model.nodes for o in node.outputs}
    nodes, constants = [], dict(model.constants)
    for node in model.nodes:
        if node.kind == "Concat" and len(node.inputs) == 2 and node.attributes.get("axis") in (1, -1):
            other, p = (producer.get(i) for i in node.inputs)
            inverted = other is not None and other.kind == "Sub" and other.inputs[1] == node.inputs[1]
            if other and p and inverted and p.kind == "Sigmoid" and scalar(model, other.inputs[0]) == 1:
                both, weights = node.outputs[0] + "/both", node.outputs[0] + "/signs"
                constants[weights] = Constant(np.array([[-1, 1]], np.float32))
                nodes.append(Node("MatMul", node.title, (p.inputs[0], weights), (both,), {}))
                node = Node("Sigmoid", node.title, (both,), node.outputs, {})
        nodes.append(node)
    return replace(model, nodes=tuple(nodes), constants=constants)


def scalar(model: Model, name: str) -> float | None:
    """The value of a constant of one element."""
    found: Constant | None = model.constants.get(name)
    return float(found.real.reshape(())) if found is not None and found.data.size == 1 else None
