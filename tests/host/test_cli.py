"""The command line as a user meets it: what it prints, what it writes, and one sentence for every mistake."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from nets import Net
from whit.cli import COMMANDS
from whit.models import digits

DIGITS = Path(digits.__file__).parent / "digits_int8.tflite"


def whit(*arguments, cwd=None) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "whit.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd)


def refused(*arguments, cwd=None) -> str:
    """The one line a mistake ends in; exit status 2, nothing on standard output, no traceback."""
    done = whit(*arguments, cwd=cwd)
    assert done.returncode == 2, done
    assert not done.stdout
    lines = done.stderr.splitlines()
    assert len(lines) == 1 and lines[0].startswith("whit: "), done.stderr
    return lines[0]


@pytest.fixture(scope="module")
def blob(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("cli") / "digits.whit"
    assert whit("pack", DIGITS, "-o", path).returncode == 0
    return path


@pytest.fixture(scope="module")
def vectors():
    with np.load(DIGITS.with_name("vectors.npz")) as stored:
        return dict(stored)


def test_help():
    top = whit("--help").stdout
    for command in COMMANDS:
        assert f"    {command} " in top
        done = whit(command, "--help")
        assert done.returncode == 0 and done.stdout.startswith(f"usage: whit {command}")


def test_pack_says_what_a_board_needs(tmp_path):
    done = whit("pack", DIGITS, "-o", tmp_path / "d.whit")
    size = (tmp_path / "d.whit").stat().st_size
    assert done.returncode == 0
    for text in (
        f"{size:,} bytes",
        "arena",
        "largest heap block",
        "conv2d depthwise dense average_pool max_pool softmax",
    ):
        assert text in done.stdout
    assert [p.name for p in tmp_path.iterdir()] == ["d.whit"]


def test_pack_reports_what_each_step_needs(tmp_path):
    lines = whit("pack", DIGITS, "-o", tmp_path / "d.whit", "--report").stdout.splitlines()
    facts = {" ".join(line.split()[:-2]): line.split()[-2] for line in lines if line.endswith(" bytes")}
    assert facts["arena"] == facts["arena at least"]
    start = next(i for i, line in enumerate(lines) if line.split()[:2] == ["kernel", "alive"]) + 1
    rows = [line.split() for line in lines[start:]]
    needs = [[int(n.replace(",", "")) for n in row[-4:]] for row in rows]
    assert all(alive - overlap + scratch == total for alive, overlap, scratch, total in needs)
    peak = next(line for line in lines if line.startswith("peak step")).split()
    assert rows[int(peak[2])][1] == peak[3].strip("()")
    assert needs[int(peak[2])][3] == max(total for *_, total in needs) == int(facts["arena"].replace(",", ""))


def test_pack_names_the_output_after_the_model(tmp_path):
    (tmp_path / "m.tflite").write_bytes(DIGITS.read_bytes())
    assert whit("pack", "m.tflite", cwd=tmp_path).returncode == 0
    assert (tmp_path / "m.whit").exists()


def test_pack_with_labels_of_the_user(tmp_path):
    names = ["null", "[/eins]", "[red]zwei", *"abcdefg"]  # what a terminal library might take for markup
    (tmp_path / "names.txt").write_text("\ufeff" + "\n".join(names) + "\n\n")
    whit("pack", DIGITS, "-o", tmp_path / "d.whit", "--labels", tmp_path / "names.txt")
    assert json.loads(whit("inspect", tmp_path / "d.whit", "--json").stdout)["labels"] == names
    assert ", ".join(names) in whit("inspect", tmp_path / "d.whit").stdout
    (tmp_path / "names.txt").write_text("one\ntwo\n")
    refusal = refused("pack", DIGITS, "-o", tmp_path / "e.whit", "--labels", tmp_path / "names.txt")
    assert "2 labels for outputs of [10] values; give one name per value" in refusal


def test_what_is_not_a_regular_file_stays_what_it_is(tmp_path):
    (tmp_path / "real.whit").write_bytes(b"old")
    (tmp_path / "link.whit").symlink_to("real.whit")
    assert whit("pack", DIGITS, "-o", tmp_path / "link.whit").returncode == 0
    assert (tmp_path / "link.whit").is_symlink() and (tmp_path / "real.whit").stat().st_size > 1000
    os.mkfifo(tmp_path / "pipe")
    with subprocess.Popen(["cat", tmp_path / "pipe"], stdout=subprocess.PIPE) as reader:
        assert whit("pack", DIGITS, "-o", tmp_path / "pipe").returncode in (0, 2)  # a pipe cannot be read back
        assert reader.stdout is not None and reader.stdout.read(4) == b"WHIT"
    assert (tmp_path / "pipe").is_fifo()


def test_output_that_cannot_be_written(blob):
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([sys.executable, "-m", "whit.cli", "inspect", blob], stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 2 and done.stderr.startswith(b"whit: the output cannot be written (No space left")
    assert done.stderr.count(b"\n") == 1


def test_inspect(blob):
    text = whit("inspect", blob).stdout
    assert "arena bytes" in text and "average_pool" in text
    about = json.loads(whit("inspect", blob, "--json").stdout)
    assert about["blob_bytes"] == blob.stat().st_size > about["weights_bytes"]
    assert about["inputs"][0]["shape"] == [1, 8, 8, 1] and about["outputs"][0]["zero_point"] == -128
    assert [s["kernel"] for s in about["steps"]][-2:] == ["dense", "softmax"]
    assert {"arena_bytes", "kernels", "labels", "largest_block_bytes"} <= set(about)


@pytest.mark.parametrize("kernels", ["native", "viper"])
def test_run_on_quantized_values(blob, vectors, tmp_path, kernels):
    scale = np.float32(json.loads(whit("inspect", blob, "--json").stdout)["inputs"][0]["scale"])
    x = np.trunc(vectors["inputs"][:5].astype(np.float32) / scale + np.float32(0.5)) - 128
    np.save(tmp_path / "x.npy", x.astype(np.int64))
    done = whit("run", blob, tmp_path / "x.npy", "-o", tmp_path / "y.npy", "--kernels", kernels)
    assert done.returncode == 0, done
    y = np.load(tmp_path / "y.npy")
    assert y.dtype == np.int8
    np.testing.assert_array_equal(y, vectors["outputs"][:5])


def test_run_on_real_values(blob, vectors, tmp_path):
    np.save(tmp_path / "x.npy", vectors["inputs"][:12].astype(np.float64))
    whit("run", blob, tmp_path / "x.npy", "-o", tmp_path / "y.npy")
    y = np.load(tmp_path / "y.npy")
    assert y.dtype == np.float32
    np.testing.assert_array_equal(y * 256 - 128, vectors["outputs"][:12])
    shown = whit("run", blob, tmp_path / "x.npy").stdout
    assert f"  {vectors['outputs'][0].argmax()}\n" in shown and "and 2 more" in shown


def test_run_in_a_small_heap(blob, tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((1, 64), np.int8))
    assert whit("run", blob, tmp_path / "x.npy", "--heap", "100k").returncode == 0
    assert "heap" in refused("run", blob, tmp_path / "x.npy", "--heap", "24k")


def test_run_with_several_inputs_and_outputs(tmp_path):
    net = Net("several")
    a, b, total = (net.activation((1, 6)) for _ in range(3))
    net.op("ADD", [a, b], [total], FusedActivationFunction=0)
    relu = net.activation((1, 6))
    net.op("RELU", [total], [relu])
    (tmp_path / "m.tflite").write_bytes(net.tflite([a, b], [total, relu]))
    whit("pack", "m.tflite", cwd=tmp_path)
    for name in "ab":
        np.save(tmp_path / f"{name}.npy", np.array([[-3, -2, -1, 1, 2, 3]], np.int8))
    done = whit("run", "m.whit", "a.npy", "b.npy", "-o", "t.npy", "-o", "r.npy", cwd=tmp_path)
    assert done.returncode == 0, done
    assert np.load(tmp_path / "t.npy").tolist() == [[-6, -4, -2, 2, 4, 6]]
    assert np.load(tmp_path / "r.npy").tolist() == [[0, 0, 0, 2, 4, 6]]
    assert "2 outputs, 1 files were named" in refused("run", "m.whit", "a.npy", "b.npy", "-o", "t.npy", cwd=tmp_path)
    assert "the model has 2 inputs, 1 were given" in refused("run", "m.whit", "a.npy", cwd=tmp_path)


def test_verify():
    done = whit("verify", DIGITS, "--samples", 3, "--seed", 4)
    assert done.returncode == 0
    rows = {line.split()[0]: line.split()[1:] for line in done.stdout.splitlines() if line.split()}
    assert rows["native"] == rows["viper"] == ["6", "60", "0"]


def test_demo():
    done = whit("demo")
    assert done.returncode == 0
    assert "every score equals TensorFlow Lite Micro's" in done.stdout
    assert "359 of 360 unseen digits" in done.stdout


def test_mistakes_with_models(tmp_path):
    (tmp_path / "text.tflite").write_text("not a model at all")
    (tmp_path / "cut.tflite").write_bytes(DIGITS.read_bytes()[:5000])
    assert "nothing.tflite: cannot be read (No such file" in refused("pack", tmp_path / "nothing.tflite")
    assert "not a TFLite or ONNX model" in refused("pack", tmp_path / "text.tflite")
    assert "truncated or corrupted (5,000 bytes" in refused("pack", tmp_path / "cut.tflite")
    assert "not a TFLite or ONNX model" in refused("verify", tmp_path / "text.tflite")
    assert "cannot be written" in refused("pack", DIGITS, "-o", tmp_path / "no/such/folder/x.whit")
    assert "not a text file" in refused("pack", DIGITS, "-o", tmp_path / "x.whit", "--labels", DIGITS)
    assert "give 0 to 10000 samples" in refused("verify", DIGITS, "--samples", "-1")
    assert "give 0 to 10000 samples" in refused("verify", DIGITS, "--samples", "100000000")
    assert "cannot be written" in refused("pack", DIGITS, "-o", "")
    assert not list(tmp_path.glob("*.whit")) and not list(tmp_path.glob("*.part"))


def test_mistakes_with_blobs(blob, tmp_path):
    data = blob.read_bytes()
    for name, damaged, message in (
        ("cut", data[:1000], "is truncated: 1000 bytes, its header says"),
        (
            "flipped",
            data[:2000] + bytes([data[2000] ^ 1]) + data[2001:],
            "is corrupted: the CRC32 does not match; copy",
        ),
        ("bumped", data[:8] + b"\x03" + data[9:], "has format 3.1, this whit reads 1.x-2.x; update whit"),
        ("other", b"GIF89a" + data[6:], "is not a .whit file; make one with: whit pack"),
        ("empty", b"", "is not a .whit file"),
    ):
        path = tmp_path / f"{name}.whit"
        path.write_bytes(damaged)
        np.save(tmp_path / "x.npy", np.zeros((1, 64), np.int8))
        assert message in refused("inspect", path)
        assert message in refused("run", path, tmp_path / "x.npy")


def test_mistakes_with_arrays(blob, tmp_path):
    x = tmp_path / "x.npy"
    for array, message in (
        (np.zeros((2, 63), np.int8), "takes 64 values a sample (1, 8, 8, 1), the array is (2, 63)"),
        (np.zeros((0, 64), np.int8), "the array is (0, 64)"),
        (np.full((1, 64), 128), "is int8, the array holds 128 to 128; give quantized values, or floats"),
        (np.zeros((1, 64), complex), "inputs of complex128 are not supported"),
        (np.full((1, 64), np.nan), "digits.whit: sample 0: "),
    ):
        np.save(x, array)
        assert message in refused("run", blob, x)
    x.write_bytes(b"no array")
    assert "not a .npy file" in refused("run", blob, x)
    np.savez(tmp_path / "x.npz", np.zeros(3))
    assert "(.npz); save one array" in refused("run", blob, tmp_path / "x.npz")
    np.save(x, np.array([{"a": 1}]))
    assert "not a .npy file" in refused("run", blob, x)


def test_mistakes_on_the_command_line(blob):
    for arguments in (
        ["frobnicate"],
        [],
        ["run", blob, "x.npy", "--heap", "lots"],
        ["run", blob, "x.npy", "--heap", "1k"],
        ["run", blob, "--kernels", "gpu"],
    ):
        done = whit(*arguments)
        assert done.returncode == 2 and "usage: whit" in done.stderr and "Traceback" not in done.stderr


def test_no_output_takes_the_place_of_its_input(tmp_path, blob):
    model, packed, x = tmp_path / "m.tflite", tmp_path / "m.whit", tmp_path / "x.npy"
    model.write_bytes(DIGITS.read_bytes())
    packed.write_bytes(blob.read_bytes())
    np.save(x, np.zeros((1, 64), np.int8))
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    for arguments in (
        ("pack", model, "-o", model),
        ("image", model, "-o", tmp_path / "." / "m.tflite", "--board", "pico"),
        ("run", packed, x, "-o", packed),
        ("run", packed, x, "-o", x),
    ):
        assert "is what is read; give the output another name" in refused(*arguments)
        assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_file_of_labels_without_any(tmp_path):
    (tmp_path / "labels.txt").write_text("\n \n")
    assert "holds no names; " in refused("pack", DIGITS, "-o", tmp_path / "m.whit", "--labels", tmp_path / "labels.txt")
