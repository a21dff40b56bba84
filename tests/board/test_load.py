"""load: from wherever the file is, without a copy where it can lie where it is, in an arena of the promised size."""

import pytest
from blobs import add, dense, digits, find, two_outputs
from micropython import run
from whit.device import format as blob
from whit.inspect import describe
from whit.simulate import KERNEL_SETS

WEIGHTS_AT = find(digits(), blob.WEIGHTS)[0]

PRELUDE = f"""
import vfs
import whit
from uctypes import addressof

with open("m.whit", "rb") as f:
    data = f.read()

def answer(m):
    x = bytes([i * 37 & 255 for i in range(m.inputs[0].size)])
    y = bytearray(m.outputs[0].size)
    m.run(x, y)
    return bytes(y)

def lies_at(m, start):  # whether the file is used in place, where it starts at this address
    return addressof(m._weights) == start + {WEIGHTS_AT}

expected = answer(whit.load("m.whit"))
"""


def board(script, **files):
    return run(PRELUDE + script, {"m.whit": digits(), **files})


def romfs(name, data, remainder):
    """A ROMFS image with one file, whose data starts `remainder` bytes after a multiple of 16."""

    def number(value):
        return (bytes([value >> 7 | 0x80]) if value > 127 else b"") + bytes([value & 0x7F])

    def record(kind, payload):
        return number(kind) + number(len(payload)) + payload

    padding, verbatim, file = 1, 2, 5
    assert len(data) < 1 << 14  # two bytes of number hold 14 bits
    for pad in range(16):
        inner = number(len(name)) + name.encode() + record(verbatim, data)
        body = record(padding, bytes(pad)) + record(file, inner)
        image = b"\xd2\xcd\x31" + number(len(body)) + body
        if image.index(data) % 16 == remainder:
            return image
    raise AssertionError("no padding fits")


def test_every_source_gives_the_same_outputs():
    board("""
from array import array
for source in "m.whit", data, bytearray(data), memoryview(data), memoryview(bytearray(data)), array("B", data):
    for kernels in "native", "viper":
        m = whit.load(source, kernels=kernels)
        assert m.kernels == kernels
        assert answer(m) == expected, (type(source), kernels)
    """)


def test_a_signed_array_is_a_source_too():
    board("""
from array import array
m = whit.load(array("b", data))
assert answer(m) == expected and m.selftest() and len(list(m.steps())) == 9
    """)


def test_an_aligned_buffer_is_used_where_it_lies():
    board("""
buffer = bytearray(data)
assert lies_at(whit.load(buffer), addressof(buffer))
assert lies_at(whit.load(memoryview(buffer)), addressof(buffer))
assert lies_at(whit.load(data), addressof(data))
for shift in 4, 8, 12, 16:
    buffer = bytearray(shift + len(data))
    buffer[shift:] = data
    m = whit.load(memoryview(buffer)[shift:])
    assert lies_at(m, addressof(buffer) + shift) and answer(m) == expected, shift
    """)


def test_a_misaligned_buffer_is_copied_and_works():
    board("""
for shift in 1, 2, 3, 5:
    buffer = bytearray(shift + len(data))
    buffer[shift:] = data
    m = whit.load(memoryview(buffer)[shift:])
    assert not lies_at(m, addressof(buffer) + shift)
    buffer[:] = bytes(len(buffer))  # a copy does not mind
    assert addressof(m._weights) & 3 == 0 and answer(m) == expected, shift
    """)


def test_an_aligned_file_of_a_romfs_is_used_where_it_lies():
    image = romfs("m.whit", digits(), 0)
    board(
        f"""
with open("image", "rb") as f:
    image = bytearray(f.read())
vfs.mount(vfs.VfsRom(image), "/rom")
m = whit.load("/rom/m.whit")
assert lies_at(m, addressof(image) + {image.index(digits())})
assert answer(m) == expected
    """,
        image=image,
    )


def test_a_misaligned_file_of_a_romfs_is_copied_and_works():
    image = romfs("m.whit", digits(), 1)
    board(
        """
with open("image", "rb") as f:
    image = bytearray(f.read())
vfs.mount(vfs.VfsRom(image), "/rom")
m = whit.load("/rom/m.whit")
assert not addressof(image) <= addressof(m._weights) < addressof(image) + len(image)
assert answer(m) == expected
    """,
        image=image,
    )


@pytest.mark.parametrize("model", [digits, dense, add, two_outputs])
def test_the_arena_is_what_the_header_promises(model):
    promised = describe(model())["arena_bytes"]
    run(
        f"""
        import whit
        m = whit.load("m.whit")
        assert m.arena_bytes == len(m._arena) == {promised}
        own = bytearray({promised})
        m = whit.load("m.whit", arena=own)
        assert m._arena is own and m.selftest()
        try:
            whit.load("m.whit", arena=bytearray({promised} - 1))
        except ValueError as e:
            assert "arena of {promised} bytes" in str(e) and "bytearray of {promised - 1}" in str(e), e
        else:
            assert False, "an arena of a byte less was taken"
        """,
        {"m.whit": model()},
    )


def test_one_arena_serves_one_model_after_another():
    board("""
arena = bytearray(4096)
for _ in range(3):
    assert answer(whit.load("m.whit", arena=arena)) == expected
assert answer(whit.load("m.whit", arena=memoryview(arena)[64:])) == expected
    """)


def test_an_arena_that_kernels_cannot_use_is_refused():
    output = board("""
for arena in memoryview(bytearray(8192))[1:], bytes(8192), 8192, [0] * 8192:
    try:
        whit.load("m.whit", arena=arena)
    except ValueError as e:
        print(e)
    """)
    lines = output.splitlines()
    assert "not aligned to 4 bytes" in lines[0]
    assert all("give a bytearray" in line for line in lines) and len(lines) == 4


@pytest.mark.parametrize("kernels", KERNEL_SETS)
def test_an_arena_that_is_read_only_is_never_written(kernels):
    run(
        f"""
        import whit
        constant = bytes(64)
        try:
            m = whit.load("m.whit", arena=memoryview(constant), kernels="{kernels}")
            m.run()
        except (ValueError, TypeError):
            pass
        assert constant == bytes(64)
        """,
        {"m.whit": dense()},
    )


def test_loading_again_and_again_does_not_fill_the_heap():
    run(
        """
        import gc, whit
        def load():
            m = whit.load("m.whit", kernels="viper")
            m.run()
        load()
        gc.collect()
        before = gc.mem_alloc()
        for _ in range(50):
            load()
        gc.collect()
        assert gc.mem_alloc() - before < 1000, gc.mem_alloc() - before
        """,
        {"m.whit": dense()},
    )
