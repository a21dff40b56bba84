"""whit image: what it puts into an image and says about it; one sentence for every mistake, and nothing written."""

import os
import re
import shlex
from pathlib import Path

import pytest
from littlefs import LittleFS
from whit.boards import boards
from whit.cli import main
from whit.models import digits
from whit.pack import pack
from whit.runtime import runtime

DIGITS = Path(digits.__file__).parent / "digits_int8.tflite"
OTHER = ("--block-size", "4096", "--block-count", "64", "--arch", "armv6m")


@pytest.fixture
def app(tmp_path, monkeypatch) -> Path:
    """A folder as a user has it, beside which the test runs."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "app"
    (folder / "models").mkdir(parents=True)
    (folder / "main.py").write_text("import whit\n")
    (folder / "models/digits.tflite").write_bytes(DIGITS.read_bytes())
    return folder


@pytest.fixture
def refused(app, capsys):
    """The one line that a mistake ends in; status 2, nothing on standard output, nothing written."""

    def refuse(*arguments) -> str:
        before = sorted(app.parent.rglob("*"))
        assert main(["image", *map(str, arguments)]) == 2
        said = capsys.readouterr()
        assert not said.out and said.err.count("\n") == 1 and said.err.startswith("whit: "), said
        assert "; " in said.err
        assert sorted(app.parent.rglob("*")) == before
        return said.err[6:-1]

    return refuse


def made(capsys, *arguments) -> str:
    assert main(["image", *map(str, arguments)]) == 0
    return capsys.readouterr().out


def read(image: bytes, block_size: int) -> dict[str, bytes]:
    blocks = len(image) // block_size
    fs = LittleFS(mount=False, block_size=block_size, block_count=blocks, read_size=16, prog_size=16, cache_size=128)
    fs.context.buffer[:] = image
    fs.mount()
    there = {}
    for folder, _, names in fs.walk("/"):
        for name in names:
            path = f"{folder}/{name}".lstrip("/")
            with fs.open(path, "rb") as f:
                there[path] = f.read()
    return there


def in_lib(arch: str, kernels: str = "native") -> dict[str, bytes]:
    return {f"lib/{path}": data for path, data in runtime(arch, kernels, ()).items()}


@pytest.mark.parametrize("b", boards(), ids=lambda b: b.name)
def test_an_image_for_a_board(app, capsys, b):
    said = made(capsys, app, "-o", "out.img", "--board", b.name)
    image = Path("out.img").read_bytes()
    assert len(image) == b.block_size * b.block_count
    packed = {"models/digits.whit": pack(DIGITS.read_bytes()).blob, "main.py": b"import whit\n"}
    assert read(image, b.block_size) == packed | in_lib(b.arch)
    commands = [shlex.split(line) for line in said.splitlines() if line.startswith("  ")]
    command = next(c for c in commands if c[0] == b.flash_tool)
    assert "out.img" in command and b.fs_address in [int(word, 16) for word in command if word.startswith("0x")]
    assert f"native kernels for {b.arch}" in said and "/models/digits.whit" in said and "/main.py" in said


@pytest.mark.parametrize("kernels", ["native", "viper"])
def test_an_image_for_a_board_that_is_not_known(app, capsys, kernels):
    said = made(capsys, app, "-o", "out.img", *OTHER, "--kernels", kernels, "--disk-version", "2.1")
    image = Path("out.img").read_bytes()
    assert len(image) == 64 * 4096 and read(image, 4096).keys() > in_lib("armv6m", kernels).keys()
    assert "littlefs 2.1" in said and "where the file system of the board starts" in said


@pytest.mark.parametrize("name", ["digits.tflite", "digits.whit", "DIGITS.TFLITE"])
def test_a_model_alone(app, capsys, name):
    blob = pack(DIGITS.read_bytes()).blob
    Path(name).write_bytes(blob if name.endswith("whit") else DIGITS.read_bytes())
    made(capsys, name, "-o", "a b.img", *OTHER)
    assert read(Path("a b.img").read_bytes(), 4096) == {Path(name).stem + ".whit": blob} | in_lib("armv6m")


def test_the_page_has_every_address():
    page = (Path(__file__).resolve().parent.parent.parent / "docs/image.md").read_text()
    for b in boards():
        if b.flash_tool == "esptool":
            assert f"esptool write-flash {b.fs_address:#x} app.img" in page
        else:
            size = f"{b.block_size * b.block_count >> 10:,} KB"
            assert re.search(rf"\| {b.name}.* \| `{b.fs_address:#010x}` \| {size} \|", page), b.name


def test_a_file_name_with_a_space_is_quoted(app, capsys):
    assert "write-flash 0x200000 'a b.img'\n" in made(capsys, app, "-o", "a b.img", "--board", "c3")


def test_what_stays_behind_and_what_comes_along(app, capsys):
    for name in (".git/config", ".hidden", "__pycache__/x.pyc", "models/__pycache__/x.pyc", "models/.x"):
        (app / name).parent.mkdir(exist_ok=True)
        (app / name).write_text("x")
    (app / "empty").mkdir()
    (app / "lib").mkdir()
    (app / "lib/mine.py").write_text("x")
    (app / "é.txt").write_text("x")
    (app / "link.py").symlink_to("main.py")
    (app / "folder").symlink_to("lib")
    made(capsys, app, "-o", "out.img", *OTHER)
    own = read(Path("out.img").read_bytes(), 4096).keys() - in_lib("armv6m").keys()
    assert own == {"main.py", "models/digits.whit", "lib/mine.py", "é.txt", "link.py", "folder/mine.py"}


def test_a_romfs(app, capsys):
    said = made(capsys, app, "-o", "out.romfs", "--fs", "romfs", "--board", "pico")
    image = Path("out.romfs").read_bytes()
    assert image[:3] == b"\xd2\xcd\x31" and all(data in image for data in in_lib("armv6m").values())
    assert f"{len(image):,} bytes" in said and "mpremote romfs deploy out.romfs" in said
    assert "Stock firmware of the Pico has none." in said and "does not start /rom/main.py" in said
    (app / "main.py").unlink()
    said = made(capsys, app, "-o", "out.romfs", "--fs", "romfs", "--arch", "xtensawin")
    assert "tock firmware" not in said and "main.py" not in said


def test_mistakes_about_the_board(refused):
    assert "board 'teensy' is not known; use one of Pico, " in refused("app", "-o", "o.img", "--board", "teensy")
    assert "name it with --board, or give --block-size" in refused("app", "-o", "o.img")
    assert "name it with --board" in refused("app", "-o", "o.img", "--block-size", 512, "--arch", "armv6m")
    assert "give --arch, one of armv6m, " in refused("app", "-o", "o.img", *OTHER[:4])
    assert "give --arch" in refused("app", "-o", "o.img", "--fs", "romfs")
    assert "no kernels for architecture armv5" in refused("app", "-o", "o.img", *OTHER[:5], "armv5")
    assert "--board says it all" in refused("app", "-o", "o.img", "--board", "pico", *OTHER)
    assert "--board says it all" in refused("app", "-o", "o.img", "--board", "pico", "--arch", "armv6m")
    assert "a ROMFS has no blocks" in refused("app", "-o", "o.img", "--fs", "romfs", *OTHER)
    assert "leave it out" in refused("app", "-o", "o.img", "--fs", "romfs", "--board", "s3", "--disk-version", "2.0")
    for size, count in ((1000, 64), (0, 64), (128, 64), (1 << 20, 64)):
        assert f"blocks of {size} bytes are not" in refused(
            "app", "-o", "o.img", "--block-size", size, "--block-count", count, "--arch", "armv6m"
        )
    for count in (0, 1, -1, 10**9):
        assert "give 2 to 16384" in refused(
            "app", "-o", "o.img", "--block-size", 4096, "--block-count", count, "--arch", "armv6m"
        )


@pytest.mark.parametrize("count", [2, 3, 8, 16, 24])
def test_files_that_do_not_fit(app, refused, capsys, count):
    """The sentence says how many blocks too few there are: with them, and a few to write in, it is enough."""
    (app / "big.bin").write_bytes(bytes(60_000))
    blocks = ("--block-size", 4096, "--arch", "armv6m", "--block-count")
    said = refused("app", "-o", "o.img", *blocks, count)
    takes, more = (
        int(word.replace(",", "")) for word in said.split() if word.replace(",", "").isdigit() and "," in word
    )
    assert takes - more == count * 4096 and "leave files out or use a smaller model" in said
    made(capsys, "app", "-o", "o.img", *blocks, count + more // 4096 + 2)


def test_a_folder_far_too_large(app, refused):
    with (app / "film").open("wb") as f:
        f.truncate(100 << 20)
    assert "more than the file system of 64 blocks" in refused("app", "-o", "o.img", *OTHER)
    assert "more than a ROMFS has room for; leave files out" in refused(
        "app", "-o", "o.img", "--fs", "romfs", *OTHER[4:]
    )


def test_mistakes_about_the_files(app, refused):
    (app.parent / "text.txt").write_text("no model")
    (app.parent / "none").mkdir()
    (app.parent / "hidden").mkdir()
    (app.parent / "hidden/.x").write_text("x")
    assert "nothing: cannot be read (No such file" in refused("nothing", "-o", "o.img", *OTHER)
    assert "none: has no files; put a model into it" in refused("none", "-o", "o.img", *OTHER)
    assert "hidden: has no files" in refused("hidden", "-o", "o.img", *OTHER)
    assert "text.txt: is no model; give" in refused("text.txt", "-o", "o.img", *OTHER)
    assert "cannot be written" in refused("app", "-o", "no/such/folder/o.img", *OTHER)
    assert "app/o.img: lies in the folder" in refused("app", "-o", "app/o.img", *OTHER)
    assert "o.bin: mpremote deploys files named .img" in refused("app", "-o", "o.bin", "--fs", "romfs", *OTHER[4:])


@pytest.mark.parametrize(
    "path, message",
    [
        ("bad.tflite", "bad.tflite: not a TFLite or ONNX model"),
        ("bad.whit", "bad.whit is not a .whit file"),
        (
            "models/digits.whit",
            "models/digits.tflite and models/digits.whit would both be models/digits.whit on the board; remove",
        ),
        (
            "models/digits.TFLITE",
            "models/digits.TFLITE and models/digits.tflite would both be models/digits.whit on the board",
        ),
        ("lib/whit/model.py", "lib/whit/model.py: takes the place of a file of whit's own"),
        ("lib/whit/model.mpy", "takes the place"),
        ("lib/whit_native_armv6m.mpy", "takes the place"),
        ("lib/whit/model.mpy/x", "takes the place"),
        ("lib", "takes the place"),
        ("lib/whit", "takes the place"),
        ("whit.py", "whit.py: takes the place"),
        ("whit/__init__.py", "takes the place"),
        ("line\nbreak.txt", "'app/line\\nbreak.txt': a board cannot hold this name"),
        (b"\xff.txt".decode("utf-8", "surrogateescape"), "a board cannot hold this name"),
    ],
)
def test_files_that_an_image_cannot_hold(app, refused, path, message):
    (app / path).parent.mkdir(exist_ok=True, parents=True)
    (app / path).write_text("x")
    assert message in refused("app", "-o", "o.img", *OTHER)
    assert message in refused("app", "-o", "o.img", "--fs", "romfs", *OTHER[4:])


def test_folders_that_an_image_cannot_hold(app, refused):
    (app / "loop").symlink_to(".")
    assert "loop: is a link to a folder that it lies in; remove it" in refused("app", "-o", "o.img", *OTHER)
    (app / "loop").unlink()
    (app / "gone").symlink_to("nowhere")
    assert "gone: is neither a file nor a folder" in refused("app", "-o", "o.img", *OTHER)
    (app / "gone").unlink()
    os.mkfifo(app / "pipe")
    assert "pipe: is neither a file nor a folder" in refused("app", "-o", "o.img", *OTHER)


def test_help(capsys):
    for arguments, start in (["--help"], "usage: whit "), (["image", "--help"], "usage: whit image "):
        with pytest.raises(SystemExit):
            main(arguments)
        said = capsys.readouterr().out
        assert said.startswith(start) and "an image of a board's file system" in said


def test_mistakes_on_the_command_line(app, capsys):
    for arguments in (["app"], ["app", "-o", "o.img", "--fs", "fat"], ["app", "-o", "o.img", "--block-size", "many"]):
        with pytest.raises(SystemExit) as e:
            main(["image", *arguments])
        assert e.value.code == 2 and "usage: whit image" in capsys.readouterr().err


def test_a_model_that_does_not_load_on_the_board_is_said_to(app, capsys, public_model):
    """The image is there all the same, as a board of that name may have more memory; a script sees the exit status."""
    (app.parent / "vww.whit").write_bytes(pack(public_model("vww_96_int8.tflite"), "vww").blob)
    assert main(["image", "vww.whit", "-o", "o.img", "--board", "pico"]) == 1
    text = capsys.readouterr().err
    assert re.fullmatch(
        r"whit: /vww\.whit does not load: the Pico lacks [\d,]+ bytes of heap for it; pack it with --page, .*\n", text
    )
    assert (app.parent / "o.img").exists()
