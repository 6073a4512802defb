"""What turns outer gradients is told of points of known truth, and is undecided where it is not."""

import re
from dataclasses import replace

import numpy as np
import pytest
from drift_truths import TRUTHS, run_points, several_runs
from fake_runs import drift_row

from workbench.metrics.drift import (
    OUTPUT,
    SECONDS,
    UPDATES,
    DriftPoint,
    auxiliary_sentence,
    drift_point,
    drift_sentence,
    pool,
    rank_correlation,
)
from workbench.settings import rng
from workbench.storage.rows import Drift, DriftRow

BY_UPDATES = TRUTHS["age in updates"]


@pytest.mark.parametrize("name", TRUTHS)
def test_what_turns_gradients_is_found(name: str) -> None:
    """Rates and speeds differ between runs, so only the true measure goes with all cosines."""
    sentence = drift_sentence(several_runs(TRUTHS[name]))
    assert "Over 360 utterances of 12 runs" in sentence
    assert f"The {name} goes with it most closely" in sentence
    told = re.findall(r"(-\d\.\d\d) with the ([a-z ]+)[,(.]", sentence)
    correlations = {measure.strip(): float(number) for number, measure in told}
    assert correlations.keys() == TRUTHS.keys()
    assert min(correlations, key=lambda measure: correlations[measure]) == name


def test_what_cannot_be_told_apart_is_undecided() -> None:
    """With one rate and one speed, age and distance are the same but for noise."""
    runs = {}
    for number in range(12):
        draw = rng(1, "equal", number)
        points = []
        for point in run_points(number, BY_UPDATES):
            age = float(draw.uniform(0, 1000))
            cosine = 1 - age / 3000 + 0.05 * float(draw.normal())
            points.append(
                replace(point, staleness=age, age_seconds=age, distance=1e-4 * age, cosine=cosine)
            )
        runs[f"{number}"] = points

    assert "is undecided" in drift_sentence(runs)


def test_where_all_are_equally_close_none_is_named() -> None:
    """Three noisy views of one cause: at 5 % it would be three of 60 studies."""
    draw = rng(0, "equal causes")
    named = 0
    for _ in range(60):
        runs = {f"{number}": equally_close_points(draw) for number in range(8)}
        named += "it is ahead by" in drift_sentence(runs)
    assert named <= 3


def equally_close_points(draw: np.random.Generator) -> list[DriftPoint]:
    """The points of a run whose ages and distances are each a cause, times noise of their own."""
    points = []
    own = draw.normal(0, 0.5, 3)
    for cause in draw.normal(size=30):
        updates, seconds, distance = np.exp(cause + own + draw.normal(0, 0.5, 3))
        points.append(
            DriftPoint(
                staleness=updates,
                age_seconds=seconds,
                distance=distance,
                hidden_distance=0.0,
                output_distance=distance,
                cosine=0.1 * float(draw.normal()) - cause,
                auxiliary_cosine=None,
            )
        )

    return points


def test_few_runs_decide_nothing_and_few_points_say_nothing() -> None:
    """Points of one run are not independent, however many there are."""
    assert "there are too few runs" in drift_sentence(several_runs(BY_UPDATES, runs=4))
    assert "2 utterances are too few" in drift_sentence({"a": run_points(0, BY_UPDATES)[:2]})


def test_a_clock_that_stands_still_has_no_correlation() -> None:
    """On the free clock ages in seconds are all zero: unknown, and not the closest."""
    runs = {
        name: [replace(point, age_seconds=0.0) for point in points]
        for name, points in several_runs(BY_UPDATES).items()
    }
    assert rank_correlation(pool(runs), SECONDS) is None
    assert "unknown with the age in seconds" in drift_sentence(runs)
    assert "The age in updates goes with it most closely" in drift_sentence(runs)


def test_where_one_measure_varies_runs_are_not_too_few() -> None:
    """What is missing is something to compare it with."""
    runs = {
        name: [replace(point, age_seconds=0.0, distance=0.0) for point in points]
        for name, points in several_runs(BY_UPDATES).items()
    }
    sentence = drift_sentence(runs)
    assert "too few runs" not in sentence
    assert sentence.endswith("is undecided: fewer than two of them have a correlation with it.")


def test_correlations_are_of_ranks() -> None:
    """A falling curve of any shape has -1; points without a cosine do not count."""
    points = run_points(0, lambda point: float(np.exp(-point.staleness / 100)), noise=0.0)
    points.append(replace(points[0], cosine=None))
    assert rank_correlation(pool({"a": points}), UPDATES) == pytest.approx(-1)


@pytest.mark.parametrize(
    "gain, word", [(0.05, "nearer"), (-0.05, "further away"), (0.0, "undecided")]
)
def test_auxiliary_functions_are_judged_over_runs(gain: float, word: str) -> None:
    """Each run counts once; what an auxiliary function gains is judged by their scatter."""
    runs = {}
    for number in range(8):
        own = gain + 0.01 * (-1) ** number
        points = run_points(number, BY_UPDATES)
        runs[f"{number}"] = [replace(p, auxiliary_cosine=(p.cosine or 0.0) + own) for p in points]

    sentence = auxiliary_sentence("reweighted", runs)
    assert sentence.startswith("reweighted: ")
    assert sentence.endswith(f"{word} (8 runs).")
    assert "too few for a verdict" in auxiliary_sentence("reweighted", {"0": runs["0"]})
    assert auxiliary_sentence("frozen", several_runs(BY_UPDATES)) == ""


def test_distances_are_relative_to_norms() -> None:
    """Layers of norm 4 and 3 that moved by 3 and 4 have together moved by their norm."""
    drift = Drift(
        distances=(3.0, 4.0), norms=(4.0, 3.0), stale_norm=1.0, fresh_norm=1.0, cosine=0.5
    )
    row = drift_row(drift)
    assert DriftRow.from_dict(row.to_dict()) == row
    point = drift_point(row)
    assert point.distance == pytest.approx(1.0)
    assert point.hidden_distance == pytest.approx(0.75)
    assert point.output_distance == pytest.approx(4 / 3)


def test_an_output_layer_that_begins_at_zero_has_no_relative_distance() -> None:
    """Its norm is zero at first; the other measures of such a point count, and are drawn."""
    drift = Drift(distances=(3.0, 4.0), norms=(4.0, 0.0), stale_norm=1, fresh_norm=1, cosine=0.9)
    first = drift_point(drift_row(drift))
    assert first.output_distance is None
    assert first.hidden_distance == pytest.approx(0.75)

    points = run_points(0, TRUTHS["distance of the parameters"])
    without = pool({"a": points})
    pooled = pool({"a": [first, *points]})
    assert rank_correlation(pooled, OUTPUT) == rank_correlation(without, OUTPUT)
    assert len(pooled.values(UPDATES)) == len(points) + 1
    assert "nan" not in drift_sentence({"a": [first, *points]})
