"""From nothing to one Gaussian per state of every phone: an utterance is cut into silence, equal parts, and silence."""

from collections.abc import Iterable, Sequence

import numpy as np
from numba import njit

from workbench.corpus.frames.store import FrameStore
from workbench.hmm.gaussians.cepstra import SIZE, observations
from workbench.hmm.gaussians.mixtures import Mixtures, accumulate, no_sums, single
from workbench.hmm.states import POSITIONS, SIL
from workbench.language.lexicon import Lexicon

FLOOR = 0.02  # smallest variance of any Gaussian, as a share of that of all frames


def flat_start(
    store: FrameStore, utterances: Iterable[int], lexicon: Lexicon
) -> tuple[Mixtures, np.ndarray]:
    """One Gaussian for each monophone state (see ``states.monophone``), and the variance floor [39].

    What is loud is taken to be the words, in their first pronunciations, all phones equally long; what comes before and
    after, silence. A phone that does not occur gets the Gaussian of all frames.
    """
    count = POSITIONS * len(lexicon.phones)
    # Any mixtures with one Gaussian per state count frames alike.
    empty = Mixtures(
        np.arange(count + 1), np.zeros(count), np.zeros((count, SIZE)), np.ones((count, SIZE))
    )
    sums = no_sums(empty)
    for u in utterances:
        phones = [x for word in store.words[u] for x in lexicon.of(lexicon.word_id(word))[0].phones]
        x = observations(store, u)
        accumulate(empty, x, first_guess(phones, x[:, 0]), sums)
    floor = FLOOR * single(sums.sum(axis=0, keepdims=True), np.zeros(SIZE)).variance[0]
    return single(sums, floor), floor


def first_guess(phones: Sequence[int], loudness: np.ndarray) -> np.ndarray:
    """Monophone states int32 [frames] of an utterance of ``phones``, from how loud each frame is [frames]."""
    first, last = loud_part(loudness.astype(np.float64), POSITIONS * max(1, len(phones)))
    parts = (([SIL], first), (phones or [SIL], last - first), ([SIL], len(loudness) - last))
    return np.concatenate([_equal_parts(p, frames) for p, frames in parts])


def _equal_parts(phones: Sequence[int], frames: int) -> np.ndarray:
    """The states of ``phones`` in order, each for as many of the frames as any other but for rounding."""
    states = np.array([POSITIONS * p + k for p in phones for k in range(POSITIONS)], np.int32)
    return states[np.arange(frames) * len(states) // max(frames, 1)]


@njit(cache=True, nogil=True)
def loud_part(loudness, least):
    """The stretch [first, last) of at least ``least`` frames, louder than the rest, that explains most variance.

    It maximises the variance between inside and outside; all frames, where there is no such stretch.
    """
    n = len(loudness)
    sums = np.zeros(n + 1)
    for t in range(n):
        sums[t + 1] = sums[t] + loudness[t]
    best, found = -np.inf, (0, n)
    for i in range(n):
        for j in range(i + least, n + 1 if i else n):
            inside, size = sums[j] - sums[i], j - i
            outside, rest = sums[n] - inside, n - size
            if inside * rest > outside * size:
                explained = inside * inside / size + outside * outside / rest
                if explained > best:
                    best, found = explained, (i, j)
    return found
