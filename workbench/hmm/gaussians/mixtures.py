"""Mixtures of Gaussians with diagonal covariances, one per tied state: scores, statistics, growth.

    log p(x|s) = log sum_g w_g N(x; mu_g, diag v_g)

The exponent is linear in (x, x^2), so the scores of all frames and Gaussians are one matrix
product. Statistics ("sums") are float64 [Gaussians, 1 + 2 size]: number of frames, first and second
moments of the observations.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numba import njit

LEAST_FRAMES = 5.0  # a Gaussian with fewer is dropped, unless it is the last of its state
SHIFT = 0.2  # standard deviations by which the halves of a split Gaussian are moved apart


@dataclass(frozen=True)
class Mixtures:
    """Mixtures of all states; state s has the Gaussians first[s] : first[s + 1].

    ``first`` [states + 1]. ``weight`` [Gaussians]: natural log. ``mean``, ``variance`` [Gaussians,
    size].
    """

    first: np.ndarray
    weight: np.ndarray
    mean: np.ndarray
    variance: np.ndarray

    @cached_property
    def linear(self) -> np.ndarray:
        """Coefficients of (x, x^2) in the exponent: float32 [Gaussians, 2 size]."""
        coefficients = np.concatenate([self.mean / self.variance, -0.5 / self.variance], axis=1)
        return coefficients.astype(np.float32)

    @cached_property
    def constant(self) -> np.ndarray:
        """The rest of the exponent, with the mixture weight: float32 [Gaussians]."""
        logs = np.log(2 * np.pi * self.variance) + self.mean**2 / self.variance
        return (self.weight - 0.5 * logs.sum(axis=1)).astype(np.float32)

    def scores(self, x: np.ndarray, states: np.ndarray) -> np.ndarray:
        """Return log p(x|s) of observations ``x`` [frames, size]: float32 [frames, states].

        ``states``: the states to score, in the order of the result's columns.
        """
        counts = np.diff(self.first)[states]
        ends = np.cumsum(counts)
        first_gaussian = np.repeat(self.first[states] - ends + counts, counts)
        gaussians = first_gaussian + np.arange(ends[-1])
        exponents = np.concatenate([x, x * x], axis=1) @ self.linear[gaussians].T
        exponents += self.constant[gaussians]
        return _log_sum_by_state(exponents, np.concatenate([[0], ends]))


def empty_sums(mixtures: Mixtures) -> np.ndarray:
    """Return empty sums for ``accumulate``: float64 [Gaussians, 1 + 2 size]."""
    gaussians, size = mixtures.mean.shape
    return np.zeros((gaussians, 1 + 2 * size))


def accumulate(mixtures: Mixtures, x: np.ndarray, states: np.ndarray, sums: np.ndarray) -> None:
    """Add observations ``x`` [frames, size] in ``states`` [frames] to ``sums``.

    Each frame is shared among the Gaussians of its state by their posteriors.
    """
    _accumulate(x, states, mixtures.first, mixtures.linear, mixtures.constant, sums)


def single_gaussians(sums: np.ndarray, floor: np.ndarray) -> Mixtures:
    """Return one Gaussian per state from sums [states, 1 + 2 size].

    A state without frames gets the Gaussian of all frames. ``floor``: smallest variances [size].
    """
    sums = np.where(sums[:, :1] > 0, sums, sums.sum(axis=0))
    mean, variance = _mean_and_variance(sums)
    return Mixtures(
        first=np.arange(len(sums) + 1),
        weight=np.zeros(len(sums)),
        mean=mean,
        variance=np.maximum(variance, floor),
    )


def update(mixtures: Mixtures, sums: np.ndarray, floor: np.ndarray) -> Mixtures:
    """Return the mixtures that are most likely for the frames in ``sums``.

    States and Gaussians without frames stay as they are; Gaussians with hardly any are dropped.
    ``floor``: smallest variances [size].
    """
    count = sums[:, 0]
    state = _state_of_gaussian(mixtures.first)
    in_state = state_frames(mixtures, sums)[state]
    has_frames = count[:, None] > 0
    mean, variance = _mean_and_variance(np.where(has_frames, sums, 1.0))

    share = np.log(np.maximum(count, 1e-10) / np.maximum(in_state, 1e-10))
    updated = Mixtures(
        first=mixtures.first,
        weight=np.where(in_state > 0, share, mixtures.weight),
        mean=np.where(has_frames, mean, mixtures.mean),
        variance=np.where(has_frames, np.maximum(variance, floor), mixtures.variance),
    )
    largest = np.maximum.reduceat(count, mixtures.first[:-1])[state]
    keep = (count >= LEAST_FRAMES) | (count == largest)
    return _select(updated, keep)


def grow(mixtures: Mixtures, frames: np.ndarray, most: np.ndarray, frames_each: float) -> Mixtures:
    """Return mixtures in which the heaviest Gaussians of each state are split in two.

    Their number at most doubles and stays within ``most`` [states]. ``frames`` [states]: how many
    each state has; every Gaussian is to have ``frames_each`` of them.
    """
    first = mixtures.first
    have = np.diff(first)
    state = _state_of_gaussian(first)
    affordable = (frames // frames_each).astype(int)
    room = np.clip(np.minimum(most, affordable) - have, 0, have)

    # Within each state the heaviest Gaussians come first in ``by_weight``.
    by_weight = np.lexsort((-mixtures.weight, state))
    rank = np.arange(len(state)) - first[state]
    split = np.zeros(len(state), bool)
    split[by_weight] = rank < room[state]

    source = np.repeat(np.arange(len(state)), 1 + split)
    is_twin = np.diff(source, prepend=-1) == 0
    side = np.where(is_twin, SHIFT, -SHIFT) * split[source]
    variance = mixtures.variance[source]
    return Mixtures(
        first=_first_gaussians(state[source], len(have)),
        weight=mixtures.weight[source] - np.log(1 + split[source]),
        mean=mixtures.mean[source] + side[:, None] * np.sqrt(variance),
        variance=variance,
    )


def state_frames(mixtures: Mixtures, sums: np.ndarray) -> np.ndarray:
    """Return the number of frames of each state in ``sums``: float64 [states]."""
    return np.add.reduceat(sums[:, 0], mixtures.first[:-1])


def _state_of_gaussian(first: np.ndarray) -> np.ndarray:
    """Return the state of each Gaussian."""
    return np.repeat(np.arange(len(first) - 1), np.diff(first))


def _first_gaussians(state: np.ndarray, states: int) -> np.ndarray:
    """Return ``first`` of mixtures, from the state of each Gaussian, ascending."""
    return np.concatenate([[0], np.cumsum(np.bincount(state, minlength=states))])


def _mean_and_variance(sums: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return means and variances [n, size] of sums [n, 1 + 2 size]."""
    size = sums.shape[1] // 2
    frames = sums[:, :1]
    mean = sums[:, 1 : 1 + size] / frames
    variance = sums[:, 1 + size :] / frames - mean**2
    return mean, variance


def _select(mixtures: Mixtures, keep: np.ndarray) -> Mixtures:
    """Return the Gaussians to keep, one or more of each state; their weights sum to one again."""
    state = _state_of_gaussian(mixtures.first)[keep]
    weight = mixtures.weight[keep]
    total = np.bincount(state, np.exp(weight))
    return Mixtures(
        first=_first_gaussians(state, len(mixtures.first) - 1),
        weight=weight - np.log(total)[state],
        mean=mixtures.mean[keep],
        variance=mixtures.variance[keep],
    )


@njit(cache=True, nogil=True)
def _log_sum_by_state(exponents: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Return log sum exp over each state's columns: float32 [frames, states]."""
    frames = len(exponents)
    states = len(first) - 1
    out = np.empty((frames, states), np.float32)
    for t in range(frames):
        for s in range(states):
            a = first[s]
            b = first[s + 1]
            best = exponents[t, a]
            for g in range(a + 1, b):
                best = max(best, exponents[t, g])
            total = 0.0
            if b - a > 1:
                for g in range(a, b):
                    if exponents[t, g] - best > -15:
                        total += np.exp(exponents[t, g] - best)
                best += np.log(total)
            out[t, s] = best
    return out


@njit(cache=True, nogil=True)
def _accumulate(
    x: np.ndarray,
    states: np.ndarray,
    first: np.ndarray,
    linear: np.ndarray,
    constant: np.ndarray,
    sums: np.ndarray,
) -> None:
    """Add each observation to the sums of its state's Gaussians, by their posteriors.

    Indices are states of an alignment and their Gaussians; an observation is never one.
    """
    frames, size = x.shape
    share = np.empty(np.max(first[1:] - first[:-1]))
    for t in range(frames):
        a = first[states[t]]
        n = first[states[t] + 1] - a
        best = -np.inf
        for i in range(n):
            score = constant[a + i]
            for d in range(size):
                score += x[t, d] * (linear[a + i, d] + x[t, d] * linear[a + i, size + d])
            share[i] = score
            best = max(best, score)

        share[:n] = np.exp(share[:n] - best)
        total = share[:n].sum()
        for i in range(n):
            p = share[i] / total
            if p > 1e-4:
                sums[a + i, 0] += p
                for d in range(size):
                    sums[a + i, 1 + d] += p * x[t, d]
                    sums[a + i, 1 + size + d] += p * x[t, d] * x[t, d]
