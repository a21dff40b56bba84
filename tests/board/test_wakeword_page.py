"""docs/wakeword.md is run: its commands, its programs on a fake board, its JSON, and what it says of the examples."""

import json
import os
import re
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from installed import AUDIO
from micropython import run
from spoken import VOICES, packed, speech
from test_examples import EXAMPLES, FAKES, wav
from test_wakeword import heard
from whit.listening import read_manifest
from whit.microfrontend import Parameters
from whit.pack import pack
from whit.recording import read_wav

ROOT = Path(__file__).resolve().parent.parent.parent
PAGE = (ROOT / "docs/wakeword.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.S)


def test_the_commands(tmp_path):
    speech("hey jarvis", "awb")  # skips where flite is not installed
    pytest.importorskip("pymicro_wakeword")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", "-e", "-c", "\n".join(blocks("sh"))],
        cwd=tmp_path,
        env=os.environ | {"PATH": path},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "to listen as hey_jarvis.json says" in done.stdout
    assert re.search(r"spoken\.wav: .*\n +\d\.\d+ s  Hey Jarvis\n", done.stdout), done.stdout
    assert "self-test passed" in done.stdout


def board(program: str, more: str) -> str:
    """What a program of the page prints, and `more` behind it, on a board whose microphone plays the word."""
    files = {path.relative_to(FAKES).as_posix(): path.read_bytes() for path in FAKES.rglob("*.py")}
    files |= {"hey_jarvis.whit": packed("hey_jarvis").blob, "spoken.wav": wav(speech("hey jarvis", "awb", 1.0))}
    script = f"import machine\ntry:\n    exec({program!r})\nexcept machine.EndOfSound:\n    pass\n{more}"
    return run(script, files, 190 << 10, AUDIO)


def test_the_first_program_prints_the_word():
    word, ms = board(blocks("python")[0], "").rsplit(" ", 1)
    assert word == "Hey Jarvis" and 1000 < int(ms) < 2600


def test_the_second_program_records_what_the_board_hears(tmp_path):
    show = "with open('recorded.wav', 'rb') as f:\n    while part := f.read(3200):\n        print(part.hex())\n"
    output = board(blocks("python")[1], f"assert machine.I2S.open.closed\n{show}")
    (tmp_path / "recorded.wav").write_bytes(bytes.fromhex("".join(output.split())))
    samples = read_wav(tmp_path / "recorded.wav", 16000)
    spoken = speech("hey jarvis", "awb", 1.0) // 64 * 4
    assert len(samples) == 48_000 and not samples[len(spoken) :].any()
    np.testing.assert_array_equal(samples[: len(spoken)], spoken)


def test_the_third_program_computes_features():
    names: dict = {}
    exec(blocks("python")[2], names)
    assert names["x"].shape == (98, 40)


@pytest.mark.parametrize("voice", VOICES)
def test_yes_and_no(public_model, voice):
    """The JSON of the page: a model that gets all of its frames each time, of several words."""
    asked = blocks("json")[0]
    data = public_model("micro_speech_quantized.tflite")
    blob = pack(data, "yes_no", listening=read_manifest(asked.encode(), "yes_no.json")).blob
    for word in "yes", "no":
        words = heard(blob, speech(word, voice, 1.0))
        assert [name for name, _ in words] == [word] and words[0][1] > 1000
    assert json.loads(asked)["micro"]["frames_per_inference"] == 5


def test_the_wiring_is_that_of_the_examples():
    table = {row[0]: row[1:] for row in re.findall(r"^\| (\w+) \| (.*?) \| (.*?) \| (.*?) \|$", PAGE, re.M)}
    pico, esp32 = ((EXAMPLES / name / "main.py").read_text() for name in ("pico", "esp32"))
    for wire in "SCK", "WS", "SD":
        on_pico, on_esp32, on_s3 = table[wire]
        pin = re.fullmatch(r"GP(\d+) (\(pin \d+\))", on_pico)
        assert pin and f"{wire.lower()}=Pin({pin[1]})" in pico
        assert re.search(rf"#     {wire} +GP{pin[1]}, {pin[2].strip('()')}\b", pico)
        assert re.search(rf"#     {wire} +{on_esp32}, on an S3 {on_s3}\b", esp32)
    pins = [[int(table[wire][board].split()[-1]) for wire in ("SCK", "WS", "SD")] for board in (2, 1)]
    assert f"SCK, WS, SD = ({', '.join(map(str, pins[0]))})" in esp32
    assert f"else ({', '.join(map(str, pins[1]))})" in esp32


def test_the_size_of_the_buffer_is_what_it_says():
    for ibuf, ms in re.findall(r"ibuf=(\d+)\).*?buffered_ms=(\d+)", PAGE, re.S):
        assert int(ibuf) == 8 * 16 * int(ms)


def test_the_table_of_parameters_is_theirs():
    rows = dict(re.findall(r"^\| `(\w+)` \| ([\w.]+) \|", PAGE, re.M))
    defaults = asdict(Parameters())
    assert rows.keys() | {"step_ms"} == defaults.keys()
    assert {name: json.loads(value) for name, value in rows.items()} == {name: defaults[name] for name in rows}


def test_links():
    for target in re.findall(r"\]\(([^)#:]+)\)", PAGE):
        assert (ROOT / "docs" / target).exists(), target
