"""The longest harmless interval between two fetches, with its uncertainty.

An interval is harmless if the upper 95 % bound of what it costs in test word errors is below the
margin (one-sided, as in a test of non-inferiority). Intervals are tried from the shortest, and the
first that is not shown to be harmless ends the search; such a fixed sequence needs no correction
for the number of tests. An interval does harm if its test word errors are larger, by Holm's method
over the intervals of its arm, and its bound is not below the margin. An interval with a run that
diverged does harm, whatever its other runs say. Bounds account for the choice of speakers and, with
several seeds, for their scatter.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from workbench.metrics.significance import LEVEL, Comparison
from workbench.metrics.verdicts import SIGNIFICANT, holm
from workbench.studies.rows import StudyCell, StudyComparison, StudyResults
from workbench.sweeping import CellState

NEVER = 1e6
"""An interval of so many seconds or more is longer than any run: decoders never fetch again."""


@dataclass(frozen=True)
class IntervalPoint:
    """One interval, and what it costs against fetching at once."""

    seconds: float
    label: str
    compared: StudyComparison

    @property
    def upper(self) -> float:
        """The one-sided upper 95 % bound of the cost, a fraction of the words."""
        comparison = self.compared.comparison
        return upper_bound(comparison)


@dataclass(frozen=True)
class HarmlessInterval:
    """The longest harmless interval of an arm lies between ``at_least`` and ``below``, in seconds.

    ``at_least`` is 0 if no interval was shown to be harmless, ``below`` None if none does harm.
    ``seeds``: those that every interval rests on, up to the first at which a run diverged.
    """

    arm: str
    points: Sequence[IntervalPoint]
    margin: float
    at_least: float
    below: float | None
    seeds: int

    @property
    def measured(self) -> bool:
        """Whether an interval was compared with fetching at once, or diverged."""
        return bool(self.points) or self.below is not None

    def __str__(self) -> str:
        if not self.measured:
            return "not measured"
        harmless = ""
        if self.at_least >= NEVER:
            harmless = "harmless even if parameters are never fetched again"
        elif self.at_least:
            harmless = f"harmless up to {interval_text(self.at_least)}"

        harmful = ""
        if self.below is not None and self.below >= NEVER:
            harmful = "harmful if parameters are never fetched again"
        elif self.below is not None:
            harmful = f"harmful from {interval_text(self.below)} on"

        if not harmless and not harmful:
            return "neither harm nor harmlessness is shown at any interval"
        return ", ".join(part for part in (harmless, harmful) if part)


def upper_bound(comparison: Comparison) -> float:
    """Return the one-sided upper 95 % bound of a difference of error rates."""
    return comparison.difference + comparison.quantile(LEVEL) * comparison.standard_error


def harmless_interval(results: StudyResults, arm: str, margin: float) -> HarmlessInterval:
    """Return the longest harmless interval of an arm, against fetching at once."""
    points = interval_points(results, arm)
    diverged = _first_diverged(results, arm)
    shorter = [point for point in points if point.seconds < diverged]
    at_least = 0.0
    for point in shorter:
        if not point.compared.comparison.testable or point.upper >= margin:
            break
        at_least = point.seconds

    harmful = min(_first_harmful(points, margin), diverged)
    seeds = [point.compared.seeds for point in shorter]
    if diverged < math.inf:
        seeds.append(len(_cells_at(results, arm, diverged)))

    return HarmlessInterval(
        arm=arm,
        points=points,
        margin=margin,
        at_least=at_least,
        below=harmful if harmful < math.inf else None,
        seeds=min(seeds, default=0),
    )


def _first_harmful(points: Sequence[IntervalPoint], margin: float) -> float:
    """The shortest interval whose test word errors are larger; infinite if none has larger ones."""
    tested = [point for point in points if point.compared.comparison.testable]
    corrected = holm([point.compared.comparison.p or 0.0 for point in tested])
    harmful = []
    for point, p in zip(tested, corrected, strict=True):
        larger = p < SIGNIFICANT and point.compared.comparison.difference > 0
        if larger and point.upper >= margin:
            harmful.append(point.seconds)

    return min(harmful, default=math.inf)


def _first_diverged(results: StudyResults, arm: str) -> float:
    """The shortest interval of an arm at which a run diverged; infinite if there is none.

    It is looked for among the runs, since an interval of which every run diverged is compared with
    nothing. Where no run that fetches at once has ended well, a divergence says nothing about
    intervals.
    """
    at_once = _cells_at(results, arm, 0.0)
    if all(cell.state == CellState.DIVERGED for cell in at_once):
        return math.inf
    diverged = [
        cell.decoder_seconds
        for cell in results.cells
        if cell.arm == arm and cell.decoder_seconds and cell.state == CellState.DIVERGED
    ]
    return min(diverged, default=math.inf)


def _cells_at(results: StudyResults, arm: str, seconds: float) -> list[StudyCell]:
    """The runs of an arm whose decoders fetch after so many seconds, one per seed."""
    return [cell for cell in results.cells if cell.arm == arm and cell.decoder_seconds == seconds]


def interval_points(results: StudyResults, arm: str) -> list[IntervalPoint]:
    """Return the intervals of an arm that were compared with fetching at once, shortest first."""
    at_once = _cells_at(results, arm, 0.0)
    if not at_once:
        return []

    points = {}
    for cell in results.cells:
        if cell.arm != arm or not cell.decoder_seconds:
            continue
        compared = results.compare(cell.label, at_once[0].label)
        if compared is not None:
            points[cell.label] = IntervalPoint(cell.decoder_seconds, cell.label, compared)

    return sorted(points.values(), key=lambda point: point.seconds)


def interval_text(seconds: float) -> str:
    """Return an interval in words: ``300 s``, ``2 h`` or ``never fetching again``."""
    if seconds >= NEVER:
        return "never fetching again"
    return f"{seconds:g} s" if seconds < 3600 or seconds % 3600 else f"{seconds / 3600:g} h"
