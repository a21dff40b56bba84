"""device/examples: the programs to copy run as they are, on a board whose microphone plays a WAV with the word."""

import io
import wave
from pathlib import Path

import numpy as np
import pytest
from installed import AUDIO
from micropython import run
from spoken import RATE, other_speech, packed, speech

ROOT = Path(__file__).resolve().parent.parent.parent
EXAMPLES = ROOT / "device/examples"
FAKES = Path(__file__).with_name("fake_board")

# Runs main.py as a board does, until the sound is over or the test has seen what it waits for.
MAIN = """
import machine
machine.I2S.enough = lambda: {enough}
try:
    with open("main.py") as f:
        exec(compile(f.read(), "main.py", "exec"), {{"__name__": "__main__"}})
except machine.EndOfSound:
    pass
print(machine.events)
"""


def wav(samples: np.ndarray) -> bytes:
    """As quiet as the microphone of the examples."""
    samples = samples // 64
    data = io.BytesIO()
    with wave.open(data, "wb") as f:
        f.setnchannels(1)
        f.setsampwidth(2)
        f.setframerate(RATE)
        f.writeframes(samples.tobytes())
    return data.getvalue()


def example(name: str, samples: np.ndarray, enough: str) -> tuple[list[str], list[str]]:
    """(what the program prints, what the fake board has noted) in a heap of 190 KB."""
    files = {path.relative_to(FAKES).as_posix(): path.read_bytes() for path in FAKES.rglob("*.py")}
    files |= {path.name: path.read_bytes() for path in (EXAMPLES / name).iterdir()}
    files |= {"hey_jarvis.whit": packed("hey_jarvis").blob, "spoken.wav": wav(samples)}
    *said, events = run(MAIN.format(enough=enough), files, 190 << 10, AUDIO).splitlines()
    return said, eval(events)


@pytest.mark.parametrize("times", [0, 1, 2])
def test_a_pico_blinks_for_each_word(times):
    words = [speech("hey jarvis", voice, 1.0) for voice in ("awb", "slt")[:times]]
    said, events = example("pico", np.concatenate([*words, other_speech(0.2)]), "True")
    assert said[0] == "listening" and len(said) == 1 + times
    assert all(line.startswith("Hey Jarvis, ") for line in said[1:])
    assert events == ["LED on", "LED off"] * times


def test_an_esp32_publishes_each_word():
    """Though the network takes its time and the broker is not there at first."""
    words = [speech("hey jarvis", voice, 1.0) for voice in ("awb", "slt")]
    said, events = example(
        "esp32", np.concatenate(words), "machine.events[-1].count('Hey') and len(machine.events) > 4"
    )
    published = "MQTT home/wakeword Hey Jarvis"
    assert events == [
        "Wi-Fi active",
        "Wi-Fi connect name of the network its password",
        "MQTT 192.168.1.10",
        published,
        published,
    ]
    assert said[0] == "listening" and sum(line.startswith("Hey Jarvis, ") for line in said) == 2
    assert sum("does not take the word" in line for line in said) == 3 and len(said) == 6


def test_the_examples_are_for_boards_and_need_nothing_else():
    """What they import is on a board, comes with whit, or is named where the example says how to get it."""
    known = {"whit", "whit.listen", "machine", "network", "asyncio", "sys", "umqtt.simple", "secrets"}
    for path in EXAMPLES.rglob("main.py"):
        lines = path.read_text().splitlines()
        used = {line.split()[1] for line in lines if line.startswith(("import ", "from "))}
        assert used <= known, path
        assert "mip install umqtt.simple" in path.read_text() or "umqtt.simple" not in used
