# A listener: samples of sound -> frames of features -> the model -> the mean of its last answers -> words.
#
#     from whit.listen import Listener
#     for word, ms in Listener("hey_jarvis.whit", microphone, buffered_ms=128):
#         print(word)
#
# After its start nothing is allocated but the tuple of a word: the views and the one slice object are made beforehand.

import struct
from array import array
from errno import EAGAIN, ETIMEDOUT
from time import sleep_ms, ticks_diff, ticks_us

from . import load as _load
from .audio import Frontend
from .format import DETECTION
from .model import _ALL

# DETECTION: window in runs, new frames in each, a bit for each output that is listened for, threshold, refractory time
# in ms, reserved (0)
_RECORD = "<HHIIHH"
_SECOND_US = 1000000


class Listener:
    """Words that a model hears in what `source` gives, as (word, ms) of an iteration by `for` or `async for`.

    word: a label of the model. ms: the time since the start at the end of the frame in which it was heard, of the
        sound that was taken: what got lost does not count.
    model: the path or the bytes of a .whit file that was packed with its JSON, or a Model of one, which nothing else
        may run meanwhile.
    source: where int16 little-endian mono samples at the model's rate come from: anything with readinto, as
        machine.I2S, a file, a socket, an asyncio.StreamReader of these. The iteration ends where it gives 0 bytes.
        None for who calls feed().
    kernels, arena: as for whit.load.
    buffered_ms: how much sound the source keeps while nobody reads. Give it for a microphone, so that it is noticed
        when sound gets lost. Such a source has no end, 0 bytes are nothing yet. None for a file, and what else waits.
    timeout_ms: so long the source may give nothing before that is reported.
    report: called with one sentence when sound was lost, at most once a second, and when the source has given nothing
        for timeout_ms, once each time.
    prepare: called with the samples after each read, to change them in place: a microphone's are four times as loud by
        lambda samples: I2S.shift(buf=samples, bits=16, shift=2). It gets the whole buffer, also where less was read.

    Raises ValueError for a model that was packed without what a listener needs, for arguments that cannot be, and what
    whit.load raises.
    """

    def __init__(
        self,
        model,
        source=None,
        kernels=None,
        arena=None,
        buffered_ms=None,
        timeout_ms=1000,
        report=print,
        prepare=None,
    ):
        if not hasattr(model, "section"):
            model = _load(model, arena, kernels)
        self.model = m = model
        section = m.section(DETECTION)
        if section is None:
            raise ValueError(m.name + " has no words to listen for; pack it with the JSON of a wake word")
        self.frontend = fe = Frontend(m, kernels)
        if len(section) != struct.calcsize(_RECORD):
            raise ValueError(m.name + " is broken: what it listens for has the wrong size; pack it again")
        window, every, classes, threshold, refractory_ms, _ = struct.unpack(_RECORD, section)
        x, y = m.inputs[0], m.outputs[0]
        labels = m.labels
        self._classes = [i for i in range(32) if classes >> i & 1]
        frames = x.size // fe.channels
        if not (window and 0 < every <= frames and self._classes) or x.size % fe.channels:
            raise ValueError(
                "%s takes %d values and listens for %d words, %d frames of %d channels at a time; pack it again"
                % (m.name, x.size, len(self._classes), every, fe.channels)
            )
        if self._classes[-1] >= min(y.size, len(labels)):
            raise ValueError(
                "%s has %d outputs with %d labels and listens for number %d; pack it again"
                % (m.name, y.size, len(labels), self._classes[-1])
            )
        self.words = [labels[i] for i in self._classes]
        self.heard_ms = None  # when the last word was heard, as in the iteration
        self._reader = None if source is None else _Reader(source, fe, buffered_ms, timeout_ms, report, prepare)

        # The input frame by frame. Where it is longer than what is new each time it is kept in _history, as a run
        # overwrites the input.
        self._every = every
        store, self._history = x.data, None
        if every < frames:
            store = self._history = memoryview(bytearray(x.size))
            self._kept, self._moved = store[: -every * fe.channels], store[every * fe.channels :]
        self._slots = [store[i : i + fe.channels] for i in range(0, x.size, fe.channels)]
        self._missing = frames  # until the next run

        # Answers are bytes from 0 to 255 here, and _zero is what those of a window are at their zero point.
        self._flip = 0 if y.dtype == "uint8" else 128
        self._window, self._zero = window, window * (y.zero_point + self._flip)
        self._limit = min(threshold, 255 * window) + self._zero
        count = len(self.words)
        self._answers = bytearray(window * count)  # of the last runs, with those of one run together
        self._at = 0  # the oldest of them
        self._short = window  # runs until the window is full
        self._sums = array("i", [0] * count)
        self._above = bytearray(count)  # the sum was above the limit in the last run
        self._rest = array("i", [0] * count)  # runs in which a word is not reported again
        self._refractory = -(-refractory_ms * fe.rate // (1000 * every * fe.step))
        self._found = bytearray(count)  # words that were heard and nobody was told of
        self._waiting = 0  # their number
        self._fed = None  # the buffer that feed() was given last, and the bytes of its items
        self._width = 1
        self._seconds = self._samples = 0  # of sound, and of the second that has begun

    @property
    def ms(self):
        """Milliseconds of sound that were taken."""
        return self._seconds * 1000 + self._samples * 1000 // self.frontend.rate

    @property
    def probability(self):
        """The mean that is compared with the cutoff, of the word where it is highest; 0 until the window is full."""
        return 0.0 if self._short else (max(self._sums) - self._zero) * self.model.outputs[0].scale / self._window

    @property
    def dropped(self):
        """Frames of sound that were lost, as nobody read in time; an estimate by the clock."""
        return self._reader.dropped if self._reader else 0

    @property
    def stalls(self):
        """How often the source has given nothing for timeout_ms."""
        return self._reader.stalls if self._reader else 0

    def reset(self):
        """Begin anew, as after a pause: no sound before counts any more. Time and counts go on."""
        self.frontend.reset()
        self.model.reset()
        self._missing, self._short = len(self._slots), self._window
        self._at = self._waiting = 0
        for cells in self._answers, self._sums, self._above, self._rest, self._found:
            for i in range(len(cells)):
                cells[i] = 0

    def feed(self, samples, count=None):
        """Take samples that the caller has read: -> the word that they complete, or None.

        samples: a buffer of int16 or of their bytes. count: how many samples of it; all when None.
        Of several words the next calls give one each; their buffer may be empty. The same word twice in one buffer is
        told once: feed less than a second at a time.
        """
        size = len(samples)
        if size and samples is not self._fed:
            self._width = _width(samples)
            self._fed = samples
        if count is None:
            size *= self._width
            if size & 1:
                raise ValueError("a listener takes samples of 2 bytes, %d bytes were given; give whole samples" % size)
            count = size >> 1
        self._hear(samples, count)
        return self._next() if self._waiting else None

    def __iter__(self):
        reader = self._reading()
        while True:
            while self._waiting:
                yield self._next(), self.heard_ms
            reader.begin()
            size = reader.end(reader.read(), True)
            if size is None:
                sleep_ms(reader.pause_ms)
            elif not size:
                return
            else:
                self._hear(reader.buffer, reader.samples(size))

    def __aiter__(self):
        self._reading().poll()
        return self

    async def __anext__(self):
        from asyncio import sleep_ms

        reader = self._reader
        while not self._waiting:
            reader.begin()
            size = reader.read()
            at_once = size is None or isinstance(size, int)
            if not at_once:
                size = await reader.awaited(size)
            size = reader.end(size, at_once)
            if size is None:
                await sleep_ms(reader.pause_ms)
            elif not size:
                raise StopAsyncIteration
            elif self._hear(reader.buffer, reader.samples(size)):
                await sleep_ms(0)  # for other tasks, also where the source never has to wait
        return self._next(), self.heard_ms

    def _reading(self):
        if not self._reader:
            raise ValueError("this listener has no source; give it one, or feed() it")
        self._reader.start()
        return self._reader

    def _hear(self, samples, count):
        # -> whether a frame was completed
        fe = self.frontend
        at = 0
        done = False
        while at < count:
            end = fe.feed(samples, at, count)
            self._samples += end - at
            while self._samples >= fe.rate:
                self._samples -= fe.rate
                self._seconds += 1
            at = end
            if fe.ready:
                done = True
                self._frame()
        return done

    def _frame(self):
        # The features go to their place in the input; behind the last new frame the model runs.
        self._slots[-self._missing][_ALL] = self.frontend.data
        self._missing -= 1
        if self._missing:
            return
        self._missing = self._every
        if self._history:
            self.model.inputs[0].data[_ALL] = self._history
            self._kept[_ALL] = self._moved
        self.model.run()
        self._judge()

    def _judge(self):
        # The answers of a run into the window; a word is heard where its sum gets above the limit.
        y = self.model.outputs[0].data
        at = self._at
        if self._short:
            self._short -= 1
        for i in range(len(self._classes)):
            q = y[self._classes[i]] ^ self._flip
            total = self._sums[i] + q - self._answers[at]
            self._sums[i] = total
            self._answers[at] = q
            at += 1
            if self._rest[i]:
                self._rest[i] -= 1
            above = not self._short and total > self._limit
            if above and not self._above[i] and not self._rest[i]:
                self._rest[i] = self._refractory
                self._waiting += 1 - self._found[i]
                self._found[i] = 1
                self.heard_ms = self.ms
            self._above[i] = above
        self._at = 0 if at == len(self._answers) else at

    def _next(self):
        # The first of the words that nobody was told of.
        i = 0
        while not self._found[i]:
            i += 1
        self._found[i] = 0
        self._waiting -= 1
        return self.words[i]


class _Reader:
    # Reads the sound of up to one frame at a time, and notices by the clock what goes wrong at the source.
    #
    # A read is begin(), read() or awaited(), end(). Between two of them the board works and the source goes on: what it
    # cannot have kept is lost.

    def __init__(self, source, fe, buffered_ms, timeout_ms, report, prepare):
        if not hasattr(source, "readinto"):
            raise ValueError(
                "a listener reads by readinto, %s has none; give a microphone, an open file or a socket"
                % type(source).__name__
            )
        if timeout_ms < 1 or (buffered_ms is not None and buffered_ms < 1):
            raise ValueError(
                "a listener has timeout_ms %s and buffered_ms %s, 1 is the least; give larger numbers"
                % (timeout_ms, buffered_ms)
            )
        self._source, self._report, self._prepare = source, report, prepare
        self._rate = fe.rate
        self._frame_us = fe.step * _SECOND_US // fe.rate
        self._buffered_us = None if buffered_ms is None else buffered_ms * 1000
        self._timeout_us = timeout_ms * 1000
        self.pause_ms = max(1, self._frame_us // 2000)  # until somebody looks again whether there is something
        self.dropped = self.stalls = 0

        self.buffer = bytearray(2 * fe.step + 1)
        view = memoryview(self.buffer)
        self._from_start, self._behind_half = view[:-1], view[1:]
        self._half = None  # of a sample: the byte that came without the other
        self._poll = None  # where the source can say whether it has something

        self._untold = 0  # frames that were lost and not reported
        self._quiet_us = 0  # so long nothing is reported
        self._lost_us = 0  # part of a frame that was lost
        self._part = 0  # part of a microsecond that was read, in 1 / rate
        self.start()

    def start(self):
        # A loop begins: how long nobody has read before is not known.
        self._last = None  # ticks at the end of the last read
        self._worked_us = 0  # from there to the read that has begun
        self._nothing = False  # the last read gave nothing
        self._idle_us = 0  # so long the source has given nothing
        self._behind_us = 0  # sound that waits in the source

    def poll(self):
        # For asyncio: ask the source before every read, where it can be asked. asyncio's own way of waiting allocates,
        # and does not notice that nothing comes.
        from asyncio import StreamReader
        from select import POLLIN, poll

        if isinstance(self._source, StreamReader):
            self._source = self._source.s
        if hasattr(self._source, "setblocking"):
            self._source.setblocking(False)  # else readinto of a socket waits for all that is asked for
        try:
            self._poll = poll()
            self._poll.register(self._source, POLLIN)
            self._ready()
        except (OSError, AttributeError):  # the latter for a class of the user's with no ioctl
            self._poll = None

    def _ready(self):
        for _ in self._poll.ipoll(0):
            return True
        return False

    def begin(self):
        now = ticks_us()
        self._worked_us = 0 if self._last is None else max(0, ticks_diff(now, self._last))
        self._last = now

    def read(self):
        # -> bytes that were read; None for nothing yet; or a coroutine of the source, for awaited()
        if self._poll and not self._ready():
            return None
        where = self._from_start
        if self._half is not None:
            self.buffer[0] = self._half
            where = self._behind_half
        try:
            return self._source.readinto(where)
        except OSError as e:
            if e.errno not in (EAGAIN, ETIMEDOUT):
                raise

    async def awaited(self, reading):
        try:
            return await reading
        except OSError as e:
            if e.errno not in (EAGAIN, ETIMEDOUT):
                raise

    def samples(self, size):
        # `size` bytes were read -> how many whole samples are in the buffer; they stay there until the next read
        if self._half is not None:
            size += 1
        self._half = self.buffer[size - 1] if size & 1 else None
        if self._prepare:
            self._prepare(self._from_start)
        return size >> 1

    def end(self, size, at_once):
        # -> size, None for nothing. at_once: whether the read took no longer than the source itself.
        now = ticks_us()
        if size is not None and not (isinstance(size, int) and 0 <= size <= len(self._from_start)):
            raise ValueError(
                "readinto of the source gave %s for %d bytes; it gives how many it has read, or in async for a "
                "coroutine of that" % (size, len(self._from_start))
            )
        took_us = max(0, ticks_diff(now, self._last))
        self._last = now
        if self._quiet_us > 0:
            self._quiet_us -= self._worked_us + took_us
        if self._buffered_us is not None:
            if not size:
                size = None
            self._lag(size, took_us, at_once)
        if size is None:
            self._wait(took_us)
        else:
            self._nothing = False
        return size

    def _wait(self, took_us):
        # The source has given nothing, which time may pass before it is said once.
        if not self._nothing:
            self._nothing = True
            self._idle_us = self._worked_us = 0
        if self._idle_us < self._timeout_us:
            self._idle_us += self._worked_us + took_us
            if self._idle_us >= self._timeout_us:
                self.stalls += 1
                self._report(
                    "the microphone has given no samples for %d ms; check its wiring, listening goes on"
                    % (self._timeout_us // 1000)
                )

    def _lag(self, size, took_us, at_once):
        # How much sound waits in the source, and what it cannot have kept.
        self._behind_us += self._worked_us
        over = self._behind_us - self._buffered_us
        if over > 0:
            self._behind_us = self._buffered_us
            self._lost_us += over
            frames = self._lost_us // self._frame_us
            self._lost_us -= frames * self._frame_us
            self.dropped += frames
            self._untold += frames
        # What waits in a source comes at once, and all that was asked for: else nothing waits there any more.
        if size is None or size < len(self._from_start) or (at_once and took_us > self._frame_us >> 3):
            self._behind_us = 0
        else:
            self._part += (size >> 1) * _SECOND_US
            self._behind_us = max(0, self._behind_us + took_us - self._part // self._rate)
            self._part %= self._rate
        if self._untold and self._quiet_us <= 0:
            self._report(
                "%d frames of sound were lost: the board is too slow, or did other work for longer than the microphone "
                "keeps sound; give that a larger buffer" % self._untold
            )
            self._untold, self._quiet_us = 0, _SECOND_US


def _width(samples):
    # -> the bytes of an item, which an array or a memoryview does not tell
    width = 1 if isinstance(samples, (bytes, bytearray)) else len(bytes(samples[:1]))
    if width > 2:
        raise ValueError("a listener takes samples of 2 bytes, these have %d; take the upper half of each" % width)
    return width
