"""The matrix of a sweep: one square per setting, dark where it is bad.

`matrix` computes what each square shows and in which colours; the figure here and the buttons of
the sweep panel draw it.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import to_hex

from workbench.figures.style import PngFigure, figure_with_panel, set_title
from workbench.sweeping.results import mean_interval

NAMES = {
    "test_wer": "test word error rate (%)",
    "heldout_wer": "held-out word error rate, unigram (%)",
    "frame_error": "frame error (%)",
    "heldout_mmi": "F_MMI per frame",
}
COLOUR_MAP = "cividis"  # even in lightness, the same for the colour-blind
MOST_LINES = 3  # of text that fit into a square
EMPTY = "#f0f0f0"
WHITE = "#ffffff"
BLACK = "#000000"


class Colours(NamedTuple):
    """Colours of a square's background and text, as #rrggbb."""

    background: str
    text: str


EMPTY_COLOURS = Colours(EMPTY, BLACK)
FAILED_COLOURS = Colours("#f6c6c0", BLACK)  # of squares without a value where a run failed
EQUAL_COLOURS = Colours("#d8dee6", BLACK)  # where all squares have one value, there is no scale
FAILED_STATES = ("failed", "diverged")
SEEDS_FOR_INTERVAL = 3  # with two, the interval is wider than what it is about


class Range(NamedTuple):
    """The lowest and highest value of a measure, in the unit shown; nan without values."""

    low: float
    high: float


@dataclass(frozen=True)
class Square:
    """All cells of one setting.

    ``value``: the mean of ``ended`` seeds of ``planned``, in percent or per frame; ``half``: half
    of its 95 % interval over seeds; nan where there is none. ``states``: those of cells that have
    not ended well, with what they have reached. ``cells``: the cells' ids.
    """

    label: str = ""
    value: float = np.nan
    half: float = np.nan
    ended: int = 0
    planned: int = 0
    states: tuple[str, ...] = ()
    cells: tuple[str, ...] = ()
    colours: Colours = EMPTY_COLOURS

    def words(self, measure: str) -> list[str]:
        """Returns the lines of text in the square, at most MOST_LINES."""
        lines = []
        if np.isfinite(self.value):
            lines.append(self._value_text(measure))
            if self.planned > 1:
                lines.append(f"{self.ended} of {self.planned} seeds")
        lines += self.states

        surplus = len(lines) - MOST_LINES
        if surplus > 0:
            lines = [*lines[: MOST_LINES - 1], f"and {surplus + 1} more"]
        return lines

    def _value_text(self, measure: str) -> str:
        text = number_text(self.value, measure)
        if self.ended >= SEEDS_FOR_INTERVAL:
            text += f" ± {number_text(self.half, measure)}"
        return text


@dataclass(frozen=True)
class Matrix:
    """``squares`` [rows][columns]; a square with ``planned`` 0 is no cell of the sweep."""

    rows: list[str]
    columns: list[str]
    squares: list[list[Square]]
    measure: str
    range: Range


def scale(measure: str) -> float:
    """Returns the factor from a table's numbers to the unit shown."""
    return 1.0 if measure == "heldout_mmi" else 100.0


def number_text(value: float, measure: str) -> str:
    """Returns a value of the measure, in the unit shown, as text."""
    return f"{value:.4f}" if measure == "heldout_mmi" else f"{value:.1f}"


def matrix(
    table: pd.DataFrame,
    axes: Sequence[str],
    measure: str = "heldout_wer",
    reached: Mapping[str, str] | None = None,
) -> Matrix:
    """Returns the matrix of a sweep's ``table`` (see `sweeping.results`).

    The first axis goes down, the others go across.

    ``axes`` may end in "seed", which shows each seed apart; otherwise values are means over seeds.
    ``reached``: how far running cells have come, by their ids.
    """
    names = pd.DataFrame({"row": _names(table, axes[:1]), "column": _names(table, axes[1:])})
    rows = list(dict.fromkeys(names.row))
    columns = list(dict.fromkeys(names.column))
    cells = {
        key: table.loc[group.index] for key, group in names.groupby(["row", "column"], sort=False)
    }

    shown = _shown_range(table, names, measure)
    squares = []
    for row in rows:
        keys = [(row, column) for column in columns]
        squares.append([_square(cells.get(key), measure, shown, reached or {}) for key in keys])

    return Matrix(rows, columns, squares, measure, shown)


def _names(table: pd.DataFrame, axes: Sequence[str]) -> pd.Series:
    """Returns the values of ``axes`` in each row of the table, as ``axis=value axis=value``."""
    names = [""] * len(table)
    for axis in axes:
        values = [_axis_value(axis, value) for value in table[axis]]
        names = [f"{name} {value}".strip() for name, value in zip(names, values, strict=True)]
    return pd.Series(names, index=table.index, dtype=object)


def _axis_value(axis: str, value: object) -> str:
    return f"{axis}={value:g}" if isinstance(value, float) else f"{axis}={value}"


def _shown_range(table: pd.DataFrame, names: pd.DataFrame, measure: str) -> Range:
    ended = table.loc[table.state == "done"]
    means = scale(measure) * ended.groupby([names.row, names.column])[measure].mean()
    if not means.notna().any():
        return Range(np.nan, np.nan)
    return Range(float(means.min()), float(means.max()))


def _square(
    cells: pd.DataFrame | None, measure: str, shown: Range, reached: Mapping[str, str]
) -> Square:
    if cells is None:
        return Square()

    done = cells.state == "done"
    values = cells.loc[done, measure].to_numpy(float)
    mean, low, high = (scale(measure) * x for x in mean_interval(values))
    rest = cells[~done]
    states = Counter(
        reached.get(cell, state) for cell, state in zip(rest.cell, rest.state, strict=True)
    )

    return Square(
        label=cells.label.iloc[0],
        value=mean,
        half=(high - low) / 2,
        ended=len(values),
        planned=len(cells),
        states=tuple(f"{n} {state}" if n > 1 else state for state, n in states.items()),
        cells=tuple(cells.cell),
        colours=_colours(mean, rest.state.isin(FAILED_STATES).any(), shown, measure),
    )


def _colours(mean: float, failed: bool, shown: Range, measure: str) -> Colours:
    """Returns the colours of a square, which without a value show whether a run failed."""
    if failed and not np.isfinite(mean):
        return FAILED_COLOURS
    return square_colours(mean, shown, measure)


def square_colours(value: float, shown: Range, measure: str) -> Colours:
    """Returns the colours of a square with this value: the worse, the darker."""
    if not np.isfinite(value):
        return EMPTY_COLOURS

    if shown.high == shown.low:
        return EQUAL_COLOURS
    share = (value - shown.low) / (shown.high - shown.low)
    brightness = share if measure == "heldout_mmi" else 1 - share
    background = to_hex(colormaps[COLOUR_MAP](brightness))
    return Colours(background, BLACK if brightness > 0.5 else WHITE)


def draw_matrix(
    table: pd.DataFrame, axes: Sequence[str], measure: str = "heldout_wer"
) -> PngFigure:
    """Draws the matrix of a sweep's table: dark is bad; an unfinished cell shows its state."""
    return draw_squares(matrix(table, axes, measure))


def draw_squares(m: Matrix) -> PngFigure:
    """Draws a matrix."""
    fig, ax = figure_with_panel(max(4.0, 2.2 + 1.3 * len(m.columns)), 1.0 + 0.6 * len(m.rows))
    for row, squares in enumerate(m.squares):
        for column, square in enumerate(squares):
            _draw_square(ax, row, column, square, m)

    ax.set_xlim(-0.5, len(m.columns) - 0.5)
    ax.set_ylim(len(m.rows) - 0.5, -0.5)
    ax.set_xticks(range(len(m.columns)), [name.replace(" ", "\n") for name in m.columns])
    ax.set_yticks(range(len(m.rows)), m.rows)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.grid(False)
    set_title(ax, NAMES[m.measure])

    return fig


def _draw_square(ax: Axes, row: int, column: int, square: Square, m: Matrix) -> None:
    ax.axhspan(
        row - 0.48,
        row + 0.48,
        (column + 0.01) / len(m.columns),
        (column + 0.99) / len(m.columns),
        color=square.colours.background,
        lw=0,
    )
    words = "\n".join(square.words(m.measure))
    text_colour = square.colours.text
    ax.text(column, row, words, ha="center", va="center", fontsize=8, color=text_colour)
