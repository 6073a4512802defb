"""Figures of studies like the paper's, drawn from the rows that are kept and nothing else."""

from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullFormatter

from workbench.figures.curves import (
    DEFAULT_MEASURES,
    MEASURES,
    Against,
    Band,
    Curve,
    band_of,
    draw_measured,
)
from workbench.figures.drift import draw_drift_points
from workbench.figures.style import (
    PngFigure,
    add_legend,
    add_legend_below,
    figure_with_columns,
    line_style,
    set_title,
    write_numbers_out,
)
from workbench.figures.sweep_plots import ErrorPath, draw_error_paths
from workbench.studies.drift import points_by_colour
from workbench.studies.findings import AgePoint, age_points
from workbench.studies.interval_findings import harmless_of_arms
from workbench.studies.intervals import HarmlessInterval, IntervalPoint
from workbench.studies.rows import StudyComparison, StudyResults
from workbench.studies.study import START, Study, StudyFigure

PAPER_COLOUR = "#555555"
FIRST_INTERVAL = 30.0  # seconds, from which an axis of intervals is logarithmic
LAST_INTERVAL = 20_000.0  # seconds, where an axis of intervals has what never ends
DODGE = 0.12  # of a step of the axis, between the arms of one interval
BAR_HEIGHT = 0.5


def draw_study(study: Study, results: StudyResults, kind: StudyFigure) -> PngFigure:
    """Draw one of the figures of a study."""
    return DRAW[kind](study, results)


def kinds_of(study: Study, results: StudyResults) -> list[StudyFigure]:
    """Return the figures of a study for which there are rows: its runs may not measure drift."""
    return [kind for kind in study.figures if kind != StudyFigure.DRIFT or results.drifts]


# --- curves


def draw_epochs(study: Study, results: StudyResults) -> PngFigure:
    """Draw held-out curves against audio seen, seeds as bands."""
    return _draw_curves(results, "epochs")


def draw_time(study: Study, results: StudyResults) -> PngFigure:
    """Draw held-out curves against time on the virtual clock, as figure 4 of the paper."""
    return _draw_curves(results, "seconds")


def _draw_curves(results: StudyResults, against: Against) -> PngFigure:
    measured = {measure: _bands(results, measure, against) for measure in DEFAULT_MEASURES}
    return draw_measured(measured, results.labels, against)


def _bands(results: StudyResults, measure: str, against: Against) -> list[Band]:
    """The band of each label that has the measure."""
    found = []
    for label in results.labels:
        curves = [
            curve
            for cell in results.of_label(label)
            if (curve := _curve(results, label, cell.seed, measure, against)) is not None
        ]
        if curves:
            found.append(band_of(label, curves))

    return found


def _curve(
    results: StudyResults, label: str, seed: int, measure: str, against: Against
) -> Curve | None:
    """The curve of one run; None if it lacks the measure."""
    evaluations = results.curve(label, seed)
    own = [row for row in evaluations if getattr(row, measure) is not None]
    if not own:
        return None
    x = np.array([getattr(row, against) for row in own], float)
    y = np.array([getattr(row, measure) for row in own], float)
    return Curve(label, x, MEASURES[measure].factor * y)


def draw_errors(study: Study, results: StudyResults) -> PngFigure:
    """Draw frame errors against word errors on held-out data, as figure 6 of the paper."""
    fig = draw_error_paths({label: _error_paths(results, label) for label in results.labels})
    set_title(fig.axes[0], "from hollow to full marks; paper: to the right and down")
    return fig


def _error_paths(results: StudyResults, label: str) -> list[ErrorPath]:
    """The frame errors and word errors of each run of a label that has measured both."""
    found = []
    for cell in results.of_label(label):
        both = [(row.frame_error, row.wer) for row in results.curve(label, cell.seed)]
        measured = [pair for pair in both if None not in pair]
        if measured:
            found.append(ErrorPath(*(100 * np.array(measured, float).T)))

    return found


# --- test word errors


def draw_bars(study: Study, results: StudyResults) -> PngFigure:
    """Draw test word errors, and differences with their 95 % intervals; hollow: the paper's."""
    labels = [label for label in results.labels if _test_rates(results, label)]
    fig, axes = figure_with_columns(9.0, 1.3 + 0.4 * max(2, len(labels)), 2, share_y=True)
    places = {label: -number for number, label in enumerate(labels)}
    for label, place in places.items():
        rates = _test_rates(results, label)
        axes[0].plot(rates, [place] * len(rates), "o", color=line_style(0)["color"], markersize=4)
        if label in study.paper_wer:
            paper = study.paper_wer[label]
            axes[0].plot([paper], [place], "D", color=PAPER_COLOUR, fillstyle="none")
        for number, row in enumerate(_differences(results, label)):
            _draw_difference(axes[1], row, place + DODGE * (1 - 2 * number))

    # An arm and its setting take a line each, so that the panels keep their width.
    axes[0].set_yticks(list(places.values()), [label.replace(": ", ":\n") for label in places])
    axes[0].set_xlabel("test WER (%), one mark a seed")
    set_title(axes[0], "ours; hollow: the paper's")
    axes[1].axvline(0, color=PAPER_COLOUR, linewidth=0.8)
    axes[1].axvspan(-100 * study.margin, 100 * study.margin, color="#eeeeee", zorder=0)
    axes[1].set_xlabel("difference (% absolute); grey: the margin")
    set_title(axes[1], "solid: from the first; dashed: from the start")
    return fig


def _test_rates(results: StudyResults, label: str) -> list[float]:
    """The test word error rates of a label in percent, one per seed."""
    rates = [cell.test_wer for cell in results.of_label(label)]
    return [100 * rate for rate in rates if rate is not None]


def _differences(results: StudyResults, label: str) -> list[StudyComparison]:
    """The comparisons of a label with the first label of the study and with the start."""
    found = [results.compare(label, against) for against in (results.labels[0], START)]
    return [row for row in found if row is not None]


def _draw_difference(ax: Axes, row: StudyComparison, place: float) -> None:
    """Draw one difference with its interval across the panel."""
    comparison = row.comparison
    style = line_style(1 if row.against == START else 0)
    if comparison.low is not None and comparison.high is not None:
        ax.plot([100 * comparison.low, 100 * comparison.high], [place, place], **style)
    ax.plot([100 * comparison.difference], [place], "o", color=style["color"], markersize=4)


# --- intervals


def draw_intervals(study: Study, results: StudyResults) -> PngFigure:
    """Draw what an interval costs, and the longest harmless ones as bars, as figure 5."""
    found = [each for each in harmless_of_arms(study, results) if each.measured]
    fig, axes = figure_with_columns(9.0, 3.2, 2)
    for number, each in enumerate(found):
        _draw_costs(axes[0], each, number)
    axes[0].axhspan(-100 * study.margin, 100 * study.margin, color="#eeeeee", zorder=0)
    axes[0].axhline(0, color=PAPER_COLOUR, linewidth=0.8)
    axes[0].set_xscale("symlog", linthresh=FIRST_INTERVAL)
    axes[0].set_xlim(0, 2 * LAST_INTERVAL)
    write_numbers_out(axes[0].xaxis)
    axes[0].set_xlabel("fetch interval (s); last: never")
    set_title(axes[0], "cost in test words (% absolute)")

    _draw_harmless(axes[1], study, found)
    handles, _ = axes[0].get_legend_handles_labels()
    if handles:
        add_legend_below(fig, handles, columns=min(len(handles), 4))
    return fig


def _place(point: IntervalPoint, number: int) -> float:
    """Where an interval stands on the axis; never fetching stands after everything else."""
    seconds = min(point.seconds, LAST_INTERVAL)
    return seconds * (1 + DODGE * number)


def _draw_costs(ax: Axes, each: HarmlessInterval, number: int) -> None:
    """Draw the costs of the intervals of one arm with their 95 % intervals."""
    style = line_style(number)
    x = [_place(point, number) for point in each.points]
    y = [100 * point.compared.comparison.difference for point in each.points]
    ax.plot(x, y, marker="o", markersize=4, label=each.arm, **style)
    for place, point in zip(x, each.points, strict=True):
        comparison = point.compared.comparison
        if comparison.low is not None and comparison.high is not None:
            ends = [100 * comparison.low, 100 * comparison.high]
            ax.plot([place, place], ends, color=style["color"], linewidth=1.0)


def _draw_harmless(ax: Axes, study: Study, found: Sequence[HarmlessInterval]) -> None:
    """Draw the range in which the longest harmless interval of each arm lies."""
    paper = {each.arm: each.paper for each in study.harmless}
    for number, each in enumerate(found):
        begin = min(each.at_least, LAST_INTERVAL)
        end = LAST_INTERVAL if each.below is None else min(each.below, LAST_INTERVAL)
        color = line_style(number)["color"]
        ax.barh(-number, begin, BAR_HEIGHT, color=color)
        ax.barh(-number, end - begin, BAR_HEIGHT, begin, color=color, alpha=0.2)
        expected = paper.get(each.arm)
        if expected is not None:
            ax.plot([expected], [-number], "D", color=PAPER_COLOUR, fillstyle="none")

    ax.set_xlim(0, 2 * LAST_INTERVAL)
    ax.set_yticks([-number for number in range(len(found))], [each.arm for each in found])
    ax.set_xscale("symlog", linthresh=FIRST_INTERVAL)
    write_numbers_out(ax.xaxis)
    ax.set_xlabel("fetch interval (s)")
    set_title(ax, "harmless; pale: undecided; ◇ the paper")


# --- staleness


def draw_ages_of_study(study: Study, results: StudyResults) -> PngFigure:
    """Draw outer ages against replicas, the closed form as bands and the paper's as a box."""
    fig, axes = figure_with_columns(9.0, 3.4, 2)
    points = age_points(results)
    batches = sorted({point.cell.batch for point in points})
    for number, batch in enumerate(batches):
        _draw_ages(axes[0], [p for p in points if p.cell.batch == batch], number)
        own = [p.cell for p in points if p.cell.batch == batch]
        seconds = [cell.staleness_outer_seconds or 0.0 for cell in own]
        replicas = [cell.replicas for cell in own]
        style = line_style(number)
        axes[1].plot(replicas, seconds, "o", color=style["color"], label=f"batch {batch}")

    if study.ages is not None:
        _draw_paper_box(axes[0], study.ages.replicas, study.ages.updates)
        _draw_paper_box(axes[1], study.ages.replicas, study.ages.seconds)

    counts = sorted({point.cell.replicas for point in points})
    for ax, title in zip(axes, ("updates", "seconds"), strict=True):
        ax.set_xscale("log")
        ax.set_xticks(counts)
        ax.set_yscale("log")
        # The numbers that a logarithmic axis has by itself are wider than the margin of a figure.
        ax.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        for axis in (ax.xaxis, ax.yaxis):
            write_numbers_out(axis)
            axis.set_minor_formatter(NullFormatter())
        ax.set_xlabel("replicas")
        set_title(ax, f"age of outer gradients ({title})")
        add_legend(ax)

    return fig


def _draw_ages(ax: Axes, points: Sequence[AgePoint], number: int) -> None:
    """Draw the measured ages of one batch size, and the closed form as a band through them."""
    style = line_style(number)
    replicas = np.array([point.cell.replicas for point in points])
    measured = [point.measured for point in points]
    ax.plot(replicas, measured, "o", color=style["color"], label=f"batch {points[0].cell.batch}")

    order = np.argsort(replicas)
    x = replicas[order]
    low = np.array([point.expected.low for point in points])[order]
    high = np.array([point.expected.high for point in points])[order]
    ax.plot(x, low, **style)
    ax.fill_between(x, low, high, color=style["color"], alpha=0.15, linewidth=0)


def _draw_paper_box(ax: Axes, replicas: int, bounds: Sequence[float]) -> None:
    """Draw the paper's range at its number of replicas."""
    low, high = bounds
    ax.plot([replicas] * 2, [low, high], color=PAPER_COLOUR, linewidth=5, alpha=0.4, label="paper")


# --- drift


def draw_drift_of_study(study: Study, results: StudyResults) -> PngFigure:
    """Draw how far outer gradients have turned against age and distance."""
    return draw_drift_points(points_by_colour(results))


DRAW: dict[StudyFigure, Callable[[Study, StudyResults], PngFigure]] = {
    StudyFigure.INTERVAL: draw_intervals,
    StudyFigure.CURVES: draw_epochs,
    StudyFigure.TIME: draw_time,
    StudyFigure.SCATTER: draw_errors,
    StudyFigure.BARS: draw_bars,
    StudyFigure.STALENESS: draw_ages_of_study,
    StudyFigure.DRIFT: draw_drift_of_study,
}
