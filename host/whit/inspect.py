"""What a .whit file holds and what it asks of a board. Reading it starts with the board's own load-time check."""

from __future__ import annotations

import struct
from typing import Any

from .device import check, opset
from .device import format as blob
from .errors import WhitError


def describe(data: bytes, name: str = "model") -> dict[str, Any]:
    """Everything there is to know about a .whit file, in plain types that json can write.

    Raises:
        WhitError: the board would refuse the file; the text is the board's.
    """
    view = memoryview(data)
    try:
        arena_bytes, sections, used = check.check(name, view)
    except ValueError as e:
        raise WhitError(str(e)) from None
    rows = {row[0]: row for row in opset.KERNELS}
    ports = _ports(data, *sections[blob.TENSORS])
    labels = b""
    if blob.LABELS in sections:
        at, length = sections[blob.LABELS]
        labels = data[at : at + length]
    return {
        "format": "{}.{}".format(*struct.unpack_from("<BB", data, 8)),
        "blob_bytes": len(data),
        "weights_bytes": sections[blob.WEIGHTS][1],
        "arena_bytes": arena_bytes,
        "largest_block_bytes": max(len(data), arena_bytes),
        "kernels": [rows[number][1] for number in sorted(used)],
        "inputs": [p for kind, p in ports if kind == blob.INPUT],
        "outputs": [p for kind, p in ports if kind == blob.OUTPUT],
        "labels": labels.decode().split("\n") if labels else [],
        "selftest": blob.SELFTEST in sections,
        "steps": _steps(data, *sections[blob.STEPS]),
    }


def _ports(data: bytes, at: int, length: int) -> list[tuple[int, dict[str, Any]]]:
    end = at + length
    ports = []
    while at < end:
        offset, _, scale, zero_point, kind, dtype, rank, letters = struct.unpack_from(blob.TENSOR, data, at)
        at += blob.TENSOR_BYTES
        shape = struct.unpack_from(f"<{rank}I", data, at)
        at += 4 * rank
        name = data[at : at + letters].decode(errors="replace")
        at += letters + -letters % 4
        port = {"name": name, "shape": list(shape), "dtype": blob.DTYPES[dtype], "scale": scale}
        ports.append((kind, port | {"zero_point": zero_point, "offset": offset}))
    return ports


def _steps(data: bytes, at: int, length: int) -> list[dict[str, Any]]:
    return [{"kernel": row[1], "fields": fields} for row, fields in opset.records(data[at : at + length])]
