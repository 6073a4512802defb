"""The forward pass of the search, compiled: which graph states are alive at every frame, and nothing else.

Per frame the tokens (graph state, best log score) that survive the frame's final beam are kept, in the order of their
states; no arcs. Scores are relative to the frame's best, so float32 is precise however long the utterance.

Two things make it fast. The loop over arcs takes no unpredictable branch: every arc writes, with a value that changes
nothing where it is too poor. And states reached are marked in a bit map, whose bits come out sorted for nothing: with
sorted tokens graph and scores are read almost in the order of memory.
"""

import numba
import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

NEG = np.float32(-1e30)  # a sentinel that stays ordered under addition, unlike -inf minus -inf
FULL = -1  # a work array is too small
BINS = 1024


@intrinsic
def trailing_zeros(context, x):
    """Zero bits below the lowest bit of a uint64 that is set; x is not 0."""

    def generate(context, builder, signature, arguments):
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))

    return types.uint64(types.uint64), generate


@numba.njit(cache=True, nogil=True)
def forward(
    head, label, weight, final, scores, beam, max_active, score, marks, state, alpha, starts, norm
):
    """Tokens of every frame boundary; returns their number, or FULL.

    Work: ``score`` float32 [states] all NEG, ``marks`` uint64 [states / 64] all 0 (both left so). Output: ``state``
    uint32 and ``alpha`` float32 [tokens], boundary after boundary, ``starts`` int64 [T + 2] their bounds, ``norm``
    float64 [T + 1] the best absolute log score of each boundary, to which ``alpha`` is relative.
    """
    frames = scores.shape[0]
    starts[0], starts[1], norm[0] = 0, 1, 0.0
    state[0], alpha[0] = 0, 0.0
    top = 0
    for t in range(frames):
        last = t == frames - 1
        here = slice(starts[t], starts[t + 1])
        width = np.float32(np.inf) if last else beam
        best = expand(
            head, label, weight, scores[t], width, top, state[here], alpha[here], score, marks
        )
        first = starts[t + 1]
        kept, top = settle(best, width, final, last, score, marks, state[first:], alpha[first:])
        if kept == FULL:
            return FULL
        if kept > max_active and not last:
            kept, top = select(state[first : first + kept], alpha[first : first + kept], max_active)
        starts[t + 2] = first + kept
        norm[t + 1] = norm[t] + best
    return starts[frames + 1]


@numba.njit(cache=True, nogil=True)
def expand(head, label, weight, x, beam, top, state, alpha, score, marks):
    """Take every arc of every token and mark in ``marks`` the targets not below the tightening beam; the best score.

    Token ``top`` is the best one: its followers come first, so that the beam is narrow from the start.
    """
    best = NEG
    if state.size:
        for k in range(head[state[top]], head[state[top] + np.uint32(1)]):
            best = max(best, alpha[top] + weight[k] + x[label[k, 1]])
    cut = best - beam
    for i in range(state.size):
        s, a = state[i], alpha[i]
        for k in range(head[s], head[s + np.uint32(1)]):
            v = a + weight[k] + x[label[k, 1]]
            d = label[k, 0]
            alive = v >= cut
            old = score[d]
            new = v if v > old else old
            score[d] = new if alive else old
            marks[d >> np.uint32(6)] |= np.uint64(alive) << np.uint64(d & np.uint32(63))
            best = v if v > best else best
            cut = best - beam
    return best


@numba.njit(cache=True, nogil=True)
def settle(best, beam, final, last, score, marks, state, alpha):
    """Move the marked states within the final beam to ``state`` and ``alpha``; (how many or FULL, the best one's
    place).

    At the last frame only final states count, whatever the beam.
    """
    kept, top, cut = 0, 0, best - beam
    room = True
    for w in range(marks.size):
        mark = marks[w]
        if mark == np.uint64(0):
            continue
        marks[w] = np.uint64(0)
        room &= kept + 64 <= state.size
        while mark != np.uint64(0):
            s = np.int64(w) * 64 + np.int64(trailing_zeros(mark))
            mark &= mark - np.uint64(1)
            v = score[s]
            score[s] = NEG
            if room:
                state[kept] = s
                alpha[kept] = v - best
                top = kept if v == best else top
                alive = (v >= cut) & (v > NEG)
                kept += alive & (final[s] > -np.inf) if last else alive
    return (kept, top) if room else (FULL, 0)


@numba.njit(cache=True, nogil=True)
def select(state, alpha, k):
    """Keep the ``k`` best tokens, and those as good as the worst of them; (how many, the best one's place)."""
    cut = kth_largest(alpha, k)
    kept, top = 0, 0
    for i in range(alpha.size):
        state[kept], alpha[kept] = state[i], alpha[i]
        top = kept if alpha[kept] == 0 else top
        kept += alpha[kept] >= cut
    return kept, top


@numba.njit(cache=True, nogil=True)
def kth_largest(values, k):
    """The k-th largest of ``values`` (k <= size) exactly: a histogram finds its bin, sorting that bin finds it."""
    high, low = values.max(), values.min()
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
