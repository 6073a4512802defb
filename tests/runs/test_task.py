"""What a task makes of its settings."""

from pathlib import Path

import numpy as np
import pytest

from workbench.hmm.graphs.transitions import scale_transitions
from workbench.prepare.corpus import Corpus
from workbench.runs.task import Task
from workbench.settings import preset


@pytest.mark.parametrize("scale", [0.3, 1.0])
def test_graphs_have_the_transitions_that_the_settings_ask_for(
    tiny_home: Path, scale: float
) -> None:
    """Lattices and references are searched with the same transitions, scaled by the setting."""
    corpus = Corpus.open("tiny")
    task = Task(corpus, preset("tiny", criterion="mmi", transition_scale=scale))
    transcript = corpus.split("train").words[0]
    pairs = [
        (corpus.denominator, task.denominator),
        (corpus.reference(transcript).make(), task.reference(transcript).make()),
    ]
    for before, after in pairs:
        scaled = scale_transitions(before, corpus.states, scale)
        assert np.array_equal(after.weight, scaled.weight)
        assert np.array_equal(after.final, scaled.final)
        assert np.array_equal(after.weight, before.weight) == (scale == 1.0)
