"""A run that is stopped anywhere and resumed equals one that was never stopped, bit for bit."""

import threading
import time
from pathlib import Path

import pytest
from stop_requests import after

from workbench import runs
from workbench.model.model_file import load_model
from workbench.prepare.corpus import Corpus
from workbench.runs import drive, record
from workbench.runs.task import Task
from workbench.settings import Settings, preset
from workbench.storage.rows import Row
from workbench.storage.run import Run, RunState

pytestmark = pytest.mark.slow

FORMS = {
    "ce-1": preset("tiny", epochs=2.0, checkpoint_every=0.5, learning_rate=0.03),
    "ce-5": preset(
        "tiny", epochs=2.0, checkpoint_every=0.5, learning_rate=0.03, replicas=5, clock="cost"
    ),
    "mmi-1": preset("tiny", criterion="mmi", epochs=0.6, checkpoint_every=0.2, learning_rate=0.002),
    "mmi-8": preset(
        "tiny",
        criterion="mmi",
        epochs=0.6,
        checkpoint_every=0.2,
        learning_rate=0.002,
        replicas=8,
        clock="cost",
    ),
}
POINTS = (1, 25, 40, 55)
"""How often a run has looked for a request when it is asked to stop, once after the other."""


@pytest.fixture(scope="module")
def corpus(tiny_home: Path) -> Corpus:
    """The tiny corpus."""
    return Corpus.open("tiny")


@pytest.fixture(scope="module")
def trained(corpus: Corpus) -> Run:
    """What sequence training starts from: an untrained network has lattices many times larger."""
    return runs.train(corpus, preset("tiny", epochs=4.0, learning_rate=0.03), name="trained")


def assert_equal(run: Run, undisturbed: Run) -> None:
    """Both runs have ended with the same rows and parameters."""
    assert run.status().state == RunState.DONE
    for digest in ("parameters_digest", "rows_digest", "updates"):
        assert getattr(run.summary, digest) == getattr(undisturbed.summary, digest)


@pytest.mark.parametrize("form", FORMS)
def test_a_stop_changes_nothing(corpus, trained, form, monkeypatch):
    """Stopped several times off its schedule, a run still is the same run."""
    settings: Settings = FORMS[form]
    init = trained if settings.sequence else None
    undisturbed = runs.train(corpus, settings, name=f"{form}-undisturbed", init=init)
    monkeypatch.setattr(drive, "NEAR_SECONDS", 0.0)

    run = runs.train(corpus, settings, name=f"{form}-stopped", init=init, stop=after(POINTS[0]))
    for looks in POINTS[1:]:
        assert run.status().state == RunState.STOPPED
        run = runs.resume(run, stop=after(looks))

    assert (run.folder / "log.txt").read_text().count("computes") >= len(POINTS) - 1
    assert_equal(runs.resume(run), undisturbed)


def test_a_stop_before_the_first_checkpoint_is_back_at_the_start(corpus, monkeypatch):
    """Then the folder holds no rows, and the model that training began from."""
    monkeypatch.setattr(drive, "NEAR_SECONDS", 0.0)
    run = runs.train(corpus, FORMS["ce-1"], name="early", stop=after(20))
    theta, _, _ = load_model(run.folder / "model")
    assert list(run.rows(Row)) == []
    assert run.summary.frames_seen == 0
    assert (theta == runs.experiment_of(run).theta).all()
    assert "stopped at the start" in (run.folder / "log.txt").read_text()


def test_a_stop_does_not_wait_for_an_evaluation(corpus, trained, monkeypatch):
    """An evaluation under way is left where it is, and is made when the run is resumed."""
    monkeypatch.setattr(drive, "NEAR_SECONDS", 0.0)
    measured = []
    slow = threading.Event()
    slow.set()
    measure = Task.measure_utterance

    def measure_slowly(task, theta, utterance):
        measured.append(utterance)
        if slow.is_set():
            time.sleep(0.6)
        return measure(task, theta, utterance)

    monkeypatch.setattr(Task, "measure_utterance", measure_slowly)
    settings = FORMS["mmi-1"].replace(evaluate_utterances=0, epochs=0.2)
    run = runs.train(
        corpus, settings, name="impatient", init=trained, stop=lambda: len(measured) > 2
    )
    assert run.status().state == RunState.STOPPED
    assert len(measured) < len(Task(corpus, settings).heldout)

    slow.clear()
    assert runs.resume(run).status().state == RunState.DONE


def test_a_stop_goes_on_to_a_checkpoint_that_is_near(corpus, monkeypatch):
    """It then loses nothing: the run is stopped at the next checkpoint, with all its rows."""
    monkeypatch.setattr(drive, "NEAR_SECONDS", 1e9)
    run = runs.train(corpus, FORMS["ce-5"], name="near", stop=after(40))
    assert run.status().state == RunState.STOPPED
    assert len(run.checkpoints()) == 1
    half = FORMS["ce-5"].measuring.checkpoint_every
    assert run.summary.frames_seen >= half * runs.experiment_of(run).task.train.frames
    assert not (run.folder / "log.txt").exists()


def test_a_run_that_cannot_be_repeated_loses_nothing(corpus, monkeypatch):
    """On the measured clock it rests at once, and that rest is saved."""
    monkeypatch.setattr(drive, "NEAR_SECONDS", 0.0)
    settings = FORMS["ce-1"].replace(clock="measured")
    run = runs.train(corpus, settings, name="measured", stop=after(40))
    assert run.status().state == RunState.STOPPED
    assert run.summary.updates > 0
    assert len(run.checkpoints()) == 1


def test_a_run_that_is_resumed_with_other_arithmetic_says_so(corpus, monkeypatch):
    """Its log names what has another version than at the start; without a change it is silent."""
    settings = FORMS["ce-1"]
    same = runs.resume(runs.train(corpus, settings, name="same", stop=after(1)), stop=after(2))
    assert "resumed with" not in (same.folder / "log.txt").read_text()

    with monkeypatch.context() as patch:
        patch.setattr(record, "ARITHMETIC", "1")
        run = runs.train(corpus, settings, name="former", stop=after(1))
    runs.resume(run, stop=after(2))
    assert "resumed with arithmetic 2 in place of 1: " in (run.folder / "log.txt").read_text()


def test_runs_from_before_arithmetic_had_a_number() -> None:
    """What a record lacks is no change, except the arithmetic, which was the first."""
    assert record.changed_versions({}) == ["arithmetic 2 in place of 1"]
    assert record.changed_versions(record.installed_versions()) == []
    older = {**record.installed_versions(), "torch": "1.0"}
    (change,) = record.changed_versions(older)
    assert change.startswith("torch ")
    assert change.endswith(" in place of 1.0")
