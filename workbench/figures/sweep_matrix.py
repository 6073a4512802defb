"""The matrix of a sweep: one square per setting, dark where it is bad; seeds taken together or apart.

table -> info -> figure: ``matrix`` says what stands in every square and in which colours, for the picture here and for
the buttons of the panel alike.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from workbench.figures.style import figure
from workbench.sweeping.results import mean_interval

NAMES = {
    "test_wer": "test word error rate (%)",
    "heldout_wer": "held-out word error rate, unigram (%)",
    "frame_error": "frame error (%)",
    "heldout_mmi": "F_MMI per frame",
}
MAP = "cividis"  # even in lightness, the same for the colour-blind
LINES = 3  # that fit into a square
EMPTY, WHITE, BLACK = "#f0f0f0", "#ffffff", "#000000"


@dataclass(frozen=True)
class Square:
    """All cells of one setting: their ``value`` and half its 95 % interval over seeds (nan: none), how they stand."""

    label: str = ""
    value: float = np.nan  # in percent, or per frame
    half: float = np.nan
    ended: int = 0
    planned: int = 0
    states: tuple[str, ...] = ()  # of those that have not ended well, with what they have reached
    cells: tuple[str, ...] = ()  # their ids
    back: str = EMPTY  # colours of ground and text
    text: str = BLACK

    def words(self, measure: str) -> list[str]:
        """The lines that stand in it; an interval wider than the value itself, of two seeds, says nothing."""
        digits = ".4f" if measure == "heldout_mmi" else ".1f"
        value = f"{self.value:{digits}}" if np.isfinite(self.value) else ""
        if value and self.half < abs(self.value):
            value += f" ± {self.half:{digits}}"
        seeds = f"{self.ended} of {self.planned} seeds" if self.planned > 1 and value else ""
        lines = [w for w in (value, seeds, *self.states) if w]
        return (
            lines
            if len(lines) <= LINES
            else [*lines[: LINES - 1], f"and {len(lines) - LINES + 1} more"]
        )


@dataclass(frozen=True)
class Matrix:
    """``squares`` [rows][columns]; an empty one (``planned`` 0) is no cell of the sweep."""

    rows: list[str]
    columns: list[str]
    squares: list[list[Square]]
    measure: str
    low: float = field(default=np.nan)  # of all values, in the units shown
    high: float = field(default=np.nan)


def scale(measure: str) -> float:
    """From a table's numbers to what is shown."""
    return 1.0 if measure == "heldout_mmi" else 100.0


def matrix(
    table: pd.DataFrame,
    axes: Sequence[str],
    measure: str = "heldout_wer",
    reached: Mapping[str, str] | None = None,
) -> Matrix:
    """Squares of a sweep's ``table`` (see sweeping.results): first axis down, the others across, means over seeds.

    ``axes`` may end in "seed", for seeds apart. ``reached``: how far cells have come that run, by their ids.
    """
    down, across = list(axes[:1]), list(axes[1:])
    at = pd.DataFrame({"row": _label(table, down), "column": _label(table, across)})
    rows, columns = list(dict.fromkeys(at.row)), list(dict.fromkeys(at.column))
    own = {key: table.loc[group.index] for key, group in at.groupby(["row", "column"], sort=False)}
    values = (
        scale(measure)
        * table.loc[table.state == "done"].groupby([at.row, at.column])[measure].mean()
    )
    low, high = (
        (float(values.min()), float(values.max())) if values.notna().any() else (np.nan, np.nan)
    )
    squares = [
        [_square(own.get((r, c)), measure, low, high, reached or {}) for c in columns] for r in rows
    ]
    return Matrix(rows, columns, squares, measure, low, high)


def _square(
    own: pd.DataFrame | None, measure: str, low: float, high: float, reached: Mapping[str, str]
) -> Square:
    if own is None:
        return Square()
    ended = own.loc[own.state == "done", measure].to_numpy(float)
    mean, bottom, top = (scale(measure) * x for x in mean_interval(ended))
    rest = own[own.state != "done"]
    found = Counter(reached.get(c, s) for c, s in zip(rest.cell, rest.state, strict=True))
    states = tuple(f"{n} {s}" if n > 1 else s for s, n in found.items())
    back, text = colours(mean, low, high, measure)
    ids = tuple(own.cell)
    return Square(
        own.label.iloc[0], mean, (top - bottom) / 2, len(ended), len(own), states, ids, back, text
    )


def colours(value: float, low: float, high: float, measure: str) -> tuple[str, str]:
    """Ground and text, as #rrggbb: dark is bad."""
    if not np.isfinite(value):
        return EMPTY, BLACK
    share = (value - low) / (high - low) if high > low else 0.5
    bright = share if measure == "heldout_mmi" else 1 - share
    return to_hex(colormaps[MAP](bright)), BLACK if bright > 0.5 else WHITE


def _label(table: pd.DataFrame, axes: Sequence[str]) -> pd.Series:
    words = [
        table[a].map(lambda v, a=a: f"{a}={v:g}" if isinstance(v, float) else f"{a}={v}")
        for a in axes
    ]
    return pd.Series(
        [" ".join(w) for w in zip(*words, strict=True)] if words else [""] * len(table),
        index=table.index,
    )


def draw_matrix(table: pd.DataFrame, axes: Sequence[str], measure: str = "heldout_wer") -> Figure:
    """Dark is bad; what has not ended says so."""
    return draw_squares(matrix(table, axes, measure))


def draw_squares(m: Matrix) -> Figure:
    """The picture of a matrix."""
    fig, ax = figure(max(4.0, 2.2 + 1.3 * len(m.columns)), 1.0 + 0.6 * len(m.rows))
    for i, row in enumerate(m.squares):
        for j, square in enumerate(row):
            ax.axhspan(
                i - 0.48,
                i + 0.48,
                (j + 0.01) / len(row),
                (j + 0.99) / len(row),
                color=square.back,
                lw=0,
            )
            words = "\n".join(square.words(m.measure))
            ax.text(j, i, words, ha="center", va="center", fontsize=8, color=square.text)
    ax.set_xlim(-0.5, len(m.columns) - 0.5)
    ax.set_ylim(len(m.rows) - 0.5, -0.5)
    ax.set_xticks(range(len(m.columns)), [c.replace(" ", "\n") for c in m.columns])
    ax.set_yticks(range(len(m.rows)), m.rows)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.grid(False)
    ax.set_title(NAMES[m.measure])
    return fig
