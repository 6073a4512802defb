"""What happens to speech on its way: room, noise, microphone and telephone.

All signals are float32 at 16 kHz unless stated otherwise.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.signal import butter, fftconvolve, firwin, lfilter, resample_poly

from workbench.corpus.synthesis.difficulty import Difficulty

RATE = 16000
SYNTHESISER_RATE = 22050
UP = 320  # 22,050 * 320 / 441 = 16,000
DOWN = 441

# Made once: designing the filter takes longer than the resampling.
LOW_PASS = firwin(2 * 10 * DOWN + 1, 1 / DOWN, window=("kaiser", 5.0)).astype(np.float32)
TELEPHONE = butter(3, [300 / (RATE / 2), 3600 / (RATE / 2)], "band")

# Paul Kellet's filter that makes pink noise of white noise: numerator and denominator.
PINK = (
    [0.049922035, -0.095993537, 0.050612699, -0.004408786],
    [1, -2.494956002, 2.017265875, -0.522189400],
)

NOTE_SECONDS = 0.33
LOWEST_NOTE = 110.0  # Hz
NOTES = 36  # semitones, three octaves
HARMONICS = np.arange(1, 8, dtype=np.float32)[:, None]
TALKERS = 6

ACTIVE = 0.02  # share of the peak above which a sample counts as speech
LOUDEST = 0.99


@dataclass(frozen=True)
class Conditions:
    """How one utterance was distorted; written beside the corpus, to compare errors with."""

    snr: float | None  # dB
    noise: str | None
    reverb: float | None  # seconds in which the echo falls by 60 dB
    tilt: float
    telephone: bool


def resample(x: np.ndarray) -> np.ndarray:
    """Return ``x``, at the synthesiser's rate, at 16 kHz."""
    return resample_poly(x.astype(np.float32), UP, DOWN, window=LOW_PASS)


def distort(
    x: np.ndarray,
    difficulty: Difficulty,
    bank: Sequence[np.ndarray],
    stream: np.random.Generator,
) -> tuple[np.ndarray, Conditions]:
    """Return ``x`` (peak at most 1) as recorded (peak at most 0.99), and the conditions drawn.

    ``bank`` holds the speech of other people, for babble.
    """
    reverb = None
    snr = None
    kind = None

    x = x * np.float32(stream.uniform(0.1, 0.6))
    if stream.random() < difficulty.reverb:
        reverb = stream.uniform(difficulty.reverb_shortest, difficulty.reverb_longest)
        x = fftconvolve(x, make_room(reverb, stream))[: len(x)].astype(np.float32)

    if stream.random() < difficulty.noise:
        kinds = difficulty.noises.split()
        kind = kinds[stream.integers(len(kinds))]
        snr = stream.uniform(difficulty.snr_lowest, difficulty.snr_highest)
        x = x + scale_noise(make_noise(kind, len(x), bank, stream), x, snr)

    tilt = stream.uniform(-difficulty.tilt / 2, difficulty.tilt)
    x = lfilter([1, -tilt], [1], x)

    telephone = bool(stream.random() < difficulty.telephone)
    if telephone:
        x = lfilter(*TELEPHONE, x)

    x = x * min(1.0, LOUDEST / max(1e-9, float(np.abs(x).max())))
    conditions = Conditions(
        snr=None if snr is None else round(float(snr), 2),
        noise=kind,
        reverb=None if reverb is None else round(float(reverb), 2),
        tilt=round(float(tilt), 2),
        telephone=telephone,
    )
    return x.astype(np.float32), conditions


def scale_noise(noise: np.ndarray, speech: np.ndarray, snr: float) -> np.ndarray:
    """Return ``noise`` with a mean power ``snr`` dB below that of ``speech`` without its pauses."""
    size = np.abs(speech)
    active = speech[size > ACTIVE * size.max()]
    speech_power = float(np.mean(active**2)) if len(active) else 1e-6
    noise_power = float(np.mean(noise**2)) + 1e-12
    return (noise * np.sqrt(speech_power / noise_power / 10 ** (snr / 10))).astype(np.float32)


def make_room(reverb: float, stream: np.random.Generator) -> np.ndarray:
    """Return the impulse response of a room whose echo falls by 60 dB in ``reverb`` seconds.

    It is the direct sound, and from 2 ms on noise that decays exponentially.
    """
    n = int(reverb * RATE)
    decay = np.exp(-6.9 * np.arange(n, dtype=np.float32) / n)
    response = stream.standard_normal(n, np.float32) * decay
    response[: int(0.002 * RATE)] = 0
    response *= 0.35 * stream.uniform(0.4, 1) / (np.sqrt(np.sum(response**2)) + 1e-9)
    response[0] = 1
    return response


def make_noise(
    kind: str, n: int, bank: Sequence[np.ndarray], stream: np.random.Generator
) -> np.ndarray:
    """Return ``n`` samples of one kind of noise, at any level."""
    if kind == "babble":
        return make_babble(n, bank, stream)
    if kind == "music":
        return make_music(n, stream)

    white = stream.standard_normal(n, np.float32)
    if kind == "pink":
        return lfilter(*PINK, white)
    if kind == "car":
        return lfilter([1], [1, -0.97], white) + 0.05 * white
    return white


def make_babble(n: int, bank: Sequence[np.ndarray], stream: np.random.Generator) -> np.ndarray:
    """Return ``n`` samples of several people of ``bank`` who talk at once.

    Each utterance begins at a random place and is repeated.
    """
    out = np.zeros(n, np.float32)
    for _ in range(TALKERS):
        voice = bank[int(stream.integers(len(bank)))]
        start = int(stream.integers(len(voice)))
        repeated = np.resize(np.roll(voice, -start), n)
        out += repeated / (float(voice.std()) + 1e-9)
    return out


def make_music(n: int, stream: np.random.Generator) -> np.ndarray:
    """Return ``n`` samples of two voices that play fading notes of three octaves with harmonics."""
    length = int(NOTE_SECONDS * RATE)
    t = np.arange(length, dtype=np.float32) / RATE
    fade = np.exp(-3 * t)

    notes = np.zeros((-(-n // length), length), np.float32)
    for note in notes:
        for pitch in LOWEST_NOTE * 2 ** (stream.integers(0, NOTES, 2) / 12):
            waves = np.sin(np.float32(2 * np.pi * pitch) * HARMONICS * t)
            note += fade * np.sum(waves / HARMONICS, 0)
    return notes.ravel()[:n]
