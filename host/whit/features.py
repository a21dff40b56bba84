"""features: samples -> what a front end computes of them, on the PC. The same integers as on a board, by numpy.

For training a model on the features that it will get, and as the third opinion beside the kernels and the reference.
Each function here is one stage of tensorflow/lite/experimental/microfrontend/lib; where its C would leave the width of
an integer, so does this.
"""

from __future__ import annotations

import numpy as np

from .errors import WhitError
from .microfrontend import (
    CORRECTION_BITS,
    FFT,
    NOISE_BITS,
    SNR_BITS,
    WEIGHT_ONE,
    Parameters,
    Tables,
    tables,
)

_OUTPUT_BITS = 6  # of what gain control makes
_LN2 = 45426  # in 1/2**16
_AT_ONCE = 512  # frames, so that their spectra take little memory


class Frontend:
    """A front end that is fed piece by piece.

    Args:
        parameters: what it computes; or the tables of a section.
    """

    def __init__(self, parameters: Parameters | Tables = Parameters()) -> None:  # noqa: B008 frozen
        self.tables = parameters if isinstance(parameters, Tables) else tables(parameters)
        self.reset()

    def reset(self) -> None:
        """Forget the samples that no frame is complete with, and the noise."""
        self._left: np.ndarray = np.zeros(0, np.int16)
        self._noise = np.zeros(self.tables.channels, np.uint64)

    def feed(self, samples: np.ndarray) -> np.ndarray:
        """The features uint16 [frames, channels] of the frames that `samples` complete: int16, of any number.

        Raises:
            WhitError: samples of another type or with another axis beside time.
        """
        t = self.tables
        samples = np.asarray(samples)
        if samples.dtype != np.int16 or samples.ndim != 1:
            raise WhitError(
                f"samples are {samples.dtype} {samples.shape}, int16 with one axis is supported; convert them"
            )
        samples = np.concatenate([self._left, samples])
        count = max(0, (len(samples) - t.window) // t.step + 1)
        self._left = samples[count * t.step :].copy()
        found = [np.zeros((0, t.channels), np.uint16)]
        for start in range(0, count, _AT_ONCE):
            at = np.arange(start, min(start + _AT_ONCE, count)) * t.step
            found.append(self._frames(samples[at[:, None] + np.arange(t.window)]))
        return np.concatenate(found)

    def _frames(self, samples: np.ndarray) -> np.ndarray:
        t = self.tables
        points, shift = _windowed(samples, t)
        signal, noise = self._reduced(_energies(_spectrum(points, t), t, shift))
        if t.gain is not None:
            signal = _controlled(signal, noise, t)
        if t.log is not None:
            signal = _logarithm(signal, t)
        return np.minimum(signal, 0xFFFF).astype(np.uint16)

    def _reduced(self, signal: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Noise reduction: what is left of a signal [frames, channels], and the estimates of the noise."""
        t = self.tables
        part = np.resize(np.array([t.even_smoothing, t.odd_smoothing], np.uint64), t.channels)
        rest = (1 << NOISE_BITS) - part
        fine = (signal << np.uint64(t.smoothing_bits)) & 0xFFFFFFFF
        estimates = np.empty_like(fine)
        for i, frame in enumerate(fine):
            self._noise = ((frame * part + self._noise * rest) >> np.uint64(NOISE_BITS)) & 0xFFFFFFFF
            estimates[i] = self._noise
        left = (fine - np.minimum(estimates, fine)) >> np.uint64(t.smoothing_bits)
        return np.maximum(left, (signal * np.uint64(t.least_remaining)) >> np.uint64(NOISE_BITS)), estimates


def features(samples: np.ndarray, parameters: Parameters | Tables = Parameters()) -> np.ndarray:  # noqa: B008 frozen
    """The features uint16 [frames, channels] of a recording, int16 [samples].

    By default these are those of pymicro-features, which gives them times 0.0390625; for others there is
    whit.frontend.Parameters.

    Raises:
        WhitError: samples that are not int16 with one axis.
    """
    return Frontend(parameters).feed(samples)


def _windowed(samples: np.ndarray, t: Tables) -> tuple[np.ndarray, np.ndarray]:
    """Samples [frames, window] -> the points of the FFT, int16 [frames, FFT], and the bits they were shifted by."""
    values = ((samples.astype(np.int32) * t.coefficients) >> 12).astype(np.int16)
    # -32768 has no positive int16: it stays negative, and does not count.
    largest = np.where(values < 0, -values, values).max(axis=1, initial=0)
    shift = 15 - _bits(largest.astype(np.int64))
    points = np.zeros((len(samples), FFT), np.int16)
    points[:, : t.window] = values << shift[:, None].astype(np.int16)
    return points, shift


def _bits(x: np.ndarray) -> np.ndarray:
    """How many bits each number of less than 2**53 has; 0 of 0."""
    return np.frexp(x.astype(np.float64))[1].astype(np.int64)


def _rounded(product: np.ndarray) -> np.ndarray:
    """A product of two Q15 numbers, as kissfft rounds it."""
    return ((product + (1 << 14)) >> 15).astype(np.int16)


def _times(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The complex product of int16 [..., 2]."""
    a, b = x.astype(np.int32), y.astype(np.int32)
    re = a[..., 0] * b[..., 0] - a[..., 1] * b[..., 1]
    im = a[..., 0] * b[..., 1] + a[..., 1] * b[..., 0]
    return np.stack([_rounded(re), _rounded(im)], axis=-1)


def _spectrum(points: np.ndarray, t: Tables) -> np.ndarray:
    """The real FFT over FFT of int16 [frames, FFT]: int16 [frames, FFT // 2, 2]. The first line is not computed.

    The even points are the real parts and the odd ones the imaginary parts of a complex FFT in passes of radix 4.
    """
    frames, half = len(points), FFT // 2
    digits = np.arange(half).reshape(4, 4, 4, 4).transpose().ravel()
    x = points.reshape(frames, half, 2)[:, digits]
    for m in (1, 4, 16, 64):
        x = x.reshape(frames, half // (4 * m), 4, m, 2)
        quarter = _rounded(x.astype(np.int32) * (32767 // 4))
        k = np.arange(m) * (half // (4 * m))
        a = quarter[:, :, 0]
        b, c, d = (_times(quarter[:, :, i], t.twiddles[i * k]) for i in (1, 2, 3))
        sums, differences = a + c, a - c
        cross = np.stack([(b - d)[..., 1], -(b - d)[..., 0]], axis=-1)
        x = np.stack([sums + (b + d), differences + cross, sums - (b + d), differences - cross], axis=2)
    x = x.reshape(frames, half, 2)
    halves = _rounded(x.astype(np.int32) * (32767 // 2))
    mirrored = _rounded(_conjugate(x).astype(np.int32) * (32767 // 2))
    low, high = halves[:, 1 : half // 2 + 1], mirrored[:, : half // 2 - 1 : -1]
    even, odd = low + high, _times(low - high, t.real_twiddles)
    out = np.zeros_like(x)
    wide, turned = even.astype(np.int32), odd.astype(np.int32)
    out[:, 1 : half // 2 + 1] = (wide + turned) >> 1
    out[:, : half // 2 - 1 : -1, 0] = (wide - turned)[..., 0] >> 1
    out[:, : half // 2 - 1 : -1, 1] = (turned - wide)[..., 1] >> 1
    return out


def _conjugate(x: np.ndarray) -> np.ndarray:
    return np.stack([x[..., 0], -x[..., 1]], axis=-1)


def _energies(spectrum: np.ndarray, t: Tables, shift: np.ndarray) -> np.ndarray:
    """The roots of the energies of the channels, uint64 [frames, channels] of at most 32 bits."""
    lines = spectrum[:, t.first : t.end].astype(np.int64)
    # The sum of two squares may reach 2**31, which the reference reads as int32.
    energy = (lines**2).sum(-1).astype(np.int32).astype(np.int64).astype(np.uint64)
    weights = t.weights.astype(np.uint64)
    ends = np.cumsum(t.widths.astype(np.int64))
    rising, falling = (
        np.stack(
            [part[:, end - width : end].sum(1) for end, width in zip(ends, t.widths.tolist(), strict=True)], axis=1
        )
        for part in (energy * weights, energy * (WEIGHT_ONE - weights))
    )
    return _root(rising[:, 1:] + falling[:, :-1]) >> shift[:, None].astype(np.uint64)


def _root(n: np.ndarray) -> np.ndarray:
    """The square root of uint64, rounded to nearest as far as it fits 16 bits, and 32 where n has more than 32."""
    most = np.uint64(0xFFFFFFFF)
    root = np.minimum(np.sqrt(n.astype(np.float64)), 0xFFFFFFFF).astype(np.uint64)
    root -= root * root > n
    root += (root < most) & ((root + (root < most)) ** 2 <= n)
    limit = np.where(n >> np.uint64(32) == 0, np.uint64(0xFFFF), most)
    return root + ((n - root * root > root) & (root != limit))


def _int32(x: np.ndarray) -> np.ndarray:
    return x.astype(np.int32).astype(np.int64)


def _controlled(signal: np.ndarray, noise: np.ndarray, t: Tables) -> np.ndarray:
    """Gain control: the signal to noise ratio, its square where it is small."""
    assert t.gain is not None
    table = t.gain.astype(np.int64)
    x = noise.astype(np.int64)
    n = np.maximum(_bits(x), 2)
    at = 4 * n - 6
    distance = np.where(n < 11, x << np.maximum(11 - n, 0), x >> np.maximum(n - 11, 0)) & 0x3FF
    parabola = _int32((table[at + 2] * distance >> 5) + (table[at + 1] << 5))
    parabola = (_int32(_int32(parabola * distance) + (1 << 14)) >> 15) + table[at]
    gain = np.where(x <= 2, table[np.minimum(x, 2)], parabola).astype(np.int16)
    ratio = (signal * gain.astype(np.uint32).astype(np.uint64) >> np.uint64(t.gain_shift)).astype(np.int64) & 0xFFFFFFFF
    small = (ratio * ratio & 0xFFFFFFFF) >> (2 + 2 * SNR_BITS - _OUTPUT_BITS)
    large = (ratio >> (SNR_BITS - _OUTPUT_BITS)) - (1 << _OUTPUT_BITS)
    return np.where(ratio < 2 << SNR_BITS, small, large).astype(np.uint64)


def _logarithm(signal: np.ndarray, t: Tables) -> np.ndarray:
    """Natural logarithms, times 2**log_shift."""
    assert t.log is not None
    x = (signal << np.uint64(CORRECTION_BITS)).astype(np.int64) & 0xFFFFFFFF
    whole = np.maximum(_bits(x) - 1, 0)
    part = x - (1 << whole)
    part = np.where(whole < 16, part << np.maximum(16 - whole, 0), part >> np.maximum(whole - 16, 0))
    part = np.maximum(part, 0)  # of 0, which is not used
    segment = part >> 9
    table = t.log.astype(np.int64)
    start = table[segment]
    part = part + start + ((table[segment + 1] - start) * (part - (segment << 9)) >> 16)
    natural = (_LN2 * ((whole << 16) + part) + (1 << 15)) >> 16
    scaled = ((natural << t.log_shift) + (1 << 15)) >> 16
    return np.where(x > 1, scaled, 0).astype(np.uint64)
