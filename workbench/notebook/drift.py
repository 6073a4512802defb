"""Drift of runs in a notebook: runs, names, or what a sweep calls its settings with their runs."""

from workbench.figures import drift as figures
from workbench.figures.style import PngFigure
from workbench.metrics import drift
from workbench.notebook.given import GivenGroups, given_groups


def draw_drift(given: GivenGroups) -> PngFigure:
    """Draw how far outer gradients had turned when they were used; see `figures.drift`.

    UserError if no run measured it.
    """
    return figures.draw_drift(given_groups(given))


def describe_drift(given: GivenGroups) -> str:
    """Return what turned the outer gradients of runs, in a sentence that they carry.

    UserError if no run measured it.
    """
    runs = [run for group in given_groups(given).values() for run in group]
    return drift.drift_sentence(drift.points_of_runs(runs))
