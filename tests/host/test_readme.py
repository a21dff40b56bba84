"""The README is run: its commands, its Python, its tables and its list of operators."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import MODELS
from size_report import heap_bytes
from whit.boards import boards
from whit.lower.lowering import OPERATORS
from whit.simulate import interpreter, search_path

ROOT = Path(__file__).resolve().parent.parent.parent
README = (ROOT / "README.md").read_text()
DIGITS = ROOT / "models/digits/digits_int8.tflite"
PREBUILT = ROOT / "device/prebuilt"
CORES = {f"m{n.lower().replace('+', 'plus')}": f"Cortex-M{n}" for n in ("0+", "3", "4", "7", "33")}
CORES |= {"rv32": "RV32", "xtensa": "Xtensa"}


def _blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.S)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A folder like the project's, in which the README's shell lines have run."""
    folder = tmp_path_factory.mktemp("readme")
    (folder / "models").symlink_to(ROOT / "models")
    for line in "".join(_blocks("sh")).splitlines():
        command = shlex.split(line)
        assert command[0] == ".venv/bin/whit"
        done = subprocess.run(
            [sys.executable, "-m", "whit.cli", *command[1:]], cwd=folder, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
    return folder


def test_the_shell_lines(folder):
    assert (folder / "digits_int8.whit").exists()


def test_the_python_lines(folder):
    """Both blocks under MicroPython, with an input for each of the names they use."""
    lines = [
        "x = [0.5] * 64",
        "x_int8, y_int8 = bytearray(64), bytearray(10)",
        *_blocks("python"),
        "print(y[0] + y[9])",
    ]
    (folder / "readme.py").write_text("\n".join(lines))
    with search_path() as environment:
        done = subprocess.run(
            [*interpreter(), "readme.py"], cwd=folder, env=environment, capture_output=True, text=True
        )
    assert done.returncode == 0 and not done.stderr, done.stderr
    assert "digits_int8.whit" in done.stdout


def test_the_make_targets():
    targets = re.findall(r"^ {4}make (\w+)$", README, re.M)
    assert targets == ["demo", "test"]
    makefile = (ROOT / "Makefile").read_text()
    for target in [*targets, "setup"]:
        assert f"\n{target}:" in makefile


def test_the_table():
    if not MODELS.exists():
        pytest.skip("the public models are not beside the project, in ../shared/models")
    names = "kws_ref_model vww_96_int8 pretrainedResnet_quant ad01_int8 micro_speech_quantized hello_world_int8".split()
    paths = [next(MODELS.glob(f"*/{name}.tflite")) for name in names]
    printed = subprocess.check_output([sys.executable, ROOT / "tools/model_table.py", *paths, DIGITS], text=True)
    assert f"<!-- models -->\n{printed}<!-- end -->" in README


def _bytes(module: str) -> str:
    return f"{(PREBUILT / module).stat().st_size:,}"


def test_the_boards():
    """One row for each board of boards.toml, in its order."""
    expected = [
        f"| {b.name} | {b.mcu}, {CORES[b.core]} | `whit_native_{b.arch}.mpy` | {_bytes(f'whit_native_{b.arch}.mpy')} | "
        f"{b.heap_bytes:,} | {b.clock_hz // 1_000_000} MHz |"
        for b in boards()
    ]
    table = re.search(r"\| board \|.*?\n\n", README, re.S)
    assert table and table[0].splitlines()[2:] == [*expected, ""]


def test_the_native_modules():
    """Every module for boards is there with its size: in the table, or for boards that are not in it, below."""
    listed = set(re.findall(r"`(whit_native_\w+\.mpy)`(?: \| | \()([\d,]+)", README))
    assert listed == {
        (path.name, _bytes(path.name)) for path in PREBUILT.glob("whit_native_*.mpy") if "x64" not in path.name
    }


def test_the_heap():
    listed = re.search(r"whit itself takes about ([\d,]+) bytes of heap", README)
    assert listed and abs(sum(heap_bytes()) - int(listed[1].replace(",", ""))) < 1000


def test_the_operators():
    listed = re.search(r"- Operators: (.*?), with CALL_ONCE and VAR_HANDLE\. No LSTM", README, re.S)
    assert listed
    names = [name.split(" ")[0] for name in re.sub(r"\s+", " ", re.sub(r"\(.*?\)", "", listed[1])).split(", ")]
    assert names == sorted(OPERATORS)


def test_links():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / target).exists(), target
