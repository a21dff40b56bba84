"""Reading: what is not a model whit can take ends in one sentence, whatever the bytes."""

import io
import random
import struct
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from nets import Net, add, convolution, dense, mean, pad, pool, quantize, softmax, unary
from whit import oracle
from whit.errors import WhitError
from whit.graph import affine
from whit.models import digits
from whit.pack import pack
from whit.read_tflite import read_tflite
from whit.write_tflite import write_tflite

DIGITS = Path(digits.__file__).parent / "digits_int8.tflite"


def test_what_is_written_is_read():
    graph = read_tflite(DIGITS.read_bytes(), "digits")
    again = read_tflite(write_tflite(graph), "digits")
    assert again.operators == graph.operators
    assert (again.inputs, again.outputs) == (graph.inputs, graph.outputs)
    for a, b in zip(graph.tensors, again.tensors, strict=True):
        assert (a.name, a.shape, a.dtype) == (b.name, b.shape, b.dtype)
        assert (a.data is None) == (b.data is None)
        if a.data is not None:
            np.testing.assert_array_equal(a.data, b.data)
        if a.quantization is not None:
            np.testing.assert_array_equal(a.quantization.scale, b.quantization.scale)


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (2, 4)])
def test_int4_lies_two_to_a_byte(shape):
    net = Net("int4")
    x, y = net.activation((1, shape[1])), net.activation((1, shape[0]))
    data = np.resize(np.arange(-8, 8, dtype=np.int8), shape)
    w = net.tensor(shape, affine(0.1), "int4", data)
    net.op("FULLY_CONNECTED", [x, w], [y], FusedActivationFunction=0, WeightsFormat=0, KeepNumDims=0)
    written = net.tflite([x], [y])
    two = {(1, 1): b"\x08", (3, 5): b"\x98\xba\xdc\xfe\x10\x32\x54\x06", (2, 4): b"\x98\xba\xdc\xfe"}[shape]
    assert struct.pack("<I", len(two)) + two in written
    tensor = read_tflite(written, "int4").tensors[w]
    assert (tensor.dtype, tensor.shape, tensor.data.dtype) == ("int4", shape, np.int8)
    np.testing.assert_array_equal(tensor.data, data)
    long = written.replace(struct.pack("<I", len(two)) + two, struct.pack("<I", len(two) + 1) + two)
    with pytest.raises(WhitError, match=rf"has {len(two) + 1} bytes of data, its shape"):
        read_tflite(long, "x.tflite")


def test_int4_where_no_kernel_takes_it():
    with pytest.raises(WhitError) as e:
        pack(convolution("depthwise", depthwise=True, weights="int4"), "m")
    assert str(e.value) == "m: DEPTHWISE_CONV_2D 't2': its weights 't1' is int4; whit needs int8 weights"
    net = Net("activations")
    x, y = net.activation((1, 4), dtype="int4"), net.activation((1, 4), dtype="int4")
    net.op("RELU", [x], [y])
    with pytest.raises(WhitError) as e:
        pack(net.tflite([x], [y]), "m")
    assert str(e.value) == "m: 't0' is int4; whit runs int8: convert with full-integer int8 quantization"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", r"found an empty file"),
        (b"PK\x03\x04zip archive", r"not a TFLite model \(found b'zip ' at byte 4"),
        (b"\x1c\0\0\0TFL3", r"truncated or corrupted \(8 bytes"),
    ],
)
def test_other_files(data, message):
    with pytest.raises(WhitError, match=message):
        read_tflite(data, "x.tflite")


def test_truncated_anywhere():
    data = DIGITS.read_bytes()
    with zipfile.ZipFile(DIGITS) as archive:  # of labels, behind the model
        end = archive.infolist()[0].header_offset
    for size in range(8, end, 97):
        with pytest.raises(WhitError, match=r"truncated or corrupted"):
            read_tflite(data[:size], "x.tflite")


def test_labels_of_the_metadata():
    assert read_tflite(DIGITS.read_bytes(), "digits").labels == tuple("0123456789")


@pytest.mark.parametrize("labels", [(), ("on",), ("Straße", "a b", "c" * 300), tuple(map(str, range(1000)))])
def test_labels_are_written(labels):
    """They stand behind a model that is the same without them, for whit, for tflite-micro and in an archive."""
    graph = replace(read_tflite(DIGITS.read_bytes(), "digits"), labels=labels)
    data = write_tflite(graph)
    assert read_tflite(data, "digits").labels == labels
    assert write_tflite(graph) == data
    if labels:
        assert zipfile.ZipFile(io.BytesIO(data)).read("labels.txt").decode().splitlines() == list(labels)
    x = np.random.default_rng(0).integers(-128, 128, (4, 1, 8, 8, 1)).astype(np.int8)
    want = oracle.run(DIGITS.read_bytes(), [x], "digits", 1)[0]
    np.testing.assert_array_equal(oracle.run(data, [x], "digits", 1)[0], want)


def test_axes_are_kept():
    net = Net("axes")
    x = net.activation((1, 4, 5, 3))
    graph = replace(net.graph([x], [x]), input_axes=((0, 2, 3, 1),), output_axes=((),))
    data = write_tflite(graph)
    found = read_tflite(data, "axes")
    assert (found.input_axes, found.output_axes) == (graph.input_axes, graph.output_axes)
    assert b'"inputs":[[0,2,3,1]]' in data
    for broken in (b'"inputs":[[0,2,3,3]]', b'"inputs":[[0,2,3,"]]', b'"inputs":[0,2,3,1]  ', b'"inputs":3         '):
        with pytest.raises(WhitError, match=r"^axes: the TFLite file is truncated or corrupted"):
            read_tflite(data.replace(b'"inputs":[[0,2,3,1]]', broken), "axes")


def test_labels_named_but_missing():
    data = DIGITS.read_bytes()
    with zipfile.ZipFile(DIGITS) as archive:
        start = archive.infolist()[0].header_offset
    with pytest.raises(WhitError, match=r"names the label file labels.txt, which is not behind the model"):
        read_tflite(data[:start], "digits")


BASES = (
    DIGITS.read_bytes(),
    convolution("c", x=(5, 5, 3)),
    convolution("d", x=(5, 5, 3), out=2, depthwise=True),
    dense("f"),
    pool("p", "MAX_POOL_2D"),
    add("a"),
    softmax("s"),
    unary("t", "TANH", y=(1 / 128, 0)),
    unary("l", "LEAKY_RELU", Alpha=0.1),
    mean("m"),
    pad("pad"),
    quantize("q", "uint8", "int8"),
)
EXTREMES = (0, 1, 0xFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("seed", range(4))
def test_mutated_files(seed):
    """2,500 damaged models each: every one packs or is refused in one short sentence."""
    rng = random.Random(seed)
    refused = 0
    for _ in range(2_500):
        data = bytearray(rng.choice(BASES))
        for _ in range(rng.choice((1, 1, 2, 5))):
            at = rng.randrange(len(data) - 4) & ~3
            if rng.random() < 0.4:
                data[at : at + 4] = rng.choice((*EXTREMES, rng.randrange(1 << 32))).to_bytes(4, "little")
            else:
                data[rng.randrange(len(data))] = rng.choice((0, 1, 2, 127, 128, 255, rng.randrange(256)))
        try:
            pack(bytes(data), "x.tflite")
        except WhitError as e:
            refused += 1
            assert "\n" not in str(e) and len(str(e)) < 400, str(e)
    assert 500 < refused < 2_500


def _one_op(kind, inputs, output=(1, 4), dtype="int8", **options):
    net = Net(kind)
    sources = [net.activation(shape, dtype=dtype) for shape in inputs]
    y = net.activation(output, dtype=dtype)
    net.op(kind, sources, [y], **options)
    return net.tflite(sources, [y])


def _hybrid():
    net = Net("hybrid")
    x = net.tensor((1, 4), None, "float32")
    w = net.weights((4, 4), 0, 0.01, per_channel=False)
    y = net.tensor((1, 4), None, "float32")
    net.op("FULLY_CONNECTED", [x, w], [y], FusedActivationFunction=0)
    return net.tflite([x], [y])


def _computed_weights():
    net = Net("computed")
    x, w, y = (net.activation((4, 4)) for _ in range(3))
    net.op("FULLY_CONNECTED", [x, w], [y], FusedActivationFunction=0)
    return net.tflite([x, w], [y])


def _grouped():
    net = Net("grouped")
    x = net.activation((1, 4, 4, 8))
    w = net.weights((6, 3, 3, 4), 0, 0.01)
    y = net.activation((1, 4, 4, 6))
    net.op("CONV_2D", [x, w], [y], Padding=0, StrideH=1, StrideW=1, DilationHFactor=1, DilationWFactor=1)
    return net.tflite([x], [y])


def _batch():
    net = Net("batch")
    x, y = net.activation((4, 4, 4, 8)), net.activation((4, 2, 2, 8))
    net.op("MAX_POOL_2D", [x], [y], Padding=1, StrideH=2, StrideW=2, FilterHeight=2, FilterWidth=2)
    return net.tflite([x], [y])


def _uint8():
    net = Net("uint8")
    x, y = (net.tensor((1, 4, 4, 2), affine(0.1, 128), "uint8") for _ in range(2))
    net.op("MAX_POOL_2D", [x], [y], Padding=0, StrideH=1, StrideW=1, FilterHeight=1, FilterWidth=1)
    return net.tflite([x], [y])


REFUSED = {
    "unsupported_operator": (
        _one_op("COS", [(1, 4)]),
        r"x: COS 't1': is not a supported operator; supported: ADD, ASSIGN",
    ),
    "float": (
        _one_op("ADD", [(1, 4)] * 2, dtype="float32"),
        r"ADD 't2': 't0' is float32, so this is a float32 model; ",
    ),
    "hybrid": (
        _hybrid(),
        r"'t0' is float32, so this is a hybrid model \(int8 weights, float32 activations\); whit runs",
    ),
    "int16": (_one_op("RELU", [(1, 4)], dtype="int16"), r"'t0' is int16; whit runs int8: convert with full-integer"),
    "uint8": (_uint8(), r"'t0' is uint8; whit runs int8"),
    "broadcast": (_one_op("ADD", [(1, 4), (1, 1)]), r"ADD 't2': of \(1, 4\) and \(1, 1\) is not supported; give both"),
    "computed_weights": (_computed_weights(), r"its weights 't1' is computed at run time; whit needs constant weights"),
    "groups": (_grouped(), r"weights \(6, 3, 3, 4\) over 8 channels \(2 groups\) are not supported; use groups=1"),
    "batch": (
        _batch(),
        r"has the shape \(4, 4, 4, 8\), whit needs \(1, height, width, channels\); export the model with",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name):
    model, message = REFUSED[name]
    with pytest.raises(WhitError, match=message):
        pack(model, "x")
