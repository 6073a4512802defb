"""Forced alignment: the best path through a small graph, by Viterbi's algorithm without pruning."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numba import njit

from workbench.hmm.graphs.graph import Graph, NoPath
from workbench.hmm.scores import NOT_FINITE, BadScores
from workbench.hmm.states import POSITIONS


class Timing(NamedTuple):
    """The phones of a path, int16 [phones], and their first frames, int32 [phones]."""

    phones: np.ndarray
    starts: np.ndarray


class CompactGraph(NamedTuple):
    """A graph whose tied states are numbered from 0, and the tied states they are, ascending."""

    graph: Graph
    states: np.ndarray


def best_arcs(graph: Graph, scores: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the arcs of the best path, int32 [frames], and its log score, weights included.

    ``scores``: float32 [frames, tied states], natural log, already scaled. Index the graph's
    arrays with the arcs for states, phones and words. Raises NoPath if no path has as many frames
    and a finite score, BadScores if a score is NaN or +inf, ValueError for an array that does not
    fit the graph.
    """
    scores = np.ascontiguousarray(scores, np.float32)
    last = graph.state.max(initial=-1)
    if scores.ndim != 2 or scores.shape[1] <= last:
        raise ValueError(f"scores of shape {scores.shape} for a graph with tied state {last}")
    if not (scores < np.inf).all():
        raise BadScores(NOT_FINITE)
    arcs, score = _viterbi(
        graph.offsets, graph.target, graph.state, graph.weight, graph.final, scores
    )
    if score == -np.inf:
        raise NoPath(f"no path of {len(scores)} frames")
    return arcs, score


def timing(graph: Graph, arcs: np.ndarray) -> Timing:
    """Return the phones of a path and the frames at which they begin.

    A phone begins with every third arc that is no self loop, so that equal neighbours are told
    apart. ``arcs``: int32 [frames], as from `best_arcs`.
    """
    moves = np.flatnonzero(np.diff(graph.target[arcs], prepend=0))
    starts = moves[::POSITIONS].astype(np.int32)
    return Timing(graph.phone[arcs[starts]], starts)


def compact(graph: Graph) -> CompactGraph:
    """Return the graph with only the tied states that occur in it, renumbered from 0."""
    used, state = np.unique(graph.state, return_inverse=True)
    return CompactGraph(replace(graph, state=state), used)


# The best paths of lattices are found by `sequence.lattice.viterbi`. It is simpler: a lattice has
# no cycles and its arcs are in the order of time, so that one pass over the arcs is enough.
#
# No index leaves its array: scores are below +inf and weights finite, so sums in double precision
# are finite or -inf and never NaN. A node that is alive has an arc into it, in ``back``; the path
# that is read back goes over such nodes only, and it is not read back if the best end is not alive.
@njit(cache=True, nogil=True)
def _viterbi(
    offsets: np.ndarray,
    target: np.ndarray,
    state: np.ndarray,
    weight: np.ndarray,
    final: np.ndarray,
    scores: np.ndarray,
) -> tuple[np.ndarray, float]:
    """Return the arcs of the best path, int32 [frames], and its score, -inf if there is no path."""
    frames = len(scores)
    nodes = len(final)
    source = np.empty(len(target), np.int32)
    for s in range(nodes):
        source[offsets[s] : offsets[s + 1]] = s

    back = np.full((frames, nodes), -1, np.int32)  # the best arc into each node
    alive = np.full(nodes, -np.inf)
    grown = np.full(nodes, -np.inf)
    alive[0] = 0.0
    for t in range(frames):
        grown[:] = -np.inf
        for s in range(nodes):
            if alive[s] > -np.inf:
                for a in range(offsets[s], offsets[s + 1]):
                    score = alive[s] + weight[a] + scores[t, state[a]]
                    if score > grown[target[a]]:
                        grown[target[a]] = score
                        back[t, target[a]] = a
        alive, grown = grown, alive

    arcs = np.empty(frames, np.int32)
    last = np.argmax(alive + final)
    best = alive[last] + final[last]
    if best > -np.inf:
        for t in range(frames - 1, -1, -1):
            arcs[t] = back[t, last]
            last = source[arcs[t]]
    return arcs, best
