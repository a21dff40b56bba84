"""The audio front end on the PC: its features are pymicro-features' integers, and a model's input follows from them."""

import ctypes
import ctypes.util
import struct
import zlib
from dataclasses import fields, replace

import numpy as np
import pytest
import sounds
from whit import microfrontend
from whit.errors import WhitError
from whit.features import Frontend, features
from whit.frontend import Parameters, Tables, read_section, scaling, section, tables, write_section

SIGNALS = sounds.signals(4)
MODEL = 0.10196078568696976, -128, "int8"  # the input of microWakeWord's models


def libm_log1pf(x: np.ndarray) -> np.ndarray:
    log1pf = ctypes.CDLL(ctypes.util.find_library("m")).log1pf
    log1pf.argtypes, log1pf.restype = [ctypes.c_float], ctypes.c_float
    return np.array([log1pf(value) for value in x.ravel().tolist()], np.float32).reshape(x.shape)


@pytest.fixture
def system_tables(monkeypatch):
    """The tables as pymicro-features makes them here: with the libm of this system, which may not be fdlibm's."""
    monkeypatch.setattr(microfrontend, "_log1pf", libm_log1pf)


@pytest.mark.parametrize("name", SIGNALS)
def test_features_of_signals_are_the_reference_s(name, system_tables):
    assert np.array_equal(features(SIGNALS[name]), sounds.reference(SIGNALS[name]))


def test_features_of_speech_are_the_reference_s(system_tables):
    samples = sounds.speech()
    found = features(samples)
    assert len(found) > 6000  # a minute
    assert np.array_equal(found, sounds.reference(samples))


def test_features_piece_by_piece():
    samples, rng = sounds.speech()[:80000], np.random.default_rng(3)
    frontend, found, at = Frontend(), [], 0
    for _ in range(2):
        found.clear()
        at = 0
        while at < len(samples):
            size = int(rng.integers(0, 1001))
            found.append(frontend.feed(samples[at : at + size]))
            at += size
        assert np.array_equal(np.concatenate(found), features(samples))
        frontend.reset()


def test_features_of_few_samples():
    assert features(np.zeros(479, np.int16)).shape == (0, 40)
    assert features(np.zeros(480, np.int16)).shape == (1, 40)
    assert features(np.zeros(639, np.int16)).shape == (1, 40)


@pytest.mark.parametrize(
    "samples", [np.zeros(480), np.zeros((480, 1), np.int16), [0] * 480], ids=["float", "2d", "list"]
)
def test_samples_of_another_kind_are_refused(samples):
    if isinstance(samples, list):
        samples = np.array(samples)
    with pytest.raises(WhitError, match=r"^samples are .*, int16 with one axis is supported; convert them$"):
        features(samples)


# The CRC32 of sections whose tables were held against those that the C of TensorFlow's microfrontend makes with glibc
# 2.36.
SETS = {
    "default": ({}, 0x616A46B4),
    "20 ms": ({"step_ms": 20}, 0xC4CDF517),
    "8 kHz": (
        {"rate": 8000, "window_ms": 40, "channels": 20, "lower_band_limit": 80.0, "upper_band_limit": 3800.0},
        0x789A703E,
    ),
    "44.1 kHz": (
        {"rate": 44100, "window_ms": 11, "step_ms": 5, "upper_band_limit": 20000.0, "channels": 25},
        0x98A0C404,
    ),
    "odd window": ({"rate": 11111, "window_ms": 41, "step_ms": 13, "upper_band_limit": 5000.0}, 0xDF977B55),
    "wide": ({"lower_band_limit": 0.0, "upper_band_limit": 7900.0}, 0x5ED5C096),
    "one channel": ({"channels": 1, "lower_band_limit": 300.0, "upper_band_limit": 5000.0}, 0x7D5838E3),
    "slopes without a line": ({"channels": 60, "lower_band_limit": 20.0, "upper_band_limit": 7900.0}, 0x68810624),
    "smoothing": (
        {"smoothing_bits": 16, "even_smoothing": 1.0, "odd_smoothing": 0.0, "min_signal_remaining": 1.0},
        0x94370ED6,
    ),
    "no gain control": ({"enable_pcan": False, "smoothing_bits": 0}, 0xDD6797BF),
    "no logarithm": ({"enable_log": False}, 0xCF35F630),
    "much gain": ({"gain_bits": 31, "pcan_strength": 4.0, "pcan_offset": 10.0, "scale_shift": 11}, 0x9D296021),
    "little gain": ({"gain_bits": 15, "pcan_strength": 0.1, "smoothing_bits": 3}, 0xA5ADC88D),
}


@pytest.mark.parametrize("name", SETS)
def test_tables_are_those_of_the_reference(name):
    values, crc = SETS[name]
    assert zlib.crc32(section(Parameters(**values), *MODEL)) == crc


def test_the_section_s_header():
    data = section(Parameters(), *MODEL)
    assert len(data) == 3304
    assert struct.unpack_from("<I8H6B", data) == (16000, 480, 160, 40, 5, 241, 409, 983, 819, 10, 6, 6, 3, 3, data[25])


@pytest.mark.parametrize("name", SETS)
def test_a_section_is_read_as_it_was_written(name):
    t, s = tables(Parameters(**SETS[name][0])), scaling(*MODEL)
    found, scale = read_section(write_section(t, s), "m.whit")
    assert scale == s
    for field in fields(Tables):
        assert np.array_equal(getattr(found, field.name), getattr(t, field.name)), field.name
    assert np.array_equal(features(SIGNALS["chirp"], found), features(SIGNALS["chirp"], Parameters(**SETS[name][0])))


@pytest.mark.parametrize("size", [0, 35, 36, 3300, 3308])
def test_a_section_of_another_size_is_refused(size):
    data = (section(Parameters(), *MODEL) + bytes(8))[:size]
    with pytest.raises(WhitError, match=r"^m\.whit is broken: its front end has the wrong size; pack it again$"):
        read_section(data, "m.whit")


REFUSED = {
    "rate is '16000', a whole number from 1000 to 192000 is supported; correct it": {"rate": "16000"},
    "channels is 65, a whole number from 1 to 64 is supported; correct it": {"channels": 65},
    "channels is True, a whole number from 1 to 64 is supported; correct it": {"channels": True},
    "even_smoothing is 1.5, a number from 0 to 1 is supported; correct it": {"even_smoothing": 1.5},
    "odd_smoothing is nan, a number from 0 to 1 is supported; correct it": {"odd_smoothing": float("nan")},
    "pcan_offset is 0, a number from 0.001 to 1e+06 is supported; correct it": {"pcan_offset": 0},
    "enable_log is 1, true or false is supported; correct it": {"enable_log": 1},
    "window_ms 33 is 528 samples at 16000 a second, 257 to 512 are supported; choose a window of that size": {
        "window_ms": 33
    },
    "step_ms 31 is 496 samples at 16000 a second, 1 to the window's 480 are supported; choose a step of that size": {
        "step_ms": 31
    },
    "the bands reach from 125 to 8000 Hz, which must be less than half of the 16000 samples a second; choose other "
    "limits": {"upper_band_limit": 8000.0},
    "smoothing_bits is 2, gain control needs 3 at least; correct it, or set enable_pcan to false": {
        "smoothing_bits": 2
    },
}


@pytest.mark.parametrize("text", REFUSED)
def test_parameters_are_refused_in_one_sentence(text):
    with pytest.raises(WhitError) as e:
        Parameters(**REFUSED[text])
    assert str(e.value) == text


@pytest.mark.parametrize(
    "values, text",
    [
        ({"lower_band_limit": 126.0, "upper_band_limit": 127.0}, "hold no usable part of a spectrum of 257 lines"),
        ({"channels": 64, "upper_band_limit": 7900.0}, "the weights of 64 channels from 125 to 7900 Hz do not add up"),
    ],
)
def test_bands_that_give_no_tables_are_refused(values, text):
    with pytest.raises(WhitError, match=text):
        tables(Parameters(**values))


def rounded(scale: float, zero_point: int, dtype: str, feature_scale: float) -> np.ndarray:
    """What pymicro-wakeword gives a model for every feature, but saturated where its cast to int8 is undefined."""
    limits = np.iinfo(dtype)
    real = np.arange(1 << 16) * np.float64(feature_scale)
    return np.clip(np.round(real / scale + zero_point), limits.min, limits.max).astype(dtype)


@pytest.mark.parametrize(
    "scale, zero_point, dtype, feature_scale",
    [
        (*MODEL, 0.0390625),
        (0.10171568393707275, -128, "int8", 0.0390625),  # of micro_speech
        (26 / 256, -128, "int8", 0.0390625),
        (0.0390625, -128, "int8", 0.0390625),
        (0.10196078568696976, 0, "uint8", 0.0390625),
        (2.6, -128, "int8", 1.0),
        (1e9, -128, "int8", 1.0),  # none leaves the zero point
        (0.1, 127, "int8", 0.0390625),
        (0.1034, 0, "int8", 0.0390625),
    ],
)
def test_every_feature_gives_the_byte_that_the_reference_rounds_to(scale, zero_point, dtype, feature_scale):
    s = scaling(scale, zero_point, dtype, feature_scale)
    assert max(s.multiplier, s.limit) < 1 << 16
    assert s.multiplier * s.limit + s.rounding < 1 << 31
    given = s.bytes(np.arange(1 << 16).astype(np.uint16))
    assert given.dtype == dtype
    assert np.array_equal(given, rounded(scale, zero_point, dtype, feature_scale))


@pytest.mark.parametrize("seed", range(100))
def test_scales_at_random(seed):
    rng = np.random.default_rng(seed)
    dtype = ("int8", "uint8")[seed % 2]
    scale = float(np.float32(0.0390625 * rng.uniform(0.8, 3.2)))
    zero_point = int(np.iinfo(dtype).min)
    s = scaling(scale, zero_point, dtype)
    assert np.array_equal(s.bytes(np.arange(1 << 16)), rounded(scale, zero_point, dtype, 0.0390625))


@pytest.mark.parametrize("zero_point", [0, -128])
def test_a_quantization_that_the_format_cannot_hold_is_refused(zero_point):
    """Of 0.078125 every other feature is a tie, which goes up or down in turns."""
    with pytest.raises(WhitError) as e:
        scaling(0.078125, zero_point, "int8")
    assert str(e.value) == (
        f"its input has the scale 0.078125 and the zero point {zero_point}, to which features of 0.0390625 cannot be "
        "brought exactly; quantize it again with another scale, from 0.031 to 0.12"
    )


def test_an_input_without_quantization_is_refused():
    with pytest.raises(WhitError, match="its input is not quantized; quantize it"):
        scaling(0.0, 0, "int8")


def test_parameters_are_those_of_pymicro_features():
    assert Parameters() == replace(
        Parameters(),
        rate=16000,
        window_ms=30,
        step_ms=10,
        channels=40,
        lower_band_limit=125.0,
        upper_band_limit=7500.0,
        smoothing_bits=10,
        even_smoothing=0.025,
        odd_smoothing=0.06,
        min_signal_remaining=0.05,
        pcan_strength=0.95,
        pcan_offset=80.0,
        gain_bits=21,
        scale_shift=6,
    )
