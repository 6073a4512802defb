"""Sets of phones that sound alike, found in the data: the questions that a decision tree asks."""

import numpy as np

from workbench.hmm.gaussians.contexts import PHONE, POSITION, Contexts
from workbench.hmm.states import POSITIONS


def phone_sets(contexts: Contexts, phones: int, floor: np.ndarray) -> np.ndarray:
    """Return the sets that questions are about: bool [sets, phones], each set once.

    These are every single phone, and the clusters of the phones' Gaussians by position. A phone
    that does not occur is a set by itself and in no cluster. ``floor``: smallest variances [size].
    """
    found = [np.eye(phones, dtype=bool)]
    for position in range(POSITIONS):
        rows = contexts.key[:, POSITION] == position
        sums = np.zeros((phones, contexts.sums.shape[1]))
        np.add.at(sums, contexts.key[rows, PHONE], contexts.sums[rows])
        found.append(clusters(sums, floor))

    sets = np.concatenate(found)
    sets = sets[~sets.all(axis=1)]
    # A set and its complement are one question.
    without_first_phone = np.where(sets[:, :1], ~sets, sets)
    _, first = np.unique(without_first_phone, axis=0, return_index=True)
    return sets[np.sort(first)]


def clusters(sums: np.ndarray, floor: np.ndarray) -> np.ndarray:
    """Return what repeated merging of the two most alike Gaussians makes: bool [merges, n].

    Merging ends when all Gaussians that have frames are one. The two whose merging costs the least
    likelihood are the most alike. ``sums`` [n, 1 + 2 size] as in ``Contexts.sums``.
    """
    has_frames = np.flatnonzero(sums[:, 0] > 0)
    members = np.eye(len(sums), dtype=bool)[has_frames]
    sums = sums[has_frames]
    loss = np.stack([_merging_loss(sums, i, floor) for i in range(len(sums))])
    np.fill_diagonal(loss, np.inf)

    found = []
    for _ in range(len(has_frames) - 1):
        i, j = np.unravel_index(np.argmin(loss), loss.shape)
        members[i] |= members[j]
        found.append(members[i].copy())
        sums[i] += sums[j]

        # An infinite loss marks Gaussians that are gone, and i itself.
        loss[i] = np.where(np.isinf(loss[i]), np.inf, _merging_loss(sums, int(i), floor))
        loss[:, i] = loss[i]
        loss[j] = np.inf
        loss[:, j] = np.inf
    return np.array(found, bool).reshape(-1, members.shape[1])


def _merging_loss(sums: np.ndarray, i: int, floor: np.ndarray) -> np.ndarray:
    """Return the loss in log likelihood of merging Gaussian ``i`` with each one: [n]."""
    apart = log_likelihood(sums, floor)
    return apart + apart[i] - log_likelihood(sums + sums[i], floor)


def log_likelihood(sums: np.ndarray, floor: np.ndarray) -> np.ndarray:
    """Return the log likelihood [...] of frames under their own Gaussian, without its constants.

    That is -n/2 sum_d log v_d with diagonal covariance, from sums [..., 1 + 2 size]; 0 where there
    are no frames.
    """
    size = len(floor)
    frames = sums[..., 0]
    safe_frames = np.maximum(frames, 1e-10)[..., None]
    mean = sums[..., 1 : 1 + size] / safe_frames
    variance = sums[..., 1 + size :] / safe_frames - mean**2
    return -0.5 * frames * np.log(np.maximum(variance, floor)).sum(axis=-1)
