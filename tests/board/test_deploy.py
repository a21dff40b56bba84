"""deploy: the whole way to a board, what a second time costs, and everything that can be in the way.

The boards are simulated; on their side mpremote, unmodified, finds what was promised.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import serial
from blobs import DIGITS, digits, find, scores, with_byte
from remote import failed, said
from sounds import spoken
from whit import deploy, link
from whit.boards import board
from whit.cli import main
from whit.device import format as blob
from whit.errors import WhitError
from whit.link import BoardError, connect
from whit.needs import IN_RAM, PAGED, packings
from whit.runtime import runtime
from whit.virtual import virtual_board
from whit.wakeword import model_path

PICO = board("Pico")
ANSWER = "; y = bytearray(10); m.run(bytes([i * 37 & 255 for i in range(64)]), y); print(y.hex())"
FILL = "import os\nwith open('big', 'wb') as f:\n for _ in range(os.statvfs('/')[3] - 6): f.write(bytes(4000))"
WRONG = with_byte(scores("a"), find(scores("a"), blob.WEIGHTS)[0], 99)  # of a valid CRC, but other weights


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    for name, data in {"digits.tflite": DIGITS.read_bytes(), "a/m.whit": scores("a"), "b/m.whit": scores("b"),
                       "wrong/m.whit": WRONG, "labels.txt": b"a\nb\n"}.items():  # fmt: skip
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


@pytest.fixture
def flash(tmp_path) -> Path:
    return tmp_path / "flash.img"


@pytest.fixture
def pico(flash):
    with virtual_board(PICO, flash) as plugged:
        yield plugged


def whit(capsys, *arguments) -> tuple[int, str, str]:
    """Exit status, standard output and error of a command line."""
    status = main([str(a) for a in arguments])
    said = capsys.readouterr()
    return status, said.out, said.err


def refused(capsys, *arguments) -> str:
    """The one sentence of a command that fails."""
    status, _, text = whit(capsys, *arguments)
    assert status == 2 and text.startswith("whit: ") and text.count("\n") == 1 and "; " in text, text
    return text[len("whit: ") : -1]


def answer(plugged, load='whit.load("m.whit")') -> str:
    return said(plugged, "exec", f"import whit; from whit import store; m = {load}{ANSWER}")


def written(flash: Path) -> bytes:
    return flash.read_bytes()


def test_one_command_from_a_tflite_file_to_an_answer(capsys, pico, models):
    status, text, _ = whit(capsys, "deploy", models / "digits.tflite", "--port", pico.port)
    assert status == 0
    for words in ("bytes copied", "self-test passed; ", " per inference with native kernels", ">>> import whit"):
        assert words in text
    assert f"Try it: mpremote connect {pico.port} repl" in text
    typed = [line[6:] for line in text.splitlines() if line.startswith("  >>> ")]
    assert typed[:2] == ["import whit", 'm = whit.load("/digits.whit")'] and len(typed) == 4
    script = "\n".join([*typed[:3], f"print({typed[3]} in m.labels, len(y), m.selftest(), m.kernels)"])
    assert said(pico, "exec", script) == "True 10 True native\n"
    there = said(pico, "fs", "ls", ":lib/whit").split()
    assert {f"whit/{name}" for name in there if name.endswith(".mpy")} == {
        name for name in runtime("x64", sections=()) if name.startswith("whit/")
    }
    assert "whit.load" in text and ".part" not in "".join(there)


def test_a_wake_word_is_deployed_with_its_json(capsys, pico, tmp_path):
    """The simulated Pico hears it, in its heap, with what was copied."""
    for suffix in (".tflite", ".json"):
        shutil.copy(model_path("hey_jarvis").with_suffix(suffix), tmp_path)
    status, text, _ = whit(capsys, "deploy", tmp_path / "hey_jarvis.tflite", "--port", pico.port)
    assert status == 0 and "self-test passed" in text
    typed = [line[6:] for line in text.splitlines() if line.startswith("  >>> ")]
    assert typed[2] == "from whit.listen import Listener" and typed[3].startswith(
        "Listener(m).feed(bytearray(32000))  # "
    )
    assert said(pico, "exec", "\n".join([*typed[:3], f"print({typed[3].split('  #')[0]})"])) == "None\n"
    (tmp_path / "sound").write_bytes(spoken("awb", "Hey Jarvis, turn on the light.").tobytes())
    said(pico, "fs", "cp", tmp_path / "sound", ":")
    script = [*typed[:3], "for word, ms in Listener(m, open('sound', 'rb')): print(word, ms)"]
    assert said(pico, "exec", "\n".join(script)).startswith("Hey Jarvis ")


def test_what_is_there_and_equal_is_not_copied(capsys, flash, models):
    with virtual_board(PICO, flash) as plugged:
        whit(capsys, "deploy", models / "digits.tflite", "--port", plugged.port)
        before = written(flash)
        status, text, _ = whit(capsys, "deploy", models / "digits.tflite", "--port", plugged.port)
        assert status == 0 and "nothing to copy" in text and "self-test passed" in text
        assert text.count("there already") == 2
        assert written(flash) == before
        said(
            plugged,
            "exec",
            "import os; os.remove('lib/whit/check.mpy'); f = open('digits.whit', 'a'); f.write('x'); f.close()",
        )
        _, text, _ = whit(capsys, "deploy", models / "digits.tflite", "--port", plugged.port)
        size = len(runtime("x64")["whit/check.mpy"]) + len(digits())
        assert text.count(" to copy") == 2 and f"{size:,} bytes copied" in text and "self-test passed" in text


def test_dry_run_writes_nothing(capsys, flash, models):
    with virtual_board(PICO, flash) as plugged:
        before = written(flash)
        status, text, _ = whit(capsys, "deploy", models / "digits.tflite", "--port", plugged.port, "--dry-run")
        size = sum(map(len, runtime("x64", sections=()).values())) + len(digits())
        assert status == 0 and text.endswith(f"{size:,} bytes would be copied\n") and "self-test" not in text
        assert written(flash) == before


def test_viper_kernels(capsys, pico, models):
    status, text, _ = whit(capsys, "deploy", models / "digits.tflite", "--port", pico.port, "--kernels", "viper")
    assert status == 0 and "with viper kernels" in text and 'm = whit.load("/digits.whit", kernels="viper")' in text
    assert "whit_native" not in said(pico, "fs", "ls", ":lib")


def test_simulate(capsys, models):
    status, text, _ = whit(capsys, "deploy", models / "digits.tflite", "--simulate")
    assert status == 0 and "self-test passed" in text and "whit simulate" in text
    assert "per inference" in text and "on this PC" in text
    for options, words in (
        (("--simulate", "--board", "teensy"), "is not known; use one of Pico"),
        (("--simulate", "--port", "x"), "leave out --port, or use one that stays: whit simulate"),
        (("--simulate", "--update"), "leave out --update, or use one that stays: whit simulate"),
        (("--board", "pico"), "add --simulate, or leave it out"),
    ):
        assert words in refused(capsys, "deploy", models / "digits.tflite", *options)


def test_labels(capsys, pico, models):
    text = refused(capsys, "deploy", models / "digits.tflite", "--port", pico.port, "--labels", models / "labels.txt")
    assert "2 labels for outputs of [10] values" in text


def test_a_model_larger_than_ram_is_paged(capsys, tmp_path, public_model):
    (tmp_path / "vww.tflite").write_bytes(public_model("vww_96_int8.tflite"))
    with virtual_board(PICO) as plugged:
        status, text, _ = whit(capsys, "deploy", tmp_path / "vww.tflite", "--port", plugged.port)
        assert status == 0 and "paged" in text and " page reads" in text and "self-test passed" in text
        pages = said(plugged, "exec", "import whit; m = whit.load('vww.whit'); print(m.pages, m.profile()[0][0])")
        assert int(pages.split()[0]) > 5 and pages.split()[1] == "page"


def test_progress_goes_from_nothing_to_all(pico, models):
    seen = []
    with connect(pico.port) as found:
        plan = deploy.prepare(found, models / "digits.tflite", DIGITS.read_bytes())
        deploy.copy(found, plan, lambda path, done, total: seen.append((done, total)))
    assert seen == sorted(seen) and seen[0][0] == 0 and seen[-1] == (plan.bytes_to_copy, plan.bytes_to_copy)
    assert len(seen) > 30


def test_a_choice_that_fits_only_just_stays(pico, models, monkeypatch):
    """The free heap is not the same twice; the model is not copied again for that, only for a heap that grew."""
    data = DIGITS.read_bytes()
    whole, *_, paged, _ = packings(data, "digits.tflite", "x64")
    with connect(pico.port) as found:
        facts = found.facts()

        def choose(heap_bytes):
            monkeypatch.setattr(found, "facts", lambda: replace(facts, heap_bytes=heap_bytes))
            plan = deploy.prepare(found, models / "digits.tflite", data)
            return plan, plan.files["/digits.whit"]

        assert choose(whole[1].heap_bytes)[1] == whole[0].blob
        plan, blob = choose(whole[1].heap_bytes - 1)
        assert blob == paged[0].blob
        deploy.copy(found, plan, lambda *progress: None)
        for more, expected in (0, paged), (4095, paged), (4096, whole):
            plan, blob = choose(whole[1].heap_bytes + more)
            assert blob == expected[0].blob and bool(plan.missing) == (expected is whole)


def test_where_no_block_is_large_enough_the_pages_are_smaller(pico, models, monkeypatch):
    data = DIGITS.read_bytes()
    whole, paged, *_ = packings(data, "digits.tflite", "x64")
    with connect(pico.port) as found:
        monkeypatch.setattr(deploy, "_has_blocks", lambda link, need: need.largest_block_bytes < len(whole[0].blob))
        plan = deploy.prepare(found, models / "digits.tflite", data)
        assert plan.files["/digits.whit"] == paged[0].blob and plan.needs == paged[1]


# What the user has on the board


@pytest.mark.parametrize(
    "boot", ["while True: pass", "while True: print('x' * 60)", "import time; time.sleep(60)"], ids=range(3)
)
def test_a_boot_that_does_not_end_is_interrupted(capsys, pico, models, monkeypatch, boot):
    with connect(pico.port) as found:
        found.write("/boot.py", boot.encode())
    monkeypatch.setattr(link, "_SILENCE_SECONDS", 2)
    status, text, _ = whit(capsys, "deploy", models / "digits.tflite", "--port", pico.port, "--dry-run")
    assert status == 0 and "would be copied" in text


def test_a_boot_and_a_main_of_all_kinds(capsys, pico, models):
    boot = """
for i in range(1000): print('x' * 60)
f = os = gc = sys = time = m = whit = w = _f = 5
import gc, os
gc.threshold(2000)
if 'd' not in os.listdir('/'): os.mkdir('/d')
os.chdir('/d')
1 / 0
"""
    with connect(pico.port) as found:
        found.write("/boot.py", boot.encode())
        found.write(
            "/main.py", b"import asyncio\nasync def f():\n while 1: await asyncio.sleep_ms(10)\nasyncio.run(f())"
        )
    status, text, _ = whit(capsys, "deploy", models / "digits.tflite", "--port", pico.port)
    assert status == 0 and 'whit.load("/d/digits.whit")' in text


def test_a_board_that_prints_between_answers(pico):
    with connect(pico.port) as found, pytest.raises(WhitError) as e:
        found.value("print((1, 2)); print('tick')")
    assert (
        str(e.value)
        == f"{pico.port}: something on the board prints between its answers; stop it, in boot.py for example"
    )


@pytest.mark.parametrize("name", ["a 'b' \"c\" %s {x}.whit", "a\\nb.whit", "größe 模型 😀.whit", "whit.WHIT"])
def test_names(capsys, pico, tmp_path, name):
    (tmp_path / name).write_bytes(scores("a"))
    status, text, _ = whit(capsys, "deploy", tmp_path / name, "--port", pico.port)
    assert status == 0
    load = text.splitlines()[-2][6:]
    assert answer(pico, load[load.index("whit.load(") :]) and ".part" not in said(pico, "fs", "ls")


@pytest.mark.parametrize("name", ["a\nb.whit", os.fsdecode(b"a\xff.whit"), "n" * 246 + ".whit"])
def test_names_that_a_board_cannot_hold(capsys, pico, tmp_path, name):
    (tmp_path / name).write_bytes(scores("a"))
    text = refused(capsys, "deploy", tmp_path / name, "--port", pico.port)
    assert text.endswith(": a board cannot hold this name; rename the file")


@pytest.mark.parametrize(
    "there, words",
    [
        ("open('/lib', 'w').close()", "/lib/whit/__init__.mpy.part cannot be written on the board (Not a directory); "),
        ("import os; os.mkdir('/m.whit')", "/m.whit cannot be replaced on the board (Is a directory); remove it there"),
        ("open('/whit.py', 'w').close()", "/whit.py on the board hides /lib/whit from an import; rename or remove it"),
        ("import os; os.mkdir('/whit')", "/whit on the board hides /lib/whit from an import; rename or remove it"),
    ],
)
def test_what_is_in_the_way(capsys, pico, models, there, words):
    with connect(pico.port) as found:
        found.run(there)
    assert words in refused(capsys, "deploy", models / "a/m.whit", "--port", pico.port)


def test_exceptions_on_the_board_are_sentences(pico):
    with connect(pico.port) as found:
        for script, said_of_it in {
            "bytearray(1 << 30)": "MemoryError: memory allocation failed, allocating 1073741824 bytes",
            "raise OSError(28)": "No space left on device",
            "raise OSError(36)": "error 36",
            "raise KeyboardInterrupt": "KeyboardInterrupt:",
        }.items():
            with pytest.raises(BoardError) as e:
                found.run(script)
            assert str(e.value) == f"{pico.port}: the board stopped with: {said_of_it}; reset it and try again"


def test_ctrl_c_stops_the_board_too(pico):
    def interrupt(*arguments):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        with pytest.raises(KeyboardInterrupt), connect(pico.port) as found:
            signal.setitimer(signal.ITIMER_REAL, 0.5)
            found.run("while True: pass")
    finally:
        signal.signal(signal.SIGALRM, before)
    with serial.Serial(pico.port, timeout=2) as port:
        port.write(b"\r6 * 7\r")
        assert port.read_until(b"42\r\n").endswith(b"42\r\n")


# Updates


def test_an_update_keeps_the_model_before(capsys, pico, models):
    whit(capsys, "deploy", models / "a/m.whit", "--port", pico.port)
    first = answer(pico)
    status, text, _ = whit(capsys, "deploy", models / "b/m.whit", "--port", pico.port, "--update")
    assert status == 0 and f"{len(scores('b')):,} bytes copied" in text
    assert "from whit import store" in text and 'm = store.load("/m.whit")' in text
    second = answer(pico)
    assert first != second == answer(pico, 'store.load("m.whit")')
    assert answer(pico, 'whit.load("m.whit.old")') == first
    _, text, _ = whit(capsys, "deploy", models / "b/m.whit", "--port", pico.port, "--update")
    assert "nothing to copy" in text and answer(pico, 'whit.load("m.whit.old")') == first


def test_an_update_that_does_not_pass_changes_nothing(capsys, pico, models):
    whit(capsys, "deploy", models / "a/m.whit", "--port", pico.port)
    before = answer(pico)
    text = refused(capsys, "deploy", models / "wrong/m.whit", "--port", pico.port, "--update")
    assert "fails its self-test" in text and "stays as it was" in text
    assert answer(pico) == before and ".new" not in said(pico, "fs", "ls")


def test_a_model_that_does_not_pass_is_said_to(capsys, pico, models):
    status, text, _ = whit(capsys, "deploy", models / "wrong/m.whit", "--port", pico.port)
    assert status == 1 and "self-test FAILED" in text


def test_a_board_without_whit_is_not_updated(capsys, pico, models):
    text = refused(capsys, "deploy", models / "a/m.whit", "--port", pico.port, "--update")
    assert text == f"{pico.port}: the board has no whit, which an update needs; deploy without --update first"
    assert "ImportError" in failed(pico, "exec", "import whit")


def test_an_update_runs_with_the_kernels_that_are_there(capsys, pico, models):
    whit(capsys, "deploy", models / "a/m.whit", "--port", pico.port, "--kernels", "viper")
    status, text, _ = whit(capsys, "deploy", models / "b/m.whit", "--port", pico.port, "--update")
    assert status == 0 and "with viper kernels" in text


@pytest.mark.parametrize("before, update", [("a", True), ("b", False)])
def test_what_a_copy_left_that_was_cut_is_removed(pico, models, before, update):
    """Also that of another model; and its space counts as free."""
    left = ["/m.whit.part", "/n.whit.part", "/lib/whit/check.mpy.part", "/m.whit.new"]
    with connect(pico.port) as found:
        plan = deploy.prepare(found, models / before / "m.whit", scores(before))
        deploy.copy(found, plan, lambda *progress: None)
        for path in left:
            found.write(path, bytes(50_000))
        found.write("/user.part", b"of the user")
        found.run(FILL)
        plan = deploy.prepare(found, models / "b/m.whit", scores("b"), update=update)
        assert set(plan.leftovers) == set(left[:3])
        deploy.copy(found, plan, lambda *progress: None)
        assert deploy.try_out(found, plan).passed
        assert found.sizes([*left, "/user.part"]) == {"/user.part": 11}


# Unplugged


@pytest.mark.parametrize("update", [False, True])
@pytest.mark.parametrize("part", [0.0, 0.3, 0.99])
def test_unplugged_in_the_middle(capsys, flash, models, part, update):
    """The model that was there still is, in whole; and the next time all goes well."""
    with virtual_board(PICO, flash) as plugged:
        whit(capsys, "deploy", models / "a/m.whit", "--port", plugged.port)
        before = answer(plugged)
    with virtual_board(PICO, flash) as plugged, pytest.raises(WhitError) as e, connect(plugged.port) as found:
        plan = deploy.prepare(found, models / "b/m.whit", scores("b"), update=update)

        def progress(path, done, total):
            if done >= part * total:
                plugged.unplug()

        deploy.copy(found, plan, progress)
    assert "; " in str(e.value) and plugged.port in str(e.value), e.value
    with virtual_board(PICO, flash) as plugged:
        assert answer(plugged) == answer(plugged, 'store.load("m.whit")') == before
        status, _, err = whit(capsys, "deploy", models / "b/m.whit", "--port", plugged.port)
        assert status == 0, err
        assert answer(plugged) != before
        assert ".part" not in said(plugged, "fs", "ls")


@pytest.mark.parametrize("when", ["facts", "hashes", "reset", "run"])
def test_unplugged_before_and_after(models, when, monkeypatch):
    with virtual_board(PICO) as plugged, connect(plugged.port) as found:
        real = getattr(found, when)

        def pulled(*arguments):
            plugged.unplug()
            return real(*arguments)

        monkeypatch.setattr(found, when, pulled)
        with pytest.raises(WhitError) as e:
            plan = deploy.prepare(found, models / "a/m.whit", scores("a"))
            deploy.copy(found, plan, lambda *progress: None)
            deploy.try_out(found, plan)
        assert "; " in str(e.value) and plugged.port in str(e.value)


# What does not fit


def test_a_full_file_system(capsys, pico, models):
    """Refused before anything is copied, by how much."""
    said(pico, "exec", FILL)
    before = said(pico, "fs", "ls")
    text = refused(capsys, "deploy", models / "digits.tflite", "--port", pico.port)
    assert "bytes are to be copied" in text and "more than the" in text and "; remove files" in text
    assert said(pico, "fs", "ls") == before


def test_a_file_system_that_fills_up_on_the_way(pico):
    said(pico, "exec", FILL)
    before = said(pico, "fs", "ls")
    with connect(pico.port) as found, pytest.raises(WhitError) as e:
        found.write("/m.part", bytes(80_000))
    assert str(e.value) == "/m.part does not fit: the board's file system is full; remove files from it"
    assert said(pico, "fs", "ls") == before


def test_a_heap_that_is_too_small(capsys, tmp_path, public_model):
    (tmp_path / "vww.tflite").write_bytes(public_model("vww_96_int8.tflite"))
    with virtual_board(board("Black Pill")) as plugged:
        text = refused(capsys, "deploy", tmp_path / "vww.tflite", "--port", plugged.port)
        assert "bytes of heap (paged)" in text and "too few; free heap in boot.py, or use a smaller model" in text
        main(["pack", str(tmp_path / "vww.tflite")])
        capsys.readouterr()
        text = refused(capsys, "deploy", tmp_path / "vww.whit", "--port", plugged.port)
        assert (
            "bytes of heap (in RAM)" in text
            and "; give the model that it was packed from, or pack it with --page" in text
        )
        assert said(plugged, "fs", "ls") == "ls :\n"


def test_a_heap_that_is_divided(pico, models):
    """Enough is free, but not in one block."""
    with connect(pico.port) as found:
        facts = found.facts()
        plan = deploy.prepare(found, models / "a/m.whit", scores("a"))
        need = replace(plan.needs, blocks=(facts.heap_bytes - 1000,), whit_heap_bytes=0)
        found.run("a = [bytearray(40000) for _ in range(4)]; a[0] = a[2] = None")
        with pytest.raises(WhitError, match=r"needs a block of .* is too divided for it; "):
            deploy._check_heap(found, models / "a/m.whit", scores("a"), need, facts)


def test_a_packed_file_is_paged_where_it_can_be(capsys, tmp_path, public_model):
    (tmp_path / "vww.tflite").write_bytes(public_model("vww_96_int8.tflite"))
    main(["pack", str(tmp_path / "vww.tflite"), "--page", "16k"])
    for name, weights in ("Pico", PAGED), ("Pico 2", IN_RAM):
        with virtual_board(board(name)) as plugged, connect(plugged.port) as found:
            plan = deploy.prepare(found, tmp_path / "vww.whit", (tmp_path / "vww.whit").read_bytes())
            assert plan.needs.weights == weights


# Other boards, and none


@pytest.mark.parametrize(
    "mpy, words",
    [
        (6 | 1 << 8 | 2 << 10, "loads .mpy files of ABI 6.1, whit has those of 6.3; install MicroPython 1.23 or later"),
        (5 | 3 << 8 | 2 << 10, "loads .mpy files of ABI 5.3, whit has those of 6.3; install MicroPython 1.23 or later"),
        (6 | 3 << 8, "loads native code for no architecture, and whit has kernels for armv6m, "),
        (6 | 3 << 8 | 6 << 10, "loads native code for armv7em, and whit has kernels for armv6m, "),
        (6 | 3 << 8 | 15 << 10, "loads native code for no architecture"),
    ],
)
def test_firmware_that_whit_does_not_run_on(capsys, models, mpy, words):
    with virtual_board(PICO, mpy=mpy) as plugged:
        assert words in refused(capsys, "deploy", models / "digits.tflite", "--port", plugged.port)
        assert said(plugged, "fs", "ls") == "ls :\n"


def test_a_port_in_use(capsys, pico, models):
    with serial.Serial(pico.port, exclusive=True):
        text = refused(capsys, "deploy", models / "digits.tflite", "--port", pico.port)
    assert text.startswith(f"{pico.port} is in use by another program")


def test_no_port_of_that_name(capsys, models):
    text = refused(capsys, "deploy", models / "digits.tflite", "--port", "/dev/ttyACM77")
    assert text.startswith("there is no port /dev/ttyACM77; use ")


class Port:
    def __init__(self, device, vid=1):
        self.device, self.vid = device, vid

    def __lt__(self, other):
        return self.device < other.device


@pytest.mark.parametrize(
    "ports, words",
    [
        ([], "no board is connected; plug one in, name its port with --port, or try --simulate"),
        ([Port("ttyS0", None)], "no board is connected; "),
        ([Port("b"), Port("a")], "several serial ports are there: a, b; name the board's with --port"),
    ],
)
def test_no_board_or_several(capsys, models, monkeypatch, ports, words):
    monkeypatch.setattr(link.list_ports, "comports", lambda: ports)
    assert words in refused(capsys, "deploy", models / "digits.tflite")


def test_the_only_board_is_found(capsys, pico, models, monkeypatch):
    monkeypatch.setattr(link.list_ports, "comports", lambda: [Port(pico.port), Port("ttyS0", None)])
    assert whit(capsys, "deploy", models / "digits.tflite", "--dry-run")[0] == 0


@contextmanager
def silent():
    """A terminal at whose far end nothing answers."""
    near, far = os.openpty()
    try:
        yield os.ttyname(far)
    finally:
        os.close(near)
        os.close(far)


def test_a_port_that_does_not_answer(capsys, models, monkeypatch):
    monkeypatch.setattr(link, "_SILENCE_SECONDS", 0.5)
    with silent() as port:
        text = refused(capsys, "deploy", models / "digits.tflite", "--port", port)
    remedy = "check that the board runs it, and that Ctrl-C stops its program"
    assert text == f"{port} does not answer as MicroPython does; {remedy}"


def test_a_model_that_is_none(capsys, pico, tmp_path):
    (tmp_path / "m.whit").write_bytes(b"GIF89a")
    assert "is not a .whit file; " in refused(capsys, "deploy", tmp_path / "m.whit", "--port", pico.port)
    (tmp_path / "m.tflite").write_bytes(b"GIF89a")
    assert "not a TFLite" in refused(capsys, "deploy", tmp_path / "m.tflite", "--port", pico.port)
    assert "cannot be read" in refused(capsys, "deploy", tmp_path / "none.tflite", "--port", pico.port)
    assert said(pico, "fs", "ls") == "ls :\n"


def test_what_arrives_is_what_was_sent(pico, models, monkeypatch):
    with connect(pico.port) as found:
        plan = deploy.prepare(found, models / "a/m.whit", scores("a"))
        real = found.write
        monkeypatch.setattr(found, "write", lambda path, data, progress: real(path, data[:-1] + b"?", progress))
        with pytest.raises(WhitError, match=r"\.part is not what was sent; deploy again"):
            deploy.copy(found, plan, lambda *progress: None)
    assert "ENOENT" in failed(pico, "exec", "open('lib/whit/__init__.mpy')")


# Images


def test_an_image_boots(capsys, tmp_path, flash):
    """An image of whit, a model and main.py, flashed to a board that has never been connected."""
    folder = tmp_path / "board"
    folder.mkdir()
    (folder / "digits.tflite").write_bytes(DIGITS.read_bytes())
    (folder / "main.py").write_text(
        "import whit\nm = whit.load('digits.whit')\nwith open('ran', 'w') as f:\n    f.write(str(m.selftest()))\n"
    )
    geometry = ["--block-size", PICO.block_size, "--block-count", PICO.block_count, "--arch", "x64"]
    assert whit(capsys, "image", folder, "-o", flash, *geometry)[0] == 0
    with virtual_board(PICO, flash) as plugged:
        assert said(plugged, "exec", "print(open('ran').read())") == "True\n"
        status, text, _ = whit(capsys, "deploy", folder / "digits.tflite", "--port", plugged.port)
        assert status == 0 and "nothing to copy" in text  # an image holds what deploy would copy


def test_a_romfs_is_used_where_it_lies(capsys, tmp_path):
    """mpremote writes the image to the board; whit runs from it, and its weights are the flash's own bytes."""
    image = tmp_path / "rom.img"
    assert whit(capsys, "image", DIGITS, "-o", image, "--fs", "romfs", "--arch", "x64")[0] == 0
    with virtual_board(PICO) as plugged:
        said(plugged, "romfs", "deploy", image)
        script = "import vfs, whit; from uctypes import addressof; m = whit.load('/rom/digits_int8.whit')\n"
        script += (
            "start = addressof(vfs.rom_ioctl(2, 0)); print(addressof(m._weights) - start, whit.__file__, m.selftest())"
        )
        at, where, passed = said(plugged, "exec", script).split()
    assert int(at) == image.read_bytes().index(digits()) + find(digits(), blob.WEIGHTS)[0]
    assert (where, passed) == ("/rom/lib/whit/__init__.mpy", "True")


def test_deploy_runs_as_a_program(models):
    import subprocess

    command = [sys.executable, "-m", "whit.cli", "deploy", models / "digits.tflite", "--simulate", "--board", "pyboard"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and "self-test passed" in done.stdout, done.stderr


def test_a_program_that_prints_and_does_not_stop(capsys, pico, models, monkeypatch):
    """It swallows every Ctrl-C: refused after a while, not waited for."""
    said(
        pico,
        "exec",
        "f = open('main.py', 'w'); f.write('while True:\\n try:\\n  while True: print(1)\\n except: pass')\nf.close()",
    )
    monkeypatch.setattr(link, "_SILENCE_SECONDS", 1)
    with serial.Serial(pico.port) as port:
        port.write(b"\x04")  # and main.py runs
        port.timeout = 30
        assert b"1\r\n1" in port.read_until(b"1\r\n1")
    text = refused(capsys, "deploy", models / "digits.tflite", "--port", pico.port)
    assert "does not answer as MicroPython does" in text


@pytest.mark.parametrize("port", [__file__, "/dev/null"])
def test_what_is_no_serial_port(capsys, models, port):
    text = refused(capsys, "deploy", models / "digits.tflite", "--port", port)
    assert text == f"{port} is no serial port; mpremote connect list shows those that are there"


def test_labels_go_into_a_file_when_it_is_packed(capsys, models):
    text = refused(capsys, "deploy", models / "a/m.whit", "--labels", models / "labels.txt", "--simulate")
    assert text == "--labels are packed with a model; give the model that it was packed from"


def test_an_update_for_which_there_are_no_kernels(capsys, pico, models):
    whit(capsys, "deploy", models / "a/m.whit", "--port", pico.port)
    before = answer(pico)
    said(pico, "fs", "rm", ":lib/whit_native_x64.mpy")
    text = refused(capsys, "deploy", models / "b/m.whit", "--port", pico.port, "--update", "--kernels", "viper")
    assert text == f"{pico.port}: the board has no viper kernels; deploy without --update first"
    whit(capsys, "deploy", models / "a/m.whit", "--port", pico.port)
    assert answer(pico) == before and ".new" not in said(pico, "fs", "ls")


def test_a_file_system_that_says_it_has_less_than_nothing_free(pico, monkeypatch):
    monkeypatch.setattr(link, "_FACTS", link._FACTS.replace("_s))", "(512, 512, 128, 4294967292)))"))
    with connect(pico.port) as found:
        assert found.facts().free_blocks == 0


def test_what_is_deployed_by_page_is_run_by_page(capsys, tmp_path, public_model):
    """Also where the heap would just hold it."""
    (tmp_path / "resnet.tflite").write_bytes(public_model("pretrainedResnet_quant.tflite"))
    with virtual_board(board("ESP32")) as plugged:
        status, text, _ = whit(capsys, "deploy", tmp_path / "resnet.tflite", "--port", plugged.port)
        assert status == 0 and 'm = whit.load("/resnet.whit", paged=True)' in text and "page reads" in text
