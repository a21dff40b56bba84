"""Print the README's table: what each model takes, and how many output bytes differ from TensorFlow Lite Micro's.

    python tools/model_table.py MODEL.tflite...

The arena of TensorFlow Lite Micro is what its own recorder reports on this machine.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from whit.pack import pack
from whit.verify import verify

TITLES = {
    "kws_ref_model": "keyword spotting, DS-CNN",
    "vww_96_int8": "visual wake words, MobileNet 0.25",
    "pretrainedResnet_quant": "CIFAR-10, ResNet8",
    "ad01_int8": "anomaly detection, autoencoder",
    "micro_speech_quantized": "yes / no, micro speech",
    "hello_world_int8": "sine, hello world",
    "digits_int8": "handwritten digits (shipped here)",
}
_RECORD = """
import sys
from tflite_micro.python.tflite_micro import runtime
interpreter = runtime.Interpreter.from_file(sys.argv[1], arena_size=1 << 24)
interpreter.invoke()
interpreter.print_allocations()
"""


def tflm_arena_bytes(path: Path) -> int:
    done = subprocess.run([sys.executable, "-c", _RECORD, path], capture_output=True, text=True, check=True)
    found = re.search(r"Arena allocation total (\d+) bytes", done.stdout + done.stderr)
    assert found, done.stderr
    return int(found[1])


def row(path: Path) -> str:
    data = path.read_bytes()
    packed = pack(data, path.name)
    results = verify(data, path)
    cells = [
        TITLES.get(path.stem, path.stem),
        f"{sum(s.macs for s in packed.program.steps):,}",
        f"{len(data):,}",
        f"{len(packed.blob):,}",
        f"{packed.plan.arena_bytes:,}",
        f"{tflm_arena_bytes(path):,}",
        f"{sum(r.differing for r in results)} of {sum(r.compared for r in results):,}",
    ]
    return f"| {' | '.join(cells)} |"


def table(paths: list[Path]) -> str:
    head = (
        "| model | MACs | .tflite | .whit | arena | TFLM's arena | bytes that differ |\n|---|--:|--:|--:|--:|--:|--:|\n"
    )
    return head + "".join(f"{row(path)}\n" for path in paths)


if __name__ == "__main__":
    print(table([Path(name) for name in sys.argv[1:]]), end="")
