# Runs under MicroPython: a flash chip in RAM, as a block device that counts or records what is done to it. Under FAT, a
# memory card, which takes a block at a time and as a whole.

import vfs

ROOT = "/flash"
BLOCK_COUNT, BLOCK_SIZE, ERASE = 4, 5, 6  # requests of ioctl


class Flash:
    def __init__(self, block_bytes, blocks, kind=vfs.VfsLfs2):
        self.block_bytes, self.blocks, self.kind = block_bytes, blocks, kind
        self.data = bytearray(b"\xff" * (block_bytes * blocks))
        self.writes = 0  # erase and program operations
        self.log = None  # a list, to record them: (start, bytes), where None for bytes is the erase of a block

    def readblocks(self, block, buffer, offset=0):
        start = block * self.block_bytes + offset
        buffer[:] = memoryview(self.data)[start : start + len(buffer)]

    def writeblocks(self, block, buffer, offset=None):
        start = block * self.block_bytes + (offset or 0)
        size = len(buffer) if offset is not None else self.block_bytes  # FAT gives no offset
        for i in range(0, len(buffer), size):
            self._do(start + i, bytes(buffer[i : i + size]))

    def ioctl(self, request, block):
        if request == BLOCK_COUNT:
            return self.blocks
        if request == BLOCK_SIZE:
            return self.block_bytes
        if request == ERASE:
            self._do(block * self.block_bytes, None)
        return 0

    def _do(self, start, content):
        self.writes += 1
        if self.log is not None:
            self.log.append((start, content))
        self.apply(start, content)

    def apply(self, start, content, first=0, last=None):
        # An operation, or the part of it from byte `first` up to `last`.
        if content is None:
            last = self.block_bytes if last is None else last
            self.data[start + first : start + last] = b"\xff" * (last - first)
        else:
            last = len(content) if last is None else last
            self.data[start + first : start + last] = memoryview(content)[first:last]


def mount(flash):
    # As after a start: nothing of what was in RAM is known any more.
    try:
        vfs.umount(ROOT)
    except OSError:
        pass
    vfs.mount(flash.kind(flash), ROOT)


def formatted(block_bytes, blocks, kind=vfs.VfsLfs2):
    flash = Flash(block_bytes, blocks, kind)
    kind.mkfs(flash)
    mount(flash)
    return flash
