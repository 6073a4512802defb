"""Sets of phones that sound alike, found in the data: the questions a decision tree asks about neighbours."""

import numpy as np

from workbench.hmm.gaussians.contexts import Contexts
from workbench.hmm.states import POSITIONS


def phone_sets(contexts: Contexts, phones: int, floor: np.ndarray) -> np.ndarray:
    """Bool [sets, phones], each set once: every single phone, and the clusters of the phones' Gaussians by position.

    A phone that was never seen is a set of its own and in no cluster.
    """
    found = [np.eye(phones, dtype=bool)]
    for position in range(POSITIONS):
        rows = contexts.key[:, 3] == position
        sums = np.zeros((phones, contexts.sums.shape[1]))
        np.add.at(sums, contexts.key[rows, 1], contexts.sums[rows])
        found.append(clusters(sums, floor))
    sets = np.concatenate(found)
    sets = sets[~sets.all(axis=1)]
    one_side = np.where(sets[:, :1], ~sets, sets)  # a set and its complement are one question
    _, first = np.unique(one_side, axis=0, return_index=True)
    return sets[np.sort(first)]


def clusters(sums: np.ndarray, floor: np.ndarray) -> np.ndarray:
    """Bool [seen - 1, n]: what merging the two most alike Gaussians makes, until all that have frames are one.

    ``sums`` [n, 1 + 2 size] as in ``Contexts.sums``. Alike: their likelihood falls least when they are merged.
    """
    alive = np.flatnonzero(sums[:, 0] > 0)
    sums, members = sums[alive].copy(), np.eye(len(sums), dtype=bool)[alive]
    own = log_likelihood(sums, floor)
    loss = np.stack(
        [own + own[i] - log_likelihood(sums + sums[i], floor) for i in range(len(sums))]
    )
    np.fill_diagonal(loss, np.inf)
    found = []
    for _ in range(len(alive) - 1):
        i, j = np.unravel_index(np.argmin(loss), loss.shape)
        members[i] |= members[j]
        found.append(members[i].copy())
        sums[i] += sums[j]
        own = log_likelihood(sums, floor)
        loss[i] = np.where(
            np.isinf(loss[i]), np.inf, own + own[i] - log_likelihood(sums + sums[i], floor)
        )
        loss[:, i] = loss[i]
        loss[j], loss[:, j] = np.inf, np.inf
    return np.array(found, bool).reshape(-1, members.shape[1])


def log_likelihood(sums: np.ndarray, floor: np.ndarray) -> np.ndarray:
    """Log likelihood of frames under their own Gaussian with diagonal covariance, without its constants [...].

    -n/2 sum_d log v_d, from the sums [..., 1 + 2 size]; 0 where there are no frames.
    """
    size = len(floor)
    n = sums[..., 0]
    safe = np.maximum(n, 1e-10)[..., None]
    variance = sums[..., 1 + size :] / safe - (sums[..., 1 : 1 + size] / safe) ** 2
    return -0.5 * n * np.log(np.maximum(variance, floor)).sum(axis=-1)
