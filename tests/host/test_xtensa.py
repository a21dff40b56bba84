"""What tools/xtensa.py refuses: each of these would build, and go wrong on a board."""

import re
import shutil
from pathlib import Path

import pytest
import xtensa
from build_kernels import CFLAGS
from llvm import BuildError

pytestmark = pytest.mark.skipif(not shutil.which("clang-22"), reason="clang-22 and llvm-22 are not installed")

TWIST = "static __attribute__((noinline)) int twist(int x) { return x * 1000003; }"
SOUND = TWIST + "int entry(int n, int x) { while (n--) x = twist(x); return x; }"
REFUSED = {
    "a table of bytes": (
        "static const char t[4] = {7, 1, 8, 2}; int entry(int i) { return t[i]; }",
        "data has no place",
    ),
    "a writable static": ("static int sum; int entry(int x) { return sum += x; }", "data has no place"),
    "a library call": ("long long entry(long long a, long long b) { return a / b; }", "__divdi3 is not a function"),
    "a float": ("float entry(float x) { return x * x; }", "__mulsf3 is not a function"),
    "the address of a function": (TWIST + "void *entry(void) { return twist; }", "the address of twist"),
    "an array of a length of its own": (
        "int entry(int n) { volatile char a[n]; a[n / 2] = 1; return a[n / 2]; }",
        "movsp at .* is not an instruction that every ESP32 has",
    ),
    "an instruction of an operating system": (
        'int entry(int x) { __asm volatile("rotw 1"); return x; }',
        "rotw at .* is not an instruction that every ESP32 has",
    ),
}


@pytest.fixture
def build(tmp_path):
    """C -> an ELF file."""

    def link(source: str) -> Path:
        (tmp_path / "native.c").write_text(source)
        return xtensa.link(tmp_path / "native.c", (*xtensa.TARGET, *CFLAGS), tmp_path)

    return link


@pytest.mark.parametrize("source, complaint", REFUSED.values(), ids=REFUSED)
def test_refused(build, source, complaint):
    with pytest.raises(BuildError, match=complaint):
        build(source)


def test_every_wrong_target_is_noticed(build, monkeypatch):
    """l32r, call8, j and branches, each with one bit of its distance wrong."""
    verified = []
    monkeypatch.setattr(xtensa, "verify", lambda *arguments: verified.append(arguments))
    build(SOUND)
    monkeypatch.undo()
    code, symbols, targets, assembly = verified[0]
    xtensa.verify(code, symbols, targets, assembly)
    names = {re.sub("^b.*", "branch", xtensa.disassemble(code, at, at + 3)[at]) for at in targets}
    assert names == {"j", "l32r", "call8", "branch"}
    for at in targets:
        code[at + 2] ^= 1
        with pytest.raises(BuildError):
            xtensa.verify(code, symbols, targets, assembly)
        code[at + 2] ^= 1
