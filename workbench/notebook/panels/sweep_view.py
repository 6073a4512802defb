"""A sweep as it stands: the matrix to click, and curves and a table of chosen runs.

The view reads the folders of the sweep and its runs and holds no state: shown again, or in another
notebook, it is the same.
"""

import threading
from collections.abc import Callable, Mapping, Sequence

import ipywidgets as W
from markupsafe import Markup

from workbench.figures.style import PANEL_DPI, png
from workbench.figures.sweep_matrix import NAMES, cause_text, matrix
from workbench.figures.sweep_squares import draw_squares
from workbench.figures.tables import NOT_MEASURED, TITLES
from workbench.notebook.background import Background
from workbench.notebook.links import Server, find_server, served_html
from workbench.notebook.panels.charts import MOST_CURVES, SweepChart
from workbench.notebook.panels.matrix import MatrixGrid
from workbench.notebook.panels.parts import WRAPPED, Status, button, scrolled_html
from workbench.notebook.screen import Screen
from workbench.progress import duration_text
from workbench.reports.page import table_html
from workbench.reports.report import html_file, report_name, write_report
from workbench.reports.sweep_report import varied_axes
from workbench.settings import UserError
from workbench.storage.run import Run
from workbench.sweeping import CellState, PlannedCell, Sweep, count_states, plan_cells, time_left
from workbench.sweeping.results import cell_table

SWEEP_LOOK_SECONDS = 1.0  # between looks
TOGETHER = "seeds together"
APART = "apart"
DETAILED_MEASURES = ("heldout_wer", "test_wer", "frame_error")
MOST_REPORTED = 12  # runs that one report can hold and be read


AfterLook = Callable[[Sequence[PlannedCell]], None]


class SweepView:
    """The matrix of one sweep, with curves and a table of the chosen squares below.

    ``after_look`` gets the cells as each look has found them.
    """

    def __init__(self, status: Status, after_look: AfterLook | None = None):
        self.status = status
        self.after_look = after_look
        self.grid = MatrixGrid(self.choose)
        self.matrix = Screen(0, 0, self.grid.widget, keeps_colours=True)
        self.chart = SweepChart(status, self._redraw)
        self.curves = self.chart.screen
        self.detail = W.HTML()
        self.measure = W.Dropdown(
            options=[(title, measure) for measure, title in NAMES.items()],
            value="heldout_wer",
            description="shown",
            style={"description_width": "6em"},
            layout=W.Layout(width="auto"),
        )
        self.seeds = W.ToggleButtons(options=[TOGETHER, APART], style={"button_width": "auto"})
        self.report_button = button(
            "Report on these runs",
            self.report,
            status,
            help="one page about the runs of the chosen squares",
        )
        self.report_button.disabled = True
        squares = W.HBox([self.measure, self.seeds, self.report_button], layout=WRAPPED)
        self.widget = W.VBox([squares])
        self.chosen: tuple[str, ...] = ()  # ids of cells

        self._sweep: Sweep | None = None
        self._cells: list[PlannedCell] = []
        self._seen: list[tuple[str, CellState, str]] | None = None  # id, state, progress
        self._frozen = False
        self._drawing = threading.RLock()  # by the thread that follows, or by a click
        self._background = Background("view of a sweep")

        for toggle in (self.measure, self.seeds):
            toggle.observe(status.guard(self._redraw), "value")

    def look(self, sweep: Sweep, jobs: int = 1) -> bool:
        """Draw the sweep if it has changed since the last look; return whether a run runs.

        ``jobs``: runs at a time, for the estimate of the time left.
        """
        cells = plan_cells(sweep)
        seen = [(cell.cell.id, cell.state, cell.reached) for cell in cells]
        self._sweep = sweep
        self._cells = cells
        if self.after_look is not None:
            self.after_look(cells)
        if seen != self._seen:
            self._seen = seen
            self.matrix.show_message(f"{sweep.name}: {state_summary(cells, jobs)}")
            self.draw()

        return any(cell.state == CellState.RUNNING for cell in cells)

    def draw(self) -> None:
        """Draw matrix, curves and table as the sweep was seen last."""
        with self._drawing:
            self._draw()

    def _draw(self) -> None:
        if self._sweep is None:
            return

        table = cell_table(self._cells)
        axes = varied_axes(self._sweep, table)
        apart = self.seeds.value == APART and table.seed.nunique() > 1
        if apart:
            axes.append("seed")

        reached = {cell.cell.id: cell.reached for cell in self._cells}
        shown = matrix(table, axes, self.measure.value, reached)
        self.grid.show(shown)
        self.matrix.put(png(draw_squares(shown), PANEL_DPI))
        self._draw_chart(apart, axes)
        rows = detail_rows(self._chosen_cells()) if self.chosen else []
        self.detail.value = scrolled_html([table_html(rows)])
        self.report_button.disabled = not any(cell.run for cell in self._chosen_cells())

    def _draw_chart(self, apart: bool, axes: Sequence[str]) -> None:
        shown = self._chosen_cells() or self._cells
        groups = short_labels(groups_of(shown, apart))
        self.chart.draw(cell_table(shown), axes, groups)

        what = "Numbers" if self.chart.shows_columns else "Curves"
        if self.chosen:
            text = f"{what} of the chosen squares"
        else:
            text = f"{what} of all started runs; click a square to show only its runs"
        if len(groups) > MOST_CURVES and not self.chart.shows_columns:
            text += f"; the first {MOST_CURVES} of {len(groups)}"

        self.curves.show_message(text)

    def report(self) -> None:
        """Write one report on the runs of the chosen squares, and show its link."""
        runs = [cell.run for cell in self._chosen_cells() if cell.run is not None]
        if not runs:
            raise UserError("click a square whose runs have started")
        if len(runs) > MOST_REPORTED:
            raise UserError(
                f"{len(runs)} runs are too many for one page: choose at most {MOST_REPORTED}, "
                "or write the report on the sweep"
            )

        self.status.show_link("report: ", write_report(runs))
        self.draw()

    def _chosen_cells(self) -> list[PlannedCell]:
        return [cell for cell in self._cells if cell.cell.id in self.chosen]

    def choose(self, cells: Sequence[str]) -> None:
        """Show curves and table of the cells with these ids."""
        self.chosen = tuple(cells)
        self.status.guard(self._redraw)()

    def _redraw(self) -> None:
        with self._drawing:
            self.draw()
            if self._frozen:
                self.curves.thaw()
                self._frozen = False

    def watch(
        self, sweep: Sweep, jobs: int = 1, launched_runs: Callable[[], bool] | None = None
    ) -> None:
        """Follow the sweep in a thread while a run runs or ``launched_runs`` returns True."""
        self.detach()
        self._seen = None
        self.chosen = ()

        def follow() -> None:
            while True:
                # Asked before the look, so that what ends in between is seen.
                more_to_come = launched_runs is not None and launched_runs()
                running = self.look(sweep, jobs)
                if not running and not more_to_come:
                    break
                if self._background.pause(SWEEP_LOOK_SECONDS):
                    break

            with self._drawing:
                self.matrix.thaw()  # a saved notebook keeps its newest picture beside the buttons
                self.curves.freeze()
                self._frozen = True

        # The message that runs are being started stays until one has.
        self._background.start(self.status.guard(follow, clear=False))

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the sweep is no longer followed or ``timeout`` s are over; return which.

        True means that it is no longer followed.
        """
        return self._background.wait(timeout)

    def detach(self) -> None:
        """Stop following; the sweep continues."""
        self._background.stop()

    def show(self) -> None:
        """Display matrix, curves and table in the current cell."""
        from IPython.display import display

        self.matrix.show()
        display(self.chart.widget)  # right above what it chooses
        self.curves.show()
        display(self.chart.zoomed)
        display(self.detail)


def state_summary(cells: Sequence[PlannedCell], jobs: int) -> str:
    """Return how many cells are in which state and, while one runs, the time left."""
    text = ", ".join(f"{count} {state}" for state, count in count_states(cells).items())
    if any(cell.state == CellState.RUNNING for cell in cells):
        rest = time_left(cells, jobs)
        if rest:
            text += f"; {rest}"
    return text


def groups_of(cells: Sequence[PlannedCell], apart: bool) -> dict[str, list[Run]]:
    """Return the runs of cells by setting, or, with seeds ``apart``, by setting and seed."""
    groups: dict[str, list[Run]] = {}
    for cell in cells:
        if cell.run is not None:
            label = cell.cell.label
            if apart:
                label += f", seed={cell.cell.seed}"
            groups.setdefault(label, []).append(cell.run)

    return groups


def short_labels(groups: Mapping[str, list[Run]]) -> dict[str, list[Run]]:
    """Return the groups by what differs in their labels; what all share would only take room."""
    words = [label.replace(",", "").split() for label in groups]
    shared = set.intersection(*map(set, words)) if len(words) > 1 else set()
    labels = [" ".join(word for word in own if word not in shared) for own in words]

    return dict(zip(labels, groups.values(), strict=True))


def detail_rows(cells: Sequence[PlannedCell]) -> list[dict[str, str]]:
    """Return one row per cell: its setting, progress, numbers, run, and error.

    What no cell has, as a cause of failure, is left out.
    """
    server = find_server()
    rows = []
    for cell in cells:
        row = {
            "setting": cell.cell.label,
            "seed": str(cell.cell.seed),
            "state": cell.reached,
        }
        measured = cell.run.summary.numbers() if cell.run else {}
        for measure in DETAILED_MEASURES:
            value = measured.get(measure)
            row[TITLES[measure]] = NOT_MEASURED if value is None else f"{100 * value:.1f}"
        row["time"] = duration_text(cell.price.seconds) if cell.price else ""
        row["run"] = cell.run.name if cell.run else ""
        row["report"] = report_link(cell.run, server) if cell.run else ""
        row["cause"] = cause_text(cell.error)
        rows.append(row)

    known = [name for name in rows[0] if any(row[name] for row in rows)] if rows else []
    return [{name: row[name] for name in known} for row in rows]


def report_link(run: Run, server: Server | None) -> str:
    """Return a link to the report on a run alone; nothing if there is none or it is not served."""
    path = html_file(None, report_name([run.name]))
    return Markup(served_html(path, "report", server)) if path.exists() else ""
