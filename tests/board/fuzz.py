# What test_fuzz.py runs under MicroPython: KERNELS FIRST LAST
#
# Mutants FIRST ... LAST - 1 of the .whit files in the working folder are loaded, some of those with pages by page, and,
# where load() takes them, run, between guard bytes. Prints the number of each before it starts; the last line is the
# counts, or what is wrong.

import os
import struct
import sys
import time
from binascii import crc32

import whit
from mutants import ARENA, mutant
from whit import format as blob

GUARD = 1024  # bytes on each side of it
TAIL = 64  # bytes after the file, which no kernel may read
BUDGET_MS = 2000  # for one load and one run
PATTERNS = [bytes([value]) * (GUARD + ARENA + GUARD) for value in (0x55, 0xAA)]

guarded = bytearray(GUARD + ARENA + GUARD)


class Defect(Exception):
    """What a mutant did that no file may do."""


# The trial


def place(b):
    # b as a view of a larger buffer, and that buffer
    home = bytearray(16 + len(b) + TAIL)
    home[16 : 16 + len(b)] = b
    return memoryview(home)[16 : 16 + len(b)], home


def refill(size, pattern):
    guarded[:] = PATTERNS[pattern]
    blob.noise(1, memoryview(guarded)[GUARD : GUARD + size])


def check_guards(size, pattern):
    if guarded[:GUARD] != PATTERNS[pattern][:GUARD]:
        raise Defect("bytes before the arena changed")
    if guarded[GUARD + size :] != PATTERNS[pattern][GUARD + size :]:
        raise Defect("bytes after the arena changed")


def use(m):
    # The other ways to run a model, which may refuse it.
    for way in lambda: m.labels, m.selftest, lambda: m.predict(*[bytes(t.size) for t in m.inputs]):
        try:
            way()
        except ValueError:
            continue


def load(b, arena, kernels, paged):
    # -> (model, what may hold anything behind the weights)
    if not paged:
        view, home = place(b)
        return whit.load(view, arena, kernels), memoryview(home)[16 + len(b) :]
    with open("mutant", "wb") as f:
        f.write(b)
    m = whit.load("mutant", arena, kernels, True)
    home = bytearray(len(m._weights) + TAIL)  # every page is read again in every run, into a guarded buffer
    m._pager.buffer = m._weights = memoryview(home)[: len(m._weights)]
    m._pager._held = -3
    return m, memoryview(home)[len(m._weights) :]


def attempt(b, kernels, paged):
    # Raises ValueError or MemoryError for a file that load() refuses, Defect for one it should have refused.
    size = struct.unpack_from("<I", b, 16)[0] if len(b) >= blob.HEADER_BYTES else 0
    inside = size <= ARENA
    arena = memoryview(guarded)[GUARD : GUARD + size] if inside else None
    results = []
    start = time.ticks_ms()
    m, tail = load(b, arena, kernels, paged)
    for pattern in range(2):
        if inside:
            refill(size, pattern)
        tail[:] = PATTERNS[pattern][:TAIL]
        m.run()
        if pattern == 0 and time.ticks_diff(time.ticks_ms(), start) > BUDGET_MS:
            raise Defect(f"load and run took {time.ticks_diff(time.ticks_ms(), start)} ms")
        if not inside:
            break
        check_guards(size, pattern)
        results.append(crc32(arena))
    if inside:
        if results[0] != results[1]:
            raise Defect("bytes outside the arena and the file were read")
        use(m)
        check_guards(size, 1)
    if not paged and m._view != b:
        raise Defect("the file changed")
    m.close()


def main(kernels, first, last):
    bases = []
    for name in sorted(os.listdir()):
        if name.endswith(".whit"):
            with open(name, "rb") as f:
                bases.append(f.read())
    accepted = refused = exhausted = paged = 0
    for number in range(int(first), int(last)):
        print(number)
        b = mutant(bases, number)
        try:
            by_page = len(b) >= blob.HEADER_BYTES and b[20:24] != bytes(4) and number & 32 != 0
            attempt(b, kernels, by_page)
            accepted += 1
            paged += by_page
        except ValueError:
            refused += 1
        except MemoryError:
            exhausted += 1
        except Exception as e:
            sys.print_exception(e)  # ends with its type and text
            return
    print(f"accepted {accepted}, refused {refused}, out of memory {exhausted}, by page {paged}")


if __name__ == "__main__":
    main(*sys.argv[1:])
