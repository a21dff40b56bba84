# From what the caller of load() gave to a buffer that holds the whole file, aligned for 32-bit loads.

_HEAP = "%d bytes of heap"


def read(source):
    # -> (name for messages, memoryview). Copies only what it must.
    if not isinstance(source, str):
        try:
            view = memoryview(source)
        except TypeError:
            raise TypeError("whit.load takes a path or a buffer, %s was given" % type(source).__name__)
        return "model", view if _aligned(view) else _copy(view)
    try:
        f = open(source, "rb")
    except OSError as e:
        raise OSError(e.args[0], source + " cannot be opened; check the path and that the file was copied")
    with f:
        try:
            view = memoryview(f)  # a file of a memory-mapped file system
            if _aligned(view):
                return source, view
        except TypeError:
            pass
        size = f.seek(0, 2)
        f.seek(0)
        if size >> 30:
            raise ValueError(source + " is no file of a size that can be loaded; give the path of a .whit file")
        buffer = allocate(source, _HEAP, size)
        if f.readinto(buffer) != size:
            raise ValueError(source + " changed while it was read; copy it to the board again")
    return source, memoryview(buffer)


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

        text = " needs " + what + " in one block, %d are free in all; free memory or enlarge the heap"
        raise MemoryError(name + text % (size, gc.mem_free()))
