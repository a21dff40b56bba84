"""What a second of audio takes, as `whit bench` prints it."""

import json
import re
import shutil
import struct
from pathlib import Path

import pytest
from spoken import manifest, model, packed
from whit.audio_bench import second, sound
from whit.bench import bench
from whit.cli import main
from whit.device import check
from whit.device import format as blob_format
from whit.emulate import CORES, hear
from whit.inspect import describe
from whit.models import digits
from whit.pack import pack

DIGITS = Path(digits.__file__).parent / "digits_int8.tflite"


@pytest.fixture(autouse=True)
def qemu():
    for core in CORES:
        if not shutil.which(core.emulator[0]):
            pytest.skip(f"{core.emulator[0]} is not installed; run: apt-get install qemu-system-arm qemu-system-misc")


def whit(capsys, *arguments) -> tuple[int, str, str]:
    status = main(["bench", *map(str, arguments)])
    return status, *capsys.readouterr()


@pytest.mark.parametrize("core", CORES, ids=lambda core: core.name)
def test_budgets(core):
    """Front end and model together: at most 30 million instructions a second on a Cortex-M0+, and 15 on a Cortex-M4."""
    for name in ("hey_jarvis", "okay_nabu"):
        blob = packed(name).blob
        found = second(blob, core, "native", bench(blob, name, core).instructions)
        print(f"\n{name} on {core.title}: {found.to_json()}")
        assert found.frontend + found.model < (30e6 if core.arch in ("armv6m", "rv32imc", "xtensawin") else 15e6)
        assert found.frontend < {"m0plus": 9e6, "m4": 3.5e6}.get(core.name, 7e6)


def test_a_second_of_a_word(capsys, tmp_path):
    """By hand from the parts, and the same for a file as for a model with its JSON beside it."""
    (tmp_path / "word.whit").write_bytes(packed("hey_jarvis").blob)
    (tmp_path / "word.tflite").write_bytes(model("hey_jarvis"))
    (tmp_path / "word.json").write_text(json.dumps(manifest("hey_jarvis")))
    shown = [json.loads(whit(capsys, tmp_path / f"word.{end}", "--json")[1]) for end in ("whit", "tflite")]
    assert [r["second"] for r in shown[0]] == [r["second"] for r in shown[1]]
    report = next(r for r in shown[0] if r["core"] == "m4")
    found, about = report["second"], describe(packed("hey_jarvis").blob)
    every = about["detection"]["every"]
    assert found["frames"] == 100 and found["inferences"] == 100 / every and every > 1
    assert found["model"] == round(report["instructions"] * 100 / every)
    assert found["instructions"] == found["model"] + found["frontend"]
    status, out, _ = whit(capsys, tmp_path / "word.whit", "--core", "m4")
    row = re.search(
        r"a second of audio\ncore +front end +model +together\nCortex-M4 +([\d,]+) +([\d,]+) +([\d,]+)\n", out
    )
    assert status == 0 and row
    counts = [int(text.replace(",", "")) for text in row.groups()]
    assert counts == [found["frontend"], found["model"], found["instructions"]]
    assert f"100 frames and {100 / every:g} inferences, the mean over tones and noise" in out


def test_viper_takes_more():
    blob, m0 = packed("hey_jarvis").blob, CORES[0]
    native, viper = (second(blob, m0, kernels, 0) for kernels in ("native", "viper"))
    assert 3 * native.frontend < viper.frontend < 20 * native.frontend


def test_a_model_that_does_not_listen(capsys):
    assert second(pack(DIGITS.read_bytes()).blob, CORES[0], "native", 1) is None
    assert "second" not in whit(capsys, DIGITS, "--core", "m4")[1]
    assert "second" not in json.loads(whit(capsys, DIGITS, "--core", "m4", "--json")[1])


def test_the_signal():
    """Soft and then loud, and no frame is like another."""
    data = sound(16000, 16480)
    samples = struct.unpack("<16480h", data)
    assert max(map(abs, samples)) > 10000 and max(map(abs, samples[:8000])) < 2000
    blob = packed("hey_jarvis").blob
    at, size = check.check("word", memoryview(blob))[1][blob_format.FRONTEND]
    frames = hear(CORES[0], "native", blob[at : at + size], data)
    assert len(frames) == 101 and len({frame.features for frame in frames}) == 101
    counts = [frame.instructions for frame in frames[1:]]
    assert max(counts) < 1.1 * min(counts)
