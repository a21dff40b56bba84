"""The .mpy container, ABI 6.3: MicroPython's files of compiled code (py/persistentcode.c)."""

from __future__ import annotations

from dataclasses import dataclass

BYTECODE, NATIVE, VIPER = 2, 3, 4
FUNCTION_TABLE, _STRING, _BYTES, _TUPLE = 0, 5, 6, 10  # kinds of constants; those below _STRING have no contents


@dataclass(frozen=True)
class Code:
    """One function, or the module itself: its code is module[start:end], behind a head that begins at `head`."""

    kind: int
    head: int
    start: int
    end: int
    children: tuple[Code, ...]


@dataclass(frozen=True)
class Module:
    """A whole file. A name is None where it is one of the interpreter's own."""

    data: bytes
    names: tuple[str | None, ...]
    constants: tuple[int, ...]  # the kind of each
    code: Code

    def viper_functions(self) -> list[bytes]:
        """The machine code of each, in the order of their definitions.

        Raises:
            ValueError: the module has other functions.
        """
        if self.code.kind != BYTECODE or any(c.kind != VIPER or c.children for c in self.code.children):
            raise ValueError("not a module of viper functions")
        return [self.data[c.start : c.end] for c in self.code.children]


def encode(value: int) -> bytes:
    """A variable-length integer: seven bits a byte, the highest first."""
    out = [value & 0x7F]
    while value := value >> 7:
        out.append(value & 0x7F | 0x80)
    return bytes(reversed(out))


def read(data: bytes) -> Module:
    """Parse a .mpy file.

    Raises:
        ValueError: there is something behind its end.
    """
    cursor = _Cursor(data, 4)
    count, constants = cursor.uint(), cursor.uint()
    names = tuple(cursor.name() for _ in range(count))
    module = Module(data, names, tuple(cursor.constant() for _ in range(constants)), cursor.code())
    if cursor.at != len(data):
        raise ValueError("there is something behind the code")
    return module


class _Cursor:
    def __init__(self, data: bytes, at: int) -> None:
        self.data, self.at = data, at

    def byte(self) -> int:
        self.at += 1
        return self.data[self.at - 1]

    def skip(self, size: int) -> bytes:
        self.at += size
        return self.data[self.at - size : self.at]

    def uint(self) -> int:
        value, byte = 0, 0x80
        while byte & 0x80:
            byte = self.byte()
            value = value << 7 | byte & 0x7F
        return value

    def name(self) -> str | None:
        length = self.uint()
        if length & 1:
            return None
        return self.skip((length >> 1) + 1)[:-1].decode()

    def constant(self) -> int:
        kind = self.byte()
        size = self.uint() if kind >= _STRING else 0
        if kind == _TUPLE:
            for _ in range(size):
                self.constant()
        else:
            self.skip(size + (kind in (_STRING, _BYTES)))
        return kind

    def code(self) -> Code:
        head = self.at
        word = self.uint()
        kind, has_children, size = (word & 3) + 2, word & 4, word >> 3
        start = self.at
        self.skip(size)
        if kind != BYTECODE:
            self.uint()  # where the prelude is, or the flags of the scope
        children = tuple(self.code() for _ in range(self.uint())) if has_children else ()
        return Code(kind, head, start, start + size, children)
