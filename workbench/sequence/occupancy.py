"""Totals, occupancies, expected accuracies and best paths of a lattice, in double precision."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from workbench.sequence.forward_backward import (
    LatticePaths,
    PathSums,
    forward_backward,
    state_occupancies,
    trace_best_path,
)
from workbench.sequence.lattice import Lattice
from workbench.sequence.sparse_rows import frame_bounds, sum_by_state

TOLERANCE = 1e-8  # relative difference of the forward and the backward total
STATE_BITS = 32
STATE_MASK = (1 << STATE_BITS) - 1


@dataclass(frozen=True)
class Occupancies:
    """Sparse rows, one for each frame: states[indptr[t] : indptr[t + 1]] with float64 ``values``.

    The states of a row are distinct and ascend. Values may be negative: differences are kept in
    this form too.
    """

    indptr: np.ndarray
    states: np.ndarray
    values: np.ndarray

    @property
    def frames(self) -> int:
        """How many frames."""
        return len(self.indptr) - 1

    @property
    def frame(self) -> np.ndarray:
        """The frame of every entry: int64 [entries]."""
        return np.repeat(np.arange(self.frames), np.diff(self.indptr))

    @property
    def key(self) -> np.ndarray:
        """The `entry_key` of every entry, ascending: int64 [entries]."""
        return entry_key(self.frame, self.states)

    def row(self, frame: int) -> tuple[np.ndarray, np.ndarray]:
        """Return (states, values) of one frame."""
        span = slice(self.indptr[frame], self.indptr[frame + 1])
        return self.states[span], self.values[span]

    def dense(self, states: int) -> np.ndarray:
        """Return the rows as float64 [frames, states]."""
        out = np.zeros((self.frames, states))
        out[self.frame, self.states] = self.values
        return out


class ArcAccuracies(NamedTuple):
    """Expected accuracies of the paths of a lattice.

    ``total``: log sum of all paths; ``expected``: accuracy of a path; ``occupancy`` float64 [arcs];
    ``through`` float64 [arcs]: accuracy of the paths through each arc.
    """

    total: float
    expected: float
    occupancy: np.ndarray
    through: np.ndarray


class BestPath(NamedTuple):
    """The best path of a lattice: word ids, tied states int32 [T], log score."""

    words: tuple[int, ...]
    states: np.ndarray
    score: float


def entry_key(frame: np.ndarray, state: np.ndarray) -> np.ndarray:
    """Return frame * 2^32 + state, int64: one number for each entry, in the order of frame and
    state.
    """
    return frame << STATE_BITS | state


def arc_occupancies(lattice: Lattice, boost: np.ndarray | None = None) -> tuple[float, np.ndarray]:
    """Return (log total of all paths, probability of every arc float64 [arcs]).

    ``boost`` [arcs] is added to the arcs' log scores first.
    """
    weight = lattice.weight if boost is None else lattice.weight + boost
    sums = _sum_paths(lattice, weight, None)
    return sums.forward, sums.occupancy


def arc_accuracies(lattice: Lattice, accuracy: np.ndarray) -> ArcAccuracies:
    """Return the expected accuracies of the paths, where ``accuracy`` [arcs] adds up along a path.

    The gradient of the expected accuracy with respect to the arcs' log scores is occupancy times
    (accuracy through the arc - expected accuracy): Povey 2003, *Discriminative training for large
    vocabulary speech recognition*, section 6.
    """
    sums = _sum_paths(lattice, lattice.weight, np.asarray(accuracy, np.float64))
    return ArcAccuracies(sums.forward, sums.accuracy, sums.occupancy, sums.through)


def _sum_paths(lattice: Lattice, weight: np.ndarray, accuracy: np.ndarray | None) -> PathSums:
    paths = LatticePaths(
        arcs=frame_bounds(lattice.frame, lattice.frames),
        nodes=frame_bounds(lattice.node_frame, lattice.frames + 1),
        source=lattice.source,
        target=lattice.target,
        weight=weight,
        final=lattice.final,
    )
    sums: PathSums = forward_backward(paths, accuracy)
    _check_totals(sums.forward, sums.backward)
    return sums


def _check_totals(forward: float, backward: float) -> None:
    """Raise FloatingPointError where the two totals disagree, which only a broken lattice can
    cause.
    """
    if not abs(forward - backward) <= TOLERANCE * max(1.0, abs(forward)):
        raise FloatingPointError(f"forward total {forward} but backward total {backward}")


def occupancies(lattice: Lattice) -> tuple[float, Occupancies]:
    """Return (log total, γ_t(s)): the probability that frame t is spent in tied state s, summing to
    one per frame.
    """
    forward, backward, indptr, states, values = state_occupancies(
        lattice.frame,
        lattice.node_frame,
        lattice.frames,
        lattice.source,
        lattice.target,
        lattice.weight,
        lattice.final,
        lattice.state,
    )
    _check_totals(forward, backward)
    return forward, Occupancies(indptr, states, values)


def by_state(lattice: Lattice, values: np.ndarray) -> Occupancies:
    """Return ``values`` [arcs] added up over the arcs of equal frame and tied state."""
    bounds = frame_bounds(lattice.frame, lattice.frames)
    indptr, states, sums = sum_by_state(bounds, lattice.state, values)
    return Occupancies(indptr, states, sums)


def sum_by_key(key: np.ndarray, values: np.ndarray, frames: int) -> Occupancies:
    """Return rows of ``values`` [n] added up over equal ``key`` int64 [n] (see `entry_key`), in any
    order.
    """
    order = np.argsort(key, kind="stable")
    key = key[order]
    first = np.flatnonzero(np.diff(key, prepend=-1))
    indptr = np.searchsorted(key[first] >> STATE_BITS, np.arange(frames + 1))
    states = (key[first] & STATE_MASK).astype(np.int32)
    sums = np.add.reduceat(values[order], first) if len(first) else np.zeros(0)
    return Occupancies(indptr, states, sums)


def best_path(lattice: Lattice) -> BestPath:
    """Return words, tied states and score of the best path; of equal paths that whose arcs come
    first.
    """
    arcs = best_arcs(lattice)
    words = lattice.word[arcs]
    return BestPath(tuple(words[words > 0].tolist()), lattice.state[arcs], lattice.best)


def best_arcs(lattice: Lattice) -> np.ndarray:
    """Return the arcs of the best path, one for each frame: int64 [T]."""
    arcs: np.ndarray = trace_best_path(
        lattice.frame, lattice.source, lattice.target, lattice.weight, lattice.final, lattice.frames
    )
    return arcs
