"""What ``workbench attach`` prints of a run that another process trains."""

import io
import json
from collections.abc import Callable

import pytest
from fake_runs import divergence_row, fake_run, recovery_row

from workbench.cli import attach
from workbench.settings import Settings
from workbench.storage.rows import Row
from workbench.storage.run import Run

pytestmark = pytest.mark.usefixtures("data_folder")


def append(run: Run, row: Row) -> None:
    """Append a row to those of its process."""
    with open(run.row_file(row.process), "a") as out:
        out.write(json.dumps(row.to_dict()) + "\n")


def test_each_return_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Returns are told as they come, whatever their cause, and those before attaching are not."""
    run = fake_run("r", Settings(), state="new")
    append(run, divergence_row(10.0, "diverged at 10 s"))
    steps: list[Callable[[], object]] = [
        lambda: append(run, recovery_row(20.0, "worker lost at 20 s")),
        lambda: append(run, divergence_row(30.0, "diverged at 30 s")),
        lambda: append(run, recovery_row(40.0, "worker lost at 40 s")),
        lambda: fake_run("r", Settings(), steps=0),
    ]
    monkeypatch.setattr(attach.time, "sleep", lambda seconds: steps.pop(0)())

    out = io.StringIO()
    attach.follow(run, out)
    told = [line for line in out.getvalue().splitlines() if " at " in line]
    assert told == ["worker lost at 20 s", "diverged at 30 s", "worker lost at 40 s"]
