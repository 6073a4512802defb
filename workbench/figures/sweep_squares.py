"""The picture of a sweep's matrix, for paper and saved notebooks."""

import textwrap
from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes

from workbench.figures.style import FONT_SIZE, PngFigure, figure_with_panel, set_title, set_y_title
from workbench.figures.sweep_matrix import NAMES, HeadLevel, Matrix, Square, matrix

SQUARE_WIDTH = 1.3  # inches
SQUARE_HEIGHT = 0.62  # inches
SQUARE_CHARACTERS = 19  # of a line in a square
LEVEL_HEIGHT = 0.36  # of a square's height
MARGIN_WIDTH = 2.2  # inches, for the heads of rows
GAP = 0.01  # of a square's width, beside a square
GROUP_GAP = 0.05  # where a group of columns begins


def draw_matrix(
    table: pd.DataFrame, axes: Sequence[str], measure: str = "heldout_wer"
) -> PngFigure:
    """Draw the matrix of a sweep's table: dark is bad; an unfinished cell shows its state."""
    return draw_squares(matrix(table, axes, measure))


def draw_squares(m: Matrix) -> PngFigure:
    """Draw a matrix, with a level of heads per axis that goes across."""
    width = max(4.0, MARGIN_WIDTH + SQUARE_WIDTH * len(m.columns))
    levels = m.levels
    height = 0.7 + SQUARE_HEIGHT * (len(m.rows) + LEVEL_HEIGHT * len(levels))
    fig, ax = figure_with_panel(width, height)
    fig.keeps_colours = True

    firsts = {head.first for level in levels[:-1] for head in level.heads}
    for row, squares in enumerate(m.squares):
        for column, square in enumerate(squares):
            _draw_square(ax, row, column, square, m, column in firsts)

    for depth, level in enumerate(levels):
        _draw_heads(ax, level, -0.5 - LEVEL_HEIGHT * (len(levels) - depth - 0.5))

    ax.set_xlim(-0.5, len(m.columns) - 0.5)
    ax.set_ylim(len(m.rows) - 0.5, -0.5 - LEVEL_HEIGHT * len(levels))
    ax.set_xticks([])
    ax.xaxis.set_label_position("top")
    ax.set_xlabel(", then ".join(m.column_axes), fontsize=FONT_SIZE)
    ax.set_yticks(range(len(m.rows)), [textwrap.fill(name, 30) for name in m.rows])
    set_y_title(ax, m.row_axis)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.grid(False)
    set_title(ax, NAMES[m.measure])

    return fig


def _draw_heads(ax: Axes, level: HeadLevel, y: float) -> None:
    """Write the values of one axis above the columns that have them."""
    for head in level.heads:
        middle = (head.first + head.last) / 2
        width = SQUARE_CHARACTERS * (head.last - head.first + 1)
        text = textwrap.fill(head.text, width)
        ax.text(middle, y, text, ha="center", va="center", fontsize=FONT_SIZE, fontweight="bold")


def _draw_square(
    ax: Axes, row: int, column: int, square: Square, m: Matrix, begins_group: bool
) -> None:
    left = column + (GROUP_GAP if begins_group else GAP)
    ax.axhspan(
        row - 0.48,
        row + 0.48,
        left / len(m.columns),
        (column + 1 - GAP) / len(m.columns),
        color=square.colours.background,
        lw=0,
    )
    lines = [textwrap.fill(line, SQUARE_CHARACTERS) for line in square.words(m.measure)]
    ax.text(
        column,
        row,
        "\n".join(lines),
        ha="center",
        va="center",
        fontsize=8 if len("\n".join(lines).splitlines()) <= 3 else 6,
        color=square.colours.text,
    )
