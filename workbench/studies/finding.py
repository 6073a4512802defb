"""One finding of a study: a claim, what was found, and the verdict that so many seeds carry."""

from dataclasses import dataclass
from enum import StrEnum

from workbench.metrics.significance import Comparison
from workbench.progress import counted
from workbench.studies.rows import StudyComparison


class Agreement(StrEnum):
    """Whether what was found is what the paper says."""

    AGREE = "agree"
    DISAGREE = "disagree"
    UNDECIDED = "undecided"
    OPEN = "open"  # the paper says nothing to compare with
    MISSING = "not run"


@dataclass(frozen=True)
class StudyFinding:
    """One claim, what was found, whether they agree, and what the verdict rests on."""

    claim: str
    found: str
    agreement: Agreement
    weight: str = ""

    def __str__(self) -> str:
        weight = f" ({self.weight})" if self.weight else ""
        return f"{self.claim}: {self.agreement}. {self.found}{weight}"


def carried(agreement: Agreement, seeds: int) -> Agreement:
    """Return the agreement that so many seeds carry.

    How far another seed lies from the one that was run is not known, so a single one decides
    nothing, however many words it was tested on.
    """
    return agreement if seeds > 1 else Agreement.UNDECIDED


def bounds_text(comparison: Comparison, form: str) -> str:
    """Return the 95 % interval of a difference in percent, e.g. `` [0.5, 3.8]``; empty if unknown.

    ``form``: how its ends are written, e.g. ``+.2f``.
    """
    if comparison.low is None or comparison.high is None:
        return ""
    return f" [{100 * comparison.low:{form}}, {100 * comparison.high:{form}}]"


def weight_of(row: StudyComparison) -> str:
    """Return what a comparison rests on."""
    return f"{counted(row.seeds, 'seed')}, {row.words:,} words, {row.units} {row.unit}"
