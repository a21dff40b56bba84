# What a streaming model keeps in the arena from one run to the next: the section STATE.

import struct

RECORD = "<IIBBxx"  # arena offset, bytes, FILLED or STORED, the value of FILLED; the bytes of STORED follow
RECORD_BYTES = 12
FILLED, STORED = 0, 1


def check(broken, view, section, arena_bytes):
    at, length = section
    end = at + length
    while at < end:
        size = kind = 0
        if at + RECORD_BYTES <= end:
            offset, size, kind, _ = struct.unpack_from(RECORD, view, at)
        at += RECORD_BYTES + (size + (-size & 3) if kind else 0)
        if not size or kind > STORED or at > end or offset + size > arena_bytes:
            broken("what it keeps between runs does not fit")


def write(records, arena):
    # The values before the first run, of a section that has been checked.
    at = 0
    while at < len(records):
        offset, size, kind, value = struct.unpack_from(RECORD, records, at)
        at += RECORD_BYTES
        if kind == STORED:
            arena[offset : offset + size] = records[at : at + size]
            at += size + (-size & 3)
        else:
            for i in range(offset, offset + size):
                arena[i] = value
