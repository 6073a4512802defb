"""The longest harmless interval between two fetches, with its uncertainty.

An interval is harmless if the upper 95 % bound of what it costs in test word errors is below the
margin (one-sided, as in a test of non-inferiority). Intervals are tried from the shortest, and the
first that is not shown to be harmless ends the search; such a fixed sequence needs no correction
for the number of tests. An interval does harm if its test word errors are larger, by Holm's method
over the intervals of its arm, and its bound is not below the margin. Bounds account for the choice
of speakers and, with several seeds, for their scatter.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from workbench.metrics.significance import LEVEL, Comparison
from workbench.metrics.verdicts import SIGNIFICANT, holm
from workbench.studies.rows import StudyComparison, StudyResults

NEVER = 1e6
"""An interval of so many seconds or more is longer than any run: decoders never fetch again."""


@dataclass(frozen=True)
class IntervalPoint:
    """One interval, and what it costs against fetching at once."""

    seconds: float
    label: str
    compared: StudyComparison
    diverged: int  # runs of this label

    @property
    def upper(self) -> float:
        """The one-sided upper 95 % bound of the cost, a fraction of the words."""
        comparison = self.compared.comparison
        return upper_bound(comparison)


@dataclass(frozen=True)
class HarmlessInterval:
    """The longest harmless interval of an arm lies between ``at_least`` and ``below``, in seconds.

    ``at_least`` is 0 if no interval was shown to be harmless, ``below`` None if none does harm.
    """

    arm: str
    points: Sequence[IntervalPoint]
    margin: float
    at_least: float
    below: float | None

    @property
    def seeds(self) -> int:
        """The seeds that every point rests on."""
        return min((point.compared.seeds for point in self.points), default=0)

    def __str__(self) -> str:
        if not self.points:
            return "not measured"
        harmless = f"harmless up to {interval_text(self.at_least)}" if self.at_least else ""
        harmful = "" if self.below is None else f"harmful from {interval_text(self.below)} on"
        if not harmless and not harmful:
            return "neither harm nor harmlessness is shown at any interval"
        return ", ".join(part for part in (harmless, harmful) if part)


def upper_bound(comparison: Comparison) -> float:
    """Return the one-sided upper 95 % bound of a difference of error rates."""
    return comparison.difference + comparison.quantile(LEVEL) * comparison.standard_error


def harmless_interval(results: StudyResults, arm: str, margin: float) -> HarmlessInterval:
    """Return the longest harmless interval of an arm, against fetching at once."""
    points = interval_points(results, arm)
    at_least = 0.0
    for point in points:
        harmless = point.compared.comparison.testable and point.upper < margin
        if point.diverged or not harmless:
            break
        at_least = point.seconds

    return HarmlessInterval(arm, points, margin, at_least, _first_harmful(points, margin))


def _first_harmful(points: Sequence[IntervalPoint], margin: float) -> float | None:
    """The shortest interval that does harm; None if none does."""
    tested = [point for point in points if point.compared.comparison.testable]
    corrected = holm([point.compared.comparison.p or 0.0 for point in tested])
    harmful = [point.seconds for point in points if point.diverged]
    for point, p in zip(tested, corrected, strict=True):
        larger = p < SIGNIFICANT and point.compared.comparison.difference > 0
        if larger and point.upper >= margin:
            harmful.append(point.seconds)

    return min(harmful, default=None)


def interval_points(results: StudyResults, arm: str) -> list[IntervalPoint]:
    """Return the intervals of an arm that were compared with fetching at once, shortest first."""
    cells = [cell for cell in results.cells if cell.arm == arm]
    at_once = next((cell.label for cell in cells if cell.decoder_seconds == 0), None)
    if at_once is None:
        return []

    points = {}
    for cell in cells:
        compared = results.compare(cell.label, at_once)
        if cell.decoder_seconds and compared is not None:
            own = results.of_label(cell.label)
            diverged = sum(each.state == "diverged" for each in own)
            points[cell.label] = IntervalPoint(cell.decoder_seconds, cell.label, compared, diverged)

    return sorted(points.values(), key=lambda point: point.seconds)


def interval_text(seconds: float) -> str:
    """Return an interval in words: ``300 s``, ``30 min`` or ``never``."""
    if seconds >= NEVER:
        return "never fetching again"
    return f"{seconds:g} s" if seconds < 3600 or seconds % 3600 else f"{seconds / 3600:g} h"
