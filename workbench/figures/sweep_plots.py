"""Figures of a sweep: effects of its axes, and frame errors against word errors."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from workbench.data import PAPER
from workbench.figures.style import (
    COLOURS,
    LINE_WIDTH,
    PngFigure,
    add_legend,
    add_legend_below,
    figure_with_columns,
    figure_with_panel,
    line_style,
    mark_at_edge,
    set_y_title,
)
from workbench.figures.sweep_matrix import NAMES, scale
from workbench.storage.files import read_json
from workbench.storage.rows import EvaluateRow
from workbench.storage.run import Run
from workbench.sweeping import CellState
from workbench.sweeping.results import effect_table


class ErrorPath(NamedTuple):
    """Frame errors and word errors of one run, in percent, float64 [measurements]."""

    frame_errors: np.ndarray
    word_errors: np.ndarray


def paper_values(entry: str, axis: str) -> dict[str, float]:
    """Return the paper's word error rates (%) by value of ``axis``, from ``entry`` of its file.

    Empty if the paper did not vary this axis.
    """
    if entry == "shuffling" and axis == "shuffling":
        rates = dict(read_json(PAPER)[entry])
        rates.pop("where")
    elif entry == "layers" and axis == "trained":
        rates = read_json(PAPER)[entry]["test_wer"]
    elif axis == "criterion":
        rates = read_json(PAPER)["table1"]["icelandic"]
    else:
        rates = {}

    return {value: float(rate) for value, rate in rates.items()}


def draw_effects(
    table: pd.DataFrame, axes: Sequence[str], measure: str = "test_wer", paper: str = ""
) -> PngFigure:
    """Draw mean and interval of the measure at each value of each axis.

    Hollow marks are the paper's, measured on its own data. ``paper``: the entry of its data file,
    if there is one.
    """
    found = effect_table(table, axes, measure)
    columns = max(1, len(axes))
    fig, panels = figure_with_columns(3.2 * columns, 2.8, columns)

    for ax, axis in zip(panels, axes, strict=False):
        own = found[found.axis == axis]
        _draw_single_runs(ax, table, axis, own.value, measure)
        if measure == "test_wer":
            _draw_paper_marks(ax, own.value, paper_values(paper, axis))
        _draw_means(ax, own, measure)
        ax.set_xticks(range(len(own)), [str(value) for value in own.value])
        ax.set_xlabel(axis)

    set_y_title(panels[0], NAMES[measure])
    handles, _ = panels[0].get_legend_handles_labels()
    add_legend_below(fig, handles, columns=1)
    return fig


def _draw_single_runs(
    ax: Axes, table: pd.DataFrame, axis: str, values: Sequence[object], measure: str
) -> None:
    """Draw a small mark for each run that ended, a little to the right of its value."""
    ended = table[table.state == CellState.DONE]
    for number, value in enumerate(values):
        measured = scale(measure) * ended[measure][ended[axis] == value].to_numpy(float)
        at = np.full(len(measured), number + 0.12)
        ax.plot(at, measured, ".", color=COLOURS[0], alpha=0.5, markersize=5)


def _draw_paper_marks(ax: Axes, values: Sequence[object], rates: Mapping[str, float]) -> None:
    positions = [i for i, value in enumerate(values) if str(value) in rates]
    if positions:
        ax.plot(
            positions,
            [rates[str(value)] for value in values if str(value) in rates],
            "s",
            color=COLOURS[1],
            markerfacecolor="none",
            label="paper, its own data",
        )


def _draw_means(ax: Axes, own: pd.DataFrame, measure: str) -> None:
    at = np.arange(len(own))
    mean = scale(measure) * own["mean"].to_numpy(float)
    low = scale(measure) * own["low"].to_numpy(float)
    high = scale(measure) * own["high"].to_numpy(float)
    ax.plot(at, mean, "o", color=COLOURS[0], label="here: mean; small: single runs")
    ax.margins(x=0.3, y=0.2)

    limits = ax.get_ylim()  # before intervals are drawn: that of two seeds may be very wide
    spread = np.nan_to_num(np.array([mean - low, high - mean]))
    ax.errorbar(at, mean, spread, fmt="none", color=COLOURS[0], capsize=3, elinewidth=LINE_WIDTH)
    ax.set_ylim(limits)
    mark_at_edge(ax, at[low < limits[0]], limits[0], 0, above=False)
    mark_at_edge(ax, at[high > limits[1]], limits[1], 0, above=True)


def draw_scatter(groups: Mapping[str, Sequence[Run]]) -> PngFigure:
    """Draw frame error against word error along the training of each run (experiment E4).

    The start of a run is hollow, its end full.
    """
    return draw_error_paths({label: error_paths(runs) for label, runs in groups.items()})


def draw_error_paths(groups: Mapping[str, Sequence[ErrorPath]]) -> PngFigure:
    """Draw frame error across and word error up along each path, by label."""
    fig, ax = figure_with_panel(5.0, 3.6)
    for number, (label, paths) in enumerate(groups.items()):
        for n, path in enumerate(paths):
            _draw_path(ax, path, number, label if n == 0 else None)

    ax.set_xlabel(NAMES["frame_error"])
    set_y_title(ax, NAMES["heldout_wer"])
    if ax.has_data():
        add_legend(ax)
    return fig


def _draw_path(ax: Axes, path: ErrorPath, number: int, label: str | None) -> None:
    style = line_style(number)
    colour = style["color"]
    x, y = path
    ax.plot(x, y, marker=".", label=label, **style)
    ax.plot(x[:1], y[:1], "o", color=colour, markerfacecolor="none", markersize=9)
    ax.plot(x[-1:], y[-1:], "o", color=colour, markersize=7)


def error_paths(runs: Sequence[Run]) -> list[ErrorPath]:
    """Return frame and word errors along the training of each run that has measured both."""
    found = []
    for run in runs:
        table = run.table(EvaluateRow)
        if "frame_error" in table:
            frame_errors = 100 * table["frame_error"].to_numpy(float)
            found.append(ErrorPath(frame_errors, 100 * table["wer"].to_numpy(float)))
    return found
