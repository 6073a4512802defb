"""``workbench runs``: lists in every form, and actions that say what they did."""

import csv
import io
import json
from pathlib import Path

import pytest
from fake_runs import fake_run

from workbench.cli.main import main
from workbench.cli.table_text import TextColumn, table_text
from workbench.settings import Settings
from workbench.storage.run import Run, all_runs, find_run
from workbench.storage.run_notes import read_notes


@pytest.fixture
def three(data_folder: Path) -> list[Run]:
    """Three runs: two that differ in their learning rate, one that diverged."""
    return [
        fake_run("a-00000000", Settings.of(learning_rate=0.1)),
        fake_run("b-00000000", Settings.of(learning_rate=0.2), wrong=2, corpus="digits"),
        fake_run("c-00000000", Settings.of(learning_rate=9.0), state="diverged", error="nan"),
    ]


def output(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """What a command prints, which must succeed."""
    capsys.readouterr()
    assert main(["runs", *words]) == 0
    return capsys.readouterr().out


def test_the_list_shows_state_corpus_and_what_was_swept(
    three: list[Run], capsys: pytest.CaptureFixture[str]
) -> None:
    """Each run has its state, its corpus and the settings in which the runs differ."""
    text = output(capsys)
    titles, *lines = text.splitlines()
    assert {"state", "corpus", "learning_rate"} <= set(titles.split())
    assert len(lines) == 3
    diverged = next(line for line in lines if line.startswith("c-"))
    assert "diverged" in diverged and " 9 " in diverged
    assert "digits" in next(line for line in lines if line.startswith("b-"))


def test_json_and_csv_hold_the_same(three: list[Run], capsys: pytest.CaptureFixture[str]) -> None:
    """Both forms have the same columns and rows, error rates as fractions."""
    words = ["--sort", "run", "--ascending", "--where", "state=done"]
    objects = json.loads(output(capsys, *words, "--json"))
    rows = list(csv.DictReader(io.StringIO(output(capsys, *words, "--csv"))))
    assert (
        [row["run"] for row in rows] == [o["run"] for o in objects] == [r.name for r in three[:2]]
    )
    assert list(rows[0]) == list(objects[0])
    assert float(rows[0]["test_wer"]) == objects[0]["test_wer"] == three[0].summary.test_wer


@pytest.mark.parametrize("width", [30, 60, 80, 100, 120, 200])
def test_no_line_is_wider_than_the_terminal(
    three: list[Run],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    width: int,
) -> None:
    """Columns are left out, and named, until the list fits."""
    monkeypatch.setattr("workbench.cli.table_text.terminal_width", lambda: width)
    lines = output(capsys).splitlines()
    assert max(len(line) for line in lines) <= width
    assert all(any(run.name in line for line in lines) for run in three)


def test_columns_go_by_rank() -> None:
    """The highest rank is left out first, rank 0 never; what does not fit becomes a list."""
    columns = [
        TextColumn("run", ["abcdef"], 0, left=True),
        TextColumn("one", ["1"], 1),
        TextColumn("two", ["2"], 2),
    ]
    assert table_text(columns, 16).splitlines()[0].split() == ["run", "one", "two"]
    assert table_text(columns, 11).splitlines()[0].split() == ["run", "one"]
    assert "not fit:\ntwo" in table_text(columns, 11)
    assert table_text(columns, 6).splitlines()[:2] == ["run", "abcdef"]
    assert table_text(columns, 5).splitlines() == ["run: ", "one: ", "two:"]


def test_titles_tags_and_notes(three: list[Run], capsys: pytest.CaptureFixture[str]) -> None:
    """What a person writes about a run is kept, shown, searched and taken away again."""
    output(capsys, "tag", "good", "a", "b")
    output(capsys, "untag", "good", "b")
    output(capsys, "rename", "a", "The first one")
    output(capsys, "note", "a", "beam too narrow")
    assert output(capsys, "note", "a") == "beam too narrow\n"
    assert read_notes(three[0]).tags == ("good",)
    listed = output(capsys, "--where", "tags=good")
    assert "The first one" in listed
    assert "b-0" not in listed
    assert find_run("a").name == "a-00000000"
    output(capsys, "note", "a", "")
    assert output(capsys, "note", "a") == "a-00000000: no note\n"


def test_compare_names_what_differs(three: list[Run], capsys: pytest.CaptureFixture[str]) -> None:
    """Only what differs is printed, with the value of each run."""
    found = json.loads(output(capsys, "--json", "compare", "a", "b"))
    assert {one["name"] for one in found} == {"corpus", "learning_rate"}
    assert found[1]["a-00000000"] == 0.1
    assert main(["runs", "compare", "a"]) == 1
    assert "at least two" in capsys.readouterr().err


def test_disk_adds_up(three: list[Run], capsys: pytest.CaptureFixture[str]) -> None:
    """Every run has its bytes, and the last line is their sum."""
    objects = json.loads(output(capsys, "--json", "disk"))
    assert {o["name"] for o in objects} == {run.name for run in three}
    assert output(capsys, "disk").splitlines()[-1].startswith("all")


def test_delete_pack_and_open(
    three: list[Run], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A packed run can be deleted and opened again."""
    out = tmp_path / "a.zip"
    assert "not decode" in output(capsys, "pack", "a", "--out", str(out))
    assert "free again" in output(capsys, "delete", "a")
    assert len(all_runs()) == 2
    assert "a-00000000" in output(capsys, "open", str(out))
    assert "here already" in output(capsys, "open", str(out))
    assert len(all_runs()) == 3


def test_only_what_was_interrupted_is_resumed(
    three: list[Run], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without names, runs that were stopped or lost are resumed; those that ended are not."""
    fake_run("stopped-00000000", Settings(), state="stopped")
    fake_run("lost-00000000", Settings(), state="running")
    resumed = []

    def resume(run: Run, *_: object, **__: object) -> Run:
        resumed.append(run.name)
        return three[0]

    monkeypatch.setattr("workbench.runs.resume", resume)
    output(capsys, "resume")
    assert sorted(resumed) == ["lost-00000000", "stopped-00000000"]
