"""Images of a board's file system, mounted by MicroPython: every file is there, and whit runs from it."""

import random
import zlib
from collections.abc import Iterator

import pytest
from blobs import digits, find
from micropython import run
from whit.device import format as blob
from whit.image import DISK_VERSIONS, contents, littlefs, romfs, whit_itself

# The user's part of a board: main.py leaves what it found out in `found`.
MAIN = b"""
import whit
m = whit.load("MODEL")
x = bytes([i * 37 & 255 for i in range(m.inputs[0].size)])
y = bytearray(m.outputs[0].size)
m.run(x, y)
found = whit.__file__, m.kernels, m.selftest(), bytes(y)
"""
WEIGHTS_AT = find(digits(), blob.WEIGHTS)[0]

PRELUDE = """
import os, sys, vfs
from binascii import crc32
from uctypes import addressof

class Blocks:
    def __init__(self, name, size):
        with open(name, "rb") as f:
            self.data = bytearray(f.read())
        self.size = size

    def readblocks(self, n, buf, offset=0):
        at = n * self.size + offset
        buf[:] = memoryview(self.data)[at : at + len(buf)]

    def writeblocks(self, n, buf, offset=0):
        at = n * self.size + offset
        self.data[at : at + len(buf)] = buf

    def ioctl(self, op, arg):
        if op == 4:
            return len(self.data) // self.size
        if op == 5:
            return self.size
        if op == 6:
            self.data[arg * self.size : (arg + 1) * self.size] = b"\\xa5" * self.size
        return 0

def tree(root, prefix=""):  # the CRC32 of every file below it
    found = {}
    for name, kind, *_ in os.ilistdir(root + "/" + prefix):
        path = prefix + name
        if kind & 0x4000:
            found.update(tree(root, path + "/"))
        else:
            with open(root + "/" + path, "rb") as f:
                data = f.read()
            assert os.stat(root + "/" + path)[6] == len(data), path
            found[path] = crc32(data)
    return found
"""


def crcs(there) -> dict[str, int]:
    return {path: zlib.crc32(data) for path, data in there.items()}


def whole_board(kernels: str = "native", model: str = "data/digits.whit") -> dict[str, bytes]:
    own = {"main.py": MAIN.replace(b"MODEL", model.encode()), "data/digits.whit": digits(), "data/empty": b""}
    return contents(own, whit_itself("x64", kernels))


@pytest.mark.parametrize("version", DISK_VERSIONS)
@pytest.mark.parametrize("block_size, block_count", [(4096, 212), (512, 224), (256, 500), (65536, 40)])
def test_a_littlefs_has_the_size_and_the_superblock_that_a_board_looks_for(block_size, block_count, version):
    image = littlefs({"a": b"1" * 5000}, block_size, block_count, DISK_VERSIONS[version])
    assert len(image) == block_size * block_count
    superblocks = [at for at in (0, block_size) if image[at + 8 : at + 16] == b"littlefs"]
    assert superblocks
    for at in superblocks:
        numbers = [int.from_bytes(image[at + i : at + i + 4], "little") for i in (20, 24, 28)]
        assert numbers == [{"2.0": 0x20000, "2.1": 0x20001}[version], block_size, block_count]


def test_equal_files_give_equal_images():
    there = whole_board()
    backwards = dict(reversed(there.items()))
    assert littlefs(there, 4096, 64) == littlefs(backwards, 4096, 64)
    assert romfs(there) == romfs(backwards)


@pytest.mark.parametrize("kernels", ["native", "viper"])
@pytest.mark.parametrize(
    "block_size, block_count, mount",
    [
        (4096, 352, "vfs.mount(vfs.VfsLfs2(dev, progsize=256), '/board')"),  # as ports/rp2/modules/_boot.py
        (4096, 512, "vfs.mount(dev, '/board')"),  # as ports/esp32/modules/_boot.py
        (512, 224, "vfs.mount(dev, '/board')"),  # as ports/stm32/main.c
    ],
)
def test_whit_and_main_run_from_a_littlefs(block_size, block_count, mount, kernels):
    there = whole_board(kernels)
    run(
        f"""{PRELUDE}
dev = Blocks("image", {block_size})
{mount}
assert tree("/board") == {crcs(there)}
before = tree("/board")
del before["data/empty"]
os.chdir("/board")
sys.path[:] = ["", "/board/lib"]
import main
assert main.found[:3] == ("/board/lib/whit/__init__.mpy", "{kernels}", True), main.found
for i in range(100):  # it is written to as any other, in the folders that the image has too
    with open("data/log%d" % (i % 7), "w") as f:
        f.write("x" * i * 10)
vfs.umount("/board")
vfs.mount(dev, "/again")
os.remove("/again/data/empty")
after = tree("/again")
assert len(after) == {len(there) + 7 - 1} and all(after[path] == crc for path, crc in before.items())
    """,
        {"image": littlefs(there, block_size, block_count)},
        prebuilt=(),
    )


@pytest.mark.parametrize("block_size, block_count", [(4096, 300), (512, 2000), (256, 4000)])
def test_files_of_every_size_come_out_of_a_littlefs(block_size, block_count):
    """Small files lie inside their folder, others in blocks of their own."""
    sizes = [0, 1, 31, 32, 33, 63, 64, 65, 127, 128, 129, 255, 256, 257, 511, 512, 513, 1023, 1024, 4095, 4096, 4097]
    random.seed(block_size)
    there = {f"{size % 5}/{size % 3}/f{size}": random.randbytes(size) for size in [*sizes, 40000]}
    run(
        f"{PRELUDE}\nvfs.mount(Blocks('image', {block_size}), '/board')\nassert tree('/board') == {crcs(there)}",
        {"image": littlefs(there, block_size, block_count)},
    )


def parse(image: bytes) -> dict[str, tuple[int, int]]:
    """Where the files of a ROMFS lie, offset and length by path, by the rules at the head of extmod/vfs_rom.c."""

    def number(at):
        value = 0
        while True:
            value = value << 7 | image[at] & 0x7F
            at += 1
            if not image[at - 1] & 0x80:
                return value, at

    def records(at, end) -> Iterator[tuple[int, int, int]]:
        while at < end:
            kind, at = number(at)
            length, at = number(at)
            assert kind and at + length <= end
            yield kind, at, at + length
            at += length
        assert at == end

    found = {}

    def visit(prefix, at, end):
        for kind, start, stop in records(at, end):
            if kind in (4, 5):
                length, start = number(start)
                path = prefix + image[start : start + length].decode()
                if kind == 4:
                    visit(path + "/", start + length, stop)
                else:
                    ((kind, start, stop),) = records(start + length, stop)
                    assert kind == 2 and path not in found
                    found[path] = start, stop - start

    ((kind, start, stop),) = records(0, len(image))
    assert kind == 0x14A6B1 and len(image) % 2 == 0
    visit("", start, stop)
    return found


def random_tree(seed: int) -> dict[str, bytes]:
    """Files of many sizes, with names of many lengths, some in folders within folders."""
    chance = random.Random(seed)
    folders = [""]
    there: dict[str, bytes] = {}
    for i in range(chance.randrange(1, 20)):
        name = str(i) + "é" * chance.choice((0, 0, 1, 3)) + "n" * chance.choice((0, 1, 5, 16, 120, 123, 125, 200))
        if chance.random() < 0.3:
            folders.append(f"{chance.choice(folders)}{name}/")
        else:
            size = chance.choice((0, 1, 15, 16, 17, 126, 127, 128, 129, 1000, 16383, 16384, 20000))
            there[chance.choice(folders) + name] = chance.randbytes(size)
    return there


def test_the_data_of_every_file_of_a_romfs_is_aligned():
    for seed in range(300):
        there = random_tree(seed)
        image = romfs(there)
        places = parse(image)
        assert {path: image[at : at + length] for path, (at, length) in places.items()} == there
        assert all(at % 16 == 0 for at, _ in places.values())


def test_micropython_finds_every_file_of_a_romfs():
    trees = [random_tree(seed) for seed in range(40)]
    checks = "\n".join(f"check('{i}', {crcs(there)})" for i, there in enumerate(trees))
    run(
        f"""{PRELUDE}
def check(name, expected):
    with open(name, "rb") as f:
        vfs.mount(vfs.VfsRom(f.read()), "/rom")
    assert tree("/rom") == expected, name
    vfs.umount("/rom")
{checks}""",
        {str(i): romfs(there) for i, there in enumerate(trees)},
    )


@pytest.mark.parametrize("kernels", ["native", "viper"])
def test_whit_and_main_run_from_a_romfs_and_the_weights_stay_in_it(kernels):
    there = whole_board(kernels, "/rom/data/digits.whit")
    image = romfs(there)
    run(
        f"""{PRELUDE}
with open("image", "rb") as f:
    image = f.read()
vfs.mount(vfs.VfsRom(image), "/rom")
assert tree("/rom") == {crcs(there)}
sys.path[:] = ["/rom", "/rom/lib"]
import main
assert main.found[:3] == ("/rom/lib/whit/__init__.mpy", "{kernels}", True), main.found
assert addressof(main.m._weights) == addressof(image) + {parse(image)["data/digits.whit"][0] + WEIGHTS_AT}
assert addressof(main.m._weights) % 16 == 0
    """,
        {"image": image},
        prebuilt=(),
    )
