"""A run is deleted only when what depends on it has been named, and goes too."""

import os
import shutil
from collections.abc import Container, Sequence
from dataclasses import dataclass
from pathlib import Path

from workbench.archive.entry import folder_size
from workbench.settings import UserError
from workbench.storage.home import data_folder
from workbench.storage.run import Run, RunState, all_runs
from workbench.storage.run_writer import is_being_written
from workbench.sweeping import Sweep, all_sweeps, plan_cells


@dataclass(frozen=True)
class Deletion:
    """What is deleted together: the runs that were asked for, and what depends on them.

    ``reasons`` are sentences that say of each dependant why it depends.
    """

    asked: list[Run]
    runs: list[Run]  # that depend on them
    sweeps: list[Sweep]  # whose cells start from one of the runs
    reasons: list[str]

    @property
    def size(self) -> int:
        """The bytes that deletion frees."""
        folders = [run.folder for run in (*self.asked, *self.runs)]
        return sum(folder_size(folder) for folder in folders)


def plan_deletion(asked: Sequence[Run]) -> Deletion:
    """Return what would be deleted with these runs.

    A run depends on the one that it started from, and so does a sweep on the run that all its
    cells start from. A sweep that loses a cell is a reason too: it would train the cell again.
    """
    known = all_runs()
    sweeps = all_sweeps()
    gone = {run.name: run for run in asked}
    found_sweeps: dict[str, Sweep] = {}
    reasons: list[str] = []
    waiting = list(asked)

    while waiting:
        run = waiting.pop()
        for child in known:
            if child.name not in gone and starts_from(child, run):
                gone[child.name] = child
                waiting.append(child)
                reasons.append(f"the run {child.name} started from {run.name}")

        for sweep in sweeps:
            if sweep.name not in found_sweeps and _sweep_starts_from(sweep, run):
                found_sweeps[sweep.name] = sweep
                reasons.append(f"the cells of the sweep {sweep.name} start from {run.name}")

    asked_names = {run.name for run in asked}
    others = [run for name, run in gone.items() if name not in asked_names]
    kept = [sweep for sweep in sweeps if sweep.name not in found_sweeps]
    reasons += _lost_cells(kept, gone)
    return Deletion(list(asked), others, list(found_sweeps.values()), reasons)


def _lost_cells(sweeps: Sequence[Sweep], gone: Container[str]) -> list[str]:
    """A sentence for each cell of a sweep whose run would be gone, whatever the run is called."""
    return [
        f"{planned.run.name} is a cell of the sweep {sweep.name}, which would train it again"
        for sweep in sweeps
        for planned in plan_cells(sweep)
        if planned.run is not None and planned.run.name in gone
    ]


def starts_from(child: Run, run: Run) -> bool:
    """Return whether the first parameters of ``child``, or its hidden layers, came from ``run``."""
    try:
        parent = child.record.parent
    except UserError:  # a damaged record is reported by the list of runs
        return False
    return parent is not None and run.name in (parent.run, parent.transfer)


def _sweep_starts_from(sweep: Sweep, run: Run) -> bool:
    """Return whether a sweep names the run, with or without its digest, as where it starts."""
    return sweep.init in (run.name, run.name.rpartition("-")[0])


def delete(deletion: Deletion, with_dependants: bool = False) -> list[Path]:
    """Delete the runs; return the folders that are gone.

    Raises UserError, and deletes nothing, if a run is being written, or if something depends on
    the runs and ``with_dependants`` is not set.
    """
    every = [*deletion.asked, *deletion.runs]
    for run in every:
        if is_active(run):
            raise UserError(f"{run.name}: is running; `workbench stop {run.name}` stops it")
    if deletion.reasons and not with_dependants:
        named = "; ".join(deletion.reasons)
        raise UserError(f"not deleted: {named}; --with-dependants deletes all of it")

    # Dependants go first, so that what an interruption leaves never misses what it depends on.
    folders = [sweep.folder for sweep in deletion.sweeps]
    folders += [run.folder for run in reversed(every)]
    for folder in folders:
        _remove(folder)
    return folders


def is_active(run: Run) -> bool:
    """Return whether a process works on the run; a run without a writer is never NEW for long."""
    try:
        running = run.status().state == RunState.RUNNING
    except UserError:  # of a damaged status nothing follows but that it may go
        running = False
    return running or is_being_written(run)


def _remove(folder: Path) -> None:
    """Remove a folder: it leaves the list at once, and then its files go."""
    leaving = data_folder() / "deleted"
    leaving.mkdir(parents=True, exist_ok=True)
    aside = leaving / f"{folder.name}.{os.getpid()}"
    os.replace(folder, aside)
    shutil.rmtree(aside)
    if not any(leaving.iterdir()):
        leaving.rmdir()
