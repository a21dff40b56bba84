"""What pymicro-wakeword has: models, and what it hears with them on the PC, to hold a listener against."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np

from .errors import WhitError
from .hear import Heard

MODELS = ("hey_jarvis", "okay_nabu", "hey_mycroft", "alexa")


def model_path(name: str) -> Path:
    """The .tflite file of one of MODELS; its JSON lies beside it.

    Raises:
        WhitError: the package is not installed.
    """
    found = importlib.util.find_spec("pymicro_wakeword")
    if found is None or found.origin is None:
        raise WhitError("the wake-word models are not installed; run: pip install 'whit[wakeword]'")
    return Path(found.origin).parent / f"models/{name}.tflite"


def reference(model: Path, samples: np.ndarray, refractory_ms: int = 1000) -> list[Heard]:
    """The words that pymicro-wakeword hears in int16 samples, 16,000 a second.

    It tells for each run whether the mean of the last is above the cutoff. A word is where that begins, and not within
    `refractory_ms` of another, in whole runs.
    """
    from pymicro_wakeword import MicroWakeWord, MicroWakeWordFeatures

    detector, frontend = MicroWakeWord.from_config(model.with_suffix(".json")), MicroWakeWordFeatures()
    words, rest, above = [], 0, False
    frames = enumerate(frontend.process_streaming(samples.astype("<i2").tobytes()))
    for i, features in frames:
        detected = bool(detector.process_streaming(features))
        if (i + 1) % detector.stride:
            continue  # it only runs when it has new frames for that
        rest = max(rest - 1, 0)
        if detected and not above and not rest:
            words.append(Heard(detector.wake_word, 30 + 10 * i))
            rest = -(-refractory_ms // (10 * detector.stride))
        above = detected
    return words
