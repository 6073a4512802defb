"""The backward pass of the search, compiled: the arcs between tokens that lie on paths good enough to be kept.

The forward pass left no arcs, so the arcs into surviving tokens are looked up in the graph again; few survive, hence
this costs next to nothing, and of what is pruned nothing was ever written.
"""

import numba
import numpy as np

from workbench.sequence.kernels import FULL

NONE = np.uint32(0xFFFFFFFF)
SEARCH = 32  # a search among the tokens of a frame costs as much as indexing so many of them


@numba.njit(cache=True, nogil=True)
def backward(
    back_head, back_label, back_weight, final, scores, width, floor,
    state, alpha, starts, norm, place, number, node_state, node_frame, beta, source, target, arc,
):  # fmt: skip
    """Nodes and arcs on paths within ``width`` of the best (or of at least ``floor`` if that is not NaN), latest first.

    Tokens as ``kernels.forward`` leaves them. Work: ``place`` int32 [states] all -1, ``number`` uint32 [states] all
    NONE (both left so). Output: ``node_state``, ``node_frame``, ``beta`` [nodes], ``source``, ``target`` (nodes),
    ``arc`` (of the graph) [arcs]. Returns (nodes, arcs); (FULL, 0) if they do not fit, (0, 0) without a path.
    """
    frames = scores.shape[0]
    best = -np.inf
    for i in range(starts[frames], starts[frames + 1]):
        best = max(best, alpha[i] + norm[frames] + final[state[i]])
    least = best - width if np.isnan(floor) else floor
    nodes, arcs = 0, 0
    if best == -np.inf or best < least:
        return 0, 0
    for i in range(starts[frames], starts[frames + 1]):
        if alpha[i] + norm[frames] + final[state[i]] >= least:
            if nodes == node_state.size:
                return FULL, 0
            node_state[nodes], node_frame[nodes], beta[nodes] = state[i], frames, final[state[i]]
            nodes += 1
    begin = 0
    for t in range(frames - 1, -1, -1):
        end, x = nodes, scores[t]
        states, alphas = state[starts[t] : starts[t + 1]], alpha[starts[t] : starts[t + 1]]
        sought = 0
        for n in range(begin, end):
            sought += back_head[node_state[n] + np.uint32(1)] - back_head[node_state[n]]
        indexed = SEARCH * sought > states.size
        if indexed:
            for i in range(states.size):
                place[states[i]] = i
        full = False
        for n in range(begin, end):
            s = node_state[n]
            for r in range(back_head[s], back_head[s + np.uint32(1)]):
                q = back_label[r, 0]
                i = place[q] if indexed else find(states, q)
                if i < 0:
                    continue
                v = back_weight[r] + np.float64(x[back_label[r, 1]]) + beta[n]
                if alphas[i] + norm[t] + v < least:
                    continue
                if arcs == source.size or nodes == node_state.size:
                    full = True
                    break
                if number[q] == NONE:
                    number[q] = nodes
                    node_state[nodes], node_frame[nodes], beta[nodes] = q, t, v
                    nodes += 1
                elif v > beta[number[q]]:
                    beta[number[q]] = v
                source[arcs], target[arcs], arc[arcs] = number[q], n, back_label[r, 2]
                arcs += 1
            if full:
                break
        for n in range(end, nodes):
            number[node_state[n]] = NONE
        if indexed:
            for i in range(states.size):
                place[states[i]] = -1
        if full:
            return FULL, 0
        begin = end
    return nodes, arcs


@numba.njit(cache=True, nogil=True)
def find(states, wanted):
    """Where ``wanted`` stands in the ascending ``states``, or -1."""
    low, high = 0, states.size
    while low < high:
        middle = (low + high) >> 1
        if states[middle] < wanted:
            low = middle + 1
        else:
            high = middle
    return low if low < states.size and states[low] == wanted else -1
