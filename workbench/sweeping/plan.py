"""Which cells a sweep has and how each stands, read from the files on disk and never remembered."""

import os
import socket
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from workbench.settings import UserError, why_idle
from workbench.storage.files import read_json, write_json
from workbench.storage.home import data_folder
from workbench.storage.os_errors import mentions_disk_error
from workbench.storage.rows import EvaluateRow, read_rows
from workbench.storage.run import Run, RunState
from workbench.sweeping.known_runs import CellFinder
from workbench.sweeping.price import Price
from workbench.sweeping.spec import Cell, Sweep
from workbench.system.processes import process_is_alive


class CellState(StrEnum):
    """How a cell stands; apart from MISSING and FAILED that is how its run stands."""

    MISSING = "missing"  # never begun
    NEW = "new"  # its run has a folder, but has reported nothing yet
    RUNNING = "running"  # a process of this machine trains or tests it
    DONE = "done"  # trained, and tested if the sweep tests
    STOPPED = "stopped"  # rests at a checkpoint, or waits for its test or for a disk with room
    LOST = "lost"  # its process is gone
    FAILED = "failed"  # training, testing or starting it raised an error
    DIVERGED = "diverged"

    @property
    def ended(self) -> bool:
        """Whether the cell is never run again."""
        return self in (CellState.DONE, CellState.DIVERGED)

    @property
    def unfinished(self) -> bool:
        """Whether running the sweep once more would continue with the cell."""
        return not self.ended and self not in (CellState.RUNNING, CellState.FAILED)


@dataclass(frozen=True)
class CellRecord:
    """The file ``cell-<id>.json``: who works on a cell, or how the last attempt at it ended."""

    pid: int | None = None  # of the process that works on it
    host: str = ""  # of that process
    share: float = 0.0  # of the training that is done
    error: str = ""  # of the last attempt
    price: Price | None = None  # of the last attempt, if it came to its end

    @classmethod
    def read(cls, path: Path) -> "CellRecord":
        """Read the file; without one, nothing is known of the cell."""
        if not path.exists():
            return cls()
        record = read_json(path)
        seconds = record.get("seconds")
        return cls(
            pid=record.get("pid"),
            host=record.get("host", ""),
            share=record.get("share", 0.0),
            error=record.get("error", ""),
            price=None if seconds is None else Price(seconds, record.get("processor") or 0.0),
        )

    @property
    def busy(self) -> bool:
        """Whether a living process of this machine works on the cell."""
        here = self.host == socket.gethostname()
        return here and self.pid is not None and process_is_alive(self.pid)


@dataclass(frozen=True)
class PlannedCell:
    """A cell, its run if there is one, how it stands, and what went wrong."""

    cell: Cell
    run: Run | None
    state: CellState
    error: str = ""
    price: Price | None = None  # of this computer that it took, once it has ended

    @property
    def reached(self) -> str:
        """Describe how the cell stands: its state, or how far training is and its error rate."""
        if self.state != CellState.RUNNING:
            return self.state.value
        if self.run is None:
            return "starting"
        if self.run.status().state == RunState.DONE:
            return "testing"

        last = _last_evaluation(self.run)
        if last is None:
            return "at 0%"
        epochs = max(self.cell.settings.batches.epochs, 1e-9)
        share = min(1.0, last.epochs / epochs)
        wer = last.measured.wer
        return f"at {share:.0%}" if wer is None else f"at {share:.0%}: {100 * wer:.1f}"


def _last_evaluation(run: Run) -> EvaluateRow | None:
    """The newest measurement of a run."""
    path = run.row_file("evaluator")
    if not path.exists():
        return None
    evaluations = list(read_rows(path, EvaluateRow))
    return evaluations[-1] if evaluations else None


def plan_cells(sweep: Sweep) -> list[PlannedCell]:
    """Return every cell of ``sweep`` and how it stands."""
    finder = CellFinder(sweep)
    return [plan_cell(sweep, cell, finder) for cell in sweep.cells()]


def plan_cell(sweep: Sweep, cell: Cell, finder: CellFinder | None = None) -> PlannedCell:
    """Return how one cell stands; ``finder``: of the sweep's runs, if somebody has looked."""
    record = CellRecord.read(record_path(sweep, cell))
    run = (finder or CellFinder(sweep)).find(cell)
    if record.busy:
        return PlannedCell(cell, run, CellState.RUNNING, "", record.price)
    if run is None:
        state = CellState.FAILED if record.error else CellState.MISSING
        return PlannedCell(cell, None, state, record.error, record.price)

    status = run.status()
    error = status.error or record.error
    state = CellState(status.state.value)
    if state == CellState.FAILED and error.startswith("Diverged"):
        state = CellState.DIVERGED
    if state == CellState.DONE and sweep.test and not run.summary.tested:
        state = CellState.FAILED if error else CellState.STOPPED
    if state == CellState.FAILED and mentions_disk_error(error):
        state = CellState.STOPPED
    return PlannedCell(cell, run, state, error, record.price)


def count_states(cells: Sequence[PlannedCell]) -> dict[str, int]:
    """Return how many cells are in each state, by the state's name."""
    return dict(Counter(planned.state.value for planned in cells))


# --- the record of a cell


def record_path(sweep: Sweep, cell: Cell) -> Path:
    """Return the path of the cell's record; sweeps with one ``run_prefix`` share it."""
    return data_folder() / "sweeps" / sweep.prefix_of_runs / f"cell-{cell.id}.json"


def record_work(sweep: Sweep, cell: Cell, share: float | None = None) -> None:
    """Record that this process works on the cell, and the share of its training that is done."""
    record: dict[str, int | str | float] = {"pid": os.getpid(), "host": socket.gethostname()}
    if share is not None:
        record["share"] = share
    write_json(record_path(sweep, cell), record)


def record_nothing(sweep: Sweep, cell: Cell) -> None:
    """Record that no process works on the cell any more."""
    write_json(record_path(sweep, cell), {})


def record_end(sweep: Sweep, cell: Cell, error: str, price: Price | None) -> None:
    """Record how an attempt at the cell ended: its error or "", and its price if it has one."""
    record = {
        "error": error,
        "seconds": price.seconds if price else None,
        "processor": price.processor if price else None,
        "values": dict(cell.values),
        "seed": cell.seed,
    }
    write_json(record_path(sweep, cell), record)


def refuse_idle_axes(sweep: Sweep) -> None:
    """Raise UserError if a setting that the sweep varies has no effect in any of its cells.

    All of its values would be the same run, and its verdict would say nothing about it.
    """
    for name, need in idle_in_all_cells(sweep, sweep.varied).items():
        raise UserError(f"sweep {sweep.name}: {name} has no effect in any cell: it needs {need}")


def idle_in_all_cells(sweep: Sweep, names: Iterable[str]) -> dict[str, str]:
    """Return which of the settings ``names`` act in no cell, and what they need."""
    cells = sweep.cells()
    idle = {}
    for name in names:
        reasons = [why_idle(cell.settings, name) for cell in cells]
        if reasons and all(reasons):
            idle[name] = reasons[0]
    return idle
