"""State tying by decision trees whose questions are found in the data.

Each position of each phone starts as one class of contexts. A class is split by a question, "is the left (right) phone
in this set?", where that raises the likelihood of one Gaussian per class most, until there are as many classes as asked
for (Young, Odell and Woodland, *Tree-based state tying for high accuracy acoustic modelling*, 1994). No linguist is
needed: the sets of phones are clusters of their Gaussians (``questions``). Contexts that were never seen answer the
same questions.
"""

import heapq
from dataclasses import dataclass
from itertools import count as numbers

import numpy as np

from workbench.hmm.gaussians.contexts import Contexts
from workbench.hmm.gaussians.questions import log_likelihood, phone_sets
from workbench.hmm.states import POSITIONS, SIL, TiedStates

STAY = (0.05, 0.98)  # probabilities of staying are kept within these


@dataclass(frozen=True)
class Tying:
    """``states``; their sums, as those of the contexts, [states, 1 + 2 size]; log likelihood, constants left out."""

    states: TiedStates
    sums: np.ndarray
    log_likelihood: float


@dataclass(frozen=True)
class _Class:
    """Contexts that share a state: those with left phone in ``left`` and right phone in ``right``, bool [phones]."""

    phone: int
    position: int
    left: np.ndarray
    right: np.ndarray
    rows: np.ndarray


def tie(
    contexts: Contexts, phones: tuple[str, ...], count: int, least_frames: float, floor: np.ndarray
) -> Tying:
    """``count`` tied states, or as many as can be had with ``least_frames`` frames in either half of every split.

    ``floor``: smallest variances [size]. Silence is not split. ValueError if ``count`` is below three per phone.
    """
    if count < POSITIONS * len(phones):
        raise ValueError(
            f"{count} states for {len(phones)} phones: at least {POSITIONS * len(phones)}"
        )
    sets = phone_sets(contexts, len(phones), floor)
    splits = _Splits(contexts, sets, least_frames, floor)
    classes = _roots(contexts, len(phones))
    order = numbers()  # equal gains are taken in the order in which they were found
    heap: list[tuple[float, int, int, tuple[_Class, _Class]]] = []

    def consider(i: int) -> None:
        if found := splits.best(classes[i]):
            gain, halves = found
            heapq.heappush(heap, (-gain, next(order), i, halves))

    for i in range(len(classes)):
        consider(i)
    while heap and len(classes) < count:
        _, _, i, (yes, no) = heapq.heappop(heap)
        classes[i] = yes
        classes.append(no)
        consider(i)
        consider(len(classes) - 1)
    classes.sort(key=lambda c: (c.phone, c.position))  # stable; silence gets the first numbers
    return _tying(contexts, phones, classes, floor)


@dataclass(frozen=True)
class _Splits:
    """The search for the best question; ``sets`` bool [sets, phones]."""

    contexts: Contexts
    sets: np.ndarray
    least_frames: float
    floor: np.ndarray

    def best(self, c: _Class) -> tuple[float, tuple[_Class, _Class]] | None:
        """The largest gain in log likelihood and the halves that give it; None if no split is allowed or gains."""
        if c.phone == SIL or not len(c.rows):
            return None
        sums = self.contexts.sums[c.rows]
        total = sums.sum(axis=0)
        found = None
        for side in (0, 2):  # columns of the left and the right phone in the key
            by_phone = np.zeros((self.sets.shape[1], sums.shape[1]))
            np.add.at(by_phone, self.contexts.key[c.rows, side], sums)
            yes = self.sets @ by_phone
            no = total - yes
            gain = sum(log_likelihood(s, self.floor) for s in (yes, no)) - log_likelihood(
                total, self.floor
            )
            gain[np.minimum(yes[:, 0], no[:, 0]) < self.least_frames] = 0
            question = int(np.argmax(gain))
            if gain[question] > (found[0] if found else 0):
                found = float(gain[question]), side, self.sets[question]
        return (found[0], self._halves(c, *found[1:])) if found else None

    def _halves(self, c: _Class, side: int, members: np.ndarray) -> tuple[_Class, _Class]:
        halves = []
        for answer in (members, ~members):
            rows = c.rows[answer[self.contexts.key[c.rows, side]]]
            left, right = (c.left & answer, c.right) if side == 0 else (c.left, c.right & answer)
            halves.append(_Class(c.phone, c.position, left, right, rows))
        return halves[0], halves[1]


def _roots(contexts: Contexts, phones: int) -> list[_Class]:
    everything = np.ones(phones, bool)
    of = contexts.key[:, 1].astype(np.int64) * POSITIONS + contexts.key[:, 3]
    rows = [np.flatnonzero(of == i) for i in range(phones * POSITIONS)]
    return [_Class(*divmod(i, POSITIONS), everything, everything, r) for i, r in enumerate(rows)]


def _tying(
    contexts: Contexts, phones: tuple[str, ...], classes: list[_Class], floor: np.ndarray
) -> Tying:
    table = np.empty((len(phones),) * 3 + (POSITIONS,), np.int32)
    for state, c in enumerate(classes):
        table[:, c.phone, :, c.position][np.ix_(c.left, c.right)] = state
    sums = np.stack([contexts.sums[c.rows].sum(axis=0) for c in classes])
    visits = np.array([contexts.visits[c.rows].sum() for c in classes])
    states = TiedStates(phones, table, self_loops(sums[:, 0], visits))
    return Tying(states, sums, float(log_likelihood(sums, floor).sum()))


def self_loops(frames: np.ndarray, visits: np.ndarray) -> np.ndarray:
    """Log probability of staying, from how many frames each state had in how many visits; unseen: 1/2."""
    stay = 1 - (visits + 1) / (frames + 2)
    return np.log(np.clip(stay, *STAY)).astype(np.float32)
