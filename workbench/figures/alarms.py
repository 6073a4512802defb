"""Reasons to look at a running experiment: deletions that run away, values that are not finite."""

import math
from collections.abc import Iterable, Mapping

# Deletions are reported when their share of the reference words has risen by this much.
RISE = 0.1


def alarms(
    evaluations: Iterable[Mapping[str, object]], pushes: Iterable[Mapping[str, object]] = ()
) -> list[str]:
    """Returns one sentence per reason to look at the run, none while all is well.

    Deletions that rise while the criterion improves are the classical failure of sequence training:
    a model that recognises nothing leaves the lattice.
    """
    rows = list(evaluations)
    reasons = _deletion_alarms(rows)
    for name in ("criterion", "mmi"):
        if any(name in row and _finite(row[name]) is None for row in rows):
            reasons.append(f"the held-out {name} is not a finite number")
            break

    refused = sum(1 for push in pushes if push.get("status") == "rejected" and push.get("batch"))
    if refused:
        reasons.append(f"{refused} gradients were not finite and were refused")
    return reasons


def _deletion_alarms(rows: Iterable[Mapping[str, object]]) -> list[str]:
    shares = [_finite(row.get("del")) for row in rows]
    deletions = [share for share in shares if share is not None]
    if len(deletions) < 2:
        return []

    lowest = min(deletions)
    last = deletions[-1]
    if last <= max(2 * lowest, lowest + RISE):
        return []
    return [f"deletions run away: {100 * lowest:.1f} → {100 * last:.1f} % of the words"]


def _finite(value: object) -> float | None:
    """Returns the value if it is a finite number, else None."""
    if isinstance(value, int | float) and math.isfinite(value):
        return float(value)
    return None
