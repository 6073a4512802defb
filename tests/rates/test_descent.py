"""The largest stable rate of sequence training: scripted trials whose truth is known."""

import itertools
import math
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from workbench.progress import no_progress
from workbench.rates.descent import (
    ALL_PARTS,
    PARTS,
    Descent,
    calm_rate,
    falling_rates,
)
from workbench.rates.measured import TrialDifference, UtteranceDifference, mean_difference
from workbench.rates.trial import TOO_LONG
from workbench.rates.work import SearchWork
from workbench.runs.execution import Stop, never
from workbench.settings import Settings, UserError
from workbench.storage.rate_search import RatePoint, RateSearch, RateTrial

SETTINGS = Settings.of(criterion="mmi")
PART = 1000


@dataclass
class Script:
    """The task of trials that are not trained: only its settings are asked for."""

    settings: Settings = SETTINGS


@dataclass
class ScriptedTrials:
    """Trials whose gains are given: ``gains[rate]`` at the end, and ``error`` in all of them.

    ``falls``: from which part on the gain of a rate is there; before, it is 0. ``ended``: rates
    that end at their first part, and why.
    """

    gains: dict[float, float]
    error: float = 1.0
    falls: dict[float, int] = field(default_factory=dict)
    ended: dict[float, str] = field(default_factory=dict)
    folder: Path = Path("nowhere")
    task: Script = field(default_factory=Script)
    parts: dict[float, int] = field(default_factory=dict)
    calls: int = 0

    def advance(self, trial: RateTrial, parts: int, progress: Any) -> RateTrial:
        """Another part of a trial."""
        self.calls += 1
        self.parts[trial.rate] = parts
        frames = trial.frames + PART
        if trial.rate in self.ended:
            return replace(trial, frames=frames, ended=self.ended[trial.rate])
        points = (*trial.points, RatePoint(frames, self.gain(trial.rate)))
        return replace(trial, points=points, frames=frames)

    def gain(self, rate: float) -> float:
        """What a rate has gained by now."""
        there = self.parts.get(rate, PARTS) >= self.falls.get(rate, 1)
        return self.gains.get(rate, 0.0) if there else 0.0

    def compare(self, rate: float, other: float) -> TrialDifference:
        """The difference of two trials."""
        return TrialDifference(self.gain(rate) - self.gain(other), self.error)


def search_with(trials: ScriptedTrials, path: Path, stop: Stop = never) -> RateSearch:
    """A complete search with these trials."""
    empty = RateSearch("mmi", {}, "", PART, ALL_PARTS * PART, 100 * PART)
    work = SearchWork(path / "mmi-x.json", trials, no_progress, stop)  # type: ignore[arg-type]
    return Descent(work).run(empty)


RATES = falling_rates(SETTINGS)
CALM = calm_rate(SETTINGS)


def test_rates_fall_from_far_above_the_usual_one_to_below_it() -> None:
    """Each is half of the one before, and the calm one is smaller than all."""
    assert all(
        larger == pytest.approx(2 * smaller) for larger, smaller in itertools.pairwise(RATES)
    )
    assert RATES[0] > 10 * 0.002 > RATES[-1] > CALM


@pytest.mark.parametrize("stable", range(5))
def test_the_largest_rate_that_does_not_fall_behind_is_found(tmp_path: Path, stable: int) -> None:
    """Rates above it fall behind at their first part, and smaller ones are no better."""
    gains = dict.fromkeys(RATES[:stable], -5.0)
    trials = ScriptedTrials({**gains, RATES[stable]: 1.0})
    found = search_with(trials, tmp_path)
    assert found.found == RATES[stable]
    assert found.frames <= found.budget
    assert [trial.rate for trial in found.trials if trial.ended] == sorted(RATES[:stable])
    assert "stable" in str(found)


def test_a_fall_that_comes_late_is_seen(tmp_path: Path) -> None:
    """A rate that falls behind at its last part is given up, and half of it taken."""
    trials = ScriptedTrials({RATES[0]: -5.0}, falls={RATES[0]: PARTS})
    found = search_with(trials, tmp_path)
    assert found.found == RATES[1]
    assert found.trial(RATES[0]).points[-1].gain == -5.0


def test_a_smaller_rate_wins_only_beyond_the_noise(tmp_path: Path) -> None:
    """Half of a stable rate takes its place if it is better by more than its error."""
    for better, expected in ((0.9, RATES[0]), (1.1, RATES[1])):
        assert search_with(ScriptedTrials({RATES[1]: better}), tmp_path).found == expected


def test_when_the_frames_are_used_up_the_next_smaller_is_taken(tmp_path: Path) -> None:
    """Rates that fall behind late cost whole trials; the search ends within its budget."""
    trials = ScriptedTrials(dict.fromkeys(RATES, -5.0), falls=dict.fromkeys(RATES, PARTS))
    found = search_with(trials, tmp_path)
    assert found.frames <= found.budget
    assert found.found == RATES[3]
    assert not found.trial(RATES[3]).points
    assert "not tried itself" in str(found)


def test_a_model_that_cannot_be_trained_is_an_error(tmp_path: Path) -> None:
    """If even the calm rate diverges, a message says what to look at; if decoders run ahead of
    training, the usual rate is taken.
    """
    with pytest.raises(UserError, match="not even learning_rate="):
        search_with(ScriptedTrials({}, ended={CALM: "gradients are not finite"}), tmp_path)
    assert search_with(ScriptedTrials({}, ended={CALM: TOO_LONG}), tmp_path).usual
    diverged = dict.fromkeys(RATES[:2], "gradients are not finite")
    assert search_with(ScriptedTrials({}, ended=diverged), tmp_path).found == RATES[2]


def test_a_search_that_was_stopped_goes_on_to_the_same(tmp_path: Path) -> None:
    """Stopped before every part, it ends with the trials of one that was never stopped."""

    def script() -> ScriptedTrials:
        return ScriptedTrials({RATES[0]: -5.0, RATES[2]: 4.0}, falls={RATES[0]: 2})

    whole = search_with(script(), tmp_path)
    trials = script()
    search = RateSearch("mmi", {}, "", PART, ALL_PARTS * PART, 100 * PART)
    starts = 0
    while search.rate is None:
        starts += 1
        before = trials.calls
        work = SearchWork(
            tmp_path / "mmi-y.json",
            trials,  # type: ignore[arg-type]
            no_progress,
            lambda before=before: trials.calls > before,
        )
        search = Descent(work).run(search)
        assert starts < 100
    assert starts > 5
    assert search == whole


# --- the noise of a difference


def test_the_error_of_a_difference_is_that_over_speakers() -> None:
    """By hand: equal utterances of eleven speakers, of which one differs."""
    pairs = [UtteranceDifference(1.0 if n == 0 else 0.0, 10, f"s{n}") for n in range(11)]
    found = mean_difference(pairs)
    assert found.gain == pytest.approx(1 / 110)
    rests = [1 - 10 / 110] + [-10 / 110] * 10
    assert found.error == pytest.approx(math.sqrt(1.1 * sum(r * r for r in rests)) / 110)
    assert mean_difference(pairs[:1]).error == math.inf
    assert mean_difference([]).error == math.inf


@pytest.mark.slow
def test_equal_trials_are_told_apart_as_often_as_the_errors_say() -> None:
    """Voices that differ in both directions: two errors are exceeded in about one case of 20."""
    draw = np.random.default_rng(0)
    exceeded = 0
    for _ in range(2000):
        effects = draw.normal(size=40)
        pairs = [
            UtteranceDifference(
                float(effects[n % 40] + draw.normal()), int(draw.integers(50, 150)), f"s{n % 40}"
            )
            for n in range(160)
        ]
        found = mean_difference(pairs)
        exceeded += abs(found.gain) > 2 * found.error
    assert 0.03 < exceeded / 2000 < 0.08
