"""Gains of the criterion against gains in word errors, over everything that is kept.

The last sentence of the paper says that small gains on held-out data do not carry over to the test
with the full language model. Each point is one setting of one study, against its start.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from workbench.figures.style import (
    PngFigure,
    add_legend,
    figure_with_panel,
    line_style,
    set_title,
    set_y_title,
)
from workbench.studies.rows import StudyResults
from workbench.studies.study import START

FEWEST_POINTS = 3


@dataclass(frozen=True)
class GainPoint:
    """What one setting changed: F_MMI on held-out data, and test word errors as a fraction."""

    study: str
    label: str
    criterion: float
    words: float
    standard_error: float  # of ``words``


def gain_points(kept: Sequence[StudyResults]) -> list[GainPoint]:
    """Return the gains of every setting that was compared with its start, shared ones once."""
    points: dict[tuple[float, float], GainPoint] = {}
    for results in kept:
        for row in results.compared:
            changes = results.changes(row.label, "mmi")
            if row.against != START or not changes:
                continue
            comparison = row.comparison
            words = comparison.difference
            change = float(np.mean(changes))
            point = GainPoint(results.name, row.label, change, words, comparison.standard_error)
            points.setdefault((round(change, 8), round(words, 8)), point)

    return list(points.values())


def gain_sentence(points: Sequence[GainPoint]) -> str:
    """Return how well gains of the criterion foretell gains in words."""
    if len(points) < FEWEST_POINTS:
        return f"{len(points)} settings are too few to say how the two go together."
    found = stats.spearmanr([p.criterion for p in points], [-p.words for p in points])
    rank = float(found.statistic)
    wrong = sum(point.criterion * point.words > 0 for point in points)
    return (
        f"Over {len(points)} settings the rank correlation of gains in F_MMI and in test words is "
        f"{rank:.2f} (p = {float(found.pvalue):.2g}); in {wrong} of them they have contrary signs."
    )


def draw_gains(points: Sequence[GainPoint]) -> PngFigure:
    """Draw the change of test word errors against that of F_MMI, with 95 % intervals."""
    fig, ax = figure_with_panel(6.4, 3.6)
    studies = list(dict.fromkeys(point.study for point in points))
    for number, study in enumerate(studies):
        own = [point for point in points if point.study == study]
        color = line_style(number)["color"]
        x = [point.criterion for point in own]
        y = [100 * point.words for point in own]
        half = [196 * point.standard_error for point in own]
        ax.errorbar(x, y, yerr=half, fmt="o", color=color, markersize=4, linewidth=1, label=study)

    ax.axhline(0, color="#555555", linewidth=0.8)
    ax.axvline(0, color="#555555", linewidth=0.8)
    ax.set_xlabel("change of F_MMI per frame, held-out")
    set_y_title(ax, "change of test WER (% absolute)")
    set_title(ax, "every setting against its start")
    add_legend(ax)
    return fig
