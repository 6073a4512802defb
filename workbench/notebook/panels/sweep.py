"""The sweep panel: choose what to vary, see what it will take, start, and watch the matrix fill in."""

import threading
from collections.abc import Mapping
from dataclasses import replace
from html import escape
from typing import Any

import ipywidgets as W

from workbench.notebook.panels.parts import WIDE, Status, bounds, button
from workbench.notebook.panels.sweep_view import SweepView
from workbench.reports.sweep_report import write_sweep_report
from workbench.runs.launch import Launched
from workbench.settings import SETTINGS, UserError
from workbench.sweeping import (
    Sweep,
    all_sweeps,
    ask_to_stop,
    counts,
    estimate,
    find_sweep,
    plan,
    recipe,
    recipes,
    results,
)
from workbench.sweeping.launch import launch_sweep

VARIED = (
    "shuffling",
    "trained",
    "criterion",
    "decoder_seconds",
    "replicas",
    "learning_rate",
)  # others by `more`
LABELS = {"description_width": "9em"}


def axis_control(name: str) -> W.Widget:
    """Choices of a setting to mark, or a line of values."""
    field = SETTINGS[name]
    about: dict[str, Any] = {"description": name, "tooltip": bounds(field), "style": LABELS}
    if field.choices:
        choices = field.choices
        return W.SelectMultiple(
            options=choices, layout=W.Layout(height=f"{1.5 * len(choices) + 0.6}em"), **about
        )
    return W.Text(placeholder="1, 10, 50", continuous_update=False, **about)


def values_of(widget: W.Widget) -> list[str]:
    """What was marked or typed."""
    if isinstance(widget, W.SelectMultiple):
        return list(widget.value)
    return [v.strip() for v in widget.value.split(",") if v.strip()]


class SweepPanel:
    """Everything about one sweep; the widgets edit a `Sweep`, which is also what `Copy as Python` prints."""

    def __init__(self, sweep: Sweep):
        self.status, self.base = Status(), sweep
        self.view = SweepView(self.status)
        self.axes = {name: axis_control(name) for name in VARIED}
        self.more = W.Text(
            placeholder="batch=8,32; beam=6,10",
            description="more axes",
            continuous_update=False,
            style=LABELS,
        )
        self.seeds = W.Text(
            value=", ".join(map(str, sweep.seeds)),
            description="seeds",
            continuous_update=False,
            style=LABELS,
        )
        self.name = W.Text(value=sweep.name, description="name")
        self.jobs = W.BoundedIntText(
            value=2, min=1, max=64, description="at a time", layout=W.Layout(width="11em")
        )
        self.known = W.Dropdown(options=["", *(s.name for s in all_sweeps())], description="go to")
        self.recipe = W.Dropdown(options=["", *recipes()], description="recipe")
        self.size = W.Dropdown(
            options=["watch", "laptop"], description="size", layout=W.Layout(width="12em")
        )
        self.question, self.count = W.HTML(), W.HTML()
        self.python = W.Textarea(layout=W.Layout(width="100%", height="9em"))
        self.launched: Launched | None = None
        self.estimating: threading.Thread | None = None
        self.widget = self._layout()
        self._show_axes(sweep)

    def _layout(self) -> W.VBox:
        say = self.status
        marked = [w for w in self.axes.values() if isinstance(w, W.SelectMultiple)]
        typed = [w for w in self.axes.values() if isinstance(w, W.Text)]
        acts = (
            ("Estimate", self.estimate, "info"),
            ("Start", self.start, "success"),
            ("Stop after current", self.stop, "warning"),
            ("Cancel", self.cancel, "danger"),
            ("Resume", self.start, ""),
            ("Retry failed", self.retry, ""),
            ("Copy as Python", self.copy, ""),
            ("Report", self.report, ""),
        )
        for widget, act in (
            (self.known, self._go),
            (self.recipe, self._recipe_chosen),
            (self.size, self._recipe_chosen),
        ):
            widget.observe(say.guarded(act), "value")
        for widget in (*self.axes.values(), self.more, self.seeds):
            widget.observe(say.guarded(self._count), "value")
        code = W.Accordion([self.python], titles=["as Python"], selected_index=None, layout=WIDE)
        return W.VBox(
            [
                W.HBox([self.recipe, self.size, self.known]),
                W.HBox([self.name, self.jobs]),
                self.question,
                W.HBox([W.VBox(marked), W.VBox([*typed, self.more, self.seeds, self.count])]),
                W.HBox(
                    [button(text, act, say, style) for text, act, style in acts],
                    layout=W.Layout(flex_flow="row wrap"),
                ),
                say.widget,
                code,
                self.view.widget,
            ],
            layout=WIDE,
        )

    def _show_axes(self, sweep: Sweep) -> None:
        for name, widget in self.axes.items():
            chosen = sweep.axes.get(name, ())
            many = isinstance(chosen, Mapping)
            widget.value = (
                (() if many else tuple(chosen))
                if isinstance(widget, W.SelectMultiple)
                else ("" if many else ", ".join(map(str, chosen)))
            )
        rest = {
            k: v for k, v in sweep.axes.items() if k not in self.axes and not isinstance(v, Mapping)
        }
        self.more.value = "; ".join(f"{k}={','.join(map(str, v))}" for k, v in rest.items())
        self.python.value = sweep.as_python()
        points = "; ".join(" ".join(f"{k}={v}" for k, v in point.items()) for point in sweep.points)
        self.question.value = f"<i>{escape(sweep.question)}</i>" + (
            f" Points: {escape(points)}" if points else ""
        )
        self._count()

    def value(self) -> Sweep:
        """The sweep that the widgets say; UserError names what cannot be."""
        axes: dict[str, Any] = {
            name: values for name, w in self.axes.items() if (values := values_of(w))
        }
        for part in filter(None, (p.strip() for p in self.more.value.split(";"))):
            name, equals, values = part.partition("=")
            if not equals:
                raise UserError(f"more axes: {part}: write field=v1,v2")
            axes[name.strip()] = [v.strip() for v in values.split(",")]
        seeds = [int(s) for s in self.seeds.value.replace(",", " ").split()]
        axes |= {k: v for k, v in self.base.axes.items() if isinstance(v, Mapping)}
        made = replace(self.base, name=self.name.value.strip(), axes=axes, seeds=seeds or [0])
        return made if made == self.base else replace(made, recipe="")

    def estimate(self) -> None:
        """Runs, minutes, disk; returns at once, since kinds that never ran are rehearsed for some seconds each."""

        def rehearse() -> None:
            self.status.say("rehearsing for some seconds …")
            self.status.say(str(estimate(wanted, self.jobs.value)))

        wanted = self.value()
        self.estimating = threading.Thread(
            target=self.status.guarded(rehearse), daemon=True, name="estimate"
        )
        self.estimating.start()

    def _count(self) -> None:
        """How many runs the widgets say, as a product; at every change."""
        sweep = self.value()
        factors = (
            [(len(v), k) for k, v in sweep.axes.items() if not isinstance(v, Mapping)]
            if not sweep.draws
            else []
        )
        factors += [(len(sweep.points), "points")] if sweep.points and not sweep.draws else []
        factors += [(sweep.draws, "random draws")] if sweep.draws else []
        words = " × ".join(f"{n} {name}" for n, name in [*factors, (len(sweep.seeds), "seeds")])
        self.count.value = f"{escape(words)} = <b>{len(sweep.cells())} runs</b>"

    def start(self, retry: bool = False) -> None:
        """Carry out what is missing, in a process of its own."""
        sweep = self.value()
        self.status.say(f"{len(sweep.cells())} runs")
        self.launched = launch_sweep(sweep, self.jobs.value, retry)
        self.watch(sweep)

    def retry(self) -> None:
        """Failed cells too."""
        self.start(retry=True)

    def stop(self) -> None:
        """No more runs after those under way."""
        ask_to_stop(self.value())
        self.status.say("stops after the current runs")

    def cancel(self) -> None:
        """Current runs come to rest at a checkpoint."""
        ask_to_stop(self.value(), now=True)
        self.status.say("current runs come to rest; resume goes on with them")

    def copy(self) -> None:
        """The sweep as code."""
        self.python.value = self.value().as_python()

    def report(self) -> None:
        """Write the report."""
        self.status.say(f"report: {write_sweep_report(results(find_sweep(self.name.value)))}")

    def _go(self) -> None:
        if self.known.value:
            self.base = find_sweep(self.known.value)
            self.name.value, self.seeds.value = self.base.name, ", ".join(map(str, self.base.seeds))
            self._show_axes(self.base)
            self.watch(self.base)

    def _recipe_chosen(self) -> None:
        if self.recipe.value:
            self.base = recipe(self.recipe.value, self.base.corpus, self.size.value, self.base.init)
            self.name.value, self.seeds.value = self.base.name, ", ".join(map(str, self.base.seeds))
            self._show_axes(self.base)

    def watch(self, sweep: Sweep) -> None:
        """Follow the sweep until nothing runs; what its process said last is shown if that left cells undone."""

        def going() -> bool:
            running = self.launched is not None and self.launched.running
            if self.launched is not None and not running and "missing" in counts(plan(sweep)):
                self.status.show_log(self.launched.last_lines())
            return running

        self.view.watch(sweep, self.jobs.value, going)

    def _ipython_display_(self) -> None:
        from IPython.display import display

        display(self.widget)
        self.view.show()


def sweep_panel(
    corpus: str,
    preset: str = "laptop",
    name: str = "sweep",
    init: str | None = None,
    **settings: Any,
) -> SweepPanel:
    """The sweep panel; ``settings`` are shared by all runs. A sweep of this name that exists is gone on with."""
    known = {s.name: s for s in all_sweeps()}
    base = known.get(name) or Sweep(
        name, corpus, preset, settings, {"shuffling": ["none", "on-the-fly"]}, init=init
    )
    panel = SweepPanel(base)
    if name in known:
        panel.watch(base)
    return panel
