"""Write the figures of the cards, and of their index, between the marks that they have for them.

    python models/cards.py

Nothing is trained: accuracies are those of the files, float as whit.execute computes it and int8 by the tflite-micro
interpreter, over the test split.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from whit import oracle
from whit.execute import execute
from whit.fold import WEIGHTED
from whit.graph import Graph, Tensor
from whit.models import FOLDER, NAMES, load, quantized, vectors
from whit.pack import Packed, pack

_MARKED = re.compile(r"(?<=<!-- figures -->\n).*?(?=<!-- end -->)", re.S)


@dataclass(frozen=True)
class Example:
    """A model, what it answers to its test split, and what it takes."""

    name: str
    graph: Graph  # int8
    packed: Packed
    inputs: np.ndarray  # of the test split, real values
    labels: np.ndarray  # the classes of the test split, and what each form of the model says of them:
    answers: dict[str, np.ndarray]  # "float", "int8" -> probabilities [n, classes]

    @property
    def macs(self) -> int:
        return sum(step.macs for step in self.packed.program.steps)

    def file_bytes(self, form: str) -> int:
        return (FOLDER / self.name / f"{self.name}_{form}.tflite").stat().st_size


def read(name: str) -> Example:
    test, graph = vectors(name), load(FOLDER / name, "int8")
    data = (FOLDER / name / f"{name}_int8.tflite").read_bytes()
    ints = oracle.run(data, [quantized(graph, test["inputs"])], name, 1)[0]
    port = graph.tensors[graph.outputs[0]]
    answers = {
        "float": execute(load(FOLDER / name, "float"), [test["inputs"]])[0],
        "int8": (ints.astype(np.float32) - port.zero_point) * np.float32(port.scale),
    }
    answers = {form: x.reshape(len(test["labels"]), -1) for form, x in answers.items()}
    return Example(name, graph, pack(data, name), test["inputs"], test["labels"], answers)


def hits(answers: np.ndarray, labels: np.ndarray) -> str:
    return share(int(np.sum(answers.argmax(1) == labels)), len(labels))


def share(count: int, total: int) -> str:
    return f"{count} of {total}, {percent(count / total)}"


def percent(part: float) -> str:
    return f"{100 * part:.1f} %"


def series(answers: np.ndarray, labels: np.ndarray) -> str:
    """Motions by whole series: the mean of the probabilities of its four windows."""
    return hits(answers.reshape(-1, 4, answers.shape[1]).mean(1), labels[::4])


def beats(answers: np.ndarray, labels: np.ndarray) -> str:
    """Beats rather than windows: windows in a row that say "beat" are one, found if it is at most 0.1 s off."""
    told, true = np.flatnonzero(answers.argmax(1)), np.flatnonzero(labels)
    found = sum(bool(np.any(np.abs(told - t) <= 1)) for t in true)
    runs = [run for run in np.split(told, np.flatnonzero(np.diff(told) > 1) + 1) if len(run)]
    wrong = sum(not np.any((true >= run[0] - 1) & (true <= run[-1] + 1)) for run in runs)
    return f"{found} of {len(true)} found, {wrong} where there is none"


# What else is said of a model's answers than how many are right.
MORE: dict[str, tuple[str, Callable[[np.ndarray, np.ndarray], str]]] = {
    "motions": ("series right", series),
    "beats": ("beats", beats),
}


def figures(example: Example) -> str:
    """The tables of a card."""
    return f"{_facts(example)}\n{_confusions(example)}\n{_layers(example)}"


def _facts(example: Example) -> str:
    x, y = (example.graph.tensors[i] for i in (example.graph.inputs[0], example.graph.outputs[0]))
    rows = {
        "input": f"{_port(x)}; the samples of the test split are {_range(example.inputs)}",
        "output": f"{_port(y)}; a probability for each label",
        "labels": ", ".join(example.graph.labels),
    }
    for form, by in (("float", "whit.execute"), ("int8", "tflite-micro")):
        rows[f"{form} accuracy"] = f"{hits(example.answers[form], example.labels)} ({by})"
    if example.name in MORE:
        title, count = MORE[example.name]
        rows |= {f"{title}, {form}": count(answers, example.labels) for form, answers in example.answers.items()}
    rows["parameters"] = f"{sum(parameters(example.graph).values()):,}"
    rows["multiply-accumulates"] = f"{example.macs:,}"
    rows |= {f"`{example.name}_{form}.tflite`": f"{example.file_bytes(form):,} bytes" for form in ("float", "int8")}
    rows[f"`{example.name}_int8.whit`"] = (
        f"{len(example.packed.blob):,} bytes; an arena of {example.packed.plan.arena_bytes:,}"
    )
    return "| | |\n|---|---|\n" + "".join(f"| {title} | {text} |\n" for title, text in rows.items())


def _port(tensor: Tensor) -> str:
    shape = ",".join(map(str, tensor.shape))
    return f"`[{shape}]` int8, scale {tensor.scale:.7g}, zero point {tensor.zero_point}"


def _range(x: np.ndarray) -> str:
    return f"{float(x.min()):.3g} to {float(x.max()):.3g}"


def _confusions(example: Example) -> str:
    names, told = example.graph.labels, example.answers["int8"].argmax(1)
    lines = [f"| int8 says | {' | '.join(names)} |", f"|---|{'--:|' * len(names)}"]
    for k, name in enumerate(names):
        counts = np.bincount(told[example.labels == k], minlength=len(names))
        lines.append(f"| of {name} | {' | '.join(str(n) if n else '' for n in counts)} |")
    return "\n".join(lines) + "\n"


def parameters(graph: Graph) -> dict[int, int]:
    """Weights and biases of each operator that has any, by its number."""
    return {
        n: sum(graph.tensors[i].size for i in op.inputs[1:])
        for n, op in enumerate(graph.operators)
        if op.kind in WEIGHTED
    }


def _layers(example: Example) -> str:
    graph, text = example.graph, "| operator | kernel | output | parameters | MACs |\n|---|---|---|--:|--:|\n"
    count = parameters(graph)
    for n, op in enumerate(graph.operators):
        output = graph.tensors[op.outputs[0]]
        kernel = macs = ""
        if n in count:
            weights = graph.tensors[op.inputs[1]]
            kernel = "x".join(map(str, weights.shape[1:3])) if op.kind != "FULLY_CONNECTED" else ""
            macs = f"{output.size * weights.size // weights.shape[WEIGHTED[op.kind]]:,}"
        elif "FilterHeight" in op.options:
            kernel = f"{op.options['FilterHeight']}x{op.options['FilterWidth']}"
        shape = "x".join(map(str, output.shape[1:]))
        text += f"| {op.kind} | {kernel} | {shape} | {f'{count[n]:,}' if n in count else ''} | {macs} |\n"
    return text


def index(examples: list[Example]) -> str:
    """The table of models/README.md."""
    text = (
        "| model | classes | test samples | float | int8 | MACs | .whit | arena |\n|---|--:|--:|--:|--:|--:|--:|--:|\n"
    )
    for e in examples:
        right = [percent(np.mean(e.answers[form].argmax(1) == e.labels)) for form in ("float", "int8")]
        cells = [f"[{e.name}]({e.name}/README.md)", str(len(e.graph.labels)), str(len(e.labels)), *right]
        cells += [f"{e.macs:,}", f"{len(e.packed.blob):,}", f"{e.packed.plan.arena_bytes:,}"]
        text += f"| {' | '.join(cells)} |\n"
    return text


def cards() -> dict[Path, str]:
    """Each card as it is with the figures of the files."""
    examples = [read(name) for name in NAMES]
    texts = {FOLDER / e.name / "README.md": figures(e) for e in examples} | {FOLDER / "README.md": index(examples)}
    return {path: _MARKED.sub(lambda _, text=text: text, path.read_text()) for path, text in texts.items()}


if __name__ == "__main__":
    for path, text in cards().items():
        path.write_text(text)
        print(path)
