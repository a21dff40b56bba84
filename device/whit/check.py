# The load-time check: after it, no step of the file can read or write outside the arena and the weights.
#
# It holds for any bytes, also for those a CRC cannot catch. What it does not promise: that the numbers mean anything.

import struct
from binascii import crc32

from . import format as blob
from . import opset


def check(name, view, size=None, crc=None):
    # view: memoryview of the whole file
    # -> (arena bytes, {section id: (offset, bytes)}, set of kernel ids, None)
    # Of a file that is to be read page by page, of `size` bytes and this CRC32, view is what lies before the weights.
    # The last result is its section PAGES as array("I"), and the steps have got offsets in their page in the place of
    # those in WEIGHTS.
    def fail(text):
        raise ValueError(name + " " + text)

    def broken(text):
        fail("is broken: " + text + "; pack it again")

    if len(view) < blob.HEADER_BYTES or bytes(view[:4]) != blob.MAGIC:
        fail("is not a .whit file; make one with: whit pack MODEL.tflite")
    _, wanted, major, minor, count, length, arena_bytes, page_bytes = struct.unpack_from(blob.HEADER, view, 0)
    paged = size is not None
    if not paged:
        size = len(view)
    if not 0 < major <= blob.VERSION[0]:
        fail(
            "has format %d.%d, this whit reads 1.x-%d.x; %s"
            % (
                major,
                minor,
                blob.VERSION[0],
                "update whit here" if major > blob.VERSION[0] else "pack it again",
            )
        )
    if size != length:
        fail(
            "is %s: %d bytes, its header says %d; copy it again"
            % ("truncated" if size < length else "too long", size, length)
        )
    if crc is None:
        crc = crc32(view[blob.CRC_FROM :])
    if crc & 0xFFFFFFFF != wanted:
        fail("is corrupted: the CRC32 does not match; copy it again")
    sections = {}
    for i in range(count):
        at = blob.HEADER_BYTES + blob.SECTION_BYTES * i
        if at + blob.SECTION_BYTES > len(view):
            broken("its section table does not fit")
        number, _, offset, length = struct.unpack_from(blob.SECTION, view, at)
        if offset % blob.ALIGN or offset + length > (size if number == blob.WEIGHTS else len(view)):
            broken("section %d lies outside the file or behind the weights" % number)
        if number & blob.REQUIRED and number != blob.STATE:
            fail("needs section %d, which this whit does not know; update whit on the board" % number)
        sections[number] = offset, length
    for number in blob.TENSORS, blob.STEPS, blob.WEIGHTS:
        if number not in sections:
            broken("section %d is missing" % number)
    # Also keeps offsets within small integers, and sizes within what a bytearray takes.
    for block, size in ("an arena", arena_bytes), ("a page", page_bytes if paged else 0):
        if size >> 30:
            fail("needs %s of %d bytes, more than any board has; pack it again" % (block, size))
    if blob.SELFTEST in sections and sections[blob.SELFTEST][1] != struct.calcsize(blob.SELFTEST_RECORD):
        broken("its self-test has the wrong size")
    if paged and blob.PAGES not in sections:
        fail("has no pages; pack it again with --page")
    pages = _pages(broken, view, sections, page_bytes) if paged else None
    # The first of those that look at more than the table, as it changes what other sections may overlap.
    kernels = _steps(fail, broken, view, sections[blob.STEPS], sections[blob.WEIGHTS][1], arena_bytes, pages)
    _tensors(broken, view, sections[blob.TENSORS], arena_bytes)
    if blob.STATE in sections:
        from . import state

        state.check(broken, view, sections[blob.STATE], arena_bytes)
    if blob.LABELS in sections:
        _text(broken, view, *sections[blob.LABELS])
    return arena_bytes, sections, kernels, pages


def _text(broken, view, at, length):
    try:
        str(bytes(view[at : at + length]), "utf-8")
    except UnicodeError:
        broken("a name in it is not UTF-8")


def _pages(broken, view, sections, page_bytes):
    from array import array

    at, length = sections[blob.PAGES]
    pages = array("I", struct.unpack_from("<%dI" % (length // 4), view, at))
    end = 0
    for i in range(0, len(pages) - 2, 3):
        start, size = pages[i + 1], pages[i + 2]
        if pages[i] <= end or start & 3 or size > page_bytes or start + size > sections[blob.WEIGHTS][1]:
            broken("page %d is not where it can be" % (i // 3))
        end = pages[i]
    if length % blob.PAGE_BYTES or end != sections[blob.STEPS][1]:
        broken("its pages do not cover its steps")
    return pages


def _steps(fail, broken, view, section, weights_bytes, arena_bytes, pages):
    # Walk the step records: known kernels, sensible fields, every extent inside its memory. One kernel after the other,
    # as what describes the fields of all at once takes much heap.
    first, length = section
    end = first + length
    sizes = {}
    for row in opset.KERNELS:
        sizes[row[0]] = struct.calcsize(opset.struct_of(row))
    used = set()
    at, page = first, 0
    while at < end:
        if at + 4 > end:
            broken("a step record does not fit")
        if view[at] not in sizes:
            fail("needs kernel %d, this whit has 1-%d; update whit on the board" % (view[at], opset.KERNELS[-1][0]))
        size = sizes[view[at]]
        if view[at + 2] | view[at + 3] << 8 != size or at + size > end:
            broken("a step of kernel %d has the wrong size" % view[at])
        used.add(view[at])
        at += size
        if pages and at - first >= pages[page]:
            if at - first > pages[page]:
                broken("page %d ends within a step" % (page // 3))
            page += 3
    for row in opset.KERNELS:
        if row[0] not in used:
            continue
        layout, fields = opset.struct_of(row), opset.fields_of(row)
        named = {}
        at, page = first, 0
        start, stop = 0, weights_bytes
        while at < end:
            if pages:
                if at - first == pages[page]:
                    page += 3
                start = pages[page + 1]
                stop = start + pages[page + 2]
            if view[at] == row[0]:
                _step(fail, broken, view, at, row, layout, fields, named, start, stop, arena_bytes)
            at += sizes[view[at]]
    return used


def _step(fail, broken, view, at, row, layout, fields, named, start, stop, arena_bytes):
    # Its weights lie between `start` and `stop`.
    values = struct.unpack_from(layout, view, at)[3:]
    named["flags"] = view[at + 1]
    text = opset.check(row, named)
    if text:
        fail(text)
    for i in range(len(fields)):
        named[fields[i][0]] = values[i]
    extents = row[3](named)
    if not extents:
        broken("a %s step with impossible sizes" % row[1])
    for i in range(len(extents)):
        field, code = fields[i]
        least, limit = (start, stop) if code == "w" else (0, arena_bytes)
        if (
            (code != "s" and extents[i] < 1)
            or not least <= values[i] <= limit - extents[i]
            or (code != "a" and values[i] & 3)
        ):
            broken("field %s of a %s step leads outside its memory" % (field, row[1]))
        if code == "w" and start:
            struct.pack_into("<I", view, at + 4 + 4 * i, values[i] - start)  # offsets come first in a record


def _tensors(broken, view, section, arena_bytes):
    at, length = section
    end = at + length
    kinds = [0, 0]
    while at < end:
        if at + blob.TENSOR_BYTES > end:
            broken("a tensor record does not fit")
        offset, count, scale, zero_point, kind, dtype, rank, letters = struct.unpack_from(blob.TENSOR, view, at)
        at += blob.TENSOR_BYTES
        size = 4 * rank + letters + (-letters & 3)
        if (
            at + size > end
            or not 0 <= scale < 1e38
            or kind > 1
            or dtype >= len(blob.DTYPES)
            or not count
            or offset + count > arena_bytes
        ):
            broken("an input or output has impossible values")
        elements = 1
        for i in range(rank):
            elements *= struct.unpack_from("<I", view, at + 4 * i)[0]
        if elements != count:
            broken("the shape of an input or output does not match its size")
        _text(broken, view, at + 4 * rank, letters)
        kinds[kind] += 1
        at += size
    if not kinds[0] or not kinds[1]:
        broken("it has no input or no output")
