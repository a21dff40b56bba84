"""whit fit: its figures against those they follow from, a littlefs made of the same files, and what it says."""

import dataclasses
import json
import shutil
from pathlib import Path

import nets
import pytest
from whit import image
from whit.bench import bench
from whit.boards import BOOTED_BYTES, board, boards
from whit.cli import main
from whit.cli.show import in_seconds
from whit.emulate import CORES
from whit.errors import WhitError
from whit.fit import Fit, count, fit
from whit.inspect import describe
from whit.models import digits
from whit.needs import IN_PLACE, IN_RAM, PAGED, Needs, needs, needs_on, pack_for, pack_to_fit
from whit.pack import pack

DIGITS = Path(digits.__file__).parent / "digits_int8.tflite"
BY_NAME = pytest.mark.parametrize("b", boards(), ids=lambda b: b.name)
BOTH = pytest.mark.parametrize("kernels", ["native", "viper"])


@pytest.fixture(scope="module")
def models() -> dict[str, bytes]:
    """From what fits every board to what fits none."""
    return {
        "digits.tflite": DIGITS.read_bytes(),
        "middle.tflite": nets.dense("middle", k=256, o=256),  # 66 KB
        "large.tflite": nets.convolution("large", x=(6, 6, 96), out=256),  # 225 KB
        "wide.tflite": nets.pool("wide", "MAX_POOL_2D", x=(96, 96, 64)),  # an arena of 576 KB, and no weights
    }


@pytest.fixture
def no_qemu(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)


@pytest.fixture
def qemu():
    for core in CORES:
        if not core.emulated:
            pytest.skip(f"{core.emulator[0]} is not installed; run: apt-get install qemu-system-arm qemu-system-misc")


@pytest.fixture
def whit_fit(capsys, tmp_path, monkeypatch, models):
    """The command beside the models: status, standard output, standard error."""
    monkeypatch.chdir(tmp_path)
    for name, data in models.items():
        (tmp_path / name).write_bytes(data)

    def call(*arguments) -> tuple[int, str, str]:
        status = main(["fit", *map(str, arguments)])
        return status, *capsys.readouterr()

    return call


# The figures


@BY_NAME
@BOTH
def test_the_figures_follow_from_needs(models, b, kernels):
    for name, data in models.items():
        f = fit(data, name, b, kernels)
        packed, need = pack_to_fit(
            data, name, b.arch, b.heap_bytes - BOOTED_BYTES, kernels, largest_block_bytes=b.largest_block_bytes
        )
        about = describe(packed.blob)
        assert f.blob == packed.blob and f.weights == need.weights and f.weights in (IN_RAM, PAGED)
        assert f.page_bytes == (about["page_bytes"] if f.weights == PAGED else 0)
        assert f.heap_bytes == need.heap_bytes and f.heap_left_bytes == b.heap_bytes - BOOTED_BYTES - need.heap_bytes
        assert f.largest_block_bytes == need.largest_block_bytes
        in_place = next(n for n in needs(packed.blob, b.arch, kernels) if n.weights == IN_PLACE)
        assert f.in_place_heap_bytes == in_place.heap_bytes < f.heap_bytes
        assert (
            f.fits == (not f.why_not) == (f.flash_left_bytes >= 0 and needs_on(b, packed.blob, name, kernels)[1] == 0)
        )
        if b.largest_block_bytes is None:
            assert f.fits == (f.flash_left_bytes >= 0 and f.heap_left_bytes >= 0)
        assert f.instructions is None and f.seconds is None


def test_which_board_takes_which_model(models):
    def table(name: str) -> dict[str, str]:
        return {b.name: f.weights if (f := fit(models[name], name, b)).fits else "no" for b in boards()}

    assert set(table("digits.tflite").values()) == {"in RAM"}
    others = {"Pyboard v1.1": "paged", "Black Pill F411": "no"}
    assert table("middle.tflite") == dict.fromkeys((b.name for b in boards()), "in RAM") | others
    assert table("large.tflite") == {
        "Pico": "paged",
        "Pico W": "paged",
        "Pico 2": "in RAM",
        "ESP32": "paged",
        "ESP32-S3": "paged",
        "ESP32-C3": "paged",
        "Pyboard v1.1": "no",  # whose file systems are smaller
        "Black Pill F411": "no",
        "Nucleo-H743ZI": "in RAM",
    }
    assert set(table("wide.tflite").values()) == {"no"}


def test_a_whit_file_is_taken_as_it_is(models):
    pico = board("pico")
    whole, paged = (pack(models["large.tflite"], "x", page_bytes=size).blob for size in (0, 16 << 10))
    f = fit(whole, "large.whit", pico)
    assert f.blob == whole and f.weights == IN_RAM and not f.fits and f.heap_left_bytes < 0
    assert f"{-f.heap_left_bytes:,} bytes of heap; pack it with --page, use a smaller model or a board" in f.why_not
    f = fit(paged, "LARGE.WHIT", pico)
    assert f.blob == paged and f.weights == PAGED and f.fits and f.page_bytes == describe(paged)["page_bytes"]
    roomy = fit(paged, "large.whit", board("pico2"))
    assert roomy.weights == IN_RAM and not roomy.page_bytes and not roomy.read_bytes


def test_what_a_run_reads_of_a_paged_file(models):
    f = fit(models["large.tflite"], "large.tflite", board("pico"))
    about = describe(f.blob)
    assert f.read_bytes == about["read_bytes"]
    assert about["weights_bytes"] - 16 * about["pages"] < f.read_bytes <= about["weights_bytes"]
    one = describe(pack(models["digits.tflite"], "digits", page_bytes=64 << 10).blob)
    assert one["pages"] == 1 and one["read_bytes"] == 0  # it stays where it is


@pytest.mark.parametrize("name", ["kws_ref_model", "vww_96_int8", "pretrainedResnet_quant", "ad01_int8"])
def test_the_models_of_mlperf_tiny(public_model, name):
    fits = {b.name: fit(public_model(f"{name}.tflite"), f"{name}.tflite", b) for b in boards()}
    large = name in ("vww_96_int8", "ad01_int8")
    for b in ("Pico", "Pico W", "ESP32", "ESP32-S3", "ESP32-C3"):
        assert fits[b].fits and fits[b].weights == (PAGED if large else IN_RAM)
    for b in ("Pico 2", "Nucleo-H743ZI"):
        assert fits[b].fits and fits[b].weights == IN_RAM
    for b in ("Pyboard v1.1", "Black Pill F411"):
        assert fits[b].fits == (name == "kws_ref_model") == (" bytes of flash; " not in fits[b].why_not)


# Heap in two areas


def test_the_largest_block():
    need = Needs(IN_RAM, (110_000, 8_000), 20_000, 0)
    assert need.lacking_bytes(160_000) == 0 and need.lacking_bytes(130_000) == 8_000
    assert need.lacking_bytes(160_000, 110_000) == 0
    assert need.lacking_bytes(160_000, 106_000) == 4_000
    # Neither block fits the first area, of 150,000 - 100,000 bytes, so both have to fit the second.
    assert Needs(IN_RAM, (60_000, 55_000), 20_000, 0).lacking_bytes(150_000, 100_000) == 15_000
    assert Needs(IN_RAM, (60_000, 30_000), 20_000, 0).lacking_bytes(150_000, 100_000) == 0


def test_a_block_larger_than_an_esp32_has(models):
    """Paged where bytes in all would do; and where it is the arena that is too large, a sentence."""
    b = board("esp32")
    model = nets.dense("single", k=336, o=336)  # 113 KB in one block
    whole = next(n for n in needs(pack(model).blob, b.arch) if n.weights == IN_RAM)
    assert whole.heap_bytes < b.free_bytes and whole.largest_block_bytes > b.largest_block_bytes
    f = fit(model, "single.tflite", b)
    assert f.fits and f.weights == PAGED and pack_to_fit(model, "single", b.arch, b.free_bytes)[1].weights == IN_RAM
    arena = fit(nets.convolution("arena", x=(42, 42, 64), out=64, k=(1, 1)), "arena.tflite", b)
    assert not arena.fits and arena.heap_left_bytes > 0
    lacking = arena.largest_block_bytes - b.largest_block_bytes
    assert arena.why_not == (
        f"ESP32 lacks {lacking:,} bytes of heap in one block; use a smaller model or a board with more heap"
    )


@pytest.mark.parametrize("b", [b for b in boards() if b.largest_block_bytes], ids=lambda b: b.name)
def test_the_largest_block_is_of_the_second_area(b):
    """As gc_try_add_heap has it: the area is the object and 13/512 of it."""
    first = {"ESP32": 56_000}.get(b.name, 64_000)
    size = b.largest_block_bytes
    assert size + size * 13 // 512 <= b.heap_bytes - first < size + 1 + (size + 1) * 13 // 512
    assert b.core in ("xtensa", "rv32")


# Flash


@BY_NAME
@BOTH
def test_flash_is_enough_and_little_more(b, kernels, models):
    """Never below what a littlefs of the same files takes, one of that size can be made, and it is not much more."""
    for size in (0, 1, 4_236, 28_516, 81_111):
        there = {"model.whit": bytes(size), **image.whit_itself(b.arch, kernels)}
        estimate = image.littlefs_bytes(there, b.block_size)
        rounded = sum(-(-len(data) // b.block_size) * b.block_size for data in there.values())
        assert estimate % b.block_size == 0 and rounded <= estimate < 1.1 * rounded + 12 * b.block_size
        if estimate <= b.fs_bytes:
            made = image._littlefs(there, b.block_size, b.block_count)
            assert made is not None and made.used_block_count * b.block_size < estimate
        assert len(image.littlefs(there, b.block_size, estimate // b.block_size)) == estimate
    f = fit(models["digits.tflite"], "digits.tflite", b, kernels)
    there = image.contents({"digits.tflite": models["digits.tflite"]}, image.whit_itself(b.arch, kernels), b, kernels)
    assert f.flash_bytes == image.littlefs_bytes(there, b.block_size)
    assert f.flash_left_bytes == b.block_size * b.block_count - f.flash_bytes


def test_an_image_packs_for_its_board(models):
    b = board("pico")
    ours = image.whit_itself(b.arch)
    own = {"large.tflite": models["large.tflite"]}
    assert image.contents(own, ours, b)["large.whit"] == pack_for(b, own["large.tflite"], "x")[0].blob
    assert image.contents(own, ours)["large.whit"] == pack(own["large.tflite"]).blob


# Time


@pytest.mark.parametrize("core", CORES, ids=lambda core: core.name)
def test_cycles_are_plausible_and_documented(core):
    assert 0.5 <= core.cycles <= 2.5
    page = (Path(__file__).resolve().parent.parent.parent / "docs/performance.md").read_text()
    assert f"\n| {core.title} | {core.cycles} | " in page


def test_seconds_are_instructions_by_cycles_over_the_clock():
    f = Fit("x", True, IN_RAM, 0, 0, 1, 1, 1, 1, 1, 1, "m4", 1.5, 100_000_000, "", instructions=2_000_000)
    assert f.seconds == pytest.approx(0.03)
    assert dataclasses.replace(f, instructions=None).seconds is None


@pytest.mark.parametrize(
    "seconds, text",
    [(0.0943, "94 ms"), (0.124, "120 ms"), (1.26, "1.3 s"), (123.0, "120 s"), (0.00799, "8.0 ms"), (0.9951, "1.0 s"),
     (0.000012, "12 us"), (0.9949, "990 ms"), (0.0, "0.0 us")],
)  # fmt: skip
def test_two_digits(seconds, text):
    assert in_seconds(seconds) == text


def test_instructions_are_those_of_bench(models, qemu):
    fits, why = count([fit(models["digits.tflite"], "digits.tflite", b) for b in boards()], "digits.tflite")
    assert not why
    blob = pack(models["digits.tflite"]).blob
    counted = {core.name: bench(blob, "digits", core).instructions for core in CORES}
    for b, f in zip(boards(), fits, strict=True):
        core = next(core for core in CORES if core.name == b.core)
        assert f.instructions == counted[b.core]
        assert f.seconds == counted[b.core] * core.cycles / b.clock_hz


def test_each_core_counts_once(models, monkeypatch, qemu):
    """Of boards that run the same; and none of those that the model does not fit."""
    counted = []

    def record(blob, name, core, kernels):
        counted.append((core.name, blob))
        return bench(blob, name, core, kernels)

    monkeypatch.setattr("whit.fit.bench", record)
    shown = []
    fits = [fit(models["middle.tflite"], "middle.tflite", b) for b in boards()]
    timed, _ = count(fits, "middle.tflite", progress=lambda *at: shown.append(at))
    assert [core for core, _ in counted] == ["m0plus", "m33", "xtensa", "rv32", "m4", "m7"]
    assert [at[1:] for at in shown] == [(i, 6) for i in range(6)]
    assert [f.board for f in timed if f.seconds is None] == ["Black Pill F411"]


def test_a_paged_model_counts_as_it_runs(models, qemu):
    (paged,), why = count([fit(models["large.tflite"], "large.tflite", board("pico"))], "large.tflite")
    whole = bench(pack(models["large.tflite"]).blob, "large", CORES[0]).instructions
    assert not why and paged.weights == PAGED and whole < paged.instructions < 1.1 * whole


# The command


def test_the_table(whit_fit, qemu):
    status, out, err = whit_fit("large.tflite")
    lines = out.splitlines()
    assert status == 0 and not err and lines[0] == "large.tflite, native kernels, stock MicroPython"
    for b, line in zip(boards(), lines[2:], strict=False):
        assert line.startswith(b.name)
    f = fit(Path("large.tflite").read_bytes(), "large.tflite", board("pico"))
    assert lines[2].split()[1:] == [
        "yes", "paged,", *(f"{n:,}" for n in (f.page_bytes, f.heap_bytes, f.heap_left_bytes, f.flash_bytes,
                                             f.flash_left_bytes)), *lines[2].split()[-2:],
    ]  # fmt: skip
    assert lines[2].endswith(" ms") and "times are estimates" in out and f"{f.read_bytes:,}" in out
    assert out.count("Pyboard v1.1 lacks ") == out.count("Black Pill F411 lacks ") == 1
    assert "use a smaller model or a board with a larger file system" in out
    assert "ROMFS partition" in out and "no time" not in out


def test_the_status_is_about_the_board_that_was_named(whit_fit):
    assert whit_fit("wide.tflite", "--no-time")[0] == 0
    status, out, _ = whit_fit("wide.tflite", "--no-time", "--board", "pico")
    assert status == 1 and out.count(" lacks ") == 1 and "Pico lacks " in out and "Pico 2" not in out
    assert whit_fit("digits.tflite", "--no-time", "--board", "pico")[0] == 0


def test_without_time(whit_fit, no_qemu):
    _, out, _ = whit_fit("digits.tflite", "--no-time", "--kernels", "viper")
    assert "estimates" not in out and "no time" not in out and "viper kernels" in out and "ROMFS" not in out


def test_a_machine_without_qemu(whit_fit, no_qemu):
    """All but the times, and one line with what to install."""
    status, out, err = whit_fit("digits.tflite")
    assert status == 0 and not err and " ms" not in out and out.count(" yes ") == len(boards())
    assert out.count("no time") == out.count("apt-get") == 1
    assert out.splitlines()[-1] == (
        "no time: qemu-system-arm and qemu-system-riscv32 and qemu-system-xtensa are not installed; "
        "run: apt-get install qemu-system-arm qemu-system-misc"
    )
    status, out, err = whit_fit("digits.tflite", "--board", "c3", "--json")
    assert json.loads(out)["seconds"] is None and err.startswith("whit: no time: qemu-system-riscv32 is not installed")


def test_a_count_that_fails_is_no_time(models, monkeypatch, qemu):
    def fail(*_):
        raise WhitError("digits.tflite: has no self-test; pack it again")

    monkeypatch.setattr("whit.fit.bench", fail)
    fits, why = count([fit(models["digits.tflite"], "digits.tflite", b) for b in boards()], "digits.tflite")
    assert why == ["digits.tflite: has no self-test; pack it again"] and all(f.seconds is None for f in fits)


def test_json(whit_fit, qemu):
    status, out, _ = whit_fit("digits.tflite", "--json")
    found = json.loads(out)
    assert status == 0 and [entry["board"] for entry in found] == [b.name for b in boards()]
    types = {
        "model": str, "kernels": str, "board": str, "fits": bool, "weights": str, "page_bytes": int, "read_bytes": int,
        "heap_bytes": int, "heap_left_bytes": int, "largest_block_bytes": int, "in_place_heap_bytes": int,
        "flash_bytes": int, "flash_left_bytes": int, "core": str, "cycles_per_instruction": float, "clock_hz": int,
        "why_not": str, "instructions": int, "seconds": float,
    }  # fmt: skip
    for entry in found:
        assert {key: type(value) for key, value in entry.items()} == types
    status, out, _ = whit_fit("wide.tflite", "--json", "--board", "pico")
    entry = json.loads(out)
    assert status == 1 and entry["board"] == "Pico" and not entry["fits"] and entry["instructions"] is None
    assert entry["why_not"].startswith("Pico lacks ")


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["digits.tflite", "--board", "teensy"], "board 'teensy' is not known; use one of Pico, "),
        (["none.tflite"], "none.tflite: cannot be read (No such file or directory); check the path"),
        (["text.whit"], "text.whit is not a .whit file"),
        (["text.tflite"], "text.tflite: not a TFLite or ONNX model"),
    ],
)
def test_mistakes(whit_fit, arguments, message, tmp_path):
    for name in ("text.whit", "text.tflite"):
        (tmp_path / name).write_text("no model")
    status, out, err = whit_fit(*arguments)
    assert status == 2 and not out and err.count("\n") == 1 and err.startswith("whit: ") and message in err


def test_an_image_that_does_not_load_says_so(whit_fit, capsys):
    for arguments, text, status in (
        (["large.tflite"], " bytes, weights paged", 0),
        (["wide.tflite"], "/wide.whit does not load: the Pico lacks ", 1),
    ):
        assert main(["image", *arguments, "-o", "o.img", "--board", "pico"]) == status
        said = "".join(capsys.readouterr())
        assert text in said and ("does not load" in said) == (status == 1)
