"""The matrix of a sweep as buttons, which choose the cells of a square, row or column."""

from collections.abc import Callable, Sequence

import ipywidgets as W
import numpy as np
from markupsafe import escape

from workbench.figures.sweep_matrix import (
    NAMES,
    HeadLevel,
    Matrix,
    Range,
    Square,
    number_text,
    square_colours,
)
from workbench.notebook.screen import NOTEBOOK_PACKAGE
from workbench.reports.render import render

COLUMN_WIDTH = "minmax(8em, 12em)"
ROW_HEAD_WIDTH = "minmax(9em, 16em)"
SQUARE_HEIGHT = "4.4em"  # at least
HEAD_HEIGHT = 2.4  # em, of a level of heads
MOST_HEIGHT = "34em"  # of the matrix, which then scrolls below its heads
CHOSEN_BORDER = "3px solid #D55E00"
PLAIN_BORDER = "1px solid transparent"
SQUARE_CLASS = "workbench-square"
HEAD_CLASS = "workbench-head"
ROW_HEAD_CLASS = "workbench-row-head"
NAME_CLASS = "workbench-axis-name"
GROUP_CLASS = "workbench-group"  # of squares where a group of columns begins
LEGEND_STOPS = 9  # colours of the legend's gradient

Choose = Callable[[Sequence[str]], None]


class MatrixGrid:
    """Buttons in the colours of a `Matrix`; ``on_choose`` gets the ids of clicked cells.

    ``squares``: the buttons by the ids of their cells.
    """

    def __init__(self, on_choose: Choose):
        self.on_choose = on_choose
        self.legend = W.HTML()
        self.grid = W.GridBox()
        style = W.HTML(render(NOTEBOOK_PACKAGE, "squares.html"))
        scrolling = W.Layout(max_height=MOST_HEIGHT, overflow="auto", max_width="100%")
        self.widget = W.VBox([style, self.legend, W.Box([self.grid], layout=scrolling)])
        self.squares: dict[tuple[str, ...], W.Button] = {}
        self._shown: Matrix | None = None

    def show(self, m: Matrix) -> None:
        """Show a matrix; buttons are made anew only where rows or columns have changed."""
        old = self._shown
        self._shown = m
        if old is None or _frame(old) != _frame(m):
            self._lay_out(m)

        for row in m.squares:
            for square in row:
                if square.planned:
                    self._paint(self.squares[square.cells], square, m.measure)

        self.legend.value = legend_html(m)

    def choose(self, cells: Sequence[str]) -> None:
        """Mark the squares of these cells and pass them on."""
        for ids, made in self.squares.items():
            made.layout.border = CHOSEN_BORDER if set(ids) <= set(cells) else PLAIN_BORDER
        self.on_choose(cells)

    def _lay_out(self, m: Matrix) -> None:
        self.squares = {}
        levels = m.levels
        groups = {head.first for level in levels[:-1] for head in level.heads}
        widgets: list[W.Widget] = []
        for depth, level in enumerate(levels):
            widgets += self._level(m, level, depth)

        row = len(levels) + 1
        everything = [square for squares in m.squares for square in squares]
        corner = self._head("any value", f"{m.row_axis} ↓ all", everything)
        widgets.append(_placed(corner.add_class(ROW_HEAD_CLASS), row, 1))

        for name, squares in zip(m.rows, m.squares, strict=True):
            row += 1
            head = self._head(f"{m.row_axis}={name}", name, squares)
            widgets.append(_placed(head.add_class(ROW_HEAD_CLASS), row, 1))
            for column, square in enumerate(squares):
                made = self._square(square)
                if column in groups:
                    made.add_class(GROUP_CLASS)
                widgets.append(_placed(made, row, column + 2))

        columns = f"{ROW_HEAD_WIDTH} repeat({len(m.columns)}, {COLUMN_WIDTH})"
        self.grid.layout = W.Layout(grid_template_columns=columns, grid_gap="2px")
        self.grid.children = widgets

    def _level(self, m: Matrix, level: HeadLevel, depth: int) -> list[W.Widget]:
        """Return the name of an axis, and the heads of its values above their columns."""
        name = W.HTML(f"<b>{escape(level.axis)} →</b>").add_class(NAME_CLASS)
        widgets = [_placed(name, depth + 1, 1)]
        for head in level.heads:
            below = [s for row in m.squares for s in row[head.first : head.last + 1]]
            made = self._head(f"{level.axis}={head.text}", head.text, below)
            made.layout.top = f"{depth * HEAD_HEIGHT:g}em"  # where it stays while one scrolls
            widgets.append(_placed(made, depth + 1, head.first + 2, head.last - head.first + 1))

        return widgets

    def _head(self, label: str, text: str, squares: Sequence[Square]) -> W.Button:
        """Return the button that chooses all ``squares``."""
        layout = W.Layout(width="auto", height="auto", min_height=f"{HEAD_HEIGHT}em")
        made = W.Button(description=text, tooltip=f"curves of all with {label}", layout=layout)
        made.add_class(SQUARE_CLASS).add_class(HEAD_CLASS)
        self._choose_on_click(made, [cell for square in squares for cell in square.cells])

        return made

    def _square(self, square: Square) -> W.Widget:
        if not square.planned:
            return W.HTML()

        layout = W.Layout(
            width="auto", height="auto", min_height=SQUARE_HEIGHT, border=PLAIN_BORDER
        )
        made = W.Button(layout=layout)
        made.add_class(SQUARE_CLASS)
        self._choose_on_click(made, square.cells)
        self.squares[square.cells] = made

        return made

    def _choose_on_click(self, made: W.Button, cells: Sequence[str]) -> None:
        def clicked(_: W.Button) -> None:
            self.choose(cells)

        made.on_click(clicked)

    def _paint(self, made: W.Button, square: Square, measure: str) -> None:
        text = "\n".join(square.words(measure))
        if made.description != text:
            made.description = text
            made.tooltip = "\n".join([square.label, NAMES[measure], text, *square.causes])
        made.style.button_color = square.colours.background
        made.style.text_color = square.colours.text


def _frame(m: Matrix) -> tuple[object, ...]:
    """Return what decides where squares and heads are."""
    return m.row_axis, m.column_axes, m.rows, m.columns


def _placed(made: W.Widget, row: int, column: int, columns: int = 1) -> W.Widget:
    """Return the widget with its place in the grid."""
    made.layout.grid_area = f"{row} / {column} / span 1 / span {columns}"
    return made


def legend_html(m: Matrix) -> str:
    """Return the name of the measure and the scale of its colours."""
    unit = Range(0.0, 1.0)
    stops = np.linspace(unit.low, unit.high, LEGEND_STOPS)
    return render(
        NOTEBOOK_PACKAGE,
        "legend.html",
        name=NAMES[m.measure],
        measured=bool(np.isfinite(m.range.low)),
        low=number_text(m.range.low, m.measure),
        high=number_text(m.range.high, m.measure),
        stops=[square_colours(stop, unit, m.measure).background for stop in stops],
    )
