"""Drift of runs in a notebook: runs, names, or what a sweep calls its settings with their runs."""

from workbench.figures import drift as figures
from workbench.figures.style import PngFigure
from workbench.metrics import drift
from workbench.notebook.given import GivenGroups, groups_of


def draw_drift(given: GivenGroups) -> PngFigure:
    """Draw how far outer gradients had turned when they were used; see `figures.drift`.

    UserError if no run measured it.
    """
    return figures.draw_drift(groups_of(given))


def describe_drift(given: GivenGroups) -> str:
    """Return what turned the outer gradients of runs, in a sentence that they carry.

    UserError if no run measured it.
    """
    return drift.describe_drift([run for runs in groups_of(given).values() for run in runs])
