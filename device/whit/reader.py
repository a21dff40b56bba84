# From what the caller of load() gave to a Model: the file whole in RAM, or where it lies, or page by page.
#
# A small heap is filled in this order: the large blocks, while there is room in one piece; what checks the file, which
# goes again; what stays.

import struct

from . import format as blob

_PIECE = 1024  # bytes at a time, where a file is read once and not kept

# What a heap may have no room for, with %d for the bytes, and what helps beside free memory.
_FILE = "%d bytes of heap", "pack it with --page"
_ARENA = "an arena of %d bytes", "use a smaller model"
_PAGE = "a page of %d bytes", "pack it with a smaller --page"
_ARENA_BYTES, _PAGE_BYTES = 6, 7  # in the header


def whole(source, arena):
    # -> what Model takes, but for the kernels
    name, view = read(source)
    if arena is None:
        arena = _early(view, _ARENA_BYTES)
    checked = _check(name, view)
    return name, view, checked, _late(name, arena, _ARENA, checked[0]), None


def _check(name, view, size=None, crc=None):
    from . import check

    return check.check(name, view, size, crc)


def _early(view, field):
    # A block as large as the header says, before the modules that loading needs leave no room for it; or None, and the
    # check or _late() says why.
    try:
        return bytearray(struct.unpack_from(blob.HEADER, view)[field] if bytes(view[:4]) == blob.MAGIC else 0)
    except (MemoryError, ValueError, OverflowError):
        return None


def _late(name, block, what, size):
    return _allocate(name, what, size) if block is None else block


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
        buffer = _allocate(source, _FILE, size)
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
    buffer = _allocate("model", _FILE, len(view))
    buffer[:] = view
    return memoryview(buffer)


def _allocate(name, what, size):
    try:
        return bytearray(size)
    except MemoryError:
        import gc

        text = " needs %s in one block, %d are free in all; free memory, or %s"
        raise MemoryError(name + text % (what[0] % size, gc.mem_free(), what[1]))


def has_pages(source):
    if not isinstance(source, str):
        return False
    with _open(source) as f:
        return _header(f)[_PAGE_BYTES] > 0


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


def paged(path, arena):
    # As whole(). What comes before the weights is kept; the weights stay in the file.
    if not isinstance(path, str):
        raise TypeError("whit.load reads pages from a file, %s was given; give its path" % type(path).__name__)
    f = _open(path)
    try:
        size = _size(path, f)
        header = _header(f)
        head = _allocate(path, _FILE, _weights_at(f, header[4] if header[0] == blob.MAGIC else 0, size))
        f.seek(0)
        f.readinto(head)
        view = memoryview(head)
        if arena is None:
            arena = _early(view, _ARENA_BYTES)
        page = _early(view, _PAGE_BYTES)
        checked = _check(path, view, size, _crc(f, view))
        arena = _late(path, arena, _ARENA, checked[0])
        page = _late(path, page, _PAGE, struct.unpack_from(blob.HEADER, view)[_PAGE_BYTES])
        from .pager import Pager

        return path, view, checked, arena, Pager(path, f, checked[1][blob.WEIGHTS][0], page, checked[3])
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
