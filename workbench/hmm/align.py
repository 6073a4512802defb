"""Forced alignment: the best path through a small graph, by Viterbi's algorithm without pruning."""

import math
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numba import njit

from workbench.hmm.graphs.graph import Graph, NoPath
from workbench.hmm.scores import NOT_FINITE, BadScores
from workbench.hmm.states import POSITIONS

KEPT_ARCS = 1 << 24
"""Arcs, of four bytes, that an alignment keeps before it finds them again instead."""


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
        graph.offsets,
        graph.target,
        graph.state,
        graph.weight,
        graph.final,
        scores,
        block_frames(len(scores), graph.states),
    )
    if score == -np.inf:
        raise NoPath(f"no path of {len(scores)} frames")
    return arcs, score


def block_frames(frames: int, states: int) -> int:
    """Return for how many frames at a time the best arcs into all states are kept.

    All frames where that takes little memory. Else so many that the arcs of a block and the scores
    at the beginning of all blocks, which are twice as wide, take about the same.
    """
    if frames * states <= KEPT_ARCS:
        return max(1, frames)
    return math.ceil(math.sqrt(2 * frames))


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
    block: int,
) -> tuple[np.ndarray, float]:
    """Return the arcs of the best path, int32 [frames], and its score, -inf if there is no path.

    The best arcs into the nodes are kept for one ``block`` of frames at a time. The path is read
    back from the last block on; the arcs of an earlier block are found again from the scores at its
    beginning, which are kept. So all is the same for every block.
    """
    frames = len(scores)
    nodes = len(final)
    source = np.empty(len(target), np.int32)
    for s in range(nodes):
        source[offsets[s] : offsets[s + 1]] = s

    blocks = (frames + block - 1) // block
    begin = np.empty((blocks, nodes))
    back = np.empty((block, nodes), np.int32)
    alive = np.full(nodes, -np.inf)
    grown = np.full(nodes, -np.inf)
    alive[0] = 0.0
    for t in range(frames):
        if t % block == 0:
            begin[t // block] = alive
        _advance(offsets, target, state, weight, scores[t], alive, grown, back[t % block])
        alive, grown = grown, alive

    arcs = np.empty(frames, np.int32)
    last = np.argmax(alive + final)
    best = alive[last] + final[last]
    if best == -np.inf:
        return arcs, best

    for b in range(blocks - 1, -1, -1):
        end = min(frames, (b + 1) * block)
        if b < blocks - 1:
            alive[:] = begin[b]
            for t in range(b * block, end):
                _advance(offsets, target, state, weight, scores[t], alive, grown, back[t % block])
                alive, grown = grown, alive
        for t in range(end - 1, b * block - 1, -1):
            arcs[t] = back[t % block, last]
            last = source[arcs[t]]
    return arcs, best


@njit(cache=True, nogil=True)
def _advance(
    offsets: np.ndarray,
    target: np.ndarray,
    state: np.ndarray,
    weight: np.ndarray,
    frame_scores: np.ndarray,
    alive: np.ndarray,
    grown: np.ndarray,
    back: np.ndarray,
) -> None:
    """Write the best score of every node after one more frame to ``grown``, and the arc by which it
    was reached, -1 if it was not, to ``back``.
    """
    grown[:] = -np.inf
    back[:] = -1
    for s in range(len(alive)):
        if alive[s] > -np.inf:
            for a in range(offsets[s], offsets[s + 1]):
                score = alive[s] + weight[a] + frame_scores[state[a]]
                if score > grown[target[a]]:
                    grown[target[a]] = score
                    back[target[a]] = a
