"""What happens to speech on its way: room, noise, microphone, telephone. All signals are float32 at 16 kHz."""

from dataclasses import dataclass

import numpy as np
from scipy.signal import butter, fftconvolve, firwin, lfilter, resample_poly

from workbench.corpus.synthesis.difficulty import Difficulty

RATE = 16000
SYNTHESISER_RATE, UP, DOWN = 22050, 320, 441  # 22,050 * 320 / 441 = 16,000
LOW_PASS = firwin(2 * 10 * DOWN + 1, 1 / DOWN, window=("kaiser", 5.0)).astype(
    np.float32
)  # made once: longer than the resampling
TELEPHONE = butter(3, [300 / (RATE / 2), 3600 / (RATE / 2)], "band")
PINK = (
    [0.049922035, -0.095993537, 0.050612699, -0.004408786],
    [1, -2.494956002, 2.017265875, -0.522189400],
)  # Kellet's filter
NOTE_SECONDS, LOWEST_NOTE, TALKERS = 0.33, 110.0, 6
ACTIVE = 0.02  # share of the peak above which a sample counts as speech
LOUDEST = 0.99


@dataclass(frozen=True)
class Conditions:
    """How one utterance was distorted; written beside the corpus so that errors can be set against them."""

    snr: float | None  # dB
    noise: str | None
    reverb: float | None  # seconds to fall by 60 dB
    tilt: float
    telephone: bool


def resample(x: np.ndarray) -> np.ndarray:
    """From the synthesiser's rate to 16 kHz."""
    return resample_poly(x.astype(np.float32), UP, DOWN, window=LOW_PASS)


def distort(
    x: np.ndarray, knobs: Difficulty, bank: list[np.ndarray], stream: np.random.Generator
) -> tuple[np.ndarray, Conditions]:
    """``x`` (peak at most 1) as recorded, peak at most 0.99; ``bank`` holds other people's speech for babble."""
    reverb = snr = kind = None
    x = x * np.float32(stream.uniform(0.1, 0.6))
    if stream.random() < knobs.reverb:
        reverb = stream.uniform(knobs.reverb_shortest, knobs.reverb_longest)
        x = fftconvolve(x, room(reverb, stream))[: len(x)].astype(np.float32)
    if stream.random() < knobs.noise:
        kinds = knobs.noises.split()
        kind = kinds[stream.integers(len(kinds))]
        snr = stream.uniform(knobs.snr_lowest, knobs.snr_highest)
        x = x + scaled(noise(kind, len(x), bank, stream), x, snr)
    tilt = stream.uniform(-knobs.tilt / 2, knobs.tilt)
    x = lfilter([1, -tilt], [1], x)
    telephone = bool(stream.random() < knobs.telephone)
    if telephone:
        x = lfilter(*TELEPHONE, x)
    x = x * min(1.0, LOUDEST / max(1e-9, float(np.abs(x).max())))
    rounded = [None if v is None else round(float(v), 2) for v in (snr, reverb, tilt)]
    return x.astype(np.float32), Conditions(rounded[0], kind, rounded[1], rounded[2], telephone)


def scaled(noise: np.ndarray, speech: np.ndarray, snr: float) -> np.ndarray:
    """``noise``, its mean power brought to ``snr`` dB below that of the parts of ``speech`` that are not silent."""
    size = np.abs(speech)
    active = speech[size > ACTIVE * size.max()]
    power = float(np.mean(active**2)) if len(active) else 1e-6
    return (noise * np.sqrt(power / (float(np.mean(noise**2)) + 1e-12) / 10 ** (snr / 10))).astype(
        np.float32
    )


def room(reverb: float, stream: np.random.Generator) -> np.ndarray:
    """An impulse response: the direct sound, and from 2 ms on noise that falls by 60 dB in ``reverb`` seconds."""
    n = int(reverb * RATE)
    tail = stream.standard_normal(n, np.float32) * np.exp(-6.9 * np.arange(n, dtype=np.float32) / n)
    tail[: int(0.002 * RATE)] = 0
    tail *= 0.35 * stream.uniform(0.4, 1) / (np.sqrt(np.sum(tail**2)) + 1e-9)
    tail[0] = 1
    return tail


def noise(kind: str, n: int, bank: list[np.ndarray], stream: np.random.Generator) -> np.ndarray:
    """``n`` samples of one kind of noise, at any level."""
    if kind == "babble":
        return babble(n, bank, stream)
    if kind == "music":
        return music(n, stream)
    white = stream.standard_normal(n, np.float32)
    if kind == "pink":
        return lfilter(*PINK, white)
    if kind == "car":
        return lfilter([1], [1, -0.97], white) + 0.05 * white
    return white


def babble(n: int, bank: list[np.ndarray], stream: np.random.Generator) -> np.ndarray:
    """Several people of the ``bank`` talking at once, each said again and again from a random place on."""
    out = np.zeros(n, np.float32)
    for _ in range(TALKERS):
        voice = bank[stream.integers(len(bank))]
        out += np.resize(np.roll(voice, -int(stream.integers(len(voice)))), n) / (
            float(voice.std()) + 1e-9
        )
    return out


def music(n: int, stream: np.random.Generator) -> np.ndarray:
    """Notes of three octaves with seven harmonics each, two voices, each note fading."""
    length = int(NOTE_SECONDS * RATE)
    t = np.arange(length, dtype=np.float32) / RATE
    fade = np.exp(-3 * t)
    out = np.zeros((-(-n // length), length), np.float32)
    for note in out:
        for pitch in LOWEST_NOTE * 2 ** (stream.integers(0, 36, 2) / 12):
            harmonics = np.arange(1, 8, dtype=np.float32)[:, None]
            note += fade * np.sum(
                np.sin(np.float32(2 * np.pi * pitch) * harmonics * t) / harmonics, 0
            )
    return out.ravel()[:n]
