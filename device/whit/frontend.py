# What a Frontend needs once: its section, checked, so that no kernel can leave its memory, and its kernels.

import struct
import sys

from . import format as blob
from .kernelset import arch

# samples a second, window, step, channels, first bin, end bin, even, odd and least smoothing; smoothing bits, gain
# shift, log shift, correction bits, flags; of the input: shift, multiplier, rounding, limit. Then the tables.
HEADER = "<I8H6BHIHxx"
HEADER_BYTES = 36
ESTIMATES = 1028  # bytes of the state before them: u16 left, u16 at, and the points of the FFT
GAIN, LOGARITHM, UNSIGNED = 1, 2, 4  # flags


def section(m):
    # A Model or a buffer -> (its section, aligned to 4, (rate, window, step, channels))
    if hasattr(m, "section"):
        name = m.name
        view = m.section(blob.FRONTEND)
        if view is None:
            raise ValueError(name + " has no front end; pack it again with the JSON of its wake word")
    else:
        try:
            if isinstance(m, str):
                raise TypeError
            name, view = "the section", memoryview(m)
        except TypeError:
            raise ValueError(
                "Frontend takes a model or the bytes of a FRONTEND section, %s was given; load a model that has a "
                "front end" % type(m).__name__
            )
    found = check(name, view)
    from uctypes import addressof

    if addressof(view) & 3:
        view = bytearray(view)
    return view, found


def check(name, view):
    text = name + " is broken: its front end has %s; pack it again"
    if len(view) < HEADER_BYTES:
        raise ValueError(text % "the wrong size")
    rate, window, step, channels, first, end, *rest = struct.unpack_from(HEADER, view, 0)
    even, odd, least, bits, gain, scale, correction, flags, shift, multiplier, rounding, limit = rest
    bins = end - first
    if (
        not rate
        or not 256 < window <= 512
        or not 0 < step <= window
        or not 0 < channels <= 64
        or not 0 < first < end <= 256
        or max(even, odd, least) > 1 << 14
        or max(bits, gain, scale, correction, shift) > 31
        or flags > GAIN | LOGARITHM | UNSIGNED
        or multiplier * limit + rounding >> 31
    ):
        raise ValueError(text % "impossible values")
    at = HEADER_BYTES
    weights = at + _even(window) + 4 * (192 + 128) + (channels + 4 & ~3)
    size = weights + _even(bins) + (252 if flags & GAIN else 0) + (260 if flags & LOGARITHM else 0)
    if len(view) != size:
        raise ValueError(text % "the wrong size")
    widths = weights - (channels + 4 & ~3)
    if sum(view[widths : widths + channels + 1]) != bins:
        raise ValueError(text % "slopes that do not cover its bins")
    for start, count in (at, window), (weights, bins):
        for i in range(start, start + 2 * count, 2):
            if view[i] | view[i + 1] << 8 > 1 << 12:
                raise ValueError(text % "a weight over 1")
    return rate, window, step, channels


def _even(count):
    # Bytes of so many 16-bit numbers, in a table.
    return 2 * count + 3 & ~3


def select(wanted):
    # -> (name of the kernel set, feed). Raises ValueError for one that is not there.
    if wanted not in (None, "native", "viper"):
        raise ValueError("there are no %r kernels; use 'native' or 'viper'" % (wanted,))
    places = [("native", "whit_audio_%s"), ("viper", "whit_viper_%s.audio"), ("viper", "whit.viper.audio")]
    for name, module in places:
        if wanted in (None, name):
            if "%" in module:
                module = module % arch()
            try:
                __import__(module)
                return name, sys.modules[module].feed
            except (ImportError, ValueError, SyntaxError):  # of another architecture or ABI; no viper compiler
                pass
    raise ValueError(
        "no %s front-end kernels for %s are installed; copy whit_audio_%s.mpy, or whit and whit_viper_%s, to the board"
        % (wanted or "native or viper", arch() or "this firmware", arch(), arch())
    )
