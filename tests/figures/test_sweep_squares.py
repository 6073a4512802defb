"""The picture of a sweep's matrix."""

import pandas as pd
import pytest
from fake_sweeps import sweep_table

from workbench.figures import sweep_squares
from workbench.figures.sweep_matrix import ColumnHead, HeadLevel, matrix
from workbench.figures.sweep_squares import (
    MOST_COLUMNS,
    ColumnBlock,
    column_blocks,
    draw_matrix,
    draw_squares,
    heads_within,
)


@pytest.mark.slow
def test_a_large_matrix_grows() -> None:
    """The picture of 120 cells gives each its room; pressed together, axes have none."""
    table = sweep_table()
    large = pd.concat([table.assign(batch=str(value)) for value in range(60)], ignore_index=True)
    figure = draw_matrix(large, ["batch", "shuffling"])
    assert figure.get_size_inches()[1] > 60 * 0.5  # inches
    figure.draw_without_rendering()
    box = figure.axes[0].get_position()
    assert min(box.width, box.height) > 0.1


def wide_table(columns: int) -> pd.DataFrame:
    """Returns the table of a sweep with 2 rows and so many columns."""
    table = sweep_table()
    return pd.concat([table.assign(batch=str(n)) for n in range(columns)], ignore_index=True)


@pytest.mark.parametrize("columns", [12, 13, 25, 100])
def test_many_columns_go_on_below(columns: int) -> None:
    """No picture is wider than a page that one reads, and each column is in one panel."""
    shown = matrix(wide_table(columns), ["shuffling", "batch"])
    blocks = column_blocks(shown)
    assert [column for b in blocks for column in range(b.first, b.end)] == list(range(columns))
    assert max(block.columns for block in blocks) <= MOST_COLUMNS
    assert max(b.columns for b in blocks) - min(b.columns for b in blocks) <= 1

    figure = draw_squares(shown)
    assert figure.get_size_inches()[0] <= 18  # inches
    titles = [ax.get_xlabel() for ax in figure.axes]
    assert len(titles) == len(blocks)
    assert (f"of {columns}" in titles[0]) == (len(blocks) > 1)
    texts = [text.get_text() for ax in figure.axes for text in ax.texts]
    assert [text for text in texts if text in set(map(str, range(columns)))] == [
        str(n) for n in range(columns)
    ]


def test_columns_are_parted_where_a_group_begins() -> None:
    """The seeds of one value stand in one panel."""
    table = wide_table(9)
    four = pd.concat([table.assign(seed=n) for n in range(4)], ignore_index=True)
    shown = matrix(four, ["shuffling", "batch", "seed"])
    assert [block.first % 4 for block in column_blocks(shown)] == [0, 0, 0]


def test_a_head_that_is_parted_stands_in_both_panels() -> None:
    """Where one value of the outer axis has more columns than a panel."""
    level = HeadLevel("batch", [ColumnHead("8", 0, 19)])
    assert heads_within(level, ColumnBlock(0, 10)) == [ColumnHead("8", 0, 9)]
    assert heads_within(level, ColumnBlock(10, 10)) == [ColumnHead("8", 10, 19)]


def test_rows_that_are_left_out_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A picture with every row of a huge sweep could not be opened."""
    monkeypatch.setattr(sweep_squares, "MOST_ROWS", 3)
    figure = draw_squares(matrix(wide_table(5), ["batch", "shuffling"]))
    title = " ".join(figure.axes[0].get_title(loc="left").split())
    assert "the first 3 of 5 rows, the others stand in the table" in title
    assert len(figure.axes[0].get_yticks()) == 3
