"""Which cells of a sweep are there, and how they stand; read from what is on disk, never remembered."""

import os
import socket
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.storage.rows import EvaluateRow, read_rows
from workbench.storage.run import Run, RunState, home, read_json
from workbench.sweeping.spec import Cell, Sweep

ENDED = {"done", "diverged"}  # neither is run again


@dataclass(frozen=True)
class PlannedCell:
    """A cell, its run if there is one, its state, and what went wrong.

    ``state``: missing, running, done, stopped, lost, failed, diverged; done means tested too, if the sweep tests.
    """

    cell: Cell
    run: Run | None
    state: str
    error: str = ""
    seconds: float | None = None  # of this computer that it took, once it has ended
    processor: float | None = None  # seconds of processor time in them

    @property
    def reached(self) -> str:
        """How it stands; if it runs: at which share of its epochs it was measured last, and with what error rate."""
        if self.state != "running" or self.run is None:
            return "starting" if self.state == "running" else self.state
        if self.run.status().state == RunState.DONE:
            return "testing"

        path = self.run.row_file("evaluator")
        evaluations = (
            [r for r in read_rows(path) if isinstance(r, EvaluateRow)] if path.exists() else []
        )
        if not evaluations:
            return "at 0%"
        last = evaluations[-1]
        share = last.epochs / max(self.cell.settings.batches.epochs, 1e-9)
        wer = last.measured.wer
        return f"at {min(1.0, share):.0%}" + ("" if wer is None else f": {100 * wer:.1f}")


def plan(sweep: Sweep) -> list[PlannedCell]:
    """Every cell of ``sweep`` and how it stands."""
    return [stand(sweep, cell) for cell in sweep.cells()]


def counts(cells: Sequence[PlannedCell]) -> dict[str, int]:
    """How many cells are in each state."""
    return dict(Counter(c.state for c in cells))


def record_path(sweep: Sweep, cell: Cell) -> Path:
    """Where the last attempt at a cell is recorded."""
    return sweep.folder / f"cell-{cell.id}.json"


def run_name(sweep: Sweep, cell: Cell) -> str:
    """What the cell's run is called, less the digest that every run's name ends in."""
    return f"{sweep.name}-{cell.id}"


def run_of(sweep: Sweep, cell: Cell) -> Run | None:
    """The cell's run; the newest, if its starting point was trained anew in between."""
    found = list((home() / "runs").glob(f"{run_name(sweep, cell)}-*/settings.json"))
    return Run(max(found, key=lambda p: p.stat().st_mtime).parent) if found else None


def stand(sweep: Sweep, cell: Cell) -> PlannedCell:
    """How one cell stands."""
    path = record_path(sweep, cell)
    record = read_json(path) if path.exists() else {}
    run, error = run_of(sweep, cell), record.get("error", "")
    spent = record.get("seconds"), record.get("processor")
    if busy(record):
        return PlannedCell(cell, run, "running", "", *spent)
    if run is None:
        return PlannedCell(cell, None, "failed" if error else "missing", error, *spent)
    status = run.status()
    state, error = status.state.value, status.error or error
    if state == "failed" and error.startswith("Diverged"):
        state = "diverged"
    if state == "done" and sweep.test and "test_wer" not in run.summary:
        state = "failed" if error else "stopped"
    return PlannedCell(cell, run, state, error, *spent)


def busy(record: Mapping[str, Any]) -> bool:
    """Whether the process of this machine that began an attempt is still at it; it trains, or tests, or is to begin."""
    if record.get("host") != socket.gethostname():
        return False
    try:
        os.kill(record["pid"], 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True
