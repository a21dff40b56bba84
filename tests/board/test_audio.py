"""whit.audio.Frontend under MicroPython: TensorFlow's features, value for value, with native and viper kernels."""

from __future__ import annotations

import random
import re

import numpy as np
import pytest
from installed import AUDIO, NATIVE
from micropython import run
from sounds import reference, signals, speech
from whit import features, frontend
from whit.simulate import KERNEL_SETS

SCALING = frontend.scaling(26 / 255, -128, "int8")
SECTION = frontend.write_section(frontend.tables(frontend.Parameters()), SCALING)

# What microfrontend can be told, to its ends.
PARAMETERS = {
    "other bands": {"window_ms": 25, "channels": 32, "lower_band_limit": 60.0, "upper_band_limit": 3800.0},
    "many channels": {"channels": 60, "lower_band_limit": 20.0, "upper_band_limit": 7900.0, "even_smoothing": 0.5},
    "one channel": {"channels": 1, "lower_band_limit": 300.0, "upper_band_limit": 5000.0},
    "odd sizes": {"rate": 11111, "window_ms": 41, "step_ms": 13, "upper_band_limit": 5000.0},
    "no overlap": {"window_ms": 17, "step_ms": 17, "rate": 16000, "scale_shift": 3},
    "no gain": {"enable_pcan": False},
    "no logarithm": {"enable_log": False},
    "neither": {"enable_pcan": False, "enable_log": False, "smoothing_bits": 0},
    "all noise": {"even_smoothing": 1.0, "odd_smoothing": 0.0, "min_signal_remaining": 1.0, "smoothing_bits": 16},
    "much gain": {"gain_bits": 31, "pcan_strength": 4.0, "pcan_offset": 10.0, "scale_shift": 11},
    "little gain": {"gain_bits": 15, "pcan_strength": 0.1},
}

# Feeds the samples of a file, in chunks of the sizes in CHUNKS, and compares every frame.
_FEED = """
import whit.audio

section = open("section", "rb").read()
fe = whit.audio.Frontend(section, KERNELS)
assert fe.kernels == KERNELS
samples, want, bytes_ = open("samples", "rb").read(), open("want", "rb"), open("bytes", "rb")
count = len(samples) // 2
at = frames = differing = turn = 0
while at < count:
    end = min(at + CHUNKS[turn % len(CHUNKS)], count)
    turn += 1
    while at < end:
        at = fe.feed(samples, at, end)
        assert at == end or fe.ready
        if fe.ready:
            frames += 1
            features, data = want.read(2 * fe.channels), bytes_.read(fe.channels)
            if bytes(fe.features) != features or bytes(fe.data) != data:
                for i in range(fe.channels):
                    differing += fe.features[i] != features[2 * i] | features[2 * i + 1] << 8 or fe.data[i] != data[i]
print(frames, differing)
"""


def feed(kernels: str, section: bytes, samples: np.ndarray, want: np.ndarray, data: np.ndarray, chunks: list[int]):
    """(frames, values that differ) of these samples."""
    files = {"section": section, "samples": samples.tobytes(), "want": want.tobytes(), "bytes": data.tobytes()}
    printed = run(f"KERNELS, CHUNKS = {kernels!r}, {chunks!r}\n" + _FEED, files, prebuilt=AUDIO)
    frames, differing = map(int, printed.split())
    return frames, differing


def chunks(seed: int) -> list[int]:
    """Sizes from 1 to 1,000 samples, small ones too."""
    rng = random.Random(seed)
    return [1, 2, 1000, *(round(10 ** rng.uniform(0, 3)) for _ in range(500))]


@pytest.mark.parametrize("kernels", KERNEL_SETS)
def test_features_of_speech(kernels):
    """Against pymicro-features: more than 60 s of six voices, in chunks of 1 to 1,000 samples."""
    want = reference(speech())
    assert len(want) > 6000
    found = feed(kernels, SECTION, speech(), want, SCALING.bytes(want), chunks(1))
    assert found == (len(want), 0)


@pytest.mark.parametrize("kernels", KERNEL_SETS)
def test_features_of_noise_tones_and_extremes(kernels):
    """Against pymicro-features, each from the start."""
    for name, samples in signals(3.0).items():
        want = reference(samples)
        assert feed(kernels, SECTION, samples, want, SCALING.bytes(want), chunks(2)) == (len(want), 0), name


@pytest.mark.parametrize("kernels", KERNEL_SETS)
@pytest.mark.parametrize("name", PARAMETERS)
def test_other_parameters(kernels, name):
    """Against the executor on the PC."""
    tables = frontend.tables(frontend.Parameters(**PARAMETERS[name]))
    scaling = frontend.scaling(26 / 255, 0, "uint8")
    samples = np.concatenate([speech()[:64000], *signals(0.3).values()])
    want = features.Frontend(tables).feed(samples)
    found = feed(kernels, frontend.write_section(tables, scaling), samples, want, scaling.bytes(want), chunks(3))
    assert found == (len(want), 0) and len(want) > 200


@pytest.mark.parametrize("kernels", KERNEL_SETS)
def test_buffers_of_samples(kernels):
    """array('h'), bytearray, a view at an odd address: the same."""
    samples = speech()[16000:20000]
    run(
        f"""
        from array import array
        from whit.audio import Frontend

        section, samples = open("section", "rb").read(), open("samples", "rb").read()
        odd = bytearray(1 + len(samples))
        odd[1:] = samples
        heard = []
        halves = array("h", samples)
        for buffer in samples, bytearray(samples), halves, memoryview(halves), memoryview(odd)[1:]:
            fe, at, frames = Frontend(section, {kernels!r}), 0, []
            while at < 4000:
                at = fe.feed(buffer, at, 4000)
                if fe.ready:
                    frames.append(bytes(fe.features) + bytes(fe.data))
            heard.append(frames)
        assert len(heard[0]) == 23
        assert all([frames == heard[0] for frames in heard])
        fe.reset()
        at = fe.feed(samples, 0, 4000)
        assert at == fe.window == 480 and fe.ready and bytes(fe.features) + bytes(fe.data) == heard[0][0]
        at = fe.feed(samples, at, at + 159)
        assert not fe.ready
        fe.reset()
        assert fe.feed(samples, 0, 479) == 479 and not fe.ready
        assert (fe.rate, fe.window, fe.step, fe.channels) == (16000, 480, 160, 40)
        """,
        {"section": SECTION, "samples": samples.tobytes()},
        prebuilt=AUDIO,
    )


@pytest.mark.parametrize("kernels", KERNEL_SETS)
def test_the_heap_stays_flat(kernels):
    """Over 10,000 frames, of which the collector sees nothing."""
    run(
        f"""
        import gc
        from array import array
        from whit.audio import Frontend

        fe = Frontend(open("section", "rb").read(), {kernels!r})
        samples = array("h", range(-80, 80))

        def feed(frames):
            at = 0
            while frames:
                at = fe.feed(samples, at, 160) % 160
                frames -= fe.ready

        feed(1)
        before = 0  # its place among the globals
        gc.collect()
        gc.disable()
        before = gc.mem_alloc()
        feed(10000)
        assert gc.mem_alloc() == before
        """,
        {"section": SECTION},
        prebuilt=AUDIO,
    )


def changed(at: int, *values: int) -> bytes:
    return SECTION[:at] + bytes(values) + SECTION[at + len(values) :]


REFUSED = {
    "empty": (b"", "the section is broken: its front end has the wrong size; pack it again"),
    "cut": (SECTION[:-1], "the wrong size"),
    "too long": (SECTION + bytes(2), "the wrong size"),
    "small window": (changed(4, 0, 1), "impossible values"),
    "large window": (changed(4, 1, 2), "impossible values"),
    "no step": (changed(6, 0, 0), "impossible values"),
    "steps over samples": (changed(6, 0xE1, 1), "impossible values"),
    "no channel": (changed(8, 0, 0), "impossible values"),
    "many channels": (changed(8, 65, 0), "impossible values"),
    "from the first bin": (changed(10, 0, 0), "impossible values"),
    "to the last bin": (changed(12, 1, 1), "impossible values"),
    "more than all of a frame": (changed(14, 1, 0x40), "impossible values"),
    "wide shift": (changed(20, 32), "impossible values"),
    "unknown flag": (changed(24, 11), "impossible values"),
    "byte over 31 bits": (changed(28, 0xFF, 0xFF, 0xFF, 0x7F), "impossible values"),
    "other width": (changed(36 + 960 + 1280, 0), "slopes that do not cover its bins"),
    "window over 1": (changed(36, 1, 0x10), "a weight over 1"),
    "negative weight": (changed(36 + 960 + 1280 + 44, 0xFF, 0xFF), "a weight over 1"),
}


def test_broken_sections_are_refused():
    names = [f"{i}" for i in range(len(REFUSED))]
    texts = run(
        f"""
        from whit.audio import Frontend
        for name in {names!r}:
            try:
                Frontend(open(name, "rb").read())
            except ValueError as e:
                print(e)
        """,
        {name: data for name, (data, _) in zip(names, REFUSED.values(), strict=True)},
        prebuilt=AUDIO,
    ).splitlines()
    assert len(texts) == len(REFUSED)
    for text, (name, (_, words)) in zip(texts, REFUSED.items(), strict=True):
        assert words in text and re.fullmatch(r"the section is broken: its front end has [^;]*; pack it again", text), (
            name
        )


def test_what_cannot_be_heard():
    said = run(
        """
        import whit
        from whit.audio import Frontend

        def refused(f, *args):
            try:
                f(*args)
            except ValueError as e:
                print(e)

        section = open("section", "rb").read()
        refused(Frontend, 5)
        refused(Frontend, section, "fast")
        fe = Frontend(section)
        for samples, first, last in (bytes(319), 0, 160), (bytes(320), -1, 5), (bytes(320), 5, 4), ([0] * 160, 0, 160):
            refused(fe.feed, samples, first, last)
        """,
        {"section": SECTION},
        prebuilt=AUDIO,
    ).splitlines()
    assert said[:2] == [
        "Frontend takes a model or the bytes of a FRONTEND section, int was given; load a model that has a front end",
        "there are no 'fast' kernels; use 'native' or 'viper'",
    ]
    assert len(said) == 6
    for text in said[2:]:
        assert re.fullmatch(r"samples -?\d+ to \d+ are not in the buffer that feed\(\) was given; .*", text), text


def test_kernels_that_are_not_installed():
    said = run(
        """
        from whit.audio import Frontend
        section = open("section", "rb").read()
        assert Frontend(section).kernels == "viper"
        try:
            Frontend(section, "native")
        except ValueError as e:
            print(e)
        """,
        {"section": SECTION},
        prebuilt=NATIVE,
    )
    assert said == (
        "no native front-end kernels for x64 are installed; copy whit_audio_x64.mpy, or whit and whit_viper_x64, to "
        "the board\n"
    )


def test_precompiled_viper_kernels():
    run(
        """
        import sys
        from whit.audio import Frontend
        assert Frontend(open("section", "rb").read()).kernels == "viper"
        assert "whit_viper_x64.audio" in sys.modules
        """,
        {"section": SECTION},
        prebuilt=(*NATIVE, "whit_viper_x64"),
    )


def test_mutants_are_refused_or_harmless():
    """Of 20,000 sections with some bytes changed, those that are taken hear something, between guard bytes."""
    run(
        """
        import random
        from whit.audio import Frontend

        GUARD = 512
        random.seed(3)
        sound = open("section", "rb").read()
        samples = bytes([random.getrandbits(8) for _ in range(2 * 1024)])

        def guarded(size):
            home = bytearray(b"\\x55" * (size + 2 * GUARD))
            view = memoryview(home)[GUARD : GUARD + size]
            view[:] = bytes(size)
            return home, view

        taken = {"native": 0, "viper": 0}
        for number in range(20000):
            mutant = bytearray(sound)
            for _ in range(random.randint(1, 4)):
                at = random.randrange(36) if random.random() < 0.7 else random.randrange(len(mutant))
                mutant[at] = random.choice((0, 1, 64, 127, 128, 255, random.getrandbits(8)))
            if random.random() < 0.5:  # of another length, as its header says
                mutant = mutant[: len(mutant) + random.choice((-512, -510, -260, -252, -80, 2, 64))]
            kernels = ("native", "viper")[number % 5 == 0]
            try:
                fe = Frontend(mutant, kernels)
            except ValueError:
                continue
            taken[kernels] += 1
            homes = []
            for name in "_state", "features", "data":
                before = getattr(fe, name)
                home, view = guarded(len(before) * (2 if name == "features" else 1))
                setattr(fe, name, view)
                homes.append(home)
            fe.reset()
            at = 0
            while at < 1024:
                at = fe.feed(samples, at, 1024)
            for home in homes:
                assert home[:GUARD] == b"\\x55" * GUARD and home[-GUARD:] == b"\\x55" * GUARD, number
        assert taken["native"] > 2000 and taken["viper"] > 500, taken
        """,
        {"section": SECTION},
        prebuilt=AUDIO,
    )
