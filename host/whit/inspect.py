"""What a .whit file holds and what it asks of a board. Reading it starts with the board's own load-time check."""

from __future__ import annotations

import struct
from dataclasses import asdict
from typing import Any

from .device import check, opset
from .device import format as blob
from .errors import WhitError
from .frontend import read_section
from .listening import read_detection


def describe(data: bytes, name: str = "model") -> dict[str, Any]:
    """Everything there is to know about a .whit file, in plain types that json can write.

    Raises:
        WhitError: the board would refuse the file; the text is the board's.
    """
    view = memoryview(data)
    try:
        arena_bytes, sections, used, _ = check.check(name, view)
    except ValueError as e:
        raise WhitError(str(e)) from None
    rows = {row[0]: row for row in opset.KERNELS}
    ports: dict[int, list[dict[str, Any]]] = {blob.INPUT: [], blob.OUTPUT: []}
    for kind, offset, _, scale, zero_point, dtype, shape, title in blob.tensors(view, *sections[blob.TENSORS]):
        port = {"name": title, "shape": list(shape), "dtype": dtype, "scale": scale}
        ports[kind].append(port | {"zero_point": zero_point, "offset": offset})
    labels = b""
    if blob.LABELS in sections:
        at, length = sections[blob.LABELS]
        labels = data[at : at + length]
    names = labels.decode().split("\n") if labels else []
    at, length = sections.get(blob.PAGES, (0, 0))
    pages = length // blob.PAGE_BYTES
    sizes = [struct.unpack_from(blob.PAGE, data, at + i * blob.PAGE_BYTES)[2] for i in range(pages)]
    return {
        "sections": sorted(sections),
        "format": "{}.{}".format(*struct.unpack_from("<BB", data, 8)),
        "blob_bytes": len(data),
        "weights_bytes": sections[blob.WEIGHTS][1],
        "arena_bytes": arena_bytes,
        "largest_block_bytes": max(len(data), arena_bytes),
        "pages": pages,
        "page_bytes": struct.unpack_from(blob.HEADER, data)[7] if pages else 0,
        "read_bytes": sum(sizes) if pages > 1 else 0,  # in a run, of pages; a single one stays
        "resident_bytes": sections[blob.WEIGHTS][0] if pages else len(data),
        "kernels": [rows[number][1] for number in sorted(used)],
        "inputs": ports[blob.INPUT],
        "outputs": ports[blob.OUTPUT],
        "labels": names,
        "selftest": blob.SELFTEST in sections,
        "frontend": _frontend(data, sections, name),
        "detection": _detection(data, sections, name, ports[blob.OUTPUT], names),
        "steps": _steps(data, *sections[blob.STEPS]),
    }


def _frontend(data: bytes, sections: dict[int, tuple[int, int]], name: str) -> dict[str, Any] | None:
    if blob.FRONTEND not in sections:
        return None
    at, length = sections[blob.FRONTEND]
    tables, scaling = read_section(data[at : at + length], name)
    about = {key: getattr(tables, key) for key in ("rate", "window", "step", "channels", "first", "end")}
    return about | {"gain_control": tables.gain is not None, "logarithm": tables.log is not None} | asdict(scaling)


def _detection(
    data: bytes, sections: dict[int, tuple[int, int]], name: str, outputs: list[dict[str, Any]], labels: list[str]
) -> dict[str, Any] | None:
    if blob.DETECTION not in sections:
        return None
    at, length = sections[blob.DETECTION]
    found = read_detection(data[at : at + length], name)
    cutoff = found.cutoff(outputs[0]["scale"])
    return asdict(found) | {"cutoff": cutoff, "words": [w for i, w in enumerate(labels) if found.classes >> i & 1]}


def _steps(data: bytes, at: int, length: int) -> list[dict[str, Any]]:
    return [{"kernel": row[1], "fields": dict(fields)} for row, fields in opset.records(data[at : at + length])]
