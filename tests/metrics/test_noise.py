"""The noise of updates over windows: gradients of known correlation, mixed in every way."""

import numpy as np
import pytest

from workbench.metrics.noise import Mixing, NoiseCurve, noise_curve
from workbench.settings import rng

UTTERANCES = 1200
LENGTH = 40  # frames of each utterance, on average
BATCH = 20
DIRECTIONS = 16
NEAR = 0.25  # relative; the estimates rest on at least ten windows in sixteen directions


@pytest.fixture(scope="module")
def offsets() -> np.ndarray:
    """The first frames of utterances of various lengths."""
    lengths = rng(0, "lengths").integers(LENGTH // 2, LENGTH * 3 // 2, UTTERANCES)
    return np.concatenate([[0], np.cumsum(lengths)])


@pytest.fixture(scope="module")
def independent(offsets: np.ndarray) -> np.ndarray:
    """Gradients of frames that have nothing to do with each other."""
    return rng(0, "frames").standard_normal((int(offsets[-1]), DIRECTIONS))


@pytest.fixture(scope="module")
def alike(offsets: np.ndarray) -> np.ndarray:
    """Gradients that are the same for all frames of an utterance."""
    of_utterances = rng(0, "utterances").standard_normal((UTTERANCES, DIRECTIONS))
    return np.repeat(of_utterances, np.diff(offsets), axis=0)


def curve_of(
    gradients: np.ndarray, offsets: np.ndarray, shuffling: str, replicas: int = 1
) -> NoiseCurve:
    """The curve of a way to mix frames."""
    curve = noise_curve(gradients, offsets, Mixing(shuffling, replicas), BATCH, seed=0)
    assert curve.windows
    return curve


def at(curve: NoiseCurve, window: int) -> float:
    """The ratio for a window."""
    return curve.ratios[curve.windows.index(window)]


@pytest.mark.parametrize("replicas", [1, 5])
@pytest.mark.parametrize("shuffling", ["none", "on-the-fly", "full"])
def test_mixing_does_nothing_for_independent_frames(
    independent: np.ndarray, offsets: np.ndarray, shuffling: str, replicas: int
) -> None:
    """Every window has the variance of as many independent frames."""
    curve = curve_of(independent, offsets, shuffling, replicas)
    short = [ratio for w, ratio in zip(curve.windows, curve.ratios, strict=True) if w <= 10]
    assert short == pytest.approx([1.0] * len(short), rel=NEAR)


def test_without_shuffling_a_batch_is_one_utterance(alike: np.ndarray, offsets: np.ndarray) -> None:
    """Of a batch of equal frames the variance is that of one, so many times what it could be."""
    ratio = at(curve_of(alike, offsets, "none"), 1)
    assert BATCH / 2 < ratio <= BATCH * (1 + NEAR)


def test_on_the_fly_makes_updates_quiet_and_not_their_sum(
    alike: np.ndarray, offsets: np.ndarray
) -> None:
    """One update is as good as with full shuffling; many are as bad as without any."""
    on_the_fly = curve_of(alike, offsets, "on-the-fly")
    full = curve_of(alike, offsets, "full")
    none = curve_of(alike, offsets, "none")
    assert at(on_the_fly, 1) == pytest.approx(at(full, 1), rel=NEAR)
    assert at(full, 50) < 2
    assert at(on_the_fly, 50) > 5 * at(full, 50)
    assert at(on_the_fly, 50) > at(none, 50) / 2


def test_several_replicas_part_neighbours(alike: np.ndarray, offsets: np.ndarray) -> None:
    """The next frame of an utterance comes with the next update of its replica."""
    curve = curve_of(alike, offsets, "on-the-fly", replicas=5)
    assert at(curve, 5) == pytest.approx(1.0, rel=NEAR)
    assert at(curve, 20) > 2 * at(curve, 5)


@pytest.mark.parametrize(("count", "replicas"), [(3, 1), (3, 10)])
def test_too_little_speech_tells_nothing(
    independent: np.ndarray, offsets: np.ndarray, count: int, replicas: int
) -> None:
    """Fewer full batches than ten, or fewer utterances than replicas."""
    few = offsets[: count + 1]
    mixing = Mixing("on-the-fly", replicas)
    assert noise_curve(independent[: few[-1]], few, mixing, BATCH, seed=0).windows == ()
