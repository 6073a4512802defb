"""A baseline in a cell: one source, a picture of each training, and the report at the end."""

import importlib
import os
import socket
from dataclasses import asdict
from pathlib import Path

import pytest
from data_directories import make_corpus_directory
from fake_runs import fake_run

from workbench.baseline import Request
from workbench.notebook.baseline import BaselineCell, baseline
from workbench.notebook.calls import check_data
from workbench.prepare.reading import LETTERS, Source, guess_source
from workbench.settings import Settings
from workbench.storage.files import write_json
from workbench.storage.run import RunState, RunStatus


def test_a_folder_tells_what_it_holds(tmp_path: Path) -> None:
    """A folder with manifests is Lhotse's, any other one Kaldi's."""
    assert guess_source(tmp_path).kaldi == tmp_path
    (tmp_path / "cuts_train.jsonl.gz").touch()
    assert guess_source(tmp_path).lhotse == tmp_path


def test_a_run_is_followed_until_the_next_begins(data_folder: Path) -> None:
    """The cell finds a run by its name without a digest, and leaves its picture."""
    run = fake_run("ce-x-00000000", Settings.of())
    running = RunStatus(RunState.RUNNING, os.getpid(), socket.gethostname())
    write_json(run.folder / "status.json", asdict(running))
    cell = BaselineCell()
    cell.follow("ce-x")
    assert cell.wait(20.0)
    assert cell.view is not None
    assert cell.view.run.name == run.name
    screen = cell.view.screen
    cell.finish()
    assert screen.png
    assert cell.view is None


def test_arguments_of_the_cell_are_what_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder is a source, and settings are those of both trainings or of one.

    A whole baseline in a cell is in the notebook about one's own data.
    """
    asked: list[Request] = []
    module = importlib.import_module("workbench.notebook.baseline")
    monkeypatch.setattr(module, "make_baseline", lambda request, **how: asked.append(request))
    frame = {"epochs": 2.0}
    sequence = {"epochs": 0.5}
    baseline("x", tmp_path, seeds=[0, 1], hidden_units=16, frame=frame, sequence=sequence)
    baseline("y", criterion="smbr", hours=2.0)
    assert asked == [
        Request(
            "x",
            guess_source(tmp_path),
            seeds=(0, 1),
            both={"hidden_units": 16},
            frame=frame,
            sequence=sequence,
        ),
        Request("y", criterion="smbr", hours=2.0),
    ]


def test_a_source_is_checked_as_a_folder_is(tmp_path: Path) -> None:
    """A source says more than a folder can: here that words are said by their letters."""
    data = make_corpus_directory(tmp_path / "mine")
    (data / "lexicon.txt").unlink()
    assert "no lexicon" in check_data(data).refusal
    spelt = check_data(Source(kaldi=data, lexicon=LETTERS))
    assert (spelt.refusal, spelt.lexicon) == ("", "letters")
