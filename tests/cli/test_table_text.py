"""Tables as text: what people wrote in names, tags and notes does nothing in a spreadsheet."""

import csv
import io

import pytest

from workbench.cli.table_text import csv_rows


@pytest.mark.parametrize("hostile", ["=HYPERLINK(1)", "+1+2", "-2+3", "@SUM(1)", "\t=1", "\r=1"])
def test_no_cell_is_a_formula(hostile: str) -> None:
    """Such a text comes back as text; numbers and missing values stay what they are."""
    text = csv_rows(["note", "wer", "p"], [[hostile, -0.5, None]])
    _, row = csv.reader(io.StringIO(text))
    assert row[0][0] == "'"
    assert row[1:] == ["-0.5", ""]
