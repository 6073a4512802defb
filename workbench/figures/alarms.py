"""Reasons to look at a running experiment: deletions that run away, values that are not finite."""

import math
from collections.abc import Iterable, Sequence

from workbench.storage.rows import EvaluateRow, PushRow

# Deletions are reported when their share of the reference words has risen by this much.
RISE = 0.1
REFUSED = "rejected"  # the status of a push whose gradient was not finite or too large


def alarms(evaluations: Sequence[EvaluateRow], pushes: Iterable[PushRow] = ()) -> list[str]:
    """Return one sentence per reason to look at the run, none while all is well.

    Deletions that rise while the criterion improves are the classical failure of sequence training:
    a model that recognises nothing leaves the lattice.
    """
    reasons = _deletion_alarms(evaluations)
    measured = [row.measured for row in evaluations]
    if any(each.criterion is None or not math.isfinite(each.criterion) for each in measured):
        reasons.append("the held-out criterion is not a finite number")
    elif any(each.mmi is not None and not math.isfinite(each.mmi) for each in measured):
        reasons.append("the held-out mmi is not a finite number")

    refused = sum(1 for push in pushes if push.status == REFUSED and push.batch)
    if refused:
        reasons.append(f"{refused} gradients were not finite or too large and were refused")
    return reasons


def _deletion_alarms(evaluations: Sequence[EvaluateRow]) -> list[str]:
    shares = [row.measured.deletions for row in evaluations]
    deletions = [share for share in shares if share is not None and math.isfinite(share)]
    if len(deletions) < 2:
        return []

    lowest = min(deletions)
    last = deletions[-1]
    if last <= max(2 * lowest, lowest + RISE):
        return []
    return [f"deletions run away: {100 * lowest:.1f} → {100 * last:.1f} % of the words"]
