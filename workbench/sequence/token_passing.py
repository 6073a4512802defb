"""The two passes of the search, compiled: tokens forward in time, then the arcs between the good
ones backward.

The forward pass keeps, at every frame boundary, the tokens (graph state, best log score) that
survive the beam, in the order of their states, and no arcs. Scores are relative to the best of the
boundary, so float32 is precise however long the utterance. The backward pass looks the arcs into
surviving tokens up in the graph again. Few survive, so this costs next to nothing, and what is
pruned was never written.

Two things make the forward pass fast. Its loop over arcs takes no unpredictable branch: every arc
writes, with a value that changes nothing where it is too poor. And states that are reached are
marked in a bit map, which gives them back in ascending order: with sorted tokens the graph and the
scores are read almost in the order of memory.

No index leaves its array, whatever the scores. Compiled code does not check that, so `search`
passes only scores of bounded magnitude (`workbench.hmm.scores`) and graphs whose tied states the
scores have. States and arcs come from the graph, tokens and nodes are counted against the room of
their arrays, and only `kth_largest` makes an index of a score; it says why that one is inside.
"""

from typing import NamedTuple

import numba
import numpy as np

from workbench.sequence.bit_maps import trailing_zeros
from workbench.sequence.search_graph import ARC, END, TIED_STATE, IncomingArcs, OutgoingArcs

UNREACHED = np.float32(-1e30)  # stays ordered under addition, unlike -inf minus -inf
UNNUMBERED = np.uint32(0xFFFFFFFF)
FULL = -1  # returned where an array has too little room
BINS = 1024  # of the histogram that finds the k-th largest score
SEARCH_COST = 32  # one search among a frame's tokens costs as much as indexing so many of them


class Tokens(NamedTuple):
    """Tokens of all frame boundaries, one boundary after the other.

    ``state`` uint32 and ``alpha`` float32 [room]: graph state, ascending within a boundary, and log
    score relative to the boundary's best. ``starts`` int64 [T + 2]: where each boundary begins.
    ``norm`` float64 [T + 1]: the best absolute log score of each boundary.
    """

    state: np.ndarray
    alpha: np.ndarray
    starts: np.ndarray
    norm: np.ndarray


class ForwardScratch(NamedTuple):
    """``score`` float32 [states], all UNREACHED, and ``marks`` uint64 [states // 64 + 1], all 0,
    between calls.
    """

    score: np.ndarray
    marks: np.ndarray


class BackwardScratch(NamedTuple):
    """``place`` int32 [states], all -1, and ``number`` uint32 [states], all UNNUMBERED, between
    calls.
    """

    place: np.ndarray
    number: np.ndarray


class ArcsFound(NamedTuple):
    """Nodes and arcs on good paths, latest first.

    Per node its graph state (``node_state`` uint32), its frame boundary (``node_frame`` int32) and
    the best log score from it to the end (``beta`` float64). Per arc the nodes ``source`` and
    ``target`` (int32) and the number of the arc in the graph (``arc`` int64).
    """

    node_state: np.ndarray
    node_frame: np.ndarray
    beta: np.ndarray
    source: np.ndarray
    target: np.ndarray
    arc: np.ndarray


@numba.njit(cache=True, nogil=True)
def pass_tokens(
    outgoing: OutgoingArcs,
    scores: np.ndarray,
    beam: np.float32,
    max_active: int,
    scratch: ForwardScratch,
    tokens: Tokens,
) -> int:
    """Fill ``tokens`` for ``scores`` float32 [T, tied states]; return how many there are, or FULL.

    At each boundary those within ``beam`` (float32) of the best are kept, and of these the best
    ``max_active``; at the last one those in final states, whatever the beam.
    """
    state = tokens.state
    alpha = tokens.alpha
    starts = tokens.starts
    norm = tokens.norm
    frames = scores.shape[0]

    starts[0] = 0
    starts[1] = 1
    norm[0] = 0.0
    state[0] = 0
    alpha[0] = 0.0
    top = 0
    for t in range(frames):
        last = t == frames - 1
        here = slice(starts[t], starts[t + 1])
        width = np.float32(np.inf) if last else beam
        best = expand(outgoing, scores[t], width, top, state[here], alpha[here], scratch)

        first = starts[t + 1]
        kept, top = settle(best, width, outgoing.final, last, scratch, state[first:], alpha[first:])
        if kept == FULL:
            return FULL
        if kept > max_active and not last:
            kept, top = select(state[first : first + kept], alpha[first : first + kept], max_active)
        starts[t + 2] = first + kept
        norm[t + 1] = norm[t] + best
    return starts[frames + 1]


@numba.njit(cache=True, nogil=True)
def expand(
    outgoing: OutgoingArcs,
    x: np.ndarray,
    beam: np.float32,
    top: int,
    state: np.ndarray,
    alpha: np.ndarray,
    scratch: ForwardScratch,
) -> np.float32:
    """Take every arc of every token and mark the targets within the tightening ``beam``; return the
    best score.

    ``x`` float32 [tied states]: the scores of the frame. Token ``top`` is the best one: its
    followers come first, so that the beam is narrow from the start.
    """
    head = outgoing.head
    label = outgoing.label
    weight = outgoing.weight
    score = scratch.score
    marks = scratch.marks

    best = UNREACHED
    if state.size:
        for k in range(head[state[top]], head[state[top] + np.uint32(1)]):
            best = max(best, alpha[top] + weight[k] + x[label[k, TIED_STATE]])

    cut = best - beam
    for i in range(state.size):
        s = state[i]
        a = alpha[i]
        for k in range(head[s], head[s + np.uint32(1)]):
            v = a + weight[k] + x[label[k, TIED_STATE]]
            d = label[k, END]
            alive = v >= cut
            old = score[d]
            new = v if v > old else old
            score[d] = new if alive else old
            marks[d >> np.uint32(6)] |= np.uint64(alive) << np.uint64(d & np.uint32(63))
            best = v if v > best else best
            cut = best - beam
    return best


@numba.njit(cache=True, nogil=True)
def settle(
    best: np.float32,
    beam: np.float32,
    final: np.ndarray,
    last: bool,
    scratch: ForwardScratch,
    state: np.ndarray,
    alpha: np.ndarray,
) -> tuple[int, int]:
    """Move the marked states within the final beam to ``state`` and ``alpha``; (how many or FULL,
    the best's place).

    At the last frame only final states count, whatever the beam.
    """
    score = scratch.score
    marks = scratch.marks
    cut = best - beam
    kept = 0
    top = 0
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
            score[s] = UNREACHED
            if room:
                state[kept] = s
                alpha[kept] = v - best
                top = kept if v == best else top
                alive = (v >= cut) & (v > UNREACHED)
                kept += alive & (final[s] > -np.inf) if last else alive
    return (kept, top) if room else (FULL, 0)


@numba.njit(cache=True, nogil=True)
def select(state: np.ndarray, alpha: np.ndarray, k: int) -> tuple[int, int]:
    """Keep the ``k`` best tokens, and those as good as the worst of them; (how many, the best one's
    place).
    """
    cut = kth_largest(alpha, k)
    kept = 0
    top = 0
    for i in range(alpha.size):
        state[kept] = state[i]
        alpha[kept] = alpha[i]
        top = kept if alpha[kept] == 0 else top
        kept += alpha[kept] >= cut
    return kept, top


@numba.njit(cache=True, nogil=True)
def kth_largest(values: np.ndarray, k: int) -> np.float32:
    """Return the k-th largest of ``values`` (k <= size), exactly: a histogram finds its bin,
    sorting finds it there.

    ``values`` are finite and their range is finite in float32. So (high - value) * scale lies
    between 0 and BINS - 1, or above it by rounding, but below BINS: the bin exists.
    """
    high = values.max()
    low = values.min()
    scale = np.float32(BINS - 1) / max(high - low, np.float32(1e-20))
    counts = np.zeros(BINS, np.int64)
    for i in range(values.size):
        counts[np.int64((high - values[i]) * scale)] += 1

    before = np.int64(0)
    b = 0
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
def recover_arcs(
    incoming: IncomingArcs,
    scores: np.ndarray,
    width: float,
    tokens: Tokens,
    scratch: BackwardScratch,
    found: ArcsFound,
) -> tuple[int, int]:
    """Fill ``found`` with the nodes and arcs on paths within ``width`` of the best path.

    ``tokens`` as `pass_tokens` leaves them. Returns (nodes, arcs) written; (FULL, 0) if they do not
    fit, (0, 0) without a path.
    """
    head = incoming.head
    starts = tokens.starts
    norm = tokens.norm
    place = scratch.place
    node_state = found.node_state
    room = found.arc.size
    frames = scores.shape[0]

    ends = slice(starts[frames], starts[frames + 1])
    nodes, least = begin_at_end(
        tokens.state[ends], tokens.alpha[ends], norm[frames], incoming.final, width, frames, found
    )
    begin = 0
    arcs = 0
    for t in range(frames - 1, -1, -1):
        end = nodes
        here = slice(starts[t], starts[t + 1])
        states = tokens.state[here]
        indexed = SEARCH_COST * count_arcs(head, node_state, begin, end) > states.size
        for i in range(states.size if indexed else 0):
            place[states[i]] = i

        nodes, arcs = recover_frame(
            t,
            begin,
            end,
            incoming,
            scores[t],
            states,
            tokens.alpha[here],
            norm[t],
            least,
            indexed,
            arcs,
            scratch,
            found,
        )
        for i in range(states.size if indexed else 0):
            place[states[i]] = -1
        if arcs >= room or nodes >= room:
            return FULL, 0
        begin = end
    return nodes, arcs


@numba.njit(cache=True, nogil=True, inline="always")
def recover_frame(
    t: int,
    begin: int,
    end: int,
    incoming: IncomingArcs,
    x: np.ndarray,
    states: np.ndarray,
    alphas: np.ndarray,
    norm: float,
    least: float,
    indexed: bool,
    arcs: int,
    scratch: BackwardScratch,
    found: ArcsFound,
) -> tuple[int, int]:
    """Find the arcs of frame ``t`` into the nodes begin : end; (nodes, arcs) found so far.

    ``x`` float32 [tied states]: the frame's scores. ``states``, ``alphas`` and ``norm``: the tokens
    at its beginning; ``indexed``: `BackwardScratch.place` has their places. Arcs that do not fit
    are counted but not written.
    """
    head = incoming.head
    label = incoming.label
    weight = incoming.weight
    place = scratch.place
    number = scratch.number
    node_state = found.node_state
    node_frame = found.node_frame
    beta = found.beta
    source = found.source
    target = found.target
    arc = found.arc
    nodes = end
    for n in range(begin, end):
        s = node_state[n]
        for r in range(head[s], head[s + np.uint32(1)]):
            q = label[r, END]
            i = place[q] if indexed else find(states, q)
            v = weight[r] + np.float64(x[label[r, TIED_STATE]]) + beta[n]
            if i < 0 or alphas[i] + norm + v < least:
                continue
            if arcs < arc.size and nodes < node_state.size:
                if number[q] == UNNUMBERED:
                    number[q] = nodes
                    node_state[nodes] = q
                    node_frame[nodes] = t
                    beta[nodes] = v
                    nodes += 1
                beta[number[q]] = max(beta[number[q]], v)
                source[arcs] = number[q]
                target[arcs] = n
                arc[arcs] = label[r, ARC]
            arcs += 1

    for n in range(end, nodes):
        number[node_state[n]] = UNNUMBERED
    return nodes, arcs


@numba.njit(cache=True, nogil=True)
def count_arcs(head: np.ndarray, node_state: np.ndarray, begin: int, end: int) -> int:
    """Return how many arcs of the graph lead into the nodes begin : end."""
    count = 0
    for n in range(begin, end):
        count += head[node_state[n] + np.uint32(1)] - head[node_state[n]]
    return count


@numba.njit(cache=True, nogil=True)
def begin_at_end(
    states: np.ndarray,
    alphas: np.ndarray,
    norm: float,
    final: np.ndarray,
    width: float,
    frames: int,
    found: ArcsFound,
) -> tuple[int, float]:
    """Write the nodes of the last boundary; (how many, the least score of a path that is kept).

    Of nodes that do not fit as many are written as there is room for, so that the arrays count as
    full.
    """
    best = -np.inf
    for i in range(states.size):
        best = max(best, alphas[i] + norm + final[states[i]])

    least = best - width
    nodes = 0
    for i in range(states.size):
        good = best > -np.inf and alphas[i] + norm + final[states[i]] >= least
        if good and nodes < found.node_state.size:
            found.node_state[nodes] = states[i]
            found.node_frame[nodes] = frames
            found.beta[nodes] = final[states[i]]
            nodes += 1
    return nodes, least


@numba.njit(cache=True, nogil=True)
def find(states: np.ndarray, wanted: int) -> int:
    """Return where ``wanted`` stands in the ascending ``states``, or -1."""
    low = 0
    high = states.size
    while low < high:
        middle = (low + high) >> 1
        if states[middle] < wanted:
            low = middle + 1
        else:
            high = middle
    return low if low < states.size and states[low] == wanted else -1
