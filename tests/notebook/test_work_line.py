"""How far long cells are, and what they say in the end."""

import json
import os
import socket
import threading
import time
from pathlib import Path

import pytest
from fake_runs import fake_run
from IPython.core.interactiveshell import InteractiveShell

from workbench.notebook.calls import unsuccessful_cells
from workbench.notebook.cell_pictures import run_picture, sweep_picture
from workbench.notebook.work_line import GrowingPicture, WorkLine, work_line, work_text
from workbench.settings import Settings, UserError
from workbench.sweeping import Sweep, plan_cells, read_results
from workbench.sweeping.known_runs import run_name


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def line_after(first: int, second: int) -> tuple[WorkLine, list[str]]:
    """A line of 100 units of training that was told of these, ten seconds apart; what it showed."""
    clock = Clock()
    shown: list[str] = []
    line = WorkLine(shown.append, clock)
    line.report(first, 100, "training")
    clock.now = 10.0
    line.report(second, 100, "training")
    return line, shown


def test_the_line_says_how_far_and_how_long() -> None:
    """Share, units and time so far; the time left follows from what was done in that time."""
    assert work_text(25, 100, "training", 10.0, 25) == (
        "training: 25 % (25 of 100) in 10 s, about 30 s left"
    )
    assert "left" not in work_text(25, 100, "training", 0.1, 25)
    assert "left" not in work_text(25, 100, "training", 10.0, 0)
    assert "left" not in work_text(100, 100, "training", 10.0, 100)


def test_work_that_ends_early_leaves_no_time_left() -> None:
    """A training ends when its curve is flat: the line then says so, and promises no more."""
    line, shown = line_after(0, 25)
    line.end()
    assert "about 30 s left" in shown[-2]
    assert "training: 25 % (25 of 100) in 10 s, where it ended" in shown[-1]


def test_what_was_done_before_does_not_count_as_fast() -> None:
    """Work that is resumed at 90 % has its time left from the new part alone."""
    _, shown = line_after(90, 95)
    assert "about 10 s left" in shown[-1]


def test_the_line_is_not_drawn_too_often() -> None:
    """Reports in quick succession are shown twice a second, the last one always."""
    clock = Clock()
    shown: list[str] = []
    line = WorkLine(shown.append, clock)
    for done in range(1001):
        clock.now = done / 1000
        line.report(done, 1000, "training <b>")
    assert 2 <= len(shown) <= 4
    assert "1000 of 1000" in shown[-1]
    assert "&lt;b&gt;" in shown[-1]
    line.end()
    assert "<progress" in shown[-2]
    assert "<progress" not in shown[-1]


def test_outside_notebooks_there_is_no_line(capsys: pytest.CaptureFixture[str]) -> None:
    """A script gets no output from calls that notebooks use."""
    with work_line() as progress:
        progress(1, 2, "training")
    assert capsys.readouterr().out == ""


def test_an_error_in_a_cell_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """A mistake of the user is shown without the way through our code."""
    shell = InteractiveShell()
    shell.user_ns["fail"] = UserError("batch=0: at least 1")
    shell.run_cell("raise fail")
    lines = capsys.readouterr().out.strip().splitlines()
    assert [line for line in lines if line] == ["UserError: batch=0: at least 1"]


def test_cells_without_result_are_named(data_folder: Path) -> None:
    """A sweep in a notebook says which cells failed or diverged and why; else nothing."""
    sweep = Sweep("s", "c", preset="tiny", axes={"batch": [8, 16, 32]}).save()
    states = ["done", "failed", "diverged"]
    for planned, state in zip(plan_cells(sweep), states, strict=True):
        name = f"{run_name(sweep, planned.cell)}-0"
        error = f"why {state}" if state != "done" else ""
        fake_run(name, planned.cell.settings, state=state, error=error)
    first, *lines = unsuccessful_cells(read_results(sweep))
    assert first == "2 of 3 cells have no result:"
    assert ["batch=16" in lines[0], "why failed" in lines[0]] == [True, True]
    assert "diverged" in lines[1]

    good = Sweep("g", "c", preset="tiny").save()
    fake_run(f"{run_name(good, good.cells()[0])}-0", Settings())
    assert unsuccessful_cells(read_results(good)) == []


class Handle:
    """An output whose contents are kept, and that says when it gets one."""

    def __init__(self) -> None:
        self.shown: list[str] = []
        self.changed = threading.Event()

    def update(self, data: dict[str, str], raw: bool) -> None:
        """Changes the content, as IPython's handle does."""
        assert raw
        self.shown.append(data["text/html"])
        self.changed.set()


def test_a_picture_grows_in_the_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is drawn in a thread into room that the cell has made, and goes with the work's end."""
    handle = Handle()
    monkeypatch.setattr("IPython.display.display", lambda *shown, **how: handle)
    picture = GrowingPicture(lambda: b"png", period=0.01)
    picture.begin()
    assert handle.changed.wait(20)
    picture.end()
    assert "<img" in handle.shown[0]
    assert handle.shown[-1] == ""


def test_a_picture_that_cannot_be_drawn_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that begins may lack files: that is told in place of the picture."""

    def fail() -> bytes:
        raise FileNotFoundError("no <status> yet")

    handle = Handle()
    monkeypatch.setattr("IPython.display.display", lambda *shown, **how: handle)
    picture = GrowingPicture(fail, period=0.01)
    picture.begin()
    assert handle.changed.wait(20)
    picture.end()
    assert "no &lt;status&gt; yet" in handle.shown[0]


def test_pictures_of_work_are_those_of_panels(data_folder: Path) -> None:
    """A run at work is drawn as the live view does, a sweep as its matrix; before, nothing is."""
    draw = run_picture("r")
    assert draw() == b""
    fake_run("r-00000000", Settings())
    assert draw() == b""  # it has ended
    here = {"state": "running", "pid": os.getpid(), "host": socket.gethostname()}
    status = data_folder / "runs" / "r-00000000" / "status.json"
    status.write_text(json.dumps({**here, "heartbeat": time.time(), "error": ""}))
    assert draw()[:4] == b"\x89PNG"
    sweep = Sweep("s", "c", "tiny", axes={"shuffling": ["none", "full"]})
    assert sweep_picture(sweep)()[:4] == b"\x89PNG"
