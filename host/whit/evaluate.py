"""evaluate: what models do on labelled samples, beside the float model that they were made of."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from . import reference
from .bench import bench
from .device import opset
from .emulate import INSTALL, Core
from .errors import WhitError
from .execute import execute
from .fold import fold, is_float
from .graph import Graph
from .inspect import describe
from .pack import pack_graph
from .program import Port, Program
from .quantize.quantize import decibels
from .read import read
from .samples import arrange
from .simulate import HEAP_BYTES, simulate
from .targets import Classes, Values, targets

Progress = Callable[[str, int, int], None]
_BATCH = 32  # samples that a float model computes at once


@dataclass(frozen=True)
class File:
    """A file as it was read, under the name that messages and reports give it."""

    name: str
    data: bytes = field(repr=False)

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()


@dataclass(frozen=True)
class Score:
    """What one model did. Sizes that only a .whit file has are None for a float model.

    kind: "float32" or "int8", or "int8, int4" where some weights have 4 bits.
    ran_in: "numpy" for a float model, else "MicroPython" or, where its unix port is missing, "numpy" as well.
    weights_bytes: of a float model, all its constants as float32.
    right: samples whose class was found; rmse: where the labels are values. The other is None.
    agreement: the part of the samples for which it gives the same class as the float model.
    decibels: of its outputs against the float model's, signal to difference; None where that is no number, as where
        nothing differs.
    confusion: samples by their class (row) and the answer (column).
    instructions: that an inference executes, by the name of the core.
    """

    name: str
    sha256: str
    kind: str
    ran_in: str
    file_bytes: int
    blob_bytes: int | None
    weights_bytes: int
    arena_bytes: int | None
    samples: int
    right: int | None
    rmse: float | None
    agreement: float | None
    decibels: float | None
    confusion: tuple[tuple[int, ...], ...]
    instructions: dict[str, int] = field(default_factory=dict)
    blob: bytes = field(default=b"", repr=False)

    @property
    def accuracy(self) -> float | None:
        """The part of the samples whose class was found."""
        return None if self.right is None else self.right / self.samples

    def recall(self, i: int) -> float | None:
        """Of the samples of class i, the part that was found; None where there are none."""
        total = sum(self.confusion[i])
        return self.confusion[i][i] / total if total else None

    def precision(self, i: int) -> float | None:
        """Of the samples taken for class i, the part that is of it; None where there are none."""
        total = sum(row[i] for row in self.confusion)
        return self.confusion[i][i] / total if total else None

    def to_json(self) -> dict[str, Any]:
        """In types that json can write."""
        about = {key: value for key, value in asdict(self).items() if key != "blob"}
        classes = range(len(self.confusion))
        return about | {
            "accuracy": self.accuracy,
            "recall": [self.recall(i) for i in classes],
            "precision": [self.precision(i) for i in classes],
        }


@dataclass(frozen=True)
class Evaluation:
    """Models on the same samples; the float model is the first of the scores. No classes where labels are values.

    cores: for which some instructions were counted.
    missing: a sentence for each reason why some were not.
    """

    classes: tuple[str, ...]
    samples: int
    sample_shape: tuple[int, ...]
    scores: tuple[Score, ...]
    cores: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """In types that json can write."""
        return asdict(replace(self, scores=())) | {"scores": [score.to_json() for score in self.scores]}


def evaluate(
    models: Sequence[File],
    float_model: File,
    samples: np.ndarray,
    labels: np.ndarray,
    names: tuple[str, ...] = (),
    what: str = "the labels",
    progress: Progress = lambda name, done, total: None,
) -> Evaluation:
    """Run models on samples and hold what they answer against labels and against the float model.

    Args:
        models: float or int8 .tflite files, or .whit files, of one input and one output each.
        float_model: what they were made of.
        samples: real values, (samples, *shape), as the float model takes them.
        labels: as targets() takes them.
        names: of the classes; those in a model when empty, else their numbers.
        what: what messages call the labels.
        progress: called with (model, samples done, samples).

    Raises:
        WhitError: a model that is broken, not supported or of another task, or data that does not fit it.
    """
    base = _open(float_model)
    if not isinstance(base, _Float):
        raise WhitError(
            f"{base.name}: is quantized, but stands where the float model belongs; give the one that it was made of "
            "as the last model"
        )
    others = [_open(file) for file in models]
    _check_shapes(base, others)
    inputs = arrange(base.graph, [samples])[0]
    known = (model.labels for model in (base, *others) if len(model.labels) == max(base.outputs, 2))
    target = targets(base.graph, labels, len(inputs), names or next(known, ()), what)
    truth = _run(base, inputs, progress)
    scores = [_score(base, truth, truth, target)]
    scores += [_score(model, _run(model, inputs, progress), truth, target) for model in others]
    classes = target.names if isinstance(target, Classes) else ()
    return Evaluation(classes, len(inputs), inputs.shape[1:], tuple(scores))


def count(found: Evaluation, cores: Sequence[Core], progress: Progress = lambda name, done, total: None) -> Evaluation:
    """The same with the instructions of what runs on boards, counted on emulated cores with the native kernels."""
    missing = sorted({core.emulator[0] for core in cores if not core.emulated})
    blobs = {s.blob: s.name for s in reversed(found.scores) if s.blob}
    jobs = [(core, blob, name) for blob, name in blobs.items() for core in cores if core.emulated]
    counted: dict[bytes, dict[str, int]] = {blob: {} for blob in blobs}
    why = []
    for done, (core, blob, name) in enumerate(jobs):
        progress(core.title, done, len(jobs))
        try:
            counted[blob][core.name] = bench(blob, name, core).instructions
        except WhitError as e:
            why.append(str(e))
    if missing:
        why.append(f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not installed; {INSTALL}")
    return replace(
        found,
        scores=tuple(replace(s, instructions=counted.get(s.blob, {})) for s in found.scores),
        cores=tuple(core.name for core in cores if any(core.name in of for of in counted.values())),
        missing=tuple(dict.fromkeys(why)),
    )


@dataclass(frozen=True)
class _Model:
    """A model that can be run. Its input has the 1 that a model calls its batch, if it has one."""

    file: File
    input_shape: tuple[int, ...]
    outputs: int  # values
    labels: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.file.name


@dataclass(frozen=True)
class _Float(_Model):
    graph: Graph


@dataclass(frozen=True)
class _Int8(_Model):
    blob: bytes
    program: Program | None  # None for a .whit file


def _open(file: File) -> _Float | _Int8:
    if PurePath(file.name).suffix.lower() == ".whit":
        about = describe(file.data, file.name)
        _check_single(file.name, about["inputs"], about["outputs"])
        shape, outputs = about["inputs"][0]["shape"], about["outputs"][0]["shape"]
        labels = tuple(about["labels"])
        return _Int8(file, tuple(shape), int(np.prod(outputs, dtype=int)), labels, file.data, None)
    graph = read(file.data, file.name)
    _check_single(file.name, graph.inputs, graph.outputs)
    shape, outputs = graph.tensors[graph.inputs[0]].shape, graph.tensors[graph.outputs[0]].size
    if is_float(graph):
        return _Float(file, shape, outputs, graph.labels, fold(graph))
    packed = pack_graph(graph)
    return _Int8(file, shape, outputs, graph.labels, packed.blob, packed.program)


def _check_single(name: str, inputs: Sequence[object], outputs: Sequence[object]) -> None:
    if len(inputs) != 1 or len(outputs) != 1:
        raise WhitError(
            f"{name}: {len(inputs)} inputs and {len(outputs)} outputs cannot be evaluated (1 of each only); "
            "run your samples through it with: whit run"
        )


def _check_shapes(base: _Float, models: Sequence[_Model]) -> None:
    for model in models:
        if model.outputs != base.outputs:
            raise WhitError(
                f"{model.name}: gives {model.outputs} values, the float model {base.name} {base.outputs}; "
                "give models of the same task"
            )
        ours, its = ([d for d in m.input_shape if d != 1] for m in (base, model))
        flat = len(ours) < 2 or len(its) < 2
        if ours != its and not (flat and np.prod(ours) == np.prod(its)):
            raise WhitError(
                f"{model.name}: takes {model.input_shape}, the float model {base.name} {base.input_shape}; "
                "give models of the same task"
            )


def _run(model: _Float | _Int8, inputs: np.ndarray, progress: Progress) -> np.ndarray:
    """Real outputs, float32 (samples, values), of real inputs (samples, *shape)."""
    inputs = inputs.reshape(len(inputs), *model.input_shape)
    advance = partial(progress, model.name)
    if isinstance(model, _Float):
        outputs = _run_float(model.graph, inputs, advance)
    elif _in_micropython(model):
        heap_bytes = max(HEAP_BYTES, 4 * len(model.blob))
        (outputs,) = simulate(Path(model.name), model.blob, [inputs], None, heap_bytes, advance)
    else:
        assert model.program is not None
        outputs = _run_program(model.program, inputs, advance)
    outputs = outputs.reshape(len(inputs), -1)
    broken = np.flatnonzero(~np.isfinite(outputs).all(1))
    if len(broken):
        raise WhitError(f"{model.name}: gives NaN or infinite values for sample {broken[0]}; check its weights")
    return outputs


def _in_micropython(model: _Int8) -> bool:
    """Whether it runs there: a .whit file only does, another model wherever the unix port is installed."""
    return model.program is None or importlib.util.find_spec("micropython_unix") is not None


def _run_float(graph: Graph, inputs: np.ndarray, advance: Callable[[int, int], None]) -> np.ndarray:
    graph = replace(graph, input_axes=())  # the samples are in the graph's axes
    parts = []
    for at in range(0, len(inputs), _BATCH):
        advance(at, len(inputs))
        with np.errstate(all="ignore"):  # what is no number at the end is refused there
            parts += execute(graph, [inputs[at : at + _BATCH]], _BATCH)
    return np.concatenate(parts)


def _run_program(program: Program, inputs: np.ndarray, advance: Callable[[int, int], None]) -> np.ndarray:
    """As Model.predict() does on a board."""
    source, target = program.inputs[0], program.outputs[0]
    outputs = []
    for i, x in enumerate(quantized(inputs, source)):
        advance(i, len(inputs))
        outputs.append(reference.run(program, [x])[0])
    return np.float32(target.scale or 1) * (np.array(outputs, np.int32) - target.zero_point).astype(np.float32)


def quantized(values: np.ndarray, port: Port) -> np.ndarray:
    """Real values as the bytes of an input: rounded to nearest, ties away from zero, as the board does it."""
    q = (values.astype(np.float32) / np.float32(port.scale)).astype(np.float64)
    q = np.trunc(q) + np.trunc(2 * (q - np.trunc(q))) + port.zero_point
    limits = np.iinfo(port.dtype)
    return np.clip(q, limits.min, limits.max).astype(port.dtype)


def _score(model: _Float | _Int8, outputs: np.ndarray, truth: np.ndarray, target: Classes | Values) -> Score:
    right = rmse = agreement = None
    confusion: tuple[tuple[int, ...], ...] = ()
    if isinstance(target, Classes):
        answers = target.answers(outputs)
        table = target.confusion(answers)
        right, agreement = int(table.trace()), float((answers == target.answers(truth)).mean())
        confusion = tuple(tuple(row) for row in table.tolist())
    else:
        rmse = target.rmse(outputs)
    ratio = decibels(truth, outputs)
    score = Score(
        name=model.name,
        sha256=model.file.sha256,
        kind="float32",
        ran_in="numpy",
        file_bytes=len(model.file.data),
        blob_bytes=None,
        weights_bytes=0,
        arena_bytes=None,
        samples=len(outputs),
        right=right,
        rmse=rmse,
        agreement=agreement,
        decibels=ratio if np.isfinite(ratio) else None,
        confusion=confusion,
    )
    if isinstance(model, _Float):
        constants = [t.data for t in model.graph.tensors if t.data is not None and t.data.dtype == np.float32]
        return replace(score, weights_bytes=sum(data.nbytes for data in constants))
    about = describe(model.blob, model.name)
    return replace(
        score,
        kind="int8, int4" if any(step["fields"]["flags"] & opset.INT4 for step in about["steps"]) else "int8",
        ran_in="MicroPython" if _in_micropython(model) else "numpy",
        blob_bytes=len(model.blob),
        weights_bytes=about["weights_bytes"],
        arena_bytes=about["arena_bytes"],
        blob=model.blob,
    )
