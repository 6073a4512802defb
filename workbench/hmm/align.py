"""The best path through a small graph: forced alignment by Viterbi's algorithm, all states kept alive."""

import numpy as np
from numba import njit

from workbench.hmm.graphs.graph import Graph, NoPath
from workbench.hmm.states import POSITIONS


def align(graph: Graph, scores: np.ndarray) -> tuple[np.ndarray, float]:
    """The tied state of each frame (int32 [frames]) on the best path, and its total score, weights included.

    ``scores``: float32 [frames, tied states], natural log, already scaled. Raises NoPath, or ValueError for a NaN.
    """
    arcs, score = best_arcs(graph, scores)
    return graph.state[arcs], score


def best_arcs(graph: Graph, scores: np.ndarray) -> tuple[np.ndarray, float]:
    """The arcs of the best path (int32 [frames]) and its score; timing: ``graph.phone[arcs]``, ``graph.word[arcs]``."""
    if np.isnan(scores).any():
        raise ValueError("a score is not a number")
    scores = np.ascontiguousarray(scores, np.float32)
    arcs, score = _viterbi(
        graph.offsets, graph.target, graph.state, graph.weight, graph.final, scores
    )
    if score == -np.inf:
        raise NoPath(f"no path of {len(scores)} frames")
    return arcs, score


def timing(graph: Graph, arcs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The phones of a path (int16 [phones]) and the frames at which they begin (int32 [phones]).

    A phone is entered whenever three arcs that are no self loops have passed, so equal neighbours are told apart.
    """
    moves = np.flatnonzero(np.diff(graph.target[arcs], prepend=0))
    starts = moves[::POSITIONS].astype(np.int32)
    return graph.phone[arcs[starts]], starts


def compact(graph: Graph) -> tuple[Graph, np.ndarray]:
    """The graph with the tied states that occur in it renumbered from 0, and their old numbers, ascending."""
    used, state = np.unique(graph.state, return_inverse=True)
    return Graph(
        graph.offsets, graph.target, state, graph.word, graph.weight, graph.final, graph.phone
    ), used


def segments(labels: np.ndarray) -> list[tuple[int, int, int]]:
    """Runs of equal values as (value, first frame, last frame + 1)."""
    edges = np.flatnonzero(np.diff(labels)) + 1
    starts, ends = np.concatenate([[0], edges]), np.concatenate([edges, [len(labels)]])
    return [(int(labels[a]), int(a), int(b)) for a, b in zip(starts, ends, strict=True) if b > a]


@njit(cache=True, nogil=True)
def _viterbi(offsets, target, state, weight, final, scores):
    frames, nodes = len(scores), len(final)
    back = np.full((frames, nodes), -1, np.int32)
    source = np.empty(len(target), np.int32)
    alive, grown = np.full(nodes, -np.inf), np.full(nodes, -np.inf)
    for s in range(nodes):
        source[offsets[s] : offsets[s + 1]] = s
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
