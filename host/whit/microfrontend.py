"""The audio front end: its parameters, and the integer tables that follow from them.

A frame of samples becomes one feature a channel, as TensorFlow's microfrontend computes it (lib of tensorflow/lite/
experimental/microfrontend, which the package pymicro-features holds): a window, a real FFT of 512 points in int16,
energies gathered by mel slopes, square roots, noise reduction, gain control, a logarithm. All of it is integer
arithmetic over tables. The tables are made with C's float; here that is numpy's float32, operation by operation. C's
cosf() and powf() are right to the last bit. Its log1pf() is not everywhere, and two weights of the default parameters
tell: taken is that of fdlibm, which glibc before 2.41 has, and newlib, so the boards that microWakeWord runs on.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .errors import WhitError, shortened

FFT = 512
SPECTRUM = FFT // 2 + 1
CORRECTION_BITS = 3  # log2(FFT) less half of the 12 bits of a weight
WEIGHT_ONE = 1 << 12
NOISE_BITS = 14
SNR_BITS = 12  # of a signal to noise ratio in gain control
GAIN_ENTRIES = 125
LOG_ENTRIES = 130
FEATURE_SCALE = 0.0390625  # what one unit of a feature stands for where pymicro-features and microWakeWord give floats

_f = np.float32


@dataclass(frozen=True)
class Parameters:
    """What a front end computes; the defaults are those of pymicro-features, by which microWakeWord's models are made.

    Raises:
        WhitError: a value of another type or out of range, or a window that is not 257 to 512 samples.
    """

    rate: int = 16000  # samples a second
    window_ms: int = 30
    step_ms: int = 10
    channels: int = 40
    lower_band_limit: float = 125.0  # Hz, where the first mel slope starts
    upper_band_limit: float = 7500.0  # Hz, where the last one ends
    smoothing_bits: int = 10  # more bits of the noise estimate
    even_smoothing: float = 0.025  # how much of a frame goes into the estimate, of channels 0, 2, ...
    odd_smoothing: float = 0.06
    min_signal_remaining: float = 0.05  # the part of a signal that noise reduction leaves
    enable_pcan: bool = True  # gain control by the noise estimate
    pcan_strength: float = 0.95
    pcan_offset: float = 80.0
    gain_bits: int = 21
    enable_log: bool = True
    scale_shift: int = 6  # features are logarithms times 2 ** scale_shift
    feature_scale: float = FEATURE_SCALE  # real value of one unit of a feature, as the model was trained with

    def __post_init__(self) -> None:
        for name, (low, high) in _RANGES.items():
            _check(name, getattr(self, name), low, high, isinstance(getattr(Parameters, name), int))
        for name in ("enable_pcan", "enable_log"):
            if not isinstance(getattr(self, name), bool):
                raise WhitError(
                    f"{name} is {shortened(repr(getattr(self, name)))}, true or false is supported; correct it"
                )
        if not FFT // 2 < self.window <= FFT:
            raise WhitError(
                f"window_ms {self.window_ms} is {self.window} samples at {self.rate} a second, 257 to 512 are "
                "supported; choose a window of that size"
            )
        if not 1 <= self.step <= self.window:
            raise WhitError(
                f"step_ms {self.step_ms} is {self.step} samples at {self.rate} a second, 1 to the window's "
                f"{self.window} are supported; choose a step of that size"
            )
        if not self.lower_band_limit < self.upper_band_limit < self.rate / 2:
            raise WhitError(
                f"the bands reach from {self.lower_band_limit:g} to {self.upper_band_limit:g} Hz, which must be less "
                f"than half of the {self.rate} samples a second; choose other limits"
            )
        if self.enable_pcan and self.smoothing_bits < CORRECTION_BITS:
            raise WhitError(
                f"smoothing_bits is {self.smoothing_bits}, gain control needs {CORRECTION_BITS} at least; correct it, "
                "or set enable_pcan to false"
            )

    @property
    def window(self) -> int:
        """Samples of a frame."""
        return self.window_ms * self.rate // 1000

    @property
    def step(self) -> int:
        """Samples from one frame to the next."""
        return self.step_ms * self.rate // 1000


# Within these the reference's integers neither overflow nor shift by more than they have bits.
_RANGES: dict[str, tuple[float, float]] = {
    "rate": (1000, 192000),
    "window_ms": (1, 1000),
    "step_ms": (1, 1000),
    "channels": (1, 64),
    "lower_band_limit": (0, 96000),
    "upper_band_limit": (0, 96000),
    "smoothing_bits": (0, 16),
    "even_smoothing": (0, 1),
    "odd_smoothing": (0, 1),
    "min_signal_remaining": (0, 1),
    "pcan_strength": (0, 4),
    "pcan_offset": (1e-3, 1e6),
    "gain_bits": (SNR_BITS + CORRECTION_BITS, 31),
    "scale_shift": (0, 11),
    "feature_scale": (1e-6, 1e6),
}


def _check(name: str, value: object, low: float, high: float, whole: bool) -> None:
    kind = "a whole number" if whole else "a number"
    allowed = int if whole else (int, float)
    if isinstance(value, bool) or not isinstance(value, allowed) or not low <= value <= high:
        raise WhitError(f"{name} is {shortened(repr(value))}, {kind} from {low:g} to {high:g} is supported; correct it")


@dataclass(frozen=True, eq=False)
class Tables:
    """What the FRONTEND section holds beside the scaling: the integers that the kernels compute with."""

    rate: int
    window: int
    step: int
    first: int  # bin of the spectrum
    end: int  # behind the last one
    even_smoothing: int  # these three in 1/2**NOISE_BITS
    odd_smoothing: int
    least_remaining: int
    smoothing_bits: int
    gain_shift: int  # 0 without gain control
    log_shift: int
    correction_bits: int
    coefficients: np.ndarray  # i16 [window], in 1/2**12
    twiddles: np.ndarray  # i16 [192, 2], exp(-2 pi i k / 256)
    real_twiddles: np.ndarray  # i16 [128, 2], exp(-pi i ((k + 1) / 256 + 1/2))
    widths: np.ndarray  # u8 [channels + 1], bins of each mel slope
    # i16 [end - first], of a bin for the channel that its slope falls to; WEIGHT_ONE less, for the next
    weights: np.ndarray
    gain: np.ndarray | None  # i16 [GAIN_ENTRIES], None without gain control
    log: np.ndarray | None  # u16 [LOG_ENTRIES], None without logarithm

    @property
    def channels(self) -> int:
        return len(self.widths) - 1


def tables(p: Parameters) -> Tables:
    """The integers of a front end with these parameters.

    Raises:
        WhitError: bands that hold no bin of the spectrum, or slopes that the format cannot hold.
    """
    first, end, widths, weights = _slopes(p)
    parts = p.even_smoothing, p.odd_smoothing, p.min_signal_remaining
    even, odd, least = (int(_f(part) * _f(1 << NOISE_BITS)) for part in parts)
    return Tables(
        p.rate,
        p.window,
        p.step,
        first,
        end,
        even,
        odd,
        least,
        p.smoothing_bits,
        p.gain_bits - CORRECTION_BITS - SNR_BITS if p.enable_pcan else 0,
        p.scale_shift,
        CORRECTION_BITS,
        _window(p.window),
        _rotations([-2 * math.pi * k / (FFT // 2) for k in range(FFT * 3 // 8)]),
        _rotations([-math.pi * ((k + 1) / (FFT // 2) + 0.5) for k in range(FFT // 4)]),
        widths,
        weights,
        _gain(p) if p.enable_pcan else None,
        _log() if p.enable_log else None,
    )


def _window(size: int) -> np.ndarray:
    """A Hann window."""
    step = _f(math.pi) * _f(2) / _f(size)
    angles = step * (np.arange(size).astype(_f) + _f(0.5))
    values = _f(0.5) - _f(0.5) * np.array([math.cos(a) for a in angles.tolist()], _f)
    return np.floor(values * _f(1 << 12) + _f(0.5)).astype(np.int16)


def _rotations(angles: list[float]) -> np.ndarray:
    """Real and imaginary parts of exp(i angle) as kissfft rounds them."""
    parts = [[math.floor(0.5 + 32767 * part) for part in (math.cos(a), math.sin(a))] for a in angles]
    return np.array(parts, np.int16)


# Coefficients of fdlibm's s_log1pf.c: ln 2 in two parts, and the series in (f / (2 + f)) ** 2 of what is left.
_LN2 = [_f(float.fromhex(x)) for x in ("0x1.62e3p-1", "0x1.2fefa2p-17")]
_SERIES = (0.66666668653, 0.4000000059, 0.2857142985, 0.2222219855, 0.1818357259, 0.1531383842, 0.1479819864)


def _log1pf(x: np.ndarray) -> np.ndarray:
    """log(1 + x) of float32 x >= 0, rounded as fdlibm does: 1 + x = 2**k (1 + f), f in [-0.293, 0.4143)."""
    u = _f(1) + x
    fraction, k = np.frexp(u)  # fraction in [0.5, 1)
    low = fraction < _f(float.fromhex("0x1.6a09eep-1"))  # sqrt(1/2)
    f = np.where(low, fraction * _f(2), fraction) - _f(1)
    k = (k - low).astype(_f)
    lost = np.where(u >= 2, _f(1) - (u - x), x - (u - _f(1))) / u  # what 1 + x was rounded by
    small = x < _f(float.fromhex("0x1.a827aep-2"))  # sqrt(2) - 1
    f, k, lost = np.where(small, x, f), np.where(small, _f(0), k), np.where(small, _f(0), lost)
    half = _f(0.5) * f * f
    s = f / (_f(2) + f)
    z = s * s
    series = np.zeros_like(z)
    for coefficient in reversed(_SERIES):
        series = z * (_f(coefficient) + series)
    tail = s * (half + series)
    return np.where(k == 0, f - (half - tail), k * _LN2[0] - ((half - (tail + (k * _LN2[1] + lost))) - f))


def _mel(frequency: np.ndarray) -> np.ndarray:
    return _f(1127) * _log1pf(frequency.astype(_f) / _f(700))


def _slopes(p: Parameters) -> tuple[int, int, np.ndarray, np.ndarray]:
    """First bin and end, bins of each slope, and the weight of each bin."""
    bin_hz = _f(0.5) * _f(p.rate) / _f(SPECTRUM - 1)
    low, high = _mel(np.array([p.lower_band_limit, p.upper_band_limit], _f))
    spacing = (high - low) / _f(p.channels + 1)
    centers = low + spacing * np.arange(1, p.channels + 2).astype(_f)
    mel = _mel(np.arange(SPECTRUM).astype(_f) * bin_hz)
    first = int(_f(1.5) + _f(p.lower_band_limit) / bin_hz)
    ends = np.maximum(np.searchsorted(mel, centers, "right"), first)
    end = int(ends[-1])
    if not first < end < SPECTRUM:
        raise WhitError(
            f"the bands from {p.lower_band_limit:g} to {p.upper_band_limit:g} Hz hold no usable part of a spectrum of "
            f"{SPECTRUM} lines {bin_hz:g} Hz apart; choose other limits"
        )
    widths = np.diff(ends, prepend=first)
    slope = np.repeat(np.arange(p.channels + 1), widths)
    starts = np.concatenate([[low], centers[:-1]]).astype(_f)
    parts = (centers[slope] - mel[first:end]) / (centers[slope] - starts[slope])
    weights, others = (np.floor(part * _f(WEIGHT_ONE) + _f(0.5)).astype(np.int16) for part in (parts, _f(1) - parts))
    if (weights + others != WEIGHT_ONE).any():
        raise WhitError(
            f"the weights of {p.channels} channels from {p.lower_band_limit:g} to {p.upper_band_limit:g} Hz do not add "
            "up to one; choose other limits"
        )
    return first, end, widths.astype(np.uint8), weights


def _gain(p: Parameters) -> np.ndarray:
    """The gain by the noise estimate x: entries for 0 and 1, then for each power of two, [2**(n - 1), 2**n), a parabola
    by its value at the start and the coefficients of the distance and of its square, and an unused entry.
    """

    def gain(x: int) -> int:
        noise = _f(x) / _f(1 << (p.smoothing_bits - CORRECTION_BITS)) + _f(p.pcan_offset)
        value = _f(1 << p.gain_bits) * _f(float(noise) ** -float(_f(p.pcan_strength)))
        return 32767 if value > 32767 else int(value + _f(0.5))

    table = np.zeros(GAIN_ENTRIES, np.int64)
    table[:2] = gain(0), gain(1)
    for n in range(2, 33):
        x0 = 1 << (n - 1)
        y0, y1, y2 = (gain(x) for x in (x0, x0 + (x0 >> 1), min(2 * x0, (1 << 32) - 1)))
        square = (y2 - y0) - (4 * (y1 - y0) - (y2 - y0))
        table[4 * n - 6 : 4 * n - 3] = y0, 4 * (y1 - y0) - (y2 - y0), square
    return table.astype(np.int16)


def _log() -> np.ndarray:
    """log2(1 + x) - x at the 128ths, in 1/2**16; then padding."""
    table = np.zeros(LOG_ENTRIES, np.uint16)
    table[:129] = [round(65536 * (math.log2(1 + i / 128) - i / 128)) for i in range(129)]
    return table
