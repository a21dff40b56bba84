"""run, steps, profile, summary, selftest: what a loaded model does."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from blobs import add, dense, digits, find, two_outputs, with_byte
from micropython import REFUSED, run
from whit.device import format as blob
from whit.inspect import describe
from whit.simulate import KERNEL_SETS

ALLOCATED = Path(__file__).with_name("allocated.py").read_bytes()
MODELS = {"digits": digits, "dense": dense, "add": add, "two_outputs": two_outputs}


@pytest.mark.parametrize("kernels", KERNEL_SETS)
@pytest.mark.parametrize("model", MODELS)
def test_a_hundred_runs_allocate_nothing(model, kernels):
    run(
        f"""
        import whit
        from allocated import allocated
        from array import array
        m = whit.load("m.whit", kernels="{kernels}")

        def only(buffers):
            return buffers[0] if len(buffers) == 1 else buffers

        assert allocated(m, None, None) == 0
        for make in bytearray, lambda n: array("b", bytes(n)):
            xs = tuple([make(t.size) for t in m.inputs])
            ys = tuple([make(t.size) for t in m.outputs])
            assert allocated(m, xs, ys) == 0
            assert allocated(m, only(xs), only(ys)) == 0
            assert allocated(m, xs, None) == 0 and allocated(m, None, ys) == 0
        """,
        {"m.whit": MODELS[model](), "allocated.py": ALLOCATED},
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
        ("(bytes(8), bytes(8))", "has 1 inputs, a list or tuple of 2 was given; give"),
        ("()", "has 1 inputs, a list or tuple of 0 was given; give"),
        ("None, (bytearray(4), bytearray(4))", "has 1 outputs, a list or tuple of 2 was given; give"),
        ("'abcdefgh'", "str of 8 was given"),
    ],
)
def test_run_refuses_a_buffer_that_does_not_fit(arguments, words):
    script = REFUSED + f"from array import array\nprint(refused(m.run, {arguments}))"
    assert words in run(script, {"m.whit": dense()})


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
        *(f"{count} {kernel}" for kernel, count in Counter(step["kernel"] for step in about["steps"]).items()),
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


def test_selftest_notices_most_changes():
    """It hears of every step, also behind a softmax that saturates. The rest are low bits that change no byte, and
    entries of the softmax table that no score of the self-test reads.
    """
    script = """
    import struct
    import whit
    from binascii import crc32
    from whit import check
    data = bytearray(open("m.whit", "rb").read())
    at, length = check.check("m.whit", memoryview(data))[1][3]
    tried = missed = 0
    for i in range(at, at + length, 7):
        data[i] ^= 0x10
        struct.pack_into("<I", data, 4, crc32(memoryview(data)[8:]))
        tried += 1
        missed += whit.load(data).selftest()
        data[i] ^= 0x10
    print(tried, missed)
    """
    tried, missed = map(int, run(script, {"m.whit": digits()}).split())
    assert tried > 500 and missed < tried * 0.35
