"""A rehearsal of training measures training, not the compiling before it."""

from pathlib import Path

import pytest

from workbench.metrics.staleness import ExpectedAge, KeptStatistics, expected_outer_age
from workbench.prepare.corpus import Corpus
from workbench.runs import starting_point
from workbench.runs.task import Task
from workbench.settings import preset
from workbench.sweeping import Sweep, estimate, estimate_sweep, rehearsal
from workbench.sweeping.price import Price


@pytest.mark.parametrize("criterion", ["ce", "mmi"])
def test_a_warm_up_makes_a_push(
    criterion: str, tiny_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rehearsal of no seconds compiles all that a push needs, even where that takes long.

    Without a push it compiled nothing. A first forecast on a fresh machine was then ten times what
    training took.
    """
    monkeypatch.setattr(rehearsal, "LONGEST_SECONDS", 0.0)
    settings = preset("tiny", criterion=criterion, hidden_layers=1, hidden_units=16)
    task = Task(Corpus.open("tiny"), settings)
    assert rehearsal.rehearse_training(task, starting_point(task).theta, 0.0).pushes >= 1


def test_the_closed_form_is_told_where_it_holds(
    tiny_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It knows nothing of decoders that fetch after some seconds, so it is silent about them."""
    kept = KeptStatistics(36.0, 50.0)
    forecast = rehearsal.RunForecast(Price(1.0, 1.0), kept)
    monkeypatch.setattr(estimate, "rehearse", lambda *given: forecast)
    settings = {"criterion": "mmi", "replicas": 10, "decoder_fetch": "synchronous"}

    def foretold(intervals: list[float]) -> ExpectedAge | None:
        axes = {"decoder_seconds": intervals}
        return estimate_sweep(Sweep("s", "tiny", "tiny", settings, axes, seeds=[0])).age

    chosen = preset("tiny", **settings)
    always = expected_outer_age(kept, 10, chosen.batches.size, chosen.asynchrony.channel)
    assert foretold([0.0]) == foretold([0.0, 300.0]) == always
    assert foretold([300.0]) is None
