"""The matrix of a sweep as buttons, which choose the cells of a square, row or column."""

from collections.abc import Callable, Sequence

import ipywidgets as W
import numpy as np

from workbench.figures.sweep_matrix import (
    BLACK,
    NAMES,
    WHITE,
    Matrix,
    Range,
    Square,
    number_text,
    square_colours,
)
from workbench.notebook.screen import NOTEBOOK_PACKAGE
from workbench.reports.render import render

COLUMN_WIDTH = "minmax(9.5em, 12em)"
ROW_HEAD_WIDTH = "minmax(11em, 16em)"
SQUARE_HEIGHT = "4.4em"
CHOSEN_BORDER = "3px solid #D55E00"
PLAIN_BORDER = "1px solid #ffffff"
SQUARE_CLASS = "workbench-square"
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
        style = W.HTML(render(NOTEBOOK_PACKAGE, "squares.html", name=SQUARE_CLASS))
        self.widget = W.VBox([style, self.legend, self.grid])
        self.squares: dict[tuple[str, ...], W.Button] = {}
        self._shown: Matrix | None = None

    def show(self, m: Matrix) -> None:
        """Shows a matrix; buttons are made anew only where rows or columns have changed."""
        old = self._shown
        self._shown = m
        if old is None or old.rows != m.rows or old.columns != m.columns:
            self._lay_out(m)

        for row in m.squares:
            for square in row:
                if square.planned:
                    self._paint(self.squares[square.cells], square, m.measure)
        self.legend.value = legend_html(m)

    def choose(self, cells: Sequence[str]) -> None:
        """Marks the squares of these cells and passes them on."""
        for ids, made in self.squares.items():
            made.layout.border = CHOSEN_BORDER if set(ids) <= set(cells) else PLAIN_BORDER
        self.on_choose(cells)

    def _lay_out(self, m: Matrix) -> None:
        self.squares = {}
        everything = [square for row in m.squares for square in row]
        widgets = [self._head("all", everything)]

        for number, name in enumerate(m.columns):
            column = [row[number] for row in m.squares]
            widgets.append(self._head(name or "word error", column))

        for name, row in zip(m.rows, m.squares, strict=True):
            widgets.append(self._head(name, row))
            widgets += [self._square(square) for square in row]

        columns = f"{ROW_HEAD_WIDTH} repeat({len(m.columns)}, {COLUMN_WIDTH})"
        self.grid.layout = W.Layout(grid_template_columns=columns, grid_gap="2px", max_width="100%")
        self.grid.children = widgets

    def _head(self, name: str, squares: Sequence[Square]) -> W.Button:
        """Returns the button that chooses all ``squares``."""
        made = W.Button(
            description=name.replace(" ", "\n"),
            tooltip=f"curves of all with {name}",
            layout=W.Layout(width="auto", height="auto"),
        )
        made.style.button_color = WHITE
        made.style.text_color = BLACK  # a dark theme has white letters
        made.style.font_weight = "bold"
        made.add_class(SQUARE_CLASS)
        self._choose_on_click(made, [cell for square in squares for cell in square.cells])

        return made

    def _square(self, square: Square) -> W.Widget:
        if not square.planned:
            return W.HTML()

        layout = W.Layout(width="auto", height=SQUARE_HEIGHT, border=PLAIN_BORDER)
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
            made.tooltip = f"{square.label}\n{NAMES[measure]}\n{text}"
        made.style.button_color = square.colours.background
        made.style.text_color = square.colours.text


def legend_html(m: Matrix) -> str:
    """Returns the name of the measure and the scale of its colours."""
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
