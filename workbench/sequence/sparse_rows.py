"""What belongs to the arcs of a lattice, by frame: where each frame's begin, and their sums by state; compiled."""

import numba
import numpy as np

from workbench.sequence.search_forward import trailing_zeros

FEW = 24  # arcs of a frame that are sorted by insertion


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
def gather(arcs, state, values):
    """Sums of ``values`` over the arcs of equal frame and state, as rows: (indptr, states, sums)."""
    most, largest = 0, -1
    for t in range(arcs.size - 1):
        most = max(most, arcs[t + 1] - arcs[t])
    if most > FEW:
        for k in range(state.size):
            largest = max(largest, state[k])
    row, marks = np.zeros(largest + 1), np.zeros(largest // 64 + 1, np.uint64)
    indptr, states, sums = (
        np.zeros(arcs.size, np.int64),
        np.empty(state.size, np.int32),
        np.empty(state.size),
    )
    n = 0
    for t in range(arcs.size - 1):
        if arcs[t + 1] - arcs[t] <= FEW:
            n = insert(arcs[t], arcs[t + 1], state, values, states, sums, n)
        else:
            n = mark(arcs[t], arcs[t + 1], state, values, states, sums, n, row, marks)
        indptr[t + 1] = n
    return indptr, states[:n].copy(), sums[:n].copy()


@numba.njit(cache=True, nogil=True)
def insert(first, end, state, values, states, sums, n):
    """Add arcs first : end, few as they are, as one ascending row at ``n``; returns where it ends."""
    start = n
    for k in range(first, end):
        s, value, at = state[k], values[k], n
        while at > start and states[at - 1] >= s:
            at -= 1
        if at < n and states[at] == s:
            sums[at] += value
            continue
        for later in range(n, at, -1):
            states[later], sums[later] = states[later - 1], sums[later - 1]
        states[at], sums[at] = s, value
        n += 1
    return n


@numba.njit(cache=True, nogil=True)
def mark(first, end, state, values, states, sums, n, row, marks):
    """The same for many arcs, by a mark per state; ``row`` and ``marks`` are zero before and after."""
    for k in range(first, end):
        s = state[k]
        row[s] += values[k]
        marks[s >> 6] |= np.uint64(1) << np.uint64(s & 63)
    for w in range(marks.size):
        left = marks[w]
        marks[w] = np.uint64(0)
        while left != np.uint64(0):
            s = w * 64 + np.int64(trailing_zeros(left))
            left &= left - np.uint64(1)
            states[n], sums[n], row[s] = s, row[s], 0.0
            n += 1
    return n
