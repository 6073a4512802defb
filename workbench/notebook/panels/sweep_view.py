"""A sweep as it stands, in a notebook: the matrix to click, curves of what was clicked, and each run in detail.

Reads the sweep's folder and the runs', owns nothing: shown again, or in another notebook, it is the same.
"""

import threading
from collections.abc import Callable, Sequence

import ipywidgets as W

from workbench.figures.curves import AXES, draw_bands
from workbench.figures.style import png
from workbench.figures.sweep_matrix import NAMES, draw_squares, matrix
from workbench.notebook.panels.matrix import MatrixGrid
from workbench.notebook.panels.parts import Status, table_widget
from workbench.notebook.screen import Screen
from workbench.reports.page import table_html
from workbench.reports.sweep_report import varied_axes
from workbench.storage.run import Run
from workbench.sweeping import PlannedCell, Sweep, counts, left, plan
from workbench.sweeping.results import cell_table

PERIOD = 1.0  # seconds between looks
DPI = 84
LINES = 7  # as many as have colours of their own
WIDTH, HEIGHT = 857, 262  # of the curves, pixels


class SweepView:
    """The matrix of one sweep, and below it the curves of the chosen squares, by default of all."""

    def __init__(self, status: Status):
        self.status = status
        self.grid = MatrixGrid(self.choose)
        self.curves, self.detail = Screen(WIDTH, HEIGHT), W.HTML()
        about = {"style": {"description_width": "6em"}, "layout": W.Layout(width="auto")}
        self.measure = W.Dropdown(
            options=[(v, k) for k, v in NAMES.items()],
            value="heldout_wer",
            description="shown",
            **about,
        )
        self.seeds = W.ToggleButtons(
            options=["seeds together", "apart"], style={"button_width": "auto"}
        )
        self.against = W.ToggleButtons(
            options=[(v, k) for k, v in AXES.items()],
            value="epochs",
            style={"button_width": "auto"},
        )
        self.widget = W.HBox([self.measure, self.seeds, self.against])
        self.matrix = Screen(0, 0, self.grid.widget)
        self.chosen: tuple[str, ...] = ()  # ids of cells
        self._cells: list[PlannedCell] = []
        self._sweep: Sweep | None = None
        self._seen: object = None
        self._frozen = False
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        for toggle in (self.measure, self.seeds, self.against):
            toggle.observe(status.guarded(self._redraw), "value")

    def look(self, sweep: Sweep, jobs: int = 1) -> bool:
        """Draw what has changed since the last look; whether anything still runs."""
        cells = plan(sweep)
        news = [(c.cell.id, c.state, c.reached) for c in cells]
        self._sweep, self._cells = sweep, cells
        if news != self._seen:
            self._seen = news
            self.matrix.say(f"{sweep.name}: {summary(cells, jobs)}")
            self.draw()
        return any(c.state == "running" for c in cells)

    def draw(self) -> None:
        """Matrix, curves and table of the sweep as it was seen last."""
        if self._sweep is None:
            return
        table, reached = cell_table(self._cells), {c.cell.id: c.reached for c in self._cells}
        apart = ["seed"] if self.seeds.value == "apart" and table.seed.nunique() > 1 else []
        shown = matrix(
            table, [*varied_axes(self._sweep, table), *apart], self.measure.value, reached
        )
        self.grid.show(shown)
        self.matrix.put(png(draw_squares(shown), DPI))
        groups = grouped(
            [c for c in self._cells if not self.chosen or c.cell.id in self.chosen], bool(apart)
        )
        drawn = dict(list(groups.items())[:LINES])
        self.curves.put(png(draw_bands(drawn, against=self.against.value, height=3.1), DPI))
        what = (
            "Curves of the chosen squares"
            if self.chosen
            else "Curves of all that has begun; click a square for its own"
        )
        self.curves.say(
            what + (f"; the first {LINES} of {len(groups)}" if len(groups) > LINES else "")
        )
        rows = detail_rows(self._cells, self.chosen)
        self.detail.value = table_widget(table_html(rows)).value if rows else ""

    def choose(self, cells: Sequence[str]) -> None:
        """Curves and table of these cells."""
        self.chosen = tuple(cells)
        self.status.guarded(self._redraw)()

    def _redraw(self) -> None:
        self.draw()
        if self._frozen:
            self.curves.thaw()
            self._frozen = False

    def watch(self, sweep: Sweep, jobs: int = 1, going: Callable[[], bool] = lambda: False) -> None:
        """Follow the sweep in a thread for as long as a run of it runs, or ``going`` says so."""
        self.detach()
        self._stop.clear()
        self._seen, self.chosen = None, ()

        def follow() -> None:
            while True:
                going_on = going()  # asked first, so that what ends meanwhile is still drawn
                if not (self.look(sweep, jobs) or going_on) or self._stop.wait(PERIOD):
                    break
            self.matrix.thaw()  # the picture that the saved notebook keeps, beside the buttons
            self.curves.freeze()
            self._frozen = True

        self._thread = threading.Thread(
            target=self.status.guarded(follow), daemon=True, name=f"view of {sweep.name}"
        )
        self._thread.start()

    def detach(self) -> None:
        """Stop watching; the sweep goes on."""
        self._stop.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()

    def show(self) -> None:
        """Display the parts below the controls in the cell that runs now."""
        from IPython.display import display

        self.matrix.show()
        self.curves.show()
        display(self.detail)


def summary(cells: Sequence[PlannedCell], jobs: int) -> str:
    """How many cells are in which state, and how long the rest will take."""
    words = ", ".join(f"{n} {state}" for state, n in counts(cells).items())
    rest = left(cells, jobs) if any(c.state == "running" for c in cells) else ""
    return f"{words}; {rest}" if rest else words


def grouped(cells: Sequence[PlannedCell], apart: bool) -> dict[str, list[Run]]:
    """The runs of cells by setting, or each by itself."""
    out: dict[str, list[Run]] = {}
    for c in cells:
        if c.run is not None:
            out.setdefault(
                f"{c.cell.label}, seed {c.cell.seed}" if apart else c.cell.label, []
            ).append(c.run)
    return out


def detail_rows(cells: Sequence[PlannedCell], chosen: Sequence[str]) -> list[dict[str, str]]:
    """One row per chosen cell: where it is, its numbers, its run, and what went wrong."""
    rows = []
    for c in cells:
        if c.cell.id in chosen:
            summary = c.run.summary if c.run else {}
            numbers = {k: summary.get(k) for k in ("heldout_wer", "test_wer", "frame_error")}
            rows.append(
                {"setting": c.cell.label, "seed": str(c.cell.seed), "state": c.reached}
                | {NAMES[k]: "–" if v is None else f"{100 * v:.1f}" for k, v in numbers.items()}
                | {
                    "minutes": f"{c.seconds / 60:.1f}" if c.seconds else "",
                    "run": c.run.name if c.run else "",
                    "error": c.error,
                }
            )
    return rows
