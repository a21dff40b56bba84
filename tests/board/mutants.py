# Mutants of .whit files, for MicroPython and for a PC: by number, each with its own random numbers.

import struct
from binascii import crc32
from random import choice, getrandbits, randrange, seed

try:
    from whit.device import format as blob  # on a PC
    from whit.device import opset
except ImportError:
    from whit import format as blob
    from whit import opset

ARENA = 4096  # bytes of the largest arena that shaped() makes, and of its weights
WORK = 100_000  # multiplications, or what takes as long, in a step that shaped() makes
EXTREMES = {
    1: (0, 1, 2, 0x7F, 0x80, 0xFF),
    2: (0, 1, 0xFF, 0x7FFF, 0x8000, 0xFFFF),
    4: (0, 1, 4, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFC, 0xFFFFFFFF),
}
CODES = {1: "<B", 2: "<H", 4: "<I"}
SIZES = {row[0]: struct.calcsize(opset.struct_of(row)) for row in opset.KERNELS}


# Mutations: each takes the bytes of a file and returns those of another.


def sections_of(b):
    # [(id, bytes)]; b is sound
    count = struct.unpack_from(blob.HEADER, b)[4]
    table = [struct.unpack_from(blob.SECTION, b, blob.HEADER_BYTES + blob.SECTION_BYTES * i) for i in range(count)]
    return [(number, b[offset : offset + length]) for number, _, offset, length in table]


def joined(b, sections):
    # b with these sections instead of its own
    table, body = bytearray(), bytearray()
    start = blob.HEADER_BYTES + blob.SECTION_BYTES * len(sections)
    for number, data in sections:
        body += bytes(-(start + len(body)) % blob.ALIGN)
        table += struct.pack(blob.SECTION, number, 0, start + len(body), len(data))
        body += data
    head = b[: blob.HEADER_BYTES]
    struct.pack_into("<H", head, 10, len(sections))
    return head + table + body


def flip(b):
    b[randrange(len(b))] ^= 1 << randrange(8)
    return b


def set_byte(b):
    b[randrange(len(b))] = choice(EXTREMES[1])
    return b


def set_field(b):
    # One aligned field of what the check reads: to an extreme, to the value of another, or near what it was.
    ranges = [(0, blob.HEADER_BYTES + 5 * blob.SECTION_BYTES)]
    for i in range(min(struct.unpack_from("<H", b, 10)[0], 5)):
        number, _, offset, length = struct.unpack_from(blob.SECTION, b, blob.HEADER_BYTES + blob.SECTION_BYTES * i)
        if number in (blob.TENSORS, blob.STEPS, blob.PAGES) and offset + length <= len(b):
            ranges += [(offset, offset + length)] * (4 if number == blob.STEPS else 1)
    start, end = choice(ranges)
    width = choice((1, 2, 4))
    if end - start < 4 or len(b) < end:
        return flip(b)
    at = start + randrange((end - start) // width) * width
    other = start + randrange((end - start) // width) * width
    value = struct.unpack_from(CODES[width], b, at)[0]
    value = choice((choice(EXTREMES[width]), struct.unpack_from(CODES[width], b, other)[0], value + 1, value - 1,
                    value * 2, value // 2))  # fmt: skip
    struct.pack_into(CODES[width], b, at, value & (1 << 8 * width) - 1)
    return b


def set_length(b):
    if getrandbits(1):
        return b[: randrange(len(b))]
    return b + bytes([randrange(256) for _ in range(1 + randrange(40))])


def records_of(steps):
    records, at = [], 0
    while at < len(steps):
        size = steps[at + 2] | steps[at + 3] << 8
        records.append(steps[at : at + size])
        at += size
    return records


def set_steps(b):
    # A step twice, none of it, at another place, or under the id of another kernel.
    sections = dict(sections_of(b))
    records = records_of(sections[blob.STEPS])
    i, j = randrange(len(records)), randrange(len(records))
    what = randrange(5)
    if what == 0:
        records.insert(j, records[i])
    elif what == 1:
        del records[i]
    elif what == 2:
        records[i], records[j] = records[j], records[i]
    elif what == 3:
        records[i][0], records[j][0] = records[j][0], records[i][0]
    else:
        number = choice(list(SIZES))
        body = records[i] + bytes(64)
        struct.pack_into("<BxH", body, 0, number, SIZES[number])
        records[i] = body[: SIZES[number]]
    sections[blob.STEPS] = b"".join(records)
    return joined(b, list(sections.items()))


def set_sections(b):
    sections = sections_of(b)
    i, j = randrange(len(sections)), randrange(len(sections))
    number, data = sections[i]
    what = randrange(4)
    if what == 0:
        sections.append((number, sections[j][1]))
    elif what == 1:
        del sections[i]
    elif what == 2:
        sections[i] = choice((0, 6, 99, 0x7FFF, 0x8001, 0xFFFF)), data
    else:
        sections[i] = number, data[: randrange(len(data) + 1)]
    return joined(b, sections)


def set_table(b):
    # A section over another, next to where it was, or under the id of another.
    count = struct.unpack_from("<H", b, 10)[0]
    i, j = [blob.HEADER_BYTES + blob.SECTION_BYTES * randrange(count) for _ in range(2)]
    what = randrange(4)
    if what == 0:
        b[i + 4 : i + 12] = b[j + 4 : j + 12]
    elif what == 1:
        b[i + 4 : i + 8] = b[j + 4 : j + 8]
    elif what == 2:
        offset = struct.unpack_from("<I", b, i + 4)[0] + blob.ALIGN * (randrange(9) - 4)
        struct.pack_into("<I", b, i + 4, max(0, offset))
    else:
        b[i : i + 2] = b[j : j + 2]
    return b


# Mutations that keep to the rules: sizes, places, flags and weights are wrong, the file is not.


def work(row, f):
    # About how many multiplications a step is worth.
    name = row[1]
    if name == "conv2d":
        return f["oh"] * f["ow"] * f["kh"] * f["kw"] * f["ic"] * (f["oc"] + 1)
    if name == "depthwise":
        wide = f["ow"] * f["sx"] + f["kw"] * f["dx"]
        return f["oc"] * f["oh"] * (f["ow"] * f["kh"] * f["kw"] + wide * f["kh"] * f["dy"])
    if name == "dense":
        return f["rows"] * f["k"] * (f["o"] + 1)
    if name in ("average_pool", "max_pool"):
        return f["oh"] * f["ow"] * f["c"] * min(f["kh"], f["ih"]) * min(f["kw"], f["iw"])
    if name == "mean":
        return f["n"] * f["c"]
    if name == "copy":
        return f["n0"] * f["n1"] * f["n2"] * f["n3"]
    if name == "softmax":
        return f["rows"] * (f["depth"] + 8) * 8
    return f["n"] * (8 if name == "add" else 1)


def some(code, room):
    # A value for a field of this code, where the arena has about `room` bytes.
    if code in "asw":  # often the first, before which no byte is to be read
        return choice((0, randrange(room))) & (-1 if code == "a" else ~3)
    if code == "b":
        return choice((-128, -127, -1, 0, 1, 5, 127, randrange(-128, 128)))
    if code == "i":
        return choice((-0x80000000, -1, 0, 1, 0x40000000, 0x7FFFFFFF, randrange(1 << 30)))
    if code == "B":
        return choice((1, 1, 2, 2, 3, 3, 4, 5, 7, 0, 16, 255, randrange(256)))
    return choice((1, 2, 3, 4, 5, 7, 8, 9, 12, 16, 17, 255, 256, 257, 511, 512, 1024, 1025, randrange(1, 40)))


def set_shape(record, room):
    row = opset.KERNELS[record[0] - 1]
    if record[0] in (1, 2) and randrange(4) == 0:
        row = opset.KERNELS[2 - record[0]]  # the other convolution has the same fields
    layout, fields = opset.struct_of(row), opset.fields_of(row)
    values = list(struct.unpack(layout, record))
    values[0] = row[0]
    for _ in range(randrange(6)):
        i = randrange(len(fields))
        code = fields[i][1]
        others = [values[3 + j] for j in range(len(fields)) if fields[j][1] == code]
        low, high = {"b": (-128, 127), "i": (-0x80000000, 0x7FFFFFFF), "B": (0, 255), "H": (0, 65535)}.get(
            code, (0, 0xFFFFFFFF)
        )
        step = choice((-4, 4) if code in "sw" else (-4, -2, -1, 1, 2, 3))
        value = choice((some(code, room), some(code, room), choice(others), values[3 + i] + step))
        values[3 + i] = min(max(value, low), high)
    if randrange(4) == 0:
        values[1] ^= opset.BOUNDED
    if record[0] in (1, 2, 3) and randrange(3) == 0:
        values[1] ^= opset.INT4
    values[1] &= opset.flags_of(row)
    if row[1] == "depthwise" and randrange(2):
        names = [field[0] for field in fields]
        if randrange(3) == 0:
            values[3 + names.index("ic")] = 1 + randrange(3)
        values[3 + names.index("oc")] = values[3 + names.index("ic")] * choice((1, 1, 1, 2, 3))
        if randrange(2):
            for name in "kh", "kw":
                values[3 + names.index(name)] = 3
            for name in "dy", "dx":
                values[3 + names.index(name)] = 1
            values[3 + names.index("sy")] = values[3 + names.index("sx")]
    return bytearray(struct.pack(layout, *values))


def shaped(b):
    # Other fields in some steps and other weights; the arena and WEIGHTS just as large as the steps then need.
    sections = dict(sections_of(b))
    room = 16 + randrange(2 * struct.unpack_from("<I", b, 16)[0])
    for _ in range(20):
        records = [set_shape(record, room) if randrange(4) else record for record in records_of(sections[blob.STEPS])]
        arena = weights = 0
        for row, f in opset.records(b"".join(records)):
            extents = row[3](f)
            if not extents or min(work(row, f), WORK) == WORK:
                arena = ARENA + 1
                break
            for (field, code), size in zip(opset.fields_of(row), extents):  # noqa: B905
                if code == "w":
                    weights = max(weights, f[field] + size)
                else:
                    arena = max(arena, f[field] + size)
                if not size and code != "s":
                    arena = ARENA + 1
        if arena <= ARENA and weights <= ARENA:
            break
    else:
        return b
    at = 0
    tensors = sections[blob.TENSORS]
    while at < len(tensors):
        offset, count, _, _, _, _, rank, letters = struct.unpack_from(blob.TENSOR, tensors, at)
        arena = max(arena, offset + count)
        at += blob.TENSOR_BYTES + 4 * rank + letters + (-letters & 3)
    data = bytearray(sections[blob.WEIGHTS])
    while len(data) < weights:
        data += bytes([randrange(256) for _ in range(16)])
    data = data[:weights]
    for _ in range(randrange(3) if weights else 0):  # runs of one byte: no shift, no multiplier, the largest weights
        start = randrange(weights)
        size = min(choice((1, 4, 36, weights)), weights - start)
        data[start : start + size] = bytes([choice((0, 0, 1, 0x7F, 0x80, 0xFF))]) * size
    sections[blob.STEPS] = b"".join(records)
    for _, f in opset.records(sections[blob.STEPS]):  # shifts and channels without weights
        if "q" not in f:
            continue
        channels = f.get("oc", 0) or f["o"]
        some_of_them = choice((0, 1, 2, 8))
        all_of_them = choice((0, 0, 1, 255)) if randrange(4) == 0 else -1
        for i in range(channels if all_of_them >= 0 else some_of_them):
            at = i if all_of_them >= 0 else randrange(channels)
            shift = all_of_them if all_of_them >= 0 else choice((0, 0, 0, 1, 8, 31, 32, 127, 128, 255))
            data[f["q"] + at // 4 * 36 + 32 + at % 4] = shift
        if randrange(4) == 0:
            start = f["w"] + randrange(weights - f["w"])
            data[start:] = bytes(weights - start) if randrange(2) else bytes([127]) * (weights - start)
    sections[blob.WEIGHTS] = bytes(data)
    b = joined(b, list(sections.items()))
    struct.pack_into("<I", b, 16, arena)
    return b


def sealed(b):
    # b with the right length and CRC.
    struct.pack_into("<I", b, 12, len(b))
    struct.pack_into("<I", b, 4, crc32(b[blob.CRC_FROM :]))
    return b


def mutant(bases, number):
    seed(number)
    for _ in range(8):
        getrandbits(32)  # the first few after near seeds are alike
    b = bytearray(bases[number % len(bases)])
    return sealed(shaped(b)) if getrandbits(1) else damaged(b)


def damaged(b):
    what = randrange(16)
    if what < 3:
        b = set_steps(b)
    elif what == 3:
        b = set_sections(b)
    elif what == 4:
        b = set_table(b)
    room = randrange(6)
    if room < 2:
        struct.pack_into("<I", b, 16, ARENA)  # in which wrong fields are still inside
    elif room == 2:
        struct.pack_into("<I", b, 16, max(0, struct.unpack_from("<I", b, 16)[0] - randrange(20)))
    for _ in range(randrange(4) if what < 5 else 1 + randrange(3)):
        b = choice((set_field, set_field, set_field, set_byte, flip))(b)
    if randrange(32) == 0:
        b = set_length(b)
    if randrange(16) and len(b) >= blob.HEADER_BYTES:
        sealed(b)
    return b
