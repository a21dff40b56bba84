"""What of whit itself lies on a board, beside the model."""

from __future__ import annotations

import json
from pathlib import Path

import whit.prebuilt

from .device import check
from .device import format as blob_format
from .errors import WhitError

PREBUILT = Path(whit.prebuilt.__file__).parent
ARCHES = tuple(sorted(path.stem for path in PREBUILT.glob("*.json")))
ABI = (6, 3)  # of native code in .mpy files, since MicroPython 1.23


_AUDIO = ("whit/audio.", "whit/frontend.", "whit/listen.", "whit_audio_")


def has_frontend(data: bytes) -> bool:
    """Whether a .whit file comes with an audio front end; False for a file that a board would refuse."""
    try:
        return blob_format.FRONTEND in check.check("model", memoryview(data))[1]
    except ValueError:
        return False


def runtime(arch: str, kernels: str = "native", audio: bool = False) -> dict[str, bytes]:
    """The files of the runtime for an architecture, by their path below /lib of the board.

    Args:
        arch: as in sys.implementation._mpy, for example "armv6m"; one of ARCHES.
        kernels: "native", or "viper" for those precompiled in its place.
        audio: with what models that have a front end take.

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
    if not audio:
        names = [name for name in names if not name.startswith(_AUDIO) and not name.endswith("/audio.mpy")]
    return {name: (PREBUILT / name).read_bytes() for name in names}
