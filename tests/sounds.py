"""Sounds for the front end and the listener: int16 at 16 kHz, speech by flite and espeak-ng."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import wave
from functools import cache
from pathlib import Path

import numpy as np
import pytest

RATE = 16000
VOICES = ("kal16", "awb", "rms", "slt")  # of flite; each speaks at 16 kHz


@cache
def spoken(text: str, voice: str = "slt") -> np.ndarray:
    """Speech of flite."""
    if not shutil.which("flite"):
        pytest.skip("flite is not installed; run: apt-get install flite")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "said.wav"
        subprocess.run(["flite", "-voice", voice, "-t", text, "-o", str(path)], check=True)
        return _read(path)


def _read(path: Path) -> np.ndarray:
    with wave.open(str(path)) as file:
        assert (file.getframerate(), file.getsampwidth(), file.getnchannels()) == (RATE, 2, 1)
        return np.frombuffer(file.readframes(file.getnframes()), "<i2")


def silence(seconds: float) -> np.ndarray:
    return np.zeros(round(RATE * seconds), np.int16)
