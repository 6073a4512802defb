"""Log-mel energies: 40 per 10 ms from windows of 25 ms, Kaldi's filterbank features computed in batches of frames.

Options (Kaldi's names): dither 0, remove_dc_offset, preemph_coeff 0.97, window_type povey, round_to_power_of_two,
use_power, use_log_fbank, low_freq 20, high_freq 7600 Hz for 16 kHz and 3800 Hz for 8 kHz data, samples in [-1, 1).
snip_edges is false: frame t is centred at (t + 1/2) 10 ms, and n samples give (n + shift/2) // shift frames, the
duration of the audio to the nearest frame. Samples beyond the ends are mirrored.

Audio above 16 kHz is resampled to 16 kHz, audio between 8 and 16 kHz to 8 kHz. The tests hold this against
kaldi-native-fbank (``kaldi_log_mel``), which computes frame by frame and is about ten times slower.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import numba
import numpy as np
import scipy.fft

from workbench.corpus.audio import AudioError, AudioReader, read_audio
from workbench.corpus.frames.window import MEL

__all__ = [
    "HIGH",
    "LOW",
    "MEL",
    "AudioError",
    "AudioReader",
    "feature_rate",
    "frame_count",
    "log_mel",
    "read_audio",
]

LOW, HIGH = 20.0, {16000: 7600.0, 8000: 3800.0}  # Hz, by rate of the features
FLOOR = np.float32(
    np.finfo(np.float32).eps
)  # Kaldi's; with samples in [-1, 1) about 60 dB below quiet speech
BLOCK = 1024  # frames transformed at once: what fits into the caches, and bounds the memory for any length


def log_mel(samples: np.ndarray, rate: int, to: int | None = None) -> np.ndarray:
    """Natural logarithms of 40 mel energies, float32 [T, 40], of ``samples`` [n] at ``rate`` Hz.

    ``to``: rate of the features, 8000 or 16000 (None: what ``feature_rate`` says). ValueError for rates below 8 kHz.
    """
    to = to or feature_rate(rate)
    bank = filterbank(to)
    samples = resample(np.ascontiguousarray(samples, np.float32), rate, to)
    frames = (len(samples) + bank.shift // 2) // bank.shift
    out = np.empty((frames, MEL), np.float32)
    framed = np.zeros((min(frames, BLOCK), bank.size), np.float32)
    for first in range(0, frames, BLOCK):
        block = framed[: min(BLOCK, frames - first)]
        _frame(samples, first, bank.shift, bank.window, block)
        spectrum = scipy.fft.rfft(block, axis=1)
        _energies(
            spectrum.view(np.float32), bank.first, bank.count, bank.weight, FLOOR, out[first:]
        )
    return np.log(out, out=out)


def feature_rate(rate: int) -> int:
    """Rate that audio of ``rate`` Hz is brought to: 16000 or 8000; ValueError below 8000."""
    if rate < 8000:
        raise ValueError(f"{rate} Hz: at least 8000")
    return 16000 if rate >= 16000 else 8000


def frame_count(seconds: float) -> int:
    """Frames of 10 ms that ``log_mel`` makes of so much audio."""
    return int(seconds * 100 + 0.5)


def resample(samples: np.ndarray, rate: int, to: int) -> np.ndarray:
    """``samples`` [n] at ``rate`` brought to ``to`` Hz by a polyphase filter (Kaiser window)."""
    if rate == to or not len(samples):
        return samples
    from scipy.signal import (
        resample_poly,
    )  # most corpora need no resampling, and the import takes a second

    common = math.gcd(rate, to)
    up, down = to // common, rate // common
    return resample_poly(samples, up, down, window=_lowpass(max(up, down)))


@lru_cache(maxsize=8)
def _lowpass(factor: int) -> np.ndarray:
    """The filter that resample_poly would design anew for every utterance."""
    from scipy.signal import firwin

    return firwin(20 * factor + 1, 1 / factor, window=("kaiser", 5.0)).astype(np.float32)


@dataclass(frozen=True)
class Filterbank:
    """Triangles in mel for one rate: filter m is ``weight[m, :count[m]]`` over the bins from ``first[m]``."""

    shift: int
    size: int  # of the Fourier transform
    window: np.ndarray
    first: np.ndarray
    count: np.ndarray
    weight: np.ndarray


@lru_cache(maxsize=2)
def filterbank(rate: int) -> Filterbank:
    """Kaldi's povey window and mel filters for features at ``rate`` (8000 or 16000 Hz)."""
    length, shift = rate // 40, rate // 100
    size = 1 << (length - 1).bit_length()
    window = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / (length - 1))) ** 0.85
    mels = mel(np.arange(size // 2) * rate / size)
    edges = np.linspace(mel(LOW), mel(HIGH[rate]), MEL + 2)
    rise = (mels - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    fall = (edges[2:, None] - mels) / (edges[2:] - edges[1:-1])[:, None]
    weight = np.maximum(0.0, np.minimum(rise, fall))
    first, count = (weight > 0).argmax(axis=1), (weight > 0).sum(axis=1)
    packed = np.zeros((MEL, count.max()), np.float32)
    for m in range(MEL):
        packed[m, : count[m]] = weight[m, first[m] : first[m] + count[m]]
    return Filterbank(shift, size, window.astype(np.float32), first, count, packed)


def mel(hertz):
    """The mel scale, 1127 ln(1 + f/700)."""
    return 1127.0 * np.log1p(np.asarray(hertz) / 700.0)


@numba.njit(cache=True, nogil=True)
def _frame(samples, first, shift, window, out):  # pragma: no cover
    """Frames ``first`` ... of ``samples`` into the left of the rows of ``out``: mean off, pre-emphasis, window."""
    n, length = len(samples), len(window)
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
            row[i] = (row[i] - np.float32(0.97) * row[i - 1]) * window[i]
        row[0] = (row[0] - np.float32(0.97) * row[0]) * window[0]


@numba.njit(cache=True, nogil=True)
def _energies(spectrum, first, count, weight, floor, out):  # pragma: no cover
    """Mel energies, at least ``floor``, of ``spectrum`` (real, imaginary, ...) into the first rows of ``out``."""
    for t in range(len(spectrum)):
        for m in range(len(first)):
            total = np.float32(0.0)
            for k in range(count[m]):
                j = 2 * (first[m] + k)
                power = spectrum[t, j] * spectrum[t, j] + spectrum[t, j + 1] * spectrum[t, j + 1]
                total += weight[m, k] * power
            out[t, m] = max(total, floor)
