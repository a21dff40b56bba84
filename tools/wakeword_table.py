"""Print the table of docs/wakeword.md: what each wake word of pymicro-wakeword takes on a board.

python tools/wakeword_table.py
"""

from __future__ import annotations

from whit.audio_bench import second
from whit.bench import bench
from whit.emulate import CORES
from whit.listening import beside
from whit.pack import pack
from whit.wakeword import MODELS, model_path

COLUMNS = [core for core in CORES if core.name in ("m0plus", "m4", "xtensa")]


def row(name: str) -> str:
    model = model_path(name)
    listening = beside(model)
    assert listening
    packed = pack(model.read_bytes(), name, listening=listening)
    cells = [listening.wake_word, f"{len(packed.blob):,}", f"{packed.plan.arena_bytes:,}"]
    for core in COLUMNS:
        heard = second(packed.blob, core, "native", bench(packed.blob, name, core).instructions)
        assert heard
        cells.append(" + ".join(f"{n / 1e6:.1f}" for n in (heard.frontend, heard.model)))
    return f"| {' | '.join(cells)} |"


def main() -> None:
    titles = " | ".join(core.title for core in COLUMNS)
    print(f"| word | .whit | arena | {titles} |\n|---|--:|--:|{'--:|' * len(COLUMNS)}")
    for name in sorted(MODELS):
        print(row(name))


if __name__ == "__main__":
    main()
