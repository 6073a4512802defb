"""A baseline in a cell: one source, a picture of each training, and the report at the end."""

import os
import socket
from dataclasses import asdict
from pathlib import Path

import pytest
from fake_runs import fake_run

from workbench.notebook.baseline import BaselineCell, baseline
from workbench.prepare.reading import guess_source
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
    assert cell._background.wait(20.0)
    assert cell.view is not None
    assert cell.view.run.name == run.name
    screen = cell.view.screen
    cell.finish()
    assert screen.png
    assert cell.view is None


@pytest.mark.slow
def test_a_baseline_in_a_cell(tiny_home: Path, short_rehearsals: None) -> None:
    """From a corpus that exists to a report, with settings given as arguments, rates too."""
    frame = {"epochs": 2.0, "learning_rate": 0.05}
    sequence = {"epochs": 0.5, "learning_rate": 0.002}
    done = baseline("tiny", hidden_units=16, frame=frame, sequence=sequence)
    assert done.report.exists()
    assert [run.settings.model.hidden_units for run in done.runs] == [16, 16]
    assert [run.settings.updates.learning_rate for run in done.runs] == [0.05, 0.002]
