# The load-time check, on the smallest file that passes it and on what is wrong with its neighbours.

import struct
from binascii import crc32

from whit.device import check as checker
from whit.device import format as blob
from whit.device import opset

ARENA = 32
FILL, LOOKUP = 10, 8


def step(number, *values):
    row = {row[0]: row for row in opset.KERNELS}[number]
    layout = opset.struct_of(row)
    return struct.pack(layout, number, 0, struct.calcsize(layout), *values)


def tensor(kind, offset=0, count=4, shape=(1, 4), name=b"x", dtype=0):
    head = struct.pack(blob.TENSOR, offset, count, 0.5, 0, kind, dtype, len(shape), len(name))
    return head + struct.pack(f"<{len(shape)}I", *shape) + name + bytes(-len(name) & 3)


TENSORS = tensor(blob.INPUT) + tensor(blob.OUTPUT, offset=16)
STEPS = step(FILL, 16, 4, 7)


def minimal(tensors=TENSORS, steps=STEPS, weights=b"", extra=(), arena=ARENA, major=1, minor=0, without=None):
    # A whole file of these sections, sound around them.
    sections = [(blob.TENSORS, tensors), (blob.STEPS, steps), (blob.WEIGHTS, weights)]
    sections = [s for s in sections + list(extra) if s[0] != without]
    table, body = b"", b""
    start = blob.HEADER_BYTES + blob.SECTION_BYTES * len(sections)
    for number, data in sections:
        body += bytes(-(start + len(body)) % blob.ALIGN)
        table += struct.pack(blob.SECTION, number, 0, start + len(body), len(data))
        body += data
    data = struct.pack(blob.HEADER, blob.MAGIC, 0, major, minor, len(sections), 0, arena, 0) + table + body
    return sealed(data)


def sealed(data):
    # data with its own length and CRC32 in the header
    data = data[:12] + struct.pack("<I", len(data)) + data[16:]
    return data[:4] + struct.pack("<I", crc32(data[blob.CRC_FROM :]) & 0xFFFFFFFF) + data[8:]


def patched(data, at, code, value):
    size = struct.calcsize(code)
    return data[:at] + struct.pack(code, value) + data[at + size :]


def refusal(data):
    try:
        checker.check("f.whit", memoryview(data))
    except ValueError as e:
        return str(e)
    raise AssertionError("the check took it")


def test_the_smallest_file_passes():
    arena_bytes, sections, kernels = checker.check("f.whit", memoryview(minimal()))
    assert arena_bytes == ARENA
    assert sorted(sections) == [blob.TENSORS, blob.STEPS, blob.WEIGHTS]
    assert sections[blob.STEPS][1] == len(STEPS)
    assert kernels == {FILL}


def test_a_file_without_steps_passes():
    assert checker.check("f.whit", memoryview(minimal(steps=b"")))[2] == set()


def test_every_refusal_starts_with_the_name_and_says_what_to_do():
    for data in b"", b"WHAT" + minimal()[4:], minimal()[:-1], minimal(steps=b"\x63\x00\x04\x00"), minimal(major=2):
        text = refusal(data)
        assert text.startswith("f.whit "), text
        assert "; " in text and "\n" not in text, text


def test_what_is_not_a_whit_file_is_refused():
    for data in b"", b"WHIT", minimal()[:23], b"TFL3" + bytes(100):
        assert "is not a .whit file" in refusal(data)


def test_another_major_version_is_refused_and_a_newer_minor_taken():
    assert "has format 2.0, this whit reads 1.x; update whit" in refusal(minimal(major=2))
    assert "has format 0.9, this whit reads 1.x; pack it again" in refusal(minimal(major=0, minor=9))
    assert checker.check("f.whit", memoryview(minimal(minor=255)))


def test_a_wrong_length_says_both():
    data = minimal()
    assert f"is truncated: {len(data) - 1} bytes, its header says {len(data)}" in refusal(data[:-1])
    assert f"is too long: {len(data) + 1} bytes, its header says {len(data)}" in refusal(data + b"\0")


def test_every_single_wrong_byte_is_refused():
    data = minimal()
    for at in range(len(data)):
        if at != 5:  # the minor version, which a reader does not look at
            refusal(patched(data, at, "B", data[at] ^ 0x10))


def test_every_truncation_is_refused_also_with_a_right_header():
    data = minimal()
    for size in range(blob.HEADER_BYTES, len(data) - 1):
        refusal(sealed(data[:size]))


def test_a_section_outside_the_file_or_misaligned_is_refused():
    at = blob.HEADER_BYTES + blob.SECTION_BYTES  # the entry of STEPS
    size = len(minimal())
    for offset in 4, 24, (size + 15) // 16 * 16, 0xFFFFFFF0:
        assert f"section {blob.STEPS}" in refusal(sealed(patched(minimal(), at + 4, "<I", offset)))
    assert f"section {blob.STEPS}" in refusal(sealed(patched(minimal(), at + 8, "<I", 0xFFFFFFFF)))


def test_more_sections_than_the_file_holds_are_refused():
    assert "section" in refusal(sealed(patched(minimal(), 10, "<H", 0xFFFF)))


def test_a_missing_section_is_refused():
    for number in blob.TENSORS, blob.STEPS, blob.WEIGHTS:
        assert f"section {number} is missing" in refusal(minimal(without=number))


def test_an_unknown_section_is_refused_only_if_it_is_required():
    assert checker.check("f.whit", memoryview(minimal(extra=[(99, b"abc")])))
    assert "needs section 32867" in refusal(minimal(extra=[(99 | blob.REQUIRED, b"abc")]))


def test_an_unknown_kernel_is_named():
    for number in 0, len(opset.KERNELS) + 1, 99, 255:
        text = refusal(minimal(steps=bytes([number]) + STEPS[1:]))
        assert f"needs kernel {number}, this whit has 1-{len(opset.KERNELS)}" in text


def test_a_step_of_another_size_than_its_kernels_is_refused():
    for size in 0, 4, len(STEPS) - 4, len(STEPS) + 4, 0xFFFF:
        assert "step of kernel 10 has the wrong size" in refusal(minimal(steps=patched(STEPS, 2, "<H", size)))
    for size in range(1, len(STEPS)):
        refusal(minimal(steps=STEPS[:size]))
        refusal(minimal(steps=STEPS + STEPS[:size]))


def test_a_step_may_reach_the_last_byte_of_the_arena_and_no_further():
    assert checker.check("f.whit", memoryview(minimal(steps=step(FILL, 0, ARENA, 7))))
    for offset, count in (0, ARENA + 1), (1, ARENA), (ARENA, 1), (0xFFFFFFFF, 1), (1, 0xFFFFFFFF), (0, 0):
        assert "field y of a fill step" in refusal(minimal(steps=step(FILL, offset, count, 7)))


def test_a_step_may_reach_the_last_byte_of_the_weights_and_no_further():
    weights = bytes(260)
    assert checker.check("f.whit", memoryview(minimal(steps=step(LOOKUP, 0, 0, 4, 1), weights=weights)))
    for offset in 8, 2, 260, 0xFFFFFFFC:
        assert "field t of a lookup step" in refusal(minimal(steps=step(LOOKUP, 0, 0, offset, 1), weights=weights))


def test_scratch_and_weights_must_be_aligned():
    # dense of one row: x y w q s k o rows zo lo hi
    def dense(w=0, q=16, s=0):
        return minimal(steps=step(3, 0, 16, w, q, s, 4, 4, 1, 0, -128, 127), weights=bytes(64))

    assert checker.check("f.whit", memoryview(dense()))
    assert "field w" in refusal(dense(w=1))
    assert "field q" in refusal(dense(q=18))
    assert "field s" in refusal(dense(s=2))


def test_impossible_sizes_are_refused():
    # max_pool: x y ih iw c oh ow kh kw sy sx py px lo hi; a window of height 0
    assert "max_pool step with impossible sizes" in refusal(
        minimal(steps=step(5, 0, 16, 2, 2, 1, 1, 1, 0, 2, 1, 1, 0, 0, -128, 127))
    )


def test_every_step_is_checked_not_only_the_first():
    assert "field y" in refusal(minimal(steps=STEPS + step(FILL, 0, ARENA + 1, 7)))


def test_a_tensor_may_reach_the_last_byte_of_the_arena_and_no_further():
    out = tensor(blob.OUTPUT)
    assert checker.check("f.whit", memoryview(minimal(tensors=out + tensor(blob.INPUT, offset=ARENA - 4))))
    for offset in ARENA - 3, ARENA, 0xFFFFFFFF:
        assert "input or output" in refusal(minimal(tensors=out + tensor(blob.INPUT, offset=offset)))


def test_a_tensors_shape_must_hold_its_elements():
    out = tensor(blob.OUTPUT)
    for count, shape in (4, (4,)), (4, (2, 1, 2)), (1, ()):
        assert checker.check("f.whit", memoryview(minimal(tensors=out + tensor(blob.INPUT, count=count, shape=shape))))
    for count, shape in (4, (5,)), (4, ()), (0, (0,)), (4, (65536, 65536, 4)):
        assert "input or output" in refusal(minimal(tensors=out + tensor(blob.INPUT, count=count, shape=shape)))


def test_a_tensor_of_unknown_kind_or_dtype_is_refused():
    for kind, dtype in (2, 0), (255, 0), (0, 2), (0, 255):
        assert "input or output" in refusal(minimal(tensors=TENSORS + tensor(kind, dtype=dtype)))


def test_a_cut_tensor_record_is_refused():
    for size in range(1, len(TENSORS)):
        refusal(minimal(tensors=TENSORS[:size]))


def test_a_file_wants_an_input_and_an_output():
    for tensors in b"", tensor(blob.INPUT), tensor(blob.OUTPUT):
        assert "no input or no output" in refusal(minimal(tensors=tensors))
