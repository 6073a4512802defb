"""The sweep panel: edits a sweep, says what it takes, fills its matrix in, and shows the curves of what is clicked."""

import json
import os
import socket
from pathlib import Path

import pytest
from fake_runs import fake_run

from workbench.notebook.panels import sweep
from workbench.notebook.panels.sweep import SweepPanel, sweep_panel
from workbench.settings import UserError
from workbench.storage.run import home
from workbench.sweeping import Sweep, ask_to_stop, estimate, find_sweep, plan
from workbench.sweeping.plan import record_path, run_name


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder of its own for every test."""
    monkeypatch.setenv("WORKBENCH_DATA", str(tmp_path))
    return tmp_path


class Launched:
    """A process that has carried nothing out and has ended."""

    running = False

    def last_lines(self) -> str:
        """As `launch.Launched`."""
        return "the end"


@pytest.fixture
def panel(monkeypatch: pytest.MonkeyPatch) -> SweepPanel:
    """A panel on two ways of shuffling with two seeds, started, without anything that would train."""
    monkeypatch.setattr(
        sweep, "launch_sweep", lambda sweep, jobs, retry: sweep.save() and Launched()
    )
    made = sweep_panel("c", "tiny", "s")
    made.seeds.value = "0, 1"
    made.start()
    made.view._thread.join(20)
    return made


def end(number: int, wrong: int) -> str:
    """Cell ``number`` of the sweep has ended; its id."""
    sweep = find_sweep("s")
    cell = plan(sweep)[number].cell
    fake_run(f"{run_name(sweep, cell)}-0", cell.settings, wrong=wrong)
    return cell.id


def test_the_sweep_panel_edits_a_sweep() -> None:
    """Widgets and `Sweep` say the same, both ways; what cannot be is refused."""
    panel = sweep_panel("c", "tiny", "s", epochs=1.0)
    panel.axes["shuffling"].value = ("none", "full")
    panel.axes["replicas"].value = "1, 10"
    panel.more.value, panel.seeds.value = "batch=8,16", "0, 1, 2"
    sweep = panel.value()
    axes = {"shuffling": ["none", "full"], "replicas": [1, 10], "batch": [8, 16]}
    assert (
        sweep == Sweep("s", "c", "tiny", {"epochs": 1.0}, axes, seeds=[0, 1, 2])
        and len(sweep.cells()) == 24
    )
    assert panel.count.value == "2 shuffling × 2 replicas × 2 batch × 3 seeds = <b>24 runs</b>"
    panel.copy()
    assert "'replicas': [1, 10]" in panel.python.value
    with pytest.raises(UserError, match="no such setting: batsch"):
        panel.more.value = "batsch=1"
    assert "batsch" in panel.status.line.value


def test_a_recipe_fills_the_widgets() -> None:
    """A ready-made sweep is shown with its question, axes, seeds and points, and is still known by its command."""
    panel = sweep_panel("c", "tiny", "s")
    panel.recipe.value = "e1-shuffling"
    assert (
        panel.axes["shuffling"].value == ("none", "on-the-fly", "full")
        and "shuffle" in panel.question.value
    )
    assert (
        panel.value().command()
        == "workbench sweep c --recipe e1-shuffling --size watch --name e1-shuffling-watch-c"
    )
    panel.size.value = "laptop"
    assert panel.name.value == "e1-shuffling-laptop-c" and len(panel.value().cells()) == 9
    panel.recipe.value = "e2-replicas"
    assert "replicas=50" in panel.question.value and "3 points" in panel.count.value


def test_the_matrix_fills_in(panel: SweepPanel) -> None:
    """A square gets its value, its seeds and its colour as its runs end; no button is made anew for that."""
    view, squares = panel.view, dict(panel.view.grid.squares)
    assert "4 missing" in view.matrix.line.value and "the end" in panel.status.log.value
    assert [b.description for b in squares.values()] == ["2 missing"] * 2
    before = view.matrix.png
    end(0, wrong=1), end(2, wrong=3)
    view.look(panel.value())
    assert view.matrix.png != before and "2 done" in view.matrix.line.value
    assert view.grid.squares == squares
    first, second = squares.values()
    assert first.description == "6.2\n1 of 2 seeds\nmissing" and second.description.startswith(
        "18.8"
    )
    assert (
        first.style.button_color != second.style.button_color
        and second.style.text_color == "#ffffff"
    )
    end(1, wrong=2)
    view.look(panel.value())
    assert first.description.endswith("2 of 2 seeds") and "missing" not in first.description


def test_a_click_shows_curves_and_details(panel: SweepPanel) -> None:
    """A square's curves are those of its runs, a row's of its squares; seeds apart, a square is one run."""
    view, cell = panel.view, end(0, wrong=1)
    end(2, wrong=3)
    view.look(panel.value())
    everything = view.curves.png
    first, second = view.grid.squares.values()
    first.click()
    assert view.chosen[0] == cell and len(view.chosen) == 2
    alone = view.curves.png
    assert (
        alone != everything
        and "shuffling=none" in view.detail.value
        and "shuffling=on-the-fly" not in view.detail.value
    )
    second.click()
    assert view.curves.png != alone and "shuffling=on-the-fly" in view.detail.value
    assert first.layout.border != second.layout.border
    view.seeds.value = "apart"
    assert len(view.grid.squares) == 4
    view.measure.value = "test_wer"
    assert "test word error rate" in view.grid.legend.value


def test_a_cell_at_work_says_how_far_it_is(panel: SweepPanel) -> None:
    """While a process trains or tests a cell, it runs, with the share of its epochs; once that is gone, no longer."""
    sweep, number = find_sweep("s"), 0
    cell = plan(sweep)[number].cell
    record_path(sweep, cell).write_text(
        json.dumps({"pid": os.getpid(), "host": socket.gethostname()})
    )
    assert (plan(sweep)[number].state, plan(sweep)[number].reached) == ("running", "starting")
    fake_run(f"{run_name(sweep, cell)}-0", cell.settings, state="running")
    assert plan(sweep)[number].reached == "at 100%: 30.0"
    fake_run(f"{run_name(sweep, cell)}-0", cell.settings)
    assert plan(sweep)[number].reached == "testing"
    record_path(sweep, cell).write_text(
        json.dumps({"pid": 2**22 + 1, "host": socket.gethostname()})
    )
    assert plan(sweep)[number].state == "done"


def test_stop_and_cancel_leave_their_word(panel: SweepPanel) -> None:
    """The panel asks whoever carries the sweep out, in whichever process, through the sweep's folder."""
    panel.stop()
    assert (home() / "sweeps/s/stop").read_text() == "after current"
    panel.cancel()
    assert (home() / "sweeps/s/stop").read_text() == "now"
    ask_to_stop(find_sweep("s"))
    assert (home() / "sweeps/s/stop").read_text() == "after current"


@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnhandledThreadExceptionWarning"
)  # for Jupyter's log
def test_the_estimate_does_not_hold_the_notebook(panel: SweepPanel) -> None:
    """It is made in a thread, and what goes wrong there is said: here there is no corpus."""
    with pytest.raises(UserError, match="c"):
        estimate(panel.value())
    panel.status.say("")
    panel.estimate()
    panel.estimating.join(20)
    assert "UserError" in panel.status.line.value
