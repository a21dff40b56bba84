"""Sounds at 16,000 samples a second, and what pymicro-features, which is TensorFlow's microfrontend, hears in them."""

from __future__ import annotations

import io
import shutil
import subprocess
import wave
from functools import cache

import numpy as np
import pytest

RATE = 16000
_TEXT = (
    "Hey Jarvis, what is the weather going to be like tomorrow morning? The kettle sizzles, six ships shift sheets, "
    "and nobody knows how much wood a woodchuck could chuck. Okay Nabu, turn off the lights in the kitchen. "
    "She sells sea shells by the sea shore; peter piper picked a peck of pickled peppers."
)
VOICES = "kal16", "awb", "rms", "slt"  # of flite, each at RATE


def synthesized(command: list[str]) -> np.ndarray:
    """What a synthesizer writes to its standard output, at whatever rate."""
    if not shutil.which(command[0]):
        pytest.skip(f"{command[0]} is not installed; run: apt-get install flite espeak-ng")
    spoken = subprocess.run(command, capture_output=True, check=True).stdout
    with wave.open(io.BytesIO(spoken)) as f:
        assert (f.getnchannels(), f.getsampwidth()) == (1, 2)
        return np.frombuffer(f.readframes(1 << 24), "<i2")


@cache
def spoken(voice: str, text: str, *options: str) -> np.ndarray:
    """What one of flite's VOICES says."""
    return synthesized(["flite", "-voice", voice, *options, "-t", text, "-o", "/dev/stdout"])


@cache
def speech() -> np.ndarray:
    """More than 60 s of six voices, with pauses between."""
    said = [spoken(voice, _TEXT) for voice in VOICES]
    said += [synthesized(["espeak-ng", "--stdout", f"-v{voice}", _TEXT]) for voice in ("en-us", "en-gb+f3")]
    pause = np.zeros(RATE // 3, np.int16)
    return np.concatenate([part for each in said for part in (each, pause)])


@cache
def signals(seconds: float) -> dict[str, np.ndarray]:
    """Silence, noise, clipped tones and extremes, each of so many seconds, by name."""
    rng, n = np.random.default_rng(8), int(seconds * RATE)
    t = np.arange(n) / RATE
    found = {"silence": np.zeros(n), "least": np.full(n, -32768.0), "greatest": np.full(n, 32767.0)}
    found |= {f"noise of {a}": a * rng.standard_normal(n) for a in (1, 30, 1000, 30000)}
    found |= {f"clipped {f} Hz": 90000 * np.sin(2 * np.pi * f * t + 0.1) for f in (60, 440, 2500.5, 7990)}
    found["chirp"] = 32767 * np.sin(2 * np.pi * 4000 * t * t / seconds)
    found["clipped chirp"] = 1e6 * np.sin(2 * np.pi * 4000 * t * t / seconds)
    found["any samples"] = rng.integers(-32768, 32768, n).astype(float)
    found["extremes"] = np.where(rng.random(n) < 0.5, -32768.0, 32767.0)
    # The window leaves a -32768 in its middle alone, which the reference does not see where it looks for the largest.
    quiet = rng.integers(-20, 20, n).astype(float)
    quiet[240::640] = -32768
    found["clicks"] = quiet
    # Pairs of samples as complex numbers that turn as the points of the FFT do: sums that leave 16 bits.
    for turn in (1, 7, 33, 64, 100):
        angles = 2 * np.pi * turn * (np.arange(n) // 2) / 256
        found[f"turn {turn}"] = np.where(
            np.where(np.arange(n) % 2, np.sin(angles), np.cos(angles)) < 0, -32768.0, 32767
        )
    return {name: np.clip(x, -32768, 32767).astype(np.int16) for name, x in found.items()}


def reference(samples: np.ndarray) -> np.ndarray:
    """pymicro-features' integers, uint16 [frames, 40]."""
    from pymicro_features import MicroFrontend

    frontend, data, frames = MicroFrontend(), samples.tobytes(), []
    for at in range(0, len(data) - 319, 320):
        heard = frontend.process_samples(data[at : at + 320])
        assert heard.samples_read == 160
        frames += [heard.features] if heard.features else []
    return np.round(np.array(frames) / 0.0390625).astype(np.uint16).reshape(-1, 40)
