"""A simulated board: a pseudo-terminal whose far end is MicroPython with the heap and the flash of a board.

mpremote works with it as with a board. The REPL is MicroPython's own: each run between two resets is one process of the
unix port (virtual_process.py, virtual_main.py), and a thread passes bytes between it and the terminal. The thread does
what a board has in hardware: it keeps the port across resets, turns a Ctrl-C into an interrupt, and drops what is
printed while nobody has the port open.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .boards import Board
from .errors import WhitError
from .files import write
from .simulate import interpreter
from .virtual_process import FRIENDLY, INTERRUPT, POWER_UP, RAW

try:
    import fcntl
    import termios
    import tty
except ImportError:  # Windows
    fcntl = termios = tty = None  # type: ignore[assignment]

ROM_BYTES = 256 << 10
IN_USE_BYTES = 6_000  # of a board's heap, after boot
_SPARE_BYTES = 96 << 10  # for what the simulation itself has in the heap, and the GC's tables; virtual_main.py fills it
_FOLDER = Path(__file__).parent
_READY = b"\0"  # the first write of virtual_main.py when the board has started
_START_SECONDS = 60
_CTRL_C = 0x03
_MOST_TEXT = 1 << 20  # bytes of one write; the system's limit is less
_MOST_WAITING = 1 << 14  # bytes for a reader that is slow, before the board has to wait
_SOFT_REBOOT = b"MPY: soft reboot\r\n"
# How long a Ctrl-C waits for the board to take what was typed before it: time to compile, on a slow computer.
_SETTLE_SECONDS = 2.0


class VirtualBoard:
    """A simulated board that is plugged in. `port` is the path of its terminal, for mpremote."""

    port: str

    def __init__(self, board: Board, flash: Path, mpy: int | None) -> None:
        self._arguments = [
            *(str(flash), str(board.block_size), str(board.block_count)),
            "256" if board.mcu.startswith("RP2") else "32",  # bytes of a program operation, as the ports mount
            str(board.heap_bytes - IN_USE_BYTES),
            "" if mpy is None else str(mpy),
        ]
        self._heap_bytes = (board.heap_bytes + _SPARE_BYTES) * 65 // 64
        self._rom = flash.with_name(flash.name + ".rom")
        self._process: subprocess.Popen[bytes] | None = None
        self._raw = False
        self._ready = False
        self._connected = False
        self._typed = bytearray()  # from the terminal, not yet with the board
        self._printed = bytearray()  # by the board, not yet with the terminal
        self._buffer = memoryview(bytearray(_MOST_TEXT))
        self._said = bytearray()  # by an interpreter that does not start
        self._interrupted_at: float | None = None  # since when a Ctrl-C at the head of _typed waits
        self._ended: str | None = None
        self._changed = threading.Condition()
        self._unplugged = threading.Event()
        with contextlib.ExitStack() as opened:
            self._open(opened)
            self._thread = threading.Thread(target=self._run, args=(opened.pop_all(),), daemon=True)
            self._thread.start()

    def unplug(self) -> None:
        """The port vanishes at once, as when the cable is pulled; the flash keeps what was written until then."""
        self._unplugged.set()
        with contextlib.suppress(OSError):
            self._wake.send(b"x")
        self._thread.join()

    def wait(self) -> str:
        """Return when the port is gone, with the reason as a sentence; empty for `unplug`."""
        with self._changed:
            while self._ended is None:
                self._changed.wait(1)  # in turns, so that Ctrl-C comes through
            return self._ended

    def wait_for_start(self) -> None:
        """Return when the port answers.

        Raises:
            WhitError: the interpreter does not start, or the flash holds no file system.
        """
        until = time.monotonic() + _START_SECONDS
        with self._changed:
            while not self._ready and self._ended is None and time.monotonic() < until:
                self._changed.wait(1)
            if self._ended is not None:
                raise WhitError(self._ended)
            if not self._ready:
                raise WhitError(
                    f"the simulated board has not started in {_START_SECONDS} seconds; is the PC very busy?"
                )

    # What follows runs in the thread, but for _open.

    def _open(self, opened: contextlib.ExitStack) -> None:
        """The file descriptors that outlive resets; `opened` closes them."""
        try:
            self._terminal, far = os.openpty()
        except OSError as e:
            raise WhitError(f"no pseudo-terminal can be opened ({e.strerror}); use a board") from None
        opened.callback(os.close, self._terminal)
        try:
            self.port = os.ttyname(far)
            tty.setraw(far, termios.TCSANOW)
        finally:
            # Closed, the terminal tells who else has it open: nobody is a hang-up.
            os.close(far)
        self._woken, self._wake = (opened.enter_context(end) for end in socket.socketpair())
        self._stdin, self._keyboard = os.pipe()
        for end in (self._stdin, self._keyboard):
            opened.callback(os.close, end)
        for end in (self._terminal, self._keyboard):
            os.set_blocking(end, False)
        # A board turns \n into \r\n, but not in what goes to sys.stdout.buffer. So both have a socket of their own, and
        # send, in order, to one that tells them apart.
        self._output, self._text, self._binary = (
            opened.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) for _ in range(3)
        )
        for end_of in (self._output, self._text, self._binary):
            end_of.bind("")  # the system chooses a name
        self._text_name, self._binary_name = self._text.getsockname(), self._binary.getsockname()
        for sender in (self._text, self._binary):
            sender.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _MOST_TEXT)
            sender.connect(self._output.getsockname())
        self._output.setblocking(False)

    def _run(self, opened: contextlib.ExitStack) -> None:
        reason = ""
        try:
            with opened:
                try:
                    self._start()
                    while not self._unplugged.is_set():
                        self._turn()
                except WhitError as e:
                    reason = str(e)
                finally:
                    if self._process:
                        self._process.kill()
                        self._process.wait()
                        os.close(self._alive)
        except BaseException as e:
            reason = f"the simulated board has failed ({e!r}); please report this"
            raise
        finally:
            with self._changed:
                self._ended = reason
                self._changed.notify_all()

    def _start(self) -> None:
        """Start the interpreter, as a reset does."""
        spec = importlib.util.find_spec("micropython_run")
        assert spec and spec.origin
        self._ready = False
        self._interrupted_at = None
        self._said.clear()
        self._alive, held = os.pipe()  # the far end closes when the process ends
        try:
            command = [sys.executable, "-I", "-S", str(_FOLDER / "virtual_process.py"), spec.origin, str(self._rom)]
            command += [str(self._binary.fileno()), str(int(self._raw)), str(self._heap_bytes), *self._arguments]
            # No HOME: the REPL would keep its history there.
            environment = {name: value for name, value in os.environ.items() if name != "HOME"}
            self._process = subprocess.Popen(
                command,
                env=environment | {"MICROPYPATH": f"{_FOLDER}:.frozen"},
                stdin=self._stdin,
                stdout=self._text.fileno(),
                stderr=self._text.fileno(),
                pass_fds=(self._binary.fileno(), held),
                start_new_session=True,  # a Ctrl-C in the terminal of the PC is not for the board
            )
        except BaseException:
            os.close(self._alive)
            raise
        finally:
            os.close(held)

    def _turn(self) -> None:
        """Wait until something can be passed on, and do so."""
        poll = select.poll()
        poll.register(self._woken, select.POLLIN)
        if len(self._printed) < _MOST_WAITING:
            poll.register(self._alive, select.POLLIN)
            poll.register(self._output, select.POLLIN)
        timeout = None
        if self._connected:
            wanted = 0 if self._typed else select.POLLIN
            poll.register(self._terminal, wanted | (select.POLLOUT if self._printed else 0))
        else:
            timeout = 10
        if self._typed and self._ready:
            if self._interrupted_at is None:
                poll.register(self._keyboard, select.POLLOUT)
            else:
                timeout = 1
        events = dict(poll.poll(timeout))
        self._look_for_reader()
        if not self._typed:
            with contextlib.suppress(OSError):  # nothing is there, or nobody has the port open
                self._typed += os.read(self._terminal, 4096)
        self._type()
        drained = self._fetch()
        self._show()
        if self._alive in events and drained:
            self._reset()

    def _look_for_reader(self) -> None:
        """Whether somebody has the port open: as on USB, what is printed meanwhile is lost."""
        poll = select.poll()
        poll.register(self._terminal, 0)
        self._connected = not poll.poll(0)

    def _type(self) -> None:
        """Give the board what was typed, as far as it takes it."""
        while self._typed and self._ready:
            end = self._typed.find(_CTRL_C)
            if end == 0:
                if not self._interrupt():
                    return
                self._interrupted_at = None
                del self._typed[:1]
            else:
                try:
                    del self._typed[: os.write(self._keyboard, self._typed if end < 0 else self._typed[:end])]
                except BlockingIOError:
                    return

    def _interrupt(self) -> bool:
        """Deliver a Ctrl-C: a program is interrupted, a prompt reads it. False while the board is on its way from one
        to the other, as it is soon after a line was typed; a real one is through before the next key.

        Which of the two it is, shows as on a board: the interpreter has a handler for SIGINT, or not. So that it cannot
        change its mind meanwhile, it stands still.
        """
        assert self._process
        pid = self._process.pid
        state, interruptible = _state(pid)
        if interruptible:
            os.kill(pid, signal.SIGSTOP)
            os.waitid(os.P_PID, pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
            _, interruptible = _state(pid)
            if interruptible:
                os.kill(pid, INTERRUPT)
            os.kill(pid, signal.SIGCONT)
            return interruptible
        now = time.monotonic()
        self._interrupted_at = self._interrupted_at or now
        unread = fcntl.ioctl(self._stdin, termios.FIONREAD, bytes(4)) != bytes(4)
        if (state == "S" and not unread) or now > self._interrupted_at + _SETTLE_SECONDS:
            with contextlib.suppress(BlockingIOError):
                return os.write(self._keyboard, bytes([_CTRL_C])) > 0
        return False

    def _fetch(self) -> bool:
        """Take what the board has printed; whether that was all."""
        try:
            while len(self._printed) < _MOST_WAITING:
                size, sender = self._output.recvfrom_into(self._buffer)
                data = bytes(self._buffer[:size])
                if sender == self._binary_name:
                    self._printed += data
                elif sender != self._text_name:
                    continue  # another program, which has no business here
                elif self._ready:
                    self._printed += re.sub(rb"(?<!\r)\n", b"\r\n", data)
                elif data == _READY:
                    with self._changed:
                        self._ready = True
                        self._changed.notify_all()
                else:
                    self._said += data
        except BlockingIOError:
            return True
        return False

    def _show(self) -> None:
        if not self._connected:
            self._printed.clear()
        elif self._printed:
            with contextlib.suppress(OSError):
                del self._printed[: os.write(self._terminal, self._printed)]

    def _reset(self) -> None:
        """The interpreter has ended: start it again as it asks for, or give up.

        Raises:
            WhitError: it broke.
        """
        assert self._process
        status = self._process.wait()
        os.close(self._alive)
        self._process = None
        if status in (POWER_UP, -signal.SIGTERM):
            self._raw = False
        elif status in (FRIENDLY, RAW, -signal.SIGHUP):
            self._raw = self._raw if status < 0 else status == RAW
            self._printed += _SOFT_REBOOT
        elif self._ready:
            how = f"by signal {-status}" if status < 0 else f"with status {status}"
            raise WhitError(f"the interpreter of the simulated board has stopped {how}; start it again")
        else:
            said = self._said.decode(errors="replace").strip().splitlines() or [f"status {status}"]
            raise WhitError(f"the simulated board does not start: {said[-1]}")
        self._start()


def _state(pid: int) -> tuple[str, bool]:
    """Of a process: R, S, T, ... as in ps, and whether it has a handler for SIGINT."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    found = re.search(r"^State:\s*(\w).*^SigCgt:\s*(\w+)", status, re.MULTILINE | re.DOTALL)
    assert found
    return found[1], bool(int(found[2], 16) >> (signal.SIGINT - 1) & 1)


@contextmanager
def virtual_board(board: Board, flash: Path | None = None, *, mpy: int | None = None) -> Iterator[VirtualBoard]:
    """Plug in a simulated board; at the end it is unplugged.

    Args:
        board: whose heap and flash it has.
        flash: the image of its file system, kept afterwards; made and formatted when missing. Beside it lies the ROMFS
            partition, FLASH.rom. None: both are temporary.
        mpy: what sys.implementation._mpy says, for another architecture or ABI than this PC's.

    Raises:
        WhitError: this PC cannot simulate, or the image is another board's, in use, or no littlefs.
    """
    interpreter()
    if termios is None:
        raise WhitError("a simulated board needs the pseudo-terminals of Linux; use a board")
    with contextlib.ExitStack() as opened:
        if flash is None:
            flash = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="whit-"))) / "flash.img"
        flash = flash.resolve()
        size = board.block_count * board.block_size
        opened.enter_context(_image(flash, size, f"{board.block_count} blocks of {board.block_size}, {board.name}"))
        opened.enter_context(_image(flash.with_name(flash.name + ".rom"), ROM_BYTES, "the ROMFS partition"))
        plugged = VirtualBoard(board, flash, mpy)
        try:
            plugged.wait_for_start()
            yield plugged
        finally:
            plugged.unplug()


@contextmanager
def _image(path: Path, size: int, what: str) -> Iterator[None]:
    """Hold an image of flash memory for one board at a time; an erased one where there is none."""
    if not path.exists():
        write(path, b"\xff" * size)
    try:
        file = path.open("r+b")
    except OSError as e:
        raise WhitError(f"{path}: cannot be opened for writing ({e.strerror}); check the path") from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise WhitError(
                f"{path}: another simulated board is using it; stop that one or give another file"
            ) from None
        found = path.stat().st_size
        if found != size:
            raise WhitError(f"{path}: {found:,} bytes are not the {size:,} of {what}; give another file, or delete it")
        yield
