"""The two passes of the search, compiled. Nothing is kept of what the beam or the lattice beam will drop.

Forward: per frame only the tokens (graph state, best log score) that survive the frame's final beam; no arcs. Scores
are relative to the frame's best, so that float32 is precise however long the utterance. Backward: from the final
tokens, the arcs into surviving tokens are looked up in the graph again; few survive, so this costs next to nothing.
"""

import numba
import numpy as np

NEG = np.float32(-1e30)  # a sentinel that stays ordered under addition, unlike -inf minus -inf
FULL = -1  # a work array is too small
BINS = 1024
NONE = np.uint32(0xFFFFFFFF)


@numba.njit(cache=True, nogil=True)
def forward(
    head, label, weight, fan, shift, final, scores, beam, max_active, score, touched, state, alpha, starts, norm
):
    """Best tokens of every frame; returns their number, or FULL.

    Work and output: ``score`` float32 [S] all NEG (and left so), ``touched`` uint32 [S]; ``state`` uint32 and ``alpha``
    float32 [tokens] are written frame by frame, ``starts`` int64 [T + 2] their bounds, ``norm`` float64 [T + 1] the
    best absolute log score of each boundary, to which ``alpha`` is relative. The first token of a frame is its best.
    """
    frames = scores.shape[0]
    starts[0], starts[1], norm[0] = 0, 1, 0.0
    state[0], alpha[0] = 0, 0.0
    for t in range(frames):
        last = t == frames - 1
        count, best = expand(
            head, label, weight, fan, shift, scores[t], np.float32(np.inf) if last else beam,
            state[starts[t] : starts[t + 1]], alpha[starts[t] : starts[t + 1]], score, touched,
        )  # fmt: skip
        first = starts[t + 1]
        if first + count > state.size:
            for i in range(count):
                score[touched[i]] = NEG
            return FULL
        kept = settle(count, best, beam, max_active, last, final, score, touched, state[first:], alpha[first:])
        starts[t + 2] = first + kept
        norm[t + 1] = norm[t] + best
        if kept == 0:
            for u in range(t + 1, frames):
                starts[u + 2] = starts[u + 1]
            break
    return starts[frames + 1]


@numba.njit(cache=True, nogil=True)
def expand(head, label, weight, fan, shift, x, beam, state, alpha, score, touched):
    """Take every arc of every token, leaving in ``score`` what is not below the tightening beam.

    Returns (targets touched, best score).
    """
    best, cut, count = NEG, NEG, 0
    fans = touched.size  # pseudo-states that wait are listed from the end of ``touched``
    for i in range(state.size):
        s, a = state[i], alpha[i]
        for k in range(head[s], head[s + 1]):
            v = a + weight[k] + x[label[k, 1]]
            if v >= cut:
                d = label[k, 0]
                old = score[d]
                if v > old:
                    score[d] = v
                    if old == NEG:
                        touched[count] = d
                        count += 1
                    if v > best:
                        best = v
                        cut = best - beam
        f = fan[s]
        if f != NONE:
            v = a + shift[s]
            old = score[f]
            if v > old:
                score[f] = v
                if old == NEG:
                    fans -= 1
                    touched[fans] = f
    for i in range(fans, touched.size):
        s = touched[i]
        a = score[s]
        score[s] = NEG
        for k in range(head[s], head[s + 1]):
            v = a + weight[k] + x[label[k, 1]]
            if v >= cut:
                d = label[k, 0]
                old = score[d]
                if v > old:
                    score[d] = v
                    if old == NEG:
                        touched[count] = d
                        count += 1
                    if v > best:
                        best = v
                        cut = best - beam
    return count, best


@numba.njit(cache=True, nogil=True)
def settle(count, best, beam, max_active, last, final, score, touched, state, alpha):
    """Move the touched targets within the final beam to ``state`` and ``alpha``, best first; returns how many.

    Of more than ``max_active`` the best are kept (ties with the worst of these too). At the end only final states
    count.
    """
    kept = 0
    cut = best - beam
    top = 0
    for i in range(count):
        s = touched[i]
        v = score[s]
        score[s] = NEG
        if (final[s] > -np.inf) if last else (v >= cut):
            state[kept] = s
            alpha[kept] = v - best
            if v == best:
                top = kept
            kept += 1
    if kept > max_active and not last:
        cut = kth_largest(alpha[:kept], max_active)
        kept, found, top = 0, kept, 0
        for i in range(found):
            if alpha[i] >= cut:
                state[kept], alpha[kept] = state[i], alpha[i]
                if alpha[kept] == 0:
                    top = kept
                kept += 1
    if kept:
        state[0], state[top] = state[top], state[0]
        alpha[0], alpha[top] = alpha[top], alpha[0]
    return kept


@numba.njit(cache=True, nogil=True)
def kth_largest(values, k):
    """The k-th largest of ``values`` (k < size) exactly: a histogram finds its bin, sorting that bin finds it."""
    low = values.min()
    high = values.max()
    scale = np.float32(BINS - 1) / max(high - low, np.float32(1e-20))
    counts = np.zeros(BINS, np.int64)
    for i in range(values.size):
        counts[np.int64((high - values[i]) * scale)] += 1
    before, b = np.int64(0), 0
    while before + counts[b] < k:
        before += counts[b]
        b += 1
    inside = np.empty(counts[b], np.float32)
    n = 0
    for i in range(values.size):
        if np.int64((high - values[i]) * scale) == b:
            inside[n] = values[i]
            n += 1
    inside.sort()
    return inside[n - (k - before)]


@numba.njit(cache=True, nogil=True)
def backward(
    back_head, back_source, back_arc, arc_state, arc_weight, final, scores, width, floor,
    state, alpha, starts, norm, dense, number, node_state, node_frame, beta, source, target, arc,
):  # fmt: skip
    """Nodes and arcs on paths within ``width`` of the best (or of at least ``floor`` if that is not NaN), latest first.

    Work: ``dense`` float32 [states] all NEG, ``number`` uint32 [states] all NONE (both left so). Output:
    ``node_state``, ``node_frame``, ``beta`` [nodes], ``source``, ``target`` (nodes), ``arc`` (of the graph) [arcs].
    Returns (nodes, arcs), (FULL, 0) if they do not fit, (0, 0) without a path.
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
        end = nodes
        x = scores[t]
        for i in range(starts[t], starts[t + 1]):
            dense[state[i]] = alpha[i]
        full = False
        for n in range(begin, end):
            s = node_state[n]
            for r in range(back_head[s], back_head[s + 1]):
                q = back_source[r]
                if dense[q] == NEG:
                    continue
                k = back_arc[r]
                v = arc_weight[k] + np.float64(x[arc_state[k]]) + beta[n]
                if dense[q] + norm[t] + v < least:
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
                source[arcs], target[arcs], arc[arcs] = number[q], n, k
                arcs += 1
            if full:
                break
        for i in range(starts[t], starts[t + 1]):
            dense[state[i]] = NEG
        for n in range(end, nodes):
            number[node_state[n]] = NONE
        if full:
            return FULL, 0
        begin = end
    return nodes, arcs
