"""What load() refuses, and that each refusal names the thing, what was found, and what to do."""

import struct

import pytest
from blobs import dense, digits, find, sealed, with_byte, with_section
from micropython import run
from whit.device import format as blob
from whit.device import opset

LOAD = """
import whit
try:
    whit.load(%s)
except %s as e:
    print(e)
else:
    assert False, "nothing was refused"
"""


def refusal(data, arguments='"m.whit"', error="ValueError", **options):
    """The text with which the board refuses the file, one sentence."""
    text = run(LOAD % (arguments, error), {"m.whit": data}, **options).strip()
    assert "\n" not in text
    return text


def assert_says(text, *words):
    for word in words:
        assert word in text, f"no {word!r} in: {text}"


def with_major(data, major):
    return sealed(data[:8] + bytes([major]) + data[9:])


def test_a_file_of_another_kind():
    for data in b"TFL3" * 20, b"", b"WHIT", b"\0" * 100:
        assert_says(refusal(data), "m.whit is not a .whit file", "whit pack")


def test_a_truncated_file():
    data = digits()
    assert_says(refusal(data[:-100]), f"m.whit is truncated: {len(data) - 100} bytes", str(len(data)), "copy it again")


def test_a_file_that_is_too_long():
    data = digits()
    assert_says(refusal(data + b"\0"), f"m.whit is too long: {len(data) + 1} bytes", str(len(data)), "copy it again")


def test_a_corrupted_file():
    data = digits()
    middle = len(data) // 2
    data = data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]
    assert_says(refusal(data), "m.whit is corrupted", "CRC32", "copy it again")


def test_a_file_of_a_newer_format():
    newer = blob.VERSION[0] + 1
    words = f"m.whit has format {newer}.", f"reads 1.x-{blob.VERSION[0]}.x", "update whit"
    assert_says(refusal(with_major(digits(), newer)), *words)


def test_a_file_of_an_older_format():
    words = "m.whit has format 0.", f"reads 1.x-{blob.VERSION[0]}.x", "pack it again"
    assert_says(refusal(with_major(digits(), 0)), *words)


def test_a_kernel_this_board_does_not_have():
    at = find(digits(), blob.STEPS)[0]
    words = "m.whit needs kernel 99", f"1-{len(opset.KERNELS)}", "update whit"
    assert_says(refusal(with_byte(digits(), at, 99)), *words)


def test_a_section_this_board_must_know():
    data = with_section(digits(), blob.REQUIRED | 77, b"something new")
    assert_says(refusal(data), f"m.whit needs section {blob.REQUIRED | 77}", "update whit")


def test_a_section_this_board_may_skip():
    run(
        """
        import whit
        m = whit.load("m.whit")
        assert m.selftest() and len(m.labels) == 10
        """,
        {"m.whit": with_section(digits(), 77, b"something new")},
    )


def test_an_offset_that_leads_outside():
    at = find(dense(), blob.STEPS)[0] + 4  # x of the first step
    data = sealed(dense()[:at] + struct.pack("<I", 1 << 20) + dense()[at + 4 :])
    assert_says(refusal(data), "m.whit is broken", "field x of a dense step", "pack it again")


def test_a_file_that_is_not_there():
    assert_says(refusal(b"", '"nowhere.whit"', "OSError"), "2")  # ENOENT


def test_a_buffer_is_called_model():
    assert_says(refusal(b"", 'b"TFL3" * 20'), "model is not a .whit file")


def test_a_heap_too_small_for_the_file():
    data = with_section(dense(), 77, bytes(200_000))
    text = refusal(data, error="MemoryError", heap_bytes=120_000)
    assert_says(text, f"m.whit needs {len(data)} bytes of heap in one block", "are free in all", "free memory")


def test_a_heap_too_small_for_a_copy_of_a_misaligned_buffer():
    data = with_section(dense(), 77, bytes(100_000))
    script = f"""
        import whit
        data = bytearray({len(data) + 1})
        with open("m.whit", "rb") as f:
            f.readinto(memoryview(data)[1:])
        try:
            whit.load(memoryview(data)[1:])
        except MemoryError as e:
            print(e)
    """
    text = run(script, {"m.whit": data}, heap_bytes=200_000)
    assert_says(text, f"model needs {len(data)} bytes of heap in one block", "are free in all")


def with_arena(arena_bytes: int) -> bytes:
    return sealed(dense()[:16] + struct.pack("<I", arena_bytes) + dense()[20:])


@pytest.mark.parametrize("arena_bytes", [1_000_000, 0x3FFFFFFF])
def test_a_heap_too_small_for_the_arena(arena_bytes):
    text = refusal(with_arena(arena_bytes), error="MemoryError", heap_bytes=300_000)
    assert_says(text, f"m.whit needs an arena of {arena_bytes} bytes in one block", "are free in all", "free memory")


@pytest.mark.parametrize("arena_bytes", [0x40000000, 0xFFFFFFFF])
def test_an_arena_that_no_board_has(arena_bytes):
    words = f"m.whit needs an arena of {arena_bytes} bytes", "more than any board has", "pack it again"
    assert_says(refusal(with_arena(arena_bytes)), *words)


@pytest.mark.parametrize(
    ("arena", "words"),
    [
        ("memoryview(bytes(64))", "memoryview of 64 was given"),
        ("bytes(64)", "bytes of 64 was given"),
        ("memoryview(array('i', bytes(256)))", "memoryview of 64 was given"),
        ("memoryview(array('b', bytes(64)))", "memoryview of 64 was given"),
        ("[0] * 64", "list of 64 was given"),
        ("bytearray(8)", "bytearray of 8 was given"),
        ("memoryview(bytearray(80))[2:]", "not aligned to 4 bytes"),
        ("model", "is the model itself"),
        ("memoryview(model)[128:]", "is the model itself"),
    ],
)
def test_an_arena_that_kernels_cannot_write(arena, words):
    """Or that would let them write over the records the check has passed."""
    script = f"""
    import whit
    from array import array
    model = bytearray(open("m.whit", "rb").read())
    try:
        whit.load(model, arena={arena})
        assert False, "taken"
    except ValueError as e:
        print(e)
    """
    text = run(script, {"m.whit": dense()})
    assert words in text and "arena" in text and "give a bytearray" in text, text


def test_what_is_neither_a_path_nor_a_buffer():
    for source in "None", "42", "['m.whit']":
        text = run(f"import whit\ntry:\n    whit.load({source})\nexcept TypeError as e:\n    print(e)")
        assert "whit.load takes a path or a buffer" in text, text


def test_a_kernel_set_that_there_is_not():
    assert_says(refusal(dense(), '"m.whit", kernels="x"'), "no 'x' kernels", "'native' or 'viper'")


@pytest.mark.parametrize("length", [0, 1, 7])
def test_a_selftest_section_of_another_size(length):
    data = dense()
    at, found = find(data, blob.SELFTEST)
    entry = data.index(struct.pack("<II", at, found))
    data = sealed(data[: entry + 4] + struct.pack("<I", length) + data[entry + 8 :])
    assert_says(refusal(data), "m.whit is broken: its self-test has the wrong size", "pack it again")
