"""Any column of a sweep's table against any other, over seeds.

`column_plot` chooses the points; `draw_columns` draws them for paper, and the interactive page of
`reports.interactive` with zoom.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from workbench.figures.style import (
    PngFigure,
    add_legend_below,
    figure_with_columns,
    line_style,
    set_title,
    set_y_title,
)
from workbench.figures.text import value_text
from workbench.settings import UserError
from workbench.sweeping import CellState

EVERYTHING = "all"  # the label of a group where no column divides the points
SEED = "seed"
FEWEST_FOR_BOX = 3  # points; fewer are their own summary
SPREAD = 0.7  # of the distance of two categories that their groups take
BOX_SHARE = 0.6  # of the place of a group that its box takes
MOST_PANELS = 6
DOT_SIZE = 5.0  # points


class Column(NamedTuple):
    """A column of numbers: its title with unit, and the factor from the table to that unit."""

    title: str
    factor: float = 1.0


MEASURED = {
    "test_wer": Column("test WER (%)", 100.0),
    "heldout_wer": Column("held-out WER, unigram (%)", 100.0),
    "heldout_mmi": Column("F_MMI per frame"),
    "frame_error": Column("frame error (%)", 100.0),
    "heldout_sub": Column("substitutions (%)", 100.0),
    "heldout_del": Column("deletions (%)", 100.0),
    "heldout_ins": Column("insertions (%)", 100.0),
    "staleness_inner_mean": Column("age of inner gradients (updates)"),
    "staleness_outer_mean": Column("age of outer gradients (updates)"),
    "staleness_outer_seconds": Column("age of outer gradients (s)"),
    "seconds": Column("time on the run's clock (s)"),
    "minutes": Column("time here (minutes)"),
    "updates": Column("updates applied"),
    "frames_seen": Column("frames seen"),
    "frames_kept": Column("frames kept"),
    "frames_rejected": Column("frames rejected"),
    "utterances_set_aside": Column("utterances set aside"),
}


@dataclass(frozen=True)
class ColumnChoice:
    """What is drawn: columns across and up, and columns that divide points and panels, or ""."""

    x: str
    y: str
    colour: str = ""
    panels: str = ""


@dataclass(frozen=True)
class PointGroup:
    """Points of one colour: ``x`` and ``y`` are float64 [points], ``names`` say which runs."""

    label: str
    x: np.ndarray
    y: np.ndarray
    names: list[str]


@dataclass(frozen=True)
class PointPanel:
    """The groups of one panel."""

    title: str
    groups: list[PointGroup]


@dataclass(frozen=True)
class ColumnPlot:
    """Panels with the same axes. ``categories``: values at 0, 1, …; empty where x is a number."""

    x_title: str
    y_title: str
    categories: list[str]
    panels: list[PointPanel]

    @property
    def labels(self) -> list[str]:
        """The labels of all groups; a label has one colour in all panels."""
        return list(dict.fromkeys(g.label for panel in self.panels for g in panel.groups))


def drawable_columns(table: pd.DataFrame, axes: Sequence[str]) -> dict[str, str]:
    """Return the columns that can go across, with their titles: axes, seed, what was measured."""
    found = {axis: axis for axis in (*axes, SEED) if axis in table}
    return found | measured_columns(table)


def measured_columns(table: pd.DataFrame) -> dict[str, str]:
    """Return the columns of numbers that any cell that is done has, with their titles."""
    done = table[table.state == CellState.DONE]
    return {
        name: column.title
        for name, column in MEASURED.items()
        if name in done and done[name].notna().any()
    }


def column_plot(table: pd.DataFrame, choice: ColumnChoice) -> ColumnPlot:
    """Return the points of the cells that are done and have both numbers.

    UserError names a column that no such cell has measured.
    """
    done = table[table.state == CellState.DONE]
    for name in (choice.x, choice.y):
        if name not in done or not done[name].notna().any():
            raise UserError(f"{name}: nothing has measured it yet; choose another column")

    done = done[done[choice.x].notna() & done[choice.y].notna()]
    categories = [] if choice.x in MEASURED else [value_text(v) for v in _values(done[choice.x])]
    panels = [
        PointPanel(title, _groups(part, choice, categories))
        for title, part in _parts(done, choice.panels)[:MOST_PANELS]
    ]
    x_title = MEASURED[choice.x].title if choice.x in MEASURED else choice.x

    return ColumnPlot(x_title, MEASURED[choice.y].title, categories, panels)


def _groups(
    part: pd.DataFrame, choice: ColumnChoice, categories: Sequence[str]
) -> list[PointGroup]:
    groups = []
    for label, points in _parts(part, choice.colour):
        if choice.x in MEASURED:
            across = MEASURED[choice.x].factor * points[choice.x].to_numpy(float)
        else:
            across = np.array([categories.index(value_text(v)) for v in points[choice.x]], float)
        up = MEASURED[choice.y].factor * points[choice.y].to_numpy(float)
        names = [f"{s}, seed {n}" for s, n in zip(points.label, points.seed, strict=True)]
        groups.append(PointGroup(label, across, up, names))
    return groups


def _parts(table: pd.DataFrame, column: str) -> list[tuple[str, pd.DataFrame]]:
    """Return the table divided by a column, with a title for each part."""
    if not column:
        return [(EVERYTHING, table)]
    return [
        (f"{column}={value_text(v)}", table[table[column] == v]) for v in _values(table[column])
    ]


def _values(column: pd.Series) -> list[object]:
    """Return each value once: numbers by size, others in the order of the sweep."""
    values = list(dict.fromkeys(column))
    return sorted(values) if pd.api.types.is_numeric_dtype(column) else values


def draw_columns(
    table: pd.DataFrame, choice: ColumnChoice, width: float = 10.2, height: float = 3.1
) -> PngFigure:
    """Draw the columns: boxes and points over seeds where x has values, else a scatter.

    A box has the quartiles and the median of at least three points. ``width`` and ``height``:
    inches.
    """
    plot = column_plot(table, choice)
    fig, panels = figure_with_columns(width, height, max(1, len(plot.panels)), share_y=True)
    for ax, panel in zip(panels, plot.panels, strict=False):
        for group in panel.groups:
            _draw_group(ax, group, plot.labels, plot.categories)
        if plot.categories:
            ax.set_xticks(range(len(plot.categories)), plot.categories)
            ax.set_xlim(-0.6, len(plot.categories) - 0.4)
        ax.set_xlabel(plot.x_title)
        if choice.panels:
            set_title(ax, panel.title)

    set_y_title(panels[0], plot.y_title)
    handles = {}
    for ax in panels:
        handles.update({h.get_label(): h for h in ax.get_legend_handles_labels()[0]})
    if choice.colour and handles:
        add_legend_below(fig, list(handles.values()))

    return fig


def offset_of(label: str, labels: Sequence[str]) -> float:
    """Return how far beside its category a group stands, so that groups do not cover another."""
    place = SPREAD / len(labels)
    return (labels.index(label) - (len(labels) - 1) / 2) * place


def _draw_group(
    ax: Axes, group: PointGroup, labels: Sequence[str], categories: Sequence[str]
) -> None:
    colour = line_style(labels.index(group.label))["color"]
    if not categories:
        ax.plot(group.x, group.y, "o", color=colour, markersize=DOT_SIZE, label=group.label)
        return

    offset = offset_of(group.label, labels)
    ax.plot(
        group.x + offset,
        group.y,
        "o",
        color=colour,
        markersize=DOT_SIZE,
        alpha=0.7,
        label=group.label,
    )

    for category in np.unique(group.x):
        values = group.y[group.x == category]
        if len(values) >= FEWEST_FOR_BOX:
            ax.boxplot(
                values,
                positions=[category + offset],
                widths=BOX_SHARE * SPREAD / len(labels),
                showfliers=False,
                manage_ticks=False,
                medianprops={"color": colour, "linewidth": 2},
                boxprops={"color": colour},
                whiskerprops={"color": colour},
                capprops={"color": colour},
            )
