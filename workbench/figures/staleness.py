"""Figures of the age of the parameters that gradients came from (section 3.2 of the paper)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from workbench.figures.style import (
    PngFigure,
    add_legend,
    add_legend_below,
    figure_with_wrapped_panels,
    line_style,
    set_title,
    set_y_title,
)
from workbench.metrics.staleness import AgeSummary, Histogram, histogram, summarise_ages
from workbench.storage.rows import PushRow
from workbench.storage.run import Run


class AgeColumn(NamedTuple):
    """A column of rows of pushes: its subject, its unit, and whether it has whole numbers."""

    title: str
    unit: str
    whole: bool


AGE_COLUMNS = {
    "staleness_inner": AgeColumn("inner gradient", "staleness (updates)", True),
    "staleness_outer": AgeColumn("outer gradient", "staleness (updates)", True),
    "inner_seconds": AgeColumn("inner gradient", "age (s)", False),
    "outer_seconds": AgeColumn("outer gradient", "age (s)", False),
    "skew": AgeColumn("shards of one fetch", "newest minus oldest version (updates)", True),
}

# Histograms reach to this quantile: one pause of a machine would squeeze all else into one bin.
REACH = 0.99
OUTLINE_WIDTH = 1.0  # points
MOST_ACROSS = 3  # panels, so that letters can be read where a page is narrower than the figure
MOST_SUMMARIES = 3  # runs whose means have room in a panel; `staleness_table` has all
ROOM_FOR_SUMMARIES = 1.4  # of the height of the outlines
PANEL_WIDTH = 3.1  # inches
PANEL_HEIGHT = 2.8  # inches


@dataclass(frozen=True)
class Ages:
    """One column of a run's pushes: its histogram, and its mean, median and 95 % quantile.

    The last bin of the histogram counts the oldest hundredth as well.
    """

    run: str
    column: str
    histogram: Histogram
    summary: AgeSummary

    @property
    def percent(self) -> np.ndarray:
        """Share of the pushes in each bin, in percent, float64 [bins]."""
        counts = self.histogram.counts
        return 100 * counts / max(1, counts.sum())


def ages(
    pushes: pd.DataFrame, run: str = "", columns: Sequence[str] = tuple(AGE_COLUMNS)
) -> list[Ages]:
    """Return the ages in each of ``columns`` that has numbers.

    Runs of cross entropy have no outer gradients.
    """
    found = []
    for column in columns:
        if column not in pushes:
            continue
        values = pd.to_numeric(pushes[column]).to_numpy(float)
        if np.isfinite(values).any():
            bins = histogram(values, whole=AGE_COLUMNS[column].whole, reach=REACH)
            found.append(Ages(run, column, bins, summarise_ages(values)))

    return found


def draw_staleness(
    runs: Sequence[Run],
    columns: Sequence[str] = tuple(AGE_COLUMNS),
    labels: Sequence[str] | None = None,
) -> PngFigure:
    """Draw one panel per column that any run has, with one outline per run.

    Heights are shares of the pushes. ``labels``: of the runs, by default their names.
    """
    names = list(labels or [run.name for run in runs])
    found = []
    for name, run in zip(names, runs, strict=True):
        found += ages(run.table(PushRow, columns), name, columns)
    return draw_ages(found, names)


def has_ages(run: Run) -> bool:
    """Whether the run has measured how old gradients were."""
    return bool(ages(run.table(PushRow, tuple(AGE_COLUMNS))))


def draw_ages(found: Sequence[Ages], names: Sequence[str]) -> PngFigure:
    """Draw what ``ages`` returned; the order of ``names`` decides which run has which colour."""
    drawn = {a.column for a in found}
    columns = [column for column in AGE_COLUMNS if column in drawn] or ["staleness_inner"]
    across = min(len(columns), MOST_ACROSS)
    down = math.ceil(len(columns) / across)
    fig, axes = figure_with_wrapped_panels(
        PANEL_WIDTH * max(across, 2), PANEL_HEIGHT * down, len(columns), across
    )
    numbers = {name: number for number, name in enumerate(names)}
    summaries = len(names) <= MOST_SUMMARIES

    for number, (ax, column) in enumerate(zip(axes, columns, strict=True)):
        for a in found:
            if a.column == column:
                _draw_outline(ax, a, numbers[a.run])
        set_title(ax, AGE_COLUMNS[column].title)
        ax.set_xlabel(AGE_COLUMNS[column].unit)
        if number % across == 0:
            set_y_title(ax, "share of pushes (%)")
        if ax.has_data() and summaries:
            ax.set_ylim(0, ROOM_FOR_SUMMARIES * ax.get_ylim()[1])
            add_legend(ax, "upper right")

    lines = [Line2D([], [], label=name, **line_style(i)) for i, name in enumerate(names)]
    add_legend_below(fig, lines)
    return fig


def _draw_outline(ax: Axes, a: Ages, number: int) -> None:
    label = f"mean {age_text(a.summary.mean)}, max {age_text(a.summary.max)}"
    style = line_style(number, OUTLINE_WIDTH)
    ax.stairs(a.percent, a.histogram.edges, label=label, **style)


def age_text(age: float) -> str:
    """Return an age as a person writes it: three digits, and never a power of ten."""
    return f"{age:,.0f}" if age >= 100 else f"{age:.3g}"


def staleness_table(runs: Sequence[Run]) -> pd.DataFrame:
    """Return mean, median, 95 % quantile and maximum of every column of every run's pushes."""
    rows = []
    for run in runs:
        for a in ages(run.table(PushRow, tuple(AGE_COLUMNS)), run.name):
            about = AGE_COLUMNS[a.column]
            rows.append(
                {
                    "run": a.run,
                    "of": about.title,
                    "unit": about.unit,
                    "mean": a.summary.mean,
                    "median": a.summary.median,
                    "95 %": a.summary.p95,
                    "max": a.summary.max,
                    "pushes": a.summary.count,
                }
            )

    names = ["run", "of", "unit", "mean", "median", "95 %", "max", "pushes"]
    return pd.DataFrame(rows, columns=names)
