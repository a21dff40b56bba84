"""The simulated board as the real mpremote meets it: its REPLs, resets, file system, heap and end."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
import serial
from remote import TIMEOUT, failed, mpremote, said
from whit.boards import board
from whit.errors import WhitError
from whit.runtime import PREBUILT
from whit.virtual import IN_USE_BYTES, ROM_BYTES, virtual_board

PICO = board("Pico")
EVERY_BYTE = bytes(range(256)) * 17 + b"\r\n\x03\x04\x01\x00\xff"


@contextmanager
def keyboard(plugged):
    """The port as a terminal has it: `until(text)` reads that far."""
    with serial.Serial(plugged.port, timeout=TIMEOUT, exclusive=True) as port:

        def until(text: bytes) -> bytes:
            read = port.read_until(text)
            assert read.endswith(text), read
            return read

        port.until = until
        yield port


@pytest.fixture(scope="module")
def pico(tmp_path_factory):
    with virtual_board(PICO, tmp_path_factory.mktemp("pico") / "flash.img") as plugged:
        yield plugged


def test_exec_and_eval(pico):
    assert said(pico, "exec", "print('hello')\nprint(6 * 7)") == "hello\n42\n"
    assert said(pico, "eval", "[1, 'zwei', b'3']") == "[1, 'zwei', b'3']\n"
    assert "ZeroDivisionError" in failed(pico, "exec", "1 / 0")


def test_line_ends_of_text_and_bytes(pico):
    with keyboard(pico) as port:
        port.write(b"\r\x03\x01")
        port.until(b"raw REPL; CTRL-B to exit\r\n>")
        port.write(b"import sys\nprint('a\\nb')\nsys.stdout.buffer.write(b'c\\nd')\nprint('e')\x04")
        assert port.until(b"\x04>") == b"OKa\r\nb\r\nc\nde\r\n\x04\x04>"
        port.write(b"\x02")
        port.until(b">>> ")


def test_files_go_there_and_back(pico, tmp_path):
    (tmp_path / "there").write_bytes(EVERY_BYTE)
    said(pico, "fs", "cp", tmp_path / "there", ":every byte.bin")
    assert said(pico, "fs", "ls") == f"ls :\n{len(EVERY_BYTE):12} every byte.bin\n"
    said(pico, "fs", "cp", ":every byte.bin", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == EVERY_BYTE
    assert "every byte.bin" in said(pico, "fs", "sha256sum", "every byte.bin")
    said(pico, "fs", "rm", ":every byte.bin")
    assert said(pico, "fs", "ls") == "ls :\n"


def test_a_mounted_folder(pico, tmp_path):
    # Over sys.stdin.buffer and sys.stdout.buffer, with every byte and Ctrl-C among them.
    (tmp_path / "every.bin").write_bytes(EVERY_BYTE)
    script = "print(open('every.bin', 'rb').read() == bytes(range(256)) * 17 + b'\\r\\n\\x03\\x04\\x01\\x00\\xff')"
    assert said(pico, "mount", tmp_path, "exec", script).endswith("True\n")


def test_run(pico, tmp_path):
    (tmp_path / "script.py").write_text("def f():\n    return 'done'\n\n\nprint(f())\n")
    assert said(pico, "run", tmp_path / "script.py") == "done\n"


def test_nothing_of_the_pc_shows(pico):
    script = "import os, sys; print(os.getcwd(), os.listdir(), sys.argv, sys.path); print(sorted(globals()))"
    first, second = said(pico, "exec", script).splitlines()
    assert first == "/ [] [] ['', '.frozen', '/lib', '/rom', '/rom/lib']"
    assert second == "['__file__', '__name__', 'os', 'sys']"


@pytest.mark.parametrize("name", ["Pico", "Pyboard v1.1"])
def test_heap_and_flash_are_the_boards(name):
    b = board(name)
    script = (
        "import gc, micropython, os; print(gc.mem_free(), *os.statvfs('/')[:3]); gc.collect(); micropython.mem_info()"
    )
    with virtual_board(b) as plugged:
        text = said(plugged, "exec", script)
        free, *geometry = map(int, text.splitlines()[0].split())
        assert geometry == [b.block_size, b.block_size, b.block_count]
        assert abs(free - (b.heap_bytes - IN_USE_BYTES)) < 0.02 * b.heap_bytes
        largest = 32 * int(re.search(r"max free sz: (\d+)", text)[1])
        assert largest > 0.97 * free
        assert "MemoryError" in failed(plugged, "exec", f"bytearray({b.heap_bytes})")


def test_a_soft_reset_gives_a_new_interpreter_and_keeps_the_files(pico):
    said(pico, "exec", "x = 1\nwith open('kept', 'w') as f: f.write('kept')")
    assert said(pico, "resume", "exec", "print(x)") == "1\n"
    said(pico, "soft-reset")
    assert "NameError" in failed(pico, "resume", "exec", "print(x)")
    assert (
        said(pico, "exec", "import os; print(open('kept').read()); os.rename('kept', 'k'); os.remove('k')") == "kept\n"
    )


def test_leaving_is_a_soft_reset(pico, tmp_path):
    (tmp_path / "leave.py").write_text("import sys\nprint('leaving')\nsys.exit()\n")
    assert said(pico, "run", tmp_path / "leave.py") == "leaving\n"
    assert said(pico, "exec", "import sys; sys.exit(3)") == ""
    assert said(pico, "exec", "raise SystemExit") == ""
    said(pico, "reset")
    assert said(pico, "exec", "print('here')") == "here\n"


def test_the_raw_repl_resets_to_itself(pico):
    with keyboard(pico) as port:
        port.write(b"\r\x03\x01")
        port.until(b"raw REPL; CTRL-B to exit\r\n>")
        for leave, answer in ((b"\x04", b"OK\r\n"), (b"import sys; sys.exit()\x04", b"OK\x04\x04")):
            port.write(leave)
            read = port.until(b"raw REPL; CTRL-B to exit\r\n>")
            assert read == answer + b"MPY: soft reboot\r\nraw REPL; CTRL-B to exit\r\n>"
        port.write(b"\x02")
        port.until(b">>> ")


def test_the_friendly_repl(pico):
    with keyboard(pico) as port:
        port.write(b"\r\x03")
        port.until(b">>> ")
        port.write(b"\x02")
        port.until(b'Type "help()" for more information.\r\n>>> ')
        port.write(b"6 * 7\r")
        assert port.until(b"\r\n42\r\n>>> ").startswith(b"6 * 7")
        port.write(b"for i in range(2):\rprint(i)\r\r\r\r")  # the REPL indents by itself
        port.until(b"0\r\n1\r\n>>> ")
        port.write(b"\x05if 1:\r  print('pasted')\r\x04")
        port.until(b"\r\npasted\r\n>>> ")
        port.write(b"\x04")
        assert b"MPY: soft reboot\r\n" in port.until(b'Type "help()" for more information.\r\n>>> ')


def test_ctrl_c_interrupts_a_program(pico):
    with keyboard(pico) as port:
        port.write(b"\r\x03\x01")
        port.until(b"raw REPL; CTRL-B to exit\r\n>")
        for program in (
            b"while True: pass",
            b"import time\nwhile True: time.sleep(10)",
            b"while True: print('x' * 99)",
        ):
            port.write(b"print('go')\n" + program + b"\x04")
            port.until(b"OKgo\r\n")
            port.write(b"\x03print('after')\x04")
            assert re.search(rb"\x04Traceback.*line \d.*KeyboardInterrupt: \r\n\x04>$", port.until(b"\x04>"), re.DOTALL)
            assert port.until(b"\x04>") == b"OKafter\r\n\x04\x04>"
        port.write(b"\x02")
        port.until(b">>> ")


def test_ctrl_c_at_any_time_loses_nothing_that_follows(pico):
    # The Ctrl-C meets a program, the prompt, or the way between the two.
    with keyboard(pico) as port:
        port.write(b"\r\x03\x01")
        port.until(b"raw REPL; CTRL-B to exit\r\n>")
        for i in range(200):
            port.write(b"for i in range(%d): pass\x04" % (i * 20))
            time.sleep(i % 20 / 10000)
            port.write(b"\x03print('number %d')\x04" % i)
            port.until(b"OKnumber %d\r\n\x04\x04>" % i)
        for i in range(50):
            port.write(b"while True: pass\x04\x03print('number %d')\x04" % i)
            assert b"KeyboardInterrupt" in port.until(b"OKnumber %d\r\n\x04\x04>" % i)
        port.write(b"\x02")
        port.until(b">>> ")


def test_boot_and_main(tmp_path):
    (tmp_path / "boot.py").write_text("print('boot')\nbooted = 1\n")
    (tmp_path / "main.py").write_text("print('main', booted, __file__)\nstarted = 1\nwhile True:\n    pass\n")
    with virtual_board(PICO, tmp_path / "flash.img") as plugged:
        said(plugged, "fs", "cp", tmp_path / "boot.py", tmp_path / "main.py", ":")
        assert said(plugged, "exec", "print('started' in globals())") == "False\n"
    with virtual_board(PICO, tmp_path / "flash.img") as plugged:
        assert said(plugged, "resume", "exec", "print(started, booted)") == "1 1\n"
        with keyboard(plugged) as port:
            port.write(b"\x04")
            assert b"boot\r\nmain 1 main.py\r\n" in port.until(b"main.py\r\n")
            port.write(b"\x03")
            read = port.until(b">>> ")
            assert (
                b'Traceback (most recent call last):\r\n  File "main.py", line 4, in <module>\r\nKeyboardInterrupt'
                in read
            )
        assert said(plugged, "exec", "import os; os.remove('main.py'); print(1 / booted)") == "1.0\n"


def test_what_goes_wrong_at_boot(tmp_path):
    (tmp_path / "boot.py").write_text("x = 1\n1 / 0\n")
    (tmp_path / "main.py").write_text("import sys; sys.exit(\n")
    (tmp_path / "leave.py").write_text("import os, sys\nos.remove('main.py')\nsys.exit()\n")
    with virtual_board(PICO) as plugged:
        said(plugged, "fs", "cp", tmp_path / "boot.py", tmp_path / "main.py", tmp_path / "leave.py", ":")
        with keyboard(plugged) as port:
            port.write(b"\r\x03\x04")
            read = port.until(b'Type "help()" for more information.\r\n>>> ')
            assert b'  File "boot.py", line 2, in <module>\r\nZeroDivisionError' in read
            assert b'  File "main.py", line 2\r\nSyntaxError' in read and b"virtual" not in read
            port.write(b"import os; os.rename('leave.py', 'main.py')\r")
            port.until(b">>> ")
            port.write(b"\x04")
            read = port.until(b"information.\r\n>>> ")
            assert read.count(b"MPY: soft reboot\r\n") == 2, read


def test_mip_installs_the_runtime(pico):
    said(pico, "mip", "install", PREBUILT / "x64.json")
    assert "native" in said(pico, "exec", "import whit; print(whit.info())")


def test_romfs(pico, tmp_path):
    folder = tmp_path / "rom"
    (folder / "lib").mkdir(parents=True)
    (folder / "data.bin").write_bytes(EVERY_BYTE)
    (folder / "lib/inrom.py").write_text("there = True\n")
    assert f"size {ROM_BYTES} bytes" in said(pico, "romfs", "query")
    assert "ROMFS image deployed" in said(pico, "romfs", "--no-mpy", "deploy", folder)
    script = """
import gc, inrom, vfs
data = memoryview(open('/rom/data.bin', 'rb'))
print(inrom.there, bytes(data[:256]) == bytes(range(256)), len(data))
before = gc.mem_alloc()
view = memoryview(open('/rom/data.bin', 'rb'))
print(gc.mem_alloc() - before < 1000)
"""
    assert said(pico, "exec", script) == f"True True {len(EVERY_BYTE)}\nTrue\n"


def test_mpy_of_another_architecture(tmp_path):
    armv6m = 2 << 10 | 3 << 8 | 6
    script = "import sys; print(sys.implementation._mpy, sys.implementation.name, sys.path[2], sys.platform)"
    with virtual_board(PICO, mpy=armv6m) as plugged:
        assert said(plugged, "exec", script) == f"{armv6m} micropython /lib linux\n"
        said(plugged, "exec", "import sys; sys.stdout.write('x')")


def test_unplugged_while_it_copies(tmp_path):
    (tmp_path / "old").write_bytes(EVERY_BYTE)
    (tmp_path / "new").write_bytes(bytes(1_000_000))
    with virtual_board(PICO, tmp_path / "flash.img") as plugged:
        said(plugged, "fs", "cp", tmp_path / "old", ":old")
        image = tmp_path / "flash.img"
        before = image.read_bytes()
        command = [sys.executable, "-m", "mpremote", "connect", plugged.port, "fs", "cp", str(tmp_path / "new"), ":new"]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as copying:
            while image.read_bytes().count(0) < before.count(0) + 20_000 and copying.poll() is None:
                time.sleep(0.01)
            plugged.unplug()
            assert copying.wait(TIMEOUT) != 0
        assert not Path(plugged.port).exists() and plugged.wait() == ""
    with virtual_board(PICO, tmp_path / "flash.img") as plugged:
        said(plugged, "fs", "cp", ":old", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == EVERY_BYTE


def test_a_crash_closes_the_port():
    with virtual_board(PICO) as plugged:
        assert mpremote(plugged, "exec", "import os; os.system('kill -SEGV $PPID')").returncode
        assert "signal 11" in plugged.wait()


def children() -> set[str]:
    return {pid for task in Path("/proc/self/task").glob("*/children") for pid in task.read_text().split()}


def test_it_leaves_nothing_behind(tmp_path, monkeypatch):
    def here():
        return set(os.listdir("/proc/self/fd")), set(threading.enumerate()), children(), list(tmp_path.iterdir())

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = here()
    with virtual_board(PICO) as plugged:
        port = Path(plugged.port)
        assert port.exists() and len(children() - before[2]) == 1 and list(tmp_path.iterdir())
    assert not port.exists()
    plugged.unplug()
    assert here() == before


def test_images_that_are_refused(tmp_path):
    image = tmp_path / "flash.img"
    image.write_bytes(b"\xff" * 4096)
    with (
        pytest.raises(WhitError, match=r"flash.img: 4,096 bytes are not the 1,441,792 of 352 blocks"),
        virtual_board(PICO, image),
    ):
        pass
    image.write_bytes(b"x" * PICO.block_size * PICO.block_count)
    with pytest.raises(WhitError, match="holds no file system"), virtual_board(PICO, image):
        pass
    image.unlink()
    with (
        virtual_board(PICO, image),
        pytest.raises(WhitError, match="another simulated board"),
        virtual_board(PICO, image),
    ):
        pass


def test_the_command(tmp_path):
    command = [
        sys.executable,
        "-m",
        "whit.cli",
        "simulate",
        "--board",
        "Pico 2",
        "--flash",
        str(tmp_path / "flash.img"),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            line = process.stdout.readline()
            port = re.fullmatch(r"Pico 2, simulated, at (\S+); type: mpremote connect \1 repl\n", line)[1]
            done = subprocess.run(
                [sys.executable, "-m", "mpremote", "connect", port, "exec", "print('here')"],
                capture_output=True,
                timeout=TIMEOUT,
            )
            assert done.stdout == b"here\r\n"
            process.send_signal(2)
            out, err = process.communicate(timeout=TIMEOUT)
        finally:
            process.kill()
    assert process.returncode == 0 and not out and not err
    assert not Path(port).exists()
    assert (tmp_path / "flash.img").stat().st_size == board("Pico 2").block_count * 4096
