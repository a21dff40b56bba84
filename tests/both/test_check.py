# The load-time check, on the smallest file that passes it and on what is wrong with its neighbours.

import struct
from binascii import crc32

from whit.device import check as checker
from whit.device import format as blob
from whit.device import opset, state

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
    arena_bytes, sections, kernels, pages = checker.check("f.whit", memoryview(minimal()))
    assert arena_bytes == ARENA
    assert sorted(sections) == [blob.TENSORS, blob.STEPS, blob.WEIGHTS]
    assert sections[blob.STEPS][1] == len(STEPS)
    assert kernels == {FILL} and pages is None


def test_a_file_without_steps_passes():
    assert checker.check("f.whit", memoryview(minimal(steps=b"")))[2] == set()


def test_every_refusal_starts_with_the_name_and_says_what_to_do():
    for data in b"", b"WHAT" + minimal()[4:], minimal()[:-1], minimal(steps=b"\x63\x00\x04\x00"), minimal(major=3):
        text = refusal(data)
        assert text.startswith("f.whit "), text
        assert "; " in text and "\n" not in text, text


def test_what_is_not_a_whit_file_is_refused():
    for data in b"", b"WHIT", minimal()[:23], b"TFL3" + bytes(100):
        assert "is not a .whit file" in refusal(data)


def test_another_major_version_is_refused_and_a_newer_minor_taken():
    assert "has format 3.0, this whit reads 1.x-2.x; update whit" in refusal(minimal(major=3))
    assert "has format 0.9, this whit reads 1.x-2.x; pack it again" in refusal(minimal(major=0, minor=9))
    for major in 1, 2:
        assert checker.check("f.whit", memoryview(minimal(major=major, minor=255)))


def test_flags_that_a_kernel_does_not_know_are_refused():
    def flagged(flags, record=STEPS, weights=b""):
        return minimal(steps=patched(record, 1, "B", flags), weights=weights)

    assert checker.check("f.whit", memoryview(flagged(opset.BOUNDED)))
    for flags in opset.INT4, 4, 128 | opset.BOUNDED:
        text = refusal(flagged(flags))
        assert "has a fill step with flags %d, which this whit does not know; update whit" % flags in text
    # int4 weights take half as much, and more scratch.
    assert checker.check(
        "f.whit", memoryview(flagged(opset.INT4, step(3, 0, 4, 48, 0, 0, 4, 1, 1, 0, 0, 0), bytes(56)))
    )
    assert "field w" in refusal(flagged(0, step(3, 0, 4, 48, 0, 0, 4, 1, 1, 0, 0, 0), bytes(56)))
    assert checker.check("f.whit", memoryview(flagged(0, step(3, 0, 4, 0, 16, 16, 4, 1, 1, 0, 0, 0), bytes(52))))
    assert "field s" in refusal(flagged(opset.INT4, step(3, 0, 4, 0, 16, 16, 4, 1, 1, 0, 0, 0), bytes(52)))


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


# A file that is read page by page: what lies before the weights is checked, and the steps then count from their page.

RECORD = len(step(LOOKUP, 0, 16, 0, 4))
LOOKUPS = step(LOOKUP, 0, 16, 0, 4) + step(LOOKUP, 0, 16, 320, 4) + step(LOOKUP, 0, 16, 320 + 16, 4)
PAGES = (RECORD, 0, 256), (3 * RECORD, 320, 272)


def paged(pages=PAGES, steps=LOOKUPS, page_bytes=272, extra=()):
    # What checker.check takes: all of the file before the weights, the bytes of the whole, its CRC32.
    if not isinstance(pages, bytes):
        pages = b"".join([struct.pack(blob.PAGE, *page) for page in pages])
    weights = bytes(592)
    extra = list(extra) + [(blob.PAGES, pages), (7, weights)]  # noqa: RUF005
    data = minimal(steps=steps, without=blob.WEIGHTS, extra=extra)
    at = data.index(struct.pack(blob.SECTION[:3], 7, 0), blob.HEADER_BYTES)
    data = sealed(patched(patched(data, at, "<H", blob.WEIGHTS), 20, "<I", page_bytes))
    return memoryview(bytearray(data[: len(data) - len(weights)])), len(data), crc32(data[blob.CRC_FROM :])


def paged_refusal(*args):
    try:
        checker.check("f.whit", *args)
    except ValueError as e:
        return str(e)
    raise AssertionError("the check took it")


def test_steps_count_from_their_page():
    view, size, crc = paged()
    _, sections, _, pages = checker.check("f.whit", view, size, crc)
    assert list(pages) == [RECORD, 0, 256, 3 * RECORD, 320, 272]
    at, length = sections[blob.STEPS]
    assert [fields["t"] for _, fields in opset.records(view[at : at + length])] == [0, 0, 16]


def test_a_file_that_is_read_whole_keeps_its_offsets():
    view, size, _ = paged()
    data = bytes(view) + bytes(size - len(view))
    whole = bytearray(data)
    pages = checker.check("f.whit", memoryview(whole))[3]
    assert pages is None and whole == data


def test_pages_that_are_refused():
    for pages, words in (
        (b"", "do not cover its steps"),
        (bytes(11), "do not cover its steps"),
        (bytes(12), "page 0 is not where it can be"),  # no step in it
        (PAGES[:1], "do not cover its steps"),
        (PAGES[1:], "field t of a lookup step leads outside"),  # of the first step
        (PAGES + ((4 * RECORD, 0, 4),), "do not cover its steps"),  # noqa: RUF005
        ((PAGES[1], PAGES[0]), "page 1 is not where it can be"),
        ((PAGES[0], (3 * RECORD, 320, 276)), "page 1 is not where it can be"),  # larger than the header says
        ((PAGES[0], (3 * RECORD, 324, 272)), "page 1 is not where it can be"),  # behind the weights
        ((PAGES[0], (3 * RECORD, 1 << 31, 272)), "page 1 is not where it can be"),
        ((PAGES[0], (3 * RECORD, 318, 272)), "page 1 is not where it can be"),  # not aligned
        ((PAGES[0], (3 * RECORD, 324, 268)), "field t of a lookup step leads outside"),  # starts too late
        ((PAGES[0], (3 * RECORD, 320, 268)), "field t of a lookup step leads outside"),  # ends too early
        (((RECORD - 4, 0, 256), PAGES[1]), "page 0 ends within a step"),
        (((RECORD + 4, 0, 256), PAGES[1]), "page 0 ends within a step"),
        (((2 * RECORD, 0, 256), PAGES[1]), "field t of a lookup step leads outside"),
    ):
        text = paged_refusal(*paged(pages))
        assert words in text and text.startswith("f.whit is broken: ") and text.endswith("; pack it again"), (
            pages,
            text,
        )


def test_a_file_without_pages_is_not_read_by_page():
    data = minimal()
    text = paged_refusal(memoryview(data), len(data), crc32(data[blob.CRC_FROM :]))
    assert text == "f.whit has no pages; pack it again with --page"


def test_only_the_weights_may_lie_behind_what_is_kept():
    view, size, crc = paged()
    for number in blob.TENSORS, blob.STEPS, blob.PAGES:
        data = bytearray(view)
        entry = next(
            at
            for at in range(blob.HEADER_BYTES, blob.HEADER_BYTES + 4 * blob.SECTION_BYTES, blob.SECTION_BYTES)
            if struct.unpack_from("<H", data, at)[0] == number
        )
        struct.pack_into("<I", data, entry + 4, len(view))
        assert "outside the file or behind the weights" in paged_refusal(memoryview(data), size, crc)


def test_a_page_larger_than_any_board_is_refused():
    for size in 1 << 30, 0xFFFFFFFF:
        text = paged_refusal(*paged(page_bytes=size))
        assert text == "f.whit needs a page of %d bytes, more than any board has; pack it again" % size
        checker.check("f.whit", memoryview(sealed(patched(minimal(), 20, "<I", size))))  # read whole, it has none


def test_a_file_without_steps_has_no_pages():
    assert not checker.check("f.whit", *paged(b"", steps=b"", page_bytes=0))[3]


def test_names_are_checked_as_the_steps_leave_them():
    # LABELS over the steps: the offset of the last table is text in the file, but not as an offset in its page.
    steps = step(LOOKUP, 0, 16, 0, 4) + step(LOOKUP, 0, 16, 320, 4)
    for start, text in (208, ""), (192, "a name in it is not UTF-8"):
        view, size, crc = paged(((RECORD, 0, 256), (2 * RECORD, start, 384)), steps, 384, [(blob.LABELS, b"")])
        entries = range(blob.HEADER_BYTES, blob.HEADER_BYTES + 5 * blob.SECTION_BYTES, blob.SECTION_BYTES)
        found = {struct.unpack_from("<H", view, at)[0]: at for at in entries}
        view[found[blob.LABELS] + 4 : found[blob.LABELS] + 12] = view[found[blob.STEPS] + 4 : found[blob.STEPS] + 12]
        crc = crc32(bytes(view[blob.CRC_FROM :]) + bytes(size - len(view)))
        struct.pack_into("<I", view, 4, crc)
        if text:
            assert text in paged_refusal(view, size, crc)
        else:
            checker.check("f.whit", view, size, crc)


def kept(offset=8, size=8, kind=0, value=5, data=b""):
    # A record of the section STATE.
    return struct.pack(state.RECORD, offset, size, kind, value) + data


def test_what_is_kept_between_runs():
    data = minimal(extra=[(blob.STATE, kept() + kept(size=3, kind=1, data=b"abc-") + kept(offset=0, size=ARENA))])
    _, sections, _, _ = checker.check("f.whit", memoryview(data))
    at, size = sections[blob.STATE]
    arena = memoryview(bytearray(ARENA))
    state.write(memoryview(data)[at : at + size - 12], arena)
    assert bytes(arena) == bytes(8) + b"abc" + 5 * b"\x05" + bytes(16)


def test_what_is_kept_lies_in_the_arena_and_in_its_section():
    for records in (
        kept(offset=ARENA - 7),
        kept(offset=0xFFFFFFFF),
        kept(size=0),
        kept(size=0xFFFFFFFF),
        kept(kind=2, data=bytes(8)),
        kept(kind=1, data=bytes(7)),
        kept(kind=1),
        kept()[:-1],
        kept() + b"\0",
    ):
        text = refusal(minimal(extra=[(blob.STATE, records)]))
        assert text == "f.whit is broken: what it keeps between runs does not fit; pack it again", records
