"""Outer gradients turn: their cosines with fresh ones against age and distance."""

from collections.abc import Mapping, Sequence

import numpy as np

from workbench.figures.style import (
    PngFigure,
    add_legend_below,
    figure_with_columns,
    line_style,
    set_title,
    set_y_title,
)
from workbench.metrics.drift import COMPARED, DriftPoint, points_of_runs, pool, rank_correlation
from workbench.storage.run import Run

LINEAR_SHARE = 0.05
"""Of the values above zero, those that lie in the linear part of a logarithmic axis."""


def draw_drift(groups: Mapping[str, Sequence[Run]]) -> PngFigure:
    """Draw how far outer gradients of runs had turned when they were used, a colour per group.

    Raises UserError if none of them measured it, which takes the setting drift_every.
    """
    by_run = points_of_runs([run for runs in groups.values() for run in runs])
    return draw_drift_points(
        {
            label: [point for run in runs for point in by_run[run.name]]
            for label, runs in groups.items()
        }
    )


def draw_drift_points(groups: Mapping[str, Sequence[DriftPoint]]) -> PngFigure:
    """Draw cosines with the fresh outer gradient against each measure, a colour per group.

    Where an auxiliary function makes something of the stale gradient, the cosine is of that. The
    correlations in the titles are of the stale ones.
    """
    pooled = pool(groups)
    fig, axes = figure_with_columns(9.0, 3.4, len(COMPARED), share_y=True)
    for ax, measure in zip(axes, COMPARED, strict=True):
        for number, (name, points) in enumerate(groups.items()):
            shown = [point for point in points if point.cosine is not None]
            x = np.array([measure.read(point) for point in shown], float)
            color = line_style(number)["color"]
            y = np.array([_followed(point) for point in shown], float)
            ax.plot(x, y, "o", ms=2.5, alpha=0.5, color=color, label=name)

        values = pooled.values(measure)
        positive = values[values > 0]
        if len(positive):
            ax.set_xscale("symlog", linthresh=float(np.quantile(positive, LINEAR_SHARE)))
        ax.set_xlabel(measure.axis)
        found = rank_correlation(pooled, measure)
        set_title(ax, "" if found is None else f"rank correlation {found:.2f}")

    set_y_title(axes[0], "cosine with the fresh gradient")
    handles, _ = axes[0].get_legend_handles_labels()
    if handles:
        add_legend_below(fig, handles, columns=min(len(handles), 4))
    return fig


def _followed(point: DriftPoint) -> float | None:
    """The cosine of what the replica follows with the fresh gradient."""
    return point.cosine if point.auxiliary_cosine is None else point.auxiliary_cosine
