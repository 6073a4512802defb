"""Runs are deleted with what depends on them, or not at all."""

import fcntl
import os
import socket
import time
from pathlib import Path

import pytest
from fake_runs import fake_run

from workbench.archive.deletion import delete, plan_deletion
from workbench.settings import Settings, UserError
from workbench.storage.files import write_json
from workbench.storage.run import all_runs
from workbench.storage.run_writer import LOCK
from workbench.sweeping import Sweep


def names() -> list[str]:
    """The names of all runs."""
    return [run.name for run in all_runs()]


def test_a_run_without_dependants_goes_wholly(data_folder: Path) -> None:
    """Nothing of the run stays, nothing else goes."""
    run = fake_run("a-00000000", Settings())
    fake_run("b-00000000", Settings())
    assert delete(plan_deletion([run])) == [run.folder]
    assert names() == ["b-00000000"]
    assert sorted(path.name for path in data_folder.iterdir()) == ["runs"]


def test_dependants_are_named_and_kept(data_folder: Path) -> None:
    """What started from the run, and from that, and a sweep that starts there, is named."""
    first = fake_run("a-00000000", Settings())
    fake_run("b-00000000", Settings(), parent=first.name)
    fake_run("c-00000000", Settings(), parent="b-00000000")
    Sweep("s", "c", init=first.name).save()
    with pytest.raises(UserError) as refused:
        delete(plan_deletion([first]))
    message = str(refused.value)
    for word in ("b-00000000 started from a-00000000", "c-00000000 started from b", "sweep s "):
        assert word in message
    assert "--with-dependants" in message
    assert names() == ["a-00000000", "b-00000000", "c-00000000"]


def test_dependants_go_too_if_wanted(data_folder: Path) -> None:
    """With its dependants the run, their runs and their sweep are gone, others stay."""
    first = fake_run("a-00000000", Settings())
    fake_run("b-00000000", Settings(), parent=first.name)
    fake_run("other-00000000", Settings())
    sweep = Sweep("s", "c", init="a").save()
    delete(plan_deletion([first]), with_dependants=True)
    assert names() == ["other-00000000"]
    assert not sweep.folder.exists()


def test_a_cell_of_a_sweep_is_a_reason(data_folder: Path) -> None:
    """A sweep would train a deleted cell again, so it is named; the sweep itself stays."""
    sweep = Sweep("s", "c").save()
    run = fake_run(f"s-{sweep.cells()[0].id}-00000000", Settings())
    with pytest.raises(UserError, match="cell of the sweep s"):
        delete(plan_deletion([run]))
    delete(plan_deletion([run]), with_dependants=True)
    assert names() == []
    assert sweep.folder.exists()


def test_a_running_run_stays(data_folder: Path) -> None:
    """A run whose process lives, or holds its lock, is refused, as is one it depends on."""
    parent = fake_run("p-00000000", Settings())
    run = fake_run("r-00000000", Settings(), parent=parent.name)
    status = {"state": "running", "pid": os.getpid(), "host": socket.gethostname()}
    write_json(run.folder / "status.json", {**status, "heartbeat": time.time(), "error": ""})
    with pytest.raises(UserError, match=r"r-00000000: is running; `workbench stop"):
        delete(plan_deletion([parent]), with_dependants=True)

    write_json(run.folder / "status.json", {**status, "state": "stopped"})
    with open(run.folder / LOCK, "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(UserError, match="is running"):
            delete(plan_deletion([run]))
    delete(plan_deletion([run]))
    assert names() == [parent.name]


def test_a_damaged_run_can_be_deleted(data_folder: Path) -> None:
    """A run whose files are damaged stands in nobody's way, and goes when asked."""
    damaged = fake_run("bad-00000000", Settings())
    good = fake_run("good-00000000", Settings())
    (damaged.folder / "settings.json").write_text("{")
    (damaged.folder / "status.json").write_text("{")
    delete(plan_deletion([good]))
    delete(plan_deletion([damaged]))
    assert names() == []
