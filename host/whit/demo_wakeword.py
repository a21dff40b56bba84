"""demo wakeword: from a wake-word model's .tflite file to the words it hears, under MicroPython and beside it."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from .errors import WhitError
from .hear import Heard, hear
from .listening import beside
from .pack import pack
from .recording import read_wav
from .wakeword import model_path, reference

_MODEL = "hey_jarvis"
_SAID = "It is getting dark. Hey Jarvis, turn on the light. Thank you. Hey Jarvis, turn it off."
_VOICE = "awb"
_RATE = 16000


def demo_wakeword(recording: Path | None, kernels: str | None, progress: Callable[[int, int], None]) -> tuple[str, int]:
    """Returns the text to show, and exit status 1 if the words are not those that the reference hears.

    Args:
        recording: a WAV file; None for a synthetic voice.
        kernels: "native", "viper", or None for what a board would take.
        progress: called with (seconds done, seconds).
    """
    model = model_path(_MODEL)
    listening = beside(model)
    assert listening
    packed = pack(model.read_bytes(), model.name, listening=listening)
    samples = spoken(_SAID, _VOICE) if recording is None else read_wav(recording, _RATE)
    heard = hear(Path(f"{_MODEL}.whit"), packed.blob, samples, kernels, progress=progress)
    expected = reference(model, samples, listening.refractory_ms)
    said = f'flite says: "{_SAID}"' if recording is None else str(recording)
    lines = [
        f"packed {model.name} in memory: {len(packed.blob):,} bytes, the arena takes {packed.plan.arena_bytes:,}",
        f"{said} ({len(samples) / _RATE:.1f} s)",
        "",
        f"heard under MicroPython:    {_words(heard)}",
        f"heard by pymicro-wakeword:  {_words(expected)}",
        "the same words at the same frames" if heard == expected else "the words DIFFER",
        "",
        "on a board, with a microphone (docs/wakeword.md):",
        "",
        "    from whit.listen import Listener",
        f'    for word, ms in Listener("{_MODEL}.whit", microphone, buffered_ms=128):',
        "        print(word)",
    ]
    return "\n".join(lines), 0 if heard == expected else 1


def _words(heard: list[Heard]) -> str:
    return ", ".join(f"{each.word} at {each.ms / 1000:.2f} s" for each in heard) or "nothing"


def spoken(text: str, voice: str) -> np.ndarray:
    """What a voice of flite says, as int16 samples, 16,000 a second.

    Raises:
        WhitError: flite is not installed, or failed.
    """
    if shutil.which("flite") is None:
        raise WhitError(
            "flite, whose voice this demo listens to, is not installed; run: apt-get install flite, or give a "
            "recording with --wav"
        )
    with tempfile.TemporaryDirectory(prefix="whit-") as folder:
        path = Path(folder) / "said.wav"
        done = subprocess.run(["flite", "-voice", voice, "-t", text, "-o", str(path)], capture_output=True, text=True)
        if done.returncode or not path.exists():
            raise WhitError(f"flite failed ({done.stderr.strip()}); give a recording with --wav")
        return read_wav(path, _RATE)
