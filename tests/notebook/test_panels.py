"""Panels: made from settings, with visible errors, on what is on disk, from any thread."""

import json
import os
import socket
import time
from collections.abc import Sequence
from pathlib import Path

import ipywidgets as W
import numpy as np
import pytest
from fake_output import Output
from fake_runs import fake_run

from workbench.notebook.panels import run as run_module
from workbench.notebook.panels.compare import compare_panel
from workbench.notebook.panels.parts import Form, Status, bounds, button
from workbench.notebook.panels.run import run_panel
from workbench.notebook.panels.staleness import staleness_panel
from workbench.notebook.panels.utterance import aligned_words, transcripts_html
from workbench.notebook.screen import Screen
from workbench.runs.toy import Exploration, explore
from workbench.settings import SETTINGS, Settings, UserError, preset
from workbench.storage.example import Example
from workbench.storage.files import write_json

pytestmark = pytest.mark.slow

WAIT = 120.0  # seconds at most, for threads on a busy machine

# Jupyter logs what the thread of a panel raises.
ERRORS_OF_THREADS = pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnhandledThreadExceptionWarning"
)


@pytest.fixture(autouse=True)
def corpus(data_folder: Path) -> Path:
    """The folder of a corpus that is one in name only."""
    folder = data_folder / "corpora" / "c"
    folder.mkdir(parents=True)
    (folder / "corpus.json").write_text("{}")
    return folder


def test_a_form_has_every_setting_with_its_help() -> None:
    """There is one widget per setting with its help; values come out as they went in."""
    settings = preset("laptop", criterion="mmi", learning_rate=0.0123456789, replicas=7)
    form = Form(settings)
    assert set(form.controls) == set(SETTINGS)
    assert form.value() == settings
    assert isinstance(form.controls["criterion"], W.Dropdown)
    assert form.controls["replicas"].max == 10_000
    assert "between 0.001 and 2" in bounds(SETTINGS["acoustic_scale"])


def test_a_form_refuses_what_settings_refuse() -> None:
    """A value out of range is a UserError that names setting and value."""
    form = Form(Settings())
    form.controls["acoustic_scale"].value = "99"
    with pytest.raises(UserError, match="acoustic_scale='99'"):
        form.value()


def test_a_wrong_value_is_told_at_its_field() -> None:
    """What is typed out of range is named beside the field at once, and goes when it is right."""
    form = Form(Settings())
    tabs = form.widget.children[0]
    rows = [row for tab in tabs.children for row in tab.children]
    field = form.controls["acoustic_scale"]
    help = next(row.children[1] for row in rows if row.children[0] is field)
    assert "between 0.001 and 2" in help.value
    field.value = "99"
    assert "alert" in help.value
    field.value = "0.5"
    assert "alert" not in help.value


def test_buttons_that_would_do_nothing_are_disabled() -> None:
    """Without a name nothing starts; only what runs can stop, only what was interrupted resumes."""
    fake_run("done-00000000", Settings())
    fake_run("stopped-00000000", Settings(), state="stopped")
    panel = run_panel("c", "tiny", "")
    assert panel.start_button.disabled
    panel.name.value = "x"
    assert not panel.start_button.disabled
    panel.runs.value = "done-00000000"
    assert panel.stop_button.disabled
    assert panel.resume_button.disabled
    assert not panel.report_button.disabled
    panel.runs.value = "stopped-00000000"
    assert panel.stop_button.disabled
    assert not panel.resume_button.disabled


def test_a_thread_keeps_what_was_said_before() -> None:
    """The message about a start stays until the thread that waits for it has something to say."""
    status = Status()
    status.show_message("starting")
    status.guard(lambda: None, clear=False)()
    assert "starting" in status.line.value
    status.guard(lambda: None)()
    assert "starting" not in status.line.value


def test_sliders_of_wide_ranges_are_logarithmic() -> None:
    """Every learning rate that the explorer's text names can be set and is shown as it is."""
    slider = staleness_panel(replicas=1, utterances=60).sliders["learning_rate"]
    assert isinstance(slider, W.FloatLogSlider)
    for rate in (0.02, 0.002, 0.0005):
        slider.value = rate
        assert slider.value == rate
        assert float(format(rate, slider.readout_format)) == rate


def test_errors_of_buttons_are_seen() -> None:
    """What a callback raises is shown in the panel, with markup as text, and raised."""

    def fail() -> None:
        raise ValueError("<b>broken</b>")

    status = Status()
    button("Try", fail, status).click()  # ipywidgets logs what callbacks raise
    assert "ValueError: &lt;b&gt;broken" in status.line.value

    with pytest.raises(ValueError, match="broken"):
        status.guard(fail)()


class Started:
    """A launched command that is running or has ended after printing ``output``."""

    def __init__(self, running: bool, output: str = ""):
        self.running = running
        self.output = output
        self.log = Path("panel.log")

    def last_lines(self, most: int = 12) -> str:
        """Returns the output, as `Launched` does."""
        return self.output


def test_start_launches_what_the_widgets_show_and_watches_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Start gives the form's settings to a process; its run is watched as soon as it exists."""
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
    assert panel.wait(WAIT)
    assert asked == [("c", preset("tiny", replicas=3, batch=16), "mine", None, ())]
    assert panel.runs.value == "mine-1"
    assert "mine-1: done" in panel.screen.line.value
    assert panel.screen.png


def test_a_run_is_started_on_the_chosen_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    """The place to run is chosen in words or as an address, and given to the command."""
    asked: list[Sequence[str]] = []

    def launch(*arguments: Sequence[str]) -> Started:
        asked.append(arguments[-1])
        fake_run(f"mine-{len(asked)}", Settings())
        return Started(running=True)

    monkeypatch.setattr(run_module, "launch_run", launch)
    panel = run_panel("c", "tiny", "mine")
    assert panel.address.disabled
    for place in ("Dask with its dashboard", "a Dask cluster at"):
        panel.place.value = place
        panel.address.value = "tcp://there:8786"
        panel.start()
        assert panel.wait(WAIT)

    assert asked == [("local", "--dashboard"), ("tcp://there:8786",)]
    assert panel.kill.disabled


def test_a_cluster_without_an_address_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start says at which field the address is missing, and launches nothing."""
    monkeypatch.setattr(run_module, "launch_run", lambda *words: pytest.fail("launched"))
    panel = run_panel("c", "tiny", "mine")
    panel.place.value = "a Dask cluster at"
    assert not panel.address.disabled
    with pytest.raises(UserError, match="runs on: write the address"):
        panel.start()


def test_two_runs_stand_in_the_same_panels() -> None:
    """Another run's curves are added to those of the run that is followed, and go again."""
    fake_run("a-00000000", Settings())
    fake_run("b-00000000", Settings())
    panel = run_panel("c", "tiny", "mine")
    assert ("a-00000000: done", "a-00000000") in panel.runs.options
    panel.runs.value = "a-00000000"
    panel.attach()
    assert panel.wait(WAIT)
    alone = panel.screen.png
    panel.beside.value = "b-00000000"
    assert panel.wait(WAIT)
    assert panel.screen.png != alone
    panel.beside.value = ""
    assert panel.wait(WAIT)
    assert panel.screen.png == alone


def test_a_run_that_came_later_can_stand_beside() -> None:
    """What can be chosen is renewed whenever a run is followed; what was chosen stays chosen."""
    fake_run("a-00000000", Settings())
    fake_run("b-00000000", Settings())
    panel = run_panel("c", "tiny", "mine")
    panel.beside.value = "b-00000000"
    fake_run("later-00000000", Settings())
    panel.runs.value = "a-00000000"
    panel.attach()
    assert panel.wait(WAIT)
    assert panel.beside.value == "b-00000000"
    assert ("later-00000000: done", "later-00000000") in panel.beside.options
    both = panel.screen.png
    view = panel.view
    panel.beside.value = "later-00000000"
    assert panel.wait(WAIT)
    assert panel.view is not view
    assert panel.screen.png != both


def test_a_run_on_a_cluster_shows_its_workers() -> None:
    """Workers can be chosen and killed while there are any; each component shows how far it is."""
    run = fake_run("there-1", Settings.of(clock="wall"), state="new")
    cluster = {
        "address": "local",
        "dashboard": "http://127.0.0.1:8787/status",
        "workers": {"0": 11, "1": 12},
    }
    write_json(run.folder / "cluster.json", cluster)
    here = {
        "state": "running",
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "heartbeat": time.time(),
    }
    write_json(run.folder / "status.json", here)

    panel = run_panel("c", "tiny", "mine")
    panel.runs.value = run.name
    panel.attach()
    assert panel.worker.options == ("0", "1")
    assert not panel.kill.disabled
    assert '"/proxy/8787/status"' in panel.dashboard.value
    assert "replica 0" in panel.components.value
    assert "pushes" in panel.components.value

    with pytest.raises(UserError, match="worker 0 is gone, and its successor not there yet"):
        panel.kill_worker()

    write_json(run.folder / "status.json", {**here, "state": "done"})
    assert panel.wait(WAIT)
    assert panel.worker.options == ()
    assert panel.kill.disabled
    assert "at rest" in panel.components.value


@ERRORS_OF_THREADS
def test_a_run_that_ends_at_once_shows_why(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the process printed before it ended is shown in the line and in the log."""
    ended = Started(running=False, output="workbench: disk full")
    monkeypatch.setattr(run_module, "launch_run", lambda *arguments: ended)
    panel = run_panel("c", "tiny", "mine")
    panel.start()
    assert panel.wait(WAIT)
    assert "UserError: workbench: disk full" in panel.status.line.value
    assert "disk full" in panel.status.log.value


def test_attaching_shows_any_run() -> None:
    """A run that another process started is shown; one that has ended cannot be stopped."""
    fake_run("old-1", Settings())
    panel = run_panel("c")
    panel.attach()
    assert panel.wait(WAIT)
    assert "old-1: done" in panel.screen.line.value
    with pytest.raises(UserError, match="is not running"):
        panel.stop()


def test_without_a_corpus_the_panel_names_the_command(corpus: Path) -> None:
    """A new user without a corpus gets a sentence, not a traceback of a widget."""
    (corpus / "corpus.json").unlink()
    with pytest.raises(UserError, match="workbench prepare"):
        run_panel()


def test_comparison_overlays_and_names_differences() -> None:
    """The marked runs are drawn, and the only difference of their settings is in the table."""
    for seed in range(2):
        fake_run(f"r{seed}", Settings.of(seed=seed), wrong=seed + 1)

    panel = compare_panel("r0", "r1")
    before = panel.screen.png
    assert "<th>seed</th>" in panel.tables.value
    assert "<td>r0</td>" in panel.tables.value
    assert "<th>verdict</th>" in panel.tables.value
    panel.against.value = "updates"
    assert panel.screen.png != before


def test_the_margin_of_a_comparison_is_chosen_in_the_panel() -> None:
    """Two systems that are undecided at half a percent are equivalent at fifty."""
    for seed in range(2):
        fake_run(f"r{seed}", Settings.of(seed=seed), wrong=seed + 1)

    panel = compare_panel("r0", "r1")
    panel.margin.value = 50.0
    assert "by less than 50 % absolute" in panel.tables.value


def test_wrong_words_are_marked() -> None:
    """Substituted, deleted and inserted words are marked; markup in words is shown as text."""
    words = aligned_words("a b c", "a x c d")
    assert words == [("a", "a"), ("b", "x"), ("c", "c"), ("", "d")]
    assert aligned_words("a b", "a") == [("a", "a"), ("b", "")]

    html = transcripts_html(transcribed("a b c <i>", {"<r>": "a x c <i> d", "s": "a b c"}))
    assert "<td>a <b" in html
    assert ">(b→x)</b> c &lt;i&gt; <b" in html
    assert "(∅→d)" in html
    assert "(&lt;i&gt;→∅)" in html
    assert "&lt;r&gt;" in html
    assert "<i>" not in html


def transcribed(reference: str, hypotheses: dict[str, str]) -> Example:
    """Returns an utterance of which only the words matter."""
    none = np.zeros((0, 0))
    return Example("u", reference, hypotheses, [], [], none, none, none, none, none, [])


def test_the_toy_is_the_machine() -> None:
    """Plain SGD has no stale gradients, more replicas have older ones; a seed fixes all rows."""
    alone = explore(Exploration(replicas=1, utterances=100))
    ten = explore(Exploration(replicas=10, utterances=100))
    alone_pushes = alone[alone.kind == "push"]
    ten_pushes = ten[ten.kind == "push"]
    assert alone_pushes.staleness_inner.max() == 0.0
    assert ten_pushes.staleness_inner.mean() > 1
    assert ten_pushes.staleness_outer.mean() > alone_pushes.staleness_outer.mean()

    again = explore(Exploration(replicas=10, utterances=100))
    assert json.loads(ten.to_json()) == json.loads(again.to_json())


def test_the_explorer_follows_its_sliders() -> None:
    """Moving a slider runs the toy again and changes every picture."""
    panel = staleness_panel(replicas=2, utterances=60)
    before = [picture.value for picture in panel.pictures]
    panel.sliders["replicas"].value = 5
    assert all(p.value != old for p, old in zip(panel.pictures, before, strict=True))
    assert "updates old" in panel.status.line.value


def test_a_screen_is_frozen_and_thawed(output: Output) -> None:
    """Frozen, only a PNG is left in the output; thawed, the widget is back."""
    screen = Screen(10, 10)
    screen.show()
    screen.put(b"\x89PNG")
    screen.freeze()
    screen.thaw()
    frozen, thawed = output.updates
    assert list(frozen) == ["text/html", "image/png", "text/plain"]
    assert "application/vnd.jupyter.widget-view+json" in thawed
