"""A report on a long run takes no more memory than one on a short run."""

import tracemalloc

import pytest
from fake_runs import fake_run

from workbench.reports.report import runs_document
from workbench.settings import Settings

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("data_folder")]

BYTES_A_ROW = 500
"""What a row may add. It added 3,700 where all columns were read for the sake of a few numbers."""


def peak_of_report(steps: int) -> int:
    """Return the most memory that the parts of a report take, in bytes.

    The run has three replicas and so many pushes.
    """
    run = fake_run(f"steps{steps}", Settings.of(replicas=3), steps=steps)
    tracemalloc.start()
    runs_document([run], "a report")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def test_rows_are_not_held_in_memory() -> None:
    """Of the pushes of a run with several replicas only the numbers that are drawn are kept."""
    runs_document([fake_run("warm", Settings.of(replicas=3))], "imports, and fonts")
    short = peak_of_report(100)
    long = peak_of_report(3000)
    assert long - short < BYTES_A_ROW * 2900
