"""The JSON of a wake word: what it becomes in the file, what the file says of it, and one sentence for each mistake."""

import json
import re
import shutil
import statistics
from pathlib import Path

import nets
import numpy as np
import pytest
from whit import image, pack
from whit.boards import board
from whit.cli import main
from whit.device import format as blob
from whit.errors import WhitError
from whit.fit import fit
from whit.frontend import Parameters, section
from whit.inspect import describe
from whit.listening import beside, is_manifest, read_detection, read_manifest
from whit.wakeword import MODELS, model_path

MANIFEST = {
    "type": "micro",
    "wake_word": "Hey Jarvis",
    "version": 2,
    "micro": {
        "probability_cutoff": 0.97,
        "feature_step_size": 10,
        "sliding_window_size": 5,
        "tensor_arena_size": 22860,
    },
}
MICRO_SPEECH = {
    "wake_word": "yes or no",
    "version": 2,
    "labels": ["silence", "unknown", "yes", "no"],
    "micro": {
        "probability_cutoff": 0.7,
        "feature_step_size": 20,
        "sliding_window_size": 3,
        "refractory_ms": 1500,
        "classes": ["yes", "no"],
        "frames_per_inference": 5,
    },
}


def manifest(**changes) -> bytes:
    """MANIFEST with other values; micro_NAME is one of its micro; None takes it away."""
    root = json.loads(json.dumps(MANIFEST))
    for key, value in changes.items():
        values, name = (root["micro"], key[6:]) if key.startswith("micro_") else (root, key)
        values.pop(name, None)
        if value is not None:
            values[name] = value
    return json.dumps(root).encode()


def listener(rows=1, k=40, o=1, **changes):
    """A dense layer as a model that listens: [rows, k] to [rows, o]."""
    data = nets.dense("m", k=k, o=o, rows=rows, zi=-128, so=1 / 256, zo=-128)
    return pack(data, "m", listening=read_manifest(manifest(**changes), "m.json"))


def detection(packed):
    return read_detection(dict(packed.program.sections)[blob.DETECTION], "m.whit")


@pytest.mark.parametrize("name", MODELS)
def test_the_models_of_pymicro_wakeword(name):
    path = model_path(name)
    asked = json.loads(path.with_suffix(".json").read_bytes())
    packed = pack(path.read_bytes(), name, listening=beside(path))
    about = describe(packed.blob)
    assert about["format"] == "2.1" and {8, 9} < set(about["sections"])
    assert about["labels"] == about["detection"]["words"] == [asked["wake_word"]]
    assert (about["detection"]["window"], about["detection"]["every"], about["detection"]["refractory_ms"]) == (
        5,
        3,
        1000,
    )
    assert asked["micro"]["probability_cutoff"] - 1 / 1280 < about["detection"]["cutoff"]
    assert about["detection"]["cutoff"] <= asked["micro"]["probability_cutoff"]
    at = packed.blob.index(section(Parameters(), 0.10196078568696976, -128, "int8"))
    assert at % blob.ALIGN == 0


def test_without_a_manifest_the_file_is_what_it_was():
    data = nets.dense("m", k=40, o=1)
    about = describe(pack(data).blob)
    assert about["format"] == "1.1" and about["frontend"] is None and about["detection"] is None


def test_micro_speech(public_model):
    data = public_model("micro_speech_quantized.tflite")
    listening = read_manifest(json.dumps(MICRO_SPEECH).encode(), "micro_speech.json")
    about = describe(pack(data, "micro_speech", listening=listening).blob)
    assert about["labels"] == ["silence", "unknown", "yes", "no"]
    found = about["detection"]
    assert (found["classes"], found["every"], found["words"]) == (0b1100, 5, ["yes", "no"])
    assert about["frontend"]["step"] == 320
    paged = describe(pack(data, "micro_speech", listening=listening, page_bytes=16384).blob)
    assert (paged["frontend"], paged["detection"]) == (about["frontend"], found) and paged["pages"] > 1


def test_parameters_of_the_front_end():
    asked = {"window_ms": 25, "channels": 32, "enable_pcan": False, "feature_scale": 1.0, "lower_band_limit": 60}
    listening = read_manifest(manifest(frontend=asked, micro_feature_step_size=20), "m.json")
    assert listening.parameters == Parameters(step_ms=20, **asked)


@pytest.mark.parametrize("scale", [1 / 256, 1 / 255, 0.0041])
@pytest.mark.parametrize("window", [1, 3, 5, 10])
@pytest.mark.parametrize("cutoff", [0, 0.5, 0.7, 0.85, 0.9, 0.95, 0.97, 115 / 128])
def test_the_threshold_is_the_reference_s_cutoff(scale, window, cutoff):
    """For every sum that a window can have, as pymicro-wakeword takes the mean: of floats, exactly, then rounded."""
    data = nets.dense("m", k=40, o=1, zi=-128, so=scale, zo=-128)
    changes = {"micro_probability_cutoff": cutoff, "micro_sliding_window_size": window}
    threshold = detection(pack(data, "m", listening=read_manifest(manifest(**changes), "m.json"))).threshold
    scale = float(np.float32(scale))
    for total in range(255 * window + 1):
        # How a sum comes about does not matter to an exact mean; the products with the scale are exact in double.
        each, more = divmod(total, window)
        mean = statistics.mean([(each + (i < more)) * scale for i in range(window)])
        assert (mean > cutoff) == (total > threshold), (total, mean)


@pytest.mark.parametrize("rows, every", [(1, 1), (49, 1), (49, 10), (49, 49)])
def test_how_many_frames_a_run_takes(rows, every):
    flat = nets.dense("m", k=40 * rows, o=1, zi=-128, so=1 / 256, zo=-128)
    for frames in {None, every} if every == 1 else {every}:
        listening = read_manifest(manifest(micro_frames_per_inference=frames), "m.json")
        assert detection(pack(flat, "m", listening=listening)).every == every


def test_labels_and_classes():
    assert listener().program.labels == ("Hey Jarvis",)
    assert detection(listener()).classes == 1
    packed = listener(o=3, labels=["a", "b", "c"])
    assert packed.program.labels == ("a", "b", "c") and detection(packed).classes == 0b111
    assert detection(listener(o=3, labels=["a", "b", "c"], micro_classes=["c", "a"])).classes == 0b101
    data = nets.dense("m", k=40, o=2, zi=-128, so=1 / 256, zo=-128)
    asked = read_manifest(manifest(labels=["a", "b"]), "m.json")
    assert pack(data, "m", ("x", "y"), listening=asked).program.labels == ("x", "y")


WRONG = {
    b"{": r"^m\.json: not JSON \(.*\); give the JSON of a wake word$",
    b"[" * 100_000: r"^m\.json: not JSON \(.*\); give the JSON of a wake word$",
    b"\xff{}": r"^m\.json: not JSON \(.*\); give the JSON of a wake word$",
    b"[]": r"^m\.json: holds no JSON object; give the JSON of a wake word$",
    manifest(version=1): r"^m\.json: version is 1, 2 is supported; give a manifest of that version$",
    manifest(version=None): r"^m\.json: version is missing; ",
    manifest(micro_refactory_ms=5): r"^m\.json: micro\.refactory_ms is unknown, feature_step_size, .* are supported; ",
    manifest(micro=None): r"^m\.json: micro is missing; give the JSON of a wake word, with it$",
    manifest(micro=3): r"^m\.json: micro is 3, an object is supported; correct it$",
    manifest(wake_word=None): r"^m\.json: wake_word is missing; ",
    manifest(wake_word=""): r'^m\.json: wake_word is "", a name is supported; ',
    manifest(wake_word="Hey\nJarvis"): r"^m\.json: wake_word is .*, a name is supported; ",
    manifest(wake_word=["a"]): r'^m\.json: wake_word is \["a"\], a name is supported; ',
    manifest(labels="yes"): r'^m\.json: labels is "yes", a list of names is supported; ',
    manifest(labels=[]): r"^m\.json: labels is \[\], a list of names is supported; ",
    manifest(labels=["a", 1]): r'^m\.json: labels is \["a", 1\], a list of names is supported; ',
    manifest(labels=["a", "a"]): r'^m\.json: labels is \["a", "a"\], a list of different names is supported; ',
    manifest(micro_classes={}): r"^m\.json: micro\.classes is \{\}, a list of names is supported; ",
    manifest(micro_probability_cutoff=None): r"^m\.json: micro\.probability_cutoff is missing; ",
    manifest(
        micro_probability_cutoff="0.9"
    ): r'^m\.json: micro\.probability_cutoff is "0\.9", a number from 0 to below 1',
    manifest(micro_probability_cutoff=1): r"^m\.json: micro\.probability_cutoff is 1, a number from 0 to below 1 ",
    manifest(micro_probability_cutoff=float("nan")): r"^m\.json: micro\.probability_cutoff is NaN, a number from 0 ",
    manifest(
        micro_probability_cutoff=True
    ): r"^m\.json: micro\.probability_cutoff is true, a number from 0 to below 1 ",
    manifest(micro_sliding_window_size=0): r"^m\.json: micro\.sliding_window_size is 0, a whole number from 1 to 1000 ",
    manifest(micro_sliding_window_size=2.5): r"^m\.json: micro\.sliding_window_size is 2\.5, a whole number from 1 to ",
    manifest(micro_feature_step_size=None): r"^m\.json: micro\.feature_step_size is missing; ",
    manifest(
        micro_feature_step_size=40
    ): r"^m\.json: micro\.feature_step_size 40 is 640 samples at 16000 a second, 1 to ",
    manifest(micro_refractory_ms=-1): r"^m\.json: micro\.refractory_ms is -1, a whole number from 0 to 65535 ",
    manifest(
        micro_frames_per_inference=0
    ): r"^m\.json: micro\.frames_per_inference is 0, a whole number from 1 to 65535 ",
    manifest(frontend=[]): r"^m\.json: frontend is \[\], an object is supported; ",
    manifest(frontend={"window": 30}): r"^m\.json: frontend\.window is unknown, rate, window_ms, channels, ",
    manifest(frontend={"\n" * 99: 30}): r"^m\.json: frontend\.[\\n]{57}\.\.\. is unknown, rate, ",
    manifest(frontend={"step_ms": 20}): r"^m\.json: frontend\.step_ms is not used; give micro\.feature_step_size$",
    manifest(frontend={"window_ms": 10}): r"^m\.json: frontend: window_ms 10 is 160 samples at 16000 a second, 257 to ",
    manifest(frontend={"window_ms": [1] * 999}): r"^m\.json: frontend: window_ms is \[1, 1, [1, ]{,60}\.\.\., a whole ",
    manifest(
        frontend={"upper_band_limit": 9000}
    ): r"^m\.json: frontend: the bands reach from 125 to 9000 Hz, which must ",
    manifest(
        frontend={"channels": 64, "upper_band_limit": 7900}
    ): r"^m\.json: frontend: the weights of 64 channels from ",
}


@pytest.mark.parametrize("data", WRONG, ids=range(len(WRONG)))
def test_a_wrong_manifest_is_refused_in_one_sentence(data):
    with pytest.raises(WhitError, match=WRONG[data]) as e:
        read_manifest(data, "m.json")
    assert "\n" not in str(e.value)


def test_what_is_a_manifest():
    assert is_manifest(manifest()) and is_manifest(manifest(version=1))
    assert is_manifest(b'{"wake_word": "Hey", "Micro": {}}') and is_manifest(b'{"wake_word": 0,97')
    for data in (b"", b"{", b"[]", b"{}", b'{"micro": 1}', b'{"model": {}}', b"[" * 100_000, bytes(range(256))):
        assert not is_manifest(data)


MISFITS = [
    (dict(k=41), {}, "m: its input is (1, 41), the front end has 40 channels; give their number in m.json as "),
    (
        dict(rows=20, k=80),
        dict(labels=[str(i) for i in range(20)]),
        "m: its input is (20, 80), the front end has 40 channels; ",
    ),
    (dict(), dict(frontend={"channels": 16}), "m: its input is (1, 40), the front end has 16 channels; "),
    (dict(), dict(micro_frames_per_inference=2), "m.json: micro.frames_per_inference is 2, the model's input has 1 "),
    (dict(o=2), {}, "m.json: the output has 2 values without names; add their labels"),
    (dict(o=2), dict(labels=["a"]), "m.json: 1 labels for an output of 2 values; give one name each"),
    (dict(rows=2, k=20, o=2), dict(labels=["a", "b"]), "m.json: 2 labels for an output of 4 values; "),
    (dict(o=2), dict(labels=["a", "b"], micro_classes=["c"]), 'm.json: micro.classes names "c", the labels are a, b; '),
    (dict(o=33), dict(labels=[str(i) for i in range(33)]), "m: its output has 33 values, 1 to 32 can be listened for"),
    (
        dict(),
        dict(micro_probability_cutoff=0.997),
        "m.json: micro.probability_cutoff is 0.997, which the output of m never exceeds: it reaches 0.996094; lower it",
    ),
]


@pytest.mark.parametrize("shape, changes, text", MISFITS, ids=range(len(MISFITS)))
def test_a_model_that_does_not_fit_is_refused_in_one_sentence(shape, changes, text):
    with pytest.raises(WhitError, match="^" + re.escape(text)):
        listener(**shape, **changes)


def test_models_of_other_edges_are_refused():
    asked = read_manifest(manifest(), "m.json")
    two = nets.add("m", shape=(1, 40))
    with pytest.raises(WhitError, match=r"^m: has 2 inputs and 1 outputs, listening takes one of each; "):
        pack(two, "m", listening=asked)
    asked = read_manifest(manifest(frontend={"feature_scale": 5000.0}), "m.json")
    with pytest.raises(
        WhitError, match=r"^m: its input has the scale 0\.05 and the zero point 7, to which features of "
    ):
        pack(nets.dense("m", k=40, o=1, zi=7, so=1 / 256, zo=-128), "m", listening=asked)


def test_a_streaming_model_takes_its_frames_at_once():
    path = model_path("hey_jarvis")
    for frames, text in (
        (3, ""),
        (1, "m.json: micro.frames_per_inference is 1, the model streams and takes 3 frames a run"),
    ):
        asked = read_manifest(manifest(micro_frames_per_inference=frames), "m.json")
        if not text:
            assert detection(pack(path.read_bytes(), "m", listening=asked)).every == 3
            continue
        with pytest.raises(WhitError, match="^" + re.escape(text)):
            pack(path.read_bytes(), "m", listening=asked)


# The commands.


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """With hey_jarvis and its JSON, as downloaded."""
    monkeypatch.chdir(tmp_path)
    for suffix in (".tflite", ".json"):
        shutil.copy(model_path("hey_jarvis").with_suffix(suffix), tmp_path)
    return tmp_path


def test_pack_takes_the_json_beside_the_model(folder, capsys):
    assert main(["pack", "hey_jarvis.tflite"]) == 0
    said = capsys.readouterr().out
    assert "packed from hey_jarvis.tflite, to listen as hey_jarvis.json says\n" in said
    for line in (
        r"front end +40 channels of 480 samples, every 160 at 16,000 a second",
        r"listens for +Hey Jarvis",
        r"heard +above 0\.97 in the mean of 5 runs, a run every 3 frames",
        r"heard again +after 1,000 ms",
    ):
        assert re.search(f"^{line}$", said, re.M), said
    assert main(["inspect", "hey_jarvis.whit"]) == 0
    told = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert all(line.split() in told for line in said.splitlines()[-3:])
    assert main(["inspect", "--json", "hey_jarvis.whit"]) == 0
    about = json.loads(capsys.readouterr().out)
    assert about["detection"] == {
        "window": 5,
        "every": 3,
        "classes": 1,
        "threshold": 1241,
        "refractory_ms": 1000,
        "cutoff": 0.97,
        "words": ["Hey Jarvis"],
    }
    assert about["frontend"]["channels"] == 40 and about["frontend"]["dtype"] == "int8"


def test_pack_takes_another_json(folder, capsys):
    Path("hey_jarvis.json").rename("other.json")
    assert main(["pack", "hey_jarvis.tflite"]) == 0
    assert "listen" not in capsys.readouterr().out
    assert main(["pack", "hey_jarvis.tflite", "--json", "other.json"]) == 0
    assert "to listen as other.json says" in capsys.readouterr().out


def test_pack_leaves_another_kind_of_json_alone(folder, capsys):
    Path("hey_jarvis.json").write_text('{"name": "settings of an editor"}')
    assert main(["pack", "hey_jarvis.tflite"]) == 0
    assert "listen" not in capsys.readouterr().out
    assert main(["pack", "hey_jarvis.tflite", "--json", "hey_jarvis.json"]) == 2
    assert (
        capsys.readouterr().err == "whit: hey_jarvis.json: version is missing; give the JSON of a wake word, with it\n"
    )


def test_pack_refuses_a_manifest_with_a_slip_beside_the_model(folder, capsys):
    path = Path("hey_jarvis.json")
    good = path.read_text()
    for slip, said in ("0,97", "hey_jarvis.json: not JSON ("), ("Micro", "hey_jarvis.json: micro is missing; "):
        path.write_text(good.replace({"0,97": "0.97", "Micro": "micro"}[slip], slip))
        assert main(["pack", "hey_jarvis.tflite"]) == 2
        assert capsys.readouterr().err.startswith(f"whit: {said}")


def test_pack_refuses_a_broken_manifest_beside_the_model(folder, capsys):
    Path("hey_jarvis.json").write_bytes(manifest(micro_sliding_window_size=0))
    assert main(["pack", "hey_jarvis.tflite"]) == 2
    said = capsys.readouterr()
    assert not said.out and said.err.startswith("whit: hey_jarvis.json: micro.sliding_window_size is 0, ")
    assert not Path("hey_jarvis.whit").exists()
    assert main(["pack", "hey_jarvis.tflite", "--json", "absent.json"]) == 2
    assert capsys.readouterr().err == "whit: absent.json: cannot be read (No such file or directory); check the path\n"


def test_pack_does_not_write_over_the_json(folder, capsys):
    assert main(["pack", "hey_jarvis.tflite", "--json", "hey_jarvis.json", "-o", "hey_jarvis.json"]) == 2
    assert "hey_jarvis.json: is what is read; give the output another name" in capsys.readouterr().err


def test_inspect_refuses_broken_sections(folder, capsys):
    assert main(["pack", "hey_jarvis.tflite"]) == 0
    capsys.readouterr()
    from whit.write import seal

    data = bytearray(Path("hey_jarvis.whit").read_bytes())
    at = data.index(section(Parameters(), 0.10196078568696976, -128, "int8"))
    data[at + 4 : at + 6] = b"\xff\xff"  # the window
    Path("broken.whit").write_bytes(seal(bytes(data)))
    assert main(["inspect", "broken.whit"]) == 2
    assert (
        capsys.readouterr().err == "whit: broken.whit is broken: its front end has impossible values; pack it again\n"
    )


@pytest.mark.parametrize("name", ["Pico", ""])
def test_an_image_holds_the_model_with_its_words(folder, name):
    for source in (folder, folder / "hey_jarvis.tflite"):
        own = image.collect(source)
        assert set(own) == {"hey_jarvis.tflite", "hey_jarvis.json"}
        there = image.contents(own, image.whit_itself("armv6m"), board(name) if name else None)
        assert "hey_jarvis.json" not in there
        assert describe(there["hey_jarvis.whit"])["detection"]["words"] == ["Hey Jarvis"]
        assert "lib/whit/listen.mpy" in there and "lib/whit_audio_armv6m.mpy" in there


def test_an_image_keeps_other_json(folder):
    Path("hey_jarvis.json").write_text("{}")
    Path("settings.json").write_text("{}")
    there = image.contents(image.collect(folder), image.whit_itself("armv6m"))
    assert {"hey_jarvis.json", "settings.json"} < set(there)
    assert describe(there["hey_jarvis.whit"])["detection"] is None
    assert set(image.collect(folder / "hey_jarvis.tflite")) == {"hey_jarvis.tflite"}


def test_fit_counts_what_listening_takes(folder):
    data, pico = Path("hey_jarvis.tflite").read_bytes(), board("Pico")
    plain = fit(data, "hey_jarvis.tflite", pico)
    heard = fit(data, "hey_jarvis.tflite", pico, listening=beside(Path("hey_jarvis.tflite")))
    assert heard.fits and heard.heap_bytes > plain.heap_bytes and heard.flash_bytes > plain.flash_bytes
