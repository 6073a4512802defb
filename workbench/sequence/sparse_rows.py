"""Sums over the arcs of each frame, compiled: where a frame's arcs begin, and their values added up
by state.

Indices are the frames and states of the arcs; none depends on a value.
"""

import numba
import numpy as np

from workbench.sequence.bit_maps import trailing_zeros

FEW = 24  # arcs of a frame up to which sorting by insertion is faster than a bit map


@numba.njit(cache=True, nogil=True)
def frame_bounds(frame: np.ndarray, frames: int) -> np.ndarray:
    """Return where in the ascending ``frame`` each of the ``frames`` begins, and the last ends:
    int64 [frames + 1].
    """
    bounds = np.zeros(frames + 1, np.int64)
    for t in frame:
        bounds[t + 1] += 1
    for t in range(frames):
        bounds[t + 1] += bounds[t]
    return bounds


@numba.njit(cache=True, nogil=True)
def sum_by_state(
    bounds: np.ndarray, state: np.ndarray, values: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Add up ``values`` [arcs] over arcs of equal frame and ``state``; sparse rows (indptr, states,
    sums).

    ``bounds`` int64 [frames + 1]: where the arcs of each frame begin. The states of a row ascend.
    """
    most = 0
    for t in range(bounds.size - 1):
        most = max(most, bounds[t + 1] - bounds[t])
    largest = -1
    if most > FEW:
        for k in range(state.size):
            largest = max(largest, state[k])
    row = np.zeros(largest + 1)
    marks = np.zeros(largest // 64 + 1, np.uint64)

    indptr = np.zeros(bounds.size, np.int64)
    states = np.empty(state.size, np.int32)
    sums = np.empty(state.size)
    n = 0
    for t in range(bounds.size - 1):
        if bounds[t + 1] - bounds[t] <= FEW:
            n = add_row_by_insertion(bounds[t], bounds[t + 1], state, values, states, sums, n)
        else:
            n = add_row_by_marks(
                bounds[t], bounds[t + 1], state, values, states, sums, n, row, marks
            )
        indptr[t + 1] = n
    return indptr, states[:n].copy(), sums[:n].copy()


@numba.njit(cache=True, nogil=True)
def add_row_by_insertion(
    first: int,
    end: int,
    state: np.ndarray,
    values: np.ndarray,
    states: np.ndarray,
    sums: np.ndarray,
    n: int,
) -> int:
    """Write the arcs first : end, which are few, as one row of ``states`` and ``sums`` from ``n``
    on; return its end.
    """
    start = n
    for k in range(first, end):
        s = state[k]
        value = values[k]
        at = n
        while at > start and states[at - 1] >= s:
            at -= 1
        if at < n and states[at] == s:
            sums[at] += value
            continue

        for later in range(n, at, -1):
            states[later] = states[later - 1]
            sums[later] = sums[later - 1]
        states[at] = s
        sums[at] = value
        n += 1
    return n


@numba.njit(cache=True, nogil=True)
def add_row_by_marks(
    first: int,
    end: int,
    state: np.ndarray,
    values: np.ndarray,
    states: np.ndarray,
    sums: np.ndarray,
    n: int,
    row: np.ndarray,
    marks: np.ndarray,
) -> int:
    """The same for many arcs, by a bit for each state; ``row`` and ``marks`` are zero before and
    after.
    """
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
            states[n] = s
            sums[n] = row[s]
            row[s] = 0.0
            n += 1
    return n
