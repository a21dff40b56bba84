"""The kernel sets in a core's memory, with the objects of an interpreter around them."""

from __future__ import annotations
import __future__

import builtins
import struct
import types
from abc import ABC, abstractmethod
from array import array
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from .. import device, mpy
from ..device import opset
from ..errors import WhitError
from ..runtime import PREBUILT
from .cores import ISAS, Core, table
from .memory import Block

_SOURCES = Path(device.__file__).parent / "viper"
# Places in the function table of the .mpy ABI 6.3.
_PLACES = {
    3: "from_object",
    4: "to_object",
    5: "swap_globals",
    7: "load_global",
    27: "call_function",
    32: "nlr_push",
    33: "nlr_pop",
    46: "floor_divide",
    49: "nlr_push",  # setjmp, which is half of it on Xtensa
    65: "get_buffer",
}
_TO_OBJECT, _TABLE = 4, 80
_WRITTEN, _PAGE = 1 << 10, 1 << 12
NONE = 0


def small_int(value: int) -> int:
    """An integer as an object."""
    return (value << 1 | 1) & 0xFFFFFFFF


@dataclass(frozen=True)
class Buffers:
    """The objects that kernels take: addresses of buffers."""

    steps: int
    weights: int
    arena: int


class Kernels(ABC):
    """A kernel set in a core's memory: what stays while jobs come and go.

    What kernels write lies apart from them, as QEMU translates code anew when something near it is written.
    """

    def __init__(self, core: Core, forged: bool = False) -> None:
        self.core, self.block = core, Block(core.machine.flash or core.machine.memory.start)
        self.written = Block(core.machine.memory.stop - _WRITTEN)
        functions = table(core)
        entries = [functions["refuse"]] * _TABLE
        entries[0] = NONE
        for place, name in _PLACES.items():
            entries[place] = functions[name]
        if forged:
            entries[_TO_OBJECT] = functions["to_any_object"]
        self._table = self.block.put_words(*entries)
        # What the others are measured by: see cores.Isa.
        self.nothing = self.function(ISAS[core.machine.isa].nothing)
        self.lacking = self.function(ISAS[core.machine.isa].lacking)

    @property
    def free(self) -> range:
        """The addresses that are left for jobs."""
        start = self.core.machine.memory.start if self.core.machine.flash else self.block.end
        if len(self.core.machine.memory) >= 1 << 20:
            start += -start % _PAGE
        return range(start, self.written.address)

    def stream(self) -> bytes:
        """What the harness reads of it."""
        return (b"" if self.core.machine.flash else self.block.stream()) + self.written.stream()

    def flash(self) -> bytes:
        """What lies in the machine's flash instead."""
        return self.block.contents() if self.core.machine.flash else b""

    def prepare(self, steps: bytes) -> None:
        """Bring the kernels of these steps into memory, as calling them does."""
        self.calls(steps, Buffers(NONE, NONE, NONE), True)

    @abstractmethod
    def calls(self, steps: bytes, buffers: Buffers, apart: bool) -> list[tuple[int, list[int]]]:
        """Function objects and their arguments that execute all steps; `apart`: in a call for each."""

    @abstractmethod
    def feed(self) -> int:
        """The function object of the audio front end, brought into memory."""

    def _module(self, names: int, globals_: int, constants: Iterable[int] = (mpy.FUNCTION_TABLE,)) -> int:
        """A module's context: what its functions find the rest by."""
        objects = [self._table if kind == mpy.FUNCTION_TABLE else NONE for kind in constants]
        return self.block.put_words(NONE, globals_, names, self.block.put_words(*objects))

    def function(self, code: bytes, context: int = NONE) -> int:
        """The address of a function object with this machine code."""
        # An interpreter promises machine code no more than a multiple of 4.
        at = self.block.put(bytes(4) + code) + 4
        return self.block.put_words(NONE, context, NONE, at | (self.core.machine.isa == "thumb"))


class Native(Kernels):
    """whit_native_ARCH.mpy."""

    def __init__(self, core: Core, forged: bool = False) -> None:
        super().__init__(core, forged)
        (code,) = _read(f"whit_native_{core.arch}.mpy").viper_functions()
        self._run = self.function(code, self._module(NONE, NONE))

    def calls(self, steps: bytes, buffers: Buffers, apart: bool) -> list[tuple[int, list[int]]]:
        edges = [(at, at + size) for at, size, _ in _records(steps)] if apart else [(0, len(steps))]
        objects = buffers.steps, buffers.weights, buffers.arena
        return [(self._run, [*objects, small_int(first), small_int(last)]) for first, last in edges]

    def feed(self) -> int:
        (code,) = _read(f"whit_audio_{self.core.arch}.mpy").viper_functions()
        return self.function(code, self._module(NONE, NONE))


class Viper(Kernels):
    """whit_viper_ARCH/*.mpy. Without the loop of whit.viper.run over the steps, which is bytecode."""

    def __init__(self, core: Core, forged: bool = False) -> None:
        super().__init__(core, forged)
        self._modules: dict[str, dict[str, int]] = {}
        self._objects: dict[int, int] = {}  # id() of what _globals() holds -> address

    def calls(self, steps: bytes, buffers: Buffers, apart: bool) -> list[tuple[int, list[int]]]:
        after = buffers.weights, buffers.steps, buffers.weights, buffers.arena
        return [(self._load(name)[name], [small_int(at), *after]) for at, _, name in _records(steps)]

    def feed(self) -> int:
        return self._load("audio")["feed"]

    def _load(self, name: str) -> dict[str, int]:
        """A module's globals, as objects in the core's memory."""
        if name in self._modules:
            return self._modules[name]
        path = f"whit_viper_{self.core.arch}/{name}.mpy"
        module, python = _read(path), _globals(name)
        defined = [v for v in python.values() if isinstance(v, types.FunctionType) and v.__globals__ is python]
        codes = module.viper_functions()
        if len(codes) != len(defined):
            raise WhitError(f"{path} is not what {name}.py compiles to; install whit again")
        for value in python.values():
            if isinstance(value, types.FunctionType) and value.__globals__ is not python:
                self._load(value.__globals__["__name__"])  # defined where it is imported from
        # A name is its place in the list of names, in the globals as in the code. Of those that every interpreter knows
        # the list has a number only; kernels call none of them.
        globals_at = self.block.put_words(*[NONE] * len(module.names))
        names = self.block.put(struct.pack(f"<{len(module.names)}H", *range(len(module.names))))
        context = self._module(names, globals_at, module.constants)
        for value, code in zip(defined, codes, strict=True):
            self._objects[id(value)] = self.function(code, context)
        objects = {key: self._object(v) for key, v in python.items() if isinstance(v, int | array | types.FunctionType)}
        self.block.write_words(globals_at, *(objects.get(name or "", NONE) for name in module.names))
        self._modules[name] = objects
        return objects

    def _object(self, value: object) -> int:
        """A function, an array or an integer of the interpreter; the same for the same."""
        if isinstance(value, int):
            return small_int(value)
        if isinstance(value, array) and id(value) not in self._objects:
            data = value.tobytes()
            self._objects[id(value)] = self.block.put_words(self.written.put(data), len(data), 0, 0)
        return self._objects[id(value)]


SETS: dict[str, Callable[..., Kernels]] = {"native": Native, "viper": Viper}


def _records(steps: bytes) -> list[tuple[int, int, str]]:
    """Of every step record: where it starts, its size, the name of its kernel."""
    found, at = [], 0
    for row, _ in opset.records(steps):
        size = steps[at + 2] | steps[at + 3] << 8
        found.append((at, size, row[1]))
        at += size
    return found


@cache
def _read(name: str) -> mpy.Module:
    """One of the .mpy files that are shipped."""
    return mpy.read((PREBUILT / name).read_bytes())


@cache
def _globals(name: str) -> dict[str, Any]:
    """The globals of whit.viper.NAME after its import: what runs once, before there is anything to count."""
    micropython = SimpleNamespace(viper=lambda function: function, const=int)

    def imported(module: str, globals_: object, locals_: object, names: tuple[str, ...], level: int) -> object:
        if level:
            return SimpleNamespace(**_globals(module))
        return {"micropython": micropython, "array": SimpleNamespace(array=array)}[module]

    found = {"__name__": name, "__builtins__": vars(builtins) | {"__import__": imported}, "micropython": micropython}
    path = _SOURCES / f"{name}.py"
    unread = __future__.annotations.compiler_flag  # viper's types
    exec(compile(path.read_text(), path.name, "exec", unread, dont_inherit=True), found)
    return found
