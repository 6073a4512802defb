"""Curves of what evaluators measured, against updates, time or audio seen: table -> info -> figure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from workbench.figures.style import figure, line
from workbench.storage.run import Run

Against = Literal["updates", "seconds", "epochs"]
AXES = {"updates": "updates applied", "seconds": "time (s)", "epochs": "audio seen (epochs)"}
MEASURES = {
    "mmi": ("F_MMI per frame", 1.0),
    "wer": ("word error rate, unigram (%)", 100.0),
    "frame_error": ("frame error (%)", 100.0),
    "ce": ("F_CE per frame", 1.0),
}
SHOWN = ("mmi", "wer", "frame_error")
STRETCHED = 8.0  # times longer than the shortest run, and time is shown on a logarithmic axis,
DECADES = 100.0  # from zero and so many parts of the shortest run on
FAR = 2.0  # times the range of all that follows, and the first evaluation of a random network is cut off
POINTS = 60  # of the common grid on which seeds are averaged


@dataclass(frozen=True)
class Curve:
    """One run's measure: ``x`` and ``y`` [evaluations], finite where measured."""

    run: str
    x: np.ndarray
    y: np.ndarray


@dataclass(frozen=True)
class Band:
    """The mean of several seeds' curves and their lowest and highest, on a common grid; ``runs`` many."""

    label: str
    x: np.ndarray
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    runs: int


def curve(
    table: pd.DataFrame, measure: str, against: Against = "epochs", run: str = ""
) -> Curve | None:
    """The curve in one run's rows of evaluations; None if it has no such measure."""
    if measure not in table or against not in table or not table[measure].notna().any():
        return None
    table = table.sort_values(against)
    values = MEASURES[measure][1] * pd.to_numeric(table[measure]).to_numpy(float)
    return Curve(run, table[against].to_numpy(float), values)


def curves(runs: Sequence[Run], measure: str, against: Against = "epochs") -> list[Curve]:
    """The curve of each run that has the measure; seconds are virtual ones on a virtual clock."""
    found = (curve(run.rows("evaluate"), measure, against, run.name) for run in runs)
    return [c for c in found if c is not None]


def bands(
    groups: Mapping[str, Sequence[Run]], measure: str, against: Against = "epochs"
) -> list[Band]:
    """Seeds taken together, as far as all of them go."""
    out = []
    for label, runs in groups.items():
        found = curves(runs, measure, against)
        if not found:
            continue
        if len(found) == 1:
            x, y = found[0].x, found[0].y
            out.append(Band(label, x, y, y, y, 1))
            continue
        x = np.linspace(max(c.x[0] for c in found), min(c.x[-1] for c in found), POINTS)
        y = np.array([np.interp(x, c.x, c.y) for c in found])
        out.append(Band(label, x, y.mean(0), y.min(0), y.max(0), len(found)))
    return out


def draw_curves(
    runs: Sequence[Run], measures: Sequence[str] = SHOWN, against: Against = "epochs"
) -> Figure:
    """One panel per measure, one line per run."""
    return draw_bands({r.name: [r] for r in runs}, measures, against)


def draw_bands(
    groups: Mapping[str, Sequence[Run]],
    measures: Sequence[str] = SHOWN,
    against: Against = "epochs",
    height: float = 2.8,
) -> Figure:
    """One panel per measure, one line per group of runs; shaded between the lowest and the highest of its seeds."""
    fig, axes = figure(3.4 * len(measures), height, ncols=len(measures), squeeze=False)
    order = list(groups)
    for ax, measure in zip(axes[0], measures, strict=True):
        found = bands(groups, measure, against)
        if against == "seconds" and (linear := stretched(found)):
            ax.set_xscale("symlog", linthresh=linear)
        if limits := window(found):
            ax.set_ylim(limits)
        for band in found:
            style = line(order.index(band.label))
            marker = {"marker": ".", "markersize": 4} if band.runs == 1 else {}
            label = band.label if band.runs == 1 else f"{band.label} ({band.runs} seeds)"
            ax.plot(band.x, band.mean, label=label, **marker, **style)
            if band.runs > 1:
                ax.fill_between(
                    band.x, band.low, band.high, color=style["color"], alpha=0.15, linewidth=0
                )
        ax.set_title(MEASURES[measure][0])
        ax.set_xlabel(AXES[against])
    handles, labels = axes[0][0].get_legend_handles_labels()
    if labels:
        fig.legend(handles, labels, loc="outside lower center", ncols=min(len(labels), 3))
    return fig


def stretched(found: Sequence[Band]) -> float | None:
    """Where a logarithmic axis begins, if some take so much longer that others would be a vertical line at the left."""
    ends = [band.x[-1] for band in found if band.x[-1] > 0]
    if not ends or max(ends) <= STRETCHED * min(ends):
        return None
    return max(min(ends) / DECADES, min(x for band in found for x in band.x if x > 0))


def window(found: Sequence[Band]) -> tuple[float, float] | None:
    """Limits of y without the first evaluation of each run, where a random network's flattens all that follows."""
    whole = np.concatenate([band.mean for band in found] or [np.zeros(0)])
    later = np.concatenate(
        [band.mean[band.runs == 1 and len(band.mean) > 3 :] for band in found] or [np.zeros(0)]
    )
    whole, later = whole[np.isfinite(whole)], later[np.isfinite(later)]
    if not len(later) or not 0 < FAR * np.ptp(later) < np.ptp(whole):
        return None
    return later.min() - 0.05 * np.ptp(later), later.max() + 0.05 * np.ptp(later)


def draw_word_errors(runs: Sequence[Run], against: Against = "epochs") -> Figure:
    """Substitutions, deletions and insertions of each run: rising deletions under a falling total are a warning."""
    fig, axes = figure(
        3.4 * max(1, len(runs)), 2.8, ncols=max(1, len(runs)), squeeze=False, sharey=True
    )
    for ax, run in zip(axes[0], runs, strict=False):
        table = run.rows("evaluate")
        if "sub" not in table:
            continue
        kinds = (("sub", "substitutions"), ("del", "deletions"), ("ins", "insertions"))
        for number, (column, label) in enumerate(kinds):
            ax.plot(table[against], 100 * table[column].astype(float), label=label, **line(number))
        ax.set_title(run.name)
        ax.set_xlabel(AXES[against])
        ax.set_ylabel("share of reference words (%)")
        ax.legend()
    return fig


def shares(table: pd.DataFrame) -> pd.DataFrame:
    """Of rows of decodes: frames so far, and what became of the recent ones, in percent."""
    window = max(1, len(table) // 40)
    recent = {
        c: table[c].rolling(window, min_periods=1).sum()
        for c in ("frames", "kept", "cancelled", "rejected")
    }
    columns = {c: 100 * recent[c] / recent["frames"] for c in ("kept", "cancelled", "rejected")}
    return pd.DataFrame({"frames": table["frames"].cumsum(), **columns})


def draw_shares(run: Run) -> Figure:
    """What became of the frames that decoders saw: trained on, cancelled, rejected, over the utterances decoded."""
    fig, ax = figure(5.0, 2.6)
    table = run.rows("decode")
    if len(table):
        found = shares(table)
        for number, column in enumerate(("kept", "cancelled", "rejected")):
            ax.plot(found.frames / 1e6, found[column], label=column, **line(number))
        ax.set_ylim(0, 100)
        fig.legend(loc="outside lower center", ncols=3)
    ax.set_xlabel("frames decoded (million)")
    ax.set_ylabel("share of frames (%)")
    ax.set_title("frames kept, cancelled, rejected")
    return fig
