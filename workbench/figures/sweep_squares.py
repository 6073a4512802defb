"""The picture of a sweep's matrix, for paper and saved notebooks."""

import math
import textwrap
from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from workbench.figures.style import (
    FONT_SIZE,
    PngFigure,
    figure_with_wrapped_panels,
    set_title,
    set_y_title,
)
from workbench.figures.sweep_matrix import NAMES, ColumnHead, HeadLevel, Matrix, Square, matrix

SQUARE_WIDTH = 1.3  # inches
SQUARE_HEIGHT = 0.62  # inches
SQUARE_CHARACTERS = 19  # of a line in a square
LEVEL_HEIGHT = 0.36  # of a square's height
MARGIN_WIDTH = 2.2  # inches, for the heads of rows
GAP = 0.01  # of a square's width, beside a square
GROUP_GAP = 0.05  # where a group of columns begins
MOST_COLUMNS = 12  # side by side
MOST_ROWS = 400  # below each other in one picture, whose height browsers limit


class ColumnBlock(NamedTuple):
    """Some columns of a matrix that are neighbours."""

    first: int
    columns: int

    @property
    def end(self) -> int:
        """The number of the column behind the last one."""
        return self.first + self.columns


def draw_matrix(
    table: pd.DataFrame, axes: Sequence[str], measure: str = "heldout_wer"
) -> PngFigure:
    """Draw the matrix of a sweep's table: dark is bad; an unfinished cell shows its state."""
    return draw_squares(matrix(table, axes, measure))


def draw_squares(m: Matrix) -> PngFigure:
    """Draw a matrix, with a level of heads per axis that goes across.

    More columns than are read side by side go on below, in panels that say which they are. Where
    that is too much for one picture, it says how many rows are left out.
    """
    blocks = column_blocks(m)
    widest = max(block.columns for block in blocks)
    rows = min(len(m.rows), max(1, MOST_ROWS // len(blocks)))
    width = max(4.0, MARGIN_WIDTH + SQUARE_WIDTH * widest)
    tall = rows + LEVEL_HEIGHT * len(m.levels)
    height = len(blocks) * (0.7 + SQUARE_HEIGHT * tall)
    fig, panels = figure_with_wrapped_panels(width, height, len(blocks), across=1)
    fig.keeps_colours = True

    for ax, block in zip(panels, blocks, strict=True):
        _draw_block(ax, m, block, rows, widest)

    title = NAMES[m.measure]
    if rows < len(m.rows):
        title += f"; the first {rows} of {len(m.rows)} rows, the others stand in the table"
    set_title(panels[0], title)

    return fig


def column_blocks(m: Matrix) -> list[ColumnBlock]:
    """Return the columns in groups that are drawn below each other, each of `MOST_COLUMNS` at most.

    They are of even size, and begin where a value of the outermost axis begins if one such place is
    near.
    """
    count = len(m.columns)
    blocks = []
    first = 0
    starts = {head.first for level in m.levels[:-1] for head in level.heads}
    while first < count:
        left = count - first
        size = math.ceil(left / math.ceil(left / MOST_COLUMNS))
        ends = [end for end in starts if first + size / 2 < end <= first + MOST_COLUMNS]
        if left > MOST_COLUMNS and ends:
            size = max(ends) - first
        blocks.append(ColumnBlock(first, size))
        first += size

    return blocks


def _draw_block(ax: Axes, m: Matrix, block: ColumnBlock, rows: int, widest: int) -> None:
    """Draw the first ``rows`` of some columns; all blocks leave room for ``widest`` columns."""
    levels = m.levels
    firsts = {head.first for level in levels[:-1] for head in level.heads}
    for row, squares in enumerate(m.squares[:rows]):
        for column in range(block.first, block.end):
            left = GROUP_GAP if column in firsts else GAP
            _draw_square(ax, row, column, squares[column], m.measure, left)

    for depth, level in enumerate(levels):
        y = -0.5 - LEVEL_HEIGHT * (len(levels) - depth - 0.5)
        _draw_heads(ax, heads_within(level, block), y)

    ax.set_xlim(block.first - 0.5, block.first + widest - 0.5)
    ax.set_ylim(rows - 0.5, -0.5 - LEVEL_HEIGHT * len(levels))
    ax.set_xticks([])
    ax.xaxis.set_label_position("top")
    ax.set_yticks(range(rows), [textwrap.fill(name, 30) for name in m.rows[:rows]])
    set_y_title(ax, m.row_axis)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.grid(False)
    across = ", then ".join(m.column_axes)
    if block.columns < len(m.columns):
        across += f": columns {block.first + 1} to {block.end} of {len(m.columns)}"
    ax.set_xlabel(across, fontsize=FONT_SIZE)


def heads_within(level: HeadLevel, block: ColumnBlock) -> list[ColumnHead]:
    """Return the heads above the columns of a block; one that goes beyond it is cut at its edge."""
    return [
        ColumnHead(head.text, max(head.first, block.first), min(head.last, block.end - 1))
        for head in level.heads
        if head.first < block.end and head.last >= block.first
    ]


def _draw_heads(ax: Axes, heads: Sequence[ColumnHead], y: float) -> None:
    """Write the values of one axis above the columns that have them."""
    for head in heads:
        middle = (head.first + head.last) / 2
        width = SQUARE_CHARACTERS * (head.last - head.first + 1)
        text = textwrap.fill(head.text, width)
        ax.text(middle, y, text, ha="center", va="center", fontsize=FONT_SIZE, fontweight="bold")


def _draw_square(
    ax: Axes, row: int, column: int, square: Square, measure: str, left_gap: float
) -> None:
    left = column - 0.5 + left_gap
    place = (left, row - 0.48)
    width = column + 0.5 - GAP - left
    ax.add_patch(Rectangle(place, width, 0.96, color=square.colours.background, lw=0))
    lines = [textwrap.fill(line, SQUARE_CHARACTERS) for line in square.words(measure)]
    ax.text(
        column,
        row,
        "\n".join(lines),
        ha="center",
        va="center",
        fontsize=8 if len("\n".join(lines).splitlines()) <= 3 else 6,
        color=square.colours.text,
    )
