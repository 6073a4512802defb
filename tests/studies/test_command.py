"""The command `workbench study`."""

import json
from pathlib import Path

import pytest
from study_rows import RECORD, cell

from workbench.cli.main import main
from workbench.cli.study import parse_duration, parse_seed_list
from workbench.studies.rows import StudyResults, keep_results
from workbench.studies.study import study_names


@pytest.mark.slow
def test_the_list_has_every_study(data_folder: Path, capsys: pytest.CaptureFixture) -> None:
    """Each study is told with what is done and what is missing; nothing is made."""
    assert main(["study", "list", "--size", "laptop", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["study"] for row in rows] == study_names()
    by_name = {row["study"]: row for row in rows}
    assert by_name["e3"]["done"] == "0/21"
    assert by_name["e6"]["missing corpora"] == "icelandic-default, english-default, ocean"
    assert not list(data_folder.glob("*"))
    assert main(["study", "list", "--size", "tiny"]) == 0
    assert "shared runs counted once" in capsys.readouterr().out


def test_the_list_names_kept_seeds(data_folder: Path, capsys: pytest.CaptureFixture) -> None:
    """Rows that are kept count although their runs are not in the data folder."""
    keep_results(StudyResults(RECORD, [cell("last", "last: decoder_seconds=0.0")], [], []))
    assert main(["study", "list", "--size", RECORD.size, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    by_name = {row["study"]: (row["kept seeds"], row["done"]) for row in rows}
    assert by_name["e3"] == ("0", "0/21")
    assert by_name["e4"] == ("–", "0/6")


def test_a_dry_run_lists_the_cells(data_folder: Path, capsys: pytest.CaptureFixture) -> None:
    """A study whose corpora are missing can be looked at before anything is made."""
    assert main(["study", "e5", "--size", "laptop", "--seeds", "3", "--dry-run"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["missing"] * 3
    assert lines[2].endswith("seed 3  without silence")


def test_mistakes_are_answered(data_folder: Path, capsys: pytest.CaptureFixture) -> None:
    """A study that does not exist, and times and seeds that are none, are named."""
    assert main(["study", "e33"]) == 1
    assert "e33: no such study" in capsys.readouterr().err
    for words in (["--budget", "3"], ["--seeds", "a"]):
        with pytest.raises(SystemExit):
            main(["study", "e3", *words])
    assert "write seeds as 0,1,2" in capsys.readouterr().err
    assert (parse_duration("90s"), parse_duration("1.5h"), parse_duration("20m")) == (
        90,
        5400,
        1200,
    )
    assert parse_seed_list("0,2") == [0, 2]


def test_nothing_is_redrawn_where_nothing_is_kept(
    data_folder: Path, capsys: pytest.CaptureFixture
) -> None:
    """Without kept rows the command has nothing to write."""
    assert main(["study", "figures"]) == 0
    assert capsys.readouterr().out == ""
