"""The backward pass of the search, compiled: the arcs between tokens that lie on paths good enough to be kept.

The forward pass left no arcs, so the arcs into surviving tokens are looked up in the graph again; few survive, hence
this costs next to nothing, and of what is pruned nothing was ever written.
"""

import numba
import numpy as np

from workbench.sequence.search_forward import FULL

NONE = np.uint32(0xFFFFFFFF)
SEARCH = 32  # a search among the tokens of a frame costs as much as indexing so many of them


@numba.njit(cache=True, nogil=True)
def backward(
    back_head,
    back_label,
    back_weight,
    final,
    scores,
    width,
    floor,
    state,
    alpha,
    starts,
    norm,
    place,
    number,
    node_state,
    node_frame,
    beta,
    source,
    target,
    arc,
):
    """Nodes and arcs on paths within ``width`` of the best (or of at least ``floor`` if that is not NaN), latest first.

    Tokens as ``kernels.forward`` leaves them. Work: ``place`` int32 [states] all -1, ``number`` uint32 [states] all
    NONE (both left so). Output: ``node_state``, ``node_frame``, ``beta`` [nodes], ``source``, ``target`` (nodes),
    ``arc`` (of the graph) [arcs]. Returns (nodes, arcs); (FULL, 0) if they do not fit, (0, 0) without a path.
    """
    frames = scores.shape[0]
    ends = slice(starts[frames], starts[frames + 1])
    nodes, least = begin_at(
        state[ends],
        alpha[ends],
        norm[frames],
        final,
        width,
        floor,
        frames,
        node_state,
        node_frame,
        beta,
    )
    begin, arcs = 0, 0
    for t in range(frames - 1, -1, -1):
        end, x = nodes, scores[t]
        states, alphas = state[starts[t] : starts[t + 1]], alpha[starts[t] : starts[t + 1]]
        sought = 0
        for n in range(begin, end):
            sought += back_head[node_state[n] + np.uint32(1)] - back_head[node_state[n]]
        indexed = SEARCH * sought > states.size
        for i in range(states.size if indexed else 0):
            place[states[i]] = i
        for n in range(begin, end):
            s = node_state[n]
            for r in range(back_head[s], back_head[s + np.uint32(1)]):
                q = back_label[r, 0]
                i = place[q] if indexed else find(states, q)
                v = back_weight[r] + np.float64(x[back_label[r, 1]]) + beta[n]
                if i < 0 or alphas[i] + norm[t] + v < least:
                    continue
                if arcs < source.size and nodes < node_state.size:
                    if number[q] == NONE:
                        number[q] = nodes
                        node_state[nodes], node_frame[nodes], beta[nodes] = q, t, v
                        nodes += 1
                    beta[number[q]] = max(beta[number[q]], v)
                    source[arcs], target[arcs], arc[arcs] = number[q], n, back_label[r, 2]
                arcs += 1
        for n in range(end, nodes):
            number[node_state[n]] = NONE
        for i in range(states.size if indexed else 0):
            place[states[i]] = -1
        if arcs >= source.size or nodes >= node_state.size:
            return FULL, 0
        begin = end
    return nodes, arcs


@numba.njit(cache=True, nogil=True)
def begin_at(states, alphas, norm, final, width, floor, frames, node_state, node_frame, beta):
    """The last nodes: (how many, the score that a path must have); all of them must fit, or the arrays count as
    full."""
    best, nodes = -np.inf, 0
    for i in range(states.size):
        best = max(best, alphas[i] + norm + final[states[i]])
    least = best - width if np.isnan(floor) else floor
    for i in range(states.size):
        if (
            best > -np.inf
            and alphas[i] + norm + final[states[i]] >= least
            and nodes < node_state.size
        ):
            node_state[nodes], node_frame[nodes], beta[nodes] = states[i], frames, final[states[i]]
            nodes += 1
    return nodes, least


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
