"""The list of runs: every run is in it, with state, corpus, sweep and swept settings."""

import json
from pathlib import Path

import pytest
from fake_runs import fake_run

from workbench.archive.entry import (
    RunEntry,
    folder_size,
    read_entries,
    read_entry,
    size_text,
    swept_settings,
)
from workbench.archive.query import Condition, select, sort_entries
from workbench.settings import Settings, UserError
from workbench.storage.files import write_json
from workbench.storage.run import RunState, all_runs
from workbench.storage.run_notes import RunNotes, read_notes, write_notes


def entries(*learning_rates: float) -> list[RunEntry]:
    """The entries of runs that differ in their learning rates, and in their errors."""
    for number, rate in enumerate(learning_rates):
        fake_run(f"r{number}-00000000", Settings.of(learning_rate=rate), wrong=1 + number)
    return read_entries(all_runs())


def test_an_entry_says_what_the_run_is(data_folder: Path) -> None:
    """State, corpus, parent, sweep and numbers are those of the run's files."""
    settings = Settings.of(criterion="mmi")
    (data_folder / "sweeps" / "rates").mkdir(parents=True)
    write_json(data_folder / "sweeps" / "rates" / "sweep.json", {})
    run = fake_run("rates-0123456789-00000000", settings, parent="ce-1", corpus="digits")
    entry = read_entry(run)
    assert entry.state == RunState.DONE
    assert [entry.value(name) for name in ("corpus", "parent", "sweep", "criterion")] == [
        "digits",
        "ce-1",
        "rates",
        "mmi",
    ]
    assert entry.value("test_wer") == run.summary.test_wer
    assert entry.size == sum(path.stat().st_size for path in run.folder.glob("*.*"))


def test_states_without_numbers_are_told_apart(data_folder: Path) -> None:
    """A run that diverged, failed or was stopped has its own state and no numbers."""
    states = ["diverged", "failed", "stopped"]
    for state in states:
        fake_run(f"{state}-00000000", Settings(), state=state, error="why")
    found = read_entries(all_runs())
    assert [entry.value("state") for entry in found] == ["diverged", "failed", "stopped"]
    assert {entry.value("test_wer") for entry in found} == {None}
    assert {entry.value("error") for entry in found} == {"why"}


@pytest.mark.parametrize("file", ["settings.json", "status.json", "summary.json", "notes.json"])
def test_a_damaged_run_is_listed(data_folder: Path, file: str) -> None:
    """A damaged file of one run hides neither it nor the others, and is named."""
    damaged = fake_run("a-00000000", Settings())
    fake_run("b-00000000", Settings())
    (damaged.folder / file).write_text("{")
    first, second = read_entries(all_runs())
    assert file in first.error
    assert (first.state, second.state) == (RunState.FAILED, RunState.DONE)


def test_swept_settings_are_those_that_differ(data_folder: Path) -> None:
    """Only settings with several values are columns; a setting that an old run lacks is not one."""
    entries(0.1, 0.2)
    old = fake_run("old-00000000", Settings.of(learning_rate=0.1))
    record = json.loads((old.folder / "settings.json").read_text())
    del record["settings"]["momentum"]
    (old.folder / "settings.json").write_text(json.dumps(record))
    assert swept_settings(read_entries(all_runs())) == ["learning_rate"]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("learning_rate=0.2", ["r1"]),
        ("learning_rate!=0.20", ["r0", "r2"]),
        ("learning_rate>=0.2", ["r1", "r2"]),
        ("learning_rate<0.2", ["r0"]),
        ("run~R1", ["r1"]),
        ("tags=good", ["r2"]),
        ("state=done", ["r0", "r1", "r2"]),
        ("p_value>0.5", []),
        ("synchronous=false", ["r0", "r1", "r2"]),
    ],
)
def test_conditions_select(data_folder: Path, text: str, names: list[str]) -> None:
    """Every sign selects what it says, by number, text or tag."""
    found = entries(0.1, 0.2, 0.3)
    write_notes(found[2].run, RunNotes(tags=("good",)))
    again = read_entries([entry.run for entry in found])
    chosen = select(again, [Condition.parse(text)])
    assert [entry.name.partition("-")[0] for entry in chosen] == names


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("test_wre<1", "did you mean test_wer"),
        ("state", "write COLUMN"),
        ("updates<many", "compares with a number"),
    ],
)
def test_wrong_conditions_are_named(text: str, message: str) -> None:
    """A misspelt column, a missing sign and an order of text are mistakes of one line."""
    with pytest.raises(UserError, match=message):
        Condition.parse(text)


def test_runs_without_a_value_come_last(data_folder: Path) -> None:
    """Numbers sort as numbers, and what was not measured comes last in both directions."""
    entries(0.1, 0.2)
    fake_run("stopped-00000000", Settings(), state="stopped")
    found = read_entries(all_runs())
    up = sort_entries(found, "test_wer")
    down = sort_entries(found, "test_wer", descending=True)
    assert [entry.name[:2] for entry in up] == ["r0", "r1", "st"]
    assert [entry.name[:2] for entry in down] == ["r1", "r0", "st"]


def test_notes_change_no_identity(data_folder: Path) -> None:
    """Title, tags and text are kept; name, digest and rows stay what they were."""
    run = fake_run("r-00000000", Settings())
    before = (run.record.digest, run.rows_digest(), run.name)
    written = write_notes(run, RunNotes("a\ntitle", ("b", "a", "b"), " text "))
    assert written == RunNotes("a title", ("a", "b"), "text") == read_notes(run)
    assert (run.record.digest, run.rows_digest(), run.name) == before
    with pytest.raises(UserError, match="a tag is made of"):
        write_notes(run, RunNotes(tags=("two words",)))


def test_sizes_are_read_by_people(tmp_path: Path) -> None:
    """Bytes count files in all folders, and are shown with three or fewer digits and a unit."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "one").write_bytes(b"12345")
    (tmp_path / "two").write_bytes(b"123")
    (tmp_path / "link").symlink_to(tmp_path / "two")
    assert folder_size(tmp_path) == 8
    assert [size_text(n) for n in (8, 1500, 2_500_000, 3 * 10**9)] == [
        "8 bytes",
        "1.5 kB",
        "2.5 MB",
        "3.0 GB",
    ]
