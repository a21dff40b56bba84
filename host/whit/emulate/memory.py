"""What a core's memory holds: bytes at addresses, with filling between that nobody may change."""

from __future__ import annotations

import struct

ALIGN, GUARD, FILL = 16, 64, 0xA5


class Block:
    """A piece of memory that is put together here and written to a core from `address` on."""

    def __init__(self, address: int) -> None:
        self.address = address
        self.data = bytearray([FILL]) * GUARD

    def put(self, data: bytes, align: int = ALIGN) -> int:
        """Add the bytes; gives their address."""
        at = self.address + len(self.data)
        self.data += bytes([FILL]) * (-at % align) + data
        end = self.address + len(self.data)
        self.data += bytes([FILL]) * ALIGN
        return end - len(data)

    def put_words(self, *words: int) -> int:
        return self.put(struct.pack(f"<{len(words)}I", *words))

    def write_words(self, address: int, *words: int) -> None:
        """Over what was put there."""
        struct.pack_into(f"<{len(words)}I", self.data, address - self.address, *words)

    @property
    def end(self) -> int:
        """The first address that is free behind it."""
        return self.address + len(self.data) + GUARD

    def contents(self) -> bytes:
        return bytes(self.data) + bytes([FILL]) * GUARD

    def stream(self, calls: int = 0, count: int = 0) -> bytes:
        """The block as the harness reads it, with `count` call records at the address `calls`."""
        data = self.contents()
        return struct.pack("<4I", self.address, len(data), calls, count) + data
