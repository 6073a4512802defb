"""The sweep panel: choose what to vary, estimate the time, start, and watch the matrix fill in."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import ipywidgets as W

from workbench.notebook.background import Background
from workbench.notebook.panels.parts import (
    WIDE,
    WRAPPED,
    Status,
    bounds,
    button,
    display_panel,
)
from workbench.notebook.panels.sweep_view import SweepView
from workbench.notebook.screen import NOTEBOOK_PACKAGE
from workbench.progress import counted
from workbench.reports.render import render
from workbench.reports.sweep_report import shared_rows, write_sweep_report
from workbench.runs.launch import Launched
from workbench.settings import SETTINGS, UserError, Value
from workbench.storage.run import find_run
from workbench.sweeping import (
    Axis,
    CellState,
    PlannedCell,
    Sweep,
    all_sweeps,
    count_states,
    estimate_sweep,
    find_sweep,
    plan_cells,
    read_recipe,
    read_results,
    recipe_questions,
    request_stop,
)
from workbench.sweeping.launch import launch_sweep

# Settings with a widget of their own; all others can be typed as "more axes".
COMMON_AXES = (
    "shuffling",
    "trained",
    "criterion",
    "decoder_seconds",
    "replicas",
    "learning_rate",
)
LABELS = {"description_width": "9em"}
LONG_TEXT = W.Layout(width="32em")
EXAMPLES = {"learning_rate": "0.01, 0.1", "decoder_seconds": "0, 60, 600", "replicas": "1, 10, 50"}


class SweepPanel:
    """The widgets of the sweep panel; they edit a `Sweep`, which *Copy as Python* prints."""

    def __init__(self, sweep: Sweep):
        self.base = sweep
        self.status = Status()
        self.view = SweepView(self.status, self._enable)
        self.launched: Launched | None = None
        self.starting = False  # whether no square has changed since the last start
        self._background = Background("estimate")

        self.axes = {name: axis_control(name) for name in COMMON_AXES}
        self.more = W.Text(
            placeholder="batch=8,32; beam=6,10",
            description="more axes",
            continuous_update=False,
            style=LABELS,
            layout=LONG_TEXT,
        )
        self.seeds = W.Text(
            value=_seeds_text(sweep), description="seeds", continuous_update=False, style=LABELS
        )
        self.name = W.Text(value=sweep.name, description="name", layout=LONG_TEXT)
        self.jobs = W.BoundedIntText(
            value=2, min=1, max=64, description="at a time", layout=W.Layout(width="11em")
        )
        known = ["", *(known.name for known in all_sweeps())]
        self.known = W.Dropdown(options=known, description="go to", layout=LONG_TEXT)
        self.recipe = W.Dropdown(options=["", *recipe_questions()], description="recipe")
        self.size = W.Dropdown(
            options=["watch", "laptop"], description="size", layout=W.Layout(width="12em")
        )
        self.question = W.HTML()
        self.count = W.HTML()
        self.fixed = W.HTML()
        self.python = W.Textarea(layout=W.Layout(width="100%", height="9em"))
        self.code = W.Accordion(
            [self.python], titles=["as Python"], selected_index=None, layout=WIDE
        )
        self.widget = self._layout()
        self._observe()
        self._show_axes(sweep)
        self._enable([])

    def _layout(self) -> W.VBox:
        marked = [w for w in self.axes.values() if isinstance(w, W.SelectMultiple)]
        typed = [w for w in self.axes.values() if isinstance(w, W.Text)]
        return W.VBox(
            [
                W.HBox([self.recipe, self.size, self.known]),
                W.HBox([self.name, self.jobs]),
                self.question,
                self.fixed,
                W.HBox(marked, layout=WRAPPED),
                W.HBox([*typed, self.seeds], layout=WRAPPED),
                W.HBox([self.more, self.count], layout=WRAPPED),
                W.HBox(self._actions(), layout=WRAPPED),
                self.status.widget,
                self.code,
                self.view.widget,
            ],
            layout=WIDE,
        )

    def _actions(self) -> list[W.Button]:
        status = self.status
        after_help = "current runs go on to their end, no other begins"
        cancel_help = "current runs come to rest at a checkpoint"
        resume_help = "run what is missing or was interrupted"
        retry_help = "run what has failed once more, from its last checkpoint"
        start_help = "run in processes of their own; this notebook stays free"
        estimate_help = "how many runs, how long, how much disk"
        self.start_button = button("Start", self.start, status, "success", start_help)
        self.stop_button = button("Stop after current", self.stop, status, "warning", after_help)
        self.cancel_button = button("Cancel", self.cancel, status, "danger", cancel_help)
        self.resume_button = button("Resume", self.start, status, help=resume_help)
        self.retry_button = button("Retry failed", self.retry, status, help=retry_help)
        self.report_button = button("Report", self.report, status, help="a page on the sweep")
        return [
            button("Estimate", self.estimate, status, "info", estimate_help),
            self.start_button,
            self.stop_button,
            self.cancel_button,
            self.resume_button,
            self.retry_button,
            button("Copy as Python", self.copy, status, help="opens the box below"),
            self.report_button,
        ]

    def _enable(self, cells: Sequence[PlannedCell]) -> None:
        """Disable each button that would do nothing, given how the cells stand."""
        states = {cell.state for cell in cells}
        begun = bool(states - {CellState.MISSING})
        left = any(state.unfinished for state in states)
        busy = CellState.RUNNING in states or bool(self.launched and self.launched.running)
        if self.starting and (CellState.RUNNING in states or not left):
            self.starting = False
            self.status.show_message("")

        self.start_button.disabled = busy
        self.stop_button.disabled = not busy
        self.cancel_button.disabled = not busy
        self.retry_button.disabled = busy or CellState.FAILED not in states
        self.resume_button.disabled = busy or not (begun and left)
        self.report_button.disabled = not begun

    def _observe(self) -> None:
        guard = self.status.guard
        self.known.observe(guard(self._choose_known), "value")
        for widget in (self.recipe, self.size):
            widget.observe(guard(self._choose_recipe), "value")
        for widget in (*self.axes.values(), self.more, self.seeds):
            widget.observe(guard(self._show_count), "value")

    def _show(self, sweep: Sweep) -> None:
        """Edit another sweep."""
        self.base = sweep
        self.name.value = sweep.name
        self.seeds.value = _seeds_text(sweep)
        self._show_axes(sweep)

    def _show_axes(self, sweep: Sweep) -> None:
        listed = {name: v for name, v in sweep.axes.items() if not isinstance(v, Mapping)}
        for name, widget in self.axes.items():
            values: Sequence[Value] = tuple(listed.get(name, ()))
            if isinstance(widget, W.SelectMultiple):
                widget.value = values
            else:
                widget.value = ", ".join(str(value) for value in values)

        others = []
        for name, values in listed.items():
            if name not in self.axes:
                others.append(f"{name}={','.join(str(value) for value in values)}")

        self.more.value = "; ".join(others)
        self.python.value = sweep.as_python()
        self.question.value = question_html(sweep)
        self.fixed.value = fixed_html(sweep)
        self._show_count()

    def value(self) -> Sweep:
        """Return the sweep that the widgets describe; UserError names what is wrong with it."""
        axes: dict[str, Axis] = {}
        for name, widget in self.axes.items():
            values = _chosen_values(widget)
            if values:
                axes[name] = values

        axes |= _parse_axes(self.more.value)
        # Ranges of random draws have no widget.
        axes |= {name: v for name, v in self.base.axes.items() if isinstance(v, Mapping)}

        given = self.seeds.value.replace(",", " ").split()
        seeds = [int(SETTINGS["seed"].parse(seed)) for seed in given]
        sweep = replace(self.base, name=self.name.value.strip(), axes=axes, seeds=seeds or [0])
        return sweep if sweep == self.base else replace(sweep, recipe="")

    def estimate(self) -> None:
        """Show the number of runs, minutes and disk; return at once.

        A kind of run that has never run here is rehearsed for some seconds, in a thread.
        """
        sweep = self.value()
        jobs = self.jobs.value

        def rehearse() -> None:
            self.status.show_message("rehearsing for some seconds …")
            self.status.show_message(str(estimate_sweep(sweep, jobs)))

        self._background = Background("estimate")
        self._background.start(self.status.guard(rehearse))

    def _show_count(self) -> None:
        """Show how many runs the widgets describe."""
        sweep = self.value()
        self.count.value = count_html(sweep)

    def start(self, retry: bool = False) -> None:
        """Run what is missing in a separate process; ``retry``: also what has failed."""
        sweep = self.value()
        runs = len(sweep.cells())
        self.status.show_message(
            f"starting {runs} runs: a process loads what it needs, then the first square changes"
        )
        self.starting = True
        self.launched = launch_sweep(sweep, self.jobs.value, retry)
        self.watch(sweep)

    def retry(self) -> None:
        """Run what is missing and what has failed."""
        self.start(retry=True)

    def stop(self) -> None:
        """Start no more runs after the current ones."""
        request_stop(self.value())
        self.status.show_message("stops after the current runs")

    def cancel(self) -> None:
        """Ask the current runs to come to rest at a checkpoint."""
        request_stop(self.value(), now=True)
        self.status.show_message("current runs come to rest at a checkpoint; Resume resumes them")

    def copy(self) -> None:
        """Show the sweep as Python, to be copied from there."""
        self.python.value = self.value().as_python()
        self.code.selected_index = 0

    def report(self) -> None:
        """Write the report on the sweep."""
        out = write_sweep_report(read_results(find_sweep(self.name.value)))
        self.status.show_link("report: ", out)

    def _choose_known(self) -> None:
        if self.known.value:
            self._show(find_sweep(self.known.value))
            self.watch(self.base)

    def _choose_recipe(self) -> None:
        if self.recipe.value:
            base = self.base
            init = find_run(base.init) if base.init else None
            self._show(read_recipe(self.recipe.value, base.corpus, self.size.value, init))

    def watch(self, sweep: Sweep) -> None:
        """Follow the sweep until nothing runs.

        If cells are missing then, the last output of its process is shown.
        """
        launched = self.launched

        def launched_runs() -> bool:
            if launched is None:
                return False
            running = launched.running
            if not running and "missing" in count_states(plan_cells(sweep)):
                self.status.show_message("not all was run; the last lines of the process:")
                self.status.show_log(launched.last_lines())
            return running

        self.view.watch(sweep, self.jobs.value, launched_runs)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until nothing is estimated or followed any more; return whether that is so.

        Each of the two waits takes at most ``timeout`` seconds.
        """
        return self._background.wait(timeout) and self.view.wait(timeout)

    def _ipython_display_(self) -> None:
        display_panel(self.widget, [self.view])


def axis_control(name: str) -> W.Widget:
    """Return a widget for the values of an axis: choices to mark, or a line of text."""
    field = SETTINGS[name]
    common = {"description": name, "tooltip": bounds(field)}
    if field.choices:
        # Three of these stand side by side in a page of 700 pixels.
        height = f"{1.5 * len(field.choices) + 0.6}em"
        layout = W.Layout(height=height, width="17em")
        return W.SelectMultiple(
            options=field.choices, layout=layout, style={"description_width": "5.5em"}, **common
        )
    return W.Text(placeholder=EXAMPLES[name], continuous_update=False, style=LABELS, **common)


def _chosen_values(widget: W.Widget) -> list[str]:
    """Return the values that were marked or typed."""
    if isinstance(widget, W.SelectMultiple):
        return list(widget.value)
    return _split(widget.value)


def _split(text: str) -> list[str]:
    """Return the parts of a list with commas, without spaces and empty parts."""
    parts = [part.strip() for part in text.split(",")]
    return [part for part in parts if part]


def _parse_axes(text: str) -> dict[str, list[str]]:
    """Return the axes in text such as ``batch=8,32; beam=6,10``; else UserError."""
    axes = {}
    for part in text.split(";"):
        part = part.strip()
        if not part:
            continue
        name, equals, values = part.partition("=")
        if not equals:
            raise UserError(f"more axes: {part}: write field=v1,v2")
        axes[name.strip()] = [value.strip() for value in values.split(",")]

    return axes


def _seeds_text(sweep: Sweep) -> str:
    return ", ".join(str(seed) for seed in sweep.seeds)


def count_html(sweep: Sweep) -> str:
    """Return the number of runs as a product of the numbers of values."""
    factors = []
    if sweep.draws:
        factors.append(counted(sweep.draws, "random draw"))
    else:
        for name, values in sweep.axes.items():
            if not isinstance(values, Mapping):
                factors.append(f"{len(values)} {name}")
        if sweep.points:
            factors.append(counted(len(sweep.points), "point"))
    factors.append(counted(len(sweep.seeds), "seed"))
    runs = counted(len(sweep.cells()), "run")
    return render(NOTEBOOK_PACKAGE, "count.html", factors=factors, runs=runs)


def fixed_html(sweep: Sweep) -> str:
    """Return what all runs of the sweep share, which no widget shows."""
    shared = [f"{row['setting']}={row['value']}" for row in shared_rows(sweep)]
    return render(NOTEBOOK_PACKAGE, "fixed.html", shared=shared)


def question_html(sweep: Sweep) -> str:
    """Return the question of a sweep, and its points."""
    points = []
    for point in sweep.points:
        points.append(" ".join(f"{name}={value}" for name, value in point.items()))
    return render(NOTEBOOK_PACKAGE, "question.html", question=sweep.question, points=points)


def sweep_panel(
    corpus: str,
    preset: str = "laptop",
    name: str = "sweep",
    init: str | None = None,
    **settings: Value,
) -> SweepPanel:
    """Return the sweep panel; a sweep of this name that exists is shown, and *Start* resumes it.

    ``settings`` are shared by all runs, ``init`` is the run that they start from.
    """
    known = {sweep.name: sweep for sweep in all_sweeps()}
    if name in known:
        panel = SweepPanel(known[name])
        panel.watch(known[name])
        return panel

    axes = {"shuffling": ["none", "on-the-fly"]}
    return SweepPanel(Sweep(name, corpus, preset, settings, axes, init=init))
