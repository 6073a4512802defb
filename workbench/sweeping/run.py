"""Carry a sweep out: train what is missing, go on with what was stopped, record what failed and do the rest.

Cells run one by one in this process, side by side in processes of their own, as tasks of a Dask cluster, or on any
executor with ``submit``. A cell is single-threaded and its time is virtual, so its numbers do not depend on what runs
beside it.
"""

import os
import socket
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from workbench import runs
from workbench.progress import Progress
from workbench.recognise import evaluate
from workbench.settings import UserError, preset
from workbench.storage.run import (
    Run,
    RunState,
    find_run,
    home,
    read_json,
    write_atomically,
    write_json,
)
from workbench.sweeping.executors import own_place
from workbench.sweeping.plan import ENDED, PlannedCell, plan, record_path, run_name, run_of
from workbench.sweeping.spec import Cell, Sweep
from workbench.sweeping.starting_run import found_start

AFTER_CURRENT, NOW = "after current", "now"
PARTS = 100  # of a cell, in which progress is told
OFTEN = 1.0  # seconds between two words of a cell about how far it is
REST = 60.0  # seconds in which runs come to rest at a checkpoint after Ctrl-C


@dataclass
class StopFile:
    """Whether a file asks to stop; looks at most five times a second, since runs ask after every effect."""

    path: Path
    words: tuple[str, ...] = (NOW,)
    looked: float = 0.0
    found: bool = False

    def __call__(self) -> bool:
        if not self.found and time.monotonic() - self.looked > 0.2:
            self.looked = time.monotonic()
            self.found = self.path.exists() and self.path.read_text().strip() in self.words
        return self.found


def ask_to_stop(sweep: Sweep, now: bool = False) -> None:
    """Ask whoever carries out ``sweep`` to stop: when its current runs have ended, or at their next rest."""
    write_atomically(sweep.folder / "stop", (NOW if now else AFTER_CURRENT).encode())


def run(
    sweep: Sweep,
    jobs: int = 1,
    retry: bool = False,
    progress: Progress | None = None,
    executor: Executor | None = None,
) -> list[PlannedCell]:
    """Save the sweep and run all cells that have not ended, ``jobs`` at a time; returns how each stands.

    ``retry``: failed ones too, from their last checkpoint. Ctrl-C brings all to rest at a checkpoint first. Where the
    sweep says from what all start (``start``), that is trained first, once per corpus.
    """
    if jobs < 1:
        raise UserError(f"jobs={jobs}: at least 1")
    sweep = sweep.save()
    (sweep.folder / "stop").unlink(missing_ok=True)
    waiting = [
        p.cell
        for p in plan(sweep)
        if p.state not in ENDED | {"running"} and (retry or p.state != "failed")
    ]
    begin = replace(sweep, init=_start(sweep, progress)) if waiting else sweep
    if waiting and sweep.start and not begin.init:
        return plan(sweep)  # stopped before anything could begin
    slots = (
        [executor] * jobs if executor else [own_place(jobs) for _ in range(min(jobs, len(waiting)))]
    )
    try:
        _drive(begin, slots, waiting, progress)
    finally:
        for slot in slots if executor is None else ():
            slot.shutdown()
    return plan(sweep)


def _drive(
    sweep: Sweep, slots: list[Executor], waiting: Sequence[Cell], progress: Progress | None
) -> None:
    """Keep every slot busy until no cell is left or the stop file appears."""
    queue, idle, total = list(waiting), list(range(len(slots))), len(waiting)
    under_way: dict[Future, tuple[Cell, int]] = {}
    stop = StopFile(sweep.folder / "stop", (AFTER_CURRENT, NOW))
    try:
        while under_way or (queue and not stop()):
            while queue and idle and not stop():
                cell, slot = queue.pop(0), idle.pop()
                under_way[slots[slot].submit(run_cell, sweep.to_dict(), cell.id, str(home()))] = (
                    cell,
                    slot,
                )
            for future in wait(under_way, timeout=0.5, return_when=FIRST_COMPLETED).done:
                cell, slot = under_way.pop(future)
                record(sweep, cell, future)
                if isinstance(future.exception(), BrokenExecutor):
                    slots[slot] = own_place(len(slots))
                idle.append(slot)
            if progress:
                ended = total - len(queue) - len(under_way)
                parts = PARTS * ended + sum(how_far(sweep, cell) for cell, _ in under_way.values())
                progress(parts, PARTS * total, f"sweep {sweep.name}, hundredths of {total} runs")
    except KeyboardInterrupt:
        ask_to_stop(sweep, now=True)
        wait(under_way, timeout=REST)
        raise


def record(sweep: Sweep, cell: Cell, future: Future) -> None:
    """Keep how the attempt at a cell ended; one that was stopped on request is no failure."""
    error = future.exception()
    text = (
        ""
        if error is None or isinstance(error, KeyboardInterrupt)
        else f"{type(error).__name__}: {error}"
    )
    seconds, processor = future.result() if error is None else (None, None)
    about = {"values": dict(cell.values), "seed": cell.seed}
    write_json(
        record_path(sweep, cell),
        {"error": text, "seconds": seconds, "processor": processor, **about},
    )


def how_far(sweep: Sweep, cell: Cell) -> int:
    """How many of `PARTS` of a cell's training are done, by the word of the process that carries it out."""
    path = record_path(sweep, cell)
    return int(PARTS * read_json(path).get("share", 0.0)) if path.exists() else 0


class Told:
    """Writes to the record of a cell who carries it out and, at most every `OFTEN` seconds, how far that is."""

    def __init__(self, path: Path):
        self.path, self.who, self.last = (
            path,
            {"pid": os.getpid(), "host": socket.gethostname()},
            time.monotonic(),
        )
        write_json(path, self.who)

    def __call__(self, done: int, total: int, what: str) -> None:
        if time.monotonic() - self.last > OFTEN:
            self.last = time.monotonic()
            write_json(self.path, self.who | {"share": done / max(1, total)})


def run_cell(spec: dict[str, Any], cell_id: str, data: str) -> tuple[float, float]:
    """Train or go on with one cell, and test it; seconds, and processor time of this process in them.

    Runs in any process that sees the data folder; while it does, the cell's record names that process.
    """
    os.environ["WORKBENCH_DATA"] = data
    sweep = Sweep(**spec)
    cell = next(c for c in sweep.cells() if c.id == cell_id)
    told = Told(record_path(sweep, cell))
    began, used = time.monotonic(), time.process_time()
    try:
        trained = _trained(sweep, cell, StopFile(sweep.folder / "stop"), told)
        if sweep.test and "test_wer" not in trained.summary:
            evaluate.test(trained.name)
    finally:
        write_json(record_path(sweep, cell), {})
    return time.monotonic() - began, time.process_time() - used


def _start(sweep: Sweep, progress: Progress | None) -> str | None:
    """The run that all cells start from, trained and tested if it is missing; None if there is none, or it was stopped.

    Asked to stop, it comes to rest like any run, and is gone on with the next time.
    """
    if sweep.init:
        return find_run(sweep.init).name  # a missing one is said once, not by every cell
    if not sweep.start:
        return None
    stop = StopFile(sweep.folder / "stop", (AFTER_CURRENT, NOW))
    found = found_start(sweep)
    try:
        if found is None:
            settings = preset(sweep.preset, **sweep.start)
            found = runs.train(
                sweep.corpus, settings, name=f"ce-{sweep.corpus}", progress=progress, stop=stop
            )
        elif found.status().state != RunState.DONE:
            found = runs.resume(found.name, progress=progress, stop=stop)
    except KeyboardInterrupt:
        if stop.found:
            return None
        raise
    if sweep.test and "test_wer" not in found.summary:
        evaluate.test(found.name, progress)
    return found.name


def _trained(sweep: Sweep, cell: Cell, stop: StopFile, progress: Progress) -> Run:
    found, name = run_of(sweep, cell), run_name(sweep, cell)
    if found is None:
        return runs.train(
            sweep.corpus, cell.settings, name=name, init=sweep.init, stop=stop, progress=progress
        )
    return (
        found
        if found.status().state == RunState.DONE
        else runs.resume(found.name, stop=stop, progress=progress)
    )
