"""Run a sweep: train what is missing, resume what was stopped, record what failed and do the rest.

Cells run one by one in this process, side by side in processes of their own, as tasks of a Dask
cluster, or on any executor with ``submit``. A cell is single-threaded and its time is virtual, so
its numbers do not depend on what runs beside it.
"""

import os
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from dataclasses import dataclass, replace

from workbench import runs
from workbench.prepare.corpus import Corpus
from workbench.progress import Progress, counted
from workbench.rates import find_rate
from workbench.rates.usual import rounded
from workbench.recognise import evaluate
from workbench.runs.stop import StopFile
from workbench.settings import UserError
from workbench.storage.files import write_file
from workbench.storage.home import data_folder
from workbench.storage.lock import LockHeld, hold_lock
from workbench.storage.run import Run, RunState, find_run
from workbench.sweeping.executors import local_executor
from workbench.sweeping.plan import (
    CellRecord,
    CellState,
    PlannedCell,
    cell_run,
    plan_cells,
    record_end,
    record_nothing,
    record_path,
    record_work,
    refuse_idle_axes,
    run_name,
)
from workbench.sweeping.price import Price, Stopwatch
from workbench.sweeping.spec import Cell, Rates, Sweep
from workbench.sweeping.starting_run import train_start

AFTER_CURRENT = "after current"
NOW = "now"
STOP_FILE = "stop"
LOCK = ".runner"  # a file that the process that runs a sweep holds locked

PARTS = 100
"""Into so many parts the progress of a cell is divided."""

REPORT_SECONDS = 1.0
"""Pause between two records of how far a cell is."""

REST_SECONDS = 60.0
"""How long runs are given to come to rest at a checkpoint after Ctrl-C."""

FUTURE_POLL_SECONDS = 0.5
"""How long to wait for a cell to end before progress is reported again."""


def stop_file(sweep: Sweep, *words: str) -> StopFile:
    """Return the stop file of a sweep, which asks in one of ``words``."""
    return StopFile(sweep.folder / STOP_FILE, words)


def request_stop(sweep: Sweep, now: bool = False) -> None:
    """Ask the process that runs ``sweep`` to stop after its current runs, or to stop them too."""
    word = NOW if now else AFTER_CURRENT
    write_file(sweep.folder / STOP_FILE, word.encode())


# --- the process that runs a sweep


def run_sweep(
    sweep: Sweep,
    jobs: int = 1,
    retry: bool = False,
    progress: Progress | None = None,
    executor: Executor | None = None,
    seeds: Sequence[int] = (),
) -> list[PlannedCell]:
    """Save the sweep, run its unfinished cells, ``jobs`` at a time, and return all cells.

    ``retry``: run failed cells too, from their last checkpoint. Ctrl-C brings all runs to rest at a
    checkpoint first. Where the sweep describes what its cells start from (``start``), that is
    trained before them, once per corpus, or once per seed. If it is stopped, no cell begins.
    ``seeds``: those whose cells are run; by default all.

    Raises UserError for less than one job, if a sweep of this name with another base exists, if a
    setting that varies has no effect, or if another process runs this sweep.
    """
    if jobs < 1:
        raise UserError(f"jobs={jobs}: at least 1")
    refuse_idle_axes(sweep)
    try:
        with hold_lock(sweep.folder / LOCK, wait=False):
            return _run_unfinished(sweep.save(), jobs, retry, progress, executor, seeds)
    except LockHeld as holder:
        raise UserError(
            f"{sweep.name}: process {holder} is running this sweep: wait for it, or end it"
        ) from None


def _run_unfinished(
    sweep: Sweep,
    jobs: int,
    retry: bool,
    progress: Progress | None,
    executor: Executor | None,
    seeds: Sequence[int],
) -> list[PlannedCell]:
    """Do what `run_sweep` says, for a sweep that no other process runs."""
    (data_folder() / "sweeps" / sweep.prefix_of_runs).mkdir(parents=True, exist_ok=True)
    (sweep.folder / STOP_FILE).unlink(missing_ok=True)

    waiting = []
    for planned in plan_cells(sweep):
        left = planned.state.unfinished or (retry and planned.state == CellState.FAILED)
        if left and (not seeds or planned.cell.seed in seeds):
            waiting.append(planned.cell)
    if not waiting:
        return plan_cells(sweep)

    started = _with_starts(sweep, waiting, progress)
    if started is None:
        return plan_cells(sweep)

    if executor is not None:
        _run_cells(started, [executor] * jobs, waiting, progress)
        return plan_cells(sweep)
    slots = [local_executor(jobs) for _ in range(min(jobs, len(waiting)))]
    try:
        _run_cells(started, slots, waiting, progress)
    finally:
        for slot in slots:
            slot.shutdown()

    return plan_cells(sweep)


def _with_starts(
    sweep: Sweep, waiting: Sequence[Cell], progress: Progress | None
) -> dict[int, Sweep] | None:
    """The sweep of each seed with the run that its cells start from; None if that was stopped."""
    started: dict[int, Sweep] = {}
    for seed in dict.fromkeys(cell.seed for cell in waiting):
        if sweep.init:
            # A run that is missing is reported here, once, and not by every cell.
            started[seed] = replace(sweep, init=find_run(sweep.init).name)
        elif sweep.start:
            start = _trained_start(sweep, seed, progress)
            if start.status().state == RunState.STOPPED:
                return None
            started[seed] = replace(sweep, init=start.name)
        else:
            started[seed] = sweep

    return started


def _trained_start(sweep: Sweep, seed: int, progress: Progress | None) -> Run:
    """The run that the sweep describes as the start of a seed, trained and tested if missing.

    A run that was asked to stop, by the stop file or Ctrl-C, is returned as it rests.
    """
    start = train_start(sweep, seed, progress, stop_file(sweep, AFTER_CURRENT, NOW))
    stopped = start.status().state == RunState.STOPPED
    if sweep.test and not stopped and not start.summary.tested:
        evaluate.test(start, progress)
    return start


@dataclass(frozen=True)
class _Attempt:
    """A cell that is being run, and the slot in which it runs."""

    cell: Cell
    slot: int


def _run_cells(
    started: dict[int, Sweep],
    slots: list[Executor],
    waiting: Sequence[Cell],
    progress: Progress | None,
) -> None:
    """Keep every slot busy until no cell is left or the stop file appears.

    ``started``: the sweep of each seed, with the run that its cells start from.
    """
    queue = list(waiting)
    sweep = started[queue[0].seed]
    idle = list(range(len(slots)))
    attempts: dict[Future[Price | None], _Attempt] = {}
    stop = stop_file(sweep, AFTER_CURRENT, NOW)
    try:
        while attempts or (queue and not stop()):
            while queue and idle and not stop():
                attempt = _Attempt(queue.pop(0), idle.pop())
                executor = slots[attempt.slot]
                own = started[attempt.cell.seed]
                future = executor.submit(run_cell, own, attempt.cell.id, str(data_folder()))
                attempts[future] = attempt

            ended = wait(attempts, FUTURE_POLL_SECONDS, FIRST_COMPLETED).done
            for future in ended:
                attempt = attempts.pop(future)
                _record_outcome(sweep, attempt.cell, future)
                if isinstance(future.exception(), BrokenExecutor):
                    slots[attempt.slot] = local_executor(len(slots))
                idle.append(attempt.slot)

            if progress:
                under_way = [attempt.cell for attempt in attempts.values()]
                done = len(waiting) - len(queue) - len(under_way)
                _report_progress(sweep, done, under_way, len(waiting), progress)
    except KeyboardInterrupt:
        request_stop(sweep, now=True)
        wait(attempts, timeout=REST_SECONDS)
        raise


def _record_outcome(sweep: Sweep, cell: Cell, future: Future[Price | None]) -> None:
    """Record how the attempt at a cell ended; one that was stopped on request is no failure."""
    error = future.exception()
    if error is None:
        record_end(sweep, cell, "", future.result())
    elif isinstance(error, KeyboardInterrupt):
        record_end(sweep, cell, "", None)
    else:
        record_end(sweep, cell, f"{type(error).__name__}: {error}", None)


def _report_progress(
    sweep: Sweep, done: int, under_way: Sequence[Cell], total: int, progress: Progress
) -> None:
    """Report the progress of all cells, those under way by their records."""
    parts = PARTS * done
    for cell in under_way:
        parts += int(PARTS * CellRecord.read(record_path(sweep, cell)).share)
    progress(parts, PARTS * total, f"sweep {sweep.name}, {counted(total, 'run')}")


# --- the process that runs one cell


class CellReporter:
    """Records that this process works on a cell and, now and then, how far it is; a `Progress`."""

    def __init__(self, sweep: Sweep, cell: Cell):
        self.sweep = sweep
        self.cell = cell
        self.reported = time.monotonic()
        record_work(sweep, cell)

    def __call__(self, done: int, total: int, what: str) -> None:
        """Record the share that is done, at most once in `REPORT_SECONDS`."""
        if time.monotonic() - self.reported > REPORT_SECONDS:
            self.reported = time.monotonic()
            record_work(self.sweep, self.cell, done / max(1, total))


def run_cell(sweep: Sweep, cell_id: str, data_folder: str) -> Price | None:
    """Train or resume one cell, and test it; return what that took, None if it was stopped.

    The cell runs in any process that sees ``data_folder``;
    meanwhile its record names that process.
    """
    os.environ["WORKBENCH_DATA"] = data_folder
    cell = next(cell for cell in sweep.cells() if cell.id == cell_id)
    reporter = CellReporter(sweep, cell)
    watch = Stopwatch()
    try:
        trained = _trained_cell(sweep, cell, reporter)
        if trained is None or trained.status().state == RunState.STOPPED:
            return None
        if sweep.test and not trained.summary.tested:
            evaluate.test(trained)
    finally:
        record_nothing(sweep, cell)

    return watch.price()


def _trained_cell(sweep: Sweep, cell: Cell, progress: Progress) -> Run | None:
    """The cell's run, trained or resumed; it may have been stopped, None before it began."""
    existing = cell_run(sweep, cell)
    corpus = Corpus.open(sweep.corpus)
    init = find_run(sweep.init) if sweep.init else None
    stop = stop_file(sweep, NOW)

    settings = cell.settings
    if existing is None and sweep.rates == Rates.AUTO:
        search = find_rate(corpus, settings.replace(**sweep.rates_at), init, progress, stop)
        if search.rate is None:
            return None
        settings = settings.replace(learning_rate=rounded(sweep.rate_factor * search.rate))

    return runs.train_or_resume(
        existing,
        corpus,
        settings,
        name=run_name(sweep, cell),
        init=init,
        progress=progress,
        stop=stop,
    )
