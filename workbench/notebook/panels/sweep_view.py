"""A sweep as it stands: the matrix to click, and curves and a table of chosen runs.

The view reads the folders of the sweep and its runs and holds no state: shown again, or in another
notebook, it is the same.
"""

from collections.abc import Callable, Sequence

import ipywidgets as W

from workbench.figures.curves import AXES, draw_bands
from workbench.figures.style import COLOURS, PANEL_DPI, png
from workbench.figures.sweep_matrix import NAMES, draw_squares, matrix
from workbench.figures.tables import NOT_MEASURED
from workbench.notebook.background import Background
from workbench.notebook.panels.matrix import MatrixGrid
from workbench.notebook.panels.parts import Status, scrolled_html
from workbench.notebook.screen import Screen
from workbench.reports.page import table_html
from workbench.reports.sweep_report import varied_axes
from workbench.storage.run import Run
from workbench.sweeping import CellState, PlannedCell, Sweep, count_states, plan_cells, time_left
from workbench.sweeping.results import cell_table

SWEEP_LOOK_SECONDS = 1.0  # between looks
MOST_CURVES = len(COLOURS)
CURVES_WIDTH = 857  # pixels
CURVES_HEIGHT = 262  # pixels
CURVES_INCHES = 3.1  # of height
TOGETHER = "seeds together"
APART = "apart"
DETAILED_MEASURES = ("heldout_wer", "test_wer", "frame_error")


class SweepView:
    """The matrix of one sweep, with curves and a table of the chosen squares below."""

    def __init__(self, status: Status):
        self.status = status
        self.grid = MatrixGrid(self.choose)
        self.matrix = Screen(0, 0, self.grid.widget)
        self.curves = Screen(CURVES_WIDTH, CURVES_HEIGHT)
        self.detail = W.HTML()
        self.measure = W.Dropdown(
            options=[(title, measure) for measure, title in NAMES.items()],
            value="heldout_wer",
            description="shown",
            style={"description_width": "6em"},
            layout=W.Layout(width="auto"),
        )
        self.seeds = W.ToggleButtons(options=[TOGETHER, APART], style={"button_width": "auto"})
        self.against = W.ToggleButtons(
            options=[(title, against) for against, title in AXES.items()],
            value="epochs",
            style={"button_width": "auto"},
        )
        self.widget = W.HBox([self.measure, self.seeds, self.against])
        self.chosen: tuple[str, ...] = ()  # ids of cells

        self._sweep: Sweep | None = None
        self._cells: list[PlannedCell] = []
        self._seen: list[tuple[str, CellState, str]] | None = None  # id, state, progress
        self._frozen = False
        self._background = Background("view of a sweep")

        for toggle in (self.measure, self.seeds, self.against):
            toggle.observe(status.guard(self._redraw), "value")

    def look(self, sweep: Sweep, jobs: int = 1) -> bool:
        """Draws the sweep if it has changed since the last look; returns whether a run runs.

        ``jobs``: runs at a time, for the estimate of the time left.
        """
        cells = plan_cells(sweep)
        seen = [(cell.cell.id, cell.state, cell.reached) for cell in cells]
        self._sweep = sweep
        self._cells = cells
        if seen != self._seen:
            self._seen = seen
            self.matrix.show_message(f"{sweep.name}: {state_summary(cells, jobs)}")
            self.draw()
        return any(cell.state == CellState.RUNNING for cell in cells)

    def draw(self) -> None:
        """Draws matrix, curves and table as the sweep was seen last."""
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
        self._draw_curves(apart)

        rows = detail_rows(self._chosen_cells()) if self.chosen else []
        self.detail.value = scrolled_html([table_html(rows)])

    def _draw_curves(self, apart: bool) -> None:
        groups = groups_of(self._chosen_cells() if self.chosen else self._cells, apart)
        drawn = dict(list(groups.items())[:MOST_CURVES])
        fig = draw_bands(drawn, against=self.against.value, height=CURVES_INCHES)
        self.curves.put(png(fig, PANEL_DPI))

        if self.chosen:
            text = "Curves of the chosen squares"
        else:
            text = "Curves of all started runs; click a square to show only its runs"
        if len(groups) > MOST_CURVES:
            text += f"; the first {MOST_CURVES} of {len(groups)}"
        self.curves.show_message(text)

    def _chosen_cells(self) -> list[PlannedCell]:
        return [cell for cell in self._cells if cell.cell.id in self.chosen]

    def choose(self, cells: Sequence[str]) -> None:
        """Shows curves and table of the cells with these ids."""
        self.chosen = tuple(cells)
        self.status.guard(self._redraw)()

    def _redraw(self) -> None:
        self.draw()
        if self._frozen:
            self.curves.thaw()
            self._frozen = False

    def watch(
        self, sweep: Sweep, jobs: int = 1, launched_runs: Callable[[], bool] | None = None
    ) -> None:
        """Follows the sweep in a thread while a run runs or ``launched_runs`` returns True."""
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

            self.matrix.thaw()  # a saved notebook keeps its newest picture beside the buttons
            self.curves.freeze()
            self._frozen = True

        self._background.start(self.status.guard(follow))

    def wait(self, timeout: float | None = None) -> bool:
        """Waits until the sweep is no longer followed or ``timeout`` s are over; returns which.

        True means that it is no longer followed.
        """
        return self._background.wait(timeout)

    def detach(self) -> None:
        """Stops following; the sweep continues."""
        self._background.stop()

    def show(self) -> None:
        """Displays matrix, curves and table in the current cell."""
        from IPython.display import display

        self.matrix.show()
        self.curves.show()
        display(self.detail)


def state_summary(cells: Sequence[PlannedCell], jobs: int) -> str:
    """Returns how many cells are in which state and, while one runs, the time left."""
    text = ", ".join(f"{count} {state}" for state, count in count_states(cells).items())
    if any(cell.state == CellState.RUNNING for cell in cells):
        rest = time_left(cells, jobs)
        if rest:
            text += f"; {rest}"
    return text


def groups_of(cells: Sequence[PlannedCell], apart: bool) -> dict[str, list[Run]]:
    """Returns the runs of cells by setting, or, with seeds ``apart``, by setting and seed."""
    groups: dict[str, list[Run]] = {}
    for cell in cells:
        if cell.run is not None:
            label = cell.cell.label
            if apart:
                label += f", seed {cell.cell.seed}"
            groups.setdefault(label, []).append(cell.run)

    return groups


def detail_rows(cells: Sequence[PlannedCell]) -> list[dict[str, str]]:
    """Returns one row per cell: its setting, progress, numbers, run, and error."""
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
            row[NAMES[measure]] = NOT_MEASURED if value is None else f"{100 * value:.1f}"
        row["minutes"] = f"{cell.price.seconds / 60:.1f}" if cell.price else ""
        row["run"] = cell.run.name if cell.run else ""
        row["error"] = cell.error
        rows.append(row)

    return rows
