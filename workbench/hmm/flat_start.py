"""From nothing to one Gaussian per state of every phone: each utterance is cut into equal parts."""

from collections.abc import Iterable

import numpy as np

from workbench.corpus.store import FrameStore
from workbench.hmm.cepstra import SIZE, observations
from workbench.hmm.gmm import Mixtures, accumulate, no_sums, single
from workbench.hmm.states import POSITIONS, SIL
from workbench.language.lexicon import Lexicon

FLOOR = 0.02  # smallest variance of any Gaussian, as a share of that of all frames


def flat_start(store: FrameStore, utterances: Iterable[int], lexicon: Lexicon) -> tuple[Mixtures, np.ndarray]:
    """One Gaussian for each monophone state (see ``states.monophone``), and the variance floor [39].

    Every utterance is taken to be silence, the phones of its words in their first pronunciations, and silence, all
    equally long. A phone that does not occur gets the Gaussian of all frames.
    """
    count = POSITIONS * len(lexicon.phones)
    # Any mixtures with one Gaussian per state count frames alike.
    empty = Mixtures(np.arange(count + 1), np.zeros(count), np.zeros((count, SIZE)), np.ones((count, SIZE)))
    sums = no_sums(empty)
    for u in utterances:
        phones = [x for word in store.words[u] for x in lexicon.of(lexicon.word_id(word))[0].phones]
        x = observations(store, u)
        accumulate(empty, x, equal_split([SIL, *phones, SIL], len(x)), sums)
    floor = FLOOR * single(sums.sum(axis=0, keepdims=True), np.zeros(SIZE)).variance[0]
    return single(sums, floor), floor


def equal_split(phones: list[int], frames: int) -> np.ndarray:
    """Monophone states in order, each for as many of the frames as any other but for rounding: int32 [frames]."""
    states = np.array([POSITIONS * p + k for p in phones for k in range(POSITIONS)], np.int32)
    return states[np.arange(frames) * len(states) // frames]
