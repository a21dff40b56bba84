"""A board at the end of a serial port, over mpremote's transport: every failure is one sentence."""

from __future__ import annotations

import ast
import contextlib
import errno
import io
import os
import struct
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import serial
from mpremote.transport import TransportError, TransportExecError
from mpremote.transport_serial import SerialTransport
from serial.tools import list_ports

from .device import kernelset
from .errors import WhitError

_CHUNK_BYTES = 1024  # of a file, sent at a time
_SILENCE_SECONDS = 10  # after which a board that should answer at once is given up
_LONGEST_SECONDS = 600  # for what a board computes


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
    block_bytes: int  # of the file system
    free_blocks: int


class Link:
    """A board that answers. Made by connect()."""

    def __init__(self, port: str, transport: SerialTransport) -> None:
        self.port = port
        self._transport = transport

    def reset(self) -> None:
        """A soft reset: a fresh heap, no main.py."""
        with self._failures(), contextlib.redirect_stdout(io.StringIO()):  # the transport prints what it cannot read
            self._transport.enter_raw_repl(soft_reset=True, timeout_overall=_SILENCE_SECONDS)

    def facts(self) -> Facts:
        """Raises WhitError where the board has no file system, or no folder for packages."""
        mpy, version, machine, heap, root, path, stat = self.value(_FACTS)
        lib = next((p for p in path if p.endswith("/lib") and not p.startswith("/rom")), None)
        if lib is None or stat is None:
            what = "file system" if stat is None else "folder lib in sys.path"
            raise WhitError(f"{machine} at {self.port} has no {what}; install its firmware again, with one")
        arches = kernelset._ARCHES
        number = mpy >> 10 & 15
        return Facts(
            machine,
            ".".join(map(str, version[:3])),
            arches[number] if number < len(arches) else "",
            (mpy & 0xFF, mpy >> 8 & 3),
            heap,
            root.rstrip("/") + "/",
            lib + "/",
            stat[0],
            stat[3],
        )

    def run(self, script: str) -> str:
        """What a script prints.

        Raises:
            WhitError: the link failed; or an exception left the script, whose text is the message.
        """
        with self._failures():
            try:
                printed, raised = self._transport.exec_raw(script, timeout=_LONGEST_SECONDS)
            except TransportError as e:
                raise WhitError(f"{self.port}: the board has stopped answering ({e}); reset it and try again") from None
        if raised:
            last = raised.decode(errors="replace").strip().splitlines()[-1]
            raise BoardError(last)
        return printed.decode(errors="replace")

    def value(self, script: str) -> Any:
        """What a script prints last, as a Python literal."""
        return literal(self.run(script))

    def hashes(self, paths: Iterable[str]) -> dict[str, bytes]:
        """The SHA-256 of those of these files that are on the board."""
        found = self.value(_HASHES % {"paths": repr(tuple(paths))})
        return {path: digest for path, digest in found.items() if digest}

    def sizes(self, paths: Iterable[str]) -> dict[str, int]:
        """Bytes of those of these files that are on the board."""
        return self.value(_SIZES % {"paths": repr(tuple(paths))})

    def write(self, path: str, data: bytes, progress: Callable[[int], None] = lambda written: None) -> None:
        """Write a file, and the folders above it; its data is not there in whole before this returns.

        Raises:
            WhitError: the file system is full, or the link failed. What was written is removed, if the board answers.
        """
        folders = [path[:i] for i in range(1, len(path)) if path[i] == "/"]
        self.run(_FOLDERS % {"paths": repr(tuple(folders))})
        try:
            with self._failures():
                self._transport.fs_writefile(path, data, _CHUNK_BYTES, lambda written, size: progress(written))
        except OSError as e:
            with contextlib.suppress(WhitError):
                self.run(_DISCARD % {"path": repr(path)})
            if e.errno == errno.ENOSPC:
                raise WhitError(f"{path} does not fit: the board's file system is full; remove files from it") from None
            raise WhitError(
                f"{path} cannot be written on the board ({e.strerror or e}); check its file system"
            ) from None

    @contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except TransportExecError as e:
            raise BoardError(e.error_output.strip().splitlines()[-1]) from None
        except TransportError:
            raise WhitError(
                f"{self.port} does not answer as MicroPython does; check that the board runs it, and reset the board"
            ) from None
        except (serial.SerialException, struct.error, TypeError) as e:  # a port that has gone gives any of these
            raise WhitError(f"{self.port}: the connection was lost ({e}); plug the board in and try again") from None
        except OSError as e:
            if e.errno in (errno.EIO, errno.ENXIO, errno.ENODEV, errno.EBADF):
                raise WhitError(
                    f"{self.port}: the connection was lost ({e.strerror}); plug the board in and try again"
                ) from None
            raise


def literal(printed: str) -> Any:
    """The last line of what was printed, as a Python literal."""
    return ast.literal_eval(printed.strip().splitlines()[-1])


class BoardError(WhitError):
    """An exception on the board; the text is the last line of its traceback."""


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


def _open(port: str) -> SerialTransport:
    try:
        return SerialTransport(port, timeout=_SILENCE_SECONDS)
    except (TransportError, OSError, ValueError):
        pass
    if os.name != "nt" and "://" not in port:
        if not Path(port).exists():
            others = [p.device for p in sorted(list_ports.comports()) if p.vid is not None]
            raise WhitError(f"there is no port {port}; use {' or '.join(others) or 'the port of a board, plugged in'}")
        if not os.access(port, os.R_OK | os.W_OK):
            raise WhitError(f"{port} may not be opened by you; join the group that owns it, dialout for example")
    raise WhitError(f"{port} is in use by another program, or no serial port; close the program, a REPL for example")


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

_FOLDERS = """
import os
for _p in %(paths)s:
    try:
        os.mkdir(_p)
    except OSError:
        pass
"""

_DISCARD = """
import os
try:
    f.close()
except Exception:
    pass
os.remove(%(path)s)
"""
