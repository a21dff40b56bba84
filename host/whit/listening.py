"""listening: the JSON of a wake word -> the sections FRONTEND and DETECTION of its model's file.

The JSON is microWakeWord's manifest in version 2, as ESPHome and pymicro-wakeword read it, with more that may be said:

    {
      "type": "micro", "version": 2,
      "wake_word": "Hey Jarvis",
      "labels": ["silence", "unknown", "yes", "no"],    of a model with several outputs; default: those in the model
      "micro": {
        "feature_step_size": 10,                        ms from one frame to the next
        "probability_cutoff": 0.97,                     heard where the mean is above this
        "sliding_window_size": 5,                       runs that are averaged
        "refractory_ms": 1000,                          default: so long the same word is not heard again
        "classes": ["yes", "no"],                       the labels to listen for; default: all
        "frames_per_inference": 1                       default; of a model that gets all of its frames each time
      },
      "frontend": {"channels": 40, ...}                 what is not as pymicro-features has it: see Parameters
    }
"""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from . import files
from .device import format as blob
from .errors import WhitError, shortened
from .frontend import section
from .microfrontend import Parameters, tables
from .program import Port, Program

DETECTION_RECORD = "<HHIIHH"  # runs averaged, frames per run, classes, threshold, refractory ms, reserved (0)
_MOST_CLASSES = 32
_MOST_FRAMES = 65535
_SPECIES = "the JSON of a wake word"
_MICRO = (
    "feature_step_size",
    "probability_cutoff",
    "sliding_window_size",
    "refractory_ms",
    "classes",
    "frames_per_inference",
    "tensor_arena_size",  # of microWakeWord's, which say nothing here
    "minimum_esphome_version",
)


@dataclass(frozen=True)
class Listening:
    """What a manifest asks for. Made by read_manifest()."""

    name: str  # of the JSON, for messages
    wake_word: str
    labels: tuple[str, ...]  # () for those of the model
    classes: tuple[str, ...]  # () for all labels
    parameters: Parameters
    cutoff: float
    window: int
    refractory_ms: int
    frames_per_inference: int | None  # None for what fits the model


def is_manifest(data: bytes) -> bool:
    """Whether these are meant to be the JSON of a wake word, also a broken one; there is much other JSON."""
    try:
        root = json.loads(data)
    except (ValueError, RecursionError):
        return b'"wake_word"' in data
    return isinstance(root, dict) and ("wake_word" in root or isinstance(root.get("micro"), dict))


def beside(model: Path, given: Path | None = None) -> Listening | None:
    """What the JSON of the same name asks for; None where none is there, or another kind of JSON, and of a .whit file.

    Args:
        given: a manifest that was named in the place of that.

    Raises:
        WhitError: a manifest that cannot be used.
    """
    if given:
        return read_manifest(files.read(given), str(given))
    path = model.with_suffix(".json")
    if model.suffix.lower() == ".whit" or not path.is_file():
        return None
    data = files.read(path)
    return read_manifest(data, str(path)) if is_manifest(data) else None


def read_manifest(data: bytes, name: str) -> Listening:
    """What a manifest asks for.

    Raises:
        WhitError: no JSON, or values that are missing, of another type or out of range.
    """
    try:
        root = json.loads(data)
    except (ValueError, RecursionError) as e:
        raise WhitError(f"{name}: not JSON ({e}); give {_SPECIES}") from None
    if not isinstance(root, dict):
        raise WhitError(f"{name}: holds no JSON object; give {_SPECIES}")
    found = _Reader(name, root)
    if (version := found.value("version")) != 2 or isinstance(version, float):
        raise WhitError(f"{name}: version is {_shown(version)}, 2 is supported; give a manifest of that version")
    micro = _Reader(name, found.object("micro", required=True), "micro.")
    micro.known(_MICRO)
    parameters = _parameters(name, found.object("frontend"), micro.whole("feature_step_size", 1, 1000))
    cutoff = micro.value("probability_cutoff")
    if isinstance(cutoff, bool) or not isinstance(cutoff, int | float) or not 0 <= cutoff < 1:
        raise micro.wrong("probability_cutoff", "a number from 0 to below 1")
    frames = micro.whole("frames_per_inference", 1, _MOST_FRAMES, 0)
    return Listening(
        name,
        found.names("wake_word", one=True)[0],
        found.names("labels"),
        micro.names("classes"),
        parameters,
        float(cutoff),
        micro.whole("sliding_window_size", 1, 1000),
        micro.whole("refractory_ms", 0, 65535, 1000),
        frames or None,
    )


@dataclass(frozen=True)
class _Reader:
    """The values of an object, or a sentence about them."""

    name: str
    values: dict[str, Any]
    prefix: str = ""

    def wrong(self, key: str, supported: str) -> WhitError:
        return WhitError(
            f"{self.name}: {self.prefix}{key} is {_shown(self.values.get(key))}, {supported} is supported; correct it"
        )

    def known(self, keys: Sequence[str]) -> None:
        for key in self.values:
            if key not in keys:
                raise WhitError(
                    f"{self.name}: {self.prefix}{shortened(key.encode('unicode_escape').decode())} is unknown, "
                    f"{', '.join(keys)} are supported; correct it"
                )

    def value(self, key: str) -> Any:
        if key not in self.values:
            raise WhitError(f"{self.name}: {self.prefix}{key} is missing; give {_SPECIES}, with it")
        return self.values[key]

    def whole(self, key: str, low: int, high: int, default: int | None = None) -> int:
        if default is not None and key not in self.values:
            return default
        value = self.value(key)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise self.wrong(key, f"a whole number from {low} to {high}")
        return value

    def object(self, key: str, required: bool = False) -> dict[str, Any]:
        value = self.value(key) if required or key in self.values else {}
        if not isinstance(value, dict):
            raise self.wrong(key, "an object")
        return value

    def names(self, key: str, one: bool = False) -> tuple[str, ...]:
        """Words for people; `one` that must be there, or a list that may be absent."""
        value = [self.value(key)] if one else self.values.get(key, [])
        listed = isinstance(value, list) and (one or value or key not in self.values)
        if not listed or not all(isinstance(n, str) and n.strip() and n.isprintable() for n in value):
            raise self.wrong(key, "a name" if one else "a list of names")
        if len(set(value)) < len(value):
            raise self.wrong(key, "a list of different names")
        return tuple(value)


def _shown(value: Any) -> str:
    return shortened(json.dumps(value, ensure_ascii=False))


def _parameters(name: str, values: dict[str, Any], step_ms: int) -> Parameters:
    if "step_ms" in values:
        raise WhitError(f"{name}: frontend.step_ms is not used; give micro.feature_step_size")
    known = [field.name for field in fields(Parameters) if field.name != "step_ms"]
    _Reader(name, values, "frontend.").known(known)
    try:
        parameters = Parameters(step_ms=step_ms, **values)
        tables(parameters)
        return parameters
    except WhitError as e:
        said = f"frontend: {e}".replace("frontend: step_ms", "micro.feature_step_size")
        raise WhitError(f"{name}: {said}") from None


def with_sections(program: Program, listening: Listening, labels: tuple[str, ...] = ()) -> Program:
    """The program with labels and the sections FRONTEND and DETECTION.

    Args:
        labels: those that go before the manifest's.

    Raises:
        WhitError: a model that does not fit the front end or the labels.
    """
    if len(program.inputs) != 1 or len(program.outputs) != 1:
        raise WhitError(
            f"{program.name}: has {len(program.inputs)} inputs and {len(program.outputs)} outputs, listening takes one "
            "of each; export the model with one"
        )
    x, y = program.inputs[0], program.outputs[0]
    labels = _labels(program, listening, labels)
    numbers = (
        listening.window,
        _every(program, listening),
        _classes(listening, labels),
        _threshold(program.name, listening, y),
        listening.refractory_ms,
    )
    try:
        front_end = section(listening.parameters, x.scale, x.zero_point, x.dtype)
    except WhitError as e:
        raise WhitError(f"{program.name}: {e}") from None
    detection = struct.pack(DETECTION_RECORD, *numbers, 0)
    return replace(program, labels=labels, sections=((blob.FRONTEND, front_end), (blob.DETECTION, detection)))


def _labels(program: Program, listening: Listening, labels: tuple[str, ...]) -> tuple[str, ...]:
    count = int(np.prod(program.outputs[0].shape))
    labels = labels or listening.labels or program.labels
    if not labels and count == 1:
        labels = (listening.wake_word,)
    if not labels:
        raise WhitError(f"{listening.name}: the output has {count} values without names; add their labels")
    if len(labels) != count:
        raise WhitError(f"{listening.name}: {len(labels)} labels for an output of {count} values; give one name each")
    if count > _MOST_CLASSES:
        raise WhitError(f"{program.name}: its output has {count} values, 1 to {_MOST_CLASSES} can be listened for")
    return labels


def _classes(listening: Listening, labels: tuple[str, ...]) -> int:
    """A bit for each label to listen for."""
    for name in listening.classes:
        if name not in labels:
            raise WhitError(
                f"{listening.name}: micro.classes names {_shown(name)}, the labels are {', '.join(labels)}; correct it"
            )
    return sum(1 << i for i, label in enumerate(labels) if not listening.classes or label in listening.classes)


def _every(program: Program, listening: Listening) -> int:
    """New frames per run."""
    shape = program.inputs[0].shape
    channels = listening.parameters.channels
    frames, rest = divmod(int(np.prod(shape)), channels)
    wide = [size for size in shape if size > 1]  # frames and channels; one axis where they are flat
    if rest or frames > _MOST_FRAMES or len(wide) > 2 or (len(wide) == 2 and wide[-1] != channels):
        raise WhitError(
            f"{program.name}: its input is {shape}, the front end has {channels} channels; give their number in "
            f"{listening.name} as frontend.channels"
        )
    every = listening.frames_per_inference
    if program.states:
        if every not in (None, frames):
            raise WhitError(
                f"{listening.name}: micro.frames_per_inference is {every}, the model streams and takes {frames} frames "
                "a run; leave it out"
            )
        return frames
    if every is not None and every > frames:
        raise WhitError(
            f"{listening.name}: micro.frames_per_inference is {every}, the model's input has {frames} frames; give 1 "
            f"to {frames}"
        )
    return every or 1


def _threshold(name: str, listening: Listening, y: Port) -> int:
    """The largest sum over the window of (q - zero point) whose mean is not above the cutoff.

    As pymicro-wakeword compares it: the mean of the probabilities is exact, then rounded to double.
    """
    most = listening.window * (np.iinfo(y.dtype).max - y.zero_point)

    def mean(total: int) -> float:
        return float(Fraction(y.scale) * total / listening.window)

    if not mean(most) > listening.cutoff:
        raise WhitError(
            f"{listening.name}: micro.probability_cutoff is {listening.cutoff:g}, which the output of {name} never "
            f"exceeds: it reaches {mean(most):g}; lower it"
        )
    low, high = 0, most  # low is not above: a mean of 0 never is
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if mean(middle) > listening.cutoff else (middle, high)
    return low


@dataclass(frozen=True)
class Detection:
    """What the DETECTION section says."""

    window: int
    every: int
    classes: int
    threshold: int
    refractory_ms: int

    def cutoff(self, scale: float) -> float:
        """The shortest number that has the effect of the cutoff, for an output of this scale."""
        low, high = (total * scale / max(self.window, 1) for total in (self.threshold, self.threshold + 1))
        return next((c for digits in range(1, 20) if low <= (c := round((low + high) / 2, digits)) < high), low)


def read_detection(data: bytes, name: str) -> Detection:
    """What a section says; `name` is what messages call the file.

    Raises:
        WhitError: it has another length.
    """
    if len(data) != struct.calcsize(DETECTION_RECORD):
        raise WhitError(f"{name} is broken: its section DETECTION has the wrong size; pack it again")
    return Detection(*struct.unpack(DETECTION_RECORD, data)[:5])
