"""Words that flite speaks, wake words of pymicro-wakeword as .whit files, and when its own code hears them."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from sounds import RATE, VOICES, spoken
from whit.listening import read_manifest
from whit.pack import Packed, pack
from whit.wakeword import model_path, reference

WORDS = {"hey_jarvis": "hey jarvis", "okay_nabu": "okay nabu", "hey_mycroft": "hey mycroft", "alexa": "alexa"}

# Everyday speech, and what sounds a little like the words.
_OTHER = """
The birch canoe slid on the smooth planks. Glue the sheet to the dark blue background. It is easy to tell the depth of
a well. These days a chicken leg is a rare dish. Rice is often served in round bowls. The juice of lemons makes fine
punch. The box was thrown beside the parked truck. Four hours of steady work faced us. A large size in stockings is hard
to sell. The boy was there when the sun rose. A rod is used to catch pink salmon. Hey Travis, have you seen my service
book? Hey, charge this phone before you leave. Okay, now who wants some tea? Okay, nobody moves until I say so. Pay the
harvest fee. Okay Nabokov, write another novel. Hey there, my cough is getting worse. A lexicon lies on the table. Alex
has a new car. Hey Marvin, stop. Say, Jarrow is a town in England. I okayed the menu. Hey you, harvest is here. Turn the
lights on in the kitchen, and play some music. What time is it in New York? Set a timer for ten minutes."""


@cache
def speech(text: str, voice: str, before_s: float = 0.5, behind_s: float = 1.0, stretch: float = 1.0) -> np.ndarray:
    """int16 samples with silence around them. stretch: how much slower than the voice's own pace."""
    samples = spoken(voice, text, "--setf", f"duration_stretch={stretch}")
    silence = (np.zeros(int(s * RATE), np.int16) for s in (before_s, behind_s))
    return np.concatenate([next(silence), samples, next(silence)])


@cache
def other_speech(minutes: float) -> np.ndarray:
    """Of all voices in turn, faster and slower."""
    parts: list[np.ndarray] = []
    while sum(map(len, parts)) < minutes * 60 * RATE:
        turn = len(parts)
        stretch = (1.0, 1.2, 0.9, 1.1, 1.3)[turn // len(VOICES) % 5]
        parts.append(speech(" ".join(_OTHER.split()), VOICES[turn % len(VOICES)], 0.0, 0.3, stretch))
    return np.concatenate(parts)[: int(minutes * 60 * RATE)]


def _path(name: str) -> Path:
    pytest.importorskip("pymicro_wakeword")
    return model_path(name)


def model(name: str) -> bytes:
    """The .tflite file of one of WORDS."""
    return _path(name).read_bytes()


def manifest(name: str, **micro: object) -> dict:
    """Its JSON, with some of what `micro` holds replaced."""
    root = json.loads(_path(name).with_suffix(".json").read_text())
    root["micro"] |= micro
    return root


@cache
def packed(name: str, **micro: object) -> Packed:
    """A wake word as a .whit file that listens; its name in it is `name`."""
    asked = json.dumps(manifest(name, **micro)).encode()
    return pack(model(name), name, listening=read_manifest(asked, f"{name}.json"))


def heard_by_pymicro_wakeword(name: str, samples: np.ndarray) -> list[int]:
    """When, in ms at the end of the frame."""
    return [each.ms for each in reference(_path(name), samples)]
