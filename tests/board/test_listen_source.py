"""whit.listen and its source: one that stalls, a board that is too slow for it, and asyncio.

The front end and the model are stand-ins here, whose answers are in the sound itself (listen_stand_in.py).
"""

import socket
from textwrap import dedent

import pytest
from test_listen import board, detection

# Under asyncio, beside a task that counts its turns.
GATHER = """
import asyncio

async def gathered(listener, most=1 << 30):
    turns = [0]

    async def other():
        while True:
            turns[0] += 1
            await asyncio.sleep_ms(0)

    task = asyncio.create_task(other())
    words = []
    async for word in listener:
        words.append(word)
        if len(words) == most:
            break
    task.cancel()
    return words, turns[0]
"""


def beside_others(script):
    """As board(), with gathered()."""
    return board(GATHER + dedent(script))


@pytest.mark.parametrize("sizes", [[20], [19], [1], [3, 20, 7]])
def test_samples_can_be_prepared(sizes):
    """Each sample once, also where they come by halves."""
    board(f"""
    lengths = []
    def prepare(samples):
        lengths.append(len(samples))
        for i in range(0, len(samples), 2):
            samples[i] = samples[i] * 3 & 0xFF
    m = Model(threshold=1 << 31)
    m.seen = []
    assert not list(Listener(m, Source(sound([11, 25, 30, 7]), {sizes}), prepare=prepare))
    assert m.seen == [bytes([3 * q, 0, 0]) for q in (11, 25, 30, 7)], m.seen
    assert set(lengths) == {{20}}
    """)


def test_a_loop_ends_where_a_file_does():
    board(
        """
    with open("sound", "wb") as f:
        f.write(sound([0, 100, 0, 100]) + b"?")
    with open("sound", "rb") as f:
        listener = Listener(Model(threshold=50), f)
        assert list(listener) == [("a", 30), ("a", 50)] and listener.ms == 50
        assert list(listener) == []
    """
    )


def test_a_source_that_is_broken_says_so_itself():
    board("""
    try:
        list(Listener(Model(), Source(sound([0] * 9), [20, 20, OSError(5)])))
        assert False, "went on"
    except OSError as e:
        assert e.errno == 5
    """)


@pytest.mark.parametrize("nothing", ["None", "OSError(11)", "OSError(110)", "lambda: clock.sleep_ms(7)"])
def test_a_stall_is_reported_once_and_listening_goes_on(nothing):
    """Each time: two of three longer than the limit, the words between and behind them as ever."""
    output = board(f"""
    clock = Clock(listen)
    nothing = {nothing}
    longer = [nothing] * 250
    sizes = [20, 20] + longer + [20, 20, 20] + [nothing] * 50 + [1] * 20 + longer + [3] * 200
    listener = Listener(Model(threshold=50), Source(sound([0, 100, 0, 100, 0, 0, 0, 100]), sizes), report=print)
    print(list(listener), listener.stalls, listener.dropped)
    """)
    sentence = "the microphone has given no samples for 1000 ms; check its wiring, listening goes on"
    assert output.splitlines() == [sentence, sentence, "[('a', 30), ('a', 50), ('a', 90)] 2 0"]


def test_the_time_of_a_stall_is_that_of_waiting():
    """At the moment the limit is reached, and not for work between reads."""
    board("""
    clock = Clock(listen)
    start = clock.now
    def report(text):
        said.append((clock.now - start, text))
    def end():
        clock.now += 5000000
        return 20
    sizes = [20] * 3 + [None] * 100 + [end] + [None] * 39 + [20] * 5
    source = Source(sound([100, 0, 100, 0, 100, 0, 100]), sizes)
    listener = Listener(Model(threshold=50), source, timeout_ms=200, report=report)
    for word, ms in listener:
        clock.now += 3000000
    assert listener.stalls == 1 and len(said) == 1 and said[0][0] == 3200000 and "for 200 ms" in said[0][1], said
    """)


# Sound that is lost


def test_a_board_that_keeps_up_loses_nothing():
    board("""
    clock = Clock(listen)
    m = Model(threshold=1 << 31)
    for work_us in 0, 3000, 9000, 9700:
        microphone = Microphone(clock, 0)
        def run():
            clock.now += work_us
            m.runs += 1
            if m.runs % 1000 == 0:
                clock.now += 80000  # now and then something else, for less than the microphone keeps
            if m.runs % 3000 == 0:
                raise KeyboardInterrupt
        m.run = run
        listener = Listener(m, microphone, buffered_ms=100, report=said.append)
        until_interrupted(listener)
        assert microphone.lost == listener.dropped == 0 and not said, (work_us, listener.dropped)
    """)


def test_a_microphone_that_runs_slower_than_it_says_loses_nothing():
    """By the clock alone it would be a fifth of a second behind after half a minute."""
    board("""
    clock = Clock(listen)
    m = Model(threshold=1 << 31)
    microphone = Microphone(clock, 0, slow=5)
    def run():
        clock.now += 5000
        m.runs += 1
        if m.runs == 4000:
            raise KeyboardInterrupt
    m.run = run
    listener = Listener(m, microphone, buffered_ms=100, report=said.append)
    until_interrupted(listener)
    assert microphone.lost == listener.dropped == 0 and not said, listener.dropped
    """)


@pytest.mark.parametrize("work_us", [10500, 12000, 25000, 140000])
def test_a_board_that_is_too_slow_counts_what_it_loses(work_us):
    """Within a frame or two of what the microphone has thrown away, reported at most once a second."""
    output = board(f"""
    clock = Clock(listen)
    m = Model(threshold=1 << 31)
    microphone = Microphone(clock, 0)
    start = clock.now
    def run():
        clock.now += {work_us}
        if clock.now - start > 10000000:
            raise KeyboardInterrupt
    m.run = run
    def report(text):
        said.append((clock.now, int(text.split()[0])))
        assert text.count("; ") == 1
    listener = Listener(m, microphone, buffered_ms=100, report=report)
    until_interrupted(listener)
    times = [at for at, frames in said]
    assert all([b - a >= 1000000 for a, b in zip(times, times[1:])]), times
    print(microphone.lost / 10, listener.dropped, sum([frames for at, frames in said]), len(said))
    """)
    lost, dropped, reported, sentences = map(float, output.split())
    assert lost > 10 and abs(lost - dropped) <= 2 + work_us / 10_000
    assert 5 <= sentences <= 11 and dropped - reported < 1_000_000 / 10_000 + 2 * work_us / 10_000


def test_what_the_body_of_a_loop_takes_counts():
    """It does not where the source is a file, or one that nobody has said is live."""
    board("""
    clock = Clock(listen)
    for buffered_ms, dropped in (100, 290), (None, 0):
        said.clear()
        microphone = Microphone(clock, 100)
        listener = Listener(Model(threshold=50), microphone, buffered_ms=buffered_ms, report=said.append)
        for word, ms in listener:
            clock.now += 3000000  # a message is sent
            listener.reset()
            if clock.now - microphone.start > 5000000:
                break
        assert abs(listener.dropped - dropped) <= 2, listener.dropped
        assert len(said) == (dropped > 0)
    """)


def test_a_live_source_has_no_end():
    board("""
    clock = Clock(listen)
    source = Source(sound([0, 100, 0, 100]), [20, 0, 0])
    listener = Listener(Model(threshold=50), source, buffered_ms=100, report=said.append)
    loop = iter(listener)
    assert [next(loop), next(loop)] == [("a", 30), ("a", 50)] and not said
    assert listener.dropped == 0
    """)


# asyncio


def test_asyncio_hears_the_same_beside_other_tasks():
    """From a source whose readinto is at once, that says None or raises, or is a coroutine itself."""
    answers = detection(3)[1]
    output = beside_others(f"""
    class Awaited(Source):
        def readinto(self, buffer):
            return self.later(buffer)
        async def later(self, buffer):
            await asyncio.sleep_ms(0)
            return super().readinto(buffer)

    data = sound([q[0] + 128 for q in {answers}])
    def options():
        return Model(window=5, threshold=600, dtype="uint8", refractory_ms=500)
    expected = list(Listener(options(), Source(data)))
    assert len(expected) > 3
    sizes, later = [7, None, 20, OSError(11)], [9, None, OSError(110), 18]
    for source in Source(data), Source(data, sizes), Awaited(data), Awaited(data, later):
        words, turns = asyncio.run(gathered(Listener(options(), source, report=said.append)))
        assert words == expected and turns >= 600 and not said, (words, turns)
    try:
        asyncio.run(gathered(Listener(options(), Awaited(data, [9, OSError(5)]))))
        assert False, "went on"
    except OSError as e:
        assert e.errno == 5
    """)
    assert output == ""


def test_asyncio_waits_for_a_socket_and_a_stream_of_one():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    beside_others(f"""
    import socket

    async def scenario(wrap):
        waiting = socket.socket()
        waiting.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        address = socket.getaddrinfo("127.0.0.1", {port})[0][-1]
        waiting.bind(address)
        waiting.listen(1)
        sender = socket.socket()
        sender.connect(address)
        receiver, _ = waiting.accept()
        data = sound([0, 100, 0, 0, 100, 0])

        async def send():
            for i in range(0, len(data), 7):
                sender.write(data[i : i + 7])
                await asyncio.sleep_ms(1)
            sender.close()

        task = asyncio.create_task(send())
        words, turns = await gathered(Listener(Model(threshold=50), wrap(receiver)))
        assert words == [("a", 30), ("a", 60)] and turns > 20, (words, turns)
        for each in receiver, waiting:
            each.close()

    for wrap in (lambda s: s), asyncio.StreamReader:
        asyncio.run(scenario(wrap))
    """)


def test_asyncio_notices_a_stall():
    """Of a source that can be polled, by itself or in a StreamReader: it has no sound for a while, others go on."""
    beside_others("""
    from time import ticks_add, ticks_diff, ticks_ms

    class Polled(Source):
        def __init__(self, data):
            super().__init__(data)
            self.until = None
        def ioctl(self, request, argument):
            if request != 3:
                return -1
            if self.at == 60 and self.until is None:
                self.until = ticks_add(ticks_ms(), 130)
            return argument & 1 if self.until is None or ticks_diff(ticks_ms(), self.until) > 0 else 0

    for wrap in (lambda s: s), asyncio.StreamReader:
        said.clear()
        source = wrap(Polled(sound([0, 100, 0, 100])))
        listener = Listener(Model(threshold=50), source, timeout_ms=100, report=said.append)
        words, turns = asyncio.run(gathered(listener))
        assert words == [("a", 30), ("a", 50)] and turns > 20, (words, turns)
        assert len(said) == 1 == listener.stalls and "for 100 ms" in said[0]
    """)


def test_ten_thousand_frames_in_asyncio_allocate_nothing():
    """Of a source that can be polled, and now and then has nothing."""
    board("""
    import asyncio

    async def main():
        gc.collect()
        gc.disable()
        async for word in Listener(Model(threshold=50), source, buffered_ms=100):
            pass

    source = Endless(300)
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        pass
    gc.enable()
    assert source.heap[1] == source.heap[0] > 0 and source.polls > 10300, source.heap
    """)


def test_asyncio_counts_what_is_lost():
    beside_others("""
    clock = Clock(listen)
    microphone = Microphone(clock, 100)

    async def scenario():
        listener = Listener(Model(threshold=50), microphone, buffered_ms=100, report=said.append)
        async for word, ms in listener:
            clock.now += 3000000
            listener.reset()
            if clock.now - microphone.start > 5000000:
                break
        return listener.dropped

    assert abs(asyncio.run(scenario()) - 290) <= 2 and len(said) == 1
    """)
