"""The matrix of a sweep: one square per setting, dark where it is bad.

`matrix` computes what each square shows and in which colours; `draw_matrix` and the buttons of the
sweep panel draw it.
"""

import re
import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.colors import to_hex

from workbench.figures.text import value_text
from workbench.metrics.means import mean_interval
from workbench.sweeping import CellState

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
LONGEST_CAUSE = 56  # characters of a cause in a square
USER_MISTAKE = re.compile(r"^(UserError|Diverged): ")  # whose words are meant for people
RUN_NAME = re.compile(r"^\S+-[0-9a-f]{8}: ")
SETTING = "setting"  # the head of rows that have all axes in their names
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
    not ended well, with what they have reached. ``causes``: why cells failed or diverged, each
    once. ``cells``: the cells' ids.
    """

    label: str = ""
    value: float = np.nan
    half: float = np.nan
    ended: int = 0
    planned: int = 0
    states: tuple[str, ...] = ()
    causes: tuple[str, ...] = ()
    cells: tuple[str, ...] = ()
    colours: Colours = EMPTY_COLOURS

    def words(self, measure: str) -> list[str]:
        """Return the lines of text in the square: at most MOST_LINES, and a cause below."""
        lines = []
        if np.isfinite(self.value):
            lines.append(self._value_text(measure))
            if self.planned > 1:
                lines.append(f"{self.ended} of {self.planned} seeds")
        lines += self.states

        surplus = len(lines) - MOST_LINES
        if surplus > 0:
            lines = [*lines[: MOST_LINES - 1], f"and {surplus + 1} more"]
        if self.causes:
            lines.append(textwrap.shorten(self.causes[0], LONGEST_CAUSE, placeholder=" …"))
        return lines

    def _value_text(self, measure: str) -> str:
        text = number_text(self.value, measure)
        if self.ended >= SEEDS_FOR_INTERVAL:
            text += f" ± {number_text(self.half, measure)}"
        return text


class ColumnHead(NamedTuple):
    """A value that the columns ``first`` to ``last`` share."""

    text: str
    first: int
    last: int


class HeadLevel(NamedTuple):
    """The heads of one axis, from left to right."""

    axis: str
    heads: list[ColumnHead]


@dataclass(frozen=True)
class Matrix:
    """``squares`` [rows][columns]; a square with ``planned`` 0 is no cell of the sweep.

    ``rows``: the values of ``row_axis``. ``columns``: the values of ``column_axes``, outermost
    first; empty tuples where nothing goes across.
    """

    row_axis: str
    column_axes: tuple[str, ...]
    rows: list[str]
    columns: list[tuple[str, ...]]
    squares: list[list[Square]]
    measure: str
    range: Range

    @property
    def levels(self) -> list[HeadLevel]:
        """The heads of the columns, a level per axis, outermost first."""
        levels = []
        for depth, axis in enumerate(self.column_axes):
            heads: list[ColumnHead] = []
            for number, values in enumerate(self.columns):
                begins = number == 0 or values[: depth + 1] != self.columns[number - 1][: depth + 1]
                if begins:
                    heads.append(ColumnHead(values[depth], number, number))
                else:
                    heads[-1] = heads[-1]._replace(last=number)
            levels.append(HeadLevel(axis, heads))
        return levels


def scale(measure: str) -> float:
    """Return the factor from a table's numbers to the unit shown."""
    return 1.0 if measure == "heldout_mmi" else 100.0


def number_text(value: float, measure: str) -> str:
    """Return a value of the measure, in the unit shown, as text."""
    return f"{value:.4f}" if measure == "heldout_mmi" else f"{value:.1f}"


def matrix(
    table: pd.DataFrame,
    axes: Sequence[str],
    measure: str = "heldout_wer",
    reached: Mapping[str, str] | None = None,
) -> Matrix:
    """Return the matrix of a sweep's ``table`` (see `sweeping.results`).

    The first axis goes down, the others go across. Where most settings of such a grid are no cells
    of the sweep, all settings go down.

    ``axes`` may end in "seed", which shows each seed apart; otherwise values are means over seeds.
    ``reached``: how far running cells have come, by their ids.
    """
    row_axis = axes[0]
    column_axes = tuple(axes[1:])
    keys = _grid_keys(table, axes)
    if column_axes and _is_sparse(keys):
        row_axis = SETTING
        column_axes = ()
        keys = [
            GridKey(" ".join(map("=".join, zip(axes, key.values, strict=True))), ()) for key in keys
        ]

    rows = list(dict.fromkeys(key.row for key in keys))
    columns = _in_order([key.column for key in keys])
    places = pd.Series([str(key) for key in keys], index=table.index)
    cells = {key: table[places == str(key)] for key in dict.fromkeys(keys)}
    shown = _shown_range(table, places, measure)

    squares = []
    for row in rows:
        in_row = [cells.get(GridKey(row, column)) for column in columns]
        squares.append([_square(group, measure, shown, reached or {}) for group in in_row])

    return Matrix(row_axis, column_axes, rows, columns, squares, measure, shown)


class GridKey(NamedTuple):
    """The place of a cell: the value of the first axis, and those of the others."""

    row: str
    column: tuple[str, ...]

    @property
    def values(self) -> tuple[str, ...]:
        """The values of all axes."""
        return (self.row, *self.column)


def _grid_keys(table: pd.DataFrame, axes: Sequence[str]) -> list[GridKey]:
    """Return the place of each row of the table."""
    values = [[value_text(value) for value in table[axis]] for axis in axes]
    return [GridKey(row, tuple(column)) for row, *column in zip(*values, strict=True)]


def _is_sparse(keys: Sequence[GridKey]) -> bool:
    """Return whether each row or each column of the grid has one cell only, of several."""
    there = set(keys)
    rows = {key.row for key in there}
    columns = {key.column for key in there}
    return len(there) == max(len(rows), len(columns)) and min(len(rows), len(columns)) > 1


def _in_order(columns: Sequence[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Return each of ``columns`` once, equal values side by side, in the order of their coming."""
    levels = [list(dict.fromkeys(level)) for level in zip(*columns, strict=True)]

    def places(values: tuple[str, ...]) -> tuple[int, ...]:
        return tuple(level.index(value) for level, value in zip(levels, values, strict=True))

    return sorted(dict.fromkeys(columns), key=places)


def _shown_range(table: pd.DataFrame, places: pd.Series, measure: str) -> Range:
    ended = table.loc[table.state == CellState.DONE]
    means = scale(measure) * ended.groupby(places)[measure].mean()
    if not means.notna().any():
        return Range(np.nan, np.nan)
    return Range(float(means.min()), float(means.max()))


def _square(
    cells: pd.DataFrame | None, measure: str, shown: Range, reached: Mapping[str, str]
) -> Square:
    if cells is None:
        return Square()

    done = cells.state == CellState.DONE
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
        causes=_causes(rest),
        cells=tuple(cells.cell),
        colours=_colours(mean, rest.state.isin(FAILED_STATES).any(), shown, measure),
    )


def _causes(rest: pd.DataFrame) -> tuple[str, ...]:
    """Return why cells failed or diverged, each cause once."""
    if "error" not in rest:
        return ()
    failed = rest[rest.state.isin(FAILED_STATES)]
    return tuple(dict.fromkeys(cause_text(str(error)) for error in failed.error if error))


def cause_text(error: str) -> str:
    """Return the error of a cell without the class of the exception and the name of its run."""
    return RUN_NAME.sub("", USER_MISTAKE.sub("", error))


def _colours(mean: float, failed: bool, shown: Range, measure: str) -> Colours:
    """Return the colours of a square, which without a value show whether a run failed."""
    if failed and not np.isfinite(mean):
        return FAILED_COLOURS
    return square_colours(mean, shown, measure)


def square_colours(value: float, shown: Range, measure: str) -> Colours:
    """Return the colours of a square with this value: the worse, the darker."""
    if not np.isfinite(value):
        return EMPTY_COLOURS

    if shown.high == shown.low:
        return EQUAL_COLOURS
    share = (value - shown.low) / (shown.high - shown.low)
    brightness = share if measure == "heldout_mmi" else 1 - share
    background = to_hex(colormaps[COLOUR_MAP](brightness))
    return Colours(background, BLACK if brightness > 0.5 else WHITE)
