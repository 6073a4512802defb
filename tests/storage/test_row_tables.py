"""Rows become tables block by block: equal to those made at once, and in little memory."""

import json
import tracemalloc

import pandas as pd
import pytest

from workbench.storage import row_tables
from workbench.storage.row_tables import table_of, write_table

ROWS = [
    {"process": "a", "seconds": 0.5, "count": 1, "flag": True, "versions": [1, 2]},
    {"process": "a", "seconds": 1, "count": 2, "flag": False, "versions": [2]},
    {"process": "b", "seconds": 2.5, "late": 1.5, "count": 3, "flag": True, "none": None},
    {"process": "b", "seconds": 3.5, "count": 2.5, "reason": "no path", "none": None},
    {"process": "c", "seconds": 4.0, "text": 7},
    {"process": "c", "seconds": 5.0, "text": "seven"},
]


@pytest.mark.parametrize("size", [1, 2, 3, 5, 100])
def test_a_table_is_the_same_for_every_size_of_blocks(monkeypatch, size):
    """Columns, their order, their types and their values are those of one frame of all rows."""
    whole = pd.DataFrame(ROWS)
    monkeypatch.setattr(row_tables.blocks_of, "__defaults__", (size,))
    found = table_of(iter(ROWS))
    assert list(found.columns) == list(whole.columns)
    for name in whole.columns:
        assert found[name].isna().tolist() == whole[name].isna().tolist(), name
        assert found[name].dropna().tolist() == whole[name].dropna().tolist(), name
    for name in ("seconds", "count", "late"):
        assert found[name].dtype == whole[name].dtype, name


def test_no_rows_are_an_empty_table(tmp_path):
    """And no file."""
    assert table_of([]).empty
    write_table(tmp_path / "rows.parquet", list)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("size", [1, 4, 100])
def test_parquet_holds_all_rows(tmp_path, monkeypatch, size):
    """Numbers are numbers, lists are text, and what a row lacks is nothing."""
    monkeypatch.setattr(row_tables.blocks_of, "__defaults__", (size,))
    write_table(tmp_path / "rows.parquet", lambda: iter(ROWS))
    read = pd.read_parquet(tmp_path / "rows.parquet")
    assert list(read.seconds) == [row["seconds"] for row in ROWS]
    assert [json.loads(text) for text in read.versions[:2]] == [[1, 2], [2]]
    assert list(read.text[4:]) == ["7", "seven"]
    assert read["count"].isna().sum() == 2
    assert read["none"].isna().all()
    assert [path.name for path in tmp_path.iterdir()] == ["rows.parquet"]


def made_rows(count):
    """Rows like those of pushes."""
    for step in range(count):
        yield {"process": f"replica {step % 7}", "seconds": step / 7, "versions": [step] * 4}


@pytest.mark.slow
@pytest.mark.parametrize("rows", [20_000, 60_000])
def test_writing_takes_the_memory_of_one_block(tmp_path, monkeypatch, rows):
    """Three times the rows take no more memory: it is that of a block."""
    monkeypatch.setattr(row_tables.blocks_of, "__defaults__", (1000,))
    write_table(tmp_path / "warm.parquet", lambda: made_rows(10))
    tracemalloc.start()
    write_table(tmp_path / "rows.parquet", lambda: made_rows(rows))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5_000_000
