"""The picture below a sweep's matrix: curves over training, or any column against any other."""

from collections.abc import Callable, Mapping, Sequence

import ipywidgets as W
import pandas as pd

from workbench.figures.curves import AXES, draw_bands
from workbench.figures.style import COLOURS, PANEL_DPI, png
from workbench.figures.sweep_columns import (
    SEED,
    ColumnChoice,
    column_plot,
    draw_columns,
    drawable_columns,
    measured_columns,
)
from workbench.notebook.panels.parts import PANEL_CLASS, WRAPPED, Status, set_options
from workbench.notebook.screen import NOTEBOOK_PACKAGE, Screen
from workbench.reports.interactive import column_page, interactive_page
from workbench.reports.render import render
from workbench.storage.run import Run

MOST_CURVES = 2 * len(COLOURS)
WIDTH = 857  # pixels
HEIGHT = 290  # pixels
INCHES = (WIDTH / PANEL_DPI, HEIGHT / PANEL_DPI)
CURVES = "curves over training"
COLUMNS = "any column against any"
ZOOMED_HEIGHT = 460  # pixels

Groups = Mapping[str, Sequence[Run]]


class SweepChart:
    """One picture of the chosen runs, the widgets that say which, and its form to zoom.

    ``on_change`` is called when a widget asks for another picture.
    """

    def __init__(self, status: Status, on_change: Callable[[], None]):
        self.screen = Screen(WIDTH, HEIGHT)
        self.kind = W.ToggleButtons(
            options=[CURVES, COLUMNS],
            style={"button_width": "auto"},
        )
        self.against = W.ToggleButtons(
            options=[(title, against) for against, title in AXES.items()],
            value="epochs",
            style={"button_width": "auto"},
        )
        self.before_against = W.Label("against", layout=W.Layout(margin="2px 6px 2px 18px"))
        self.x = _dropdown("across")
        self.y = _dropdown("up")
        self.colour = _dropdown("colour")
        self.panels = _dropdown("panels")
        self.zoom = W.ToggleButton(
            description="Hover and zoom",
            tooltip="the same picture below, to point at, zoom and hide lines in",
            layout=W.Layout(width="auto"),
        )
        self.zoomed = W.HTML()
        self.columns = W.HBox([self.x, self.y, self.colour, self.panels])
        self.columns.layout = W.Layout(flex_flow="row wrap", display="none")  # of its own: it hides
        first = W.HBox([self.kind, self.before_against, self.against, self.zoom], layout=WRAPPED)
        self.widget = W.VBox([first, self.columns]).add_class(PANEL_CLASS)

        self._offered: tuple[tuple[str, ...], tuple[str, ...]] | None = None
        self._offering = False
        redraw = status.guard(on_change)

        def changed(_: object) -> None:
            if not self._offering:
                redraw()

        chosen = (self.kind, self.against, self.x, self.y, self.colour, self.panels, self.zoom)
        for widget in chosen:
            widget.observe(changed, "value")

    @property
    def shows_columns(self) -> bool:
        """Whether columns are drawn against each other, not curves."""
        return bool(self.kind.value == COLUMNS)

    @property
    def choice(self) -> ColumnChoice:
        """The columns that the widgets name."""
        return ColumnChoice(self.x.value, self.y.value, self.colour.value, self.panels.value)

    def draw(self, table: pd.DataFrame, axes: Sequence[str], groups: Groups) -> None:
        """Draw the cells of ``table``, whose runs are in ``groups`` by their labels."""
        self.offer(table, axes)
        self.columns.layout.display = "" if self.shows_columns else "none"
        for widget in (self.before_against, self.against):
            widget.layout.display = "none" if self.shows_columns else ""
        drawn = dict(list(groups.items())[:MOST_CURVES])
        if not self.shows_columns:
            fig = draw_bands(drawn, against=self.against.value, height=INCHES[1])
            self.screen.put(png(fig, PANEL_DPI))
        elif self.x.value and self.y.value:
            self.screen.put(png(draw_columns(table, self.choice, *INCHES), PANEL_DPI))

        self.zoomed.value = self._zoomed_html(table, drawn) if self.zoom.value else ""

    def _zoomed_html(self, table: pd.DataFrame, groups: Groups) -> str:
        if self.shows_columns:
            if not (self.x.value and self.y.value):
                return ""
            page = column_page(column_plot(table, self.choice), "columns of the sweep")
        else:
            page = interactive_page(groups, "curves of the sweep")
        return render(NOTEBOOK_PACKAGE, "zoomed.html", page=page, height=ZOOMED_HEIGHT)

    def offer(self, table: pd.DataFrame, axes: Sequence[str]) -> None:
        """Offer the columns that can be drawn now; a choice that still can be is kept."""
        across = drawable_columns(table, axes)
        up = measured_columns(table)
        offered = (tuple(across), tuple(up))
        if offered == self._offered:
            return

        self._offered = offered
        self._offering = True
        dividing = {"nothing": "", **{axis: axis for axis in (*axes, SEED)}}
        set_options(self.x, [(title, name) for name, title in across.items()], axes[0])
        set_options(self.y, [(title, name) for name, title in up.items()], next(iter(up), None))
        set_options(self.colour, dividing.items(), axes[1] if len(axes) > 1 else "")
        set_options(self.panels, dividing.items(), axes[2] if len(axes) > 2 else "")
        self._offering = False


def _dropdown(name: str) -> W.Dropdown:
    return W.Dropdown(
        options=[],
        description=name,
        style={"description_width": "4em"},
        layout=W.Layout(width="19em"),
    )
