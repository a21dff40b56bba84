"""predict: real numbers in, real numbers out, rounded and saturated as TFLM's QUANTIZE does."""

import numpy as np
import pytest
from blobs import add, dense, quantize, two_outputs
from micropython import REFUSED, run


def halves():
    """-64 to 63.5 by halves: every tie of a scale of 1."""
    return np.arange(-128, 128) / 2


def away_from_zero(x):
    return np.sign(x) * np.floor(np.abs(x) + 0.5)


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
        ("[0] * 7", "takes 8 numbers (1, 8), list of 7 was given; give"),
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
