"""Instructions on emulated cores, as `whit bench` prints them."""

import dataclasses
import json
import re
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import build_harness
import build_kernels
import performance
import pytest
from nets import Net
from whit import cmsis_nn
from whit.bench import bench
from whit.cli import main
from whit.device import format as blob_format
from whit.emulate import CORES, Job, cores, run
from whit.emulate.kernels import Native
from whit.emulate.run import Meter, lay_out_calls
from whit.errors import WhitError
from whit.models import digits
from whit.pack import pack
from whit.write import seal

DIGITS = Path(digits.__file__).parent / "digits_int8.tflite"
EVERY_CORE = pytest.mark.parametrize("core", CORES, ids=lambda core: core.name)


@pytest.fixture(autouse=True)
def qemu():
    for core in CORES:
        if not shutil.which(core.emulator[0]):
            pytest.skip(f"{core.emulator[0]} is not installed; run: apt-get install qemu-system-arm qemu-system-misc")


@pytest.fixture(scope="module")
def blob() -> bytes:
    return pack(DIGITS.read_bytes()).blob


def whit(capsys, *arguments) -> tuple[int, str, str]:
    status = main(["bench", *map(str, arguments)])
    return status, *capsys.readouterr()


def test_json_is_the_same_each_time(capsys):
    first, second = (whit(capsys, DIGITS, "--core", "m4", "--json") for _ in range(2))
    assert first == second and first[0] == 0
    report = json.loads(first[1])
    assert {"model", "core", "instructions", "cmsis_nn", "ratio", "layers"} <= set(report)
    assert report["model"] == "digits_int8.tflite" and report["core"] == "m4" and report["cmsis_nn"] is None
    assert sum(layer["work"] for layer in report["layers"]) > report["macs"] == 29_184


def test_a_whit_file_counts_as_its_model(capsys, blob, tmp_path):
    (tmp_path / "digits.whit").write_bytes(blob)
    counts = [json.loads(whit(capsys, path, "--json")[1]) for path in (DIGITS, tmp_path / "digits.whit")]
    assert counts[0][0]["instructions"] == counts[1][0]["instructions"]
    assert [r["core"] for r in counts[0]] == [core.name for core in CORES]


@pytest.mark.parametrize("kernels", ["native", "viper"])
def test_a_model_without_steps(capsys, kernels, tmp_path):
    net = Net("reshape")
    x, y = net.activation((1, 8)), net.activation((8,))
    net.op("RESHAPE", [x, net.constant([8])], [y])
    (tmp_path / "reshape.tflite").write_bytes(net.tflite([x], [y]))
    status, out, _ = whit(capsys, tmp_path / "reshape.tflite", "--core", "m4", "--kernels", kernels, "--json")
    report = json.loads(out)
    assert status == 0 and report["layers"] == [] and report["macs"] == 0 and report["ratio"] is None
    assert whit(capsys, tmp_path / "reshape.tflite", "--core", "m4", "--kernels", kernels)[0] == 0


def test_the_suffix_of_a_whit_file_in_capitals(capsys, blob, tmp_path):
    (tmp_path / "DIGITS.WHIT").write_bytes(blob)
    assert whit(capsys, tmp_path / "DIGITS.WHIT", "--core", "m4")[0] == 0


def test_tables(capsys):
    status, out, _ = whit(capsys, DIGITS)
    assert status == 0 and all(core.title in out for core in CORES) and "layers" not in out
    _, out, _ = whit(capsys, DIGITS, "--core", "rv32", "--kernels", "viper")
    assert "RV32IMC" in out and "3x3" in out and "viper kernels" in out


@EVERY_CORE
def test_layers_add_up(core, blob):
    """A call for all steps takes what a call for each takes, less what every call costs."""
    report = bench(blob, "digits", core)
    per_call = (sum(layer.instructions for layer in report.layers) - report.instructions) / (len(report.layers) - 1)
    assert 20 < per_call < 250


@EVERY_CORE
def test_an_instruction_counts_as_one(core):
    """Code of a known length: the same instruction a thousand times, then back."""
    nop = {"thumb": "00bf", "rv32": "0100", "xtensa": "3df0"}[core.machine.isa]
    isa = cores.ISAS[core.machine.isa]
    tail = isa.nothing[-2:]
    kernels = Native(core)
    long = kernels.function(isa.nothing[: -len(tail)] + 1000 * bytes.fromhex(nop) + tail)
    calls = lay_out_calls(kernels, (kernels.nothing, kernels.lacking, long))
    written = cores.emulate(core, kernels.stream() + calls.stream())
    nothing, lacking, counted = calls.records(written)
    meter = Meter(core, nothing, lacking)
    assert abs(meter.instructions(counted) - 1000) <= 2
    assert abs(meter.instructions(lacking) - lacking.emulated) <= 2


def test_the_networks_of_mlperf_tiny_have_figures(public_model):
    for name, m4 in ("kws_ref_model", 7_846_080), ("ad01_int8", 579_720):
        report = bench(pack(public_model(name + ".tflite")).blob, name, next(c for c in CORES if c.name == "m4"))
        assert report.cmsis_nn == m4 and report.ratio == round(report.instructions / m4, 4)
        assert report.layers[0].cmsis_nn == round(
            report.layers[0].work * {"kws_ref_model": 3.47, "ad01_int8": 1.96}[name]
        )


# The most a model may take of CMSIS-NN's instructions.
BUDGETS = {
    "kws_ref_model": {"m4": 0.50, "m0plus": 0.42, "m3": 0.85},
    "vww_96_int8": {"m4": 0.50, "m0plus": 0.42, "m3": 0.85},
    "pretrainedResnet_quant": {"m4": 0.50, "m0plus": 0.42, "m3": 0.85},
    "ad01_int8": {"m4": 0.50, "m0plus": 0.63, "m3": 0.85},
}


def test_performance(public_model):
    """The tables of docs/performance.md are what the tool writes, README's ratios too, and no model is over budget."""
    root = Path(performance.__file__).parent.parent
    reports = performance.measure(lambda name: public_model(name + ".tflite"))
    page = performance.PAGE.read_text()
    assert performance.page(page, reports, public_model("vww_96_int8.tflite")) == page, "run tools/performance.py"
    ratios = {
        core: {row[0].model: r.ratio for row in reports for r in row if r.core == core}
        for core in ("m4", "m0plus", "m3")
    }
    for model, budgets in BUDGETS.items():
        for core, most in budgets.items():
            assert ratios[core][model] <= most, (model, core)
    extremes = [f"{edge(ratios[core].values()):.2f}" for core in ("m4", "m0plus") for edge in (min, max)]
    said = re.search(
        r"take (\S+) to (\S+) of CMSIS-NN's instructions on a Cortex-M4 and (\S+) to\s+(\S+) on",
        (root / "README.md").read_text(),
    )
    assert said and list(said.groups()) == extremes


def test_a_network_of_other_shapes_has_no_figure():
    kernels = [name for name, count in cmsis_nn.NETWORKS[3].kernels for _ in range(count)]
    assert cmsis_nn.network(264_192, kernels) and not cmsis_nn.network(264_193, kernels)
    assert not cmsis_nn.network(264_192, [*kernels, "softmax"])


def test_other_bytes_than_the_pcs_are_no_count(blob):
    wrong = bytearray(blob)
    wrong[_selftest(blob)[0] + 4] ^= 1
    with pytest.raises(WhitError, match="computes other bytes than the PC"):
        bench(seal(bytes(wrong)), "digits", CORES[0])


def test_a_file_without_a_self_test_says_so(blob):
    bare = bytearray(blob)
    struct.pack_into("<H", bare, _selftest(blob)[1], 0x7000)  # a section that readers skip
    with pytest.raises(WhitError, match="digits: has no self-test; pack it again"):
        bench(seal(bytes(bare)), "digits", CORES[0])


def _selftest(blob: bytes) -> tuple[int, int]:
    """Where the section is, and where its entry in the section table."""
    count = struct.unpack_from(blob_format.HEADER, blob)[4]
    for i in range(count):
        at = blob_format.HEADER_BYTES + blob_format.SECTION_BYTES * i
        number, _, offset, _ = struct.unpack_from(blob_format.SECTION, blob, at)
        if number == blob_format.SELFTEST:
            return offset, at
    raise AssertionError


def test_a_model_larger_than_the_core(blob):
    start = CORES[0].machine.memory.start
    small = dataclasses.replace(
        CORES[0], machine=dataclasses.replace(CORES[0].machine, memory=range(start, start + 9000))
    )
    with pytest.raises(
        WhitError, match=r"does not fit the 9,000 bytes of RAM of the emulated Cortex-M0\+; choose a core with more"
    ):
        bench(blob, "digits", small)


def test_a_machine_without_qemu(blob, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(WhitError, match=r"qemu-system-arm is not installed, .* run: apt-get install qemu-system-arm"):
        bench(blob, "digits", CORES[0])


def test_a_kernel_that_faults_is_one_sentence(monkeypatch, blob):
    """An unaligned word, which a Cortex-M0 cannot load: ldr r0, [pc + 1]."""
    monkeypatch.setattr(Native, "calls", lambda self, *_: [(self.function(bytes.fromhex("7846 0130 0068 7047")), [])])
    with pytest.raises(
        WhitError, match=r"^the emulated Cortex-M0\+ stopped: the core took a fault; report this as a bug, "
    ):
        run(CORES[0], "native", [Job(blob, (bytes(64),))])


def test_what_qemu_says_itself_is_one_sentence(monkeypatch, blob, tmp_path):
    """An older QEMU without the machine, say; its status 1 is another than the harness's."""
    (tmp_path / "qemu-system-arm").write_text(
        "#!/bin/sh\necho 'unsupported machine type\nUse -machine help' >&2\nexit 1\n"
    )
    (tmp_path / "qemu-system-arm").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with pytest.raises(WhitError, match=r"^the emulated Cortex-M0\+ stopped: unsupported machine type; report this as"):
        bench(blob, "digits", CORES[0])


def test_the_harness_is_what_its_sources_build(tmp_path):
    """Byte for byte, where the compiler is the one that the native kernels name."""
    if not all(shutil.which(f"{tool}-22") for tool in ("clang", "ld.lld", "llvm-objcopy")):
        pytest.skip("clang-22, lld-22 and llvm-22 are not installed: the committed harness is used as it is")
    subprocess.run([sys.executable, build_harness.__file__, "--output", tmp_path], check=True, stdout=subprocess.PIPE)
    built = {path.name: path.read_text() for path in tmp_path.iterdir()}
    if build_kernels.versions() != (build_kernels.PREBUILT / build_kernels.VERSIONS).read_text():
        print("not compared: another compiler")
        return
    stale = [name for name, text in built.items() if (build_harness.OUTPUT / name).read_text() != text]
    assert not stale, (
        f"{', '.join(stale)}: not what tools/harness builds; run make kernels and commit host/whit/emulate"
    )
