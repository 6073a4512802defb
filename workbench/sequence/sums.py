"""Sums over the paths of a lattice, compiled.

They are taken relative to the best score of each node and rescaled per frame, so that one exponential per arc suffices
and nothing overflows, however long the utterance or wide the lattice.
"""

import numba
import numpy as np

from workbench.sequence.kernels import trailing_zeros
from workbench.sequence.lattice import viterbi


@numba.njit(cache=True, nogil=True)
def bounds(frame, frames):
    """Where in the ascending ``frame`` each of the frames begins, and the last one ends: int64 [frames + 1]."""
    out = np.zeros(frames + 1, np.int64)
    for t in frame:
        out[t + 1] += 1
    for t in range(frames):
        out[t + 1] += out[t]
    return out


@numba.njit(cache=True, nogil=True)
def trace(frame, source, target, weight, final, frames):
    """The arcs of the best path: int64 [frames]."""
    _, behind = viterbi(source, target, weight, final)
    path = np.empty(frames, np.int64)
    node, k = 0, 0
    for t in range(frames):
        best = -np.inf
        while k < frame.size and frame[k] == t:
            if source[k] == node and weight[k] + behind[target[k]] > best:
                best = weight[k] + behind[target[k]]
                path[t] = k
            k += 1
        node = target[path[t]]
    return path


@numba.njit(cache=True, nogil=True, error_model="numpy")
def forward_backward(arcs, nodes, source, target, weight, final, accuracy):
    """(forward total, backward total, expected accuracy, occupancies [arcs], accuracy of paths through each arc
    [arcs]).

    ``arcs`` [T + 1] and ``nodes`` [T + 2] bound those of each frame; ``accuracy`` may be empty, then the last is too.
    With a(n) the best score of a path to node n, r = exp(a(i) + weight - a(j)) serves both ways: ``before`` (j) = Σ
    ``before`` (i) r is the sum over paths to j relative to a(j), ``after`` (i) = Σ r ``after`` (j) that over paths from
    i relative to -a(i).
    """
    frames = arcs.size - 1
    ahead = reach(source, target, weight, final.size)
    ratio, occupancy, through = np.empty(weight.size), np.zeros(weight.size), np.zeros(accuracy.size)
    before, mean_before = np.zeros(final.size), np.zeros(final.size)
    after, mean_after = np.zeros(final.size), np.zeros(final.size)
    before[0], log_before, log_after, best = 1.0, 0.0, 0.0, -np.inf
    for t in range(frames):
        for k in range(arcs[t], arcs[t + 1]):
            i, j = source[k], target[k]
            ratio[k] = np.exp(ahead[i] + weight[k] - ahead[j]) if before[i] > 0.0 else 0.0
            p = before[i] * ratio[k]
            before[j] += p
            if accuracy.size:
                mean_before[j] += p * (mean_before[i] + accuracy[k])
        log_before += rescale(nodes[t + 1], nodes[t + 2], before, mean_before)
    for j in range(nodes[frames], nodes[frames + 1]):
        best = max(best, ahead[j] + final[j])
    ends = 0.0
    for j in range(nodes[frames], nodes[frames + 1]):
        after[j] = np.exp(ahead[j] + final[j] - best)
        ends += before[j] * after[j]
    for t in range(frames - 1, -1, -1):
        total = 0.0
        for k in range(arcs[t], arcs[t + 1]):
            i, j = source[k], target[k]
            p = ratio[k] * after[j]
            after[i] += p
            occupancy[k] = before[i] * p
            total += occupancy[k]
            if accuracy.size:
                mean_after[i] += p * (mean_after[j] + accuracy[k])
                through[k] = mean_before[i] + accuracy[k] + mean_after[j]
        log_after += rescale(nodes[t], nodes[t + 1], after, mean_after)
        for k in range(arcs[t], arcs[t + 1]):
            occupancy[k] /= total
    return log_before + np.log(ends) + best, log_after + np.log(after[0]) + best, mean_after[0], occupancy, through


@numba.njit(cache=True, nogil=True)
def reach(source, target, weight, nodes):
    """Best log score from the start to every node: float64 [nodes]."""
    ahead = np.full(nodes, -np.inf)
    ahead[0] = 0.0
    for k in range(source.size):
        ahead[target[k]] = max(ahead[target[k]], ahead[source[k]] + weight[k])
    return ahead


@numba.njit(cache=True, nogil=True, error_model="numpy")
def rescale(first, end, mass, mean):
    """Turn sums at the nodes first : end into means, divide the masses by the largest; returns its logarithm."""
    largest = 0.0
    for i in range(first, end):
        if mass[i] > 0.0:
            mean[i] /= mass[i]
            largest = max(largest, mass[i])
    for i in range(first, end):
        mass[i] /= largest
    return np.log(largest)


@numba.njit(cache=True, nogil=True)
def gather(arcs, state, values):
    """Sums of ``values`` over the arcs of equal frame and state, as rows: (indptr, states, sums)."""
    largest = -1
    for k in range(state.size):
        largest = max(largest, state[k])
    row, marks = np.zeros(largest + 1), np.zeros(largest // 64 + 1, np.uint64)
    indptr, states, sums = np.zeros(arcs.size, np.int64), np.empty(state.size, np.int32), np.empty(state.size)
    n = 0
    for t in range(arcs.size - 1):
        for k in range(arcs[t], arcs[t + 1]):
            s = state[k]
            row[s] += values[k]
            marks[s >> 6] |= np.uint64(1) << np.uint64(s & 63)
        for w in range(marks.size):
            mark = marks[w]
            marks[w] = np.uint64(0)
            while mark != np.uint64(0):
                s = w * 64 + np.int64(trailing_zeros(mark))
                mark &= mark - np.uint64(1)
                states[n], sums[n], row[s] = s, row[s], 0.0
                n += 1
        indptr[t + 1] = n
    return indptr, states[:n].copy(), sums[:n].copy()
