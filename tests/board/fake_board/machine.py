# Runs under MicroPython, in the place of a board's `machine`: a microphone that plays spoken.wav, then is silent, and
# pins and timers that note what they do in `events`.

import io
from time import ticks_diff, ticks_ms

events = []
timers = []  # that run: (timer, callback)
ENDLESS_MS = 20000  # of silence, for a program that waits for something that never comes


class EndOfSound(Exception):
    pass


class Pin:
    OUT, IN = 1, 0

    def __init__(self, number, mode=-1):
        self.number = number

    def on(self):
        events.append("%s on" % self.number)

    def off(self):
        events.append("%s off" % self.number)


class Timer:
    # Its time is up as soon as the next samples are read, as real time does not pass here.
    ONE_SHOT, PERIODIC = 0, 1

    def init(self, *, mode=1, period=-1, callback=None):
        assert mode == Timer.ONE_SHOT and period > 0
        timers.append((self, callback))


class I2S(io.IOBase):
    # With the rules of a board's: what it takes, and what it gives to whom. Blocking until somebody polls it.
    RX, TX, MONO, STEREO = 4, 5, 0, 1
    open = None  # the one that is in use
    enough = None  # a function of the test: whether it has seen what it waits for

    def __init__(self, id, *, sck, ws, sd, mode, bits, format, rate, ibuf):
        assert (mode, bits, format, rate) == (I2S.RX, 16, I2S.MONO, 16000) and id in (0, 1)
        assert ibuf % 2048 == 0 and ibuf >= 4096, "an ESP32 keeps sound in blocks of 256 frames of 8 bytes"
        if isinstance(sck.number, int) and sck.number == 16:
            assert ws.number == sck.number + 1, "on a Pico WS is the pin behind SCK"
        self.polled = self.closed = False
        self.silent_since = None
        self.wav = open_wav("spoken.wav", rate)
        I2S.open = self

    @staticmethod
    def shift(*, buf, bits, shift):
        assert bits == 16 and len(buf) % 2 == 0
        for i in range(0, len(buf), 2):
            sample = (buf[i] | buf[i + 1] << 8) << shift & 0xFFFF
            buf[i], buf[i + 1] = sample & 0xFF, sample >> 8

    def ioctl(self, request, argument):
        if request != 3:
            return -1
        self.polled = True
        return argument & 1

    def deinit(self):
        self.closed = True

    def readinto(self, buffer):
        assert not self.closed
        assert len(buffer) % 2 == 0, "a board's I2S gives whole samples"
        for timer, callback in timers:
            callback(timer)
        timers.clear()
        asked = min(len(buffer), 102) if self.polled else len(buffer)  # as much as there is just now
        size = self.wav.readinto(memoryview(buffer)[:asked])
        if size:
            return size
        if self.silent_since is None:
            self.silent_since = ticks_ms()
        if I2S.enough is None or I2S.enough() or ticks_diff(ticks_ms(), self.silent_since) > ENDLESS_MS:
            raise EndOfSound
        for i in range(asked):
            buffer[i] = 0
        return asked


def open_wav(name, rate):
    f = open(name, "rb")
    head = f.read(44)
    assert head[:4] == b"RIFF" and head[20:24] == b"\x01\x00\x01\x00" and head[36:40] == b"data"
    assert int.from_bytes(head[24:28], "little") == rate
    return f
