"""Calls for notebooks that compare the virtual clock with a cluster on this computer."""

from collections.abc import Sequence

import pandas as pd

from workbench.notebook.shown_table import ShownTable
from workbench.notebook.work_line import work_line
from workbench.runs import clock_check
from workbench.runs.calibrate import calibrate
from workbench.runs.clock_check import ClockCheck
from workbench.settings import Value
from workbench.storage.run import Run, find_run


def check_clock(
    run: Run, replicas: Sequence[int] = (1, 2), slower: float | None = None, **changes: Value
) -> list[ClockCheck]:
    """Return what the clock of this computer foretells, beside what a cluster here does.

    This computer is measured first, with the model and the settings of ``run``; ``changes``:
    settings that differ from the run's. ``slower``: work takes so many times as long on either, and
    the processes of the cluster sleep for the rest of it, so that they need no core each.
    """
    with work_line() as progress:
        machine = calibrate(run, progress=progress)
        return clock_check.check_clock(run, machine, replicas, changes, progress, slower=slower)


def clock_table(checks: Sequence[ClockCheck]) -> ShownTable:
    """Return a row per number of replicas and kind of age: foretold, measured, and distances.

    ``shared``: updates a second as foretold, if the processes share the cores there are.
    """
    rows = [
        {
            "replicas": check.replicas,
            "updates/s": check.predicted.updates,
            "shared": check.shared_updates,
            "measured": check.measured.updates,
            "age": age.name,
            "foretold mean": age.predicted.mean,
            "measured mean": age.measured.mean,
            "KS": age.distance.kolmogorov_smirnov,
            "Wasserstein": age.distance.wasserstein,
        }
        for check in checks
        for age in check.ages
    ]
    return ShownTable(pd.DataFrame(rows).set_index(["replicas", "age"]).round(3))


def clock_runs(checks: Sequence[ClockCheck]) -> list[Run]:
    """Return the runs of comparisons, foretold and measured by turns."""
    names = [name for check in checks for name in (check.predicted_run, check.measured_run)]
    return [find_run(name) for name in names]
