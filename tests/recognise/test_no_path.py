"""Utterances in which the search finds no path are recognised as nothing, counted, and reported."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from workbench.figures.tables import RUN_COLUMNS, no_path_sentence
from workbench.hmm.graphs.graph import NoPath
from workbench.hmm.scores import NOT_FINITE, BadScores
from workbench.recognise.recogniser import Recogniser
from workbench.storage.summary import RunSummary


class Numbered:
    """A task whose log posteriors are the numbers of the utterances."""

    on_device = False

    def utterance_posteriors(self, theta: Any, store: Any, utterances: Any) -> list[np.ndarray]:
        return [np.array([u]) for u in utterances]


class Scripted(Recogniser):
    """A recogniser that finds a path in utterances 0 and 3 only."""

    task = Numbered()  # type: ignore[assignment]
    theta = np.zeros(1, np.float32)

    def __init__(self) -> None:
        pass

    def lattice_of(self, logp: np.ndarray) -> Any:
        if logp[0] == 1:
            raise NoPath("no state in the beam")
        if logp[0] == 2:
            raise BadScores(NOT_FINITE)
        return int(logp[0])

    def words(self, lattice: Any, lm_scales: Any) -> list[tuple[str, ...]]:
        return [(f"word{lattice}",) for _ in lm_scales]


@dataclass
class RunWithSummary:
    """The part of a run that the sentence reads."""

    summary: RunSummary


def test_no_path_is_counted_and_gives_no_words():
    """Neither a beam that is too narrow nor broken scores end the test of the others."""
    found = Scripted().transcripts(object(), range(4), [1.0, 0.8])
    assert found.words == [[("word0",)] * 2, [()] * 2, [()] * 2, [("word3",)] * 2]
    assert found.no_path == 2


@pytest.mark.parametrize("count", [0, 2])
def test_the_count_is_said(count):
    """The table has columns for it, and a test prints a sentence only if the count is not 0."""
    assert {"test_no_path", "heldout_no_path", "test_utterances"} <= set(RUN_COLUMNS)
    summary = RunSummary(test_no_path=count, test_utterances=40)
    sentence = no_path_sentence(RunWithSummary(summary))
    assert sentence.startswith("2 of 40 test utterances had no path") == bool(count)
    assert bool(sentence) == bool(count)
    assert no_path_sentence(RunWithSummary(RunSummary())) == ""
