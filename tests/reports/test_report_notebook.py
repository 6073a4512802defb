"""The report as a notebook is the text that nbformat writes."""

import pytest

from workbench.reports.report_notebook import code, notebook, notebook_of_runs, prose


@pytest.mark.slow
@pytest.mark.parametrize(
    "text",
    [
        notebook([]),
        notebook([prose("# Málæði\n\n$F$ of *two* runs\n"), code("a = 1\n\nprint(a)"), code("")]),
        notebook_of_runs(["ce-1", "mmi-2"], "two runs"),
    ],
    ids=["empty", "cells", "runs"],
)
def test_it_is_what_nbformat_writes(text: str) -> None:
    """To the byte, and valid; so it need not be imported, which takes longer than a report."""
    import nbformat

    read = nbformat.reads(text, 4)
    nbformat.validate(read)
    assert nbformat.writes(read) + "\n" == text
