"""store: a model gives way only to one that passes, and load() finds what an update has left."""

import re
import struct
from pathlib import Path
from textwrap import dedent

import pytest
from blobs import digits, find, scores, with_byte, with_section
from micropython import run
from whit.device import format as blob

PAGE = (Path(__file__).resolve().parent.parent.parent / "docs/store.md").read_text()
FLASH = Path(__file__).with_name("flash.py").read_bytes()

PRELUDE = """
import gc, os, vfs
import flash, whit
from whit import store

def content(name):
    with open(name, "rb") as f:
        return f.read()

A, B = content("a.whit"), content("b.whit")
X = bytes([i * 37 & 255 for i in range(64)])

def answer(m):
    y = bytearray(10)
    m.run(X, y)
    return bytes(y)

ANSWERS = answer(whit.load(A)), answer(whit.load(B))
assert ANSWERS[0] != ANSWERS[1]

chip = flash.formatted(512, 128)
P = flash.ROOT + "/m.whit"

def put(**files):  # m=A, new=B, old=A: what lies at path, path.new, path.old, and nothing else
    for name in os.listdir(flash.ROOT):
        os.remove(flash.ROOT + "/" + name)
    for name in files:
        with open(P if name == "m" else P + "." + name, "wb") as f:
            f.write(files[name])

def left():  # the same, from what lies there
    found = {}
    for name in os.listdir(flash.ROOT):
        found["m" if name == "m.whit" else name[7:]] = content(flash.ROOT + "/" + name)
    return found

def refused(f, *args, error=ValueError, **options):
    try:
        f(*args, **options)
    except error as e:
        text = e.args[-1]
        assert text.count("; ") == 1 and "\\n" not in text, text
        return text
    assert False, "not refused"
"""


def unlike(data):
    """`data` with another weight, so that its self-test fails behind a CRC32 that is right."""
    at = find(data, blob.WEIGHTS)[0]
    return with_byte(data, at, data[at] ^ 0x40)


def without_selftest(data):
    """`data` with its self-test in a section that a board skips."""
    entry = data.index(struct.pack("<HHII", blob.SELFTEST, 0, *find(data, blob.SELFTEST)))
    return with_byte(data, entry, 77)


A, B = digits(), scores("b")
CORRUPTED = B[:-1] + bytes([B[-1] ^ 1])
SMALL_HEAP = 350_000
BAD = {"corrupted": CORRUPTED, "truncated": B[:-100], "empty": b"", "other": b"TFL3" * 99, "unlike": unlike(B)}


def board(script, heap_bytes=8 << 20, **files):
    named = {f"{name}.whit": data for name, data in {"a": A, "b": B, **files}.items()}
    return run(PRELUDE + dedent(script), {"flash.py": FLASH, **named}, heap_bytes=heap_bytes)


# Updates


def test_an_update_from_every_kind_of_source():
    board("""
    from array import array
    from io import BytesIO

    class Slow:  # a stream that gives less than it is asked for, and None at its end
        def __init__(self, data):
            self.data = data
        def readinto(self, buffer):
            n = min(len(buffer), 100, len(self.data))
            buffer[:n] = self.data[:n]
            self.data = self.data[n:]
            return n or None

    sources = [B, bytearray(B), memoryview(B), array("b", B), "b.whit", open("b.whit", "rb"), BytesIO(B), Slow(B)]
    sources += [[B[:7], bytearray(B[7:600]), memoryview(B)[600:]], (B[i : i + 9] for i in range(0, len(B), 9))]
    for source in sources:
        put(m=A)
        assert store.update(P, source) is None
        assert left() == {"m": B, "old": A}, source
        m = store.load(P)
        assert answer(m) == ANSWERS[1] and m.name == P, source
    """)


def test_updates_in_a_row_keep_the_last_two():
    board("""
    put()
    store.update(P, A)
    assert left() == {"m": A}
    store.update(P, B)
    assert left() == {"m": B, "old": A}
    store.update(P, A)
    assert left() == {"m": A, "old": B}
    store.update(P, P + ".old")  # back to the one before
    assert left() == {"m": B, "old": A}
    """)


def test_commit_takes_what_somebody_else_has_written():
    board("""
    put(m=A, new=B)
    store.commit(P)
    assert left() == {"m": B, "old": A}
    """)


def test_an_update_is_written_in_chunks():
    """A stream of more than the heap: refused, but only after it has been written."""
    board(
        """
    class Endless:
        size = 0
        def readinto(self, buffer):
            n = min(len(buffer), 400_000 - self.size)
            self.size += n
            return n
    text = refused(store.update, "m.whit", Endless(), error=MemoryError)
    assert text.startswith("m.whit.new needs 400000 bytes of heap in one block, "), text
    assert "m.whit.new" not in os.listdir()
    """,
        heap_bytes=SMALL_HEAP,
    )


@pytest.mark.parametrize("bad", BAD)
def test_a_model_that_does_not_pass_is_refused(bad):
    words = {
        "corrupted": "is corrupted: the CRC32 does not match; copy it again",
        "truncated": f"is truncated: {len(B) - 100} bytes, its header says {len(B)}; copy it again",
        "empty": "is not a .whit file; make one",
        "other": "is not a .whit file; make one",
        "unlike": "fails its self-test: a step writes other bytes than on the PC; pack and copy it again",
    }
    text = board(
        """
    BAD = content("bad.whit")
    for present in {}, {"m": A}, {"m": A, "old": B}:
        put(**present)
        text = refused(store.update, P, BAD)
        assert left() == present, (present, left().keys())
        put(new=BAD, **present)
        assert refused(store.commit, P) == text
        assert left() == present, (present, left().keys())
    print(text)
    """,
        bad=BAD[bad],
    )
    assert text.startswith(f"/flash/m.whit.new {words[bad]}") and text.endswith(" (/flash/m.whit stays as it was)\n")


def test_a_model_without_a_self_test_passes_when_it_loads():
    board(
        """
    NEW = content("new.whit")
    put(m=A)
    store.update(P, NEW)
    assert left() == {"m": NEW, "old": A}
    store.load(P)
    """,
        new=without_selftest(unlike(B)),
    )


def test_a_model_too_large_for_the_heap_is_refused():
    board(
        """
    text = refused(store.update, "m.whit", "large.whit", error=MemoryError)
    assert text.startswith("m.whit.new needs ") and text.endswith(" (m.whit stays as it was)"), text
    assert "m.whit.new" not in os.listdir() and content("m.whit") == A
    """,
        m=A,
        large=with_section(B, 77, bytes(400_000)),
        heap_bytes=SMALL_HEAP,
    )


def test_a_model_that_needs_another_arena_than_the_caller_gives_is_refused():
    board("""
    put(m=B)
    text = refused(store.update, P, A, arena=bytearray(512))
    assert "needs an arena of" in text and left() == {"m": B}
    store.load(P, arena=bytearray(512))
    """)


def test_a_source_that_fails_leaves_the_model():
    board("""
    class Broken(Exception):
        pass
    def source():
        yield B[:300]
        raise Broken
    put(m=A, old=B)
    for bad, error in (source(), Broken), (None, TypeError), ([None], TypeError):
        try:
            store.update(P, bad)
            assert False, bad
        except error:
            assert left() == {"m": A, "old": B}, bad
    assert refused(store.update, P, "none.whit", error=OSError).startswith("none.whit cannot be opened; check")
    assert refused(store.update, flash.ROOT + "/no/m.whit", B, error=OSError).startswith("/flash/no/m.whit.new cannot")
    assert refused(store.commit, P, error=OSError).startswith(P + ".new cannot be opened; check")
    assert left() == {"m": A, "old": B}
    """)


def test_a_file_system_that_is_full():
    board("""
    put(m=A, old=B)
    text = refused(store.update, P, [bytes(512)] * 200, error=OSError)
    assert text == P + ".new does not fit: the file system is full; remove %s.old or other files" % P, text
    assert left() == {"m": A, "old": B}
    store.update(P, B)
    """)


def test_a_broken_model_does_not_push_out_the_one_before():
    board(
        """
    BAD = content("bad.whit")
    put(m=BAD, new=B, old=A)
    store.commit(P)
    assert left() == {"m": B, "old": A}
    """,
        bad=CORRUPTED,
    )


# What load() does with each state


def test_load_writes_nothing_where_nothing_is_to_do():
    for kind in "VfsLfs2", "VfsFat":
        board(f"""
        chip = flash.formatted(512, 128, vfs.{kind})
        for files in {{"m": A}}, {{"m": A, "old": B}}:
            put(**files)
            flash.mount(chip)
            before = chip.writes
            for _ in range(3):
                assert answer(store.load(P)) == ANSWERS[0]
            assert chip.writes == before and left() == files
        """)


@pytest.mark.parametrize("bad", BAD)
def test_what_load_does_with_each_state(bad):
    """The table at the head of store.py: every combination of missing, broken and sound."""
    board(
        """
    BAD = content("bad.whit")
    C = content("c.whit")
    ALL = {"m": A, "new": B, "old": C}
    answers = {"m": ANSWERS[0], "new": ANSWERS[1], "old": answer(whit.load(C))}
    for state in range(27):
        files, sound = {}, []
        for i, name in enumerate(("m", "new", "old")):
            has = state // 3**i % 3
            if has:
                files[name] = ALL[name] if has == 2 else BAD
            if has == 2:
                sound.append(name)
        put(**files)
        if not sound:
            text = refused(store.load, P, error=ValueError if "m" in files else OSError)
            assert text.startswith(P + " ") and text.endswith(" (no previous model passes either)"), text
            assert left() == files
            continue
        taken = sound[0]
        m = store.load(P)
        assert answer(m) == answers[taken] and m.name == P, state
        expected = {"m": ALL[taken]}
        if taken != "old" and "old" in files:
            expected["old"] = files["old"]
        assert left() == expected, (state, left().keys())
        assert answer(store.load(P)) == answers[taken]
    """,
        bad=BAD[bad],
        c=scores("c"),
    )


def test_load_passes_options_on():
    board("""
    put(old=A)
    arena = bytearray(2048)
    m = store.load(P, arena=arena, kernels="viper")
    assert m._arena is arena and m.kernels == "viper" and left() == {"m": A}
    """)


def test_a_heap_too_short_is_no_reason_to_replace_a_model():
    """The one before runs from where it lies, and the larger one waits for a larger heap."""
    board(
        """
    os.rename("b.whit", "m.whit.old")
    for name in "m.whit", "m.whit.new":
        os.rename("large.whit", name)
        m = store.load("m.whit")
        assert m.name == "m.whit.old" and answer(m) == ANSWERS[1]
        assert name in os.listdir() and "m.whit.old" in os.listdir()
        os.rename(name, "large.whit")
    os.rename("large.whit", "m.whit")
    os.remove("m.whit.old")
    text = refused(store.load, "m.whit", error=MemoryError)
    assert text.startswith("m.whit needs ") and text.endswith(" (no previous model passes either)"), text
    with open("m.whit.new", "wb") as f:
        f.write(B)
    store.commit("m.whit")  # nor to forget it
    assert content("m.whit") == B and os.stat("m.whit.old")[6] > 400_000
    """,
        large=with_section(A, 77, bytes(400_000)),
        heap_bytes=SMALL_HEAP,
    )


def test_a_file_system_that_cannot_be_written():
    board("""
    put(m=B[:9], new=B[:9], old=A)
    class ReadOnly(flash.Flash):
        def __init__(self, chip):
            self.block_bytes, self.blocks, self.data = chip.block_bytes, chip.blocks, chip.data
        def _do(self, start, content):
            raise OSError(30)
    vfs.umount(flash.ROOT)
    vfs.mount(vfs.VfsLfs2(ReadOnly(chip)), flash.ROOT)
    m = store.load(P)
    assert m.name == P + ".old" and answer(m) == ANSWERS[0]
    """)


def test_what_is_not_a_sentence_becomes_one():
    board("""
    def fails(error):
        def load(name, **options):
            raise error
        return load
    put(m=A, new=B)
    for error, kind, remedy in (
        (OSError(5), OSError, "copy it again"),
        (MemoryError(), MemoryError, "free memory"),
        (MemoryError("no"), MemoryError, "free memory"),
    ):
        store._load = fails(error)
        text = refused(store.load, P, error=kind)
        assert text.startswith(P + " does not load: ") and "; " + remedy + " (no" in text, text
    assert refused(store.commit, P, error=MemoryError).startswith(P + ".new does not load: ")
    """)


def test_no_file_is_renamed_or_removed_while_a_model_reads_from_it():
    """As a model would whose weights stay in its file: it has close()."""
    board(
        """
    BAD, load, opened = content("bad.whit"), store._load, []

    def held(name, **options):
        m = load(name, **options)
        opened.append(name)
        m.close = lambda: opened.remove(name)
        return m

    class Watched:
        stat = os.stat
        def remove(name):
            assert name not in opened, name
            os.remove(name)
        def rename(name, target):
            assert name not in opened and target not in opened, (name, target)
            os.rename(name, target)

    store._load, store.os = held, Watched
    for files in {}, {"m": A}, {"m": A, "old": B}, {"m": BAD, "old": B}:
        put(**files)
        refused(store.update, P, BAD)
        store.update(P, B)
        assert not opened
    for files in {"m": A, "new": B}, {"new": B}, {"m": BAD, "old": A}, {"m": BAD, "new": BAD, "old": A}:
        put(**files)
        store.load(P)
        assert opened == [P], opened
        opened.clear()
    """,
        bad=unlike(A),
    )


def test_an_update_and_a_load_keep_nothing():
    board("""
    put(m=A)
    def both():
        store.update(P, B)
        store.load(P)
        store.update(P, A)
    both()
    gc.collect()
    before = gc.mem_alloc()
    for _ in range(10):
        both()
    gc.collect()
    assert gc.mem_alloc() - before < 500, gc.mem_alloc() - before
    """)


def test_the_page_about_it():
    """The Python of docs/store.md, in its order."""
    lines = "".join(re.findall(r"```python\n(.*?)```", PAGE, re.S))
    assert lines.count("store.load") == 2
    files = {"kws.whit": A, "source": B}
    run("source = open('source', 'rb')\n" + lines + "assert m.selftest() and m.name == 'kws.whit'", files)


def test_the_pc_imports_it_too():
    from whit.device import store

    assert callable(store.update) and callable(store.commit) and callable(store.load)


def test_sources_that_are_none():
    board("""
put(m=A)
for source, error, words in (
    (P, ValueError, "cannot update itself; give the path of another file"),
    (3, TypeError, "an update is a path, a stream, a buffer or several; int was given"),
    ([1, 2], TypeError, "an update is a path, a stream, a buffer or several; list was given"),
):
    assert words in refused(store.update, P, source, error=error), source
    assert left() == {"m": A}
    """)
