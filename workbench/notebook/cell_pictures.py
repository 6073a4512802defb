"""What the cell of a long call shows while it works: the run's picture, or the sweep's matrix."""

from collections.abc import Callable

from workbench.figures.live_figure import LIVE_DPI, draw_live
from workbench.figures.style import PANEL_DPI, png
from workbench.figures.sweep_matrix import matrix
from workbench.figures.sweep_squares import draw_squares
from workbench.figures.tail import Tail
from workbench.reports.sweep_report import varied_axes
from workbench.storage.run import newest_run
from workbench.sweeping import Sweep, plan_cells
from workbench.sweeping.results import cell_table


def run_picture(name: str) -> Callable[[], bytes]:
    """Return what draws the newest run called ``name-…``, or nothing before it has begun."""
    tails: list[Tail] = []

    def draw() -> bytes:
        run = newest_run(name)
        if run is None or not run.status().state.active:
            return b""
        if not tails or tails[-1].run != run:
            tails.append(Tail(run))
        tails[-1].read()
        return png(draw_live(tails[-1]), LIVE_DPI)

    return draw


def sweep_picture(sweep: Sweep) -> Callable[[], bytes]:
    """Return what draws the matrix of a sweep as it stands."""

    def draw() -> bytes:
        cells = plan_cells(sweep)
        table = cell_table(cells)
        reached = {cell.cell.id: cell.reached for cell in cells}
        squares = matrix(table, varied_axes(sweep, table), "heldout_wer", reached)
        return png(draw_squares(squares), PANEL_DPI)

    return draw
