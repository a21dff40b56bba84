# The kernel table: its rows, and the bytes that each kernel may touch.

import struct

from whit.device import opset

WINDOW = dict(ih=4, iw=5, oh=4, ow=5, kh=3, kw=3, sy=1, sx=1, dy=1, dx=1, py=1, px=1)
CONV = dict(WINDOW, ic=3, oc=6, flags=0)
POOL = dict(WINDOW, c=7)
COPY = dict(n0=1, n1=2, n2=3, n3=4, x0=100, x1=20, x2=5, y0=24, y1=12, y2=4)
WIDTHS = {"a": 4, "w": 4, "s": 4, "I": 4, "i": 4, "H": 2, "B": 1, "b": 1}


def extents(name, fields, **changes):
    for row in opset.KERNELS:
        if row[1] == name:
            return tuple(row[3](dict(fields, **changes)))


def test_ids_are_unique_and_dense_from_1():
    assert [row[0] for row in opset.KERNELS] == list(range(1, len(opset.KERNELS) + 1))
    assert len({row[1] for row in opset.KERNELS}) == len(opset.KERNELS)


def test_a_record_is_its_fields_and_a_head_padded_to_four_bytes():
    for row in opset.KERNELS:
        size = 4 + sum([WIDTHS[code] for _, code in opset.fields_of(row)])
        assert struct.calcsize(opset.struct_of(row)) == (size + 3) // 4 * 4, row[1]


def test_known_record_sizes():
    sizes = {row[1]: struct.calcsize(opset.struct_of(row)) for row in opset.KERNELS}
    assert sizes["conv2d"] == sizes["depthwise"] == 48
    assert sizes["average_pool"] == sizes["max_pool"] == 32
    assert (sizes["lookup"], sizes["copy"], sizes["fill"], sizes["mean"]) == (20, 52, 16, 28)


def test_every_field_lies_at_a_multiple_of_its_width():
    for row in opset.KERNELS:
        at = 4
        for name, code in opset.fields_of(row):
            assert at % WIDTHS[code] == 0, (row[1], name)
            at += WIDTHS[code]


def test_field_names_are_unique_in_a_row():
    for row in opset.KERNELS:
        names = [name for name, _ in opset.fields_of(row)]
        assert len(set(names)) == len(names), row[1]


def test_offsets_come_first_and_each_has_an_extent():
    examples = dict(CONV, c=7, rows=2, k=3, o=4, depth=5, entries=6, n=8)
    examples.update(COPY)
    for row in opset.KERNELS:
        codes = [code for _, code in opset.fields_of(row)]
        offsets = [code for code in codes if code in "aws"]
        assert codes[: len(offsets)] == offsets, row[1]
        assert len(row[3](examples)) == len(offsets), row[1]


def test_a_struct_carries_every_field_to_its_extreme():
    for row in opset.KERNELS:
        low = {"i": -(2**31), "b": -128}
        high = {"i": 2**31 - 1, "b": 127, "H": 65535, "B": 255}
        codes = [code for _, code in opset.fields_of(row)]
        for values in [low.get(c, 0) for c in codes], [high.get(c, 2**32 - 1) for c in codes]:
            packed = struct.pack(opset.struct_of(row), row[0], 0, 1, *values)
            assert list(struct.unpack(opset.struct_of(row), packed))[3:] == values, row[1]


def test_conv2d_touches_its_image_quads_and_scratch_for_patches():
    assert extents("conv2d", CONV) == (4 * 5 * 3, 4 * 5 * 6, 16 * 2 * 7, 36 * 2, 28 * (4 * 2 + 2))


def test_depthwise_touches_planar_weights_and_scratch_for_one_channel():
    same = dict(CONV, oc=3)
    assert extents("depthwise", same) == (4 * 5 * 3, 4 * 5 * 3, 3 * 9, 36, 4 * 12 * 4)
    assert extents("depthwise", CONV) == (4 * 5 * 3, 4 * 5 * 6, 6 * 9, 36 * 2, 0)
    large = dict(same, ih=96, iw=96, oh=96, ow=96)
    assert extents("depthwise", large)[4] == 3072
    wide = dict(large, iw=1000, ow=1000)
    assert extents("depthwise", wide)[4] == 4 * 1008 * 4


def test_dense_touches_its_rows_and_quads():
    assert extents("dense", dict(rows=2, k=9, o=5, flags=0)) == (18, 10, 16 * 2 * 3, 72, 4 * 12)
    assert [extents("dense", dict(rows=1, k=k, o=1, flags=0))[4] for k in (1024, 1025)] == [4096, 0]


def test_int4_weights_take_half_and_scratch_for_their_bytes():
    int4 = opset.INT4 | opset.BOUNDED
    assert extents("conv2d", CONV, flags=int4)[2:] == (8 * 2 * 7, 36 * 2, 28 * (4 * 2 + 2) + 16 * 2 * 7)
    assert extents("dense", dict(rows=2, k=9, o=5, flags=int4)) == (18, 10, 8 * 2 * 3, 72, 4 * 12 + 16 * 3)
    assert [extents("dense", dict(rows=1, k=k, o=9, flags=int4))[4] for k in (1024, 1025)] == [8192, 1024]


def test_flags_of_kernels():
    known = {row[1]: opset.flags_of(row) for row in opset.KERNELS}
    assert known["conv2d"] == known["dense"] == opset.BOUNDED | opset.INT4
    assert known["depthwise"] == known["fill"] == opset.BOUNDED


def test_pools_touch_image_and_output():
    for name in "average_pool", "max_pool":
        assert extents(name, POOL) == (4 * 5 * 7, 4 * 5 * 7)


def test_add_touches_n_of_each_and_tables_for_many():
    assert extents("add", dict(n=511)) == (511, 511, 511, 0)
    assert extents("add", dict(n=512)) == (512, 512, 512, 2048)


def test_softmax_touches_its_rows_and_its_table():
    assert extents("softmax", dict(rows=3, depth=4, entries=256)) == (12, 12, 1024)
    assert extents("softmax", dict(rows=1, depth=4095, entries=1)) == (4095, 4095, 4)


def test_lookup_touches_a_table_of_256():
    assert extents("lookup", dict(n=5)) == (5, 5, 256)


def test_copy_touches_up_to_the_last_byte_of_the_last_run():
    assert extents("copy", COPY) == (20 + 2 * 5 + 4, 12 + 2 * 4 + 4)


def test_fill_and_mean_touch_what_they_name():
    assert extents("fill", dict(n=5)) == (5,)
    assert extents("mean", dict(n=5, c=3)) == (15, 3)


def test_windows_that_miss_the_image_are_impossible():
    for axis in "yx":
        size = {"y": "h", "x": "w"}[axis]
        for changes in (
            {"s" + axis: 0},
            {"k" + size: 0},
            {"p" + axis: 3},  # the first window would end before the image starts
            {"o" + size: 7},  # the last one would start after it ends
            {"s" + axis: 2},
            {"i" + size: 1},
        ):
            for name, fields in ("conv2d", CONV), ("depthwise", CONV), ("average_pool", POOL), ("max_pool", POOL):
                assert extents(name, fields, **changes) == (), (name, changes)
        for name in "conv2d", "depthwise":
            assert extents(name, CONV, **{"d" + axis: 0}) == (), name


def test_the_last_window_may_hold_a_single_tap_of_the_image():
    assert extents("max_pool", POOL, py=2, px=2, oh=6, ow=7)
    assert not extents("max_pool", POOL, py=2, px=2, oh=7, ow=7)
    assert not extents("max_pool", POOL, py=2, px=2, oh=6, ow=8)


def test_depthwise_wants_a_whole_multiple_of_its_input_channels():
    assert extents("depthwise", CONV, oc=9)
    assert extents("depthwise", CONV, oc=7) == ()
    assert extents("depthwise", CONV, ic=0) == ()


def test_softmax_refuses_sums_and_tables_that_do_not_fit():
    assert extents("softmax", dict(rows=1, depth=4096, entries=1)) == ()
    assert extents("softmax", dict(rows=1, depth=1, entries=257)) == ()


def test_copy_refuses_an_empty_box_and_more_work_than_output():
    for name in "n0", "n1", "n2", "n3":
        assert extents("copy", COPY, **{name: 0}) == (), name
    assert extents("copy", COPY, y0=0, y1=0, y2=0) == ()  # 24 bytes written, 4 touched


def test_extents_do_not_wrap_at_the_widest_fields():
    wide = 2**32 - 1
    assert extents("dense", dict(rows=65535, k=wide, o=wide, flags=0))[0] == 65535 * wide
    assert extents("copy", COPY, n0=wide, y0=wide)[1] > wide * (wide - 1)
    k = 255 * 255 * 65535
    big = dict(CONV, ih=65535, iw=65535, ic=65535, kh=255, kw=255, oc=65535)
    assert extents("conv2d", big)[2:] == (16 * 16384 * ((k + 3) // 4), 36 * 16384, (k + 3) // 4 * 40)
