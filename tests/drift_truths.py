"""Drift of runs in which one thing, and nothing else, turns outer gradients."""

from collections.abc import Callable
from dataclasses import replace

from workbench.metrics.drift import DriftPoint
from workbench.settings import rng

Truth = Callable[[DriftPoint], float]
POINTS = 30  # of each run

TRUTHS: dict[str, Truth] = {
    "age in updates": lambda point: 1 - point.staleness / 3000,
    "age in seconds": lambda point: 1 - point.age_seconds / 6000,
    "distance of the parameters": lambda point: 1 - 4 * (point.distance or 0.0),
}


def run_points(number: int, truth: Truth, noise: float = 0.02) -> list[DriftPoint]:
    """The points of a run with a rate of learning and a speed of the clock of its own."""
    draw = rng(0, "run", number)
    rate = 2.0 ** draw.uniform(-2, 2)
    speed = 2.0 ** draw.uniform(-2, 2)
    points = []
    for _ in range(POINTS):
        age = float(draw.uniform(0, 1000))
        distance = 1e-4 * rate * age * draw.uniform(0.7, 1.3)
        point = DriftPoint(
            staleness=age,
            age_seconds=age * speed,
            distance=distance,
            hidden_distance=0.0,
            output_distance=2 * distance,
            cosine=None,
            auxiliary_cosine=None,
        )
        points.append(replace(point, cosine=truth(point) + noise * float(draw.normal())))

    return points


def several_runs(truth: Truth, runs: int = 12) -> dict[str, list[DriftPoint]]:
    """The points of runs, by run."""
    return {f"last: {number}": run_points(number, truth) for number in range(runs)}
