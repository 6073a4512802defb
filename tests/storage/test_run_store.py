"""A run's directory: its record, rows, checkpoints and state; damage; one writer."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from full_disk import largest_file

from workbench.settings import Settings, UserError
from workbench.storage.checkpoints import latest_checkpoint, read_checkpoint
from workbench.storage.files import read_json, write_json
from workbench.storage.rows import EndRow, Row
from workbench.storage.run import (
    ClusterInfo,
    CorpusIdentity,
    Parent,
    Run,
    RunRecord,
    RunState,
    find_run,
    newest_run,
)
from workbench.storage.run_writer import RunWriter, is_being_written
from workbench.system.unchanging import unchanging

RECORD = RunRecord(Settings().to_dict(), CorpusIdentity("c", "d"))


@unchanging(kw_only=True, slots=False)
class ListRow(Row, kind="list"):
    """A row with a column that is a list."""

    versions: tuple[int, ...]


@pytest.fixture
def writer(tmp_path):
    """A run being written."""
    writer = RunWriter.create(tmp_path, "run", RECORD)
    yield writer
    writer.close(RunState.DONE)


def test_a_run_is_never_overwritten(tmp_path, writer):
    """A second run of the same settings, corpus and name is refused."""
    with pytest.raises(UserError, match="exists"):
        RunWriter.create(tmp_path, "run", RECORD)


def test_one_writer(writer):
    """While a writer lives another is refused by its name; when it has closed, the next may write.

    A reader sees which is the case.
    """
    assert is_being_written(writer.run)
    with pytest.raises(UserError, match=f"process {os.getpid()} is writing this run"):
        RunWriter(writer.run)
    writer.close(RunState.DONE)
    assert not is_being_written(writer.run)
    RunWriter(writer.run).close(RunState.DONE)


def test_a_torn_last_line_is_tolerated(writer):
    """A reader skips what follows the last newline; damage before it is named with its line."""
    writer.emit(EndRow(process="evaluator", updates=7))
    writer.flush()
    path = next(writer.run.folder.glob("rows-*.jsonl"))
    with open(path, "a") as out:
        out.write('{"kind": "en')
    assert list(writer.run.rows(Row)) == [EndRow(process="evaluator", updates=7)]
    with open(path, "a") as out:
        out.write("\n")
    with pytest.raises(UserError, match=r"jsonl:2: damaged"):
        list(writer.run.rows(Row))
    path.write_text('{"process":"evaluator","seconds":0.0,"kind":"end","updates":7}\n')


def test_rows_become_a_table(tmp_path):
    """Closing writes all rows of all processes to one parquet table, lists as text."""
    writer = RunWriter.create(tmp_path, "table", RECORD)
    writer.emit(ListRow(process="replica 1", seconds=2.0, versions=(1, 2)))
    writer.emit(ListRow(process="replica 0", seconds=1.0, versions=(0, 1)))
    writer.close(RunState.DONE)
    table = pd.read_parquet(writer.run.folder / "rows.parquet")
    assert list(table.process) == ["replica 0", "replica 1"]
    assert list(table.versions) == ["[0, 1]", "[1, 2]"]


def test_a_stopped_run_has_no_table_of_rows(tmp_path):
    """It goes on, so the table would be made again; of millions of rows that takes minutes."""
    writer = RunWriter.create(tmp_path, "table", RECORD)
    writer.emit(ListRow(process="replica 1", seconds=2.0, versions=(1, 2)))
    writer.close(RunState.FAILED)
    table = writer.run.folder / "rows.parquet"
    assert table.exists()
    RunWriter(writer.run).close(RunState.STOPPED)
    assert not table.exists()


def flip_a_bit(path):
    """Change one bit in the middle."""
    data = bytearray(path.read_bytes())
    data[150] ^= 1
    path.write_bytes(data)


def cut_the_end(path):
    """Leave out the last byte."""
    path.write_bytes(path.read_bytes()[:-1])


def zero_the_end(path):
    """Replace the last bytes by zeros, as some file systems do in a power cut."""
    path.write_bytes(path.read_bytes()[:250] + bytes(50))


@pytest.mark.parametrize("harm", [flip_a_bit, cut_the_end, zero_the_end, Path.unlink])
def test_damaged_checkpoints_are_found_and_passed_over(writer, harm):
    """A damaged file is named, and the checkpoint before is taken."""
    writer.checkpoint(1, {"state.json": b"{}", "arrays.safetensors": b"old" * 100})
    newest = writer.checkpoint(2, {"state.json": b"{}", "arrays.safetensors": b"new" * 100})
    harm(newest / "arrays.safetensors")
    with pytest.raises(UserError, match=r"arrays\.safetensors"):
        read_checkpoint(newest)
    found = latest_checkpoint(writer.run.folder)
    assert (found.folder.name, len(found.damage)) == (f"{1:010d}", 1)
    assert found.files["arrays.safetensors"] == b"old" * 100


def test_a_checkpoint_without_manifest_does_not_count(writer):
    """The manifest is written last, so a save that was cut short is no checkpoint."""
    folder = writer.checkpoint(1, {"state.json": b"{}"})
    (folder / "manifest.json").unlink()
    assert writer.run.checkpoints() == []


def test_at_least_three_checkpoints_are_kept(writer):
    """Old checkpoints go, the newest three stay."""
    for step in range(6):
        writer.checkpoint(step, {"state.json": b"{}"})
    assert [int(p.name) for p in writer.run.checkpoints()] == [3, 4, 5]


def test_rewind_cuts_rows_at_a_checkpoint(writer):
    """Rows written after a checkpoint are cut off, also of new files; the driver's rows stay."""
    writer.emit(EndRow(process="a", updates=1))
    positions = writer.positions()
    writer.emit(EndRow(process="a", updates=2))
    writer.emit(EndRow(process="b", updates=3))
    writer.emit(EndRow(process="driver", updates=4))
    writer.rewind(positions)
    assert [r.updates for r in writer.run.rows(EndRow)] == [1, 4]
    writer.emit(EndRow(process="a", updates=5))
    writer.flush()
    assert [r.updates for r in writer.run.rows(EndRow)] == [1, 5, 4]


def test_a_dead_process_shows_as_lost(writer):
    """Status is what the reader finds, not what the dead process wrote last."""
    writer.write_status(RunState.RUNNING)
    assert writer.run.status().state == "running"
    status = read_json(writer.run.folder / "status.json")
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    write_json(writer.run.folder / "status.json", {**status, "pid": ended.pid})
    assert writer.run.status().state == "lost"


def test_runs_are_found_by_name_beginning_or_folder(tmp_path):
    """A name is enough, and so is a beginning that no other run has; other names are refused."""
    for name in ("alpha", "beta", "beta2"):
        RunWriter.create(tmp_path, name, RECORD).close(RunState.DONE)
    assert find_run("al", tmp_path).name.startswith("alpha-")
    alpha = find_run("alpha", tmp_path)
    assert find_run(str(alpha.folder)) == Run(alpha.folder)
    assert find_run("beta", tmp_path).name.startswith("beta-")
    with pytest.raises(UserError, match="several") as ambiguous:
        find_run("bet", tmp_path)
    assert "beta2-" in str(ambiguous.value)
    assert "alpha" not in str(ambiguous.value)  # only what may have been meant
    with pytest.raises(UserError, match="alpha-"):
        find_run("gamma", tmp_path)
    for number in range(30):
        RunWriter.create(tmp_path, f"many{number}", RECORD).close(RunState.DONE)
    with pytest.raises(UserError, match=r" and 18 more$"):
        find_run("many", tmp_path)


def test_the_newest_run_of_a_name_is_found(tmp_path):
    """Of runs that differ in their digest only, the one that was started last is the newest."""
    assert newest_run("alpha", tmp_path) is None
    first = RunWriter.create(tmp_path, "alpha", RECORD)
    first.close(RunState.DONE)
    second = RunWriter.create(tmp_path, "alpha", replace(RECORD, parent=Parent("p", run="ce")))
    second.close(RunState.DONE)
    record = second.run.folder / "settings.json"
    os.utime(record, (record.stat().st_atime, record.stat().st_mtime + 1))
    assert newest_run("alpha", tmp_path) == second.run


@pytest.mark.parametrize("parent", [None, Parent("p", run="ce-1"), Parent("p", transfer="en-2")])
def test_a_record_is_read_as_it_was_written(tmp_path, parent):
    """The record of a run comes back from settings.json, without fields that a parent lacks."""
    record = replace(RECORD, parent=parent, recorded=True, versions={"numpy": "2"}, command="train")
    writer = RunWriter.create(tmp_path, "run", record)
    writer.close(RunState.DONE)
    assert writer.run.record == record
    written = read_json(writer.run.folder / "settings.json")
    assert written["parent"] == (parent and parent.to_dict())
    assert None not in (written["parent"] or {}).values()


def test_the_cluster_is_known_while_the_run_is_running(writer):
    """cluster.json counts only while the run is running, and goes when it ends."""
    cluster = ClusterInfo("tcp://here:1", "", {"0": 17})
    writer.write_cluster(cluster)
    assert writer.run.cluster is None
    writer.write_status(RunState.RUNNING)
    assert writer.run.cluster == cluster


@pytest.mark.parametrize("text", ["{", "[]", '{"state": "weird"}', '{"state": "done", "x": 1}'])
def test_a_damaged_status_is_named(writer, text):
    """A status that is not JSON, or of another form, is a UserError that names the file."""
    (writer.run.folder / "status.json").write_text(text)
    with pytest.raises(UserError, match=r"status\.json: (damaged|.*must|no such)"):
        writer.run.status()


def test_a_run_is_for_its_owner_only(tmp_path):
    """Folders have the mode 0700 and files 0600, whatever the umask."""
    before = os.umask(0)
    try:
        writer = RunWriter.create(tmp_path, "run", RECORD)
        writer.emit(EndRow(process="a", updates=1))
        writer.write_status(RunState.RUNNING)
        writer.log("a line")
        writer.checkpoint(1, {"state.json": b"{}"})
        writer.close(RunState.DONE)
    finally:
        os.umask(before)

    paths = [writer.run.folder, *writer.run.folder.rglob("*")]
    modes = {path.name: path.stat().st_mode & 0o777 for path in paths}
    assert len(modes) > 8
    assert set(modes.values()) == {0o700, 0o600}
    assert {path.name for path in paths if path.is_dir()} == {
        name for name, mode in modes.items() if mode == 0o700
    }


def test_a_row_of_the_driver_that_was_cut_is_in_nobodys_way(tmp_path):
    """A full disk cuts it; the rows after a return to a checkpoint are read all the same."""
    writer = RunWriter.create(tmp_path, "run", RECORD)
    writer.emit(EndRow(process="driver", updates=1))
    writer.rewind({})
    with open(writer.run.row_file("driver"), "a") as file:
        file.write('{"process":"dri')
    writer.rewind({})
    writer.emit(EndRow(process="driver", updates=2))
    writer.close(RunState.DONE)
    assert [row.updates for row in writer.run.rows(EndRow)] == [1, 2]


def test_rows_that_do_not_fit_are_named(tmp_path):
    """The message has the file, and all files are closed although one could not be written."""
    writer = RunWriter.create(tmp_path, "run", RECORD)
    for process in ("a", "b"):
        writer.emit(EndRow(process=process, updates=1))
    with largest_file(10), pytest.raises(OSError, match="too large") as caught:
        writer.rewind({})
    assert caught.value.filename in map(str, map(writer.run.row_file, ("a", "b")))
    writer.rewind({})
    writer.close(RunState.DONE)
    assert list(writer.run.rows(EndRow)) == []


def test_the_state_is_written_although_the_rows_cannot_be(tmp_path, monkeypatch):
    """On a full disk a run that has failed says so, and its lock is given back."""
    writer = RunWriter.create(tmp_path, "run", RECORD)
    writer.emit(EndRow(process="a", updates=1))

    def fail(path, read):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("workbench.storage.run_writer.write_table", fail)
    with pytest.raises(OSError, match="No space left"):
        writer.close(RunState.FAILED, "No space left on device")
    assert writer.run.status().state == RunState.FAILED
    monkeypatch.undo()
    RunWriter(writer.run).close(RunState.FAILED)
