"""A board at the end of a serial port, over mpremote's transport: every failure is one sentence."""

from __future__ import annotations

import ast
import contextlib
import errno
import io
import os
import re
import stat
import struct
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mpremote.mp_errno import MP_ERRNO_TABLE
from mpremote.transport import TransportError
from mpremote.transport_serial import SerialTransport
from serial.tools import list_ports

from .device import kernelset
from .errors import WhitError

_CHUNK_BYTES = 1024  # of a file, sent at a time
_SILENCE_SECONDS = 10  # after which a board that should answer at once is given up
_FILE_SECONDS = 30  # for a step of a copy; a file system that tidies up takes some
_LONGEST_SECONDS = 600  # for what a board computes
_RAW = b"raw REPL; CTRL-B to exit\r\n"


@dataclass(frozen=True)
class Facts:
    """What a board says of itself, right after a soft reset."""

    machine: str  # for example "Raspberry Pi Pico with RP2040"
    version: str  # of MicroPython
    arch: str  # of native code, "" for none
    abi: tuple[int, int]  # of .mpy files
    heap_bytes: int  # free
    root: str  # the folder that the REPL starts in, with a slash at its end
    lib: str  # where packages are installed, likewise
    before_lib: tuple[str, ...]  # folders that an import searches first, likewise
    block_bytes: int  # of the file system
    free_blocks: int


class Link:
    """A board that answers. Made by connect()."""

    def __init__(self, port: str, transport: _Transport) -> None:
        self.port = port
        self._transport = transport

    def reset(self) -> None:
        """A soft reset: a fresh heap, no main.py. A boot.py that does not end is interrupted."""
        silent = "does not answer as MicroPython does; check that the board runs it, and that Ctrl-C stops its program"
        with self._failures(f"{self.port} {silent}"):
            try:
                self._transport.enter_raw_repl(soft_reset=True, timeout_overall=_SILENCE_SECONDS)
            except TransportError:
                self._transport.serial.write(b"\x03")
                if not self._transport.read_until(1, _RAW, timeout=_SILENCE_SECONDS).endswith(_RAW):
                    raise
                self._transport.in_raw_repl = True

    def facts(self) -> Facts:
        """Raises WhitError where the board has no file system, or no folder for packages."""
        mpy, version, machine, heap, root, path, space = self.value(_FACTS)
        lib = next((p for p in path if p.endswith("/lib") and not p.startswith("/rom")), None)
        if space is None:
            raise WhitError(f"{machine} at {self.port} has no file system; install its firmware again, with one")
        if lib is None:
            raise WhitError(f"{machine} at {self.port} has no folder lib in sys.path; append one in boot.py")
        root = root.rstrip("/") + "/"
        before = [p or root for p in path[: path.index(lib)] if not p.startswith(".")]
        return Facts(
            machine,
            ".".join(map(str, version[:3])),
            kernelset.arch(mpy),
            (mpy & 0xFF, mpy >> 8 & 3),
            heap,
            root,
            lib + "/",
            tuple(p.rstrip("/") + "/" for p in before),
            space[0],
            space[3] if space[3] <= space[2] else 0,  # an overfull littlefs has less than none
        )

    def run(self, script: str, seconds: float = _LONGEST_SECONDS) -> str:
        """What a script prints.

        Raises:
            WhitError: the link failed; a BoardError for an exception that left the script.
        """
        silent = "the board has stopped answering, or something on it prints between its answers"
        with self._failures(f"{self.port}: {silent}; stop the threads and timers of boot.py, or reset the board"):
            printed, raised = self._transport.exec_raw(script, timeout=seconds)
        if raised:
            raise BoardError(self.port, raised.decode(errors="replace"))
        return printed.decode(errors="replace")

    def value(self, script: str) -> Any:
        """What a script prints last, as a Python literal."""
        return self.literal(self.run(script))

    def literal(self, printed: str) -> Any:
        """The last line of what a script printed, as a Python literal."""
        try:
            return ast.literal_eval(printed.strip().splitlines()[-1])
        except (ValueError, SyntaxError, IndexError):
            raise WhitError(
                f"{self.port}: something on the board prints between its answers; stop it, in boot.py for example"
            ) from None

    def hashes(self, paths: Iterable[str]) -> dict[str, bytes]:
        """The SHA-256 of those of these files that are on the board."""
        found = self.value(_HASHES % {"paths": repr(tuple(paths))})
        return {path: digest for path, digest in found.items() if digest}

    def sizes(self, paths: Iterable[str]) -> dict[str, int]:
        """Bytes of those of these files that are on the board."""
        return self.value(_SIZES % {"paths": repr(tuple(paths))})

    def names(self, folder: str) -> list[str]:
        """Of what lies in a folder."""
        return self.value(f"import os\nprint(os.listdir({folder!r}))")

    def write(self, path: str, data: bytes, progress: Callable[[int], None] = lambda written: None) -> None:
        """Write a file, and the folders above it; its data is not there in whole before this returns.

        Raises:
            WhitError: the file system is full, or the link failed. What was written is removed, if the board answers.
        """
        folders = [path[:i] for i in range(1, len(path)) if path[i] == "/"]
        self.run(_EACH % {"what": "mkdir", "paths": repr(tuple(folders))})
        try:
            self.run(f"_f = open({path!r}, 'wb')", _FILE_SECONDS)
            for start in range(0, len(data), _CHUNK_BYTES):
                self.run(f"_f.write({data[start : start + _CHUNK_BYTES]!r})", _FILE_SECONDS)
                progress(min(start + _CHUNK_BYTES, len(data)))
            self.run("_f.close()", _FILE_SECONDS)
        except BoardError as e:
            with contextlib.suppress(WhitError):
                self.run(_DISCARD % {"path": repr(path)})
            if e.errno == errno.ENOSPC:
                raise WhitError(f"{path} does not fit: the board's file system is full; remove files from it") from None
            raise WhitError(f"{path} cannot be written on the board ({e.said}); check its file system") from None

    def rename(self, path: str, target: str) -> None:
        """Give a file the name of another, which it replaces."""
        try:
            self.run(f"import os\nos.rename({path!r}, {target!r})")
        except BoardError as e:
            raise WhitError(f"{target} cannot be replaced on the board ({e.said}); remove it there") from None

    def remove(self, paths: Iterable[str]) -> None:
        """Remove those of these files that are there and can be."""
        self.run(_EACH % {"what": "remove", "paths": repr(tuple(paths))})

    @contextmanager
    def _failures(self, silent: str) -> Iterator[None]:
        """One sentence for what the transport raises; `silent` where the board does not answer."""
        try:
            with contextlib.redirect_stdout(io.StringIO()):  # the transport prints what it cannot read
                yield
        except TransportError:
            raise WhitError(silent) from None
        except (OSError, struct.error, TypeError):  # a port that has gone gives any of these
            raise WhitError(f"{self.port}: the connection was lost; plug the board in and try again") from None


class BoardError(WhitError):
    """An exception on the board."""

    def __init__(self, port: str, traceback: str) -> None:
        self.said = (traceback.strip().splitlines() or ["an exception"])[-1]  # the last line, an errno in words
        self.errno: int | None = None  # as of this PC
        number = re.fullmatch(r"OSError: (?:\[Errno (\d+)\] E\w+|(\d+))", self.said)
        if number:
            self.errno = MP_ERRNO_TABLE.get(int(number[1] or number[2]))
            self.said = os.strerror(self.errno) if self.errno else f"error {number[1] or number[2]}"
        super().__init__(f"{port}: the board stopped with: {self.said}; reset it and try again")


class _Transport(SerialTransport):
    def enter_raw_repl(self, soft_reset: bool = True, timeout_overall: float = _SILENCE_SECONDS) -> None:
        """As mpremote's, which reads for ever from a board that does not stop printing."""
        self.serial.write(b"\r\x03")
        self.serial.reset_input_buffer()
        self.serial.write(b"\r\x01")
        for ending, then in (_RAW + b">", b"\x04"), (b"soft reboot\r\n", b""), (_RAW, b""):
            if not self.read_until(1, ending, timeout=timeout_overall).endswith(ending):
                raise TransportError("could not enter raw repl")
            self.serial.write(then)
        self.in_raw_repl = True

    def read_until(
        self,
        min_num_bytes: int,
        ending: bytes,
        timeout: float = _SILENCE_SECONDS,
        data_consumer: None = None,
        timeout_overall: float | None = None,
    ) -> bytes:
        """As mpremote's, whose time is never up while a board prints, and grows with the square of what it prints."""
        until = time.monotonic() + min(timeout, timeout_overall or timeout)
        data = bytearray()
        while not data.endswith(ending) and time.monotonic() < until:
            if self.is_pty or self.serial.in_waiting:
                data += self.serial.read(1)
            else:
                time.sleep(0.001)
        return bytes(data)


@contextmanager
def connect(port: str | None = None) -> Iterator[Link]:
    """The board at a port, or the one that is there, after a soft reset; at the end it has its friendly REPL again.

    Raises:
        WhitError: no board, several, a port that is not there or in use, or one that does not answer.
    """
    port = port or _only_port()
    transport = _open(port)
    try:
        link = Link(port, transport)
        link.reset()
        yield link
    except BaseException:
        with contextlib.suppress(OSError):
            transport.serial.write(b"\x03")  # whatever it runs, or reads
        raise
    finally:
        with contextlib.suppress(OSError, TransportError):
            if transport.in_raw_repl:
                transport.exit_raw_repl()
        with contextlib.suppress(OSError):
            transport.close()


def _only_port() -> str:
    found = [p.device for p in sorted(list_ports.comports()) if p.vid is not None]
    if not found:
        raise WhitError("no board is connected; plug one in, name its port with --port, or try --simulate")
    if len(found) > 1:
        raise WhitError(f"several serial ports are there: {', '.join(found)}; name the board's with --port")
    return found[0]


def _open(port: str) -> _Transport:
    try:
        return _Transport(port, timeout=_SILENCE_SECONDS)
    except (TransportError, OSError, ValueError):
        pass
    if os.name != "nt" and "://" not in port:
        if not Path(port).exists():
            others = [p.device for p in sorted(list_ports.comports()) if p.vid is not None]
            raise WhitError(f"there is no port {port}; use {' or '.join(others) or 'the port of a board, plugged in'}")
        if not os.access(port, os.R_OK | os.W_OK):
            raise WhitError(f"{port} may not be opened by you; join the group that owns it, dialout for example")
        if not _is_terminal(port):
            raise WhitError(f"{port} is no serial port; mpremote connect list shows those that are there")
    raise WhitError(f"{port} is in use by another program; close it, a REPL for example")


def _is_terminal(port: str) -> bool:
    try:
        number = os.open(port, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    except OSError:  # one that is in use may not be opened
        return stat.S_ISCHR(Path(port).stat().st_mode)
    try:
        return os.isatty(number)
    finally:
        os.close(number)


# On the board. Names with a leading underscore stay out of the way of a user's.

_FACTS = """
import gc, os, sys
_i = sys.implementation
try:
    _s = os.statvfs(os.getcwd())
except OSError:
    _s = None
gc.collect()
print((getattr(_i, "_mpy", 0), tuple(_i.version[:3]), getattr(_i, "_machine", sys.platform), gc.mem_free(), os.getcwd(),
    list(sys.path), _s))
"""

_HASHES = """
def _hash(path):
    import hashlib
    h = hashlib.sha256()
    b = bytearray(512)
    v = memoryview(b)
    try:
        with open(path, "rb") as f:
            n = f.readinto(b)
            while n:
                h.update(v[:n])
                n = f.readinto(b)
    except OSError:
        return None
    return h.digest()
print({p: _hash(p) for p in %(paths)s})
"""

_SIZES = """
import os
def _size(path):
    try:
        return os.stat(path)[6]
    except OSError:
        return -1
print({p: _size(p) for p in %(paths)s if _size(p) >= 0})
"""

_EACH = """
import os
for _p in %(paths)s:
    try:
        os.%(what)s(_p)
    except OSError:
        pass
"""

_DISCARD = """
import os
try:
    _f.close()
except Exception:
    pass
os.remove(%(path)s)
"""
