# The audio front end: samples -> the features of a frame -> the bytes that a model takes.
#
#     fe = whit.audio.Frontend(m)
#     at = fe.feed(samples, 0, 160)
#     if fe.ready: ...fe.data...
#
# TensorFlow's microfrontend, value for value, in integers. A set of front-end kernels is a module with
# feed(section, state, features, data, samples, first, last): device/kernels/audio/audio.c says what it does.

from array import array
from struct import pack_into, unpack_from

from . import forget


class Frontend:
    """rate, window, step: samples a second, of a frame, and from one frame to the next. channels: features of a frame.

    features: array("H") of the latest frame, as the reference's integers; data: the same as the model's input bytes.
    ready: whether the last feed() completed a frame. kernels: "native" or "viper".
    """

    def __init__(self, m, kernels=None):
        """m: a model that was packed with a front end, or the bytes of such a section.

        kernels: "native", "viper", or None for native where this board has it. Raises ValueError for what has no front
        end that can be used, or where no kernels run.
        """
        from . import frontend

        try:
            self._section, (self.rate, self.window, self.step, self.channels) = frontend.section(m)
            self.kernels, self._feed = frontend.select(kernels)
            state = frontend.ESTIMATES + 4 * self.channels + 2 * self.window
        finally:
            frontend = None
            forget("frontend")
        self._state = bytearray(state)  # as device/kernels/audio/frontend.h has it
        self.features = array("H", bytes(2 * self.channels))
        self.data = bytearray(self.channels)
        self.reset()

    def feed(self, samples, first, last):
        """Take samples[first:last] until a frame is complete or none are left, allocating nothing.

        samples: a buffer of int16, little-endian. Returns the index behind the last sample taken.
        """
        try:
            if not 0 <= first <= last:
                raise ValueError
            unpack_from("", samples, 2 * last)  # raises where they end before
        except (TypeError, ValueError, OverflowError):
            raise ValueError(
                "samples %s to %s are not in the buffer that feed() was given; give array('h'), or two bytes for each"
                % (first, last)
            )
        first = self._feed(self._section, self._state, self.features, self.data, samples, first, last)
        self.ready = first & 1 > 0
        return first >> 1

    def reset(self):
        """Forget all samples, and the estimates of noise that they led to."""
        state = self._state
        end = len(state) - 2 * self.window
        for i in range(end - 4 * self.channels, end):
            state[i] = 0
        pack_into("<HH", state, 0, self.window, 0)
        self.ready = False
