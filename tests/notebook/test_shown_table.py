"""Tables of notebooks: no word is cut off, and numbers are read."""

from collections.abc import Callable

import pandas as pd
import pytest
from fake_runs import fake_run
from fake_sweeps import Outcomes, small

import workbench.notebook as wb
from workbench.notebook.shown_table import MOST_ROWS, ShownTable, number_text
from workbench.settings import Settings
from workbench.storage.run import Run
from workbench.sweeping import run_sweep

SENTENCE = "undecided: all speakers differ by the same, so chance" + " is unknown" * 9


@pytest.fixture
def runs(data_folder: object) -> list[Run]:
    """A tested run, and one that started from it."""
    ce = fake_run("ce-00000000", Settings(), wrong=3)
    return [ce, fake_run("mmi-00000000", Settings(), wrong=2, parent=ce.name)]


def sweep_results() -> wb.Results:
    """The results of a sweep."""
    run_sweep(small(), executor=Outcomes())
    return wb.results("s")


TABLES: dict[str, Callable[[list[Run]], pd.DataFrame]] = {
    "pairwise": wb.pairwise,
    "result_table": lambda runs: wb.result_table(*runs),
    "run_frame": wb.run_frame,
    "staleness_table": wb.staleness_table,
    "settings_difference": wb.settings_difference,
    "verdict_table": lambda _: wb.verdict_table(sweep_results()),
    "group_table": lambda _: wb.group_table(sweep_results()),
}


@pytest.mark.parametrize("name", TABLES)
def test_every_table_is_shown_whole(name: str, runs: list[Run]) -> None:
    """Each cell's text stands in the page, whatever its length; also of a part of the table."""
    table = TABLES[name](runs)
    assert isinstance(table, ShownTable)
    for part in (table, table.head(1)):
        html = part._repr_html_()
        for text in (cell for cell in part.to_numpy().ravel() if isinstance(cell, str)):
            assert text.replace("<", "&lt;") in html


def test_a_verdict_is_not_cut() -> None:
    """pandas by itself ends it after 50 characters, before it says what would decide."""
    table = pd.DataFrame({"verdict": [SENTENCE], "p": [None]})
    assert SENTENCE not in table._repr_html_()
    assert SENTENCE in ShownTable(table)._repr_html_()
    assert SENTENCE in repr(ShownTable(table))
    assert "None" not in ShownTable(table)._repr_html_()


def test_numbers_have_as_many_digits_as_are_read() -> None:
    """77.777778 is none; nor is a number of frames with an exponent."""
    assert [number_text(value) for value in (77.777778, 0.0123456, -0.5, 1234567.0)] == [
        "77.78",
        "0.01235",
        "-0.5",
        "1,234,567",
    ]


def test_a_long_table_says_how_long_it_is() -> None:
    """And shows its ends."""
    html = ShownTable({"n": range(MOST_ROWS + 1)})._repr_html_()
    assert f"{MOST_ROWS + 1} rows" in html
    assert html.count("<tr") < MOST_ROWS + 5
