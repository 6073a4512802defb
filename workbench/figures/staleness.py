"""How old the parameters were that gradients came from: rows of pushes -> histograms -> figure (paper section 3.2)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from workbench.figures.style import figure, line
from workbench.metrics.staleness import Histogram, Summary, histogram, summary
from workbench.storage.run import Run

COLUMNS = {
    "staleness_inner": ("inner gradient", "staleness (updates)", True),
    "staleness_outer": ("outer gradient", "staleness (updates)", True),
    "inner_seconds": ("inner gradient", "age (s)", False),
    "outer_seconds": ("outer gradient", "age (s)", False),
    "skew": ("shards of one fetch", "newest minus oldest version (updates)", True),
}


REACH = 0.99  # quantile up to which histograms reach: one pause of a machine would squeeze all else into one bin


@dataclass(frozen=True)
class Ages:
    """Of one column of a run's pushes: what it is, its histogram, and its mean, median and 95 % quantile.

    The histogram's last bin counts the oldest hundredth as well.
    """

    run: str
    column: str
    histogram: Histogram
    summary: Summary


def ages(
    pushes: pd.DataFrame, run: str = "", columns: Sequence[str] = tuple(COLUMNS)
) -> list[Ages]:
    """The columns that the pushes have; nothing for a column without numbers, such as outer gradients of CE."""
    out = []
    for column in columns:
        values = pd.to_numeric(pushes[column]).to_numpy(float) if column in pushes else np.array([])
        if np.isfinite(values).any():
            out.append(
                Ages(
                    run,
                    column,
                    histogram(values, whole=COLUMNS[column][2], reach=REACH),
                    summary(values),
                )
            )
    return out


def draw_staleness(runs: Sequence[Run], columns: Sequence[str] = tuple(COLUMNS)) -> Figure:
    """One panel per column that any run has, one outline per run, shares of pushes upwards."""
    found = [a for run in runs for a in ages(run.rows("push"), run.name, columns)]
    return draw_ages(found, [r.name for r in runs])


def draw_ages(found: Sequence[Ages], names: Sequence[str]) -> Figure:
    """The same from what ``ages`` found; ``names`` fix which run has which colour."""
    shown = [c for c in COLUMNS if any(a.column == c for a in found)] or ["staleness_inner"]
    fig, axes = figure(2.9 * max(len(shown), 2), 2.9, ncols=len(shown), squeeze=False)
    for ax, column in zip(axes[0], shown, strict=True):
        title, unit, _ = COLUMNS[column]
        for a in (a for a in found if a.column == column):
            share = 100 * a.histogram.counts / max(1, a.histogram.counts.sum())
            label = f"mean {a.summary.mean:.4g}, max {a.summary.max:.3g}"
            ax.stairs(share, a.histogram.edges, label=label, **line(list(names).index(a.run)))
        ax.set_title(title)
        ax.set_xlabel(unit)
        if ax.has_data():
            ax.set_ylim(0, 1.4 * ax.get_ylim()[1])  # room for the legend
            ax.legend(loc="upper right")
    axes[0][0].set_ylabel("share of pushes (%)")
    handles = [Line2D([], [], label=name, **line(i)) for i, name in enumerate(names)]
    fig.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), 4) or 1)
    return fig


def staleness_table(runs: Sequence[Run]) -> pd.DataFrame:
    """Mean, median, 95 % quantile and largest of every column, per run."""
    rows = [
        {
            "run": a.run,
            "of": COLUMNS[a.column][0],
            "unit": COLUMNS[a.column][1],
            "mean": a.summary.mean,
        }
        | {
            "median": a.summary.median,
            "95 %": a.summary.p95,
            "max": a.summary.max,
            "pushes": a.summary.count,
        }
        for run in runs
        for a in ages(run.rows("push"), run.name)
    ]
    return pd.DataFrame(
        rows, columns=["run", "of", "unit", "mean", "median", "95 %", "max", "pushes"]
    )
