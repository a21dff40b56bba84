"""Which kernels run: what load() takes, what info() says of it, and what both say where there are none."""

from pathlib import Path

import pytest
from blobs import dense, digits
from installed import NATIVE, NOTHING, PRECOMPILED
from micropython import run
from whit import device
from whit.device import VERSION
from whit.runtime import PREBUILT

DEVICE = Path(device.__file__).parent
VIPER = PREBUILT / "whit_viper_x64"
FIRMWARE = "architecture x64, .mpy ABI 6.3"

# What the same line of source raises on firmware without a viper compiler: a decorator it does not know.
NO_COMPILER = b"import micropython\n@micropython.nothing\ndef requantize():\n    pass\n"


def runtime(*viper: str) -> dict[str, bytes]:
    """The files of the package whit, with only these of its folder viper."""
    paths = [path for path in DEVICE.rglob("*.py") if path.parent.name != "viper" or path.name in viper]
    return {f"whit/{path.relative_to(DEVICE).as_posix()}": path.read_bytes() for path in paths}


def prebuilt(name: str, arch: str = "x64") -> bytes:
    return (PREBUILT / f"whit_viper_{arch}" / f"{name}.mpy").read_bytes()


def of_another_abi(data: bytes) -> bytes:
    return data[:2] + bytes([data[2] ^ 1]) + data[3:]


@pytest.mark.parametrize(
    ("names", "kernels", "said", "package"),
    [
        (NATIVE, "native", "native kernels", None),
        ((*NATIVE, *PRECOMPILED), "native", "native kernels", None),
        (PRECOMPILED, "viper", "viper kernels precompiled", "whit_viper_x64"),
        (NOTHING, "viper", "viper kernels compiled on this board", "whit.viper"),
    ],
)
def test_load_takes_the_fastest_there_is_and_info_says_which(names, kernels, said, package):
    run(
        f"""
        import sys, whit
        m = whit.load("m.whit")
        assert m.kernels == "{kernels}" and m.selftest()
        assert whit.info() == "whit {VERSION}, {said}, {FIRMWARE}", whit.info()
        packages = {{name.rpartition(".")[0] for name in sys.modules if name.endswith(".conv2d")}}
        assert packages == ({{{package!r}}} if {package!r} else set()), packages
        """,
        {"m.whit": digits()},
        prebuilt=names,
    )


def test_viper_beside_native():
    run(
        """
        import whit
        for kernels in "native", "viper":
            m = whit.load("m.whit", kernels=kernels)
            assert m.kernels == kernels and m.selftest()
        """,
        {"m.whit": digits()},
        prebuilt=(*NATIVE, *PRECOMPILED),
    )


def test_precompiled_kernels_do_without_their_sources():
    run(
        'import whit; assert whit.load("m.whit").selftest()',
        {"m.whit": digits(), **runtime("__init__.py")},
        prebuilt=PRECOMPILED,
    )


def test_precompiled_kernels_run_without_allocating():
    run(
        """
        import gc, whit

        def allocated(m):
            gc.collect()
            gc.disable()
            before = gc.mem_alloc()
            for _ in range(100):
                m.run()
            return gc.mem_alloc() - before

        assert allocated(whit.load("m.whit")) == 0
        """,
        {"m.whit": digits()},
        prebuilt=PRECOMPILED,
    )


def test_all_kernels_of_a_process_come_from_one_package():
    """They share the accumulators of requantize, so what is installed later waits for the next start."""
    run(
        """
        import sys, whit
        assert whit.load("dense.whit").selftest()
        sys.path.append("later")
        assert whit.load("m.whit").selftest()
        import whit_viper_x64.add
        modules = [name for name in sys.modules if name.endswith((".dense", ".conv2d"))]
        assert sorted(modules) == ["whit.viper.conv2d", "whit.viper.dense"], modules
        """,
        {
            "m.whit": digits(),
            "dense.whit": dense(),
            **{f"later/whit_viper_x64/{path.name}": path.read_bytes() for path in VIPER.glob("*.mpy")},
        },
        prebuilt=NOTHING,
    )


@pytest.mark.parametrize(
    "files",
    [
        runtime(),
        runtime("__init__.py"),
        runtime("__init__.py") | {"whit/viper/requantize.py": NO_COMPILER},
        runtime("__init__.py") | {"whit_viper_x64/requantize.mpy": prebuilt("requantize", "armv6m")},
        runtime("__init__.py") | {"whit_viper_x64/requantize.mpy": of_another_abi(prebuilt("requantize"))},
        runtime("__init__.py") | {"whit_native_x64.mpy": (PREBUILT / "whit_native_armv6m.mpy").read_bytes()},
    ],
    ids=["no_viper", "no_sources", "no_compiler", "another_architecture", "another_abi", "native_of_another"],
)
def test_a_board_with_no_kernels_at_all(files):
    output = run(
        """
        import whit
        for kernels in None, "viper":
            try:
                whit.load("m.whit", kernels=kernels)
            except ValueError as e:
                print(e)
        print(whit.info())
        """,
        {"m.whit": dense(), **files},
        prebuilt=NOTHING,
    )
    wanted, viper, info = output.splitlines()
    assert wanted.startswith("no native or viper kernels for x64 are installed")
    assert wanted.endswith("; copy whit_native_x64.mpy, or whit and whit_viper_x64 to the board")
    assert viper == wanted.replace("native or viper", "viper").replace("whit_native_x64.mpy, or ", "")
    assert info == f"whit {VERSION}, {wanted}"


def test_kernels_of_another_board_are_named():
    text = run(
        """
        import whit
        try:
            whit.load("m.whit")
        except ValueError as e:
            print(e)
        """,
        {"m.whit": dense(), **runtime("__init__.py"), "whit_native_armv6m.mpy": b"", "whit_viper_rv32imc/add.mpy": b""},
        prebuilt=NOTHING,
    )
    assert "are installed, but whit_native_armv6m.mpy, whit_viper_rv32imc; copy whit_native_x64.mpy, or whit" in text


def test_firmware_that_there_are_no_kernels_for():
    text = run(
        """
        import sys

        class Sys:
            class implementation:
                _mpy = 6 | 1 << 8 | 2 << 10
            path = sys.path
            modules = sys.modules

        sys.modules["sys"] = Sys
        from whit import describe
        print(describe.absent(None))
        """,
        prebuilt=NOTHING,
    )
    firmware = "architecture x64, .mpy ABI 6.1"
    assert text.startswith(f"no native or viper kernels run on this firmware, {firmware}; there are some for x64, ")
    assert text.endswith(" with ABI 6.3: change firmware\n")


def test_precompiled_kernels_of_another_architecture_give_way_to_the_sources():
    run(
        """
        import whit
        assert whit.load("m.whit").selftest()
        assert "compiled on this board" in whit.info()
        """,
        {"m.whit": dense(), "whit_viper_x64/requantize.mpy": prebuilt("requantize", "armv6m")},
        prebuilt=NOTHING,
    )


@pytest.mark.parametrize(
    ("more", "found"),
    [
        ({}, "no module named 'whit_viper_x64.dense'"),
        ({"whit_viper_x64/dense.mpy": prebuilt("dense", "armv6m")}, "incompatible .mpy arch"),
        ({"whit_viper_x64/dense.py": b"from .requantize import something_older"}, "can't import name something_older"),
    ],
)
def test_half_a_set(more, found):
    text = run(
        """
        import whit
        try:
            whit.load("m.whit")
        except ValueError as e:
            print(e)
        """,
        {"m.whit": dense(), "whit_viper_x64/requantize.mpy": prebuilt("requantize"), **more},
        prebuilt=NOTHING,
    )
    assert text == f"whit_viper_x64.dense does not load: {found}; copy its folder to the board again\n"


def test_native_kernels_that_are_not_installed():
    text = run(
        """
        import whit
        try:
            whit.load("m.whit", kernels="native")
        except ValueError as e:
            print(e)
        """,
        {"m.whit": dense()},
        prebuilt=PRECOMPILED,
    )
    words = "no native kernels for x64 are installed; copy whit_native_x64.mpy to the board or use 'viper'\n"
    assert text == words
