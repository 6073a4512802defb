"""Which scores the compiled searches take, and the refusal of the others.

A search compares and adds scores, and where it goes depends on the outcome. NaN compares with
nothing, and sums of huge scores lose in rounding what tells paths apart. So scores are checked
once, before any compiled code sees them.
"""

import numpy as np

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
    if not scores.size:
        return 0.0

    high = float(scores.max())
    low = float(scores.min())
    if not high < np.inf:  # as for NaN
        raise BadScores(NOT_FINITE)
    if low == -np.inf:
        low = float(scores[scores > -np.inf].min(initial=0.0))

    largest = max(high, -low, 0.0)
    if largest > LARGEST_SCORE:
        raise BadScores(TOO_LARGE)
    return largest
