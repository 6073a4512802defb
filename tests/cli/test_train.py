"""``workbench train``: what the same command does a second time."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from fake_runs import fake_run

from workbench import runs
from workbench.cli import main
from workbench.prepare.corpus import Corpus
from workbench.settings import Settings
from workbench.storage.run import Run
from workbench.storage.run_writer import RunExists


@pytest.fixture
def resumed(data_folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the runs that were resumed, in place of training."""
    names: list[str] = []

    def resume(run: Run, *_: object, **__: object) -> Run:
        names.append(run.name)
        return run

    corpus = SimpleNamespace(split=lambda _: range(1000))
    monkeypatch.setattr(Corpus, "open", lambda _: corpus)
    monkeypatch.setattr(runs, "resume", resume)
    return names


def exists_already(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets every training find that this is its run."""

    def train(*_: object, **__: object) -> Run:
        raise RunExists(run)

    monkeypatch.setattr(runs, "train", train)


@pytest.mark.parametrize("state", ["stopped", "failed", "lost"])
def test_the_same_command_goes_on_with_its_run(
    state: str,
    resumed: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """As the message of an interruption promises, and also after a mistake in the user's code."""
    run = fake_run("ce-01234567", Settings(), state=state)
    exists_already(run, monkeypatch)
    main.main(["train", "c", "--name", "ce"])
    assert resumed == [run.name]
    assert "ce-01234567 was begun before; it goes on" in capsys.readouterr().err


@pytest.mark.parametrize(
    "state, told",
    [
        (
            "done",
            "ce-01234567: this run is done; give another --name, or remove it:",
        ),
        (
            "diverged",
            "is diverged; `workbench train --resume ce-01234567` goes on with it",
        ),
    ],
)
def test_a_run_that_ended_is_not_trained_again(
    state: str,
    told: str,
    resumed: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The message has the commands in full."""
    exists_already(fake_run("ce-01234567", Settings(), state=state), monkeypatch)
    assert main.main(["train", "c", "--name", "ce"]) == main.FAILED
    assert told in capsys.readouterr().err
    assert not resumed


def test_a_second_run_of_a_name_is_told(
    resumed: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Other settings make a run of their own, after which the name alone says nothing."""
    fake_run("ce-01234567", Settings())
    second = fake_run("ce-89abcdef", Settings.of(seed=1))
    monkeypatch.setattr(runs, "train", lambda *_, **__: second)
    assert main.main(["train", "c", "--name", "ce", "--set", "seed=1"]) == 0
    assert "other runs are called ce too; this one is ce-89abcdef" in capsys.readouterr().err


def test_an_interruption_names_the_run(
    resumed: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """So the command that resumes it can be copied."""
    stopped = fake_run("ce-01234567", Settings(), state="stopped")
    monkeypatch.setattr(runs, "train", lambda *_, **__: stopped)
    assert main.main(["train", "c"]) == 130
    assert "`workbench train --resume ce-01234567`" in capsys.readouterr().err


@pytest.mark.parametrize("words, told", [([], True), (["--init", "ce-01234567"], False)])
def test_sequence_training_from_random_weights_is_told(
    words: list[str],
    told: bool,
    resumed: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It trains for hours and ends badly, and --init is easily forgotten."""
    done = fake_run("ce-01234567", Settings())
    monkeypatch.setattr(runs, "train", lambda *_, **__: done)
    assert main.main(["train", "c", "--criterion", "mmi", *words]) == 0
    assert ("warning: criterion=mmi starts from random" in capsys.readouterr().err) is told
