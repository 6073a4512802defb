"""The sweep panel: edits and estimates a sweep, fills in its matrix, shows clicked curves."""

import json
import os
import socket
import threading
from dataclasses import replace

import ipywidgets as W
import pytest
from fake_runs import fake_run

from workbench.notebook import links
from workbench.notebook.links import Server
from workbench.notebook.panels import sweep as sweep_module
from workbench.notebook.panels import sweep_view
from workbench.notebook.panels.sweep import SweepPanel, sweep_panel
from workbench.notebook.panels.sweep_view import detail_rows, groups_of, short_labels
from workbench.reports.report import write_report
from workbench.settings import UserError
from workbench.storage.home import data_folder
from workbench.sweeping import Sweep, estimate_sweep, find_sweep, plan_cells, request_stop
from workbench.sweeping.known_runs import run_name
from workbench.sweeping.plan import record_path
from workbench.sweeping.price import Price

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("data_folder")]
WAIT = 120.0  # seconds at most, for threads on a busy machine


class Ended:
    """A launched process that has run nothing and has ended."""

    running = False

    def last_lines(self) -> str:
        """Returns its output, as `Launched` does."""
        return "the end"


@pytest.fixture
def panel(monkeypatch: pytest.MonkeyPatch) -> SweepPanel:
    """A panel on two ways of shuffling with two seeds, started, though nothing trains."""

    def launch_nothing(sweep: Sweep, jobs: int, retry: bool) -> Ended:
        sweep.save()
        return Ended()

    monkeypatch.setattr(sweep_module, "launch_sweep", launch_nothing)
    made = sweep_panel("c", "tiny", "s")
    made.seeds.value = "0, 1"
    made.start()
    assert made.wait(WAIT)

    return made


def end_cell(number: int, wrong: int) -> str:
    """Ends cell ``number`` of the sweep; returns its id."""
    sweep = find_sweep("s")
    cell = plan_cells(sweep)[number].cell
    fake_run(f"{run_name(sweep, cell)}-0", cell.settings, wrong=wrong)
    return cell.id


def test_the_sweep_panel_edits_a_sweep() -> None:
    """The widgets and the `Sweep` agree, both ways; what is no setting is refused."""
    panel = sweep_panel("c", "tiny", "s", epochs=1.0)
    panel.axes["shuffling"].value = ("none", "full")
    panel.axes["replicas"].value = "1, 10"
    panel.more.value = "batch=8,16"
    panel.seeds.value = "0, 1, 2"
    sweep = panel.value()
    axes = {"shuffling": ["none", "full"], "replicas": [1, 10], "batch": [8, 16]}
    assert sweep == Sweep("s", "c", "tiny", {"epochs": 1.0}, axes, seeds=[0, 1, 2])
    assert len(sweep.cells()) == 24
    assert panel.count.value == "2 shuffling × 2 replicas × 2 batch × 3 seeds = <b>24 runs</b>"

    panel.copy()
    assert "'replicas': [1, 10]" in panel.python.value
    with pytest.raises(UserError, match="no such setting: batsch"):
        panel.more.value = "batsch=1"

    assert "batsch" in panel.status.line.value
    panel.more.value = "batch=8,16"
    with pytest.raises(UserError, match="seed='one'"):
        panel.seeds.value = "0, one"

    assert "must be a whole number" in panel.status.line.value
    panel.seeds.value = "0, 1, 2"
    with pytest.raises(UserError, match="write field=v1,v2"):
        panel.more.value = "batch"


def test_a_recipe_fills_the_widgets() -> None:
    """A ready-made sweep is shown with question, axes, seeds and points, and keeps its command."""
    panel = sweep_panel("c", "tiny", "s")
    panel.recipe.value = "e1-shuffling"
    assert panel.axes["shuffling"].value == ("none", "on-the-fly", "full")
    assert "shuffle" in panel.question.value
    command = "workbench sweep c --recipe e1-shuffling --size watch --name e1-shuffling-watch-c"
    assert panel.value().command() == command

    panel.size.value = "laptop"
    assert panel.name.value == "e1-shuffling-laptop-c"
    assert len(panel.value().cells()) == 9
    panel.recipe.value = "e2-replicas"
    assert "replicas=50" in panel.question.value
    assert "3 points" in panel.count.value


def test_the_matrix_fills_in(panel: SweepPanel) -> None:
    """A square gets value, seeds and colour as its runs end; no button is made anew for that."""
    view = panel.view
    squares = dict(view.grid.squares)
    assert "4 missing" in view.matrix.line.value
    assert "the end" in panel.status.log.value
    assert [button.description for button in squares.values()] == ["2 missing"] * 2
    assert "nothing has ended yet" in view.grid.legend.value

    before = view.matrix.png
    end_cell(0, wrong=1)
    end_cell(2, wrong=3)
    view.look(panel.value())
    assert view.matrix.png != before
    assert "2 done" in view.matrix.line.value
    assert view.grid.squares == squares
    first, second = squares.values()
    assert first.description == "6.2\n1 of 2 seeds\nmissing"
    assert second.description.startswith("18.8")
    assert first.style.button_color != second.style.button_color
    assert second.style.text_color == "#ffffff"
    assert "6.2" in view.grid.legend.value
    assert "linear-gradient(to right, #" in view.grid.legend.value

    end_cell(1, wrong=2)
    view.look(panel.value())
    assert first.description.endswith("2 of 2 seeds")
    assert "missing" not in first.description


@pytest.mark.slow
def test_a_click_shows_curves_and_details(panel: SweepPanel) -> None:
    """A square shows the curves of its runs; with seeds apart, a square is one run."""
    view = panel.view
    cell = end_cell(0, wrong=1)
    end_cell(2, wrong=3)
    view.look(panel.value())
    everything = view.curves.png
    assert view.detail.value == ""

    first, second = view.grid.squares.values()
    first.click()
    assert view.chosen[0] == cell
    assert len(view.chosen) == 2
    alone = view.curves.png
    assert alone != everything
    assert "shuffling=none" in view.detail.value
    assert "shuffling=on-the-fly" not in view.detail.value

    second.click()
    assert view.curves.png != alone
    assert "shuffling=on-the-fly" in view.detail.value
    assert first.layout.border != second.layout.border

    view.seeds.value = "apart"
    assert len(view.grid.squares) == 4
    view.measure.value = "test_wer"
    assert "test word error rate" in view.grid.legend.value


def test_a_report_on_clicked_runs_is_one_click_away(
    panel: SweepPanel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The button works once a square with runs is chosen; the table then links the report."""
    server = Server("/", data_folder().resolve())
    for module in (links, sweep_view):
        monkeypatch.setattr(module, "find_server", lambda: server)
    view = panel.view
    end_cell(0, wrong=1)
    view.look(panel.value())
    assert view.report_button.disabled
    next(iter(view.grid.squares.values())).click()
    assert not view.report_button.disabled
    assert "report</a>" not in view.detail.value
    view.report_button.click()
    assert list((data_folder() / "reports").glob("*.html"))
    assert "<a " in panel.status.line.value
    assert "report</a>" in view.detail.value
    assert 'href="/files/reports/' in view.detail.value


def test_a_table_holds_no_report(panel: SweepPanel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing serves a report it is not put into each row; the server is looked for once."""
    asked: list[None] = []
    monkeypatch.setattr(sweep_view, "find_server", lambda: asked.append(None))
    for number in (0, 1):
        end_cell(number, wrong=1)
    view = panel.view
    view.look(panel.value())
    next(iter(view.grid.squares.values())).click()
    for cell in plan_cells(panel.value()):
        if cell.run is not None:
            write_report([cell.run])
    asked.clear()
    view.draw()
    assert len(asked) == 1
    assert "base64" not in view.detail.value
    assert "report</a>" not in view.detail.value


def test_buttons_of_a_sweep_that_would_do_nothing_are_disabled(panel: SweepPanel) -> None:
    """Nothing runs, so nothing can be stopped; nothing failed, so nothing can be retried."""
    assert panel.stop_button.disabled
    assert panel.cancel_button.disabled
    assert panel.retry_button.disabled
    assert panel.report_button.disabled
    end_cell(0, wrong=1)
    panel.view.look(panel.value())
    assert not panel.report_button.disabled
    assert not panel.resume_button.disabled
    sweep = find_sweep("s")
    record_path(sweep, plan_cells(sweep)[1].cell).write_text(json.dumps({"error": "boom"}))
    panel.view.look(panel.value())
    assert not panel.retry_button.disabled


def test_a_sweep_that_runs_cannot_be_started_again(panel: SweepPanel) -> None:
    """Start, Resume and Retry wait until it rests; what Start has said stays until a run runs."""
    sweep = find_sweep("s")
    path = record_path(sweep, plan_cells(sweep)[0].cell)
    buttons = (panel.start_button, panel.resume_button, panel.retry_button)
    panel.start()
    assert panel.wait(WAIT)
    assert "not all was run" in panel.status.line.value
    assert not panel.start_button.disabled

    panel.starting = True
    panel.status.show_message("starting 4 runs")
    panel.view.look(panel.value())
    assert "starting 4 runs" in panel.status.line.value
    path.write_text(json.dumps({"pid": os.getpid(), "host": socket.gethostname()}))
    panel.view.look(panel.value())
    assert "starting" not in panel.status.line.value
    assert all(each.disabled for each in buttons)
    assert not panel.stop_button.disabled
    path.unlink()
    panel.view.look(panel.value())
    assert not panel.start_button.disabled


def test_what_all_runs_share_is_shown() -> None:
    """Corpus, preset and settings stand in the panel, and Copy opens the box that it fills."""
    panel = sweep_panel("c", "tiny", "s", clock="cost")
    for shared in ("corpus=c", "preset=tiny", "clock=cost"):
        assert shared in panel.fixed.value
    assert panel.code.selected_index is None
    panel.copy()
    assert panel.code.selected_index == 0


def test_labels_of_curves_hold_what_differs() -> None:
    """Words that all labels share are left out; a single label is kept as it is."""
    long = {"batch=8 shuffling=none, seed=1": [], "batch=8 shuffling=full, seed=1": []}
    assert list(short_labels(long)) == ["shuffling=none", "shuffling=full"]
    assert list(short_labels({"batch=8": []})) == ["batch=8"]
    assert short_labels({}) == {}


def test_curves_of_seeds_are_named_by_their_seed(panel: SweepPanel) -> None:
    """With seeds apart, a label says that its number is a seed."""
    for number in (0, 1):
        end_cell(number, wrong=1)
    groups = short_labels(groups_of(plan_cells(panel.value())[:2], apart=True))
    assert list(groups) == ["seed=0", "seed=1"]


def test_a_click_while_the_picture_is_frozen_is_not_lost(
    panel: SweepPanel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sweep that has ended leaves a plain picture; a click at that moment makes it live again."""
    view = panel.view
    cell = end_cell(0, wrong=1)
    done = []

    def freeze() -> None:
        clicking.start()
        clicking.join(1.0)  # enough for a click that nothing holds back
        done.append("frozen")

    clicking = threading.Thread(target=view.choose, args=([cell],))
    monkeypatch.setattr(view.curves, "freeze", freeze)
    monkeypatch.setattr(view.curves, "thaw", lambda: done.append("live"))
    view.watch(panel.value())
    assert view.wait(WAIT)
    clicking.join(WAIT)
    assert done == ["frozen", "live"]


def test_any_column_is_drawn_against_any(panel: SweepPanel) -> None:
    """What can be drawn is offered once it was measured; a choice survives what comes later."""
    view = panel.view
    end_cell(0, wrong=1)
    view.look(panel.value())
    curves = view.curves.png
    chart = view.chart
    assert chart.columns.layout.display == "none"
    every = [*all_widgets(panel.widget), *all_widgets(chart.widget)]
    shown = [w for w in every if getattr(w, "layout", None) is not None]
    hidden = [w for w in shown if w.layout.display == "none"]
    assert hidden == [chart.columns]  # a layout that is shared would hide the buttons too
    chart.kind.value = "any column against any"
    assert view.curves.png != curves
    assert chart.columns.layout.display == ""
    assert chart.x.value == "shuffling"
    offered = [name for _, name in chart.x.options]
    assert {"shuffling", "seed", "seconds"} <= set(offered)

    chart.x.value = "seconds"
    chart.y.value = "frame_error"
    drawn = view.curves.png
    end_cell(2, wrong=3)
    view.look(panel.value())
    assert (chart.x.value, chart.y.value) == ("seconds", "frame_error")
    assert view.curves.png != drawn


def all_widgets(widget: W.Widget) -> list[W.Widget]:
    """Returns a widget and everything in it."""
    inside = [each for child in getattr(widget, "children", ()) for each in all_widgets(child)]
    return [widget, *inside]


def test_the_picture_can_be_zoomed(panel: SweepPanel) -> None:
    """The same picture appears below as a page with tools, and goes at the second click."""
    pytest.importorskip("bokeh")
    view = panel.view
    end_cell(0, wrong=1)
    view.look(panel.value())
    assert view.chart.zoomed.value == ""
    view.chart.zoom.value = True
    assert "<iframe srcdoc=" in view.chart.zoomed.value
    view.chart.kind.value = "any column against any"
    assert "seed 0" in view.chart.zoomed.value
    view.chart.zoom.value = False
    assert view.chart.zoomed.value == ""


def test_a_table_has_no_empty_columns(panel: SweepPanel) -> None:
    """A cause stands there once something has failed; a time is said as a person says it."""
    end_cell(0, wrong=1)
    (done, *_) = plan_cells(panel.value())
    done = replace(done, price=Price(seconds=2.4))
    (row,) = detail_rows([done])
    assert "cause" not in row
    assert "report" not in row
    assert row["time"] == "2 s"

    failed = replace(done, error="ValueError: boom")
    assert [row["cause"] for row in detail_rows([done, failed])] == ["", "ValueError: boom"]
    assert detail_rows([]) == []


def test_a_cell_at_work_shows_how_far_it_is(panel: SweepPanel) -> None:
    """While a process works on a cell, it is running, with its share of epochs or testing."""
    sweep = find_sweep("s")
    cell = plan_cells(sweep)[0].cell
    name = f"{run_name(sweep, cell)}-0"
    here = {"pid": os.getpid(), "host": socket.gethostname()}
    record_path(sweep, cell).write_text(json.dumps(here))
    assert plan_cells(sweep)[0].state == "running"
    assert plan_cells(sweep)[0].reached == "starting"

    fake_run(name, cell.settings, state="running")
    assert plan_cells(sweep)[0].reached == "at 100%: 30.0"
    fake_run(name, cell.settings)
    assert plan_cells(sweep)[0].reached == "testing"

    gone = {"pid": 2**22 + 1, "host": socket.gethostname()}
    record_path(sweep, cell).write_text(json.dumps(gone))
    assert plan_cells(sweep)[0].state == "done"


def test_stop_and_cancel_ask_through_the_folder(panel: SweepPanel) -> None:
    """The panel asks the process that runs the sweep through the sweep's folder."""
    stop_file = data_folder() / "sweeps/s/stop"
    panel.stop()
    assert stop_file.read_text() == "after current"
    panel.cancel()
    assert stop_file.read_text() == "now"
    request_stop(find_sweep("s"))
    assert stop_file.read_text() == "after current"


# Jupyter logs what the thread of a panel raises.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_the_estimate_does_not_hold_the_notebook(panel: SweepPanel) -> None:
    """It is made in a thread, and what goes wrong there is shown: here there is no corpus."""
    with pytest.raises(UserError, match="c"):
        estimate_sweep(panel.value())
    panel.status.show_message("")
    panel.estimate()
    assert panel.wait(WAIT)
    assert "UserError" in panel.status.line.value
