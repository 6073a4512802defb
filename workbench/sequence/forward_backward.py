"""Sums over the paths of a lattice, compiled.

Sums are taken relative to the best score of each node and rescaled when they become large. So one
exponential for each arc suffices and nothing overflows, however long the utterance or wide the
lattice.

No index depends on a score but in `trace_best_path`, which says why it stays inside. All other
indices are nodes and frames of the lattice. `workbench.sequence.lattice.prune` makes lattices whose
nodes and arcs all lie on complete paths of finite score.
"""

from typing import NamedTuple

import numba
import numpy as np

from workbench.sequence.lattice import viterbi
from workbench.sequence.sparse_rows import frame_bounds, sum_by_state

RESCALING_INTERVAL = 8  # frames; 1,000,000 arcs a frame multiply a sum by 1e48 meanwhile
LARGE = 1e100  # sums above this, or below its reciprocal, are rescaled
LEAST = -700.0  # its exponential, 1e-304, stands for that of anything smaller

# Reduction of the exponential's argument: ln 2 in two parts, so that n ln 2 is subtracted without
# rounding.
PER_LN2 = 1.4426950408889634
LN2_HIGH = 0.6931471803691238
LN2_LOW = 1.9082149292705877e-10


class LatticePaths(NamedTuple):
    """The arrays of a lattice that sums over its paths need.

    ``arcs`` int64 [T + 1] and ``nodes`` int64 [T + 2]: where those of each frame, or boundary,
    begin; ``source``, ``target`` int32 and ``weight`` float64 [arcs]; ``final`` float64 [nodes].
    """

    arcs: np.ndarray
    nodes: np.ndarray
    source: np.ndarray
    target: np.ndarray
    weight: np.ndarray
    final: np.ndarray


class PathSums(NamedTuple):
    """Totals by the forward and by the backward pass, and expectations over all paths.

    ``accuracy``: expected accuracy of a path; ``occupancy`` float64 [arcs]: probability of each
    arc; ``through`` float64 [arcs]: expected accuracy of the paths through each arc. Without
    accuracies 0 and empty.
    """

    forward: float
    backward: float
    accuracy: float
    occupancy: np.ndarray
    through: np.ndarray


@numba.njit(cache=True, nogil=True)
def trace_best_path(
    frame: np.ndarray,
    source: np.ndarray,
    target: np.ndarray,
    weight: np.ndarray,
    final: np.ndarray,
    frames: int,
) -> np.ndarray:
    """Return the arcs of the best path, int64 [frames]; of equals that whose arcs come first.

    Node 0 stands at the first boundary and reaches the end with a finite score, for the lattice was
    pruned. `viterbi` found that score as the greatest sum over the arcs that leave the node, by the
    same additions as here. So in every frame an arc is found, and its target reaches the end too.
    """
    _, behind = viterbi(source, target, weight, final)
    path = np.empty(frames, np.int64)
    node = 0
    k = 0
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
def forward_backward(paths: LatticePaths, accuracy: np.ndarray | None) -> PathSums:
    """Return the sums over all ``paths``.

    ``accuracy`` float64 [arcs] adds up along a path; None: it is not asked for.

    With a(n) the best score of a path to node n and r = exp(a(i) + weight - a(j)) for an arc from i
    to j, the same r serves both ways: before(j) = Σ before(i) r is the sum over paths to j relative
    to a(j), and after(i) = Σ r after(j) that over paths from i relative to -a(i).
    """
    arcs = paths.arcs
    nodes = paths.nodes
    source = paths.source
    target = paths.target
    final = paths.final
    frames = arcs.size - 1
    counted = 0 if accuracy is None else 1

    ahead = np.full(final.size, -np.inf)  # a(n)
    ahead[0] = 0.0
    ratio = np.empty(source.size)
    before = np.zeros(final.size)
    before[0] = 1.0
    mean_before = np.zeros(counted * final.size)
    log_before = ascend(paths, accuracy, ahead, ratio, before, mean_before)

    last = slice(nodes[frames], nodes[frames + 1])
    after = np.zeros(final.size)
    best, ends = start_backward(ahead[last] + final[last], before[last], after[last])

    occupancy = np.empty(source.size)
    through = np.empty(counted * source.size)
    mean_after = np.zeros(counted * final.size)
    log_after = 0.0
    for t in range(frames - 1, -1, -1):
        total = 0.0
        for k in range(arcs[t], arcs[t + 1]):
            # Unsigned: these never count from the end, so the loop needs no test for it.
            i = np.uint32(source[k])
            j = np.uint32(target[k])
            p = ratio[k] * after[j]
            after[i] += p
            occupancy[k] = before[i] * p
            total += occupancy[k]
            if accuracy is not None:
                mean_after[i] += p * (mean_after[j] + accuracy[k])
                through[k] = mean_before[i] + accuracy[k] + mean_after[j]
        if accuracy is not None:
            average(nodes[t], nodes[t + 1], after, mean_after)
        if t % RESCALING_INTERVAL == 0:
            log_after += rescale(nodes[t], nodes[t + 1], after)
        share = 1.0 / total
        for k in range(arcs[t], arcs[t + 1]):
            occupancy[k] *= share

    forward_total = log_before + np.log(ends) + best
    backward_total = log_after + np.log(after[0]) + best
    expected = mean_after[0] if counted else 0.0
    return PathSums(forward_total, backward_total, expected, occupancy, through)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def start_backward(score: np.ndarray, before: np.ndarray, after: np.ndarray) -> tuple[float, float]:
    """Fill ``after`` of the last nodes from the best ``score`` of a path through each.

    Returns (the best of all, Σ before * after).
    """
    best = -np.inf
    for n in range(score.size):
        best = max(best, score[n])

    total = 0.0
    for n in range(score.size):
        after[n] = np.exp(score[n] - best)
        total += before[n] * after[n]
    return best, total


@numba.njit(cache=True, nogil=True, error_model="numpy")
def ascend(
    paths: LatticePaths,
    accuracy: np.ndarray | None,
    ahead: np.ndarray,
    ratio: np.ndarray,
    before: np.ndarray,
    mean_before: np.ndarray,
) -> float:
    """Fill the last four, the forward half of `forward_backward`; return the logarithm of what was
    divided by.
    """
    arcs = paths.arcs
    nodes = paths.nodes
    source = paths.source
    target = paths.target
    weight = paths.weight

    for k in range(weight.size):
        i = np.uint32(source[k])
        j = np.uint32(target[k])
        ratio[k] = ahead[i] + weight[k]
        ahead[j] = max(ahead[j], ratio[k])
    for k in range(weight.size):
        ratio[k] -= ahead[np.uint32(target[k])]
    exponentials(ratio)

    log_before = 0.0
    for t in range(arcs.size - 1):
        for k in range(arcs[t], arcs[t + 1]):
            i = np.uint32(source[k])
            j = np.uint32(target[k])
            p = before[i] * ratio[k]
            before[j] += p
            if accuracy is not None:
                mean_before[j] += p * (mean_before[i] + accuracy[k])
        if accuracy is not None:
            average(nodes[t + 1], nodes[t + 2], before, mean_before)
        if t % RESCALING_INTERVAL == 0:
            log_before += rescale(nodes[t + 1], nodes[t + 2], before)
    return log_before


@numba.njit(cache=True, nogil=True)
def state_occupancies(
    frame: np.ndarray,
    node_frame: np.ndarray,
    frames: int,
    source: np.ndarray,
    target: np.ndarray,
    weight: np.ndarray,
    final: np.ndarray,
    state: np.ndarray,
) -> tuple[float, float, np.ndarray, np.ndarray, np.ndarray]:
    """Return (forward total, backward total, indptr, states, occupancies): one call, as lattices
    are often small.
    """
    arcs = frame_bounds(frame, frames)
    nodes = frame_bounds(node_frame, frames + 1)
    sums = forward_backward(LatticePaths(arcs, nodes, source, target, weight, final), None)
    indptr, states, values = sum_by_state(arcs, state, sums.occupancy)
    return sums.forward, sums.backward, indptr, states, values


@numba.njit(cache=True, nogil=True, error_model="numpy")
def exponentials(x: np.ndarray) -> None:
    """Replace each x <= 0 by its exponential, to two units in the last place; by e^LEAST if
    smaller, or NaN.

    Written out, so that it becomes vector code: e^x = 2^n e^r with n whole and abs(r) <= ln 2 / 2,
    and e^r by its Taylor series.
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
        power[k] = (np.int64(n) + 1023) << 52  # the bits of the float64 2^n

    scale = power.view(np.float64)
    for k in range(x.size):
        x[k] *= scale[k]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def average(first: int, end: int, mass: np.ndarray, mean: np.ndarray) -> None:
    """Divide the sums ``mean`` at the nodes first : end by their ``mass``."""
    for i in range(first, end):
        if mass[i] > 0.0:
            mean[i] /= mass[i]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def rescale(first: int, end: int, mass: np.ndarray) -> float:
    """Divide ``mass`` at the nodes first : end by its largest, if that is large or small; return
    its logarithm.
    """
    largest = 0.0
    for i in range(first, end):
        largest = max(largest, mass[i])
    if 1.0 / LARGE < largest < LARGE:
        return 0.0

    for i in range(first, end):
        mass[i] /= largest
    return np.log(largest)
