"""A full disk is no cell's fault: the sweep ends, and continues once there is room."""

import errno

import pytest
from fake_runs import fake_run
from fake_sweeps import Outcomes, small

from workbench.sweeping import CellState, plan_cells, run_sweep
from workbench.sweeping.known_runs import run_name

pytestmark = pytest.mark.usefixtures("data_folder")


def full_disk() -> OSError:
    """What writing to a full disk raises."""
    return OSError(errno.ENOSPC, "No space left on device", "rows.jsonl")


def test_a_full_disk_ends_the_sweep_and_fails_no_cell() -> None:
    """No further cell begins; the same command continues once there is room, without `retry`."""
    disk = Outcomes({"shuffling=none 1": full_disk()})
    with pytest.raises(OSError, match="No space left") as raised:
        run_sweep(small(), executor=disk)
    assert raised.value.filename == "rows.jsonl"
    assert disk.asked == ["shuffling=none 0", "shuffling=none 1"]
    assert [c.state for c in plan_cells(small())] == ["done", "missing", "missing", "missing"]

    rest = Outcomes()
    cells = run_sweep(small(), executor=rest)
    assert {c.state for c in cells} == {CellState.DONE}
    assert len(rest.asked) == 3


def test_a_run_that_a_full_disk_ended_is_continued() -> None:
    """Its own state is *failed*, with the error of the disk; for the sweep it waits."""
    for cell in small().cells():
        name = f"{run_name(small(), cell)}-0"
        fake_run(name, cell.settings, state="failed", error=f"OSError: {full_disk()}")
    assert {c.state for c in plan_cells(small())} == {CellState.STOPPED}
