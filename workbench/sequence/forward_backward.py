"""Sums over the paths of a lattice, compiled.

They are taken relative to the best score of each node and rescaled when they become large, so that one exponential per
arc suffices and nothing overflows, however long the utterance or wide the lattice.
"""

import numba
import numpy as np

from workbench.sequence.lattice import viterbi
from workbench.sequence.sparse_rows import bounds, gather

OFTEN = 8  # frames after which sums may be rescaled: 1,000,000 arcs a frame multiply them by 1e48 meanwhile
LARGE = 1e100  # from which on they are, or from one over it on
LEAST = -700.0  # of which, and of less, the exponential is taken for 1e-304
PER_LN2, LN2_HIGH, LN2_LOW = (
    1.4426950408889634,
    0.6931471803691238,
    1.9082149292705877e-10,
)  # ln 2 in two parts


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

    ``arcs`` [T + 1] and ``nodes`` [T + 2] bound those of each frame; without ``accuracy`` (None) the last is empty.
    With a(n) the best score of a path to node n, r = exp(a(i) + weight - a(j)) serves both ways: ``before`` (j) = Σ
    ``before`` (i) r is the sum over paths to j relative to a(j), ``after`` (i) = Σ r ``after`` (j) that over paths from
    i relative to -a(i).
    """
    frames = arcs.size - 1
    ahead = np.full(final.size, -np.inf)  # best log score from the start to every node
    ahead[0] = 0.0
    counted = 0 if accuracy is None else 1
    ratio, occupancy, through = (
        np.empty(weight.size),
        np.empty(weight.size),
        np.empty(counted * weight.size),
    )
    before, mean_before = np.zeros(final.size), np.zeros(counted * final.size)
    after, mean_after = np.zeros(final.size), np.zeros(counted * final.size)
    before[0], log_after, best = 1.0, 0.0, -np.inf
    log_before = ascend(
        arcs, nodes, source, target, weight, accuracy, ahead, ratio, before, mean_before
    )
    for n in range(nodes[frames], nodes[frames + 1]):
        best = max(best, ahead[n] + final[n])
    ends = 0.0
    for n in range(nodes[frames], nodes[frames + 1]):
        after[n] = np.exp(ahead[n] + final[n] - best)
        ends += before[n] * after[n]
    for t in range(frames - 1, -1, -1):
        total = 0.0
        for k in range(arcs[t], arcs[t + 1]):
            i, j = np.uint32(source[k]), np.uint32(target[k])
            p = ratio[k] * after[j]
            after[i] += p
            occupancy[k] = before[i] * p
            total += occupancy[k]
            if accuracy is not None:
                mean_after[i] += p * (mean_after[j] + accuracy[k])
                through[k] = mean_before[i] + accuracy[k] + mean_after[j]
        if accuracy is not None:
            average(nodes[t], nodes[t + 1], after, mean_after)
        if t % OFTEN == 0:
            log_after += rescale(nodes[t], nodes[t + 1], after)
        share = 1.0 / total
        for k in range(arcs[t], arcs[t + 1]):
            occupancy[k] *= share
    expected = mean_after[0] if counted else 0.0
    return (
        log_before + np.log(ends) + best,
        log_after + np.log(after[0]) + best,
        expected,
        occupancy,
        through,
    )


@numba.njit(cache=True, nogil=True)
def occupied(frame, node_frame, frames, source, target, weight, final, state):
    """(forward total, backward total, indptr, states, occupancies of states) in one call."""
    arcs, nodes = bounds(frame, frames), bounds(node_frame, frames + 1)
    forward, backward, _, values, _ = forward_backward(
        arcs, nodes, source, target, weight, final, None
    )
    indptr, states, sums = gather(arcs, state, values)
    return forward, backward, indptr, states, sums


@numba.njit(cache=True, nogil=True, error_model="numpy")
def ascend(arcs, nodes, source, target, weight, accuracy, ahead, ratio, before, mean_before):
    """The forward half of ``forward_backward``: fills the last four; returns the logarithm of what was divided by."""
    log_before = 0.0
    for k in range(weight.size):
        i, j = (
            np.uint32(source[k]),
            np.uint32(target[k]),
        )  # unsigned: no index from the end, so no test for one
        ratio[k] = ahead[i] + weight[k]
        ahead[j] = max(ahead[j], ratio[k])
    for k in range(weight.size):
        ratio[k] -= ahead[np.uint32(target[k])]
    exponentials(ratio)
    for t in range(arcs.size - 1):
        for k in range(arcs[t], arcs[t + 1]):
            i, j = np.uint32(source[k]), np.uint32(target[k])
            p = before[i] * ratio[k]
            before[j] += p
            if accuracy is not None:
                mean_before[j] += p * (mean_before[i] + accuracy[k])
        if accuracy is not None:
            average(nodes[t + 1], nodes[t + 2], before, mean_before)
        if t % OFTEN == 0:
            log_before += rescale(nodes[t + 1], nodes[t + 2], before)
    return log_before


@numba.njit(cache=True, nogil=True, error_model="numpy")
def exponentials(x):
    """Replace x <= 0 by its exponential, at least `LEAST`'s, to two units in the last place; what is no number too.

    Written out, so that it becomes vector code: 2^n e^r with n whole and abs(r) <= ln 2 / 2, e^r by its Taylor series.
    """
    power = np.empty(x.size, np.int64)
    for k in range(x.size):
        z = x[k] if x[k] > LEAST else LEAST
        n = np.floor(z * PER_LN2 + 0.5)
        r = (z - n * LN2_HIGH) - n * LN2_LOW
        p = 1.0 / 6227020800.0
        p = p * r + 1.0 / 479001600.0
        p = p * r + 1.0 / 39916800.0
        p = p * r + 1.0 / 3628800.0
        p = p * r + 1.0 / 362880.0
        p = p * r + 1.0 / 40320.0
        p = p * r + 1.0 / 5040.0
        p = p * r + 1.0 / 720.0
        p = p * r + 1.0 / 120.0
        p = p * r + 1.0 / 24.0
        p = p * r + 1.0 / 6.0
        p = p * r + 0.5
        x[k] = (p * r + 1.0) * r + 1.0
        power[k] = (np.int64(n) + 1023) << 52
    scale = power.view(np.float64)
    for k in range(x.size):
        x[k] *= scale[k]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def average(first, end, mass, mean):
    """Turn sums at the nodes first : end into means."""
    for i in range(first, end):
        if mass[i] > 0.0:
            mean[i] /= mass[i]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def rescale(first, end, mass):
    """Divide the masses of the nodes first : end by the largest, if that is large or small; returns its logarithm."""
    largest = 0.0
    for i in range(first, end):
        largest = max(largest, mass[i])
    if 1.0 / LARGE < largest < LARGE:
        return 0.0
    for i in range(first, end):
        mass[i] /= largest
    return np.log(largest)
