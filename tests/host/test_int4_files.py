"""int4 weights in files: their layout, the version that says so, and what inspect and bench show."""

import nets
import numpy as np
import pytest
from whit import cmsis_nn, layout
from whit.bench import bench
from whit.cli import main
from whit.device import opset
from whit.emulate import CORES
from whit.inspect import describe
from whit.pack import pack

CONV = dict(x=(6, 6, 8), out=12)


def files(make, **options) -> tuple[bytes, bytes]:
    """The same layer with int8 and int4 weights."""
    return tuple(pack(make("layer", weights=dtype, **options)).blob for dtype in ("int8", "int4"))


@pytest.mark.parametrize("shape", [(1, 1), (4, 4), (3, 9), (6, 6), (9, 13)])
def test_blocks_are_read_as_they_were_written(shape):
    weights = np.random.default_rng(1).integers(-8, 8, shape).astype(np.int8)
    blocks = layout.int4_blocks(weights)
    assert len(blocks) == opset.quad_bytes(*shape) // 2
    np.testing.assert_array_equal(layout.read_int4_blocks(blocks, *shape), weights)


def test_a_block_of_the_format_page():
    weights = np.array([[-8, 7, 0, 1], [-7, 6, -1, 2], [3, 3, 3, 3], [-8, -8, 7, 7]], np.int8)
    assert layout.int4_blocks(weights) == bytes([0x10, 0xEF, 0x78, 0xA9, 0x0B, 0x0B, 0xFB, 0xFB])
    assert layout.int4_blocks(weights[:1, :1]) == bytes([0x80]) + 7 * bytes([0x88])


@pytest.mark.parametrize(("make", "options"), [(nets.convolution, CONV), (nets.dense, dict(k=64, o=32))])
def test_half_the_weights(make, options):
    int8, int4 = map(describe, files(make, **options))
    (step,) = int4["steps"]
    assert step["fields"]["flags"] == opset.INT4 | opset.BOUNDED
    saved = {nets.convolution: 12 * 72 // 2, nets.dense: 64 * 32 // 2}[make]
    assert int8["weights_bytes"] - int4["weights_bytes"] == saved
    assert int4["format"] == "2.0" and int8["format"] == "1.1"


def test_a_file_without_int4_weights_is_one_that_older_readers_take():
    int8, int4 = files(nets.dense)
    assert (int8[8:10], int4[8:10]) == (bytes((1, 1)), bytes((2, 0)))


def test_inspect_and_bench_say_so(tmp_path, capsys):
    (tmp_path / "m.whit").write_bytes(files(nets.convolution, **CONV)[1])
    assert main(["inspect", str(tmp_path / "m.whit")]) == 0
    assert "conv2d int4" in capsys.readouterr().out


def test_no_figure_of_cmsis_nn_is_for_int4_weights():
    int8, int4 = files(nets.dense, k=640, o=128)
    core = next(c for c in CORES if c.name == "m4")
    reports = [bench(data, "m", core) for data in (int8, int4)]
    assert [report.layers[0].shape for report in reports] == ["640 -> 128", "640 -> 128, int4"]
    assert reports[0].layers[0].cmsis_nn and reports[1].layers[0].cmsis_nn is None
    assert reports[1].cmsis_nn is None
    assert cmsis_nn.layer("dense", {"k": 640, "o": 128, "flags": opset.BOUNDED})
