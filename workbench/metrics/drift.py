"""What turns an outer gradient: age in updates, age in seconds, or the distance of parameters.

Each point is an utterance on which a replica compared the decoder's outer gradient with a fresh
one (`workbench.training.drift`). What goes with the cosine most closely has the largest rank
correlation with it. Utterances of one run are not independent. So what is left out, to see how much
a correlation depends on it, is a run, and the standard error is that of the delete-one jackknife.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import stats

from workbench.metrics.means import mean_interval
from workbench.metrics.significance import LEVEL
from workbench.progress import counted
from workbench.settings import UserError
from workbench.storage.rows import DriftRow
from workbench.storage.run import Run

FEWEST_RUNS = 5
"""Runs without which nothing is said about which measure goes with the cosine most closely."""

FEWEST_POINTS = 3


@dataclass(frozen=True, kw_only=True)
class DriftPoint:
    """An utterance on which drift was measured.

    Distances are relative to the norm of what they are of: all parameters, the hidden layers, the
    output layer; None if that norm is zero, as that of an output layer is until its first update.
    The cosines are those of `workbench.storage.rows.Drift`.
    """

    staleness: float
    age_seconds: float
    distance: float | None
    hidden_distance: float | None
    output_distance: float | None
    cosine: float | None
    auxiliary_cosine: float | None


RunPoints = Mapping[str, Sequence[DriftPoint]]
"""The points of several runs, by run."""


def points_of_runs(runs: Sequence[Run]) -> dict[str, list[DriftPoint]]:
    """Return the points of runs by their names; UserError if none of them measured drift."""
    points = {run.name: drift_points(run) for run in runs}
    if not any(points.values()):
        raise UserError(
            f"{', '.join(points)}: no drift was measured; train with drift_every=50, or fewer for "
            "small corpora"
        )
    return points


def drift_points(run: Run) -> list[DriftPoint]:
    """Return the points of a run in the order of its training."""
    rows = sorted(run.rows(DriftRow), key=lambda row: (row.version, row.utterance))
    return [drift_point(row) for row in rows]


def drift_point(row: DriftRow) -> DriftPoint:
    """Return the point of a row."""
    drift = row.drift
    return DriftPoint(
        staleness=row.staleness,
        age_seconds=row.age_seconds,
        distance=_relative(drift.distances, drift.norms),
        hidden_distance=_relative(drift.distances[:-1], drift.norms[:-1]),
        output_distance=_relative(drift.distances[-1:], drift.norms[-1:]),
        cosine=drift.cosine,
        auxiliary_cosine=drift.auxiliary_cosine,
    )


def _relative(distances: Sequence[float], norms: Sequence[float]) -> float | None:
    """The distance of some layers together as a multiple of their norm; None if that is zero."""
    norm = math.hypot(*norms)
    return math.hypot(*distances) / norm if norm else None


@dataclass(frozen=True)
class DriftMeasure:
    """Something that may turn an outer gradient: its name in sentences and on an axis."""

    name: str
    axis: str
    read: Callable[[DriftPoint], float | None]


UPDATES = DriftMeasure("age in updates", "outer age (updates)", lambda point: point.staleness)
SECONDS = DriftMeasure("age in seconds", "outer age (s)", lambda point: point.age_seconds)
DISTANCE = DriftMeasure(
    "distance of the parameters", "‖θ − θ'‖ / ‖θ'‖", lambda point: point.distance
)
HIDDEN = DriftMeasure("that of the hidden layers", "", lambda point: point.hidden_distance)
OUTPUT = DriftMeasure("that of the output layer", "", lambda point: point.output_distance)

COMPARED = (UPDATES, SECONDS, DISTANCE)
"""The measures among which the closest is looked for."""


class Lead(NamedTuple):
    """By how much one correlation is ahead of another, with the bounds of an interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.2f} [{self.low:.2f}, {self.high:.2f}]"


class PooledDrift(NamedTuple):
    """The points of all runs that have a cosine, and the number of the run of each."""

    points: Sequence[DriftPoint]
    run: np.ndarray  # int [points]
    runs: int

    @property
    def cosines(self) -> np.ndarray:
        """The cosines of stale and fresh outer gradients, float64 [points]."""
        return np.array([point.cosine for point in self.points], float)

    def values(self, measure: DriftMeasure) -> np.ndarray:
        """A measure of each point, float64 [points]; nan where it is unknown."""
        return np.array([measure.read(point) for point in self.points], float)


def pool(runs: RunPoints) -> PooledDrift:
    """Return the points of several runs together."""
    points: list[DriftPoint] = []
    numbers: list[int] = []
    used = 0
    for own in runs.values():
        known = [point for point in own if point.cosine is not None]
        points += known
        numbers += [used] * len(known)
        used += bool(known)

    return PooledDrift(points, np.array(numbers, int), used)


# --- sentences


def drift_sentence(runs: RunPoints) -> str:
    """Return how closely each measure goes with the cosine, and whether one is the closest."""
    pooled = pool(runs)
    if len(pooled.points) < FEWEST_POINTS:
        return f"{len(pooled.points)} utterances are too few to say what turns outer gradients."

    correlations = rank_correlations(pooled)
    return (
        f"Over {len(pooled.points):,} utterances of {counted(pooled.runs, 'run')} the rank "
        "correlation of the cosine of stale and fresh outer gradients is "
        f"{correlations_text(pooled, correlations)}. "
        f"{closest_sentence(pooled, correlations)}"
    )


def rank_correlations(pooled: PooledDrift) -> dict[DriftMeasure, float | None]:
    """Return the rank correlation of each of `COMPARED` with the cosine; None where unknown."""
    return {measure: rank_correlation(pooled, measure) for measure in COMPARED}


def correlations_text(
    pooled: PooledDrift, correlations: Mapping[DriftMeasure, float | None]
) -> str:
    """Return ``correlations``, those of `COMPARED`, in words, with those of layers that moved."""
    parts = [f"{_number(r)} with the {measure.name}" for measure, r in correlations.items()]
    layers = {measure: rank_correlation(pooled, measure) for measure in (HIDDEN, OUTPUT)}
    if None not in layers.values():
        told = ", ".join(f"{_number(r)} with {measure.name}" for measure, r in layers.items())
        parts[-1] += f" ({told})"
    return ", ".join(parts)


def closest_sentence(pooled: PooledDrift, correlations: Mapping[DriftMeasure, float | None]) -> str:
    """Return which measure goes with the cosine most closely, or that this is undecided.

    ``correlations``: those of `COMPARED`. It is said only if it is ahead of each other measure, all
    at once with 95 % confidence.
    """
    known = {measure: found for measure, found in correlations.items() if found is not None}
    undecided = "Which of them goes with it most closely is undecided"
    if pooled.runs < FEWEST_RUNS:
        return f"{undecided}: there are too few runs."
    if len(known) < 2:
        return f"{undecided}: fewer than two of them have a correlation with it."

    best = min(known, key=lambda measure: known[measure])  # cosines fall
    others = [measure for measure in known if measure is not best]
    leads = [lead_over(pooled, best, other, len(others)) for other in others]
    told = " and ".join(
        f"{lead} over the {other.name}" for lead, other in zip(leads, others, strict=True)
    )
    if min(lead.low for lead in leads) > 0:
        return f"The {best.name} goes with it most closely: it is ahead by {told}."
    return f"{undecided}: the {best.name} is ahead by {told}."


def auxiliary_sentence(auxiliary: str, runs: RunPoints) -> str:
    """Return whether what an auxiliary function makes of outer gradients is nearer to fresh ones.

    Each run counts once. Empty if no run has such points.
    """
    means = _mean_gains(runs)
    if not means:
        return ""

    mean, low, high = mean_interval(np.array(means), LEVEL)
    begin = f"{auxiliary}: its cosine with the fresh outer gradient is {mean:+.3f} above that of "
    if len(means) < FEWEST_RUNS:
        return f"{begin}the stale one ({len(means)} runs are too few for a verdict)."

    verdict = "undecided"
    if low > 0:
        verdict = "nearer"
    elif high < 0:
        verdict = "further away"

    return f"{begin}the stale one [{low:+.3f}, {high:+.3f}]: {verdict} ({len(means)} runs)."


def _mean_gains(runs: RunPoints) -> list[float]:
    """The mean gain in cosine of each run that has any."""
    means = []
    for points in runs.values():
        gains = [
            point.auxiliary_cosine - point.cosine
            for point in points
            if point.auxiliary_cosine is not None and point.cosine is not None
        ]
        if gains:
            means.append(float(np.mean(gains)))

    return means


def _number(found: float | None) -> str:
    return "unknown" if found is None else f"{found:.2f}"


# --- correlations


def rank_correlation(pooled: PooledDrift, measure: DriftMeasure) -> float | None:
    """Return Spearman's correlation of a measure with the cosine; None if either is constant.

    Points of which the measure is unknown do not count.
    """
    return _correlate(pooled.values(measure), pooled.cosines)


def lead_over(
    pooled: PooledDrift, best: DriftMeasure, other: DriftMeasure, comparisons: int
) -> Lead:
    """Return by how much more surely the cosine falls with one measure than with another.

    The interval is at 95 % for all ``comparisons`` together, by Bonferroni.
    """
    cosines = pooled.cosines
    x = pooled.values(best)
    y = pooled.values(other)

    def lead(kept: np.ndarray) -> float:
        ahead = _correlate(x[kept], cosines[kept]) or 0.0
        behind = _correlate(y[kept], cosines[kept]) or 0.0
        return behind - ahead  # both fall, so the better one is the more negative

    whole = lead(np.ones(len(cosines), bool))
    without = np.array([lead(pooled.run != number) for number in range(pooled.runs)])
    share = (pooled.runs - 1) / pooled.runs
    error = float(np.sqrt(share * np.sum((without - without.mean()) ** 2)))
    quantile = float(stats.t.ppf(1 - (1 - LEVEL) / (2 * comparisons), pooled.runs - 1))
    return Lead(whole, whole - quantile * error, whole + quantile * error)


def _correlate(x: np.ndarray, y: np.ndarray) -> float | None:
    """Spearman's rank correlation where x is known; None if either is constant."""
    known = ~np.isnan(x)
    x = x[known]
    y = y[known]
    if len(x) < FEWEST_POINTS or np.ptp(x) == 0 or np.ptp(y) == 0:
        return None
    return float(stats.spearmanr(x, y).statistic)
