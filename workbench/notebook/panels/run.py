"""The run panel: choose settings, start, watch, stop, resume, or attach to any run."""

import time
from collections.abc import Callable
from urllib.parse import urlsplit

import ipywidgets as W

from workbench.figures.tail import Tail
from workbench.notebook.background import Background
from workbench.notebook.components import components, components_html
from workbench.notebook.links import find_server
from workbench.notebook.live import LiveView, live_screen
from workbench.notebook.panels.parts import (
    RUN_LIST_WIDTH,
    WIDE,
    WRAPPED,
    Form,
    Status,
    button,
    display_panel,
    set_options,
)
from workbench.notebook.screen import NOTEBOOK_PACKAGE
from workbench.reports.render import render
from workbench.reports.report import write_report
from workbench.runs.launch import (
    Launched,
    get_ready,
    kill_worker,
    launch_resume,
    launch_run,
    stop_run,
)
from workbench.settings import PRESETS, UserError, Value, preset
from workbench.storage.home import data_folder
from workbench.storage.run import Run, RunState, all_runs, find_run, newest_run

THREAD = "a process of its own"
LOCAL_CLUSTER = "Dask on this machine"
LOCAL_CLUSTER_WITH_DASHBOARD = "Dask with its dashboard"
OTHER_CLUSTER = "a Dask cluster at"
# Words of the command line after --cluster.
PLACES: dict[str, tuple[str, ...]] = {
    THREAD: (),
    LOCAL_CLUSTER: ("local",),
    LOCAL_CLUSTER_WITH_DASHBOARD: ("local", "--dashboard"),
}

NOT_RESUMED = (RunState.DONE, RunState.NEW, RunState.RUNNING)

# Imports and compilation before a run begins take a while on a cold or busy machine.
BEGIN_SECONDS = 300.0
POLL_SECONDS = 0.1


class RunPanel:
    """The widgets of the run panel; `run_panel` makes one."""

    def __init__(
        self, corpus: str = "", preset_name: str = "laptop", name: str = "run", **changes: Value
    ):
        corpora = sorted(p.parent.name for p in (data_folder() / "corpora").glob("*/corpus.json"))
        if not corpora:
            raise UserError(
                "no corpus is prepared yet: workbench prepare NAME --synthetic is --size demo"
            )

        self.changes = changes
        self.status = Status()
        self.screen = live_screen()
        self.view: LiveView | None = None
        self._background = Background("run panel")

        self.corpus = W.Dropdown(options=corpora, value=corpus or corpora[0], description="corpus")
        self.preset = W.Dropdown(options=sorted(PRESETS), value=preset_name, description="preset")
        self.name = W.Text(value=name, description="name")
        self.init = W.Dropdown(options=_starting_points(), description="start from")
        self.form = Form(preset(preset_name, **changes))
        self.runs = W.Dropdown(options=[], description="run", layout=W.Layout(width=RUN_LIST_WIDTH))
        self.beside = W.Dropdown(
            options=[],
            description="beside",
            tooltip="its curves stand in the same panels, grey",
            layout=W.Layout(width=RUN_LIST_WIDTH),
        )
        self.place = W.Dropdown(
            value=THREAD, options=[*PLACES, OTHER_CLUSTER], description="runs on"
        )
        self.address = W.Text(
            placeholder="tcp://host:port", layout=W.Layout(width="14em"), disabled=True
        )
        self.worker = W.Dropdown(
            options=[], description="worker", layout=W.Layout(width="11em"), disabled=True
        )
        self.kill = button(
            "Kill worker",
            self.kill_worker,
            self.status,
            "danger",
            "see the run go back to its last checkpoint",
        )
        self.kill.disabled = True
        self.dashboard = W.HTML(layout=W.Layout(height="28px"))
        self.components = W.HTML(components_html([], False))
        self.widget = self._layout()
        self._offering = False
        self._offer_runs()
        self.preset.observe(self.status.guard(self._choose_preset), "value")
        self.beside.observe(self.status.guard(self._show_beside), "value")
        for widget in (self.runs, self.name, self.place):
            widget.observe(self._enable, "value")
        self._enable()
        self.screen.show_message(
            "No run is followed yet. Start trains a new one, Attach shows the one that is chosen; "
            "its curves appear here."
        )

    def _layout(self) -> W.VBox:
        choices = [
            self.corpus,
            self.preset,
            self.name,
            self.init,
            self.place,
            self.address,
            self.worker,
            self.kill,
        ]
        progress = W.Accordion(
            [self.components], titles=["progress by component"], layout=WIDE, selected_index=None
        )
        return W.VBox(
            [
                W.HBox(choices, layout=WRAPPED),
                self.form.widget,
                W.HBox(self._actions(), layout=WRAPPED),
                self.beside,
                self.dashboard,
                self.status.widget,
                progress,
            ]
        )

    def _actions(self) -> list[W.Widget]:
        status = self.status
        start_help = "train in a separate process; this notebook stays free"
        stop_help = "come to rest at a checkpoint; it can be resumed"
        report_help = "HTML, Markdown, CSV and notebook about this run"
        attach_help = "watch the run chosen on the left"
        self.start_button = button("Start", self.start, status, "success", start_help)
        self.stop_button = button("Stop", self.stop, status, "warning", stop_help)
        self.resume_button = button(
            "Resume", self.resume, status, help="resume from the last checkpoint"
        )
        self.attach_button = button("Attach", self.attach, status, help=attach_help)
        self.report_button = button("Report", self.report, status, help=report_help)
        return [
            self.start_button,
            self.stop_button,
            self.resume_button,
            self.runs,
            self.attach_button,
            self.report_button,
        ]

    def _enable(self, *_: object) -> None:
        """Disable each button that would do nothing: without a name, a run, or the right state."""
        chosen = self.runs.value
        there = bool(chosen) and (data_folder() / "runs" / chosen).exists()
        state = find_run(chosen).status().state if there else None
        self.address.disabled = self.place.value != OTHER_CLUSTER
        self.start_button.disabled = not self.name.value.strip()
        self.stop_button.disabled = state != RunState.RUNNING
        self.resume_button.disabled = state is None or state in NOT_RESUMED
        self.attach_button.disabled = state is None
        self.report_button.disabled = state is None

    def _choose_preset(self) -> None:
        self.form.set(preset(self.preset.value, **self.changes))

    def start(self) -> None:
        """Train a run with the widgets' settings in a separate process, and watch it."""
        name = self.name.value.strip()
        if not name:
            raise UserError("name: give the run a name, by which it is found again")
        settings = self.form.value()
        place = self._cluster_words()
        before = newest_run(name)
        launched = launch_run(
            self.corpus.value,
            settings,
            name,
            self.init.value or None,
            place,
        )
        self.status.show_message(f"starting {name}: loading what it needs…")

        def follow_new_run() -> None:
            self._follow(self._wait_for_run(launched, name, before))

        self._later(follow_new_run)

    def _cluster_words(self) -> tuple[str, ...]:
        """Return the words of the command line about where the run is trained."""
        if self.place.value != OTHER_CLUSTER:
            return PLACES[self.place.value]
        address = self.address.value.strip()
        if not address:
            raise UserError("runs on: write the address of the cluster, as tcp://host:8786")
        return (address,)

    def _show_beside(self) -> None:
        """Draw another run's curves in the panels of the run that is followed."""
        if self.view is not None and not self._offering:
            self._follow(self.view.run)

    def resume(self) -> None:
        """Resume the chosen run and watch it."""
        run = self._chosen()
        if run.status().state.active:
            raise UserError(f"{run.name}: is running")

        launched = launch_resume(run)
        self.status.show_message(f"resuming {run.name}…")

        def follow_resumed_run() -> None:
            self._wait_until_active(launched, run)
            self._follow(run)

        self._later(follow_resumed_run)

    def _later(self, act: Callable[[], None]) -> None:
        """Wait for a process in a thread, so that the notebook is free at once."""
        self._background = Background("run panel")
        self._background.start(self.status.guard(act, clear=False))

    def _wait_for_run(self, launched: Launched, name: str, before: Run | None) -> Run:
        """Return the run that was just started; UserError with its output if it ended at once."""
        deadline = time.monotonic() + BEGIN_SECONDS
        while time.monotonic() < deadline:
            run = newest_run(name)
            if run is not None and run != before and run.status().state != RunState.NEW:
                return run
            if not launched.running:
                self.status.show_log(launched.last_lines())
                raise UserError(launched.last_lines(1) or "the run ended at once")
            time.sleep(POLL_SECONDS)
        raise UserError(f"{name}: did not begin within {BEGIN_SECONDS:.0f} s; see {launched.log}")

    def _wait_until_active(self, launched: Launched, run: Run) -> None:
        deadline = time.monotonic() + BEGIN_SECONDS
        while launched.running and not run.status().state.active and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
        if not launched.running:
            self.status.show_log(launched.last_lines())

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until a started run is found and no longer followed; return whether that is so.

        Each of the two waits takes at most ``timeout`` seconds.
        """
        if not self._background.wait(timeout):
            return False
        return self.view is None or self.view.wait(timeout)

    def _chosen(self) -> Run:
        if not self.runs.value:
            raise UserError("no run chosen")
        return find_run(self.runs.value)

    def _follow(self, run: Run) -> None:
        if self.view is not None:
            self.view.detach()
        self.screen.thaw()
        self._offer_runs()
        self.runs.value = run.name
        other = find_run(self.beside.value) if self.beside.value else None
        self.view = LiveView(run, screen=self.screen, after_look=self._show_progress, beside=other)
        self.view.start()
        self.status.show_message(f"watching {run.name}")

    def _offer_runs(self) -> None:
        """Offer the runs that there are now; a chosen one that still is there stays chosen."""
        found = _newest_first()
        self._offering = True
        set_options(self.runs, found, found[0][1] if found else None)
        set_options(self.beside, [("no other run", ""), *found], "")
        self._offering = False

    def _show_progress(self, tail: Tail, running: bool) -> None:
        """Show the workers of the run's cluster, and how far each component is."""
        cluster = tail.run.cluster
        workers = tuple(cluster.workers) if cluster else ()
        if self.worker.options != workers:
            chosen = self.worker.value
            self.worker.options = workers
            self.worker.value = chosen if chosen in workers else next(iter(workers), None)
        self._enable()
        self.worker.disabled = not workers
        self.kill.disabled = not workers
        self.dashboard.value = dashboard_html(cluster.dashboard if cluster else "")
        self.components.value = components_html(components(tail), running)

    def kill_worker(self) -> None:
        """Kills the chosen worker of the run that is watched."""
        run = self._chosen()
        worker = self.worker.value or ""
        process = kill_worker(run, worker)
        self.status.show_message(f"{run.name}: killed worker {worker} (process {process})")

    def stop(self) -> None:
        """Ask the chosen run to come to rest at a checkpoint."""
        run = self._chosen()
        stop_run(run)
        self.status.show_message(f"{run.name} comes to rest at a checkpoint")

    def attach(self) -> None:
        """Watches the chosen run."""
        self._follow(self._chosen())

    def report(self) -> None:
        """Write the report on the chosen run and the one it started from."""
        run = self._chosen()
        parent = run.record.parent_run
        runs = [find_run(parent), run] if parent else [run]
        self.status.show_link("report: ", write_report(runs))

    def _ipython_display_(self) -> None:
        get_ready()  # so that Start shows a first curve at once
        display_panel(self.widget, [self.screen])


def _newest_first() -> list[tuple[str, str]]:
    """Return labels with their states and names of all runs, the one that changed last first."""
    newest_first = sorted(all_runs(), key=_changed, reverse=True)
    return [(f"{run.name}: {run.status().state}", run.name) for run in newest_first]


def _changed(run: Run) -> float:
    return run.folder.stat().st_mtime


def _starting_points() -> list[tuple[str, str]]:
    """Return labels and names of runs with a model; the first choice is a random network."""
    trained = [run.name for run in all_runs() if (run.folder / "model").exists()]
    return [("a random network", ""), *((name, name) for name in trained)]


def dashboard_html(link: str) -> str:
    """Return links to Dask's dashboard: directly, and through JupyterLab's proxy."""
    if not link:
        return ""
    server = find_server()
    base = server.base_url if server else "/"
    return render(
        NOTEBOOK_PACKAGE, "dashboard.html", link=link, base=base, port=urlsplit(link).port
    )


def run_panel(
    corpus: str = "", preset: str = "laptop", name: str = "run", **changes: Value
) -> RunPanel:
    """Return the run panel, its widgets set to ``preset`` with ``changes``; a cell displays it."""
    return RunPanel(corpus, preset, name, **changes)
