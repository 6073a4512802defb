"""From nothing to one Gaussian per monophone state.

An utterance is cut into silence, its words in equal parts, and silence.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numba import njit

from workbench.corpus.frames.store import FrameStore
from workbench.hmm.gaussians.cepstra import SIZE, observations
from workbench.hmm.gaussians.mixtures import Mixtures, accumulate, empty_sums, single_gaussians
from workbench.hmm.states import POSITIONS, SIL
from workbench.language.lexicon import Lexicon

FLOOR = 0.02  # smallest variance of any Gaussian, as a share of that of all frames


class FlatStart(NamedTuple):
    """One Gaussian per monophone state, and the smallest variances of any Gaussian [39]."""

    mixtures: Mixtures
    floor: np.ndarray


def flat_start(store: FrameStore, utterances: Iterable[int], lexicon: Lexicon) -> FlatStart:
    """Return one Gaussian for each state of `states.monophone`, from some utterances of a split.

    The loud part of an utterance is taken for its words, in their first pronunciations, all phones
    equally long; the parts before and after it are taken for silence. A phone that does not occur
    gets the Gaussian of all frames.
    """
    count = POSITIONS * len(lexicon.phones)
    # Frames are only counted, so any mixtures with one Gaussian per state will do.
    counting = Mixtures(
        first=np.arange(count + 1),
        weight=np.zeros(count),
        mean=np.zeros((count, SIZE)),
        variance=np.ones((count, SIZE)),
    )
    sums = empty_sums(counting)
    for utterance in utterances:
        phones: list[int] = []
        for word in store.words[utterance]:
            phones += lexicon.of(lexicon.word_id(word))[0].phones
        x = observations(store, utterance)
        accumulate(counting, x, first_guess(phones, loudness=x[:, 0]), sums)

    everything = single_gaussians(sums.sum(axis=0, keepdims=True), np.zeros(SIZE))
    floor = FLOOR * everything.variance[0]
    return FlatStart(single_gaussians(sums, floor), floor)


def first_guess(phones: Sequence[int], loudness: np.ndarray) -> np.ndarray:
    """Return the monophone states of an utterance of ``phones``: int32 [frames].

    ``loudness`` [frames]: how loud each frame is.
    """
    least = POSITIONS * max(1, len(phones))
    first, end = loud_part(loudness.astype(np.float64), least)
    parts = [
        _equal_parts([SIL], first),
        _equal_parts(phones or [SIL], end - first),
        _equal_parts([SIL], len(loudness) - end),
    ]
    return np.concatenate(parts)


def _equal_parts(phones: Sequence[int], frames: int) -> np.ndarray:
    """Return the states of ``phones`` in order, each for an equal part of the frames."""
    states = [POSITIONS * phone + position for phone in phones for position in range(POSITIONS)]
    place = np.arange(frames) * len(states) // max(frames, 1)
    return np.array(states, np.int32)[place]


@njit(cache=True, nogil=True)
def loud_part(loudness: np.ndarray, least: int) -> tuple[int, int]:
    """Return the stretch [first, end) that is louder than the rest and explains most variance.

    Among the stretches of at least ``least`` frames it has the largest variance between inside and
    outside. All frames are returned where there is no such stretch. ``loudness``: float64.
    """
    n = len(loudness)
    sums = np.zeros(n + 1)
    for t in range(n):
        sums[t + 1] = sums[t] + loudness[t]
    best = -np.inf
    found = (0, n)
    for i in range(n):
        for j in range(i + least, n + 1 if i else n):
            inside = sums[j] - sums[i]
            size = j - i
            outside = sums[n] - inside
            rest = n - size
            if inside * rest > outside * size:
                explained = inside * inside / size + outside * outside / rest
                if explained > best:
                    best = explained
                    found = (i, j)
    return found
