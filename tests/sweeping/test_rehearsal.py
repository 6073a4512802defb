"""A rehearsal of training measures training, not the compiling before it."""

from pathlib import Path

import pytest

from workbench.prepare.corpus import Corpus
from workbench.runs import starting_point
from workbench.runs.task import Task
from workbench.settings import preset
from workbench.sweeping import rehearsal


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
