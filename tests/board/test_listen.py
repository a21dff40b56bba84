"""whit.listen: which words, and when.

The front end and the model are stand-ins here, whose answers are in the sound itself (listen_stand_in.py).
"""

import random
import statistics
from pathlib import Path
from textwrap import dedent

import pytest
from micropython import run

STAND_IN = Path(__file__).with_name("listen_stand_in.py").read_bytes()

PRELUDE = """
import gc, sys
from listen_stand_in import Clock, Endless, Microphone, Model, Source, sound
import whit.listen as listen
from whit.listen import Listener

said = []

def refused(f, *args, **options):
    try:
        f(*args, **options)
    except ValueError as e:
        text = str(e)
        assert text.count("; ") == 1 and "\\n" not in text, text
        return text
    assert False, "not refused"

def until_interrupted(listener):
    try:
        list(listener)
    except KeyboardInterrupt:
        pass
"""


def board(script, **files):
    return run(PRELUDE + dedent(script), {"listen_stand_in.py": STAND_IN, **files})


def heard(answers, window, every, frames, classes, cutoff, refractory_ms, zero_point, scale):
    """The words as microWakeWord finds them, by floats and lists: (word, end of the frame in ms) for each rising edge.

    answers: q of each class, frame by frame.
    """
    words = []
    recent = {k: [] for k in classes}
    above = dict.fromkeys(classes, False)
    last = {}
    for number, answer in enumerate(answers, 1):
        if number < frames or (number - frames) % every:
            continue
        ms = 20 + 10 * (number - 1)
        for k in classes:
            recent[k] = [*recent[k], (answer[k] - zero_point) * scale][-window:]
            now = len(recent[k]) == window and statistics.mean(recent[k]) > cutoff
            if now and not above[k] and (k not in last or ms - last[k] >= refractory_ms):
                last[k] = ms
                words.append(("abc"[k], ms))
            above[k] = now
    return words


def detection(seed):
    """A model's figures and a minute's worth of answers, in which words come and go."""
    rng = random.Random(seed)
    uint8 = seed % 2
    low = 0 if uint8 else -128
    case = dict(
        window=rng.choice([1, 1, 2, 3, 5, 10]),
        every=rng.choice([1, 1, 2, 3]),
        classes=rng.choice([[0], [1], [2], [0, 2], [0, 1, 2]]),
        cutoff=rng.choice([0, 0.25, 0.5, 0.75, 0.9, 0.97]),
        refractory_ms=rng.choice([0, 0, 95, 100, 500, 1000]),
        zero_point=rng.choice([low, low, low + 7]),
        scale=1 / 256,
    )
    case["frames"] = case["every"] + rng.choice([0, 0, 0, 1, 2, 7])
    answers, level = [], [low] * 3
    for _ in range(600):
        if rng.random() < 0.1:
            level = [low + rng.choice([0, 100, 200, 250]) for _ in range(3)]
        answers.append([min(max(q + rng.randint(-30, 30), low), low + 255) for q in level])
    return case, answers


@pytest.mark.parametrize("seed", range(24))
def test_words_and_times_are_those_of_the_plain_rule(seed):
    """For any window, stride, zero point and refractory time, and any pieces that the source gives."""
    case, answers = detection(seed)
    expected = heard(answers, **case)
    threshold = int(case["cutoff"] * 256 * case["window"])
    model = dict(
        window=case["window"],
        every=case["every"],
        classes=sum(1 << k for k in case["classes"]),
        threshold=threshold,
        refractory_ms=case["refractory_ms"],
        frames=case["frames"],
        dtype="uint8" if seed % 2 else "int8",
        scale=case["scale"],
        zero_point=case["zero_point"],
    )
    sizes = random.Random(seed).choices([1, 2, 3, 7, 19, 20, 21], k=23)
    output = board(f"""
    for sizes in [1 << 20], {sizes}:
        listener = Listener(Model(**{model}), Source(sound({answers}), sizes), report=said.append)
        print(list(listener))
        assert listener.ms == 10 + 10 * {len(answers)} and not said
    """)
    assert [eval(line) for line in output.splitlines()] == [expected] * 2


def test_the_cases_have_words_that_are_held_back_and_words_together():
    """What the cases above must contain to tell anything."""
    together = held = 0
    for seed in range(24):
        case, answers = detection(seed)
        words = heard(answers, **case)
        together += len(words) > len({ms for _, ms in words})
        held += len(words) < len(heard(answers, **case | {"refractory_ms": 0}))
    assert together >= 3 and held >= 3


def test_a_mean_at_the_cutoff_is_no_word_and_above_it_one():
    board("""
    for high, words in (192, []), (193, [("a", 40)]):
        m = Model(window=3, threshold=3 * 192, dtype="uint8", zero_point=0)
        assert list(Listener(m, Source(sound([192, high, 192, 0])))) == words
    """)


def test_the_model_gets_the_frames_side_by_side():
    """Those that are new where it is streaming; else all of its window, which moves by the stride."""
    board("""
    frames = [[3 * i, 3 * i + 1, 3 * i + 2] for i in range(10)]
    for every, length in (1, 1), (3, 3), (1, 4), (2, 5):
        m = Model(every=every, frames=length, threshold=1 << 31)
        m.seen = []
        assert not list(Listener(m, Source(sound(frames))))
        expected = []
        for end in range(length, 11, every):
            expected.append(bytes([q for frame in frames[end - length : end] for q in frame]))
        assert m.seen == expected, m.seen
    """)


def test_words_of_one_frame_come_one_after_the_other():
    board("""
    answers = sound([[0, 0, 0], [90, 80, 70], [0, 0, 0]])
    listener = Listener(Model(classes=7, threshold=75), Source(answers))
    assert list(listener) == [("a", 30), ("b", 30)]
    listener = Listener(Model(classes=7, threshold=60))
    assert [listener.feed(answers), listener.feed(b""), listener.feed(b""), listener.feed(b"")] == ["a", "b", "c", None]
    assert listener.heard_ms == 30 and listener.ms == 40
    listener = Listener(Model(classes=3, threshold=50))
    answers = sound([[90, 0, 0], [0, 0, 0], [90, 90, 0], [0, 0, 0]])  # one word twice before anybody asks
    assert [listener.feed(answers), listener.feed(b""), listener.feed(b"")] == ["a", "b", None]
    """)


# feed() and what can be asked


def test_feed_takes_samples_of_every_kind():
    board("""
    from array import array
    answers = sound([0, 100, 0])
    words = array("h", answers)
    for samples in answers, bytes(answers), words, memoryview(answers), memoryview(words), memoryview(bytes(answers)):
        assert Listener(Model(threshold=50)).feed(samples) == "a", samples
    listener = Listener(Model(threshold=50))
    found = [listener.feed(answers[i : i + 2]) for i in range(0, len(answers), 2)]
    assert found == [None] * 29 + ["a"] + [None] * 10
    assert listener.feed(answers, 0) is None and listener.ms == 40
    assert listener.feed(answers, 5) is None and listener.ms == 45
    assert listener.dropped == listener.stalls == 0
    assert "5 bytes were given" in refused(listener.feed, bytes(5))
    for wide in array("i", [1]), array("f", [1]), memoryview(array("i", [1])):
        assert "samples of 2 bytes, these have 4; " in refused(listener.feed, wide)
        assert "these have 4; " in refused(listener.feed, wide, 1)
    assert listener.feed(array("i")) is None and listener.feed(answers, 5) is None and listener.ms == 50
    assert "has no source" in refused(lambda: list(listener))
    """)


def test_the_probability_is_the_mean_that_is_compared():
    board("""
    for dtype, zero_point in ("uint8", 0), ("int8", -128):
        listener = Listener(Model(window=3, classes=3, dtype=dtype, zero_point=zero_point, scale=1 / 256))
        seen = [listener.probability]
        for answer in [200, 10], [100, 90], [60, 20], [0, 250], [8, 250]:
            listener.feed(sound([[q + zero_point for q in answer] + [0]])[-20 if listener.ms else 0 :])
            seen.append(listener.probability)
        assert seen == [0, 0, 0, 360 / 768, 360 / 768, 520 / 768], seen
    """)


def test_reset_forgets_the_sound_and_keeps_the_time():
    board("""
    for frames, every in (1, 1), (3, 2):
        m = Model(window=2, threshold=150, frames=frames, every=every, refractory_ms=5000)
        listener = Listener(m)
        high = sound([100] * 6)
        assert listener.feed(high) == "a" and listener.probability == 100
        assert listener.feed(high) is None
        listener.reset()
        assert listener.probability == 0 and m.resets == 1
        runs = m.runs
        assert listener.feed(high) == "a" and listener.ms == 210 and listener.dropped == 0
        assert m.runs == runs + (6 - frames) // every + 1
    """)


def test_ten_thousand_frames_allocate_nothing():
    board("""
    for options in {}, {"every": 3, "frames": 3, "window": 5}, {"frames": 5, "classes": 7}:
        for buffered_ms in None, 100:
            source = Endless(3)
            m = Model(threshold=50, **options)
            listener = Listener(m, source, buffered_ms=buffered_ms)
            gc.collect()
            gc.disable()
            until_interrupted(listener)
            gc.enable()
            assert m.runs >= 3333 and source.heap[1] == source.heap[0] > 0, (options, source.heap)
    """)


# What is refused


def test_a_model_without_what_a_listener_needs():
    output = board("""
    m = Model()
    m.section = lambda number: None
    print(refused(Listener, m))
    m.section = lambda number: bytes(15)
    print(refused(Listener, m))
    for options in {"window": 0}, {"every": 0}, {"every": 2}, {"classes": 0}:
        print(refused(Listener, Model(**options)))
    for options in {"classes": 8}, {"labels": "ab", "classes": 4}, {"labels": ""}:
        print(refused(Listener, Model(**options)))
    """)
    lines = output.splitlines()
    assert lines[0] == "stand-in has no words to listen for; pack it with the JSON of a wake word"
    assert lines[1] == "stand-in is broken: what it listens for has the wrong size; pack it again"
    assert all("at a time; pack it again" in line for line in lines[2:6])
    assert lines[6:] == [
        "stand-in has 3 outputs with 3 labels and listens for number 3; pack it again",
        "stand-in has 3 outputs with 2 labels and listens for number 2; pack it again",
        "stand-in has 3 outputs with 0 labels and listens for number 0; pack it again",
    ]


def test_arguments_that_cannot_be():
    """A path in the place of a source, a coroutine in a plain loop, a count of bytes that nobody can have read."""
    output = board("""
    class Wrong:
        def readinto(self, buffer):
            return self.gives

    async def coroutine():
        return 20

    async def first(listener):
        async for word in listener:
            break

    import asyncio
    for source in "sound.raw", 3, [1], bytes(8):
        print(refused(Listener, Model(), source))
    for options in {"buffered_ms": 0}, {"buffered_ms": -5}, {"timeout_ms": 0}:
        print(refused(Listener, Model(), Wrong(), **options))
    for Wrong.gives in 2.5, "ab", -1, 21:
        print(refused(lambda: list(Listener(Model(), Wrong()))))
        if isinstance(Wrong.gives, int):
            assert "coroutine" in refused(lambda: asyncio.run(first(Listener(Model(), Wrong()))))
    Wrong.gives = coroutine()
    print(refused(lambda: list(Listener(Model(), Wrong()))))
    """)
    lines = output.splitlines()
    for line, name in zip(lines, ("str", "int", "list", "bytes"), strict=False):
        assert line == f"a listener reads by readinto, {name} has none; give a microphone, an open file or a socket"
    assert [line.split(", 1 is")[0] for line in lines[4:7]] == [
        "a listener has timeout_ms 1000 and buffered_ms 0",
        "a listener has timeout_ms 1000 and buffered_ms -5",
        "a listener has timeout_ms 0 and buffered_ms None",
    ]
    for line, gave in zip(lines[7:], ("2.5", "ab", "-1", "21", "<generator object"), strict=True):
        assert line.startswith(f"readinto of the source gave {gave}") and " for 20 bytes; " in line


def test_no_section_makes_a_listener_do_more_than_refuse_or_hear():
    """Any 16 bytes, and few that are read as small numbers."""
    board("""
    seed = 1
    heard = refused_ones = 0
    for i in range(600):
        record = bytearray(16)
        for at in range(16):
            seed = (seed * 1103515245 + 12345) & 0x3FFFFFFF
            record[at] = seed >> 16 & 0xFF
        if i % 2:  # up to 7 runs, 3 frames, all of the classes, a threshold of one byte
            record[0], record[1], record[2], record[3] = record[0] & 7, 0, record[2] & 3, 0
            record[5] = record[6] = record[7] = record[9] = record[10] = record[11] = 0
            record[4] &= 7
        m = Model(frames=3, dtype="uint8")
        m.record = record
        try:
            for word, ms in Listener(m, Source(sound([[200, 250, 150], [5, 0, 0]] * 9))):
                heard += 1
        except ValueError as e:
            assert str(e).endswith("; pack it again"), e
            refused_ones += 1
        except MemoryError:
            pass
        gc.collect()
    assert heard > 100 and refused_ones > 100, (heard, refused_ones)
    """)
