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
from whit.pack import pack
from whit.simulate import KERNEL_SETS, interpreter, search_path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import nets
from installed import NATIVE, installed

MUTANTS = 10_000  # for each kernel set
ACCEPTED = 500  # at least; fewer would mean that the kernels saw next to none of them
HEAP_BYTES = 1 << 20
TIMEOUT_S = 120
COUNTS = re.compile(r"^accepted (\d+), .*$", re.M)
FUZZ = Path(__file__).with_name("fuzz.py")


def chain() -> bytes:
    """Several steps in one arena."""
    net = nets.Net("chain")
    x = net.activation((1, 6, 6, 3))
    w = net.weights((5, 3, 3, 3), 0, 0.01)
    a = net.activation((1, 6, 6, 5))
    net.op("CONV_2D", [x, w, net.bias(5, 100, x, w)], [a], Padding=nets.SAME, StrideH=1, StrideW=1,
           DilationHFactor=1, DilationWFactor=1, FusedActivationFunction=nets.RELU)  # fmt: skip
    b = net.activation((1, 6, 6, 5), 0.1)
    net.op("ADD", [a, a], [b], FusedActivationFunction=nets.NONE)
    c = net.activation((1, 5), 0.1)
    net.op("MEAN", [b, net.constant((1, 2))], [c], KeepDims=False)
    y = net.activation((1, 5), 1 / 256, -128)
    net.op("SOFTMAX", [c], [y], Beta=1.0)
    return net.tflite([x], [y])


def bases() -> dict[str, bytes]:
    """The sound files, small enough that mutants meet every field."""
    models = {
        "conv2d": nets.convolution("conv2d", x=(4, 5, 3), out=5),
        "pointwise": nets.convolution("pointwise", x=(3, 3, 4), out=4, k=(1, 1)),
        "depthwise": nets.convolution("depthwise", x=(4, 4, 3), out=2, depthwise=True),
        "dense": nets.dense("dense", k=9, o=5, rows=2),
        "average_pool": nets.pool("average_pool", "AVERAGE_POOL_2D", padding=nets.SAME, k=(3, 3)),
        "max_pool": nets.pool("max_pool", "MAX_POOL_2D", padding=nets.SAME, k=(3, 3)),
        "add": nets.add("add"),
        "softmax": nets.softmax("softmax", shape=(3, 40)),
        "lookup": nets.unary("lookup", "LOGISTIC", y=(1 / 256, -128)),
        "pad": nets.pad("pad"),
        "mean": nets.mean("mean"),
        "chain": chain(),
    }
    return {name: pack(model, name).blob for name, model in models.items()}


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
    assert int(counts[1]) >= ACCEPTED


def main(kernels: str, number: str) -> int:
    with tempfile.TemporaryDirectory() as folder:
        output, wrong = fuzz(Path(folder), kernels, int(number), int(number) + 1)
    print(wrong or output)
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
