"""The live view: reads each row once, redraws when there is news, says what is wrong, and leaves a plain picture."""

import io
import json
import struct
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from fake_runs import fake_run
from matplotlib.image import imread

from workbench.figures.alarms import alarms
from workbench.figures.live_figure import busy_shares
from workbench.figures.tail import Tail
from workbench.notebook import live
from workbench.notebook.components import components, components_html
from workbench.notebook.live import LiveView, attach
from workbench.notebook.screen import Screen
from workbench.settings import Settings
from workbench.storage.run import Run


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A run that is going on."""
    monkeypatch.setenv("WORKBENCH_DATA", str(tmp_path))
    made = fake_run("r", Settings.of(criterion="mmi", replicas=3, clock="cost"), state="new")
    return made


def add(run: Run, process: str, text: str) -> None:
    """Append to one of the run's row files."""
    with open(run.folder / f"rows-{process}.jsonl", "a") as out:
        out.write(text)


def end(run: Run, state: str, error: str = "") -> None:
    """The run ends."""
    (run.folder / "status.json").write_text(
        json.dumps({"state": state, "pid": 0, "host": "x", "heartbeat": 0, "error": error})
    )


def size(png: bytes) -> tuple[int, int]:
    """Width and height in the header of a PNG."""
    return struct.unpack(">II", png[16:24])


def test_every_row_is_read_once(run: Run) -> None:
    """The second look reads what was added and nothing else; a torn line waits for its end."""
    tail = Tail(run)
    assert tail.read() and tail.total["push"] == 40 and not tail.read()
    add(run, "evaluator", '{"kind":"evaluate","seconds":99,')
    assert not tail.read()
    add(run, "evaluator", '"wer":0.1}\n')
    assert tail.read() and tail.total["evaluate"] == 6 and tail.rows["evaluate"][-1]["wer"] == 0.1


def test_rows_cut_back_by_a_resume_are_forgotten(run: Run) -> None:
    """A run that goes on from a checkpoint cuts its files; the tail then holds what they hold."""
    tail = Tail(run)
    tail.read()
    path = run.folder / "rows-replica-0.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:2]))
    assert tail.read() and tail.total["push"] == 40 - 14 + 2


def test_a_recovery_is_seen(run: Run) -> None:
    """A run that went back and has grown again since is read anew; when and why is said, drawn, and counted."""
    view = LiveView(run)
    before, path = view.screen.png, run.folder / "rows-replica-0.jsonl"
    row = json.loads(path.read_text().splitlines()[0])
    path.write_text(
        "".join(json.dumps({**row, "seconds": 1000 + n, "and": "longer"}) + "\n" for n in range(60))
    )
    text = "worker 1 lost, back after 3.1 s from checkpoint 4"
    recovery = {
        "process": "driver",
        "seconds": 40.0,
        "kind": "recovery",
        "epochs": 1.0,
        "updates": 9,
        "text": text,
    }
    add(run, "driver", json.dumps(recovery) + "\n")
    view.look()
    assert view.screen.png != before and text in view.screen.line.value
    assert view._tail.total["push"] == 40 - 14 + 60 and view._tail.total["recovery"] == 1
    by_name = {c.name: c for c in components(view._tail)}
    assert by_name["replica 0"].done == {"push": 60} and by_name["replica 0"].seconds == 1059
    assert "silent for" in components_html(list(by_name.values()), True)
    view.look()
    assert view._tail.total["push"] == 40 - 14 + 60


def test_memory_is_bounded(run: Run) -> None:
    """Of pushes the newest are kept, of evaluations all, and the total is known."""
    tail = Tail(run, most=10)
    tail.read()
    assert (
        len(tail.rows["push"]) == 10
        and tail.total["push"] == 40
        and len(tail.rows["evaluate"]) == 5
    )


def test_pictures_have_one_size_and_come_with_news_only(run: Run) -> None:
    """Looking without news draws nothing; news make another picture of the same size."""
    view = LiveView(run)
    first, frames = view.screen.png, view.frames
    assert view.look() and view.frames == frames
    add(
        run,
        "evaluator",
        json.dumps(
            {
                "kind": "evaluate",
                "seconds": 99,
                "epochs": 9.0,
                "updates": 99,
                "wer": 0.1,
                "mmi": -0.2,
            }
        )
        + "\n",
    )
    assert view.look() and view.screen.png != first and size(view.screen.png) == size(first)
    assert view.screen.image.value == view.screen.png


def test_it_follows_in_a_thread_and_freezes(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread draws what is added, ends with the run, and leaves plain pictures where it was shown."""
    monkeypatch.setattr(live, "PERIOD", 0.01)
    updates: list[dict] = []

    class Handle:
        """A place in a notebook where the view was shown."""

        def update(self, data: dict, raw: bool) -> None:
            """As IPython's."""
            updates.append(data)

    view = LiveView(run)
    view.screen._handles.append(Handle())
    view.start()
    add(
        run,
        "evaluator",
        json.dumps(
            {
                "kind": "evaluate",
                "seconds": 99,
                "epochs": 9.0,
                "updates": 99,
                "wer": 0.1,
                "mmi": -0.2,
            }
        )
        + "\n",
    )
    deadline = time.monotonic() + 20
    while view.frames < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert view.frames >= 2 and updates == []
    end(run, "done")
    view._thread.join(20)
    assert not view._thread.is_alive() and list(updates[-1]) == ["image/png", "text/plain"]
    view.finish()
    assert "r: done" in view.screen.line.value


def test_errors_are_shown_in_the_view(run: Run) -> None:
    """A run that failed says why, with markup as text; a damaged row is reported by the view itself."""
    end(run, "failed", "<b>disk full</b>")
    view = LiveView(run)
    assert "&lt;b&gt;disk full" in view.screen.line.value
    add(run, "evaluator", "no json\n")
    with pytest.raises(json.JSONDecodeError):
        view._follow()
    assert "JSONDecodeError" in view.screen.line.value and view.error


def test_without_widgets_there_is_a_picture(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where ipywidgets is not installed, showing displays a PNG."""
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    end(run, "done")
    shown: list[dict] = []
    monkeypatch.setattr("IPython.display.display", lambda data, **how: shown.append(data))
    attach(run)
    assert list(shown[0]) == ["image/png", "text/plain"]


def test_shares_of_time_are_of_the_time_that_is_known() -> None:
    """Before its first row nothing is known of a process; from then on its shares add up to all of its time."""
    about = {"kind": "push", "process": "replica 1"}
    rows = [
        {**about, "seconds": t, "idle_seconds": idle}
        for t, idle in ((100.0, 50.0), (104.0, 1.0), (110.0, 3.0))
    ]
    rows += [{"kind": "push", "process": "replica 0", "seconds": 109.0, "idle_seconds": 0.0}]
    found = busy_shares(pd.DataFrame(rows))
    assert list(found) == ["replica 1"]
    assert (
        found["replica 1"]["wait for frames"] == pytest.approx(40)
        and sum(found["replica 1"].values()) == 100
    )


def test_alarms_ring_for_deletions_and_numbers_that_are_none() -> None:
    """Deletions that double alarm, falling ones do not; a criterion that is no number does; idle pushes do not."""
    falling = [{"del": d, "mmi": -1.0, "criterion": -1.0} for d in (0.6, 0.3, 0.1)]
    assert alarms(falling) == []
    assert "deletions run away: 10.0 → 35.0 %" in alarms([*falling, {"del": 0.35}])[0]
    assert "not a finite number" in alarms([{"mmi": float("nan")}])[0]
    assert (
        "1 gradients"
        in alarms([], [{"status": "rejected", "batch": 3}, {"status": "rejected", "batch": 0}])[0]
    )


def test_an_empty_screen_has_the_size_of_its_pictures() -> None:
    """Before there is a picture its place is taken by a white one, so that the page does not jump."""
    screen = Screen(13, 6)
    pixels = imread(io.BytesIO(screen.image.value), format="png")
    assert pixels.shape[:2] == (6, 13) and (pixels == 1).all()
    assert not screen.png  # a saved notebook keeps only what was drawn
