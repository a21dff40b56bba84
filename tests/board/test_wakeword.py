"""From samples to words under MicroPython, with the models of pymicro-wakeword: what it hears, at the same frame."""

import json
import statistics

import numpy as np
import pytest
from installed import AUDIO
from micropython import run
from spoken import VOICES, WORDS, heard_by_pymicro_wakeword, manifest, model, other_speech, packed, speech
from whit import oracle
from whit.features import features
from whit.frontend import scaling
from whit.listening import read_manifest
from whit.pack import pack

HEAP = 190 << 10
SAME_FRAME = "hey_jarvis", "okay_nabu"  # the others have answers near the cutoff that TensorFlow Lite rounds otherwise
LISTEN = """
from whit.listen import Listener
with open("sound", "rb") as f:
    listener = Listener("m.whit", f, kernels={kernels!r})
    print(list(listener), listener.ms)
"""


def heard(blob: bytes, samples: np.ndarray, kernels: str = "native") -> list[tuple[str, int]]:
    """The words that the whole chain hears in a heap of 190 KB."""
    output = run(LISTEN.format(kernels=kernels), {"m.whit": blob, "sound": samples.tobytes()}, HEAP, AUDIO)
    words, end, ms = output.rpartition("]")
    assert int(ms) == len(samples) // 16
    return eval(words + end)


def rises(means: list[float], cutoff: float, times: list[int], refractory_ms: int = 1000) -> list[int]:
    """When the mean gets above the cutoff, in ms, and not again before the refractory time is over."""
    found: list[int] = []
    above = False
    for mean, ms in zip(means, times, strict=True):
        now = mean > cutoff
        if now and not above and (not found or ms - found[-1] >= refractory_ms):
            found.append(ms)
        above = now
    return found


def answers_of_tflm(name: str, samples: np.ndarray) -> np.ndarray:
    """What TensorFlow Lite Micro makes of the features, run by run."""
    x = packed(name).program.inputs[0]
    frames = scaling(x.scale, x.zero_point, x.dtype).bytes(features(samples))
    count = len(frames) // x.shape[1]
    inputs = frames[: count * x.shape[1]].reshape(count, *x.shape)
    return oracle.run(model(name), [inputs], name, 1)[0].reshape(-1)


@pytest.mark.parametrize("voice", VOICES)
@pytest.mark.parametrize("name", SAME_FRAME)
def test_a_word_is_heard_at_the_frame_of_pymicro_wakeword(name, voice):
    samples = speech(WORDS[name], voice)
    expected = heard_by_pymicro_wakeword(name, samples)
    assert len(expected) == 1
    assert heard(packed(name).blob, samples) == [(WORDS[name].title(), expected[0])]


@pytest.mark.parametrize("kernels, paged", [("native", True), ("viper", False), ("viper", True)])
def test_every_way_of_running_hears_the_same(kernels, paged):
    """Viper kernels, and weights that are read page by page."""
    samples = np.concatenate([speech("okay nabu", voice) for voice in ("awb", "rms")])
    asked = json.dumps(manifest("okay_nabu")).encode()
    blob = pack(model("okay_nabu"), "m", page_bytes=8192, listening=read_manifest(asked, "m.json")).blob
    expected = heard(packed("okay_nabu").blob, samples)
    assert len(expected) == 2
    output = run(
        f"""
        import whit
        from whit.listen import Listener
        m = whit.load("m.whit", kernels="{kernels}", paged={paged})
        assert bool(m.pages) == {paged}
        listener = Listener(m, open("sound", "rb"), kernels="{kernels}")
        assert m.kernels == listener.frontend.kernels == "{kernels}"
        print(list(listener))
        """,
        {"m.whit": blob, "sound": samples.tobytes()},
        prebuilt=AUDIO,
    )
    assert eval(output) == expected


@pytest.mark.parametrize("voice", VOICES)
def test_loudness_matters_little(voice):
    """A word with peaks of 300 of 32,768 is heard as well as one that is 60 times as loud."""
    for quieter in 1, 8, 64:
        samples = speech("hey jarvis", voice) // quieter
        assert quieter < 64 or np.abs(samples).max() < 350
        assert len(heard(packed("hey_jarvis").blob, samples)) == 1, quieter


@pytest.mark.parametrize("name", WORDS)
def test_every_answer_is_that_of_tflm(name):
    """And the words those of the rule in floats, at a cutoff so low that more is taken for one.

    pymicro-wakeword computes with other kernels than TensorFlow Lite Micro: its answers are others here and there.
    """
    said = [speech(text, voice, 0.2, 0.5) for text in WORDS.values() for voice in VOICES]
    samples = np.concatenate([*said, other_speech(1)])
    cutoff, window, refractory_ms = 0.01, 2, 50
    asked = dict(probability_cutoff=cutoff, sliding_window_size=window, refractory_ms=refractory_ms)
    blob = packed(name, **asked).blob
    expected = answers_of_tflm(name, samples)
    assert len(np.unique(expected)) > 30
    output = run(
        """
        from whit.listen import Listener
        listener = Listener("m.whit", open("sound", "rb"), kernels="native")
        run = listener.model.run
        answers = bytearray()
        def noting():
            run()
            answers.extend(listener.model.outputs[0].data)
        listener.model.run = noting
        print([ms for word, ms in listener])
        print(answers.hex())
        """,
        {"m.whit": blob, "sound": samples.tobytes()},
        prebuilt=AUDIO,
    )
    words, answers = output.splitlines()
    assert bytes.fromhex(answers) == expected.tobytes()
    y, every = packed(name).program.outputs[0], packed(name).program.inputs[0].shape[1]
    p = [float((int(q) - y.zero_point) * np.float32(y.scale)) for q in expected]
    means = [statistics.mean(p[i - window : i]) if i >= window else 0.0 for i in range(1, len(p) + 1)]
    times = [30 + 10 * (every * i - 1) for i in range(1, len(p) + 1)]
    heard_by_rule = rises(means, cutoff, times, refractory_ms)
    assert len(heard_by_rule) >= 4 and eval(words) == heard_by_rule


@pytest.mark.parametrize("name", WORDS)
def test_ten_minutes_of_other_speech(name):
    """The false accepts are those of pymicro-wakeword, and so are the words behind them."""
    samples = np.concatenate([other_speech(10), *(speech(WORDS[name], voice, 1.0) for voice in VOICES)])
    expected = heard_by_pymicro_wakeword(name, samples)
    ours = [ms for _, ms in heard(packed(name).blob, samples)]
    false = [ms for ms in expected if ms <= 600_000]
    print(f"\n{name}: {len(false)} false accepts in ten minutes; then the word at {ours[len(false) :]}")
    assert [ms for ms in ours if ms <= 600_000] == false
    assert len(ours) == len(expected) > len(false)
    if name in SAME_FRAME:
        assert ours == expected


def test_feed_allocates_nothing_for_a_buffer_it_knows():
    output = run(
        """
        import gc
        from array import array
        from whit.listen import Listener

        listener = Listener("m.whit")
        samples = array("h", bytes(2000))

        def feed(times):
            before = gc.mem_alloc()
            for i in range(times):
                listener.feed(samples)
            return gc.mem_alloc() - before

        feed(1)
        gc.disable()
        print(feed(100), listener.ms)
        """,
        {"m.whit": packed("hey_jarvis").blob},
        HEAP,
        AUDIO,
    )
    assert output.split() == ["0", "6312"]


def test_ten_thousand_frames_leave_the_heap_as_it_is():
    """Without any collection, in 190 KB, from the first second on."""
    samples = np.concatenate([speech("hey jarvis", "slt"), other_speech(1.75)])
    assert len(samples) > (10_000 + 100) * 160
    output = run(
        """
        import gc
        import whit
        from whit.listen import Listener

        class Sound:
            def __init__(self, f):
                self.f, self.reads, self.heap = f, 0, []
            def readinto(self, buffer):
                self.reads += 1
                if self.reads == 200:  # behind the word, whose tuple is one
                    gc.collect()
                    gc.disable()
                if self.reads in (201, 10201):
                    self.heap.append(gc.mem_alloc())
                return self.f.readinto(buffer)

        source = Sound(open("sound", "rb"))
        listener = Listener("m.whit", source, kernels="native", buffered_ms=None)
        for word, ms in listener:
            print(word, ms)
        gc.enable()
        assert source.heap[1] == source.heap[0], source.heap
        print(source.reads)
        """,
        {"m.whit": packed("hey_jarvis").blob, "sound": samples.tobytes()},
        HEAP,
        AUDIO,
    )
    word, reads = output.splitlines()
    assert word.startswith("Hey Jarvis") and int(reads) > 10_200


def test_the_loop_of_asyncio_hears_the_same():
    samples = np.concatenate([speech("okay nabu", voice) for voice in VOICES])
    expected = heard(packed("okay_nabu").blob, samples)
    assert len(expected) >= 3
    output = run(
        """
        import asyncio
        from whit.listen import Listener

        async def main():
            words = []
            async for word in Listener("m.whit", open("sound", "rb"), kernels="native"):
                words.append(word)
            print(words)

        asyncio.run(main())
        """,
        {"m.whit": packed("okay_nabu").blob, "sound": samples.tobytes()},
        HEAP,
        AUDIO,
    )
    assert eval(output) == expected
