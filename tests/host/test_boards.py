"""The board table: every figure is plausible and has a source, and a name finds its board."""

from dataclasses import fields
from pathlib import Path

import pytest
import whit.prebuilt
from whit.boards import board, boards
from whit.emulate import CORES
from whit.errors import WhitError
from whit.runtime import runtime

SRAM = {  # of the datasheets: all of it, whatever the firmware makes of it
    "RP2040": 264 << 10,
    "RP2350": 520 << 10,
    "ESP32": 520 << 10,
    "ESP32-S3": 512 << 10,
    "ESP32-C3": 400 << 10,
    "STM32F405": 192 << 10,
    "STM32F411": 128 << 10,
    "STM32H743": 1 << 20,
}
BY_NAME = pytest.mark.parametrize("b", boards(), ids=lambda b: b.name)


@BY_NAME
def test_every_board_is_plausible(b):
    assert (Path(whit.prebuilt.__file__).parent / f"whit_native_{b.arch}.mpy").exists()
    assert b.core in {core.name for core in CORES}
    assert 0 < b.block_size * b.block_count <= b.flash_bytes
    assert 0 < b.heap_bytes < SRAM[b.mcu]
    assert 10_000_000 < b.clock_hz < 1_000_000_000


@BY_NAME
def test_the_file_system_lies_in_the_flash(b):
    start = {"picotool": 0x1000_0000, "esptool": 0, "dfu-util": 0x0800_0000}[b.flash_tool]  # as the tool counts
    end = b.fs_address + b.block_size * b.block_count
    assert start < b.fs_address and b.fs_address % 4096 == 0 and end <= start + b.flash_bytes
    # Where it is not the end of the flash, MicroPython of an STM32F4 is on both sides.
    assert end == start + b.flash_bytes or b.mcu.startswith("STM32F4")


@BY_NAME
def test_every_figure_has_a_source(b):
    figures = {f.name for f in fields(b) if isinstance(getattr(b, f.name), int)}
    assert set(b.sources) == figures | {"arch", "flash_tool"}
    assert all(len(source) > 10 for source in b.sources.values())


def test_names_are_unique():
    assert len({b.name for b in boards()}) == len(boards())


@pytest.mark.parametrize(
    "name, found",
    [("Pico", "Pico"), ("pico w", "Pico W"), ("pico2", "Pico 2"), ("ESP32", "ESP32"), ("c3", "ESP32-C3"),
     ("pyboard", "Pyboard v1.1"), ("h743", "Nucleo-H743ZI")],
)  # fmt: skip
def test_a_name_or_a_short_form_finds_its_board(name, found):
    assert board(name).name == found


@pytest.mark.parametrize("name, known", [("teensy", boards()), ("", boards()), ("pic", boards()[:3])])
def test_other_names_are_refused_in_one_sentence(name, known):
    with pytest.raises(WhitError) as e:
        board(name)
    assert str(e.value).endswith("; use one of " + ", ".join(b.name for b in known)) and "\n" not in str(e.value)


@BY_NAME
def test_every_board_has_a_runtime_of_each_kernel_set(b):
    native, viper = runtime(b.arch), runtime(b.arch, "viper")
    assert f"whit_native_{b.arch}.mpy" in native and not any(name.startswith("whit_viper") for name in native)
    assert {"whit/viper/__init__.mpy", f"whit_viper_{b.arch}/requantize.mpy"} < set(viper)
    assert "whit/model.mpy" in native.keys() & viper.keys() and all(data[:1] == b"M" for data in viper.values())


def test_an_architecture_without_kernels_is_refused():
    with pytest.raises(WhitError, match="no kernels for architecture armv6;"):
        runtime("armv6")
