"""An image of a board's file system, to flash in one go: the runtime, the models and the user's own files.

Two file systems: littlefs, which stock firmware mounts at boot, and ROMFS, which is memory-mapped and needs firmware
with a partition for it. Equal input gives equal bytes.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from littlefs import LittleFS, LittleFSError, UserContext, lfs

from .boards import Board
from .errors import WhitError
from .inspect import describe
from .listening import is_manifest, read_manifest
from .needs import pack_for
from .pack import pack
from .read import read_file
from .runtime import needed, runtime

_MODELS = (".tflite", ".onnx")  # packed on the way

# What lies in it


def collect(source: Path) -> dict[str, bytes]:
    """The user's files by their path on the board: a model alone, or every file below a folder.

    Hidden files and __pycache__ stay behind.

    Raises:
        WhitError: something cannot be read, or there is nothing.
    """
    if not source.is_dir():
        data = read_file(source)
        if source.suffix.lower() not in (*_MODELS, ".whit"):
            raise WhitError(f"{source}: is no model; give a .tflite, .onnx or .whit file, or a folder")
        _check_name(source)
        words = source.with_suffix(".json")
        manifest = read_file(words) if source.suffix.lower() in _MODELS and words.is_file() else b""
        return {source.name: data} | ({words.name: manifest} if is_manifest(manifest) else {})
    found = dict(_walk(source, "", (source.resolve(),)))
    if not found:
        raise WhitError(f"{source}: has no files; put a model into it, and the main.py that uses it")
    return found


def _walk(folder: Path, prefix: str, above: tuple[Path, ...]) -> Iterator[tuple[str, bytes]]:
    try:
        entries = sorted(folder.iterdir())
    except OSError as e:
        raise WhitError(f"{folder}: cannot be read ({e.strerror}); check the path") from None
    for path in entries:
        if path.name.startswith(".") or path.name == "__pycache__":
            continue
        _check_name(path)
        if path.is_dir():
            if path.resolve() in above:
                raise WhitError(f"{path}: is a link to a folder that it lies in; remove it")
            yield from _walk(path, f"{prefix}{path.name}/", (*above, path.resolve()))
        elif path.is_file():
            yield prefix + path.name, read_file(path)
        else:
            raise WhitError(f"{path}: is neither a file nor a folder; remove it")


def _check_name(path: Path) -> None:
    # What is not printable may not be UTF-8; a littlefs holds names of 255 bytes.
    if not path.name.isprintable() or len(path.name.encode()) > 255:
        raise WhitError(f"{str(path)!a}: a board cannot hold this name; rename the file")


def whit_itself(arch: str, kernels: str = "native") -> dict[str, bytes]:
    """The runtime, by its path on the board.

    Raises:
        WhitError: there are no kernels for the architecture.
    """
    return {f"lib/{path}": data for path, data in runtime(arch, kernels).items()}


def contents(
    own: Mapping[str, bytes], ours: Mapping[str, bytes], board: Board | None = None, kernels: str = "native"
) -> dict[str, bytes]:
    """Every file of the board by its path: the user's own, with each model packed, and what of whit these models need.

    The JSON of a wake word goes into its model, and not onto the board.

    Args:
        own: the user's files.
        ours: whit_itself().
        board: whose heap the models are packed for, each alone; None to pack them whole.
        kernels: that they run with.

    Raises:
        WhitError: a model is broken or not supported, two files would have one name, or one takes the place of ours.
    """
    modules = {_module(path) for path in ours}
    packages = {module.split("/")[1] for module in modules}  # looked for in the root first, then in /lib
    folders = {parent.as_posix() for path in ours for parent in PurePosixPath(path).parents}
    places: dict[str, str] = {}
    words = _words(own)
    for path in own:
        if path in words.values():
            continue
        place = path[: path.rindex(".")] + ".whit" if path.lower().endswith(_MODELS) else path
        if place in places:
            raise WhitError(f"{places[place]} and {path} would both be {place} on the board; remove one of them")
        places[place] = path
        below = any(parent.as_posix() in ours for parent in PurePosixPath(place).parents)
        if _module(place) in modules or _module(place).split("/")[0] in packages or place in folders or below:
            raise WhitError(f"{path}: takes the place of a file of whit's own; rename it, or remove it if it is whit's")
    there = {
        place: _packed(path, own, words.get(path), board, kernels) if path.lower().endswith(_MODELS) else own[path]
        for place, path in places.items()
    }
    models = [describe(data, path) for path, data in there.items() if path.lower().endswith(".whit")]
    sections = {section for about in models for section in about["sections"]}
    return there | {path: data for path, data in ours.items() if needed(path, sections)}


def _words(own: Mapping[str, bytes]) -> dict[str, str]:
    """The path of a model -> that of the JSON of its wake word, which is packed with it."""
    named = {path: path[: path.rindex(".")] + ".json" for path in own if path.lower().endswith(_MODELS)}
    return {path: words for path, words in named.items() if words in own and is_manifest(own[words])}


def _packed(path: str, own: Mapping[str, bytes], words: str | None, board: Board | None, kernels: str) -> bytes:
    listening = read_manifest(own[words], words) if words else None
    if board:
        return pack_for(board, own[path], path, kernels, listening)[0].blob
    return pack(own[path], path, listening=listening).blob


def _module(path: str) -> str:
    """The path without what an import does not ask for."""
    stem, _, suffix = path.rpartition(".")
    return stem if suffix in ("py", "mpy") else path


# littlefs

# As when a board writes it: a file no larger than a cache, 4 * progsize (32) bytes, may lie inside its folder
# (extmod/vfs_lfsx.c).
_CACHE_BYTES = 128
_MOST_BYTES = 64 << 20  # no board has as much flash
DISK_VERSIONS = {"2.0": 0x00020000, "2.1": 0x00020001}


def littlefs(
    there: Mapping[str, bytes], block_size: int, block_count: int, disk_version: int = DISK_VERSIONS["2.0"]
) -> bytes:
    """A littlefs with these files, of exactly block_count blocks: MicroPython mounts no other number.

    Blocks that are in use are not the first ones, so the image is whole; the others are erased flash, 0xff.

    Args:
        there: files by their path.
        block_size: in bytes, as ioctl 5 of the board's block device says.
        block_count: as its ioctl 4 says.
        disk_version: firmware whose littlefs is older than 2.6 does not mount 2.1.

    Raises:
        WhitError: the sizes are none of a file system, or the files do not fit.
    """
    if block_size not in (1 << bits for bits in range(8, 17)):
        raise WhitError(f"blocks of {block_size} bytes are not supported; give a power of two from 256 to 65536")
    if not 2 <= block_count <= _MOST_BYTES // block_size:
        raise WhitError(
            f"{block_count} blocks of {block_size} bytes are no file system of a board; "
            f"give 2 to {_MOST_BYTES // block_size}"
        )
    made = _littlefs(there, block_size, block_count, disk_version)
    if made:
        return bytes(made.context.buffer)
    blocks = max(_used_blocks(there, block_size), block_count + 1)  # writing takes more than what is written
    raise WhitError(
        f"the files take {blocks * block_size:,} bytes, {(blocks - block_count) * block_size:,} more than the file "
        f"system of {block_count} blocks of {block_size} bytes has; leave files out or use a smaller model"
    )


def littlefs_bytes(there: Mapping[str, bytes], block_size: int) -> int:
    """What a littlefs takes of the flash for these files: whole blocks, and two more to write in."""
    return block_size * (_used_blocks(there, block_size) + 2)


def _used_blocks(there: Mapping[str, bytes], block_size: int) -> int:
    """Measured, to count folders and links too; of more than any board holds, a guess."""
    blocks = sum(-(-len(data) // block_size) + 1 for data in there.values())
    if blocks * block_size > _MOST_BYTES:
        return blocks
    made = _littlefs(there, block_size, 2 * blocks + 64)
    return made.used_block_count if made else blocks


def _littlefs(
    there: Mapping[str, bytes], block_size: int, block_count: int, disk_version: int = DISK_VERSIONS["2.0"]
) -> LittleFS | None:
    """The file system, or None if the files do not fit."""
    fs = LittleFS(
        context=UserContext(buffer=bytearray(b"\xff") * (block_size * block_count)),
        mount=False,
        block_size=block_size,
        block_count=block_count,
        read_size=16,
        prog_size=min(_CACHE_BYTES, block_size // 16),
        cache_size=min(_CACHE_BYTES, block_size),
        lookahead_size=-(-block_count // 64) * 8,
        disk_version=disk_version,
    )
    try:
        fs.format()
        fs.mount()
        for path in sorted(there):
            folder = path.rpartition("/")[0]
            if folder:
                fs.makedirs(folder, exist_ok=True)
            file = lfs.file_open(fs.fs, path, "wb")
            lfs.file_write(fs.fs, file, there[path])
            lfs.file_close(fs.fs, file)
    except LittleFSError as e:
        if e.code == LittleFSError.Error.LFS_ERR_NOSPC:
            return None
        raise
    return fs


# ROMFS

# A ROMFS (extmod/vfs_rom.c) is a record, and holds records: kind, length, then so many bytes. Both numbers are base
# 128, most significant first, bit 7 set in all bytes but the last; zeros may precede them. So lengths of one width are
# written where a record starts when its end is known, and zeros before the length of a file's data align the data.
_HEADER = b"\xd2\xcd\x31"
_PADDING, _DATA, _DIRECTORY, _FILE = b"\x01", b"\x02", b"\x04", b"\x05"
_WIDTH = 4  # bytes of a length: 28 bits
ALIGN = 16  # as of the sections in a .whit file, which kernels read where it lies


def romfs(there: Mapping[str, bytes]) -> bytes:
    """A ROMFS with these files; the data of each starts at a multiple of ALIGN bytes.

    Raises:
        WhitError: the files are more than any board has room for.
    """
    total = sum(map(len, there.values()))
    if total > _MOST_BYTES:
        raise WhitError(f"the files take {total:,} bytes, more than a ROMFS has room for; leave files out")
    image = bytearray()
    start = _begin(image, _HEADER)
    _entries(image, _tree(there))
    if len(image) % 2:  # its length must be even
        image += _PADDING + b"\x01\x00"
    _end(image, start)
    return bytes(image)


def _tree(there: Mapping[str, bytes]) -> dict:
    """Files by path as nested folders."""
    tree: dict = {}
    for path in sorted(there):
        *folders, name = path.split("/")
        folder = tree
        for each in folders:
            folder = folder.setdefault(each, {})
        folder[name] = there[path]
    return tree


def _entries(image: bytearray, tree: dict) -> None:
    for name, entry in tree.items():
        start = _begin(image, _DIRECTORY if isinstance(entry, dict) else _FILE)
        image += _number(len(name.encode()), 2) + name.encode()
        if isinstance(entry, dict):
            _entries(image, entry)
        else:
            image += _DATA
            zeros = -(len(image) + _WIDTH) % ALIGN
            image += _number(len(entry), zeros + _WIDTH) + entry
        _end(image, start)


def _begin(image: bytearray, kind: bytes) -> int:
    """Start a record, whose length is still to come: where its payload starts."""
    image += kind + bytes(_WIDTH)
    return len(image)


def _end(image: bytearray, start: int) -> None:
    image[start - _WIDTH : start] = _number(len(image) - start, _WIDTH)


def _number(value: int, width: int) -> bytes:
    return bytes(value >> 7 * i & 0x7F | (0x80 if i else 0) for i in reversed(range(width)))


# How to flash it

_FLASH = {
    "picotool": (
        "mpremote bootloader",
        "picotool load {image} -t bin -o {address:#010x}",
        "picotool reboot",
    ),
    "esptool": ("esptool write-flash {address:#x} {image}",),
    # Without :leave, which would start what is at the address.
    "dfu-util": (
        "mpremote bootloader",
        "dfu-util -a 0 -s {address:#010x} -D {image}",
    ),
}


def how_to_flash(board: Board, image: Path) -> list[str]:
    """The commands that write a littlefs image to a board."""
    return [line.format(image=shlex.quote(str(image)), address=board.fs_address) for line in _FLASH[board.flash_tool]]
