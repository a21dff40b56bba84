"""whit listen and whit demo wakeword: the words that pymicro-wakeword hears, and one sentence for each mistake."""

import json
import re
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest
from sounds import RATE, VOICES, speech, spoken
from whit import hear, pack, wakeword
from whit.cli import main
from whit.hear import Heard
from whit.listening import beside
from whit.recording import read_wav, write_wav
from whit.wakeword import model_path, reference

BOTH = pytest.mark.parametrize("kernels", ["native", "viper"])
TEXTS = {
    "hey_jarvis": "It is getting dark. Hey Jarvis, turn on the light. Hey Jarvis! Thank you.",
    "okay_nabu": "Okay Nabu, what time is it? It is late. Okay Nabu, play some music.",
}


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """With hey_jarvis as downloaded and packed, and a short recording."""
    monkeypatch.chdir(tmp_path)
    for suffix in (".tflite", ".json"):
        shutil.copy(model_path("hey_jarvis").with_suffix(suffix), tmp_path)
    path = Path("hey_jarvis.tflite")
    Path("hey_jarvis.whit").write_bytes(pack(path.read_bytes(), path.name, listening=beside(path)).blob)
    rng = np.random.default_rng(0)
    Path("a.wav").write_bytes(write_wav(rng.integers(-200, 200, RATE // 2).astype(np.int16), RATE))
    return tmp_path


def refused(capsys, *arguments) -> str:
    """The one sentence of a mistake."""
    assert main(list(map(str, arguments))) == 2
    out = capsys.readouterr()
    assert not out.out and out.err.startswith("whit: ") and out.err.count("\n") == 1, out
    return out.err[6:-1]


@BOTH
@pytest.mark.parametrize("voice", VOICES)
@pytest.mark.parametrize("name", TEXTS)
def test_the_words_and_frames_are_pymicro_wakeword_s(name, voice, kernels):
    path = model_path(name)
    blob = pack(path.read_bytes(), name, listening=beside(path)).blob
    samples = spoken(voice, TEXTS[name])
    heard = hear.hear(Path(f"{name}.whit"), blob, samples, kernels)
    assert heard == reference(path, samples)
    if voice == "awb":
        assert len(heard) >= 1 and all(0 < each.ms < len(samples) / 16 for each in heard)


def test_other_speech(folder):
    """Two minutes, in which pymicro-wakeword hears what it hears."""
    samples = speech()
    for name in ("hey_jarvis", "okay_nabu"):
        path = model_path(name)
        blob = pack(path.read_bytes(), name, listening=beside(path)).blob
        assert hear.hear(path, blob, samples) == reference(path, samples)


def test_listen(folder, capsys):
    samples = spoken("awb", TEXTS["hey_jarvis"])
    Path("said.wav").write_bytes(write_wav(samples, RATE))
    expected = reference(Path("hey_jarvis.tflite"), samples)
    assert expected
    for model in ("hey_jarvis.whit", "hey_jarvis.tflite"):
        assert main(["listen", "said.wav", model, "--heap", "190k"]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert lines[0] == f"said.wav: {len(samples) / RATE:.2f} s, heard by {model} under MicroPython"
        assert [line.split(maxsplit=2) for line in lines[1:]] == [
            [f"{each.ms / 1000:.3f}", "s", "Hey Jarvis"] for each in expected
        ]
    Path("hey_jarvis.json").rename("other.json")
    assert main(["listen", "said.wav", "hey_jarvis.tflite", "--json", "other.json", "--kernels", "viper"]) == 0
    assert "Hey Jarvis" in capsys.readouterr().out


def test_listen_hears_nothing_in_noise(folder, capsys):
    assert main(["listen", "a.wav", "hey_jarvis.whit"]) == 0
    assert capsys.readouterr().out == "a.wav: 0.50 s, heard by hey_jarvis.whit under MicroPython\n  no word\n"


def test_a_recording_of_one_answer(folder, capsys):
    Path("a.wav").write_bytes(write_wav(np.ones(480 + 14 * 160, np.int16), RATE))
    assert main(["listen", "a.wav", "hey_jarvis.whit"]) == 0
    assert capsys.readouterr().out.endswith("  no word\n")


def test_progress_counts_seconds(folder):
    seen = []
    samples = np.zeros(int(2.5 * RATE), np.int16)
    hear.hear(Path("x"), Path("hey_jarvis.whit").read_bytes(), samples, progress=lambda *each: seen.append(each))
    assert seen == [(1, 3), (2, 3)]


def test_micro_speech_slides_over_its_input(folder, public_model, capsys):
    """A model without state: each run gets its 49 frames, of which some are new."""
    Path("m.tflite").write_bytes(public_model("micro_speech_quantized.tflite"))
    micro = {"probability_cutoff": 0.6, "feature_step_size": 20, "sliding_window_size": 2, "frames_per_inference": 4}
    labels = ["silence", "unknown", "yes", "no"]
    manifest = {"version": 2, "wake_word": "yes or no", "labels": labels, "micro": micro | {"classes": ["yes", "no"]}}
    Path("m.json").write_text(json.dumps(manifest))
    expected = slid(pack(Path("m.tflite").read_bytes(), "m", listening=beside(Path("m.tflite"))), speech()[: 20 * RATE])
    Path("said.wav").write_bytes(write_wav(speech()[: 20 * RATE], RATE))
    assert main(["listen", "said.wav", "m.tflite"]) == 0
    lines = capsys.readouterr().out.splitlines()[1:]
    assert expected and lines == [f"{each.ms / 1000:9.3f} s  {each.word}" for each in expected]


def slid(packed, samples) -> list[Heard]:
    """What a listener hears, written as plainly as it can be: over numpy's features and numpy's runs of the program."""
    from whit import reference as executed
    from whit.features import features
    from whit.frontend import read_section
    from whit.listening import read_detection

    sections = dict(packed.program.sections)
    tables, scale = read_section(sections[8], "m")
    asked = read_detection(sections[9], "m")
    frames = scale.bytes(features(samples, tables))
    size = 49
    sums: list[np.ndarray] = []
    words, above, since = [], [False] * 4, [-(1 << 30)] * 4
    for end in range(size, len(frames) + 1, asked.every):
        q = executed.run(packed.program, [frames[end - size : end].reshape(1, -1)])[0].ravel().astype(int) + 128
        sums.append(q)
        total = np.sum(sums[-asked.window :], axis=0)
        ms = (tables.window + (end - 1) * tables.step) * 1000 // tables.rate
        for i in range(4):
            now = len(sums) >= asked.window and total[i] > asked.threshold and asked.classes >> i & 1
            if now and not above[i] and ms - since[i] >= asked.refractory_ms:
                words.append(Heard(packed.program.labels[i], ms))
                since[i] = ms
            above[i] = bool(now)
    return words


# Mistakes about the recording.


def wav(kind=1, channels=1, rate=RATE, bits=16, data=bytes(3200), size=None, extra=b"") -> bytes:
    form = struct.pack("<HHIIHH", kind, channels, rate, rate * channels * bits // 8, channels * bits // 8, bits) + extra
    size = len(data) if size is None else size
    body = b"WAVEfmt " + struct.pack("<I", len(form)) + form + b"LIST\3\0\0\0abc\0data" + struct.pack("<I", size) + data
    return b"RIFF" + struct.pack("<I", len(body)) + body


FFMPEG = "; convert it: ffmpeg -i a.wav -ac 1 -ar 16000 -c:a pcm_s16le a_16000.wav"
BAD = {
    "mp3": (b"ID3\3" + bytes(100), "a.wav: not a WAV file" + FFMPEG),
    "nothing": (b"", "a.wav: is empty; record it again"),
    "riff": (b"RIFF\4\0\0\0WAVE", "a.wav: a WAV file without sound; record it again"),
    "header": (wav()[:30], "a.wav: a WAV file without sound; record it again"),
    "rate": (wav(rate=44100), "a.wav: has 44,100 samples a second, the model takes 16,000" + FFMPEG),
    "channels": (wav(channels=2), "a.wav: has 2 channels, 1 is supported" + FFMPEG),
    "bytes": (wav(bits=8), "a.wav: has samples of 8 bits, 16 are supported" + FFMPEG),
    "wide": (wav(bits=24), "a.wav: has samples of 24 bits, 16 are supported" + FFMPEG),
    "floats": (wav(kind=3, bits=32), "a.wav: holds floats, PCM is supported" + FFMPEG),
    "law": (wav(kind=7, bits=8), "a.wav: holds mu-law, PCM is supported" + FFMPEG),
    "other": (wav(kind=0x55), "a.wav: holds format 85, PCM is supported" + FFMPEG),
    "truncated": (
        wav(size=6400),
        "a.wav: is truncated: 3,200 bytes of sound, its header says 6,400; copy or record it again",
    ),
    "empty": (wav(data=b""), "a.wav: holds no samples; record it again"),
    "short": (
        wav(data=bytes(2 * (480 + 14 * 160 - 1))),
        "hey_jarvis.whit: gives its first answer after 0.17 s of sound, the recording has 0.17 s; record more",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_recording_that_cannot_be_used_is_refused(folder, capsys, name):
    data, text = BAD[name]
    Path("a.wav").write_bytes(data)
    assert refused(capsys, "listen", "a.wav", "hey_jarvis.whit") == text


@pytest.mark.parametrize("cut", range(0, 60, 3))
def test_a_recording_cut_anywhere_is_refused(folder, capsys, cut):
    Path("a.wav").write_bytes(wav()[:cut])
    assert refused(capsys, "listen", "a.wav", "hey_jarvis.whit").startswith("a.wav: ")


def test_recordings_that_can_be_used(folder):
    samples = np.arange(1600).astype(np.int16)
    extensible = struct.pack("<HHIH14x", 22, 16, 4, 1)
    for data in (
        write_wav(samples, RATE),
        wav(data=samples.tobytes()),
        wav(data=samples.tobytes(), kind=0xFFFE, extra=extensible),
        wav(data=samples.tobytes(), size=0xFFFFFFFF),  # of a program that did not know how long it would go on
        wav(data=samples.tobytes(), size=0x7FFFF000),
        wav(data=samples.tobytes() + b"\1"),
    ):
        Path("b.wav").write_bytes(data)
        assert np.array_equal(read_wav(Path("b.wav"), RATE), samples)


def test_a_file_name_with_a_space_is_quoted(folder, capsys):
    Path("a b.wav").write_bytes(wav(rate=8000))
    said = refused(capsys, "listen", "a b.wav", "hey_jarvis.whit")
    assert said.endswith("convert it: ffmpeg -i 'a b.wav' -ac 1 -ar 16000 -c:a pcm_s16le 'a b_16000.wav'")


# Mistakes about the model.


def test_models_that_cannot_listen_are_refused(folder, capsys):
    Path("plain.whit").write_bytes(pack(Path("hey_jarvis.tflite").read_bytes()).blob)
    assert refused(capsys, "listen", "a.wav", "plain.whit") == (
        "plain.whit: was packed without what a listener needs; pack it again with the JSON of its wake word beside the "
        "model"
    )
    Path("hey_jarvis.json").rename("other.json")
    assert refused(capsys, "listen", "a.wav", "hey_jarvis.tflite") == (
        "hey_jarvis.tflite: no JSON of a wake word lies beside it; give it with --json"
    )
    assert refused(capsys, "listen", "a.wav", "hey_jarvis.whit", "--json", "other.json") == (
        "other.json: --json goes with a .tflite or .onnx file, hey_jarvis.whit is packed; leave it out"
    )
    assert refused(capsys, "listen", "hey_jarvis.whit", "a.wav") == (
        "hey_jarvis.whit: a model where the recording goes; run: whit listen FILE.wav hey_jarvis.whit"
    )
    assert refused(capsys, "listen", "a.wav", "other.json") == (
        "other.json: not a model; give the .tflite, .onnx or .whit file that it belongs to"
    )
    Path("hey_jarvis.json").write_text('{"Micro": {}}')
    assert refused(capsys, "listen", "a.wav", "hey_jarvis.tflite") == (
        "hey_jarvis.json: not the JSON of a wake word; give that of hey_jarvis.tflite with --json"
    )
    assert "absent.whit: cannot be read" in refused(capsys, "listen", "a.wav", "absent.whit")
    assert "absent.wav: cannot be read" in refused(capsys, "listen", "absent.wav", "hey_jarvis.whit")
    Path("cut.whit").write_bytes(Path("hey_jarvis.whit").read_bytes()[:-100])
    assert refused(capsys, "listen", "a.wav", "cut.whit").startswith("cut.whit is truncated: ")


def test_a_heap_that_is_too_small(folder, capsys):
    text = refused(capsys, "listen", "a.wav", "hey_jarvis.whit", "--heap", "80k")
    assert text.startswith("hey_jarvis.whit")
    assert "heap" in text


# The demo.


@BOTH
def test_demo(capsys, kernels):
    spoken("awb", "x")
    assert main(["demo", "wakeword", "--kernels", kernels]) == 0
    text = capsys.readouterr().out
    here, there = (
        re.search(f"^heard {by}: +(.*)$", text, re.M)[1] for by in ("under MicroPython", "by pymicro-wakeword")
    )
    assert here == there == "Hey Jarvis at 2.48 s, Hey Jarvis at 5.18 s"
    assert "the same words at the same frames\n" in text


def test_demo_of_a_recording(folder, capsys):
    assert main(["demo", "wakeword", "--wav", "a.wav"]) == 0
    text = capsys.readouterr().out
    assert "\na.wav (0.5 s)\n" in text and text.count(": ") >= 2 and text.count("nothing\n") == 2


def test_demo_tells_a_difference(monkeypatch, capsys):
    spoken("awb", "x")
    from whit import demo_wakeword

    monkeypatch.setattr(demo_wakeword, "reference", lambda *arguments: [Heard("Hey Jarvis", 10)])
    assert main(["demo", "wakeword"]) == 1
    assert "the words DIFFER\n" in capsys.readouterr().out


def test_demo_mistakes(folder, capsys, monkeypatch):
    assert refused(capsys, "demo", "--wav", "a.wav") == "--wav goes with: whit demo wakeword"
    Path("a.wav").write_bytes(wav(rate=8000))
    assert "a.wav: has 8,000 samples a second" in refused(capsys, "demo", "wakeword", "--wav", "a.wav")
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert refused(capsys, "demo", "wakeword") == (
        "flite, whose voice this demo listens to, is not installed; run: apt-get install flite, or give a recording "
        "with --wav"
    )
    monkeypatch.setattr(wakeword.importlib.util, "find_spec", lambda name: None)
    assert refused(capsys, "demo", "wakeword") == (
        "the wake-word models are not installed; run: pip install 'whit[wakeword]'"
    )
