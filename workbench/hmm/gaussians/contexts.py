"""Statistics of phones in context, from which states are tied."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numba import njit

from workbench.hmm.align import timing
from workbench.hmm.realign import AlignedReference
from workbench.hmm.states import POSITIONS, SIL

# Columns of a key.
LEFT = 0
PHONE = 1
RIGHT = 2
POSITION = 3


@dataclass(frozen=True)
class Contexts:
    """Sums for each (left, phone, right, position) that occurs.

    ``key``: int16 [rows, 4], sorted. ``visits`` [rows]: how often the position was entered.
    ``sums`` [rows, 1 + 2 size]: number of frames, first and second moments of the observations.
    """

    key: np.ndarray
    visits: np.ndarray
    sums: np.ndarray


class Stretches(NamedTuple):
    """The stretches of a path that stay in one position of a phone.

    ``key``: (left, phone, right, position) of each, int16 [stretches, 4]. ``starts``: its first
    frame.
    """

    key: np.ndarray
    starts: np.ndarray


def stretches(aligned: AlignedReference) -> Stretches:
    """Return the stretches of an aligned utterance, with their phones in context."""
    graph = aligned.reference.graph
    phones = timing(graph, aligned.arcs).phones
    around = np.concatenate([[SIL], phones, [SIL]])
    triphone = np.stack([around[:-2], phones, around[2:]], axis=1)
    triphone[phones == SIL] = SIL  # silence has no context

    target = graph.target[aligned.arcs]
    starts = np.flatnonzero(np.diff(target, prepend=0))
    position = np.arange(len(starts)) % POSITIONS
    key = np.column_stack([np.repeat(triphone, POSITIONS, axis=0), position])
    return Stretches(key.astype(np.int16), starts)


class ContextSums:
    """Collects `Contexts` from alignments, one utterance after another.

    ``size``: length of an observation.
    """

    def __init__(self, size: int):
        self._row_of_key: dict[bytes, int] = {}
        self._visits = np.zeros(0)
        self._sums = np.zeros((0, 1 + 2 * size))

    def add(self, aligned: AlignedReference, x: np.ndarray) -> None:
        """Count the observations ``x`` [frames, size] of an aligned utterance."""
        keys, starts = stretches(aligned)
        rows = np.array([self._row(key.tobytes()) for key in keys])
        self._reserve(len(self._row_of_key))
        np.add.at(self._visits, rows, 1)
        row_of_frame = np.repeat(rows, np.diff(starts, append=len(x)))
        _accumulate(x, row_of_frame, self._sums)

    def contexts(self) -> Contexts:
        """Return all sums so far, sorted by key."""
        key = np.array([np.frombuffer(key, np.int16) for key in self._row_of_key])
        rows = len(key)
        order = np.lexsort(key.T[::-1])
        return Contexts(key[order], self._visits[:rows][order], self._sums[:rows][order])

    def _row(self, key: bytes) -> int:
        """Return the row of a key, a new one if the key is new."""
        return self._row_of_key.setdefault(key, len(self._row_of_key))

    def _reserve(self, rows: int) -> None:
        """Make room for at least so many rows, and as many again."""
        if rows > len(self._visits):
            more = 2 * rows - len(self._visits)
            self._visits = np.pad(self._visits, (0, more))
            self._sums = np.pad(self._sums, ((0, more), (0, 0)))


@njit(cache=True, nogil=True)
def _accumulate(x: np.ndarray, rows: np.ndarray, sums: np.ndarray) -> None:
    """Add each observation and its square to the row of ``sums`` that ``rows`` [frames] names."""
    size = x.shape[1]
    for t in range(len(x)):
        r = rows[t]
        sums[r, 0] += 1
        for d in range(size):
            sums[r, 1 + d] += x[t, d]
            sums[r, 1 + size + d] += x[t, d] * x[t, d]
