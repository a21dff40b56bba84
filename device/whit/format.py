# The .whit file, as FORMAT.md specifies it: numbers shared by the writer on the PC and the reader on the board.

import struct

MAGIC = b"WHIT"
VERSION = (2, 1)  # a reader takes this major version and those before; a new minor only adds what may be skipped
ALIGN = 16  # sections, and the arrays in WEIGHTS, start at multiples of this

# magic, CRC32 of all bytes from CRC_FROM on, major, minor, section count, file bytes, arena bytes, largest page's bytes
HEADER = "<4sIBBHIII"
HEADER_BYTES = 24
CRC_FROM = 8
SECTION = "<HHII"  # id, reserved (0), offset from the start of the file, bytes without padding
SECTION_BYTES = 12

TENSORS, STEPS, WEIGHTS, LABELS, SELFTEST, PAGES = 1, 2, 3, 4, 5, 6
FRONTEND, DETECTION = 8, 9
STATE = 0x8007  # required: without it a model of several runs would give other answers
REQUIRED = 0x8000  # a reader refuses a section it does not know if its id has this bit, and skips it otherwise

# arena offset, elements, scale, zero point, kind, dtype, rank, name bytes; then u32[rank] shape, name, padding to 4
TENSOR = "<IIfiBBBB"
TENSOR_BYTES = 20
INPUT, OUTPUT = 0, 1
INT8, UINT8 = 0, 1
DTYPES = ("int8", "uint8")

SELFTEST_RECORD = "<HHI"  # seed of noise(), reserved (0), CRC32 of what the steps write in that run, in their order

PAGE = "<III"  # end of its steps in STEPS, offset in WEIGHTS (a multiple of ALIGN), bytes; in the order of the steps
PAGE_BYTES = 12


def tensors(view, at, length):
    # (kind, arena offset, elements, scale, zero point, dtype name, shape, name) of each record of a TENSORS section
    # that has been checked.
    end = at + length
    while at < end:
        offset, size, scale, zero_point, kind, dtype, rank, letters = struct.unpack_from(TENSOR, view, at)
        at += TENSOR_BYTES
        shape = struct.unpack_from("<%dI" % rank, view, at)
        at += 4 * rank
        yield kind, offset, size, scale, zero_point, DTYPES[dtype], shape, str(bytes(view[at : at + letters]), "utf-8")
        at += letters + (-letters & 3)


def noise(seed, buffer):
    # Fill buffer with the self-test's input bytes: xorshift16 (7, 9, 8), low byte of each state. Seed 1-65535.
    # 16 bits, so that a board's small integers hold it.
    for i in range(len(buffer)):
        seed ^= seed << 7 & 0xFFFF
        seed ^= seed >> 9
        seed ^= seed << 8 & 0xFFFF
        buffer[i] = seed & 0xFF
    return seed
