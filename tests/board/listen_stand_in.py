# Runs under MicroPython: a front end and a model whose answers are in the sound itself, a source that gives what a test
# says when it says, and a clock that goes when somebody reads or sleeps. What the listener does shows as numbers.

import gc
import io
import struct
import sys

RATE, WINDOW, STEP, CHANNELS = 1000, 20, 10, 3  # a frame is 10 ms of 10 samples


class Frontend:
    # A frame's features are the low bytes of its last samples.
    def __init__(self, model, kernels=None):
        self.rate, self.window, self.step, self.channels = RATE, WINDOW, STEP, CHANNELS
        self.kernels = kernels
        self.data = bytearray(CHANNELS)
        self._last = bytearray(2 * CHANNELS)
        self.reset()

    def feed(self, samples, first, last):
        self.ready = False
        if not isinstance(samples, bytearray):
            samples = bytes(samples)
        while first < last and not self.ready:
            at = 2 * first
            for i in range(2 * (CHANNELS - 1)):
                self._last[i] = self._last[i + 2]
            self._last[-2] = samples[at]
            self._last[-1] = samples[at + 1]
            first += 1
            self._need -= 1
            if not self._need:
                self._need = STEP
                self.ready = True
                for i in range(CHANNELS):
                    assert self._last[2 * i + 1] == 0, "half samples are mixed up"
                    self.data[i] = self._last[2 * i]
        return first

    def reset(self):
        self._need = WINDOW


class Audio:
    pass


sys.modules["whit.audio"] = Audio()
Audio.Frontend = Frontend


class Tensor:
    def __init__(self, size, dtype="int8", scale=1.0, zero_point=0):
        self.size, self.dtype, self.scale, self.zero_point = size, dtype, scale, zero_point
        self.data = memoryview(bytearray(size))


class Model:
    # Answers with the features of the latest frame, and overwrites its input.
    name = "stand-in"

    def __init__(self, window=1, every=1, classes=1, threshold=0, refractory_ms=0, frames=1, labels="abc", **y):
        self.record = struct.pack("<HHIIHH", window, every, classes, threshold, refractory_ms, 0)
        self.inputs, self.outputs = [Tensor(frames * CHANNELS)], [Tensor(CHANNELS, **y)]
        self.labels = list(labels)
        self.runs = self.resets = 0
        self.seen = None  # a list gets what each run was given

    def section(self, number):
        return self.record if number == 9 else None

    def run(self):
        x = self.inputs[0].data
        if self.seen is not None:
            self.seen.append(bytes(x))
        y = self.outputs[0].data
        for i in range(CHANNELS):
            y[i] = x[i - CHANNELS]
        for i in range(len(x)):
            x[i] = 0x5A
        self.runs += 1

    def reset(self):
        self.resets += 1


def sound(answers):
    # The samples at which the stand-in gives these answers frame by frame: each one number, or CHANNELS of them.
    data = bytearray(2 * (WINDOW - STEP))
    for answer in answers:
        data.extend(bytes(2 * (STEP - CHANNELS)))
        for q in [answer] + [0] * (CHANNELS - 1) if isinstance(answer, int) else answer:
            data.extend(bytes([q & 255, 0]))
    return data


class Clock:
    def __init__(self, module):
        self.now = (1 << 30) - 5000000  # the board's ticks turn over soon after the start
        module.ticks_us, module.sleep_ms = self.ticks_us, self.sleep_ms
        module.ticks_diff = self.ticks_diff

    def ticks_us(self):
        return self.now & (1 << 30) - 1

    def ticks_diff(self, a, b):
        return ((a - b + (1 << 29)) & (1 << 30) - 1) - (1 << 29)

    def sleep_ms(self, ms):
        self.now += 1000 * ms


class Source(io.IOBase):
    # Gives `data`, by pieces of at most so many bytes as `sizes` says in turn; what is no number there is raised, or
    # given as it is. A source with a function in its place calls it.
    def __init__(self, data, sizes=(1 << 20,)):
        self.data, self.sizes = memoryview(data), list(sizes)
        self.at = self.reads = 0

    def readinto(self, buffer):
        size = self.sizes[self.reads % len(self.sizes)]
        self.reads += 1
        if callable(size):
            size = size()
        if isinstance(size, Exception):
            raise size
        if size is None:
            return None
        size = min(size, len(buffer), len(self.data) - self.at)
        buffer[:size] = self.data[self.at : self.at + size]
        self.at += size
        return size


class Endless(Source):
    # Silence, of which a read gives all that a frame takes. It notes the heap at the read `first` and ten thousand
    # reads later, when it ends by KeyboardInterrupt; to one of a hundred polls it says that it has nothing.
    def __init__(self, first):
        super().__init__(b"")
        self.first, self.polls, self.heap = first, 0, [0, 0]

    def ioctl(self, request, argument):
        self.polls += 1
        return -1 if request != 3 else argument & 1 if self.polls % 100 else 0

    def readinto(self, buffer):
        self.reads += 1
        if self.reads == self.first:
            self.heap[0] = gc.mem_alloc()
        elif self.reads == self.first + 10000:
            self.heap[1] = gc.mem_alloc()
            raise KeyboardInterrupt
        return 2 * STEP


class Microphone:
    # Live: gives the sound that the clock says has been, of which it keeps `kept_ms`; like machine.I2S it waits for all
    # that is asked for. `copying_us` is what a read takes that need not wait; `slow` what it gives less than RATE, in
    # 1 / 1000.
    def __init__(self, clock, answer, kept_ms=100, copying_us=200, slow=0):
        self.clock, self.answer, self.kept, self.copying_us = clock, answer, kept_ms * RATE // 1000, copying_us
        self.rate = RATE - RATE * slow // 1000
        self.start = clock.now
        self.at = self.lost = 0  # samples given and lost

    def made(self):
        return (self.clock.now - self.start) * self.rate // 1000000

    def readinto(self, buffer):
        count = len(buffer) // 2
        over = self.made() - self.at - self.kept
        if over > 0:
            self.at += over
            self.lost += over
        self.clock.now += self.copying_us
        short = self.at + count - self.made()
        if short > 0:
            self.clock.now += short * 1000000 // self.rate
        for i in range(count):
            buffer[2 * i], buffer[2 * i + 1] = self.answer, 0
        self.at += count
        return 2 * count
