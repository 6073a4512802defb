"""Mixtures of Gaussians with diagonal covariances, one per tied state: scores, statistics, growth.

    log p(x|s) = log sum_g w_g N(x; mu_g, diag v_g)

The exponent is linear in (x, x^2), so the scores of all frames and Gaussians are one matrix product.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numba import njit

LEAST_FRAMES = 5.0  # a Gaussian with fewer is dropped, unless it is the last of its state
SHIFT = 0.2  # standard deviations by which the halves of a split Gaussian are moved apart


@dataclass(frozen=True)
class Mixtures:
    """State s has the Gaussians first[s] : first[s + 1]; ``weight`` [G] log, ``mean`` and ``variance`` [G, size]."""

    first: np.ndarray
    weight: np.ndarray
    mean: np.ndarray
    variance: np.ndarray

    @cached_property
    def linear(self) -> np.ndarray:
        """Coefficients of (x, x^2): float32 [G, 2 size]."""
        return np.concatenate([self.mean / self.variance, -0.5 / self.variance], axis=1).astype(
            np.float32
        )

    @cached_property
    def constant(self) -> np.ndarray:
        """What is left of the exponent, with the mixture weight: float32 [G]."""
        logs = np.log(2 * np.pi * self.variance) + self.mean**2 / self.variance
        return (self.weight - 0.5 * logs.sum(axis=1)).astype(np.float32)

    def scores(self, x: np.ndarray, states: np.ndarray) -> np.ndarray:
        """log p(x|s): float32 [frames, states] of observations [frames, size] for the ``states`` asked for."""
        counts = np.diff(self.first)[states]
        ends = np.cumsum(counts)
        gaussians = np.repeat(self.first[states] - ends + counts, counts) + np.arange(ends[-1])
        exponents = np.concatenate([x, x * x], axis=1) @ self.linear[gaussians].T
        exponents += self.constant[gaussians]
        return _pool(exponents, np.concatenate([[0], ends]))


def no_sums(mixtures: Mixtures) -> np.ndarray:
    """Empty sums for ``accumulate``: float64 [G, 1 + 2 size], frames, first and second moments of each Gaussian."""
    gaussians, size = mixtures.mean.shape
    return np.zeros((gaussians, 1 + 2 * size))


def accumulate(mixtures: Mixtures, x: np.ndarray, states: np.ndarray, sums: np.ndarray) -> None:
    """Add frames [frames, size] to ``sums``, each shared among the Gaussians of its state by their posteriors."""
    _share(x, states, mixtures.first, mixtures.linear, mixtures.constant, sums)


def single(sums: np.ndarray, floor: np.ndarray) -> Mixtures:
    """One Gaussian per state from sums [states, 1 + 2 size]; a state without frames gets that of all frames."""
    sums = np.where(sums[:, :1] > 0, sums, sums.sum(axis=0))
    mean, variance = _moments(sums)
    return Mixtures(
        np.arange(len(sums) + 1), np.zeros(len(sums)), mean, np.maximum(variance, floor)
    )


def update(mixtures: Mixtures, sums: np.ndarray, floor: np.ndarray) -> Mixtures:
    """The mixtures most likely for the frames counted; states and Gaussians without frames stay as they were.

    ``floor``: smallest variances [size]. Gaussians with next to no frames are dropped.
    """
    count = sums[:, 0]
    owner = _owner(mixtures.first)
    frames = state_frames(mixtures, sums)[owner]
    mean, variance = _moments(np.where(sums[:, :1] > 0, sums, 1.0))
    seen = count[:, None] > 0
    weight = np.where(
        frames > 0, np.log(np.maximum(count, 1e-10) / np.maximum(frames, 1e-10)), mixtures.weight
    )
    mean = np.where(seen, mean, mixtures.mean)
    variance = np.where(seen, np.maximum(variance, floor), mixtures.variance)
    best = np.maximum.reduceat(count, mixtures.first[:-1])[owner]
    keep = (count >= LEAST_FRAMES) | (count == best)
    return _select(Mixtures(mixtures.first, weight, mean, variance), owner, keep)


def grow(mixtures: Mixtures, frames: np.ndarray, most: np.ndarray, frames_each: float) -> Mixtures:
    """Split the heaviest Gaussians of each state, at most doubling their number, which stays within ``most`` [states].

    ``frames`` [states]: how many each state has; every Gaussian is to have ``frames_each`` of them.
    """
    first, states = mixtures.first, len(mixtures.first) - 1
    owner, have = _owner(first), np.diff(first)
    heavy = np.lexsort((-mixtures.weight, owner))
    room = np.clip(np.minimum(most, frames // frames_each).astype(int) - have, 0, have)
    split = np.zeros(len(owner), bool)
    split[heavy] = np.arange(len(owner)) - first[owner] < room[owner]
    source = np.repeat(np.arange(len(owner)), 1 + split)
    twin = np.diff(source, prepend=-1) == 0
    side = np.where(twin, SHIFT, -SHIFT) * split[source]
    mean = mixtures.mean[source] + side[:, None] * np.sqrt(mixtures.variance[source])
    weight = mixtures.weight[source] - np.log(1 + split[source])
    return Mixtures(_offsets(owner[source], states), weight, mean, mixtures.variance[source])


def state_frames(mixtures: Mixtures, sums: np.ndarray) -> np.ndarray:
    """Frames of each state, float64 [states], in sums [G, 1 + 2 size]."""
    return np.add.reduceat(sums[:, 0], mixtures.first[:-1])


def _owner(first: np.ndarray) -> np.ndarray:
    """The state of each Gaussian."""
    return np.repeat(np.arange(len(first) - 1), np.diff(first))


def _moments(sums: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means and variances [n, size] of sums [n, 1 + 2 size]."""
    size = sums.shape[1] // 2
    mean = sums[:, 1 : 1 + size] / sums[:, :1]
    return mean, sums[:, 1 + size :] / sums[:, :1] - mean**2


def _select(mixtures: Mixtures, owner: np.ndarray, keep: np.ndarray) -> Mixtures:
    """Only the Gaussians to keep (at least one of each state), their weights made to sum to one again."""
    weight, owner = mixtures.weight[keep], owner[keep]
    weight = weight - np.log(np.bincount(owner, np.exp(weight)))[owner]
    return Mixtures(
        _offsets(owner, len(mixtures.first) - 1),
        weight,
        mixtures.mean[keep],
        mixtures.variance[keep],
    )


def _offsets(owner: np.ndarray, states: int) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(np.bincount(owner, minlength=states))])


@njit(cache=True, nogil=True)
def _pool(exponents, first):
    """log sum exp over each state's columns: float32 [frames, states]."""
    frames, states = len(exponents), len(first) - 1
    out = np.empty((frames, states), np.float32)
    for t in range(frames):
        for s in range(states):
            a, b = first[s], first[s + 1]
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
def _share(x, states, first, linear, constant, sums):
    frames, size = x.shape
    share = np.empty(np.max(first[1:] - first[:-1]))
    for t in range(frames):
        a, n = first[states[t]], first[states[t] + 1] - first[states[t]]
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
