"""No file can crash the board: mutants of sound files, loaded and run with both kernel sets.

python tests/board/test_fuzz.py KERNELS NUMBER runs one mutant again.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from whit.device import opset
from whit.inspect import describe
from whit.simulate import KERNEL_SETS, interpreter, search_path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from bases import bases
from installed import NATIVE, installed

MUTANTS = 10_000  # for each kernel set
ACCEPTED = 500  # at least; fewer would mean that the kernels saw next to none of them
HEAP_BYTES = 1 << 20
TIMEOUT_S = 120
BY_PAGE = 20  # of these, at least
COUNTS = re.compile(r"^accepted (\d+), .* by page (\d+)$", re.M)
FUZZ = Path(__file__).with_name("fuzz.py")


def fuzz(folder: Path, kernels: str, first: int, last: int) -> tuple[str, str]:
    """What fuzz.py printed, and how it ended: "" where nothing went wrong."""
    for name, data in bases().items():
        (folder / f"{name}.whit").write_bytes(data)
    with (
        installed(NATIVE) as prebuilt,
        search_path(prebuilt) as environment,
        (folder / "output").open("w+b") as output,
    ):
        command = [*interpreter(HEAP_BYTES), str(FUZZ), kernels, str(first), str(last)]
        try:
            code = subprocess.run(
                command, cwd=folder, env=environment, stdout=output, stderr=subprocess.STDOUT, timeout=TIMEOUT_S
            ).returncode
            ending = f"killed by signal {-code}" if code else ""
        except subprocess.TimeoutExpired:
            ending = f"still running after {TIMEOUT_S} s"
        output.seek(0)
        text = output.read().decode(errors="replace")
    return text, ending or (
        "" if COUNTS.search(text) else "\n".join(re.sub(r"^\d+\n", "", text, flags=re.M).splitlines())
    )


def test_the_mutated_files_cover_every_kernel():
    used = {kernel for data in bases().values() for kernel in describe(data)["kernels"]}
    assert used == {row[1] for row in opset.KERNELS}


@pytest.mark.parametrize("kernels", KERNEL_SETS)
def test_no_mutant_escapes_the_check(kernels, tmp_path):
    output, wrong = fuzz(tmp_path, kernels, 0, MUTANTS)
    numbers = re.findall(r"^\d+$", output, re.M)
    last = numbers[-1] if numbers else "0"
    assert not wrong, f"mutant {last}: {wrong}\nagain: python tests/board/test_fuzz.py {kernels} {last}"
    counts = COUNTS.search(output)
    assert counts and len(numbers) == MUTANTS
    print(f"\n{kernels}: tried {MUTANTS}, {counts[0].strip()}")
    assert int(counts[1]) >= ACCEPTED and int(counts[2]) >= BY_PAGE


def main(kernels: str, number: str) -> int:
    with tempfile.TemporaryDirectory() as folder:
        output, wrong = fuzz(Path(folder), kernels, int(number), int(number) + 1)
    print(wrong or output)
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
