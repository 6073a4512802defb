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


class PretendTerminal(io.StringIO):
    """A screen that says that it is one."""

    def isatty(self) -> bool:
        """Return that it is a terminal."""
        return True


def follow_quietly(out: io.StringIO, seconds: int, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Follow a run that writes nothing for so long, and then a row; return the lines."""
    run = fake_run("r", Settings(), state="new", steps=0)
    now = [0.0]

    def sleep(period: float) -> None:
        now[0] += 1.0
        if now[0] == seconds:
            append(run, recovery_row(20.0, "no process has gone on: back from checkpoint 1"))
        if now[0] == seconds + attach.QUIET_SECONDS + 1:
            fake_run("r", Settings(), steps=0)

    monkeypatch.setattr(attach.time, "sleep", sleep)
    monkeypatch.setattr(attach.time, "monotonic", lambda: now[0])
    attach.follow(run, out)
    return out.getvalue().replace(attach.CLEAR_LINE, "\n").splitlines()


def test_a_log_says_that_a_run_stands_still(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told at once, and whenever it has lasted twice as long, and anew after a row."""
    lines = follow_quietly(io.StringIO(), 45, monkeypatch)
    assert [line for line in lines if "nothing new" in line] == [
        "0 updates, nothing new for 10 s",
        "0 updates, nothing new for 20 s",
        "0 updates, nothing new for 40 s",
        "0 updates, nothing new for 10 s",
    ]
    assert lines.index("no process has gone on: back from checkpoint 1") == 5


def test_a_terminal_counts_for_how_long_a_run_stands_still(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last line says so, from ten seconds on, until the run goes on."""
    lines = follow_quietly(PretendTerminal(), 13, monkeypatch)
    told = [line for line in lines if line.startswith("0 updates")]
    assert told[8:15] == [
        "0 updates",
        "0 updates",
        "0 updates, nothing new for 10 s",
        "0 updates, nothing new for 11 s",
        "0 updates, nothing new for 12 s",
        "0 updates",
        "0 updates",
    ]
