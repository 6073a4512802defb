"""Log-mel energies: 40 every 10 ms from windows of 25 ms, equal to Kaldi's filterbank features.

Options (Kaldi's names): dither 0, remove_dc_offset, preemph_coeff 0.97, window_type povey,
round_to_power_of_two, use_power, use_log_fbank, low_freq 20, high_freq 7600 Hz for 16 kHz and 3800
Hz for 8 kHz data, samples in [-1, 1). snip_edges is false: frame t is centred at (t + 1/2) 10 ms,
and n samples give (n + shift/2) // shift frames, the duration of the audio to the nearest frame.
Samples beyond the ends are mirrored.

Audio above 16 kHz is resampled to 16 kHz, audio between 8 and 16 kHz to 8 kHz. Frames are
transformed in batches, which is about ten times as fast as kaldi-native-fbank; the tests compare
the two.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import numba
import numpy as np
import scipy.fft

from workbench.corpus.frames.window import MEL
from workbench.settings.frame import FRAMES_PER_SECOND

LOW = 20.0
"""Lower edge of the lowest filter, in Hz."""

HIGH = {16000: 7600.0, 8000: 3800.0}
"""Upper edge of the highest filter, in Hz, by rate of the features."""

FLOOR = np.float32(np.finfo(np.float32).eps)
"""Kaldi's smallest energy; with samples in [-1, 1) about 60 dB below quiet speech."""

WINDOWS_PER_SECOND = 40  # a window has 25 ms
PREEMPHASIS = np.float32(0.97)
POVEY_EXPONENT = 0.85
BLOCK = 1024  # frames transformed at once: they fit into the caches, and memory stays bounded


def log_mel(samples: np.ndarray, rate: int, to: int | None = None) -> np.ndarray:
    """Return natural logarithms of mel energies, float32 [T, 40], of ``samples`` [n].

    ``to`` is the rate of the features, 8000 or 16000; None takes that of `feature_rate`. Raise
    ValueError for audio below 8 kHz.
    """
    to = to or feature_rate(rate)
    bank = filterbank(to)
    samples = resample(np.ascontiguousarray(samples, np.float32), rate, to)

    frames = (len(samples) + bank.shift // 2) // bank.shift
    out = np.empty((frames, MEL), np.float32)
    buffer = np.zeros((min(frames, BLOCK), bank.transform_size), np.float32)

    for first in range(0, frames, BLOCK):
        block = buffer[: min(BLOCK, frames - first)]
        _cut_frames(samples, first, bank.shift, bank.window, block)
        spectrum = scipy.fft.rfft(block, axis=1).view(np.float32)
        _sum_energies(spectrum, bank.first, bank.count, bank.weight, FLOOR, out[first:])

    return np.log(out, out=out)


def feature_rate(rate: int) -> int:
    """Return 16000 or 8000, the rate that audio of ``rate`` Hz is brought to.

    Raise ValueError for audio below 8 kHz.
    """
    if rate < 8000:
        raise ValueError(f"{rate} Hz: at least 8000")
    return 16000 if rate >= 16000 else 8000


def resample(samples: np.ndarray, rate: int, to: int) -> np.ndarray:
    """Return ``samples`` [n] at ``rate`` Hz, resampled to ``to`` Hz by a polyphase filter."""
    if rate == to or not len(samples):
        return samples

    # Most corpora need no resampling, and this import takes a second.
    from scipy.signal import resample_poly

    common = math.gcd(rate, to)
    up = to // common
    down = rate // common
    return resample_poly(samples, up, down, window=_low_pass(max(up, down)))


@lru_cache(maxsize=8)
def _low_pass(factor: int) -> np.ndarray:
    """Return the filter that resample_poly would otherwise design again for every utterance."""
    from scipy.signal import firwin

    return firwin(20 * factor + 1, 1 / factor, window=("kaiser", 5.0)).astype(np.float32)


@dataclass(frozen=True)
class Filterbank:
    """Kaldi's analysis window, and triangular filters in mel, for features of one rate.

    Filter m is ``weight[m, :count[m]]`` over the bins of the spectrum from ``first[m]`` on.
    """

    shift: int  # samples from one frame to the next
    transform_size: int  # of the Fourier transform, a power of two
    window: np.ndarray  # float32 [samples of a window]
    first: np.ndarray  # int64 [40]
    count: np.ndarray  # int64 [40]
    weight: np.ndarray  # float32 [40, longest filter]


@lru_cache(maxsize=2)
def filterbank(rate: int) -> Filterbank:
    """Return the povey window and the mel filters for features at ``rate``, 8000 or 16000 Hz."""
    length = rate // WINDOWS_PER_SECOND
    size = 1 << (length - 1).bit_length()
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / (length - 1))
    window = hann**POVEY_EXPONENT

    mels = hertz_to_mel(np.arange(size // 2) * rate / size)
    edges = np.linspace(hertz_to_mel(LOW), hertz_to_mel(HIGH[rate]), MEL + 2)
    left = edges[:-2]
    centre = edges[1:-1]
    right = edges[2:]
    rise = (mels - left[:, None]) / (centre - left)[:, None]
    fall = (right[:, None] - mels) / (right - centre)[:, None]
    weight = np.maximum(0.0, np.minimum(rise, fall))

    first = (weight > 0).argmax(axis=1)
    count = (weight > 0).sum(axis=1)
    packed = np.zeros((MEL, count.max()), np.float32)
    for m in range(MEL):
        packed[m, : count[m]] = weight[m, first[m] : first[m] + count[m]]

    return Filterbank(
        shift=rate // FRAMES_PER_SECOND,
        transform_size=size,
        window=window.astype(np.float32),
        first=first,
        count=count,
        weight=packed,
    )


def hertz_to_mel(hertz: float | np.ndarray) -> np.ndarray:
    """Return ``hertz`` on the mel scale, 1127 ln(1 + f/700)."""
    return 1127.0 * np.log1p(np.asarray(hertz) / 700.0)


@numba.njit(cache=True, nogil=True)
def _cut_frames(
    samples: np.ndarray, first: int, shift: int, window: np.ndarray, out: np.ndarray
) -> None:  # pragma: no cover
    """Write the frames from ``first`` on to the left of the rows of ``out``.

    The mean is taken off, then come pre-emphasis and window.
    """
    n = len(samples)
    length = len(window)

    for t in range(len(out)):
        row = out[t]
        start = (first + t) * shift + shift // 2 - length // 2

        if start >= 0 and start + length <= n:
            row[:length] = samples[start : start + length]
        else:
            for i in range(length):
                s = start + i
                while s < 0 or s >= n:
                    s = -s - 1 if s < 0 else 2 * n - 1 - s
                row[i] = samples[s]

        mean = row[:length].sum() / np.float32(length)
        for i in range(length):
            row[i] -= mean
        for i in range(length - 1, 0, -1):
            row[i] = (row[i] - PREEMPHASIS * row[i - 1]) * window[i]
        row[0] = (row[0] - PREEMPHASIS * row[0]) * window[0]


@numba.njit(cache=True, nogil=True)
def _sum_energies(
    spectrum: np.ndarray,
    first: np.ndarray,
    count: np.ndarray,
    weight: np.ndarray,
    floor: np.float32,
    out: np.ndarray,
) -> None:  # pragma: no cover
    """Write mel energies, at least ``floor``, to the first rows of ``out``.

    ``spectrum`` float32 [frames, 2 bins] holds real and imaginary parts in turn.
    """
    for t in range(len(spectrum)):
        for m in range(len(first)):
            total = np.float32(0.0)
            for k in range(count[m]):
                j = 2 * (first[m] + k)
                power = spectrum[t, j] * spectrum[t, j] + spectrum[t, j + 1] * spectrum[t, j + 1]
                total += weight[m, k] * power
            out[t, m] = max(total, floor)


def mel_or_fault(samples: np.ndarray, recorded: int, rate: int) -> np.ndarray | str:
    """Return log-mel energies float32 [T, 40] at ``rate`` Hz, or in words why there are none."""
    if recorded < rate:
        return "sample rate too low"
    if not len(samples):
        return "empty audio"
    if not np.isfinite(samples).all():
        return "audio not finite"
    if samples.min() == samples.max():
        return "silent audio"

    energies = log_mel(samples, recorded, rate)
    if not len(energies):
        return "too short for a frame"
    if not np.isfinite(energies).all():
        return "audio out of range"
    return energies
