"""Curves of what evaluators measured, against updates, time or audio seen."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from workbench.figures.style import (
    LEGEND_SIZE,
    PngFigure,
    add_legend,
    add_legend_below,
    figure_with_columns,
    figure_with_panel,
    line_style,
    mark_at_edge,
    set_title,
    set_y_title,
)
from workbench.settings import UserError
from workbench.storage.rows import DecodeRow, EvaluateRow
from workbench.storage.run import Run

Against = Literal["updates", "seconds", "epochs"]
AXES: dict[Against, str] = {
    "updates": "updates applied",
    "seconds": "time (s)",
    "epochs": "audio seen (epochs)",
}


class Measure(NamedTuple):
    """What an evaluator measures: title with unit, and the factor from rows to that unit."""

    title: str
    factor: float


MEASURES = {
    "mmi": Measure("F_MMI per frame", 1.0),
    "wer": Measure("word error rate, unigram (%)", 100.0),
    "frame_error": Measure("frame error (%)", 100.0),
    "ce": Measure("F_CE per frame", 1.0),
}
DEFAULT_MEASURES = ("mmi", "wer", "frame_error")
WORD_ERRORS = {"sub": "substitutions", "del": "deletions", "ins": "insertions"}
FATES = ("kept", "cancelled", "rejected")  # of frames

# The axis of time is logarithmic where the longest run is so many times longer than the shortest.
LOGARITHMIC_RATIO = 8.0
# That axis is linear from zero to this part of the shortest run.
LINEAR_PART = 100.0
# The first evaluations are cut off where all values span so many times the range of the later ones.
OUTLYING_START = 2.0
MOST_MARKED = 60  # points of a curve that each have a mark
GRID_POINTS = 60  # of the common grid on which seeds are averaged
PANEL_WIDTH = 3.4  # inches
PANEL_HEIGHT = 2.8  # inches


@dataclass(frozen=True)
class Curve:
    """One run's measure: ``x`` and ``y`` (in the measure's unit), float64 [evaluations]."""

    run: str
    x: np.ndarray
    y: np.ndarray


@dataclass(frozen=True)
class Band:
    """The curves of ``runs`` seeds on a common grid: their mean, lowest and highest.

    All arrays are float64 [points].
    """

    label: str
    x: np.ndarray
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    runs: int


def curve_of(
    table: pd.DataFrame, measure: str, against: Against = "epochs", run: str = ""
) -> Curve | None:
    """Return the curve in one run's rows of evaluations, or None if they lack the measure."""
    if measure not in table or against not in table or not table[measure].notna().any():
        return None

    table = table.sort_values(against)
    values = pd.to_numeric(table[measure]).to_numpy(float)
    return Curve(run, table[against].to_numpy(float), MEASURES[measure].factor * values)


def curves(runs: Sequence[Run], measure: str, against: Against = "epochs") -> list[Curve]:
    """Return the curve of each run that has the measure.

    Seconds are virtual on a virtual clock.
    """
    all_curves = [curve_of(run.table(EvaluateRow), measure, against, run.name) for run in runs]
    return [curve for curve in all_curves if curve is not None]


def bands(
    groups: Mapping[str, Sequence[Run]], measure: str, against: Against = "epochs"
) -> list[Band]:
    """Return one band per group of runs that has the measure.

    Several runs are averaged over the stretch of ``against`` that all of them cover.
    """
    all_bands = []
    for label, runs in groups.items():
        group_curves = curves(runs, measure, against)
        if group_curves:
            all_bands.append(band_of(label, group_curves))
    return all_bands


def band_of(label: str, group: Sequence[Curve]) -> Band:
    """Return the band of curves that differ in their seeds."""
    if len(group) == 1:
        only = group[0]
        return Band(label, only.x, only.y, only.y, only.y, 1)

    first = max(curve.x[0] for curve in group)
    last = min(curve.x[-1] for curve in group)
    x = np.linspace(first, last, GRID_POINTS)
    y = np.array([np.interp(x, curve.x, curve.y) for curve in group])
    return Band(label, x, y.mean(0), y.min(0), y.max(0), len(group))


def draw_curves(
    runs: Sequence[Run],
    measures: Sequence[str] = DEFAULT_MEASURES,
    against: Against = "epochs",
) -> PngFigure:
    """Draw one panel per measure and one line per run."""
    return draw_bands({run.name: [run] for run in runs}, measures, against)


def draw_bands(
    groups: Mapping[str, Sequence[Run]],
    measures: Sequence[str] = DEFAULT_MEASURES,
    against: Against = "epochs",
    height: float = PANEL_HEIGHT,
) -> PngFigure:
    """Draw one panel per measure and one line per group, shaded from lowest to highest seed.

    ``height``: inches.
    """
    for measure in measures:
        _require_known(measure, MEASURES)
    measured = {measure: bands(groups, measure, against) for measure in measures}
    return draw_measured(measured, list(groups), against, height)


def _require_known(name: str, known: Iterable[str]) -> None:
    """Raise UserError that lists what can be drawn, if ``name`` is not among it."""
    names = list(known)
    if name not in names:
        raise UserError(f"{name}: cannot be drawn; choose among {', '.join(names)}")


def draw_measured(
    measured: Mapping[str, Sequence[Band]],
    labels: Sequence[str],
    against: Against = "epochs",
    height: float = PANEL_HEIGHT,
) -> PngFigure:
    """Draw one panel per measure and one line per band.

    The order of ``labels`` decides which label has which colour.
    """
    _require_known(against, AXES)
    fig, axes = figure_with_columns(PANEL_WIDTH * len(measured), height, len(measured))
    for ax, (measure, found) in zip(axes, measured.items(), strict=True):
        if against == "seconds":
            _set_time_scale(ax, found)
        limits = limits_without_start(found)
        if limits:
            ax.set_ylim(limits)

        for band in found:
            _draw_band(ax, band, labels.index(band.label))
        if limits:
            _mark_outside(ax, found, labels, limits)
        set_title(ax, MEASURES[measure].title)
        ax.set_xlabel(AXES[against])

    handles, _ = axes[0].get_legend_handles_labels()
    if handles:
        add_legend_below(fig, handles)
    return fig


def _draw_band(ax: Axes, band: Band, number: int) -> None:
    style = line_style(number)
    if band.runs == 1:
        marker = point_marker(len(band.x))
        ax.plot(band.x, band.mean, label=band.label, marker=marker, markersize=4, **style)
        return

    ax.plot(band.x, band.mean, label=f"{band.label} ({band.runs} seeds)", **style)
    ax.fill_between(band.x, band.low, band.high, color=style["color"], alpha=0.15, linewidth=0)


def point_marker(points: int) -> str:
    """Return the mark of each point of a curve: none where marks would hide the line."""
    return "." if points <= MOST_MARKED else ""


def _set_time_scale(ax: Axes, measured: Sequence[Band]) -> None:
    linear_until = logarithmic_from(measured)
    if linear_until:
        ax.set_xscale("symlog", linthresh=linear_until)


def logarithmic_from(measured: Sequence[Band]) -> float | None:
    """Return where a logarithmic axis of time begins, or None if a linear axis shows all bands.

    On a linear axis a band that ends after an eighth of the longest one would be a vertical line at
    the left.
    """
    ends = [band.x[-1] for band in measured if band.x[-1] > 0]
    if not ends or max(ends) <= LOGARITHMIC_RATIO * min(ends):
        return None

    first_positive = min(x for band in measured for x in band.x if x > 0)
    return max(min(ends) / LINEAR_PART, first_positive)


def limits_without_start(measured: Sequence[Band]) -> tuple[float, float] | None:
    """Return limits of y without each run's first evaluation, or None to show everything.

    The value of a random network may be so far off that it flattens all that follows.
    """
    later_values = []
    for band in measured:
        skip_first = band.runs == 1 and len(band.mean) > 3
        later_values.append(band.mean[1:] if skip_first else band.mean)

    everything = _finite([band.mean for band in measured])
    later = _finite(later_values)
    if not len(later) or not 0 < OUTLYING_START * np.ptp(later) < np.ptp(everything):
        return None

    margin = 0.05 * np.ptp(later)
    return later.min() - margin, later.max() + margin


def _mark_outside(
    ax: Axes, measured: Sequence[Band], labels: Sequence[str], limits: tuple[float, float]
) -> None:
    """Mark at the edges of a panel the points that it leaves out, and write their values."""
    low, high = limits
    for edge, above in ((low, False), (high, True)):
        places: list[float] = []
        values: list[float] = []
        for band in measured:
            outside = band.mean > high if above else band.mean < low
            mark_at_edge(ax, band.x[outside], edge, labels.index(band.label), above)
            places += band.x[outside].tolist()
            values += band.mean[outside].tolist()
        if values:
            _write_outside(ax, (min(places), edge), values, above)


def _write_outside(
    ax: Axes, place: tuple[float, float], values: Sequence[float], above: bool
) -> None:
    """Write beside a mark at the edge of a panel what was measured there."""
    ends = dict.fromkeys(f"{value:.3g}" for value in (min(values), max(values)))
    written = ax.annotate(
        " to ".join(ends),
        place,
        xytext=(7, -2 if above else 2),
        textcoords="offset points",
        fontsize=LEGEND_SIZE,
        va="top" if above else "bottom",
    )
    written.set_in_layout(False)  # a point far to the right would make the panel narrow


def _finite(parts: Sequence[np.ndarray]) -> np.ndarray:
    values = np.concatenate(parts) if parts else np.zeros(0)
    return values[np.isfinite(values)]


def draw_word_errors(runs: Sequence[Run], against: Against = "epochs") -> PngFigure:
    """Draw substitutions, deletions and insertions, one panel per run.

    Deletions that rise while the total falls are a warning.
    """
    columns = max(1, len(runs))
    fig, axes = figure_with_columns(PANEL_WIDTH * columns, PANEL_HEIGHT, columns, share_y=True)
    for ax, run in zip(axes, runs, strict=False):
        table = run.table(EvaluateRow)
        if "sub" not in table:
            continue
        for number, (column, label) in enumerate(WORD_ERRORS.items()):
            percent = 100 * table[column].astype(float)
            ax.plot(table[against], percent, label=label, **line_style(number))
        set_title(ax, run.name)
        ax.set_xlabel(AXES[against])
        set_y_title(ax, "share of reference words (%)")
        add_legend(ax)

    return fig


def fate_shares(table: pd.DataFrame) -> pd.DataFrame:
    """Return what became of frames in one run's rows of decodes.

    Columns: ``frames`` decoded so far; ``kept``, ``cancelled`` and ``rejected``, in percent of the
    frames of the last fortieth of the rows.
    """
    window = max(1, len(table) // 40)
    recent = {
        column: table[column].rolling(window, min_periods=1).sum() for column in ("frames", *FATES)
    }
    percent = {fate: 100 * recent[fate] / recent["frames"] for fate in FATES}
    return pd.DataFrame({"frames": table["frames"].cumsum(), **percent})


def draw_shares(run: Run) -> PngFigure:
    """Draw the shares of frames that are kept, cancelled and rejected, over the frames decoded."""
    fig, ax = figure_with_panel(5.0, 2.6)
    table = run.table(DecodeRow, ("seconds", "process", "frames", *FATES))
    if len(table):
        shares = fate_shares(table)
        for number, fate in enumerate(FATES):
            ax.plot(shares.frames / 1e6, shares[fate], label=fate, **line_style(number))
        ax.set_ylim(0, 100)
        add_legend_below(fig, ax.lines, columns=3)

    ax.set_xlabel("frames decoded (million)")
    set_y_title(ax, "share of frames (%)")
    set_title(ax, "frames kept, cancelled, rejected")
    return fig
