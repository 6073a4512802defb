"""The comparison panel: pick runs, lay their curves over each other, see in what they differ and whether it is luck."""

import ipywidgets as W

from workbench.figures.compare import pairwise, settings_difference
from workbench.figures.curves import AXES, draw_curves
from workbench.figures.style import png
from workbench.figures.tables import display_rows
from workbench.notebook.panels.parts import Status, button, table_widget
from workbench.notebook.screen import Screen
from workbench.reports.page import table_html
from workbench.reports.report import write_report
from workbench.settings import UserError
from workbench.storage.run import all_runs, find_run

DPI = 84


class ComparePanel:
    """Runs to mark, one toggle for the axis, an overlay and three tables."""

    def __init__(self, *names: str):
        known = [r.name for r in all_runs()]
        if not known:
            raise UserError("no runs yet: train one first")
        chosen = [find_run(n).name for n in names] or known[-2:]
        self.status, self.screen, self.tables = Status(), Screen(857, 270), W.HTML()
        self.runs = W.SelectMultiple(
            options=known, value=chosen, rows=min(8, len(known)), layout=W.Layout(width="24em")
        )
        self.against = W.ToggleButtons(options=[(v, k) for k, v in AXES.items()], value="epochs")
        report = button("Report", self.report, self.status)
        self.widget = W.VBox(
            [W.HBox([self.runs, W.VBox([self.against, report, self.status.widget])]), self.tables]
        )
        for widget in (self.runs, self.against):
            widget.observe(self.status.guarded(self.draw), "value")
        self.draw()

    def draw(self) -> None:
        """Overlay and tables of the marked runs."""
        runs = [find_run(name) for name in self.runs.value]
        if not runs:
            raise UserError("mark at least one run")
        self.screen.put(png(draw_curves(runs, against=self.against.value), DPI))
        different, tested = settings_difference(runs), pairwise(runs)
        parts = [
            table_html(display_rows(runs)),
            different.to_html(escape=True) if len(runs) > 1 else "",
        ]
        parts += [
            tested.to_html(escape=True, index=False, float_format="{:.3f}".format)
            if len(tested)
            else ""
        ]
        self.tables.value = table_widget("<br>".join(p for p in parts if p)).value

    def report(self) -> None:
        """Write the report on the marked runs."""
        self.status.say(f"report: {write_report([find_run(name) for name in self.runs.value])}")

    def _ipython_display_(self) -> None:
        from IPython.display import display

        display(self.widget)
        self.screen.show()


def compare_panel(*names: str) -> ComparePanel:
    """The comparison panel, with these runs marked (default: the last two)."""
    return ComparePanel(*names)
