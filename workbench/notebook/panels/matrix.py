"""The matrix of a sweep as buttons, in plain ipywidgets: a click on a square, or on the head of a row, chooses."""

from collections.abc import Callable, Sequence
from html import escape

import ipywidgets as W
import numpy as np

from workbench.figures.sweep_matrix import NAMES, Matrix, Range, Square, square_colours

HEAD, SIDE = "4.4em", "11em"
SHAPE = "<style>button.workbench-square {white-space: pre-line; line-height: 1.25}</style>"
CHOSEN, PLAIN = "3px solid #D55E00", "1px solid #ffffff"


class MatrixGrid:
    """Buttons in the colours of a `Matrix`; ``chosen`` is called with the ids of the cells that were clicked."""

    def __init__(self, chosen: Callable[[Sequence[str]], None]):
        self.chosen = chosen
        self.legend, self.grid = W.HTML(), W.GridBox()
        self.widget = W.VBox([W.HTML(SHAPE), self.legend, self.grid])
        self.squares: dict[tuple[str, ...], W.Button] = {}  # by ids of cells
        self._shown: Matrix | None = None

    def show(self, m: Matrix) -> None:
        """Show another state: new buttons only where rows or columns have changed, else no button moves."""
        old, self._shown = self._shown, m
        if old is None or (old.rows, old.columns) != (m.rows, m.columns):
            self._lay_out(m)
        for row in m.squares:
            for square in row:
                if square.planned:
                    self._paint(self.squares[square.cells], square, m.measure)
        self.legend.value = legend(m)

    def choose(self, cells: Sequence[str]) -> None:
        """Mark squares, and say so."""
        for ids, made in self.squares.items():
            made.layout.border = CHOSEN if set(ids) <= set(cells) else PLAIN
        self.chosen(cells)

    def _lay_out(self, m: Matrix) -> None:
        self.squares = {}
        cells: list[W.Widget] = [self._head("all", [s for row in m.squares for s in row], HEAD)]
        for j, name in enumerate(m.columns):
            cells.append(self._head(name or "word error", [row[j] for row in m.squares], HEAD))
        for name, row in zip(m.rows, m.squares, strict=True):
            cells += [self._head(name, row, SIDE), *(self._square(s) for s in row)]
        width = f"minmax({SIDE}, 16em) repeat({len(m.columns)}, minmax(9.5em, 12em))"
        self.grid.layout = W.Layout(grid_template_columns=width, grid_gap="2px", max_width="100%")
        self.grid.children = cells

    def _head(self, name: str, row: Sequence[Square], width: str) -> W.Button:
        words = name.replace(" ", "\n")
        made = W.Button(
            description=words,
            tooltip=f"curves of all with {name}",
            layout=W.Layout(width="auto", height="auto"),
        )
        made.style.button_color, made.style.font_weight = "#ffffff", "bold"
        made.add_class("workbench-square")
        made.on_click(lambda _: self.choose([c for s in row for c in s.cells]))
        return made

    def _square(self, square: Square) -> W.Widget:
        if not square.planned:
            return W.HTML()
        made = W.Button(layout=W.Layout(width="auto", height="4.4em", border=PLAIN))
        made.add_class("workbench-square")
        made.on_click(lambda _: self.choose(square.cells))
        self.squares[square.cells] = made
        return made

    def _paint(self, made: W.Button, square: Square, measure: str) -> None:
        words = "\n".join(square.words(measure))
        if made.description != words:
            made.description = words
            made.tooltip = f"{square.label}\n{NAMES[measure]}\n{words}"
        made.style.button_color, made.style.text_color = square.colours


def legend(m: Matrix) -> str:
    """What is shown, and the scale of its colours."""
    name = escape(NAMES[m.measure])
    if not np.isfinite(m.range.low):
        return f"<b>{name}</b>: nothing has ended yet"
    digits = ".4f" if m.measure == "heldout_mmi" else ".1f"
    stops = ", ".join(
        square_colours(x, Range(0.0, 1.0), m.measure).background for x in np.linspace(0, 1, 9)
    )
    shape = "display:inline-block;width:9em;height:0.8em"
    bar = f'<span style="{shape};background:linear-gradient(to right, {stops})"></span>'
    return f"<b>{name}</b> &nbsp; {m.range.low:{digits}} {bar} {m.range.high:{digits}} &nbsp; ± half the 95 % interval over seeds"
