"""State tying by decision trees whose questions are found in the data.

Each position of each phone starts as one class of contexts. A class is split by a question, "is
the left (right) phone in this set?", where that raises the likelihood of one Gaussian per class
most, until there are as many classes as asked for (Young, Odell and Woodland, *Tree-based state
tying for high accuracy acoustic modelling*, 1994). No phonetic knowledge is needed: the sets of
phones are clusters of their Gaussians (`questions`). Contexts that do not occur answer the same
questions.
"""

import heapq
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from workbench.hmm.gaussians.contexts import LEFT, PHONE, POSITION, RIGHT, Contexts
from workbench.hmm.gaussians.questions import log_likelihood, phone_sets
from workbench.hmm.states import POSITIONS, SIL, TiedStates

LEAST_STAY = 0.05  # bounds of the probabilities of staying
MOST_STAY = 0.98


@dataclass(frozen=True)
class Tying:
    """Tied ``states`` and the statistics they were made from.

    ``sums`` [states, 1 + 2 size]: as those of `Contexts`. ``log_likelihood``: of all frames,
    without constants.
    """

    states: TiedStates
    sums: np.ndarray
    log_likelihood: float


@dataclass(frozen=True)
class _ContextClass:
    """Contexts of a position of a phone that share a state.

    Their left phones are in ``left`` and their right phones in ``right``, bool [phones]. ``rows``:
    the rows of `Contexts` that belong here.
    """

    phone: int
    position: int
    left: np.ndarray
    right: np.ndarray
    rows: np.ndarray


class _Split(NamedTuple):
    """A way to split a class: the gain in log likelihood and the two halves."""

    gain: float
    yes: _ContextClass
    no: _ContextClass


class _QueuedSplit(NamedTuple):
    """A split that waits to be made. Of equal gains the one that was found first comes first."""

    negative_gain: float
    number: int  # in the order in which splits were found
    class_index: int
    split: _Split


def tie(
    contexts: Contexts, phones: tuple[str, ...], count: int, least_frames: float, floor: np.ndarray
) -> Tying:
    """Return ``count`` tied states, or as many as can be had.

    Both halves of every split have at least ``least_frames`` frames. Silence is not split.
    ``floor``: smallest variances [size]. Raises ValueError if ``count`` is below three per phone.
    """
    least = POSITIONS * len(phones)
    if count < least:
        raise ValueError(f"{count} states for {len(phones)} phones: at least {least}")

    sets = phone_sets(contexts, len(phones), floor)
    search = _QuestionSearch(contexts, sets, least_frames, floor)
    classes = _root_classes(contexts, len(phones))
    queue: list[_QueuedSplit] = []
    found = 0
    unsearched = list(range(len(classes)))
    while True:
        for index in unsearched:
            split = search.best_split(classes[index])
            if split is not None:
                heapq.heappush(queue, _QueuedSplit(-split.gain, found, index, split))
                found += 1
        if not queue or len(classes) >= count:
            break
        made = heapq.heappop(queue)
        classes[made.class_index] = made.split.yes
        classes.append(made.split.no)
        unsearched = [made.class_index, len(classes) - 1]

    # The sort is stable; silence gets the first numbers.
    classes.sort(key=lambda c: (c.phone, c.position))
    return _number_classes(contexts, phones, classes, floor)


@dataclass(frozen=True)
class _QuestionSearch:
    """The search for the best question about a class; ``sets``: bool [sets, phones]."""

    contexts: Contexts
    sets: np.ndarray
    least_frames: float
    floor: np.ndarray

    def best_split(self, c: _ContextClass) -> _Split | None:
        """Return the split of a class that gains most, None if none is allowed or gains."""
        if c.phone == SIL or not len(c.rows):
            return None
        best_gain = 0.0
        best: tuple[int, np.ndarray] | None = None
        for side in (LEFT, RIGHT):
            gain = self._gains(c, side)
            question = int(np.argmax(gain))
            if gain[question] > best_gain:
                best_gain = float(gain[question])
                best = (side, self.sets[question])

        if best is None:
            return None
        side, members = best
        return _Split(best_gain, self._part(c, side, members), self._part(c, side, ~members))

    def _gains(self, c: _ContextClass, side: int) -> np.ndarray:
        """Return the gain in log likelihood of each question about one side, 0 if not allowed."""
        sums = self.contexts.sums[c.rows]
        total = sums.sum(axis=0)
        by_phone = np.zeros((self.sets.shape[1], sums.shape[1]))
        np.add.at(by_phone, self.contexts.key[c.rows, side], sums)
        yes = self.sets @ by_phone
        no = total - yes

        split = log_likelihood(yes, self.floor) + log_likelihood(no, self.floor)
        gain = split - log_likelihood(total, self.floor)
        gain[np.minimum(yes[:, 0], no[:, 0]) < self.least_frames] = 0
        return gain

    def _part(self, c: _ContextClass, side: int, members: np.ndarray) -> _ContextClass:
        """Return the contexts of a class whose phone on one side is in ``members``."""
        left = c.left & members if side == LEFT else c.left
        right = c.right & members if side == RIGHT else c.right
        rows = c.rows[members[self.contexts.key[c.rows, side]]]
        return _ContextClass(c.phone, c.position, left, right, rows)


def _root_classes(contexts: Contexts, phones: int) -> list[_ContextClass]:
    """Return one class for each position of each phone, with all its contexts."""
    any_phone = np.ones(phones, bool)
    root = contexts.key[:, PHONE].astype(np.int64) * POSITIONS + contexts.key[:, POSITION]
    classes = []
    for phone in range(phones):
        for position in range(POSITIONS):
            rows = np.flatnonzero(root == phone * POSITIONS + position)
            classes.append(_ContextClass(phone, position, any_phone, any_phone, rows))
    return classes


def _number_classes(
    contexts: Contexts, phones: tuple[str, ...], classes: list[_ContextClass], floor: np.ndarray
) -> Tying:
    """Return the tied states that the classes are in this order."""
    table = np.empty((len(phones), len(phones), len(phones), POSITIONS), np.int32)
    for state, c in enumerate(classes):
        table[:, c.phone, :, c.position][np.ix_(c.left, c.right)] = state

    sums = np.stack([contexts.sums[c.rows].sum(axis=0) for c in classes])
    visits = np.array([contexts.visits[c.rows].sum() for c in classes])
    states = TiedStates(phones, table, self_loops(sums[:, 0], visits))
    return Tying(states, sums, float(log_likelihood(sums, floor).sum()))


def self_loops(frames: np.ndarray, visits: np.ndarray) -> np.ndarray:
    """Return the log probability of staying in each state: float32 [states].

    ``frames``, ``visits`` [states]: frames spent in each state, and how often it was entered. A
    state that does not occur has probability 1/2.
    """
    stay = 1 - (visits + 1) / (frames + 2)
    return np.log(np.clip(stay, LEAST_STAY, MOST_STAY)).astype(np.float32)
