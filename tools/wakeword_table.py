"""Print the table of docs/wakeword.md: what each wake word of pymicro-wakeword takes on a board.

python tools/wakeword_table.py
"""

from __future__ import annotations

import json
from pathlib import Path

import pymicro_wakeword
from whit.audio_bench import second
from whit.bench import bench
from whit.emulate import CORES
from whit.listening import read_manifest
from whit.pack import pack

MODELS = Path(pymicro_wakeword.__file__).parent / "models"
COLUMNS = [core for core in CORES if core.name in ("m0plus", "m4", "xtensa")]


def row(manifest: Path) -> str:
    asked = manifest.read_bytes()
    model = MODELS / json.loads(asked)["model"]
    packed = pack(model.read_bytes(), model.stem, listening=read_manifest(asked, manifest.name))
    cells = [json.loads(asked)["wake_word"], f"{len(packed.blob):,}", f"{packed.plan.arena_bytes:,}"]
    for core in COLUMNS:
        heard = second(packed.blob, core, "native", bench(packed.blob, model.stem, core).instructions)
        assert heard
        cells.append(" + ".join(f"{n / 1e6:.1f}" for n in (heard.frontend, heard.model)))
    return f"| {' | '.join(cells)} |"


def main() -> None:
    titles = " | ".join(core.title for core in COLUMNS)
    print(f"| word | .whit | arena | {titles} |\n|---|--:|--:|{'--:|' * len(COLUMNS)}")
    for manifest in sorted(MODELS.glob("*.json")):
        print(row(manifest))


if __name__ == "__main__":
    main()
