"""What a call of a notebook takes for runs: a run, a name, or several of either."""

from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

import pandas as pd

from workbench.figures import compare
from workbench.metrics.verdicts import MARGIN
from workbench.notebook.shown_table import ShownTable
from workbench.settings import UserError
from workbench.storage.run import Run, find_run
from workbench.storage.transcripts import has_transcripts

P = ParamSpec("P")
T = TypeVar("T")
GivenRuns = Run | str | Sequence[Run | str]
GivenGroups = GivenRuns | Mapping[str, Sequence[Run]]


def runs_of(given: GivenRuns) -> list[Run]:
    """Return the runs that are given, or named; UserError if there is none."""
    several = [given] if isinstance(given, Run | str) else list(given)
    if not several:
        raise UserError(
            "no runs given: give runs, or names of runs, of which runs_panel has a list"
        )

    return [find_run(each) if isinstance(each, str) else each for each in several]


def given_groups(given: GivenGroups) -> Mapping[str, Sequence[Run]]:
    """Return runs by the name of their group: that of a sweep's setting, or their own."""
    if isinstance(given, Mapping):
        return given
    return {run.name: [run] for run in runs_of(given)}


def taking_runs(
    draw: Callable[Concatenate[Sequence[Run], P], T],
) -> "Callable[Concatenate[GivenRuns, P], T]":
    """Return a function of several runs that also takes a single one, or names."""

    @wraps(draw)
    def call(given: GivenRuns, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return draw(runs_of(given), *args, **kwargs)

    return call


def table_of_runs(
    make: Callable[Concatenate[Sequence[Run], P], pd.DataFrame],
) -> "Callable[Concatenate[GivenRuns, P], ShownTable]":
    """Return a function that makes a table of several runs, as `taking_runs`, shown whole."""

    @wraps(make)
    def make_shown(runs: Sequence[Run], /, *args: P.args, **kwargs: P.kwargs) -> ShownTable:
        return ShownTable(make(runs, *args, **kwargs))

    return taking_runs(make_shown)


def pairwise(runs: GivenRuns, margin: float = MARGIN) -> ShownTable:
    """Return the comparison of every two of the runs; see `figures.compare.pairwise`.

    UserError names runs that were not tested.
    """
    several = runs_of(runs)
    untested = [run.name for run in several if not has_transcripts(run.folder)]
    if untested:
        raise UserError(f"{', '.join(untested)}: not tested yet; wb.tested(run) tests a run")
    if len(several) < 2:
        raise UserError(f"{several[0].name}: a comparison needs two runs")

    return ShownTable(compare.pairwise(several, margin))
