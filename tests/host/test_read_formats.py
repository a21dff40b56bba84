"""What whit cannot read ends in one sentence: other formats, broken ONNX files, operators that it does not have."""

import io
import json
import pickle
import random
import sys
import zipfile
from pathlib import Path

import numpy as np
import onnx
import pytest
from in_tflm import assert_same
from onnx import TensorProto, helper
from onnx_nets import OnnxNet, assert_reads, kinds
from whit.errors import WhitError
from whit.models import digits
from whit.pack import pack
from whit.read import read, read_file
from whit.read_onnx import read_onnx

DIGITS = (Path(digits.__file__).parent / "digits_int8.tflite").read_bytes()


def archive(*names):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as z:
        for name in names:
            z.writestr(name, b"x")
    return file.getvalue()


def small(opset=17):
    net = OnnxNet("small", opset)
    x = net.op("Conv", net.input("N", 1, 6, 6), net.random(2, 1, 3, 3), net.random(2), pads=[1] * 4)
    x = net.op("MaxPool", net.op("Relu", x), kernel_shape=[2, 2], strides=[2, 2])
    return net, net.op("Gemm", net.op("Flatten", x), net.random(3, 18), net.random(3), transB=1)


def small_bytes():
    net, y = small()
    return net.bytes(y)


def test_the_content_tells():
    assert read(DIGITS, "model.onnx").operators
    assert kinds(read(small_bytes(), "model.tflite")) == [
        "CONV_2D",
        "RELU",
        "MAX_POOL_2D",
        "RESHAPE",
        "FULLY_CONNECTED",
    ]


FORMATS = {
    "empty": (b"", r"x: an empty file; whit reads .tflite and .onnx"),
    "whit": (pack(DIGITS, "digits").blob, r"x: a packed .whit file, not a model that whit reads; give the model that"),
    "torch": (
        archive("m/data.pkl", "m/version"),
        r"x: a PyTorch checkpoint, .* export the module: whit.from_torch\(mod",
    ),
    "keras": (
        archive("config.json", "model.weights.h5"),
        r"x: a Keras model, .*; convert it: tf.lite.TFLiteConverter.fr",
    ),
    "hdf5": (
        b"\x89HDF\r\n\x1a\n" + bytes(100),
        r"x: a Keras model or weights in HDF5, .* tf.lite.TFLiteConverter.from_k",
    ),
    "saved_model": (
        b"\x08\x01\x12\x80\x10\x0a\x20" + b"\x22\x05serve" * 9,
        r"x: a TensorFlow SavedModel, .*from_saved_model",
    ),
    "pickle": (pickle.dumps({"a": 1}), r"x: a Python pickle, .*; export the estimator: skl2onnx.to_onnx"),
    "old_torch": (pickle.dumps([1], 2), r"x: a Python pickle, .*; or of PyTorch, export the module: whit.from_torch"),
    "json": (json.dumps({"model": 1}).encode(), r"x: JSON, not a model that whit reads; export from the framework"),
    "zip": (archive("a.txt"), r"x: a zip archive, not a model that whit reads; whit reads .tflite and .onnx"),
    "zipped": (archive("a/m.onnx"), r"x: a zip archive with a/m.onnx in it, .*; unpack it and give that file"),
    "cut_zip": (archive("a/m.onnx")[:40], r"x: a zip archive that is cut off, .*; copy it again"),
    "text": (
        b"hello world, this is text",
        r"x: not a TFLite or ONNX model \(it starts with b'hello wo'\); give a .tflite",
    ),
    "image": (b"\x89PNG\r\n\x1a\n" + bytes(50), r"x: not a TFLite or ONNX model"),
}


@pytest.mark.parametrize("name", FORMATS)
def test_other_formats(name):
    data, message = FORMATS[name]
    with pytest.raises(WhitError, match=message) as caught:
        read(data, "x")
    assert "\n" not in str(caught.value)


# Broken and unsupported ONNX files


def one(kind, *shapes, domain="", opset=17, outputs=1, **attributes):
    """One operator over inputs of these shapes."""
    net = OnnxNet(kind, opset)
    y = net.op(kind, *(net.input(*s) for s in shapes), domain=domain, outputs=outputs, **attributes)
    return net.bytes(*([y] if outputs == 1 else y))


def with_constant(kind, shape, *constants, opset=17, **attributes):
    net = OnnxNet(kind, opset)
    return net.bytes(net.op(kind, net.input(*shape), *(net.constant(c) for c in constants), **attributes))


def external():
    net, y = small()
    model = net.model(y)
    onnx.external_data_helper.set_external_data(model.graph.initializer[0], "weights.bin")
    model.graph.initializer[0].ClearField("raw_data")
    model.graph.initializer[0].data_location = TensorProto.EXTERNAL
    return model.SerializeToString()


def branch():
    inner = helper.make_graph(
        [helper.make_node("Identity", ["x0"], ["y"])], "b", [], [helper.make_tensor_value_info("y", 1, None)]
    )
    net = OnnxNet("branch")
    net.input(1, 3)
    return net.bytes(net.op("If", net.constant(True, bool), then_branch=inner, else_branch=inner))


def opset_of(version):
    net, y = small()
    model = net.model(y)
    model.opset_import[0].version = version
    return model.SerializeToString()


def not_finite():
    net = OnnxNet("nan")
    return net.bytes(net.op("MatMul", net.input(1, 3), net.constant(np.full((3, 2), np.nan))))


def swish():
    net = OnnxNet("swish")
    x = net.op("Relu", net.input(1, 3))
    return net.bytes(net.op("Mul", x, net.op("Sigmoid", x)))


def transposed():
    net = OnnxNet("transposed")
    x = net.op("Conv", net.input(1, 3, 6, 5), net.random(4, 3, 3, 3))
    return net.bytes(net.op("Conv", net.op("Transpose", x, perm=[0, 2, 1, 3]), net.random(2, 4, 1, 1)))


def constant_output():
    net = OnnxNet("constant")
    net.op("Relu", net.input(1, 3))
    return net.bytes(net.op("Neg", net.constant([1.0])))


def out_of_order():
    net, y = small()
    net.nodes.reverse()
    return net.bytes(y)


BROADCAST = r"adds \(1, 1\) to \(1, 4\); give both operands the same shape"
REFUSED = {
    "truncated": (
        small_bytes()[:-40],
        r"x: not an ONNX model, or one that is truncated \([\d,]+ bytes\); export or copy",
    ),
    "no_model": (b"\x08\x08\x12\x04test", r"x: not an ONNX model \(no operators in it\); give a .onnx file"),
    "external": (
        external(),
        r"its weights are in another file, 'weights.bin', which is not beside it; copy both into one folder,",
    ),
    "new_opset": (opset_of(99), r"opset 99 is not supported \(7 to \d+\); update onnx, or export with opset 17"),
    "old_opset": (opset_of(6), r"opset 6 is not supported \(7 to \d+\); convert it with onnx.version_converter, or"),
    "branch": (branch(), r"If 'n0' is control flow, which is not supported; export the model without loops and"),
    "domain": (one("Gelu", (1, 4), domain="com.microsoft"), r"Gelu 'n0' is of the domain com.microsoft, which is not"),
    "trees": (
        one("TreeEnsembleRegressor", (1, 4), domain="ai.onnx.ml"),
        r"TreeEnsembleRegressor 'n0': is not a supported",
    ),
    "unknown": (one("Cos", (1, 4)), r"Cos 'n0': is not a supported operator; supported: Add, AveragePool, Batch"),
    "concat": (
        one("Concat", (1, 4), (1, 4), axis=1),
        r"Concat 'n0': is not a supported operator; join branches by Add",
    ),
    "resize": (one("Upsample", (1, 1, 4, 4), opset=8), r"is not a supported operator; train without upsampling"),
    "lstm": (
        one("LSTM", (5, 1, 4), (1, 8, 4), (1, 8, 2), hidden_size=2),
        r"LSTM 'n0': .*; train with convolutions over",
    ),
    "prelu": (
        with_constant("PRelu", (1, 4), [0.1]),
        r"PRelu 'n0': .*; train with LeakyRelu, whose slope is one constant",
    ),
    "broadcast": (one("Add", (1, 4), (1, 1)), BROADCAST),
    "attention": (
        one("MatMul", (1, 3, 4), (1, 4, 3)),
        r"is a product without constant weights on its right; use layers",
    ),
    "gate": (one("Mul", (1, 4), (1, 4)), r"is a product of two activations; train without gates \(squeeze"),
    "swish": (
        swish(),
        r"Mul 'n2': is SiLU \(Swish\), x \* sigmoid\(x\), which is not supported; train with Hardswish or",
    ),
    "difference": (one("Sub", (1, 4), (1, 4)), r"is a difference of two activations"),
    "by_zero": (with_constant("Div", (1, 4), 0.0), r"Div 'n0': divides by 0"),
    "quotient": (one("Div", (1, 4), (1, 4)), r"Div 'n0': divides by an activation"),
    "clip": (
        one("Clip", (1, 4), opset=8, min=-2.0, max=5.0),
        r"clips to -2 to 5; whit clips to 0 to 6, from 0 on, and",
    ),
    "groups": (
        with_constant("Conv", (1, 4, 5, 5), np.ones((6, 2, 3, 3)), group=2),
        r"Conv 'n0': 2 groups over 4 channels are not supported; use groups=1, or one group per channel",
    ),
    "channels": (
        with_constant("Conv", (1, 4, 5, 5), np.ones((6, 3, 3, 3))),
        r"weights \(6, 3, 3, 3\) in 1 groups do not",
    ),
    "small_image": (
        with_constant("Conv", (1, 1, 2, 5), np.ones((6, 1, 3, 3))),
        r"kernel 3 with dilation 1 is larger than",
    ),
    "negative_pads": (
        one("MaxPool", (1, 1, 9, 9), kernel_shape=[2, 2], pads=[-1, 0, 0, 0]),
        r"pads \[-1, 0, 0, 0\] are neg",
    ),
    "ceil": (
        one("AveragePool", (1, 1, 7, 7), kernel_shape=[4, 4], strides=[4, 4], pads=[1, 1, 0, 0], ceil_mode=1),
        r"(ceil_mode makes windows that hang over the end|its padding is not TFLite's SAME)",
    ),
    "uncounted": (
        one("AveragePool", (1, 1, 8, 8), kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4),
        r"its padding is not TFLite's SAME, and is not counted; use count_include_pad=True, or no padding",
    ),
    "indices": (
        one("MaxPool", (1, 1, 8, 8), kernel_shape=[2, 2], outputs=2),
        r"has indices as an output, or dilations",
    ),
    "reflect": (
        with_constant("Pad", (1, 1, 4, 4), np.array([0] * 8), mode="reflect"),
        r"Pad 'n0': pads by mode reflect; pad with",
    ),
    "not_finite": (
        not_finite(),
        r"MatMul 'n0': its constant 'c0' is not finite \(NaN or infinite\); train the model again",
    ),
    "transposed": (
        transposed(),
        r"Conv 'n2': bringing the channels last would take moving elements in memory, a transpose",
    ),
    "dynamic": (
        one("Relu", ("N", 3, "T")),
        r"input 'x0' has the dynamic dimension 'T' \(axis 2\); export with a fixed size",
    ),
    "dynamic_unnamed": (one("Relu", (1, None)), r"input 'x0' has the dynamic dimension '\?' \(axis 1\)"),
    "no_shape": (one("Relu", ()), r"input 'x0' has no shape; export the model with a fixed input shape"),
    "constant_output": (constant_output(), r"no inputs or no outputs|is a constant or computed by no operator"),
    "names": (one("C\nnv", (1, 4)), r"x: C\?nv 'n0': is not a supported operator"),
    "out_of_order": (out_of_order(), r"Gemm 'n4': its input 'v3' is computed by no operator; export the model again"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name):
    data, message = REFUSED[name]
    with pytest.raises(WhitError, match=message) as caught:
        read_onnx(data, "x")
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 700


def test_fixed_batch():
    graph = read_onnx(with_constant("Conv", (4, 1, 5, 5), np.ones((6, 1, 3, 3))), "x")
    assert [graph.tensors[i].shape for i in graph.inputs + graph.outputs] == [(1, 5, 5, 1), (1, 3, 3, 6)]


def test_fixed_batch_that_is_no_batch():
    """Four rows in, one out: the first axis of such an input is not a batch, and is not cut to 1."""
    net = OnnxNet("rows")
    x = net.op("MatMul", net.input(4, 5), net.random(5, 3))
    y = net.op("Flatten", x, axis=0)
    graph = read_onnx(net.bytes(y, shape=(1, 12)), "rows")
    assert [graph.tensors[i].shape for i in graph.inputs + graph.outputs] == [(4, 5), (1, 12)]


def test_without_onnx(monkeypatch):
    data = small_bytes()
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(
        WhitError, match=r"^onnx, which reads ONNX models, is not installed; install the extra whit\[onnx\]"
    ):
        read(data, "x")


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("seed", range(2))
def test_mutated_files(seed):
    """500 damaged models each: every one is read or refused in one short sentence."""
    rng = random.Random(seed)
    net, _, *outputs = classifier(["a", "b", "c"])
    bases, refused = (small_bytes(), net.bytes(*outputs)), 0
    for _ in range(500):
        data = bytearray(rng.choice(bases))
        for _ in range(rng.choice((1, 1, 2, 5))):
            # The weights are most of the file, and any bytes are weights.
            at = rng.choice((rng.randrange(len(data)), rng.randrange(300), len(data) - 1 - rng.randrange(80)))
            data[at] = rng.choice((0, 1, 2, 127, 128, 255, rng.randrange(256)))
        try:
            read(bytes(data), "x.onnx")
        except WhitError as e:
            refused += 1
            assert "\n" not in str(e) and len(str(e)) < 700, str(e)
    assert 100 < refused < 500


# Classifiers


def classifier(names=None, strings=True, zipmap=True):
    """What skl2onnx makes of a scaler and a MLPClassifier: a label and probabilities."""
    net = OnnxNet("classifier")
    x = net.op(
        "Scaler", net.input("N", 4), domain="ai.onnx.ml", offset=[0.1, 0.2, 0.3, 0.4], scale=[2.0, 1.0, 0.5, 3.0]
    )
    x = net.op("Relu", net.op("Add", net.op("MatMul", net.op("Cast", x, to=1), net.random(4, 6)), net.random(1, 6)))
    scores = net.op("Softmax", net.op("Add", net.op("MatMul", x, net.random(6, 3)), net.random(1, 3)), axis=1)
    best = net.op("ArgMax", scores, axis=1)
    labels = net.op("ArrayFeatureExtractor", net.constant([7, 8, 9], np.int64), best, domain="ai.onnx.ml")
    label = net.op("Reshape", net.op("Cast", labels, to=7), net.constant([-1], np.int64))
    if names is None:
        return net, scores, label, scores
    options = dict(classlabels_strings=names) if strings else dict(classlabels_int64s=names)
    return net, scores, label, net.op("ZipMap", scores, domain="ai.onnx.ml", **options)


@pytest.mark.parametrize("names", [None, ["cat", "dog", "owl"], [3, 4, 5]])
def test_classifier(names):
    """The scores are what a board needs: the node that picks the winner is left out, its names become labels."""
    net, scores, *outputs = classifier(names, strings=names is None or isinstance(names[0], str))
    graph = read_onnx(net.bytes(*outputs), "c")
    assert kinds(graph)[-3:] == ["RELU", "FULLY_CONNECTED", "SOFTMAX"]
    assert [graph.tensors[i].name for i in graph.outputs] == [scores]
    assert graph.labels == ("7", "8", "9")


def test_winner_alone():
    net = OnnxNet("winner")
    scores = net.op("MatMul", net.input(1, 4), net.random(4, 3))
    graph = read_onnx(net.bytes(net.op("ArgMax", scores, axis=1), dtype=TensorProto.INT64), "w")
    assert [graph.tensors[i].name for i in graph.outputs] == [scores]


def test_two_classes():
    """A classifier of two classes has one score and gives (1 - p, p), joined by Concat: here a layer of two values."""
    net = OnnxNet("two_classes")
    x = net.op("Relu", net.op("MatMul", net.input(1, 4), net.random(4, 6)))
    p = net.op("Sigmoid", net.op("Add", net.op("MatMul", x, net.random(6, 1)), net.random(1)))
    graph = assert_reads(net, net.op("Concat", net.op("Sub", net.constant(1), p), p, axis=1))
    assert kinds(graph) == ["FULLY_CONNECTED", "RELU", "FULLY_CONNECTED", "LOGISTIC"]


def test_names_that_do_not_fit_are_no_labels():
    net, _, *outputs = classifier(["a", "b"])
    net.nodes = [n for n in net.nodes if n.op_type not in ("ArrayFeatureExtractor", "Reshape")]
    assert read_onnx(net.bytes(outputs[1]), "c").labels == ()


def linear(kind, post_transform, rows, **attributes):
    net = OnnxNet("linear")
    weights, bias = net.rng.normal(size=(rows, 4)), net.rng.normal(size=rows)
    attributes |= dict(coefficients=weights.ravel().tolist(), intercepts=bias.tolist(), post_transform=post_transform)
    y = net.op(
        kind, net.input("N", 4), domain="ai.onnx.ml", outputs=1 if kind == "LinearRegressor" else 2, **attributes
    )
    return net, y, weights, bias


def test_linear_regressor():
    net, y, weights, bias = linear("LinearRegressor", "NONE", 2)
    graph = read_onnx(net.bytes(y), "linear")
    assert kinds(graph) == ["FULLY_CONNECTED"]
    x = net.rng.normal(size=(1, 4)).astype(np.float32)
    assert_same(graph, [[x]], [[x @ weights.T + bias]])


@pytest.mark.parametrize("function", ["SOFTMAX", "LOGISTIC"])
def test_linear_classifier(function):
    net, (label, scores), weights, bias = linear("LinearClassifier", function, 3, classlabels_strings=["a", "b", "c"])
    scores = net.op("Normalizer", scores, domain="ai.onnx.ml", norm="L1") if function == "SOFTMAX" else scores
    scores = net.op("ZipMap", scores, domain="ai.onnx.ml", classlabels_strings=["a", "b", "c"])
    graph = read_onnx(net.bytes(net.op("Identity", label), scores), "linear")
    assert len(graph.outputs) == 1 and graph.labels == ("a", "b", "c")
    x = net.rng.normal(size=(1, 4)).astype(np.float32)
    z = x @ weights.T + bias
    expected = np.exp(z) / np.exp(z).sum() if function == "SOFTMAX" else 1 / (1 + np.exp(-z))
    assert_same(graph, [[x]], [[expected]])


def test_scaler():
    net, scores, *_ = classifier()
    net.nodes = [n for n in net.nodes if n.op_type not in ("ArrayFeatureExtractor", "ArgMax", "Reshape")][:-1]
    net.inputs[0].type.tensor_type.shape.dim[0].dim_value = 1
    assert kinds(assert_reads(net, scores))[-1] == "SOFTMAX"


def test_unused_nodes_are_left_out():
    net, y = small()
    net.op("Cos", y)
    assert "CONV_2D" in kinds(read_onnx(net.bytes(y), "x"))


def test_weights_in_a_file_beside_the_model_are_read_with_it(tmp_path, monkeypatch):
    graph = read(small_bytes(), "m.onnx")
    path = tmp_path / "m.onnx"
    onnx.save(
        onnx.load_model_from_string(small_bytes()), path, save_as_external_data=True, size_threshold=0, location="w"
    )
    assert (tmp_path / "w").exists()
    monkeypatch.chdir("/")
    assert_graphs_equal(read(read_file(path), "m.onnx"), graph)
    (tmp_path / "w").unlink()
    with pytest.raises(WhitError, match=r"^m.onnx: its weights are in another file, 'w', which is not beside it; "):
        read(read_file(path), "m.onnx")


def assert_graphs_equal(a, b):
    assert a.operators == b.operators
    for x, y in zip(a.tensors, b.tensors, strict=True):
        assert (x.name, x.shape, x.dtype) == (y.name, y.shape, y.dtype)
        assert (x.data is None and y.data is None) or np.array_equal(x.data, y.data)
