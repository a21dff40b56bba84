"""Pages: layers cut by output channel, so that every step's weights fit a page and no output byte changes."""

from pathlib import Path

import nets
import numpy as np
import pytest
from programs import random_program
from whit import oracle, reference
from whit.device import opset
from whit.errors import WhitError
from whit.inspect import describe
from whit.lower import lower
from whit.models import digits
from whit.order import order
from whit.pack import pack
from whit.page import UNPACKED_BYTES, groups, least_page_bytes, page, weights_bytes
from whit.read_tflite import read_tflite

DIGITS = Path(digits.__file__).with_name("digits_int8.tflite")
LAYERS = {
    "conv2d": nets.convolution("conv2d", x=(5, 6, 7), out=30),
    "odd channels": nets.convolution("odd channels", x=(4, 4, 3), out=13, k=(2, 3), stride=(2, 1)),
    "pointwise": nets.convolution("pointwise", x=(3, 3, 24), out=40, k=(1, 1)),
    "one pixel": nets.convolution("one pixel", x=(3, 3, 8), out=21, padding=nets.VALID),
    "depthwise": nets.convolution("depthwise", x=(5, 5, 26), out=1, depthwise=True),
    "strided": nets.convolution("strided", x=(6, 5, 17), out=1, depthwise=True, stride=(2, 2), act=nets.RELU),
    "two each": nets.convolution("two each", x=(5, 4, 11), out=2, depthwise=True),
    "three each": nets.convolution("three each", x=(5, 4, 9), out=3, depthwise=True),
    "one channel": nets.convolution("one channel", x=(5, 4, 1), out=24, depthwise=True),
    "dense": nets.dense("dense", k=33, o=37),
    "rows": nets.dense("rows", k=20, o=22, rows=3),
    "int4": nets.convolution("int4", x=(5, 6, 7), out=30, weights="int4"),
    "int4 dense": nets.dense("int4 dense", k=33, o=37, weights="int4"),
}


def lowered(model, name="case"):
    return lower(read_tflite(model, name))


def sizes(program):
    """From the least page to one for the largest layer."""
    least, most = least_page_bytes(program), max(map(weights_bytes, program.steps))
    return sorted(size for size in {least, least + 16, (least + most) // 2, most - 16, most} if size >= least)


@pytest.mark.parametrize("name", LAYERS)
def test_slices_compute_what_the_layer_does(name):
    model = LAYERS[name]
    program = lowered(model, name)
    rng = np.random.default_rng(1)
    x = rng.integers(-128, 128, program.inputs[0].shape).astype(np.int8)
    expected = oracle.run(model, [x[None]], name, 1)[0][0]
    assert sizes(program)[0] < max(map(weights_bytes, program.steps)), "nothing to cut"
    for page_bytes in sizes(program):
        cut = page(program, page_bytes)
        assert all(weights_bytes(step) <= page_bytes for step in cut.steps)
        assert all(step.extents() for step in cut.steps)
        np.testing.assert_array_equal(reference.run(cut, [x])[0].reshape(-1), expected.reshape(-1), str(page_bytes))


def test_a_layer_smaller_than_its_least_slice_is_not_cut():
    """The weights of two channels take less than those of the four that a slice counts with."""
    program = lowered(nets.convolution("two channels", x=(9, 9, 2), out=1, depthwise=True, k=(7, 7)))
    least = least_page_bytes(program)
    assert least == max(map(weights_bytes, program.steps)) and page(program, least).steps == program.steps


def test_what_fits_a_page_is_not_cut():
    program = lowered(LAYERS["conv2d"])
    whole = page(program, max(map(weights_bytes, program.steps)))
    assert whole.steps == program.steps and whole.buffers == program.buffers


def test_one_row_needs_no_copy():
    program = lowered(LAYERS["dense"])
    cut = page(program, least_page_bytes(program))
    assert {step.kernel for step in cut.steps} == {"dense"} and len(cut.steps) == 10
    assert cut.buffers == program.buffers


def test_channels_are_shared_out_evenly():
    program = lowered(nets.dense("even", k=32, o=36))
    nine = page(program, 4 * least_page_bytes(program) - 16)
    assert [step.values["o"] for step in nine.steps] == [12, 12, 12]


@pytest.mark.parametrize("page_bytes", [0, 1 << 20, 3000])
def test_scratch_for_int4_weights_is_bounded(page_bytes):
    """An int4 convolution is cut where that takes less arena, with pages and without."""
    program = lowered(nets.convolution("wide", x=(3, 3, 40), out=70, weights="int4"))
    cut = page(program, page_bytes)
    layers = [step for step in cut.steps if step.kernel == "conv2d"]
    assert all(step.flags & opset.INT4 for step in layers) and sum(step.values["oc"] for step in layers) == 70
    scratch = [step.extents()["s"] - 40 * 90 for step in layers]
    assert max(scratch) <= min(UNPACKED_BYTES) < program.steps[0].extents()["s"] - 40 * 90 == 16 * 90 * 18
    assert [step.values["oc"] for step in layers] == ([12] * 5 + [10] if page_bytes == 3000 else [20, 16, 20, 14])
    x = np.random.default_rng(1).integers(-128, 128, (1, 3, 3, 40)).astype(np.int8)
    np.testing.assert_array_equal(reference.run(cut, [x])[0], reference.run(program, [x])[0])


def test_an_int4_convolution_of_more_scratch_for_four_channels_is_cut_to_these():
    cut = page(lowered(nets.convolution("deep", x=(2, 2, 260), out=9, weights="int4")))
    assert [step.values["oc"] for step in cut.steps if step.kernel == "conv2d"] == [4, 4, 1]


@pytest.mark.parametrize("page_bytes", [1, 100])
def test_a_page_that_is_too_small_is_refused(page_bytes):
    program = lowered(LAYERS["conv2d"], "conv2d")
    with pytest.raises(WhitError) as e:
        page(program, page_bytes)
    least = least_page_bytes(program)
    assert str(e.value) == f"conv2d: pages of {page_bytes} bytes are too small; its layers need at least {least}"


def test_a_table_is_not_cut():
    program = lowered(nets.unary("lookup", "LOGISTIC", y=(1 / 256, -128)))
    assert least_page_bytes(program) == 256


@pytest.mark.parametrize("name", ["kws_ref_model.tflite", "vww_96_int8.tflite"])
@pytest.mark.parametrize("page_bytes", [6000, 20000])
def test_pages_of_a_whole_model(public_model, name, page_bytes):
    """Every step's weights lie in its page, the file says so, and is hardly larger than without pages."""
    data = public_model(name)
    packed = pack(data, name, page_bytes=page_bytes)
    about = describe(packed.blob)
    runs = groups(packed.program)
    assert about["pages"] == len(runs) and about["page_bytes"] <= page_bytes
    assert [step for run in runs for step in run] == list(packed.program.steps)
    assert about["resident_bytes"] + about["weights_bytes"] <= about["blob_bytes"]
    assert len(packed.blob) < 1.03 * len(pack(data, name).blob)
    assert sum(step.macs for step in packed.program.steps) == sum(step.macs for step in pack(data).program.steps)


def test_pages_are_as_few_as_neighbours_allow():
    """No two pages in a row would fit one."""
    packed = pack(DIGITS.read_bytes(), page_bytes=1024)
    runs = groups(packed.program)
    taken = [sum(map(weights_bytes, run)) for run in runs]
    assert len(runs) > 2 and max(taken) <= 1024
    assert all(a + weights_bytes(run[0]) > 1024 for a, run in zip(taken, runs[1:], strict=False))


@pytest.mark.parametrize("seed", range(60))
def test_random_programs_compute_the_same_in_pages(seed):
    """Whatever their layers share: buffers, rows of one image, the memory of what has died."""
    program = order(random_program(seed))
    rng = np.random.default_rng(seed)
    inputs = [rng.integers(-128, 128, port.shape).astype(np.int8) for port in program.inputs]
    expected = reference.run(program, inputs)
    for page_bytes in sizes(program):
        cut = page(program, page_bytes)
        assert all(weights_bytes(step) <= page_bytes for step in cut.steps)
        for got, want in zip(reference.run(cut, inputs), expected, strict=True):
            np.testing.assert_array_equal(got, want, str(page_bytes))


def test_a_model_without_steps_has_no_pages():
    net = nets.Net("flat")
    x, y = net.activation((1, 4, 4)), net.activation((1, 16))
    net.op("RESHAPE", [x, net.constant((1, 16))], [y], NewShape=[1, 16])
    about = describe(pack(net.tflite([x], [y]), page_bytes=64).blob)
    assert about["pages"] == 0 and not about["steps"]


def test_a_file_without_pages_says_so():
    about = describe(pack(LAYERS["conv2d"]).blob)
    assert (about["pages"], about["page_bytes"]) == (0, 0) and about["resident_bytes"] == about["blob_bytes"]


def test_bounded_layers_stay_bounded():
    program = lowered(LAYERS["conv2d"])
    cut = page(program, least_page_bytes(program))
    flags = {step.flags for step in cut.steps if step.kernel == "conv2d"}
    assert flags == {program.steps[0].flags} == {opset.BOUNDED}
