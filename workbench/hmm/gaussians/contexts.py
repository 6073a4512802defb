"""Statistics of phones in context: what state tying is decided on."""

from dataclasses import dataclass, field

import numpy as np
from numba import njit

from workbench.hmm.align import timing
from workbench.hmm.realign import Aligned
from workbench.hmm.states import POSITIONS, SIL


@dataclass(frozen=True)
class Contexts:
    """Sums for each (left, phone, right, position) that was seen: ``key`` int16 [rows, 4], sorted.

    ``sums`` [rows, 1 + 2 size]: frames, and the first and second moments of their observations. ``visits`` [rows]: how
    often the position was entered.
    """

    key: np.ndarray
    visits: np.ndarray
    sums: np.ndarray


def triphones(aligned: Aligned) -> tuple[np.ndarray, np.ndarray]:
    """(left, phone, right, position) of each stretch of a path, int16 [stretches, 4], and their first frames."""
    graph = aligned.reference.graph
    phones, _ = timing(graph, aligned.arcs)
    around = np.concatenate([[SIL], phones, [SIL]])
    of_phone = np.stack([around[:-2], phones, around[2:]], axis=1)
    of_phone[phones == SIL] = SIL  # silence has no context
    target = graph.target[aligned.arcs]
    moves = np.flatnonzero(np.diff(target, prepend=0))
    positions = np.arange(len(moves)) % POSITIONS
    return np.column_stack([np.repeat(of_phone, POSITIONS, axis=0), positions]).astype(
        np.int16
    ), moves


@dataclass
class ContextSums:
    """Collects ``Contexts`` from alignments, one utterance after another."""

    size: int
    _rows: dict[bytes, int] = field(default_factory=dict)

    def __post_init__(self):
        self._visits, self._sums = np.zeros(0), np.zeros((0, 1 + 2 * self.size))

    def add(self, aligned: Aligned, x: np.ndarray) -> None:
        """Count the observations [frames, size] of an aligned utterance."""
        keys, moves = triphones(aligned)
        rows = np.array([self._rows.setdefault(key.tobytes(), len(self._rows)) for key in keys])
        self._reserve(len(self._rows))
        np.add.at(self._visits, rows, 1)
        _accumulate(x, np.repeat(rows, np.diff(moves, append=len(x))), self._sums)

    def contexts(self) -> Contexts:
        """All sums so far, sorted by key."""
        key = np.array([np.frombuffer(k, np.int16) for k in self._rows])
        order = np.lexsort(key.T[::-1])
        return Contexts(key[order], self._visits[order], self._sums[order])

    def _reserve(self, rows: int) -> None:
        if rows > len(self._visits):
            more = 2 * rows - len(self._visits)
            self._visits, self._sums = (
                np.pad(self._visits, (0, more)),
                np.pad(self._sums, ((0, more), (0, 0))),
            )


@njit(cache=True, nogil=True)
def _accumulate(x, rows, sums):
    size = x.shape[1]
    for t in range(len(x)):
        r = rows[t]
        sums[r, 0] += 1
        for d in range(size):
            sums[r, 1 + d] += x[t, d]
            sums[r, 1 + size + d] += x[t, d] * x[t, d]
