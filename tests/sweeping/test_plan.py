"""Which cells a sweep has and how each stands."""

import os
from pathlib import Path

import pytest
from fake_runs import fake_run
from fake_sweeps import small

from workbench.sweeping import CellState, plan_cells
from workbench.sweeping.known_runs import run_name


@pytest.mark.usefixtures("data_folder")
def test_a_plan_looks_at_the_folder_of_runs_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many cells it has: with a look for each, a large sweep would take ever longer."""
    looked = []
    list_folder = os.listdir

    def look(path: Path) -> list[str]:
        looked.append(path)
        return list_folder(path)

    sweep = small(seeds=range(20)).save()
    for cell in sweep.cells():
        fake_run(f"{run_name(sweep, cell)}-0", cell.settings, steps=1)
    monkeypatch.setattr(os, "listdir", look)
    assert {planned.state for planned in plan_cells(sweep)} == {CellState.DONE}
    assert len(looked) == 1
