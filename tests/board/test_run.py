"""run, predict, steps, profile, summary, selftest: what a loaded model does."""

import numpy as np
import pytest
from blobs import add, dense, digits, find, quantize, two_outputs, with_byte
from micropython import run
from whit.device import format as blob
from whit.inspect import describe
from whit.simulate import KERNEL_SETS

MODELS = {"digits": digits, "dense": dense, "add": add, "two_outputs": two_outputs}

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


def halves():
    """-64 to 63.5 by halves: every tie of a scale of 1."""
    return np.arange(-128, 128) / 2


def away_from_zero(x):
    return np.sign(x) * np.floor(np.abs(x) + 0.5)


# run


@pytest.mark.parametrize("kernels", KERNEL_SETS)
@pytest.mark.parametrize("model", MODELS)
def test_a_hundred_runs_allocate_nothing(model, kernels):
    run(
        f"""
        import gc, whit
        from array import array
        m = whit.load("m.whit", kernels="{kernels}")

        def allocated(x, y):
            m.run(x, y)
            gc.collect()
            gc.disable()
            before = gc.mem_alloc()
            for _ in range(100):
                m.run(x, y)
            after = gc.mem_alloc()
            gc.enable()
            return after - before

        def only(buffers):
            return buffers[0] if len(buffers) == 1 else buffers

        assert allocated(None, None) == 0
        for make in bytearray, lambda n: array("b", bytes(n)):
            xs = tuple([make(t.size) for t in m.inputs])
            ys = tuple([make(t.size) for t in m.outputs])
            assert allocated(xs, ys) == 0
            assert allocated(only(xs), only(ys)) == 0
            assert allocated(xs, None) == 0 and allocated(None, ys) == 0
        """,
        {"m.whit": MODELS[model]()},
    )


def test_run_copies_in_and_out_or_leaves_the_arena_to_the_caller():
    run(
        """
        import whit
        from array import array
        m = whit.load("m.whit")
        x = bytes(range(8))
        y = bytearray(4)
        m.run(x, y)
        signed = array("b", bytes(4))
        m.run(array("b", x), signed)
        assert bytes(signed) == y
        m.inputs[0].data[:] = x
        m.run()
        assert m.outputs[0].data == y
        m.run((x,), (signed,))
        m.run([x], [signed])
        assert bytes(signed) == y
        """,
        {"m.whit": dense()},
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("bytes(7)", "takes 8 bytes of int8, bytes of 7 was given; use a bytearray"),
        ("bytes(9)", "bytes of 9"),
        ("None, bytearray(3)", "takes 4 bytes of int8, bytearray of 3"),
        ("None, bytes(4)", "bytes of 4 was given; use a bytearray"),
        ("5", "int was given"),
        ("array('f', [0] * 8)", "array of 8 was given"),
        ("array('h', [0] * 8)", "array of 8 was given"),
        ("(bytes(8), bytes(8))", "has 1 inputs, 2 buffers were given; give"),
        ("()", "has 1 inputs, 0 buffers were given; give"),
        ("None, (bytearray(4), bytearray(4))", "has 1 outputs, 2 buffers were given; give"),
        ("'abcdefgh'", "str of 8 was given"),
    ],
)
def test_run_refuses_a_buffer_that_does_not_fit(arguments, words):
    script = REFUSED + f"from array import array\nprint(refused(m.run, {arguments}))"
    assert words in run(script, {"m.whit": dense()})


# predict


def test_every_kind_of_sequence_gives_the_same_answer():
    run(
        """
        import whit
        from array import array
        m = whit.load("m.whit")
        x = [3, -1, 4, 1, -5, 2, 6, 0]
        expected = list(m.predict(x))
        for same in (
            tuple(x), [float(v) for v in x], [x], [[x[:4], x[4:]]], [tuple(x[:2]), x[2:]], [array("b", x)],
            array("b", x), array("h", x), array("f", x), array("d", x), memoryview(array("b", x)),
            memoryview(array("f", x)),
        ):
            assert list(m.predict(same)) == expected, same
        positive = [abs(v) for v in x]
        expected = list(m.predict(positive))
        for same in bytes(positive), bytearray(positive), memoryview(bytes(positive)), array("H", positive):
            assert list(m.predict(same)) == expected, same
        """,
        {"m.whit": dense()},
    )


@pytest.mark.parametrize("zero_point", [0, 5, -128])
def test_predict_rounds_ties_away_from_zero(zero_point):
    output = run(
        """
        import whit
        m = whit.load("m.whit")
        print(list(m.predict([i / 2 for i in range(-128, 128)])))
        """,
        {"m.whit": quantize("int8", "int8", (1.0, zero_point), (1.0, zero_point))},
    )
    expected = np.clip(away_from_zero(halves()), -128 - zero_point, 127 - zero_point)
    np.testing.assert_array_equal(eval(output), expected)


def test_predict_divides_in_float32():
    rng = np.random.default_rng(1)
    scale = np.float32(0.05)
    ties = np.float32(scale * (np.arange(-64, 64) + np.float32(0.5)))
    x = np.concatenate([ties, rng.uniform(-7, 7, 128).astype(np.float32)])
    output = run(
        """
        import whit
        from array import array
        m = whit.load("m.whit")
        with open("x", "rb") as f:
            m.predict(array("f", f.read()))
        print(list(m.outputs[0].data))
        """,
        {"m.whit": quantize("int8", "int8", (0.05, 0), (0.05, 0)), "x": x.tobytes()},
    )
    expected = np.clip(away_from_zero(x / scale), -128, 127).astype(np.int8)
    np.testing.assert_array_equal(np.array(eval(output), np.uint8).view(np.int8), expected)


@pytest.mark.parametrize(
    ("dtype", "zero_point", "low", "high"), [("int8", -3, -128, 127), ("int8", 127, -128, 127), ("uint8", 97, 0, 255)]
)
def test_predict_saturates_what_leaves_the_range(dtype, zero_point, low, high):
    run(
        f"""
        import whit
        m = whit.load("m.whit")
        inf = float("inf")
        big = [inf, 1e38, 1e30, 70000.5, 65536, 300]
        y = m.predict(big + [-v for v in big] + [0] * 244)
        assert list(y[:6]) == [{high - zero_point}] * 6, y[:6]
        assert list(y[6:12]) == [{low - zero_point}] * 6, y[6:12]
        assert set(y[12:]) == {{0.0}}
        """,
        {"m.whit": quantize(dtype, "int8", (1.0, zero_point), (1.0, zero_point - (128 if dtype == "uint8" else 0)))},
    )


@pytest.mark.parametrize(("source", "target"), [("uint8", "int8"), ("int8", "uint8")])
def test_unsigned_inputs_and_outputs_carry_the_same_values(source, target):
    zero_points = {"int8": -28, "uint8": 100}
    run(
        f"""
        import whit
        m = whit.load("m.whit")
        assert (m.inputs[0].dtype, m.outputs[0].dtype) == ("{source}", "{target}")
        assert list(m.predict(list(range(-100, 156)))) == list(range(-100, 156))
        raw = bytearray(256)
        m.run(bytes(range(256)), raw)
        assert raw == bytes([i ^ 128 for i in range(256)])
        """,
        {"m.whit": quantize(source, target, (1.0, zero_points[source]), (1.0, zero_points[target]))},
    )


def test_predict_returns_float_arrays_one_for_each_output():
    run(
        """
        import whit
        from array import array
        y = whit.load("m.whit").predict([0] * 8)
        assert isinstance(y, array) and len(y) == 4 and str(y).startswith("array('f'")
        ys = whit.load("n.whit").predict([0] * 256)
        assert isinstance(ys, list) and [len(y) for y in ys] == [256, 256]
        assert all([str(y).startswith("array('f'") for y in ys])
        assert set(ys[0]) == {0.5} and set(ys[1]) == {0.0}
        """,
        {"m.whit": dense(), "n.whit": two_outputs()},
    )


def test_predict_takes_one_argument_for_each_input():
    run(
        """
        import whit
        m = whit.load("m.whit")
        y = m.predict([1] * 45, [2] * 45)
        assert all([abs(v - 3) < 0.06 for v in y]), y
        """,
        {"m.whit": add()},
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("[0] * 7", "takes 8 numbers ((1, 8)), list of 7 was given; give"),
        ("[0] * 9", "list of 9 was given"),
        ("[[0] * 4, [0] * 5]", "takes 8 numbers"),
        ("[]", "list of 0 was given"),
        ("5", "int was given"),
        ("None", "NoneType was given"),
        ("['a'] * 8", "takes 8 numbers"),
        ("[None] * 8", "takes 8 numbers"),
        ("[0] * 3 + [float('nan')] + [0] * 4", "element 3 is not a number"),
        ("[float('inf') - float('inf')] * 8", "element 0 is not a number"),
        ("", "has 1 inputs, predict() was given 0; give one argument each"),
        ("[0] * 8, [0] * 8", "has 1 inputs, predict() was given 2; give"),
    ],
)
def test_predict_refuses_what_is_not_its_numbers(arguments, words):
    assert words in run(REFUSED + f"print(refused(m.predict, {arguments}))", {"m.whit": dense()})


def test_a_refused_argument_leaves_the_model_usable():
    run(
        """
        import whit
        m = whit.load("m.whit")
        expected = list(m.predict(list(range(8))))
        for wrong in [0] * 7, [float("nan")] * 8, None:
            try:
                m.predict(wrong)
                assert False
            except ValueError:
                pass
        assert list(m.predict(list(range(8)))) == expected
        """,
        {"m.whit": dense()},
    )


# steps, profile, summary, selftest, labels


@pytest.mark.parametrize("kernels", KERNEL_SETS)
def test_steps_yields_a_number_per_step_and_ends_where_run_does(kernels):
    count = len(describe(digits())["steps"])
    run(
        f"""
        import whit
        m = whit.load("m.whit", kernels="{kernels}")
        x = bytes([i * 29 & 255 for i in range(64)])
        y = bytearray(10)
        m.run(x, y)
        m.inputs[0].data[:] = x
        assert list(m.steps()) == list(range({count}))
        assert m.outputs[0].data == y
        """,
        {"m.whit": digits()},
    )


def test_profile_names_each_kernel_in_order():
    output = run(
        """
        import whit
        for name, us in whit.load("m.whit").profile():
            assert isinstance(us, int) and us >= 0
            print(name)
        """,
        {"m.whit": digits()},
    )
    assert output.split() == [step["kernel"] for step in describe(digits())["steps"]]


def test_summary_says_what_the_model_is_and_needs():
    output = run('import whit\nwhit.load("m.whit").summary()', {"m.whit": digits()})
    about = describe(digits())
    for words in (
        f"m.whit: {len(digits())} bytes",
        f"arena {about['arena_bytes']} bytes",
        about["inputs"][0]["name"],
        about["outputs"][0]["name"],
        "labels 0, 1, 2, 3, 4, 5, 6, 7, 8, 9",
        " ".join(step["kernel"] for step in about["steps"]),
    ):
        assert words in output


@pytest.mark.parametrize("kernels", KERNEL_SETS)
@pytest.mark.parametrize("model", MODELS)
def test_the_selftest_passes_on_a_good_file(model, kernels):
    run(
        f"""
        import whit
        m = whit.load("m.whit", kernels="{kernels}")
        assert m.selftest() is True
        m.run(tuple([bytes(t.size) for t in m.inputs]))
        assert m.selftest() is True
        """,
        {"m.whit": MODELS[model]()},
    )


@pytest.mark.parametrize("kernels", KERNEL_SETS)
def test_the_selftest_fails_on_a_changed_weight(kernels):
    data = dense()
    at = find(data, blob.WEIGHTS)[0] + describe(data)["steps"][0]["fields"]["w"]
    run(
        f"""
        import whit
        assert whit.load("m.whit", kernels="{kernels}").selftest() is False
        """,
        {"m.whit": with_byte(data, at, data[at] ^ 0x80)},
    )


def test_labels_are_those_of_the_models_metadata():
    run(
        """
        import whit
        assert whit.load("m.whit").labels == [str(i) for i in range(10)]
        assert whit.load("n.whit").labels == []
        """,
        {"m.whit": digits(), "n.whit": dense()},
    )


def test_inputs_and_outputs_describe_themselves():
    about = describe(add())
    output = run(
        """
        import whit
        m = whit.load("m.whit")
        for t in m.inputs + m.outputs:
            print((t.name, list(t.shape), t.dtype, t.scale, t.zero_point, t.size, len(t.data)))
        """,
        {"m.whit": add()},
    )
    for line, port in zip(output.splitlines(), about["inputs"] + about["outputs"], strict=True):
        name, shape, dtype, scale, zero_point, size, length = eval(line)
        assert (name, shape, dtype, zero_point) == (port["name"], port["shape"], port["dtype"], port["zero_point"])
        assert scale == pytest.approx(port["scale"]) and size == length == np.prod(shape)
