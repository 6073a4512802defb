"""A run that diverges goes back to a checkpoint with half the learning rate, and says so."""

from pathlib import Path

import numpy as np
import pytest
from stop_requests import after

from workbench import runs
from workbench.figures.live_figure import draw_live
from workbench.figures.tail import Tail
from workbench.prepare.corpus import Corpus
from workbench.runs import drive
from workbench.runs.divergence import has_exploded, largest_gradients
from workbench.runs.replay import replay
from workbench.runs.task import Task
from workbench.settings import UserError, preset
from workbench.storage.rows import DivergenceRow, PushRow
from workbench.storage.run import Run, RunState, find_run

pytestmark = pytest.mark.slow

WILD = preset("tiny", epochs=2.0, checkpoint_every=0.5, evaluate_every=0.5, learning_rate=100.0)
"""Its learning rate has to be halved several times."""

TAMED = WILD.replace(divergence_retries=20)


@pytest.fixture(scope="module")
def corpus(tiny_home: Path) -> Corpus:
    """The tiny corpus."""
    return Corpus.open("tiny")


@pytest.fixture(scope="module")
def tamed(corpus: Corpus) -> Run:
    """A recorded run that diverged, and ended well."""
    return runs.train(corpus, TAMED, name="tamed", record=True)


def test_a_run_that_diverges_ends_well(corpus, tamed):
    """Each return halves the rate, is a row, a line of the log and a mark in the live figure."""
    found = list(tamed.rows(DivergenceRow))
    assert tamed.status().state == RunState.DONE
    assert tamed.summary.divergences == len(found) > 1
    assert [row.halvings for row in found] == list(range(1, len(found) + 1))
    assert [row.learning_rate for row in found] == [100 / 2**row.halvings for row in found]
    assert found[0].checkpoint == "the start"
    assert tamed.summary.frames_seen == 2 * Task(corpus, TAMED).train.frames
    assert (tamed.folder / "log.txt").read_text().count("diverged: ") == len(found)

    tail = Tail(tamed)
    tail.read()
    headline = draw_live(tail).texts[0].get_text()
    assert f"learning rate halved after {len(found)} divergences" in headline


def test_it_repeats_bit_for_bit(corpus, tamed, monkeypatch):
    """Stopped and resumed on the way it is the same run; its record can be replayed."""
    monkeypatch.setattr(drive, "NEAR_SECONDS", 0.0)
    run = runs.train(corpus, TAMED, name="tamed-2", record=True, stop=after(5))
    for looks in (15, 45):
        assert run.status().state == RunState.STOPPED
        run = runs.resume(run, stop=after(looks))
    run = runs.resume(run)
    assert run.summary.rows_digest == tamed.summary.rows_digest
    assert replay(run).parameters_digest == tamed.summary.parameters_digest


def test_the_last_word_names_utterances_and_what_to_do(corpus):
    """When the retries are used up the state is diverged, and the message is one line."""
    with pytest.raises(UserError, match=r"halved 1 times.*learning_rate=25 or with max_norm") as no:
        runs.train(corpus, WILD.replace(divergence_retries=1), name="wild")
    task = Task(corpus, WILD)
    assert sum(name in str(no.value) for name in task.train.ids) == 3
    assert "\n" not in str(no.value)
    assert find_run("wild").status().state == RunState.DIVERGED
    assert len(list(find_run("wild").rows(DivergenceRow))) == 1


def test_no_retries_end_the_run_at_once(corpus):
    """With divergence_retries=0 nothing is tried again."""
    with pytest.raises(UserError, match="halved 0 times"):
        runs.train(corpus, WILD.replace(divergence_retries=0), name="at-once")
    assert list(find_run("at-once").rows(DivergenceRow)) == []


def test_the_largest_gradients_come_first(corpus, tamed):
    """They are sorted, and those that are not finite are before all others."""
    task = Task(corpus, WILD)
    theta = runs.experiment_of(tamed).theta
    found = largest_gradients(task, theta)
    norms = [each.norm for each in found]
    assert norms == sorted(norms, reverse=True)
    assert np.isfinite(norms).all()
    assert np.isinf([each.norm for each in largest_gradients(task, theta * np.nan)]).all()


def test_norms_of_gradients_are_recorded(tamed):
    """The first push of a replica and every fiftieth have the norm of their gradient."""
    with_norm = [row.step for row in tamed.rows(PushRow) if row.gradient_norm is not None]
    assert with_norm[0] == 0
    assert all(step % 50 == 0 for step in with_norm)


@pytest.mark.parametrize(
    ("criterion", "at_start", "exploded"),
    [(-11.0, -5.0, False), (-11.1, -5.0, True), (-0.5, -0.1, False), (-1.3, -0.1, True)],
)
def test_what_an_explosion_is(criterion, at_start, exploded):
    """The criterion has fallen by more than one and its size at the start."""
    assert has_exploded(criterion, at_start) == exploded
