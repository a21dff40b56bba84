# The kernels: whit's instruction set, shared by the packager, the runtime and the C build.
#
# A row is (id, name, fields, extents). `fields` lists "name:code" in the order they lie in a step record, after its
# four-byte head (id u8, flags u8, size u16). Codes are
#     a  u32, byte offset in the arena         w  u32, byte offset in the weights, a multiple of 4
#     s  u32, byte offset of scratch in the arena, a multiple of 4
#     I u32   i i32   H u16   B u8   b i8
# and the widths only fall along a record, so that every field is aligned. Offsets come first; `extents(f)` gives, in
# the same order, how many bytes the kernel may touch from each of them. It takes a dict of the fields and of "flags",
# and returns () for fields that make no sense. The planner sizes scratch with it and the board checks files with it:
# what passes cannot read or write outside the arena and the weights, whatever the other fields say.
#
# A kernel also needs device/kernels/NAME.c, device/whit/viper/NAME.py and a case table in tests/kernels.

import struct

WIDENED = 1024  # a dense layer of more inputs has no scratch
PLANE = 3072  # bytes of scratch that a depthwise layer takes at most, unless its rows are so wide that few fit
TABLED = 512  # elements from which on add has scratch for its tables
PIECE = 256  # inputs of such a layer whose int4 weights are unpacked at a time
BOUNDED = 1  # step flag: weights >= -127, every shift >= 1 and |accumulator| < 2**29, proven by the packager
INT4 = 2  # step flag: weights w of 4 bits, which the kernel unpacks to scratch

_CONV = "x:a y:a w:w q:w s:s ih:H iw:H ic:H oh:H ow:H oc:H kh:B kw:B sy:B sx:B dy:B dx:B py:B px:B zi:b zo:b lo:b hi:b"
_POOL = "x:a y:a ih:H iw:H c:H oh:H ow:H kh:B kw:B sy:B sx:B py:B px:B lo:b hi:b"


def quads(n):
    return (n + 3) // 4


def quant_bytes(channels):
    # Per four channels: bias i32[4], multiplier i32[4], right shift i8[4].
    return 36 * quads(channels)


def quad_bytes(channels, k):
    # Quad blocks: [channels / 4][k / 4][4 channels][4 k], both padded to 4.
    return 16 * quads(channels) * quads(k)


def flags_of(row):
    # The flags that a step of this kernel may have.
    return BOUNDED | INT4 if row[1] in ("conv2d", "dense") else BOUNDED


def check(row, f):
    # What the check says of flags that a step may not have; "" where there are none.
    if f["flags"] & ~flags_of(row):
        return "has a %s step with flags %d, which this whit does not know; update whit on the board" % (
            row[1],
            f["flags"],
        )
    return ""


def _slides(i, o, k, s, d, p):
    # Every window starts before the input ends and ends after it starts.
    return s and d and p <= (k - 1) * d and (o - 1) * s < i + p


def _windows(f):
    return _slides(f["ih"], f["oh"], f["kh"], f["sy"], f.get("dy", 1), f["py"]) and _slides(
        f["iw"], f["ow"], f["kw"], f["sx"], f.get("dx", 1), f["px"]
    )


def _conv2d(f):
    # Scratch: four patches of kh*kw*ic values in 16 bits, two more in bytes, each padded to quads; behind them int4
    # weights as bytes.
    k = f["kh"] * f["kw"] * f["ic"]
    if not _windows(f):
        return ()
    w = quad_bytes(f["oc"], k)
    s = 40 * quads(k)
    if f["flags"] & INT4:
        s += w
        w //= 2
    return (
        f["ih"] * f["iw"] * f["ic"],
        f["oh"] * f["ow"] * f["oc"],
        w,
        quant_bytes(f["oc"]),
        s,
    )


def _depthwise(f):
    # Scratch: the padded image of one channel, a piece of it at a time if it is large. `row` values of 16 bits hold a
    # row with its padding and some to spare; there are all rows and one more, but at most PLANE of them, and at least
    # twice as many as a window spans. None where channels are multiplied.
    if not _windows(f) or not f["ic"] or f["oc"] % f["ic"]:
        return ()
    tall = (f["kh"] - 1) * f["dy"] + 2
    row = ((f["ow"] - 1) * f["sx"] + (f["kw"] - 1) * f["dx"] + 8) & ~3
    return (
        f["ih"] * f["iw"] * f["ic"],
        f["oh"] * f["ow"] * f["oc"],
        f["oc"] * f["kh"] * f["kw"],
        quant_bytes(f["oc"]),
        max(4 * row * tall, min(2 * row * ((f["oh"] - 1) * f["sy"] + tall), PLANE)) if f["oc"] == f["ic"] else 0,
    )


def _dense(f):
    # Scratch: one row of inputs in 32 bits, padded to quads, if it is not a long one; behind it int4 weights of four
    # channels as bytes, of a long row a piece.
    k, o = f["k"], f["o"]
    w = quad_bytes(o, k)
    s = 16 * quads(k) if k <= WIDENED else 0
    if f["flags"] & INT4:
        w //= 2
        s = 2 * s or 4 * PIECE
    return f["rows"] * k, f["rows"] * o, w, quant_bytes(o), s


def _pool(f):
    return (f["ih"] * f["iw"] * f["c"], f["oh"] * f["ow"] * f["c"]) if _windows(f) else ()


def _add(f):
    # Scratch: two tables of what each operand adds, where there are enough elements to make them worth it.
    return f["n"], f["n"], f["n"], 2048 if f["n"] >= TABLED else 0


def _softmax(f):
    n = f["rows"] * f["depth"]
    return (n, n, 4 * f["entries"]) if f["depth"] <= 4095 and f["entries"] <= 256 else ()


def _lookup(f):
    return f["n"], f["n"], 256


def _copy(f):
    size = f["n0"] * f["n1"] * f["n2"] * f["n3"]
    x = y = f["n3"]
    for i in "012":
        x += (f["n" + i] - 1) * f["x" + i]
        y += (f["n" + i] - 1) * f["y" + i]
    return (x, y) if 0 < size <= y else ()


def _fill(f):
    return (f["n"],)


def _mean(f):
    return f["n"] * f["c"], f["c"]


KERNELS = (
    (1, "conv2d", _CONV, _conv2d),
    (2, "depthwise", _CONV, _depthwise),
    (3, "dense", "x:a y:a w:w q:w s:s k:I o:I rows:H zo:b lo:b hi:b", _dense),
    (4, "average_pool", _POOL, _pool),
    (5, "max_pool", _POOL, _pool),
    (6, "add", "a:a b:a y:a s:s n:I ma:i mb:i mo:i ea:b eb:b eo:b za:b zb:b zo:b lo:b hi:b", _add),
    (7, "softmax", "x:a y:a t:w rows:I depth:H entries:H", _softmax),
    (8, "lookup", "x:a y:a t:w n:I", _lookup),
    (9, "copy", "x:a y:a n0:I n1:I n2:I n3:I x0:I x1:I x2:I y0:I y1:I y2:I", _copy),
    (10, "fill", "y:a n:I value:b", _fill),
    (11, "mean", "x:a y:a n:I bias:i m:i c:H e:b zo:b", _mean),
)

_STRUCT = {"a": "I", "w": "I", "s": "I"}


def fields_of(row):
    # [(name, code)] of a row, in the order of the record.
    return [tuple(f.split(":")) for f in row[2].split()]


def struct_of(row):
    # The struct format of a whole record, head included and padded to four bytes.
    layout = "<BBH"
    spare = 0
    for field in row[2].split():
        code = _STRUCT.get(field[-1], field[-1])
        layout += code
        spare -= {"I": 4, "i": 4, "H": 2}.get(code, 1)
    return layout + "x" * (spare % 4)


def records(steps):
    # (row, {field: value}) of each record of a STEPS section that has been checked, "flags" among the fields; the dict
    # is the caller's until the next one.
    at = 0
    row = None
    while at < len(steps):
        if row is None or row[0] != steps[at]:
            for row in KERNELS:
                if row[0] == steps[at]:
                    break
            layout = struct_of(row)
            names = [field[:-2] for field in row[2].split()]
            values = {}
        found = struct.unpack_from(layout, steps, at)
        values["flags"] = found[1]
        for i in range(len(names)):
            values[names[i]] = found[i + 3]
        yield row, values
        at += struct.calcsize(layout)


def written(row, fields):
    # Bytes of the output that a step defines: all of its extent, but for a copy, which may leave gaps.
    return 0 if row[1] == "copy" else row[3](fields)[row[2][: row[2].index("y:a")].count(" ")]
