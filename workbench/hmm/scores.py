"""Which scores the compiled searches take, and the refusal of the others.

A search compares and adds scores, and where it goes depends on the outcome. NaN compares with
nothing, and sums of huge scores lose in rounding what tells paths apart. So scores are checked
once, before any compiled code sees them.
"""

import numba
import numpy as np

from workbench.system.float_bits import INFINITE, MAGNITUDE, MINUS_INFINITY

LARGEST_SCORE = 1e6
"""Largest magnitude of a score. Scores of a network that learns are below a thousand."""

NOT_FINITE = "scores are not finite"
TOO_LARGE = f"scores are beyond {LARGEST_SCORE:,.0f}"

BROKEN_SCORES = (NOT_FINITE, TOO_LARGE)
"""Reasons that lie in the model or in the features, never in the words or in a beam."""


class BadScores(ValueError):
    """Scores that cannot be searched; ``str()`` is one of `BROKEN_SCORES`."""


def largest_score(scores: np.ndarray) -> float:
    """Return the largest magnitude of ``scores`` (any shape), 0 if there is none.

    -inf forbids a state and does not count. Raises BadScores for NaN, +inf and magnitudes above
    `LARGEST_SCORE`.
    """
    bits = np.ascontiguousarray(scores, np.float32).reshape(-1).view(np.uint32)
    top = np.uint32(_largest_magnitude(bits))
    if top >= INFINITE:
        raise BadScores(NOT_FINITE)
    largest = float(top.view(np.float32))
    if largest > LARGEST_SCORE:
        raise BadScores(TOO_LARGE)
    return largest


@numba.njit(cache=True, nogil=True)
def _largest_magnitude(bits: np.ndarray) -> np.uint32:  # pragma: no cover
    """Return the largest magnitude of float32 as bits, -inf left out; NaN is above infinity."""
    top = np.uint32(0)
    for i in range(bits.size):
        magnitude = bits[i] & MAGNITUDE
        top = max(top, np.uint32(0) if bits[i] == MINUS_INFINITY else magnitude)
    return top
