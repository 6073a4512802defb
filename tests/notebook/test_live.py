"""The live view: reads each row once, redraws for new rows, reports errors, leaves a picture."""

import io
import json
import struct
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from fake_output import Output
from fake_runs import divergence_row, evaluate_row, fake_run, push_row, recovery_row
from matplotlib.image import imread

from workbench.figures.alarms import alarms
from workbench.figures.curves import point_marker
from workbench.figures.live_figure import busy_shares, draw_live, shown_measures
from workbench.figures.tail import Tail
from workbench.notebook import live
from workbench.notebook.background import Background
from workbench.notebook.components import components, components_html
from workbench.notebook.live import LiveView, attach
from workbench.notebook.screen import Screen
from workbench.settings import Settings, UserError
from workbench.storage.rows import EvaluateRow, Row
from workbench.storage.run import DIVERGENCE, DRIVER, Run

WAIT = 120.0  # seconds at most, for threads on a busy machine
PUSHES = 40  # of the run
PUSHES_OF_REPLICA_0 = 14  # among them

EVALUATION = replace(evaluate_row(5), seconds=99.0, epochs=9.0, updates=99)


@pytest.fixture
def run(data_folder: Path) -> Run:
    """A run that has not ended."""
    settings = Settings.of(criterion="mmi", replicas=3, clock="cost")
    return fake_run("r", settings, state="new")


def append_text(run: Run, process: str, text: str) -> None:
    """Appends to the rows of one process."""
    with open(run.folder / f"rows-{process}.jsonl", "a") as out:
        out.write(text)


def append_row(run: Run, process: str, row: Row) -> None:
    """Appends a row to those of one process."""
    append_text(run, process, json.dumps(row.to_dict()) + "\n")


def end(run: Run, state: str, error: str = "") -> None:
    """Ends the run in this state."""
    status = {"state": state, "pid": 0, "host": "x", "heartbeat": 0, "error": error}
    (run.folder / "status.json").write_text(json.dumps(status))


def size(png: bytes) -> tuple[int, int]:
    """Returns width and height from the header of a PNG."""
    return struct.unpack(">II", png[16:24])


def test_every_row_is_read_once(run: Run) -> None:
    """The second look reads what was added and nothing else; a torn line waits for its end."""
    tail = Tail(run)
    assert tail.read()
    assert tail.total["push"] == PUSHES
    assert not tail.read()

    line = json.dumps(EVALUATION.to_dict()) + "\n"
    append_text(run, "evaluator", line[:40])
    assert not tail.read()
    append_text(run, "evaluator", line[40:])
    assert tail.read()
    assert tail.total["evaluate"] == 6
    assert tail.evaluations[-1] == EVALUATION


def test_a_row_of_another_kind_is_named(run: Run) -> None:
    """A line that is no row of this package is a mistake that names the run, not a KeyError."""
    append_text(run, "evaluator", '{"kind":"evaluate","seconds":99,"wer":0.1}\n')
    with pytest.raises(UserError, match="r: damaged row"):
        Tail(run).read()


@pytest.mark.parametrize("piece", [1, 7, 1 << 20])
def test_rows_are_counted_alike_however_they_are_written(run, monkeypatch, piece) -> None:
    """A row is known by its beginning or taken apart, and pieces of files may end anywhere."""
    whole = Tail(run)
    whole.read()
    for path in run.row_files():
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        compact = [json.dumps(row, separators=(",", ":")) for row in lines]
        path.write_text("".join(f"{line}\n" for line in compact))
    monkeypatch.setattr("workbench.figures.tail.PIECE", piece)
    again = Tail(run)
    again.read()
    assert again.counts == whole.counts
    assert again.heard == whole.heard
    assert again.total == whole.total
    assert again.pushes == whole.pushes
    assert again.evaluations == whole.evaluations


def test_rows_cut_back_by_a_resume_are_forgotten(run: Run) -> None:
    """A run that resumes from a checkpoint cuts its files; the tail then holds what they hold."""
    tail = Tail(run)
    tail.read()
    path = run.folder / "rows-replica-0.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:2]))
    assert tail.read()
    assert tail.total["push"] == PUSHES - PUSHES_OF_REPLICA_0 + 2


@pytest.mark.slow
def test_a_recovery_is_seen(run: Run) -> None:
    """The rows of a run that went back and has grown again are read anew.

    The recovery is shown and counted.
    """
    view = LiveView(run)
    before = view.screen.png
    path = run.folder / "rows-replica-0.jsonl"
    first = json.loads(path.read_text().splitlines()[0])
    grown = [{**first, "seconds": 1000.0 + n} for n in range(60)]
    path.write_text("".join(json.dumps(row) + "\n" for row in grown))
    text = "worker 1 lost, back after 3.1 s from checkpoint 4"
    append_row(run, DRIVER, recovery_row(40.0, text))
    view.look()
    assert view.screen.png != before
    assert text in view.screen.line.value
    assert view.tail.total["push"] == PUSHES - PUSHES_OF_REPLICA_0 + 60
    assert view.tail.total["recovery"] == 1

    by_name = {component.name: component for component in components(view.tail)}
    assert by_name["replica 0"].done == {"push": 60}
    assert by_name["replica 0"].seconds == 1059
    assert "silent for" in components_html(list(by_name.values()), True)

    view.look()
    assert view.tail.total["push"] == PUSHES - PUSHES_OF_REPLICA_0 + 60


@pytest.mark.slow
def test_the_latest_return_is_told(run: Run) -> None:
    """Of returns for different causes the one that was last stands in the line."""
    view = LiveView(run)
    append_row(run, DIVERGENCE, divergence_row(30.0, "it diverged"))
    append_row(run, DRIVER, recovery_row(40.0, "a worker was lost"))
    view.look()
    assert [row.seconds for row in view.tail.returns] == [30.0, 40.0]
    assert "a worker was lost" in view.screen.line.value
    append_row(run, DIVERGENCE, divergence_row(50.0, "it diverged again"))
    view.look()
    assert "it diverged again" in view.screen.line.value


def test_components_are_listed_by_kind_and_number(run: Run) -> None:
    """Replicas come first, then decoders, then the evaluator; at rest none is silent."""
    tail = Tail(run)
    tail.read()
    names = [component.name for component in components(tail)]
    replicas = [f"replica {n}" for n in range(3)]
    decoders = [f"decoder {n}" for n in range(3)]
    assert names == [*replicas, *decoders, "evaluator"]
    html = components_html(components(tail), running=False)
    assert html.count("at rest") == 7
    assert "14 pushes" in html
    assert "nothing has been heard yet" in components_html([], running=True)


def test_memory_is_bounded(run: Run) -> None:
    """Of pushes the newest are kept, of evaluations all, and the total is known."""
    tail = Tail(run, most=10)
    tail.read()
    assert len(tail.pushes) == 10
    assert tail.total["push"] == PUSHES
    assert len(tail.evaluations) == 5


@pytest.mark.slow
def test_pictures_have_one_size_and_change_with_new_rows_only(run: Run) -> None:
    """Looking without new rows draws nothing; new rows make another picture of the same size."""
    view = LiveView(run)
    first = view.screen.png
    frames = view.frames
    assert view.look()
    assert view.frames == frames

    append_row(run, "evaluator", EVALUATION)
    assert view.look()
    assert view.screen.png != first
    assert size(view.screen.png) == size(first)
    assert view.screen.image.value == view.screen.png


@pytest.mark.slow
def test_it_follows_in_a_thread_and_freezes(
    run: Run, output: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread draws what is added, ends with the run, and leaves a plain picture."""
    monkeypatch.setattr(live, "LOOK_SECONDS", 0.01)
    view = LiveView(run)
    view.show()
    view.start()
    append_row(run, "evaluator", EVALUATION)
    deadline = time.monotonic() + WAIT

    while view.frames < 2 and time.monotonic() < deadline:
        time.sleep(0.02)

    assert view.frames >= 2
    assert output.updates == []

    end(run, "done")
    assert view.wait(WAIT)
    assert list(output.updates[-1]) == ["text/html", "image/png", "text/plain"]
    view.finish()
    assert "r: done" in view.screen.line.value


def test_a_cell_shows_a_run_once(run: Run, output: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    """`attach` as the last line of a cell, which displays its value too, makes one picture; another
    cell that displays the view makes another.
    """
    cell = 1
    monkeypatch.setattr("IPython.get_ipython", lambda: SimpleNamespace(execution_count=cell))
    end(run, "done")
    view = attach(run)
    shown = len(output.displays)
    assert shown > 0
    view._ipython_display_()
    assert len(output.displays) == shown
    cell = 2
    view._ipython_display_()
    assert len(output.displays) == 2 * shown


def test_a_task_in_the_background_can_be_stopped() -> None:
    """Stopping wakes a task that pauses and waits for its end; the next task may pause again."""
    background = Background("test")
    stopped: list[bool] = []
    for _ in range(2):
        background.start(lambda: stopped.append(background.pause(600)))
        assert background.running
        background.stop()
        assert not background.running

    assert stopped == [True, True]
    assert background.wait(0)


def test_errors_are_shown_in_the_view(run: Run) -> None:
    """A run that failed shows why, with markup as text; the view itself reports a damaged row."""
    end(run, "failed", "<b>disk full</b>")
    view = LiveView(run)
    assert "&lt;b&gt;disk full" in view.screen.line.value
    append_text(run, "evaluator", "no json\n")

    with pytest.raises(json.JSONDecodeError):
        view.follow()

    assert "JSONDecodeError" in view.screen.line.value
    assert view.error


def test_without_widgets_there_is_a_picture(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where ipywidgets is not installed, showing displays a PNG."""
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    end(run, "done")
    shown: list[dict] = []
    monkeypatch.setattr("IPython.display.display", lambda data, **how: shown.append(data))
    attach(run)
    assert list(shown[0]) == ["text/html", "image/png", "text/plain"]


def test_shares_of_time_are_of_the_time_that_is_known() -> None:
    """The shares of a process add up to the time since its first row; one row is not enough."""
    pushes = [
        ("replica 1", 100.0, 50.0),
        ("replica 1", 104.0, 1.0),
        ("replica 1", 110.0, 3.0),
        ("replica 0", 109.0, 0.0),
    ]
    table = pd.DataFrame(pushes, columns=["process", "seconds", "idle_seconds"])
    shares = busy_shares(table.assign(kind="push"))
    assert list(shares) == ["replica 1"]
    assert shares["replica 1"]["wait for frames"] == pytest.approx(40)
    assert sum(shares["replica 1"].values()) == 100


def test_alarms_report_rising_deletions() -> None:
    """Deletions that double raise an alarm, falling ones do not."""
    falling = [measured(deletions=share) for share in (0.6, 0.3, 0.1)]
    assert alarms(falling) == []
    assert "deletions run away: 10.0 → 35.0 %" in alarms([*falling, measured(deletions=0.35)])[0]


def measured(**values: float) -> EvaluateRow:
    """Returns an evaluation with these values."""
    row = evaluate_row(0)
    return replace(row, measured=replace(row.measured, **values))


def test_alarms_report_values_that_are_not_finite() -> None:
    """A criterion that is not finite raises an alarm, and so do refused gradients.

    Empty pushes do not.
    """
    assert "not a finite number" in alarms([measured(mmi=float("nan"))])[0]
    assert "not a finite number" in alarms([measured(criterion=float("inf"))])[0]
    push = replace(push_row(0, 0, 0), status="rejected")
    assert "1 gradients" in alarms([], [push, replace(push, batch=0)])[0]


def test_panels_show_the_criterion_that_is_trained(run: Run, data_folder: Path) -> None:
    """Cross entropy is followed by F_CE, a sequence criterion by F_MMI."""
    assert shown_measures(run) == ("mmi", "wer", "frame_error")
    assert shown_measures(fake_run("ce", Settings()))[0] == "ce"


def test_before_the_first_row_nothing_false_is_said(data_folder: Path) -> None:
    """A run with decoders and a clock, from which nothing was heard yet, has both."""
    fresh = fake_run("fresh", Settings.of(criterion="mmi", clock="cost"), state="new")
    for path in fresh.row_files():
        path.unlink()
    texts = [text.get_text() for ax in draw_live(Tail(fresh)).axes for text in ax.texts]
    assert "none decoded yet" in texts
    assert "nothing done yet" in texts


def test_many_points_have_no_marks() -> None:
    """A curve of 300 evaluations is a line; one of few has a mark at each."""
    assert point_marker(300) == ""
    assert point_marker(10) == "."


def test_an_empty_screen_has_the_size_of_its_pictures() -> None:
    """A white picture takes the place of the first one, so that the page does not jump."""
    screen = Screen(13, 6)
    pixels = imread(io.BytesIO(screen.image.value), format="png")
    assert pixels.shape[:2] == (6, 13)
    assert (pixels == 1).all()
    assert not screen.png  # a saved notebook keeps only what was drawn


@pytest.mark.slow
def test_epoch_share_and_time_left_are_shown(run: Run) -> None:
    """The line has the epoch, the share of training and, from what was seen, the time left."""
    view = LiveView(run)
    began = time.monotonic()
    reached = view.tail.evaluations[-1]
    assert (reached.epochs, reached.updates) == (2.0, 40)
    assert view.progress_text(began) == "epoch 2.00 of at most 10 (20%)"
    view.tail.total["push"] += 20
    later = view.progress_text(began + 1000.0)
    assert later == "epoch 3.00 of at most 10 (30%), about 1.9 h left"
    view.tail.total["push"] -= 20
    assert "left" not in view.progress_text(began + 1100.0)  # the run went back to a checkpoint


def test_before_the_first_measurement_nothing_is_claimed(data_folder: Path) -> None:
    """A run without measurements has no epoch and no time left."""
    fresh = fake_run("fresh", Settings(), state="new")
    for path in fresh.row_files():
        path.unlink()
    assert LiveView(fresh).progress_text(1.0) == "not measured yet"
