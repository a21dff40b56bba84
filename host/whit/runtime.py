"""What of whit itself lies on a board, beside the model."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path

import whit.prebuilt

from .device import format as blob
from .errors import WhitError

PREBUILT = Path(whit.prebuilt.__file__).parent
ARCHES = tuple(sorted(path.stem for path in PREBUILT.glob("*.json")))
ABI = (6, 3)  # of native code in .mpy files, since MicroPython 1.23


# What a board needs only for models whose file has a section: the module -> the section.
_ONLY_FOR = {
    "state": blob.STATE,
    "audio": blob.FRONTEND,
    "frontend": blob.FRONTEND,
    "whit_audio": blob.FRONTEND,
    "listen": blob.DETECTION,
}


def needed(path: str, sections: Collection[int]) -> bool:
    """Whether a file of the runtime is of use for .whit files with these sections."""
    module = path.rsplit("/", 1)[-1].split(".")[0]
    for arch in ARCHES:
        module = module.removesuffix(f"_{arch}")
    return _ONLY_FOR.get(module, 0) in {0, *sections}


def runtime(arch: str, kernels: str = "native", sections: Collection[int] | None = None) -> dict[str, bytes]:
    """The files of the runtime for an architecture, by their path below /lib of the board.

    Args:
        arch: as in sys.implementation._mpy, for example "armv6m"; one of ARCHES.
        kernels: "native", or "viper" for those precompiled in its place.
        sections: of the one .whit file that it is to run; None for any file.

    Raises:
        WhitError: there are no kernels for it.
    """
    if arch not in ARCHES:
        raise WhitError(
            f"there are no kernels for architecture {arch or 'none'}; there are some for {', '.join(ARCHES)}"
        )
    names = [name for name, _ in json.loads((PREBUILT / f"{arch}.json").read_text())["urls"]]
    if kernels == "viper":
        names = [name for name in names if not name.startswith(("whit_native_", "whit_audio_"))]
        names += ["whit/viper/__init__.mpy"]
        names += [path.relative_to(PREBUILT).as_posix() for path in sorted(PREBUILT.glob(f"whit_viper_{arch}/*.mpy"))]
    if sections is not None:
        names = [name for name in names if needed(name, sections)]
    return {name: (PREBUILT / name).read_bytes() for name in names}
