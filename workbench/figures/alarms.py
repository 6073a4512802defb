"""When a running experiment deserves a look: deletions that run away, numbers that are none."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

RISE = 0.1  # of the reference words, by which deletions must have risen above their lowest


def alarms(
    evaluations: Iterable[Mapping[str, Any]], pushes: Iterable[Mapping[str, Any]] = ()
) -> list[str]:
    """One line per reason for worry; nothing while all is well.

    Deletions that rise while the criterion improves are the classical failure of sequence training: the lattice is left
    by saying nothing.
    """
    found, rows = [], list(evaluations)
    deletions = [float(r["del"]) for r in rows if _number(r.get("del"))]
    if len(deletions) > 1 and deletions[-1] > max(2 * min(deletions), min(deletions) + RISE):
        found.append(
            f"deletions run away: {100 * min(deletions):.1f} → {100 * deletions[-1]:.1f} % of the words"
        )
    for name in ("criterion", "mmi"):
        if any(name in r and not _number(r[name]) for r in rows):
            found.append(f"the held-out {name} is not a finite number")
            break
    refused = sum(1 for p in pushes if p.get("status") == "rejected" and p.get("batch"))
    if refused:
        found.append(f"{refused} gradients were not finite and were refused")
    return found


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
