# What test_fuzz.py runs under MicroPython: KERNELS FIRST LAST
#
# Mutants FIRST ... LAST - 1 of the .whit files in the working folder are loaded and, where load() takes them, run,
# between guard bytes. Prints the number of each before it starts; the last line is the counts, or what is wrong.

import os
import struct
import sys
import time
from binascii import crc32
from random import choice, getrandbits, randrange, seed

import whit
from whit import format as blob
from whit import opset

ARENA = 4096  # bytes of the largest arena that lies between guards; a larger one comes from the heap
GUARD = 1024  # bytes on each side of it
TAIL = 64  # bytes after the file, which no kernel may read
BUDGET_MS = 2000  # for one load and one run
EXTREMES = {
    1: (0, 1, 2, 0x7F, 0x80, 0xFF),
    2: (0, 1, 0xFF, 0x7FFF, 0x8000, 0xFFFF),
    4: (0, 1, 4, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFC, 0xFFFFFFFF),
}
CODES = {1: "<B", 2: "<H", 4: "<I"}
SIZES = {row[0]: struct.calcsize(opset.struct_of(row)) for row in opset.KERNELS}
PATTERNS = [bytes([value]) * (GUARD + ARENA + GUARD) for value in (0x55, 0xAA)]

guarded = bytearray(GUARD + ARENA + GUARD)


class Defect(Exception):
    """What a mutant did that no file may do."""


# Mutations: each takes the bytes of a file and returns those of another.


def sections_of(b):
    # [(id, bytes)]; b is sound
    count = struct.unpack_from(blob.HEADER, b)[4]
    table = [struct.unpack_from(blob.SECTION, b, blob.HEADER_BYTES + blob.SECTION_BYTES * i) for i in range(count)]
    return [(number, b[offset : offset + length]) for number, _, offset, length in table]


def joined(b, sections):
    # b with these sections instead of its own
    table, body = bytearray(), bytearray()
    start = blob.HEADER_BYTES + blob.SECTION_BYTES * len(sections)
    for number, data in sections:
        body += bytes(-(start + len(body)) % blob.ALIGN)
        table += struct.pack(blob.SECTION, number, 0, start + len(body), len(data))
        body += data
    head = b[: blob.HEADER_BYTES]
    struct.pack_into("<H", head, 10, len(sections))
    return head + table + body


def flip(b):
    b[randrange(len(b))] ^= 1 << randrange(8)
    return b


def set_byte(b):
    b[randrange(len(b))] = choice(EXTREMES[1])
    return b


def set_field(b):
    # One aligned field of what the check reads: to an extreme, to the value of another, or near what it was.
    ranges = [(0, blob.HEADER_BYTES + 5 * blob.SECTION_BYTES)]
    for i in range(3):
        number, _, offset, length = struct.unpack_from(blob.SECTION, b, blob.HEADER_BYTES + blob.SECTION_BYTES * i)
        if number in (blob.TENSORS, blob.STEPS) and offset + length <= len(b):
            ranges += [(offset, offset + length)] * (4 if number == blob.STEPS else 1)
    start, end = choice(ranges)
    width = choice((1, 2, 4))
    if end - start < 4 or len(b) < end:
        return flip(b)
    at = start + randrange((end - start) // width) * width
    other = start + randrange((end - start) // width) * width
    value = struct.unpack_from(CODES[width], b, at)[0]
    value = choice((choice(EXTREMES[width]), struct.unpack_from(CODES[width], b, other)[0], value + 1, value - 1,
                    value * 2, value // 2))  # fmt: skip
    struct.pack_into(CODES[width], b, at, value & (1 << 8 * width) - 1)
    return b


def set_length(b):
    if getrandbits(1):
        return b[: randrange(len(b))]
    return b + bytes([randrange(256) for _ in range(1 + randrange(40))])


def records_of(steps):
    records, at = [], 0
    while at < len(steps):
        size = steps[at + 2] | steps[at + 3] << 8
        records.append(steps[at : at + size])
        at += size
    return records


def set_steps(b):
    # A step twice, none of it, at another place, or under the id of another kernel.
    sections = dict(sections_of(b))
    records = records_of(sections[blob.STEPS])
    i, j = randrange(len(records)), randrange(len(records))
    what = randrange(5)
    if what == 0:
        records.insert(j, records[i])
    elif what == 1:
        del records[i]
    elif what == 2:
        records[i], records[j] = records[j], records[i]
    elif what == 3:
        records[i][0], records[j][0] = records[j][0], records[i][0]
    else:
        number = choice(list(SIZES))
        body = records[i] + bytes(64)
        struct.pack_into("<BxH", body, 0, number, SIZES[number])
        records[i] = body[: SIZES[number]]
    sections[blob.STEPS] = b"".join(records)
    return joined(b, list(sections.items()))


def set_sections(b):
    sections = sections_of(b)
    i, j = randrange(len(sections)), randrange(len(sections))
    number, data = sections[i]
    what = randrange(4)
    if what == 0:
        sections.append((number, sections[j][1]))
    elif what == 1:
        del sections[i]
    elif what == 2:
        sections[i] = choice((0, 6, 99, 0x7FFF, 0x8001, 0xFFFF)), data
    else:
        sections[i] = number, data[: randrange(len(data) + 1)]
    return joined(b, sections)


def mutant(bases, number):
    seed(number)
    for _ in range(8):
        getrandbits(32)  # the first few after near seeds are alike
    b = bytearray(bases[number % len(bases)])
    what = randrange(16)
    if what < 3:
        b = set_steps(b)
    elif what == 3:
        b = set_sections(b)
    room = randrange(6)
    if room < 2:
        struct.pack_into("<I", b, 16, ARENA)  # in which wrong fields are still inside
    elif room == 2:
        struct.pack_into("<I", b, 16, max(0, struct.unpack_from("<I", b, 16)[0] - randrange(20)))
    for _ in range(randrange(4) if what < 4 else 1 + randrange(3)):
        b = choice((set_field, set_field, set_field, set_byte, flip))(b)
    if randrange(32) == 0:
        b = set_length(b)
    if randrange(16) and len(b) >= blob.HEADER_BYTES:
        struct.pack_into("<I", b, 12, len(b))
        struct.pack_into("<I", b, 4, crc32(b[blob.CRC_FROM :]))
    return b


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


def attempt(b, kernels):
    # Raises ValueError or MemoryError for a file that load() refuses, Defect for one it should have refused.
    view, home = place(b)
    size = struct.unpack_from("<I", b, 16)[0] if len(b) >= blob.HEADER_BYTES else 0
    inside = size <= ARENA
    arena = memoryview(guarded)[GUARD : GUARD + size] if inside else None
    results = []
    start = time.ticks_ms()
    m = whit.load(view, arena, kernels)
    for pattern in range(2):
        if inside:
            refill(size, pattern)
        home[16 + len(b) :] = PATTERNS[pattern][:TAIL]
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
    if view != b:
        raise Defect("the file changed")


def main(kernels, first, last):
    bases = []
    for name in sorted(os.listdir()):
        if name.endswith(".whit"):
            with open(name, "rb") as f:
                bases.append(f.read())
    accepted = refused = exhausted = 0
    for number in range(int(first), int(last)):
        print(number)
        b = mutant(bases, number)
        try:
            attempt(b, kernels)
            accepted += 1
        except ValueError:
            refused += 1
        except MemoryError:
            exhausted += 1
        except Exception as e:
            sys.print_exception(e)  # ends with its type and text
            return
    print(f"accepted {accepted}, refused {refused}, out of memory {exhausted}")


if __name__ == "__main__":
    main(*sys.argv[1:])
