# The model of a board in the field: replaced so that a power cut at any moment leaves one that runs.
#
#     from whit import store
#     m = store.load("kws.whit")
#
# path.new is what an update writes, path.old the model before. commit() renames path to path.old, then path.new to
# path; load() finds out from what lies there how far that went. "Passes" means: loads, CRC32 and all, and computes what
# the PC computed (a file without a self-test passes when it loads).
#
#     path    path.new  path.old  how it came to that                 load() gives   and leaves
#     passes  none      any       nothing to do                       path           all; it writes nothing
#     passes  any       any       cut before the first rename         path           no path.new
#     none    passes    any       cut between the renames, or before  path.new       it as path
#                                 them where there was no model yet
#     fails   passes    any       path has rotted                     path.new       it as path
#     fails*  fails*    passes    path has rotted or was removed      path.old       it as path, no path.new
#     fails*  fails*    fails*    no model yet, or all have rotted    path's error   all
#     * or none
#
# Where the heap is too short to load one of the first two, it may be whole all the same: the next that passes is loaded
# from where it lies, and all is left. Else a file takes the place of path by one rename, after it has passed. On
# littlefs a rename replaces its target atomically; FAT removes the target first, which the table covers, but a cut may
# break its directory (docs/store.md).

import gc
import os

from . import load as _load
from .format import SELFTEST

_CHUNK = 512
_ENOSPC = 28  # MicroPython's errno has no name for it
_FAILURES = (OSError, ValueError, MemoryError)


def update(path, source, **options):
    """Write a model to path.new and commit() it.

    source: a buffer, the path of another file, an object with readinto (file, socket, stream) that ends by giving 0 or
        None, or an iterable of buffers. Written as it comes, 512 bytes at a time from a path or a stream.
    options: those of whit.load, as for commit().

    Raises what commit() raises, OSError where path.new cannot be written, and what source raises. The model at path
    stays then, and there is no path.new.
    """
    if isinstance(source, str) and source == path:
        raise ValueError(path + " cannot update itself; give the path of another file")
    new = path + ".new"
    f = _open(source, "rb") if isinstance(source, str) else source
    try:
        with _open(new, "wb") as target:
            for chunk in _chunks(f):
                target.write(chunk)
    except BaseException as e:
        _remove(new)
        if isinstance(e, OSError) and e.args and e.args[0] == _ENOSPC:
            raise OSError(
                _ENOSPC, "%s does not fit: the file system is full; remove %s.old or other files" % (new, path)
            )
        raise
    finally:
        if f is not source:
            f.close()
    commit(path, **options)


def commit(path, **options):
    """Make path.new, complete and closed, the model at path, if it passes here; the one before becomes path.old.

    The check loads it beside whatever the heap holds: drop the present model first where the heap is short.
    options: those of whit.load; give what load() will get.

    Raises ValueError for a file that does not pass, MemoryError for one too large to load, OSError for none. The model
    at path stays then, and there is no path.new.
    """
    new = path + ".new"
    error = _failure(new, options)
    if error:
        _remove(new)
        raise _extended(error, new, " (%s stays as it was)" % path if _exists(path) else "")
    # What is known to be broken does not push out a path.old that may be sound.
    if not isinstance(_failure(path, options), (OSError, ValueError)):
        os.rename(path, path + ".old")
    os.rename(new, path)


def load(path, **options):
    """whit.load(path, **options), with a self-test; where that fails, what an update has left in its place.

    Raises the error of path where nothing passes.
    """
    try:
        m = _passed(path, options)
        _remove(path + ".new")
        return m
    except _FAILURES as e:
        first = e
    short = isinstance(first, MemoryError)
    for name in path + ".new", path + ".old":
        error = _failure(name, options)
        if not error:
            if not short:
                try:
                    os.rename(name, path)
                    name = path
                    _remove(path + ".new")
                except OSError:  # a file system that is full or read-only
                    pass
            return _passed(name, options)
        short = short or isinstance(error, MemoryError)
    raise _extended(first, path, " (no previous model passes either)")


def _passed(name, options):
    # The model of a file that passes.
    gc.collect()
    m = _load(name, **options)
    passed = False
    try:
        passed = SELFTEST not in m._sections or m.selftest()
    finally:
        if not passed:
            m.close()
    if not passed:
        raise ValueError(
            name + " fails its self-test: a step writes other bytes than on the PC; pack and copy it again"
        )
    return m


def _failure(name, options):
    # Why a file does not pass, None if it does; nothing of it stays open or referenced.
    try:
        _passed(name, options).close()  # a file is renamed and removed only when no model reads from it
    except _FAILURES as e:
        return e


def _extended(error, name, more):
    # The same error, with more at the end of its sentence, or of one made here: the allocator and the file system
    # have none.
    said = error.args[-1] if error.args else ""
    if not isinstance(said, str) or "; " not in said:
        remedy = "free memory" if isinstance(error, MemoryError) else "copy it again"
        said = "%s does not load: %s; %s" % (name, error, remedy)
    if isinstance(error, OSError):
        return OSError(error.args[0], said + more)
    return type(error)(said + more)


def _chunks(source):
    # The buffers that source comes in.
    if hasattr(source, "readinto"):
        buffer = memoryview(bytearray(_CHUNK))
        while True:
            size = source.readinto(buffer)
            if not size:
                return
            yield buffer[:size]
    try:
        source = (memoryview(source),)
    except TypeError:  # not one buffer: several
        pass
    try:
        for chunk in source:
            yield memoryview(chunk)
    except TypeError:
        raise TypeError("an update is a path, a stream, a buffer or several; %s was given" % type(source).__name__)


def _open(name, mode):
    try:
        return open(name, mode)
    except OSError as e:
        raise OSError(e.args[0], name + " cannot be opened; check the path")


def _exists(name):
    try:
        os.stat(name)
        return True
    except OSError:
        return False


def _remove(name):
    try:
        if _exists(name):  # a ROMFS has no remove()
            os.remove(name)
    except OSError:
        pass
