"""The run panel: choose settings, start, watch, stop, go on, or attach to a run that somebody else started."""

import threading
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import ipywidgets as W

from workbench.figures.tail import Tail
from workbench.notebook.components import components, components_html
from workbench.notebook.live import LiveView, live_screen
from workbench.notebook.panels.parts import WIDE, Form, Status, button
from workbench.reports.page import escape
from workbench.reports.report import write_report
from workbench.runs.launch import (
    Launched,
    kill_worker,
    launch_resume,
    launch_run,
    newest_run,
    stop_run,
)
from workbench.settings import PRESETS, UserError, preset
from workbench.storage.run import Run, RunState, all_runs, find_run, home

THREAD, LOCAL, LOCAL_SEEN = "this thread", "Dask on this machine", "Dask with its dashboard"
PLACES = {THREAD: (), LOCAL: ("local",), LOCAL_SEEN: ("local", "--dashboard")}
WAIT_SECONDS = 300.0  # for a new run's directory: imports and compilation take a while on a cold or busy machine


class RunPanel:
    """Everything about one run; ``run_panel()`` makes and shows one."""

    def __init__(
        self, corpus: str = "", preset_name: str = "laptop", name: str = "run", **changes: Any
    ):
        corpora = sorted(p.parent.name for p in (home() / "corpora").glob("*/corpus.json"))
        if not corpora:
            raise UserError(
                "no corpus is prepared yet: workbench prepare NAME --synthetic is --size demo"
            )
        self.status, self.screen, self.view = Status(), live_screen(), None
        self.corpus = W.Dropdown(options=corpora, value=corpus or corpora[0], description="corpus")
        self.preset = W.Dropdown(options=sorted(PRESETS), value=preset_name, description="preset")
        self.name = W.Text(value=name, description="name")
        self.init = W.Dropdown(options=self._starts(), description="start from")
        self.form = Form(preset(preset_name, **changes))
        self.changes = changes
        self.preset.observe(self.status.guarded(self._preset_chosen), "value")
        self.runs = W.Dropdown(options=self._names(), description="run")
        self.place = W.Combobox(
            value=THREAD,
            options=list(PLACES),
            description="runs on",
            placeholder="tcp://host:port",
            ensure_option=False,
        )
        self.worker = W.Dropdown(
            options=[], description="worker", layout=W.Layout(width="11em"), disabled=True
        )
        self.dashboard = W.HTML(layout=W.Layout(height="28px"))
        self.components = W.HTML(components_html([], False))
        self.widget = self._layout()

    def _layout(self) -> W.VBox:
        say = self.status
        start = button(
            "Start",
            self.start,
            say,
            "success",
            "train in a process of its own; this notebook stays free",
        )
        stop = button(
            "Stop", self.stop, say, "warning", "come to rest at a checkpoint; it can be resumed"
        )
        resume = button("Resume", self.resume, say, help="go on from the last checkpoint")
        attach = button("Attach", self.attach, say, help="watch the run chosen on the left")
        report = button(
            "Report", self.report, say, help="HTML, Markdown, CSV and notebook about this run"
        )
        self.kill = button(
            "Kill worker",
            self.kill_worker,
            say,
            "danger",
            "see the run go back to its last checkpoint",
        )
        self.kill.disabled = True
        row = W.Layout(flex_flow="row wrap")
        choice = W.HBox(
            [self.corpus, self.preset, self.name, self.init, self.place, self.worker, self.kill],
            layout=row,
        )
        folded = W.Accordion(
            [self.components], titles=["progress by component"], layout=WIDE, selected_index=None
        )
        return W.VBox(
            [
                choice,
                self.form.widget,
                W.HBox([start, stop, resume, self.runs, attach, report], layout=row),
                self.dashboard,
                say.widget,
                folded,
            ]
        )

    def _names(self) -> list[str]:
        return [r.name for r in sorted(all_runs(), key=lambda r: -r.folder.stat().st_mtime)]

    def _starts(self) -> list[tuple[str, str]]:
        """Runs with a model; the first choice is a random network."""
        trained = [(r.name, r.name) for r in all_runs() if (r.folder / "model").exists()]
        return [("a random network", ""), *trained]

    def _preset_chosen(self) -> None:
        self.form.set(preset(self.preset.value, **self.changes))

    def start(self) -> None:
        """Train what the widgets say."""
        name, settings = self.name.value.strip(), self.form.value()
        before = newest_run(name)
        place = self.place.value.strip() or THREAD
        where = PLACES.get(place, (place,))
        launched = launch_run(self.corpus.value, settings, name, self.init.value or None, where)
        self.status.say(f"starting {name}…")
        self._later(
            lambda: self._follow(self._begun(launched, name, before.name if before else ""))
        )

    def _later(self, act: Callable[[], None]) -> None:
        """Wait for a process in a thread, so that the notebook is free at once."""
        self.waiting = threading.Thread(
            target=self.status.guarded(act), daemon=True, name="run panel"
        )
        self.waiting.start()

    def _begun(self, launched: Launched, name: str, before: str) -> Run:
        """The directory of the run that was just started; what it said if it ended at once."""
        deadline = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < deadline:
            run = newest_run(name)
            if run is not None and run.name != before and run.status().state != RunState.NEW:
                return run
            if not launched.running:
                self.status.show_log(launched.last_lines())
                raise UserError(launched.last_lines(1) or "the run ended at once")
            time.sleep(0.1)
        raise UserError(f"{name}: did not begin within {WAIT_SECONDS:.0f} s; see {launched.log}")

    def _chosen(self) -> Run:
        if not self.runs.value:
            raise UserError("no run chosen")
        return find_run(self.runs.value)

    def _follow(self, run: Run) -> None:
        if self.view is not None:
            self.view.detach()
        self.screen.thaw()
        self.runs.options = self._names()
        self.runs.value = run.name
        self.view = LiveView(run, screen=self.screen, seen=self._seen)
        self.view.start()
        self.status.say(f"watching {run.name}")

    def _seen(self, tail: Tail, going_on: bool) -> None:
        """What the cluster is now, and how far each component is."""
        cluster = tail.run.cluster
        workers = tuple(cluster.get("workers", ()))
        if self.worker.options != workers:
            chosen = self.worker.value
            self.worker.options = workers
            self.worker.value = chosen if chosen in workers else next(iter(workers), None)
        self.worker.disabled = self.kill.disabled = not workers
        self.dashboard.value = dashboard_html(cluster.get("dashboard") or "")
        self.components.value = components_html(components(tail), going_on)

    def kill_worker(self) -> None:
        """Kill the chosen worker of the run that is watched."""
        run, worker = self._chosen(), self.worker.value
        self.status.say(
            f"{run.name}: killed worker {worker} (process {kill_worker(run, worker or '')})"
        )

    def stop(self) -> None:
        """Ask the run to come to rest."""
        run = self._chosen()
        stop_run(run)
        self.status.say(f"{run.name} comes to rest at a checkpoint")

    def resume(self) -> None:
        """Go on with the chosen run."""
        run = self._chosen()
        if run.status().state.active:
            raise UserError(f"{run.name}: is running")
        launched = launch_resume(run)
        self.status.say(f"resuming {run.name}…")
        self._later(lambda: self._follow(self._resumed(launched, run)))

    def _resumed(self, launched: Launched, run: Run) -> Run:
        deadline = time.monotonic() + WAIT_SECONDS
        while launched.running and not run.status().state.active and time.monotonic() < deadline:
            time.sleep(0.1)
        if not launched.running:
            self.status.show_log(launched.last_lines())
        return run

    def attach(self) -> None:
        """Watch the chosen run."""
        self._follow(self._chosen())

    def report(self) -> None:
        """Write the report on the chosen run and the one it started from."""
        run = self._chosen()
        parent = (run.record.get("parent") or {}).get("run")
        out = write_report([*([find_run(parent)] if parent else []), run])
        self.status.say(f"report: {out}")

    def _ipython_display_(self) -> None:
        from IPython.display import display

        display(self.widget)
        self.screen.show()


def dashboard_html(link: str) -> str:
    """Links to Dask's pictures of tasks and workers: its own address, and the same through JupyterLab's proxy."""
    if not link:
        return ""
    port = urlsplit(link).port
    proxied = (
        f' · <a href="/proxy/{port}/status" target="_blank">through JupyterLab</a>' if port else ""
    )
    return f'Dask: <a href="{escape(link)}" target="_blank">tasks and workers</a>{proxied}'


def run_panel(
    corpus: str = "", preset: str = "laptop", name: str = "run", **changes: Any
) -> RunPanel:
    """The run panel, its widgets set to ``preset`` with ``changes``; shows itself as the value of a cell."""
    return RunPanel(corpus, preset, name, **changes)
