"""The comparison panel: curves of marked runs, their differences and verdicts."""

import ipywidgets as W
import pandas as pd
from markupsafe import Markup

from workbench.figures.compare import pairwise, settings_difference
from workbench.figures.curves import AXES, draw_curves
from workbench.figures.style import PANEL_DPI, png
from workbench.figures.tables import display_rows
from workbench.metrics.verdicts import MARGIN
from workbench.notebook.panels.parts import (
    RUN_LIST_WIDTH,
    Status,
    button,
    display_panel,
    scrolled_html,
)
from workbench.notebook.screen import Screen
from workbench.reports.page import table_html
from workbench.reports.report import write_report
from workbench.settings import UserError
from workbench.storage.run import Run, all_runs, find_run


class ComparePanel:
    """Runs to mark, a toggle for the axis, a figure of their curves, and three tables."""

    def __init__(self, *names: str):
        known = [run.name for run in all_runs()]
        if not known:
            raise UserError("no runs yet: train one first")

        marked = [find_run(name).name for name in names] or known[-2:]
        self.status = Status()
        self.screen = Screen(857, 270)
        self.tables = W.HTML()
        self.runs = W.SelectMultiple(
            options=known,
            value=marked,
            rows=min(8, len(known)),
            layout=W.Layout(width=RUN_LIST_WIDTH),
        )
        axes = [(title, against) for against, title in AXES.items()]
        self.against = W.ToggleButtons(options=axes, value="epochs", style={"button_width": "auto"})
        self.margin = W.BoundedFloatText(
            value=100 * MARGIN,
            min=0.01,
            max=100.0,
            step=0.1,
            description="margin, %",
            tooltip="the difference of word error rates, absolute, that still counts as equivalent",
            layout=W.Layout(width="12em"),
        )
        report = button("Report", self.report, self.status)
        beside = W.VBox([self.against, self.margin, report, self.status.widget])
        self.widget = W.VBox([W.HBox([self.runs, beside]), self.tables])

        for widget in (self.runs, self.against, self.margin):
            widget.observe(self.status.guard(self.draw), "value")
        self.draw()

    def draw(self) -> None:
        """Draw curves and tables of the marked runs."""
        runs = self._marked()
        self.screen.put(png(draw_curves(runs, against=self.against.value), PANEL_DPI))
        margin = self.margin.value / 100
        tables = [table_html(display_rows(runs, margin))]
        if len(runs) > 1:
            tables.append(Markup(settings_difference(runs).to_html(escape=True)))
        verdicts = pairwise(runs, margin)
        if len(verdicts):
            tables.append(_verdicts_html(verdicts))
        self.tables.value = scrolled_html(tables)

    def report(self) -> None:
        """Write the report on the marked runs."""
        out = write_report(self._marked(), margin=self.margin.value / 100)
        self.status.show_link("report: ", out)

    def _marked(self) -> list[Run]:
        if not self.runs.value:
            raise UserError("mark at least one run")
        return [find_run(name) for name in self.runs.value]

    def _ipython_display_(self) -> None:
        display_panel(self.widget, [self.screen])


def _verdicts_html(verdicts: pd.DataFrame) -> Markup:
    html = verdicts.to_html(escape=True, index=False, float_format="{:.3f}".format)
    return Markup(html)


def compare_panel(*names: str) -> ComparePanel:
    """Return the comparison panel with these runs marked, by default the last two."""
    return ComparePanel(*names)
