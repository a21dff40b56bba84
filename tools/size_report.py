"""What whit itself takes of a board's memory: kernels by architecture, and heap by stage. Native code runs from RAM.

python tools/size_report.py            print it
python tools/size_report.py --check    exit 1 where a budget is exceeded
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

from build_kernels import ARCHES, PREBUILT, ROOT, BuildError, link, tool
from whit.device import opset
from whit.listening import beside
from whit.needs import IN_RAM, LISTENING_BYTES, LOADING_BYTES, PAGED, RUNTIME_BYTES, needs
from whit.pack import pack
from whit.simulate import interpreter, search_path
from whit.wakeword import model_path

# The budgets, in bytes. A module is all of its architecture's kernels together.
# With what unpacks int4 weights, 236 bytes on the Cortex-M4, and what streaming models take: a copy by words and
# a depthwise layer of one window, 260 to 290 bytes, without which such a model takes 1.7 times the instructions.
MODULE_BYTES = {"armv6m": (10 << 10) + 256, "armv7emsp": (8 << 10) + 512}
OTHER_MODULE_BYTES = 10 << 10
AUDIO_MODULE_BYTES = {"armv6m": 3584}
OTHER_AUDIO_MODULE_BYTES = 4 << 10

_HEAP = """
import gc
_ = 0
def used():
    gc.collect()
    gc.collect()  # what the first one took for a pointer may be gone
    return gc.mem_alloc()
before = used()
import whit
imported = used()
m = whit.load("m.whit")
loaded = used()
for _ in range(10):
    m.run()
print(imported - before, loaded - imported, used() - loaded)
"""


def kernel_bytes() -> dict[str, dict[str, int]]:
    """Architecture -> kernel -> bytes of its functions, as linked; what kernels share counts as `shared`."""
    names = [row[1] for row in opset.KERNELS]
    table = {}
    for arch in ARCHES:
        with tempfile.TemporaryDirectory() as folder:
            symbols = subprocess.check_output(
                [tool("llvm-nm"), "--print-size", str(link(arch, Path(folder)))], text=True
            )
        sizes = {m[2]: int(m[1], 16) for m in re.finditer(r"^\w+ (\w+) [tT] (\w+)$", symbols, re.M)}
        table[arch.name] = {name: sizes.pop(name, 0) for name in names} | {"shared": sum(sizes.values())}
    return table


def heap_bytes() -> tuple[int, int, int]:
    """Heap of the unix port: `import whit`, load() without the file and the arena, and ten runs."""
    packed = pack((ROOT / "models/digits/digits_int8.tflite").read_bytes())
    with tempfile.TemporaryDirectory() as folder, search_path() as environment:
        (Path(folder) / "m.whit").write_bytes(packed.blob)
        printed = subprocess.check_output([*interpreter(), "-c", _HEAP], cwd=folder, env=environment, text=True)
    imported, loaded, ran = map(int, printed.split())
    return imported, loaded - len(packed.blob) - packed.plan.arena_bytes, ran


_LISTENING = """
import gc
before = after = 0
def used():
    gc.collect()
    gc.collect()
    return gc.mem_alloc()
class Second:
    left = 100
    def readinto(self, buffer):
        self.left -= 1
        return len(buffer) if self.left else 0
import whit
m = whit.load("m.whit")
before = used()
from whit.listen import Listener
listener = Listener(m, Second())
for word in listener:
    pass
after = used()
print(after - before - len(listener.frontend._state))
"""


def listening_bytes() -> int:
    """Heap of the unix port: a listener from .mpy files that has heard a second of silence, without the loaded model
    and the front end's kernels and state."""
    model = model_path("hey_jarvis")
    packed = pack(model.read_bytes(), listening=beside(model))
    with tempfile.TemporaryDirectory() as folder, search_path() as environment:
        (Path(folder) / "m.whit").write_bytes(packed.blob)
        environment |= {"MICROPYPATH": f"{PREBUILT}:.frozen"}
        command = [*interpreter(), "-c", _LISTENING]
        return int(subprocess.check_output(command, cwd=folder, env=environment, text=True))


_LOADING = """
import gc
gc.collect()
print(gc.mem_free())
import whit
m = whit.load("m.whit", paged=%s)
assert m.selftest()
m.run()
print("end")
"""


def loading_bytes(page_bytes: int) -> int:
    """The least free heap of the unix port in which whit, from .mpy files, loads a model and tests it, without the
    model's file, or what is kept of it, its page and arena."""
    packed = pack((ROOT / "models/digits/digits_int8.tflite").read_bytes(), page_bytes=page_bytes)
    weights = PAGED if page_bytes else IN_RAM
    blocks = next(need.blocks for need in needs(packed.blob, "x64") if need.weights == weights)
    with tempfile.TemporaryDirectory() as folder, search_path() as environment:
        (Path(folder) / "m.whit").write_bytes(packed.blob)
        command = ["-c", _LOADING % bool(page_bytes)]
        least, enough, free = 16 << 10, 256 << 10, 0
        while enough - least > 256:
            tried = (least + enough) // 2
            printed = subprocess.run(
                [*interpreter(tried), *command],
                cwd=folder,
                env=environment | {"MICROPYPATH": f"{PREBUILT}:.frozen"},
                capture_output=True,
                text=True,
            ).stdout.split()
            if printed[-1:] == ["end"]:
                enough, free = tried, int(printed[0])
            else:
                least = tried
    return free - sum(blocks)


def budgets() -> list[tuple[str, int, int]]:
    """(what, bytes, budget) of everything that has one."""
    rows = []
    for arch in ARCHES:
        name = f"whit_native_{arch.name}.mpy"
        rows.append((name, (PREBUILT / name).stat().st_size, MODULE_BYTES.get(arch.name, OTHER_MODULE_BYTES)))
    for arch in ARCHES:
        name = f"whit_audio_{arch.name}.mpy"
        rows.append(
            (name, (PREBUILT / name).stat().st_size, AUDIO_MODULE_BYTES.get(arch.name, OTHER_AUDIO_MODULE_BYTES))
        )
    rows.append(("heap of listening", listening_bytes(), LISTENING_BYTES))
    imported, loaded, ran = heap_bytes()
    rows.append(("heap of import whit and load()", imported + loaded, RUNTIME_BYTES))
    rows.append(("heap of ten runs", ran, 0))
    for name, page_bytes in ("heap while loading", 0), ("heap while loading pages", 1024):
        rows.append((name, loading_bytes(page_bytes), RUNTIME_BYTES + LOADING_BYTES))
    return rows


def viper_bytes() -> dict[str, int]:
    """Architecture -> bytes of its precompiled viper kernels. A model takes only those it uses, so no budget."""
    return {
        arch.name: sum(path.stat().st_size for path in PREBUILT.glob(f"whit_viper_{arch.name}/*.mpy"))
        for arch in ARCHES
    }


def main() -> int:
    rows = budgets()
    over = [f"size_report: {what} takes {size} bytes, its budget is {most}" for what, size, most in rows if size > most]
    if "--check" in sys.argv:
        print("\n".join(over), end="\n" if over else "")
        return 1 if over else 0
    for what, size, most in rows:
        print(f"{what:32} {size:8,} of {most:,} bytes")
    for arch, size in viper_bytes().items():
        print(f"{f'whit_viper_{arch}':32} {size:8,} bytes")
    try:
        table = kernel_bytes()
    except BuildError as e:
        print(f"size_report: {e}", file=sys.stderr)
        return 2
    print("\ncode by kernel, bytes\n" + "".join(f"{name:>14}" for name in ["", *table]))
    for kernel in next(iter(table.values())):
        print("".join(f"{cell:>14}" for cell in [kernel, *(sizes[kernel] for sizes in table.values())]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
