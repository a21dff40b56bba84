"""run: a script under the unix port of MicroPython, in a folder of its own, with whit installed as on a board."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent

from installed import NATIVE, installed
from whit.simulate import HEAP_BYTES, interpreter, search_path

NO_FILES: Mapping[str, bytes] = {}
END = "the script has reached its end"

# The start of a script about refusals of the model m.whit.
REFUSED = """
import whit

def refused(f, *args):  # the one sentence of the ValueError
    try:
        f(*args)
    except ValueError as e:
        text = str(e)
        assert "; " in text and "\\n" not in text, text
        return text
    assert False, "not refused"

m = whit.load("m.whit")
"""


def run(
    script: str,
    files: Mapping[str, bytes] = NO_FILES,
    heap_bytes: int = HEAP_BYTES,
    prebuilt: tuple[str, ...] = NATIVE,
) -> str:
    """What `script` prints; an exception that leaves it, an assert too, fails the test with its traceback.

    Args:
        script: the source; its indentation as a whole does not count.
        files: what lies in the folder it runs in, by path; a package there comes before the installed one.
        heap_bytes: the heap of the interpreter.
        prebuilt: what of device/prebuilt is installed.
    """
    with (
        tempfile.TemporaryDirectory(prefix="whit-") as folder,
        installed(prebuilt) as kernels,
        search_path(kernels) as environment,
    ):
        for name, data in files.items():
            path = Path(folder) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        (Path(folder) / "script.py").write_text(f"{dedent(script)}\nprint({END!r})\n")
        command = [*interpreter(heap_bytes), "script.py"]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60)
    # A traceback goes to its standard output.
    text, end, _ = done.stdout.partition(END)
    assert end and done.returncode == 0 and not done.stderr, (
        f"the script did not reach its end:\n{done.stdout}{done.stderr}"
    )
    return text
