"""Paged weights: read from the file as the steps need them, with the same answers, and no byte allocated."""

import re
from pathlib import Path

import nets
import numpy as np
import pytest
from blobs import DIGITS, digits, find, sealed, with_section
from installed import NATIVE, WAYS, installed
from micropython import run
from programs import random_program
from whit import oracle
from whit.device import format as blob
from whit.image import contents, littlefs, whit_itself
from whit.inspect import describe
from whit.order import order
from whit.pack import pack
from whit.page import least_page_bytes, page
from whit.plan import plan
from whit.simulate import KERNEL_SETS, simulate
from whit.verify import samples_for
from whit.write import write

PAGE = 1024
PACKED = pack(DIGITS.read_bytes(), "digits", page_bytes=PAGE)
ABOUT = describe(PACKED.blob)

PRELUDE = """
import gc, os, whit

def answer(m):
    x = bytes([i * 37 & 255 for i in range(m.inputs[0].size)])
    y = bytearray(m.outputs[0].size)
    m.run(x, y)
    return bytes(y)

def refused(kind, *args, **options):  # the one sentence of the error
    try:
        whit.load(*args, **options)
    except kind as e:
        text = str(e)
        assert "; " in text and "\\n" not in text, text
        return text
    assert False, "not refused"
"""


def board(script, heap_bytes=8 << 20, **files):
    return run(PRELUDE + script, {"m.whit": PACKED.blob, "whole.whit": digits(), **files}, heap_bytes)


@pytest.mark.parametrize("kernels", KERNEL_SETS)
def test_the_answers_are_those_of_the_whole_model(kernels):
    board(f"""
expected = answer(whit.load("whole.whit"))
for paged in True, False, None:
    m = whit.load("m.whit", kernels="{kernels}", paged=paged)
    assert answer(m) == expected and m.selftest() and answer(m) == expected, paged
    assert m.pages == ({ABOUT["pages"]} if paged else 0)
    """)


@pytest.mark.parametrize("kernels", KERNEL_SETS)
def test_a_hundred_runs_allocate_nothing(kernels):
    board(
        f"""
from allocated import allocated
m = whit.load("m.whit", kernels="{kernels}", paged=True)
assert allocated(m, bytearray(64), bytearray(10)) == 0
    """,
        **{"allocated.py": Path(__file__).with_name("allocated.py").read_bytes()},
    )


def test_only_what_lies_before_the_weights_and_a_page_take_heap():
    output = board("""
def loaded(name, paged):
    whit.load(name, paged=paged).run()
    gc.collect()
    before = gc.mem_alloc()
    m = whit.load(name, paged=paged)
    gc.collect()
    return gc.mem_alloc() - before

print(loaded("m.whit", True), loaded("m.whit", False))
    """)
    paged, whole = map(int, output.split())
    saved = ABOUT["blob_bytes"] - ABOUT["resident_bytes"] - ABOUT["page_bytes"]
    assert saved > 1000 and abs(whole - paged - saved) < 700  # the file object and the pager


@pytest.mark.parametrize("heap_bytes", [1 << 20, 160 << 10])
def test_the_heap_decides(heap_bytes):
    """Whole where there is room, else by pages; with paged= the caller decides."""
    model = nets.dense("large", k=600, o=200)
    large, whole = pack(model, "large", page_bytes=4096).blob, pack(model, "large").blob
    assert 110_000 < len(whole) < len(large)
    output = board(
        """
for name in "large.whit", "whole.whit":
    for paged in None, False:
        try:
            print(whit.load(name, paged=paged).pages)
        except MemoryError as e:
            print(e)
    """,
        heap_bytes,
        **{"large.whit": large, "whole.whit": whole},
    )
    if heap_bytes > 1 << 19:
        assert output.split() == ["0"] * 4
        return
    lines = output.splitlines()
    assert lines[0] == str(describe(large)["pages"])
    for line, name, size in zip(
        lines[1:], ("large", "whole", "whole"), (len(large), len(whole), len(whole)), strict=True
    ):
        remedy = r"\d+ are free in all; free memory, or pack it with --page"
        assert re.fullmatch(rf"{name}\.whit needs {size} bytes of heap in one block, {remedy}", line)


def wide():
    """An arena nearly as large as the weights."""
    net = nets.Net("wide")
    x, y = net.activation((1, 64, 64, 4)), net.activation((1, 2000))
    mean = net.activation((1, 4))
    a = net.activation((1, 64, 64, 4))
    w = net.weights((4, 3, 3, 4), 0, 0.01)
    net.op("CONV_2D", [x, w, net.bias(4, 100, x, w)], [a], Padding=nets.SAME, StrideH=1, StrideW=1,
           DilationHFactor=1, DilationWFactor=1, FusedActivationFunction=nets.NONE)  # fmt: skip
    net.op("MEAN", [a, net.constant((1, 2))], [mean], KeepDims=False)
    v = net.weights((2000, 4), 0, 0.01)
    net.op("FULLY_CONNECTED", [mean, v], [y], FusedActivationFunction=nets.NONE, WeightsFormat=0, KeepNumDims=0)
    return pack(net.tflite([x], [y]), "wide", page_bytes=2048).blob


def test_there_is_no_heap_between_whole_and_by_page():
    """Where the file alone has room, or it and the arena but not the rest, the pages are taken too."""
    data = wide()
    about = describe(data)
    least = (76 << 10) + about["arena_bytes"]
    found = []
    for heap_bytes in range(least, least + about["blob_bytes"] + (24 << 10), 4 << 10):
        script = 'm = whit.load("wide.whit")\nm.run()\nprint(m.pages)'
        found.append(int(board(script, heap_bytes, **{"wide.whit": data})))
    assert {*found} == {about["pages"], 0} and found == sorted(found, reverse=True)


def test_profile_counts_the_pages():
    output = board("""
m = whit.load("m.whit", paged=True)
m.run()
for _ in range(2):
    rows = m.profile()
    print([name for name, us in rows])
    assert all(us >= 0 for name, us in rows)
print([name for name, us in whit.load("m.whit").profile()])
m.summary()
    """)
    first, second, whole, *summary = output.splitlines()
    kernels = [step["kernel"] for step in ABOUT["steps"]]
    assert first == second and eval(first).count("page") == ABOUT["pages"] > 1
    assert [name for name in eval(first) if name != "page"] == eval(whole) == kernels
    assert f"weights in {ABOUT['pages']} pages of up to {ABOUT['page_bytes']} bytes" in "".join(summary)
    assert f"m.whit: {len(PACKED.blob)} bytes" in summary[0]


def test_one_page_is_read_once():
    one = pack(DIGITS.read_bytes(), "digits", page_bytes=8192).blob
    assert describe(one)["pages"] == 1
    board(
        """
m = whit.load("one.whit", paged=True)
m.run()
assert "page" not in [name for name, us in m.profile()]
    """,
        **{"one.whit": one},
    )


def test_steps_and_an_arena_of_the_caller():
    board("""
arena = bytearray(8192)
m = whit.load("m.whit", arena=arena, paged=True)
expected = answer(m)
x = bytes([i * 37 & 255 for i in range(64)])
for _ in range(3):
    m.inputs[0].data[:] = x
    for step in m.steps():
        pass
    assert bytes(m.outputs[0].data) == expected
    """)


def test_two_models_of_one_file():
    board("""
a, b = whit.load("m.whit", paged=True), whit.load("m.whit", paged=True)
expected = answer(a)
for pair in zip(a.steps(), b.steps()):
    pass
assert answer(b) == expected and answer(a) == expected
    """)


def test_mistakes():
    output = board("""
print(refused(ValueError, "whole.whit", paged=True))
try:
    whit.load(open("m.whit", "rb").read(), paged=True)
except TypeError as e:
    print(e)
print(refused(OSError, "none.whit", paged=True))
print(refused(OSError, "none.whit"))
with open("m.whit", "rb") as f:
    data = f.read()
flipped = data[:-5] + b"?" + data[-4:]
for name, changed in ("cut", data[:-5]), ("flipped", flipped), ("other", b"x" * 500), ("none", b""):
    with open(name, "wb") as f:
        f.write(changed)
    print(refused(ValueError, name, paged=True))
    """)
    expected = (
        "whole.whit has no pages; pack it again with --page",
        "whit.load reads pages from a file, bytes was given; give its path",
        "none.whit cannot be opened; check the path",
        "none.whit cannot be opened; check the path",
        "cut is truncated: ",
        "flipped is corrupted: the CRC32 does not match; copy it again",
        "other is not a .whit file; make one with: whit pack",
        "none is not a .whit file; make one with: whit pack",
    )
    for line, words in zip(output.splitlines(), expected, strict=True):
        assert words in line


def test_a_file_that_shrinks_under_a_loaded_model():
    """The runs after it fail with a sentence, and work again when the file does."""
    board("""
m = whit.load("m.whit", paged=True)
expected = answer(m)
with open("m.whit", "rb") as f:
    data = f.read()
with open("m.whit", "wb") as f:  # the same file to the system
    f.write(data[:900])
for _ in range(2):
    try:
        m.run()
        assert False, "ran on what is not there"
    except OSError as e:
        assert str(e) == "m.whit ends within a page; copy it to the board again", e
with open("m.whit", "wb") as f:
    f.write(data)
assert answer(m) == expected
m.close()
m.close()
try:
    m.run()
    assert False, "ran from a closed file"
except ValueError as e:
    assert str(e) == "m.whit has been closed; load it again", e
    """)


def test_a_model_that_is_refused_leaves_no_file_open():
    small = sealed(PACKED.blob[:20] + (1 << 20).to_bytes(4, "little") + PACKED.blob[24:])
    board(
        """
import builtins
files = []
real = builtins.open
def watched(*args):
    files.append(real(*args))
    return files[-1]
builtins.open = watched
for options in {"arena": bytearray(1)}, {"kernels": "none"}:
    refused(ValueError, "m.whit", paged=True, **options)
assert "free memory, or pack it with a smaller --page" in refused(MemoryError, "large.whit", paged=True)
assert len(files) == 3
for f in files:
    try:
        f.seek(0)
        assert False, "still open"
    except (OSError, ValueError):
        pass
    """,
        heap_bytes=500_000,
        **{"large.whit": small},
    )


def test_a_model_that_cannot_be_made_leaves_no_file_open():
    board("""
import builtins
files = []
real, importing = builtins.open, builtins.__import__

def watched(*args):
    files.append(real(*args))
    return files[-1]

def failing(name, *args):
    if name == "model":
        raise MemoryError
    return importing(name, *args)

builtins.open, builtins.__import__ = watched, failing
try:
    whit.load("m.whit", paged=True)
    assert False, "loaded"
except MemoryError:
    pass
builtins.__import__ = importing
try:
    files[0].seek(0)
    assert False, "still open"
except (OSError, ValueError):
    pass
    """)


def test_the_last_of_several_sections_counts():
    """As where the file is read whole."""
    data = with_section(PACKED.blob, blob.WEIGHTS, PACKED.blob[slice(*spanned(PACKED.blob, blob.WEIGHTS))])
    first = spanned(data, blob.WEIGHTS)[0]
    twice = sealed(data[:first] + bytes(64) + data[first + 64 :])  # where the board's own answer would be another
    board(
        """
expected = answer(whit.load("whole.whit"))
for paged in True, False:
    assert answer(whit.load("twice.whit", paged=paged)) == expected
    """,
        **{"twice.whit": twice},
    )


def spanned(data, number):
    at, length = find(data, number)
    return at, at + length


@pytest.mark.parametrize("kernels", KERNEL_SETS)
def test_random_programs(kernels):
    """Every step writes what the reference computes, in the least pages and in larger ones."""
    files = {}
    for seed in range(40):
        program = order(random_program(seed))
        least = max(16, least_page_bytes(program))
        for page_bytes in least, 3 * least:
            cut = page(program, page_bytes)
            files[f"{seed}_{page_bytes}.whit"] = write(cut, plan(cut))
    script = f"""
import os, whit
for name in os.listdir():
    if name.endswith(".whit"):
        m = whit.load(name, kernels={kernels!r}, paged=True)
        assert m.selftest(), name
        outputs = [bytes(t.data) for t in m.outputs]
        m = whit.load(name, kernels={kernels!r}, paged=False)
        assert m.selftest() and outputs == [bytes(t.data) for t in m.outputs], name
    """
    run(script, files)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "name, page_bytes",
    [("kws_ref_model.tflite", 3000), ("pretrainedResnet_quant.tflite", 8192), ("ad01_int8.tflite", 16384)],
)
def test_whole_models_are_exact(public_model, name, page_bytes, way):
    data = public_model(name)
    packed = pack(data, name, page_bytes=page_bytes)
    kernels, prebuilt = WAYS[way]
    inputs = _samples(packed, 3 if kernels == "native" else 1)
    expected = oracle.run(data, inputs, name, 1)[0]
    with installed(prebuilt) as folder:
        got = simulate(Path(name), packed.blob, inputs, kernels, prebuilt=folder, paged=True)[0]
    np.testing.assert_array_equal(got.reshape(expected.shape), expected)


def _samples(packed, count):
    rng = np.random.default_rng(3)
    return [samples_for(packed.graph.tensors[packed.graph.inputs[0]], packed.program.inputs[0], count, rng)]


# A model larger than RAM: visual wake words from the flash of a board whose heap is smaller than its weights.

HEAP = 190 << 10
MOST = 90 << 10  # for all of whit and the model
FROM_FLASH = """
import gc, sys, vfs

class Flash:  # a file as a chip of 4 KB blocks
    def __init__(self, name):
        self.f = open(name, "rb")
    def readblocks(self, n, buf, offset=0):
        self.f.seek(n * 4096 + offset)
        self.f.readinto(buf)
    def ioctl(self, op, arg):
        return {4: COUNT, 5: 4096}.get(op, 0)

source, target = open("inputs", "rb"), open("outputs", "wb")
vfs.mount(vfs.VfsLfs2(Flash("image"), progsize=256), "/flash", readonly=True)
sys.path[:] = ["/flash/lib"]
x, y = bytearray(27648), bytearray(2)
gc.collect()
ballast = bytearray(max(16, gc.mem_free() - ROOM - 32))  # no more than ROOM is left to whit and the model
before = gc.mem_alloc()

import whit
m = whit.load("/flash/vww.whit")
assert m.pages, "not paged"
gc.collect()
held = gc.mem_alloc() - before
assert m.selftest()
while source.readinto(x):
    m.run(x, y)
    target.write(y)
rows = m.profile()
gc.collect()
assert gc.mem_alloc() - before < held + 10000
print(whit.__file__, m.kernels, held, sum([name == "page" for name, us in rows]))
target.close()
"""


@pytest.mark.parametrize("room", [HEAP, MOST], ids=["190k", "90k"])
def test_a_model_larger_than_ram_runs_from_a_littlefs(public_model, tmp_path, room):
    """Exact, in a heap of 190 KB; and in 90 KB of it, so that the heap is never above that."""
    name = "vww_96_int8.tflite"
    data = public_model(name)
    packed = pack(data, name, page_bytes=8192)
    assert len(packed.blob) > HEAP
    image = littlefs(contents({"vww.whit": packed.blob}, whit_itself("x64")), 4096, 352)
    inputs = _samples(packed, 4)
    files = {"image": image, "inputs": inputs[0].tobytes()}
    script = FROM_FLASH.replace("COUNT", "352").replace("ROOM", str(room))
    output = run(script + '\nprint(open("outputs", "rb").read().hex())', files, HEAP, NATIVE)
    where, hexed = output.splitlines()
    place, kernels, held, pages = where.split()
    native = len((whit_itself("x64"))["lib/whit_native_x64.mpy"])
    print(f"\nvww_96_int8, {len(data):,} bytes: holds {int(held):,} bytes of heap, at most {room:,} while it loads and")
    print(f"runs, {native:,} of native code beside it; {pages} page reads in a run")
    assert (place, kernels) == ("/flash/lib/whit/__init__.mpy", "native")
    assert int(pages) == describe(packed.blob)["pages"]
    assert int(held) + native < MOST
    expected = oracle.run(data, inputs, name, 1)[0]
    assert bytes.fromhex(hexed) == expected.tobytes()


def test_the_weights_lie_behind_all_that_is_kept():
    at, length = find(PACKED.blob, blob.WEIGHTS)
    assert at == ABOUT["resident_bytes"] and at + length <= len(PACKED.blob) < at + length + 4
