"""Totals, occupancies and expected accuracies of a lattice, in double precision."""

from dataclasses import dataclass

import numpy as np

from workbench.sequence.forward_backward import forward_backward, occupied, trace
from workbench.sequence.lattice import Lattice
from workbench.sequence.sparse_rows import bounds, gather


@dataclass(frozen=True)
class Occupancies:
    """Sparse rows, one per frame: states[indptr[t] : indptr[t + 1]] ascending and distinct, with float64 ``values``."""

    indptr: np.ndarray
    states: np.ndarray
    values: np.ndarray

    @property
    def frames(self) -> int:
        return len(self.indptr) - 1

    @property
    def frame(self) -> np.ndarray:
        """The frame of every entry: int64 [entries]."""
        return np.repeat(np.arange(self.frames), np.diff(self.indptr))

    @property
    def key(self) -> np.ndarray:
        """frame << 32 | state of every entry, ascending: int64 [entries]."""
        return self.frame << 32 | self.states

    def row(self, frame: int) -> tuple[np.ndarray, np.ndarray]:
        """(states, values) of one frame."""
        span = slice(self.indptr[frame], self.indptr[frame + 1])
        return self.states[span], self.values[span]

    def dense(self, states: int) -> np.ndarray:
        """The same as float64 [frames, states]."""
        out = np.zeros((self.frames, states))
        out[self.frame, self.states] = self.values
        return out


def total(lattice: Lattice) -> float:
    """Log of the summed scores of all paths."""
    return arc_occupancies(lattice)[0]


def arc_occupancies(lattice: Lattice, boost: np.ndarray | None = None) -> tuple[float, np.ndarray]:
    """(total, occupancy of every arc float64 [arcs]); ``boost`` [arcs] is added to the arcs' log scores first."""
    weight = lattice.weight if boost is None else lattice.weight + boost
    log_total, _, occupancy, _ = _pass(lattice, weight, None)
    return log_total, occupancy


def arc_accuracies(
    lattice: Lattice, accuracy: np.ndarray
) -> tuple[float, float, np.ndarray, np.ndarray]:
    """(total, expected accuracy of a path, occupancies [arcs], accuracy of the paths through each arc [arcs]).

    ``accuracy`` float64 [arcs] adds up along a path. The expected accuracy's gradient with respect to the arcs' log
    scores is occupancy x (accuracy through the arc - expected accuracy): Povey 2003, section 6.
    """
    return _pass(lattice, lattice.weight, np.asarray(accuracy, np.float64))


def _pass(lattice: Lattice, weight: np.ndarray, accuracy: np.ndarray | None):
    """Forward-backward; raises FloatingPointError where its two totals disagree, which only a broken lattice can
    cause."""
    arcs, nodes = (
        bounds(lattice.frame, lattice.frames),
        bounds(lattice.node_frame, lattice.frames + 1),
    )
    forward_total, backward_total, *results = forward_backward(
        arcs, nodes, lattice.source, lattice.target, weight, lattice.final, accuracy
    )
    return _agreed(forward_total, backward_total), *results


def _agreed(forward_total: float, backward_total: float) -> float:
    if not abs(forward_total - backward_total) <= 1e-8 * max(1.0, abs(forward_total)):
        raise FloatingPointError(
            f"forward total {forward_total} but backward total {backward_total}"
        )
    return forward_total


def occupancies(lattice: Lattice) -> tuple[float, Occupancies]:
    """(total, γ_t(s)): the probability that frame t is spent in tied state s, summing to one per frame."""
    forward_total, backward_total, *rows = occupied(
        lattice.frame,
        lattice.node_frame,
        lattice.frames,
        lattice.source,
        lattice.target,
        lattice.weight,
        lattice.final,
        lattice.state,
    )
    return _agreed(forward_total, backward_total), Occupancies(*rows)


def by_state(lattice: Lattice, values: np.ndarray) -> Occupancies:
    """Sum ``values`` [arcs] over the arcs of equal frame and tied state."""
    return Occupancies(*gather(bounds(lattice.frame, lattice.frames), lattice.state, values))


def summed(key: np.ndarray, values: np.ndarray, frames: int) -> Occupancies:
    """Rows of ``values`` [n] added up by ``key`` int64 [n], which is frame << 32 | state, in any order."""
    order = np.argsort(key, kind="stable")
    key = key[order]
    first = np.flatnonzero(np.diff(key, prepend=-1))
    indptr = np.searchsorted(key[first] >> 32, np.arange(frames + 1))
    sums = np.add.reduceat(values[order], first) if len(first) else np.zeros(0)
    return Occupancies(indptr, (key[first] & 0xFFFFFFFF).astype(np.int32), sums)


def best_path(lattice: Lattice) -> tuple[tuple[int, ...], np.ndarray, float]:
    """(word ids, tied states int32 [T], log score) of the best path; of equals, the one whose arcs come first."""
    arcs = best_arcs(lattice)
    words = lattice.word[arcs]
    return tuple(words[words > 0].tolist()), lattice.state[arcs], lattice.best


def best_arcs(lattice: Lattice) -> np.ndarray:
    """The arcs of the best path, one per frame: int64 [T]."""
    return trace(
        lattice.frame, lattice.source, lattice.target, lattice.weight, lattice.final, lattice.frames
    )
