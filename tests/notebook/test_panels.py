"""Panels: made from settings, honest about errors, and working from any thread on what is on disk."""

import json
import os
import socket
import time
from collections.abc import Sequence
from pathlib import Path

import ipywidgets as W
import pytest
from fake_runs import fake_run

from workbench.notebook.panels import run as run_module
from workbench.notebook.panels.compare import compare_panel
from workbench.notebook.panels.parts import Form, Status, bounds, button
from workbench.notebook.panels.run import run_panel
from workbench.notebook.panels.staleness import staleness_panel
from workbench.notebook.panels.utterance import wrong_words
from workbench.notebook.screen import Screen
from workbench.runs.toy import Exploration, explore
from workbench.settings import SETTINGS, Settings, UserError, preset
from workbench.storage.run import write_json


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder with a corpus that is one in name only."""
    monkeypatch.setenv("WORKBENCH_DATA", str(tmp_path))
    (tmp_path / "corpora" / "c").mkdir(parents=True)
    (tmp_path / "corpora" / "c" / "corpus.json").write_text("{}")
    return tmp_path


def test_a_form_has_every_setting_with_its_help() -> None:
    """There is one widget per field, with range, unit and explanation; what goes in comes out."""
    settings = preset("laptop", criterion="mmi", learning_rate=0.0123456789, replicas=7)
    form = Form(settings)
    assert set(form.controls) == set(SETTINGS)
    assert form.value() == settings
    assert (
        isinstance(form.controls["criterion"], W.Dropdown)
        and form.controls["replicas"].max == 10_000
    )
    assert "between 0.001 and 2" in bounds(form.fields["acoustic_scale"])


def test_a_form_refuses_what_settings_refuse() -> None:
    """A value out of range is a UserError that names field and range."""
    form = Form(Settings())
    form.controls["acoustic_scale"].value = "99"
    with pytest.raises(UserError, match="acoustic_scale=99"):
        form.value()


def test_errors_of_buttons_are_seen() -> None:
    """What a callback raises is shown in the panel, with markup as text, and passed on to Jupyter's log."""

    def fail() -> None:
        raise ValueError("<b>broken</b>")

    status = Status()
    button("Try", fail, status).click()  # ipywidgets logs what callbacks raise
    assert "ValueError: &lt;b&gt;broken" in status.line.value
    with pytest.raises(ValueError, match="broken"):
        status.guarded(fail)()


class Started:
    """What `launch` gives, of a command that has ended or not."""

    def __init__(self, running: bool, said: str = ""):
        self.running, self.said = running, said

    def last_lines(self, most: int = 12) -> str:
        """As Launched."""
        return self.said


def test_start_launches_what_the_widgets_say_and_watches_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Start gives the form's settings to a process of its own; its run is watched as soon as it is there."""
    asked: list[tuple] = []

    def launch(
        corpus: str, settings: Settings, name: str, init: str | None, cluster: Sequence[str]
    ) -> Started:
        asked.append((corpus, settings, name, init, cluster))
        fake_run(f"{name}-1", settings)
        return Started(running=True)

    monkeypatch.setattr(run_module, "launch_run", launch)
    panel = run_panel("c", "tiny", "mine", replicas=3)
    panel.form.controls["batch"].value = 16
    panel.start()
    panel.waiting.join(20)
    panel.view._thread.join(20)
    assert asked == [("c", preset("tiny", replicas=3, batch=16), "mine", None, ())]
    assert (
        panel.runs.value == "mine-1"
        and "mine-1: done" in panel.screen.line.value
        and panel.screen.png
    )


def test_a_run_on_a_cluster_shows_its_workers_and_one_can_be_killed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where to run is asked for in words or as an address; workers can be chosen while there are any."""
    asked: list[Sequence[str]] = []
    monkeypatch.setattr(
        run_module, "launch_run", lambda *given: asked.append(given[-1]) or Started(running=True)
    )
    run = fake_run("there-1", Settings.of(clock="wall"), state="new")
    panel = run_panel("c", "tiny", "mine")
    for panel.place.value in ("Dask with its dashboard", "tcp://there:8786"):
        panel.start()
    assert asked == [("local", "--dashboard"), ("tcp://there:8786",)]
    assert panel.kill.disabled
    about = {
        "address": "local",
        "dashboard": "http://127.0.0.1:8787/status",
        "workers": {"0": 11, "1": 12},
    }
    write_json(run.folder / "cluster.json", about)
    here = {
        "state": "running",
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "heartbeat": time.time(),
    }
    write_json(run.folder / "status.json", here)
    panel.runs.value = run.name
    panel.attach()
    assert panel.worker.options == ("0", "1") and not panel.kill.disabled
    assert '"/proxy/8787/status"' in panel.dashboard.value
    assert "replica 0" in panel.components.value and "pushes" in panel.components.value
    with pytest.raises(UserError, match="worker 0 is gone already"):
        panel.kill_worker()
    write_json(run.folder / "status.json", {**here, "state": "done"})
    panel.view._thread.join(20)
    assert (
        panel.worker.options == () and panel.kill.disabled and "at rest" in panel.components.value
    )


def test_a_run_that_ends_at_once_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the process printed before it ended is shown, not swallowed."""
    monkeypatch.setattr(
        run_module, "launch_run", lambda *given: Started(running=False, said="workbench: disk full")
    )
    panel = run_panel("c", "tiny", "mine")
    with pytest.raises(UserError, match="disk full"):
        panel._begun(Started(running=False, said="workbench: disk full"), "mine", "")
    assert "disk full" in panel.status.log.value


def test_attaching_needs_a_run_and_shows_it() -> None:
    """Any run can be watched, whoever started it; stopping one that has ended is refused in words."""
    fake_run("old-1", Settings())
    panel = run_panel("c")
    panel.attach()
    panel.view._thread.join(20)
    assert "old-1: done" in panel.screen.line.value
    with pytest.raises(UserError, match="is not running"):
        panel.stop()


def test_without_a_corpus_the_panel_says_what_to_do(data: Path) -> None:
    """The first thing that a new user meets is a sentence, not a traceback of a widget."""
    (data / "corpora" / "c" / "corpus.json").unlink()
    with pytest.raises(UserError, match="workbench prepare"):
        run_panel()


def test_comparison_overlays_and_names_differences() -> None:
    """The marked runs are drawn, and the only difference of their settings is in the table."""
    for seed in range(2):
        fake_run(f"r{seed}", Settings.of(seed=seed), wrong=seed + 1)
    panel = compare_panel("r0", "r1")
    before = panel.screen.png
    assert "<th>seed</th>" in panel.tables.value and "significant" in panel.tables.value
    panel.against.value = "updates"
    assert panel.screen.png != before


def test_wrong_words_are_marked() -> None:
    """Substituted, deleted and inserted words are marked, right ones are not, and markup in words stays text."""
    html = wrong_words("a b c <i>", "a x c <i> d")
    assert "(b→x)" in html and "(∅→d)" in html and "<i>" not in html and html.startswith("a ")
    assert "(b→∅)" in wrong_words("a b", "a")


def test_the_toy_is_the_machine() -> None:
    """Plain SGD has no stale gradients; more replicas have older ones; the same seed gives the same rows."""
    one, ten = (explore(Exploration(replicas=n, utterances=100)) for n in (1, 10))
    pushes = [rows[rows.kind == "push"] for rows in (one, ten)]
    assert pushes[0].staleness_inner.max() == 0.0 and pushes[1].staleness_inner.mean() > 1
    assert pushes[1].staleness_outer.mean() > pushes[0].staleness_outer.mean()
    again = explore(Exploration(replicas=10, utterances=100))
    assert json.loads(ten.to_json()) == json.loads(again.to_json())


def test_the_explorer_follows_its_sliders() -> None:
    """Moving a slider runs the toy again and changes every picture."""
    panel = staleness_panel(replicas=2, utterances=60)
    before = [s.png for s in panel.screens]
    panel.sliders["replicas"].value = 5
    assert all(s.png != b for s, b in zip(panel.screens, before, strict=True))
    assert "updates old" in panel.status.line.value


def test_a_screen_is_frozen_and_thawed() -> None:
    """Frozen, nothing but a PNG is left in the output; thawed, the widget is back."""
    updates: list[dict] = []

    class Handle:
        """An output of a notebook."""

        def update(self, data: dict, raw: bool) -> None:
            """As IPython's."""
            updates.append(data)

    screen = Screen(10, 10)
    screen._handles.append(Handle())
    screen.put(b"\x89PNG")
    screen.freeze()
    screen.thaw()
    assert list(updates[0]) == ["image/png", "text/plain"]
    assert "application/vnd.jupyter.widget-view+json" in updates[1]
