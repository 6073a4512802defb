"""Rows are written and read as they were emitted, in columns that other programs can rely on."""

import json

import pytest

from workbench.settings import UserError
from workbench.storage.rows import (
    EvaluateRow,
    Measurement,
    OuterAge,
    PushRow,
    RecoveryRow,
    Row,
    TraceRow,
    UsageRow,
    read_rows,
)

OUTER = OuterAge(
    version=1.5,
    version_min=1.0,
    version_max=2.0,
    staleness=2.5,
    staleness_min=2.0,
    staleness_max=3.0,
    seconds=0.7,
    seconds_min=0.5,
    seconds_max=0.9,
)
PUSH = PushRow(
    replica=1,
    step=2,
    status="applied",
    batch=32,
    version=4,
    versions=(4, 5),
    inner_versions=(3, 3),
    staleness_inner=1.5,
    inner_seconds=0.25,
    skew=0,
    outer=OUTER,
    sums={"ce": -3.0, "errors": 7.0},
    frames=40,
    idle_seconds=0.0,
)
EVALUATE = EvaluateRow(
    index=0,
    updates=10,
    versions=(10,),
    frames=100,
    epochs=0.5,
    decays=0,
    measured=Measurement(criterion=-1.0, deletions=0.1),
)
ROWS = [
    PUSH,
    EVALUATE,
    UsageRow(busy_seconds=1.0),
    TraceRow(segment=0, entries=(["Now", 0.5], ["Rest", False])),
    RecoveryRow(
        epochs=0.5,
        updates=3,
        lost="worker 1",
        checkpoint="the start",
        recovery_seconds=2.0,
        updates_undone=4,
        text="worker 1 lost",
    ),
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.kind)
def test_a_row_is_read_as_it_was_written(row):
    """Through JSON, a row comes back with who emitted it and when."""
    stamped = row.stamp("replica 1", 2.5)
    columns = json.loads(json.dumps(stamped.to_dict()))
    assert Row.from_dict(columns) == stamped
    assert list(columns)[:3] == ["process", "seconds", "kind"]
    assert (columns["process"], columns["seconds"], columns["kind"]) == ("replica 1", 2.5, row.kind)


def test_the_columns_of_a_push():
    """The age of the outer gradient and the sums over the batch are columns of the row."""
    assert list(PUSH.to_dict()) == [
        "process",
        "seconds",
        "kind",
        "replica",
        "step",
        "status",
        "batch",
        "version",
        "versions",
        "inner_versions",
        "staleness_inner",
        "inner_seconds",
        "skew",
        "outer_version",
        "outer_version_min",
        "outer_version_max",
        "staleness_outer",
        "staleness_outer_min",
        "staleness_outer_max",
        "outer_seconds",
        "outer_seconds_min",
        "outer_seconds_max",
        "ce",
        "errors",
        "frames",
        "refused",
        "idle_seconds",
    ]


def test_what_was_not_measured_has_no_column():
    """A field that defaults to None has no column while it is None."""
    columns = EVALUATE.to_dict()
    assert columns["del"] == 0.1
    assert {"wer", "sub", "mmi"}.isdisjoint(columns)
    assert set(UsageRow(busy_seconds=1.0).to_dict()) == {
        "process",
        "seconds",
        "kind",
        "busy_seconds",
    }


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"kind": "dance"}, "unknown kind of row: 'dance'"),
        ({"updates": 1}, "unknown kind of row: None"),
        ({"kind": "end", "updates": 1, "x": 2}, "has no column x"),
        ({"kind": "end"}, "updates"),
    ],
)
def test_a_line_that_is_no_row_is_named(tmp_path, columns, message):
    """Unknown kinds, unknown columns and missing columns are named with file and line."""
    path = tmp_path / "rows-x.jsonl"
    good = json.dumps({"kind": "end", "updates": 1})
    path.write_text(f"{good}\n{json.dumps(columns)}\n")
    with pytest.raises(UserError, match=rf"rows-x\.jsonl:2: damaged row: .*{message}"):
        list(read_rows(path, Row))
