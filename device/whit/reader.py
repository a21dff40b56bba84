# From what the caller of load() gave to a Model: the file whole in RAM, or where it lies, or page by page.
#
# A small heap is filled in this order: the large blocks, while there is room in one piece; what checks the file, which
# goes again; what stays.

import struct
from array import array

from . import forget
from . import format as blob

_HEAP = "%d bytes of heap"
_PIECE = 1024  # bytes at a time, where a file is read once and not kept


def whole(source, arena, kernels):
    name, view = read(source)
    if arena is None:
        arena = _early(view)
    return _model(name, view, _check(name, view), arena, kernels)


def _check(name, view, size=None, crc=None):
    from . import check

    return check.check(name, view, size, crc)


def _model(name, view, checked, arena, kernels, pager=None):
    forget("check", "opset")
    from .model import Model

    return Model(name, view, checked, arena, kernels, pager)


def _early(view):
    # The arena, before the modules that loading needs leave no room in one block; or None, and then Model says why.
    try:
        return bytearray(struct.unpack_from(blob.HEADER, view)[6] if bytes(view[:4]) == blob.MAGIC else 0)
    except (MemoryError, ValueError, OverflowError):
        return None


def read(source):
    # -> (name for messages, memoryview), aligned for 32-bit loads. Copies only what it must.
    if not isinstance(source, str):
        try:
            view = memoryview(source)
        except TypeError:
            raise TypeError("whit.load takes a path or a buffer, %s was given" % type(source).__name__)
        return "model", view if _aligned(view) else _copy(view)
    with _open(source) as f:
        try:
            view = memoryview(f)  # a file of a memory-mapped file system
            if _aligned(view):
                return source, view
        except TypeError:
            pass
        size = _size(source, f)
        buffer = allocate(source, _HEAP, size)
        if f.readinto(buffer) != size:
            raise ValueError(source + " changed while it was read; copy it to the board again")
    return source, memoryview(buffer)


def _open(path):
    try:
        return open(path, "rb")
    except OSError as e:
        raise OSError(e.args[0], path + " cannot be opened; check the path and that the file was copied")


def _size(path, f):
    size = f.seek(0, 2)
    f.seek(0)
    if size >> 30:
        raise ValueError(path + " is no file of a size that can be loaded; give the path of a .whit file")
    return size


def _aligned(view):
    try:
        from uctypes import addressof
    except ImportError:
        return False
    return addressof(view) & 3 == 0


def _copy(view):
    buffer = allocate("model", _HEAP, len(view))
    buffer[:] = view
    return memoryview(buffer)


def allocate(name, what, size):
    # A bytearray. `what` says in the message, with %d for the size, what the heap has no room for.
    try:
        return bytearray(size)
    except MemoryError:
        import gc

        text = " needs " + what + " in one block, %d are free in all; free memory, or pack it with --page"
        raise MemoryError(name + text % (size, gc.mem_free()))


def has_pages(path):
    with _open(path) as f:
        return _header(f)[7] > 0


def _header(f):
    # Its fields, of a file that nobody has checked yet; zeros if it is too short.
    data = f.read(blob.HEADER_BYTES)
    return struct.unpack(blob.HEADER, data if len(data) == blob.HEADER_BYTES else bytes(blob.HEADER_BYTES))


def _weights_at(f, count, size):
    # Where WEIGHTS starts by the section table, in which f stands; `size` if it is not there.
    for _ in range(count):
        entry = f.read(blob.SECTION_BYTES)
        if len(entry) != blob.SECTION_BYTES:
            break
        number, _, at, _ = struct.unpack(blob.SECTION, entry)
        if number == blob.WEIGHTS:
            return min(at, size)
    return size


def paged(path, arena, kernels):
    # What comes before the weights is kept; the weights stay in the file.
    if not isinstance(path, str):
        raise TypeError("whit.load reads pages from a file, %s was given; give its path" % type(path).__name__)
    f = _open(path)
    try:
        size = _size(path, f)
        header = _header(f)
        head = allocate(path, _HEAP, _weights_at(f, header[4] if header[0] == blob.MAGIC else 0, size))
        f.seek(0)
        f.readinto(head)
        view = memoryview(head)
        if arena is None:
            arena = _early(view)
        page = allocate(path, "a page of %d bytes", header[7])
        checked = _check(path, view, size, _crc(f, view))
        pages = _pages(path, view, checked[1], len(page))
        from .pager import Pager

        return _model(path, view, checked, arena, kernels, Pager(path, f, len(head), page, pages))
    except:
        f.close()
        raise


def _crc(f, view):
    # Of the whole file: what is in view already, and the rest.
    from binascii import crc32

    crc = crc32(view[blob.CRC_FROM :])
    piece = bytearray(_PIECE)
    n = f.readinto(piece)
    while n:
        crc = crc32(memoryview(piece)[:n], crc)
        n = f.readinto(piece)
    return crc


def _pages(name, view, sections, page_bytes):
    # array("I") of the end, the offset in WEIGHTS and the bytes of each page in turn. The steps get offsets from the
    # start of their page in the place of those in WEIGHTS.
    from . import opset

    def fail(text):
        raise ValueError(name + " " + text)

    if blob.PAGES not in sections:
        fail("has no pages; pack it again with --page")
    at, length = sections[blob.PAGES]
    pages = array("I", struct.unpack_from("<%dI" % (length // 4), view, at))
    at, length = sections[blob.STEPS]
    steps = view[at : at + length]
    if not pages or len(pages) % 3 or pages[len(pages) - 3] != length:
        fail("is broken: its pages do not cover its steps; pack it again")
    records = opset.records(steps)
    at = 0
    for i in range(0, len(pages), 3):
        end, start, size = pages[i], pages[i + 1], pages[i + 2]
        if end <= at or end > length or start & 3 or size > page_bytes or start + size > sections[blob.WEIGHTS][1]:
            fail("is broken: page %d is not where it can be; pack it again" % (i // 3))
        while at < end:
            row, named = next(records)
            fields = opset.fields_of(row)
            extents = row[3](named)
            for j in range(len(extents)):
                if fields[j][1] == "w":
                    offset = named[fields[j][0]] - start
                    if offset < 0 or offset + extents[j] > size:
                        fail("is broken: a %s step leads outside its page; pack it again" % row[1])
                    struct.pack_into("<I", steps, at + 4 + 4 * j, offset)
            at += struct.calcsize(opset.struct_of(row))
        if at != end:
            fail("is broken: page %d ends within a step; pack it again" % (i // 3))
    return pages
