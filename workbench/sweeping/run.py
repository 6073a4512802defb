"""Run a sweep: train what is missing, resume what was stopped, record what failed and do the rest.

Cells run one by one in this process, side by side in processes of their own, as tasks of a Dask
cluster, or on any executor with ``submit``. A cell is single-threaded and its time is virtual, so
its numbers do not depend on what runs beside it.
"""

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from contextlib import ExitStack, suppress
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
from workbench.storage.os_errors import is_disk_error
from workbench.storage.run import Run, RunState, find_run
from workbench.sweeping.executors import local_executor
from workbench.sweeping.known_runs import cell_run, run_name
from workbench.sweeping.plan import (
    CellRecord,
    CellState,
    PlannedCell,
    plan_cells,
    record_end,
    record_nothing,
    record_path,
    record_work,
    refuse_idle_axes,
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

    Raises the OSError of a disk that is full: no further cell begins, none counts as failed, and
    running the sweep again continues once there is room.

    Raises UserError for less than one job, if a sweep of this name with another base exists, if a
    setting that varies has no effect, or if another process runs this sweep.
    """
    (cells,) = run_sweeps([sweep], jobs, retry, progress, executor, seeds)
    return cells


def run_sweeps(
    sweeps: Sequence[Sweep],
    jobs: int = 1,
    retry: bool = False,
    progress: Progress | None = None,
    executor: Executor | None = None,
    seeds: Sequence[int] = (),
) -> list[list[PlannedCell]]:
    """Run several sweeps as one queue of cells, as `run_sweep` runs one; return the cells of each.

    So ``jobs`` processes are busy even if each sweep has a single cell. After a stop that is asked
    of one of the sweeps no cell of any begins.
    """
    if jobs < 1:
        raise UserError(f"jobs={jobs}: at least 1")
    for sweep in sweeps:
        refuse_idle_axes(sweep)

    with ExitStack() as locks:
        for sweep in sweeps:
            _lock(sweep, locks)
        saved = [sweep.save() for sweep in sweeps]
        _run_unfinished(saved, jobs, retry, progress, executor, seeds)
        return [plan_cells(sweep) for sweep in saved]


def _lock(sweep: Sweep, locks: ExitStack) -> None:
    """Hold a sweep until ``locks`` are closed; UserError if another process runs it."""
    try:
        locks.enter_context(hold_lock(sweep.folder / LOCK, wait=False))
    except LockHeld as holder:
        raise UserError(
            f"{sweep.name}: process {holder} is running this sweep: wait for it, or end it"
        ) from None


@dataclass(frozen=True)
class _StartedCell:
    """A cell, and its sweep with the run that the cell starts from."""

    sweep: Sweep
    cell: Cell

    @property
    def run_name(self) -> str:
        """The name of its run, which cells of other sweeps may share."""
        return run_name(self.sweep, self.cell)


def _run_unfinished(
    sweeps: Sequence[Sweep],
    jobs: int,
    retry: bool,
    progress: Progress | None,
    executor: Executor | None,
    seeds: Sequence[int],
) -> None:
    """Do what `run_sweeps` says, for sweeps that no other process runs."""
    waiting: list[_StartedCell] = []
    for sweep in sweeps:
        (data_folder() / "sweeps" / sweep.prefix_of_runs).mkdir(parents=True, exist_ok=True)
        (sweep.folder / STOP_FILE).unlink(missing_ok=True)

    for sweep in sweeps:
        cells = _unfinished_cells(sweep, retry, seeds)
        started = _with_starts(sweep, cells, progress)
        if started is None:
            return
        waiting += [_StartedCell(started[cell.seed], cell) for cell in cells]

    if not waiting:
        return
    if executor is not None:
        _run_cells([executor] * jobs, waiting, progress)
        return
    slots = [local_executor(jobs) for _ in range(min(jobs, len(waiting)))]
    try:
        _run_cells(slots, waiting, progress)
    finally:
        for slot in slots:
            slot.shutdown()


def _unfinished_cells(sweep: Sweep, retry: bool, seeds: Sequence[int]) -> list[Cell]:
    """The cells of a sweep that are to be run."""
    cells = []
    for planned in plan_cells(sweep):
        left = planned.state.unfinished or (retry and planned.state == CellState.FAILED)
        if left and (not seeds or planned.cell.seed in seeds):
            cells.append(planned.cell)

    return cells


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

    started: _StartedCell
    slot: int


def _run_cells(
    slots: list[Executor], waiting: Sequence[_StartedCell], progress: Progress | None
) -> None:
    """Keep every slot busy until no cell is left or a stop file appears."""
    queue = list(waiting)
    idle = list(range(len(slots)))
    attempts: dict[Future[Price | None], _Attempt] = {}
    sweeps = {each.sweep.name: each.sweep for each in waiting}
    stops = [stop_file(sweep, AFTER_CURRENT, NOW) for sweep in sweeps.values()]
    what = _description(sweeps, len(waiting))

    def stopped() -> bool:
        return any(stop() for stop in stops)

    try:
        while attempts or (queue and not stopped()):
            while idle and not stopped():
                chosen = _take_next(queue, attempts)
                if chosen is None:
                    break
                slot = idle.pop()
                future = slots[slot].submit(
                    run_cell, chosen.sweep, chosen.cell.id, str(data_folder())
                )
                attempts[future] = _Attempt(chosen, slot)

            ended = wait(attempts, FUTURE_POLL_SECONDS, FIRST_COMPLETED).done
            for future in ended:
                attempt = attempts.pop(future)
                _record_outcome(attempt.started, future)
                if isinstance(future.exception(), BrokenExecutor):
                    slots[attempt.slot] = local_executor(len(slots))
                idle.append(attempt.slot)

            if progress:
                under_way = [attempt.started for attempt in attempts.values()]
                done = len(waiting) - len(queue) - len(under_way)
                parts = PARTS * done + sum(_parts_done(each) for each in under_way)
                progress(parts, PARTS * len(waiting), what)
    except (KeyboardInterrupt, OSError):
        _bring_to_rest(sweeps.values(), attempts)
        raise


def _bring_to_rest(sweeps: Iterable[Sweep], attempts: Iterable[Future[Price | None]]) -> None:
    """Ask all cells under way to stop, and give them time to."""
    with suppress(OSError):  # where not even this can be written, the cells meet the same disk
        for sweep in sweeps:
            request_stop(sweep, now=True)
    wait(attempts, timeout=REST_SECONDS)


def _take_next(
    queue: list[_StartedCell], attempts: Mapping[Future[Price | None], _Attempt]
) -> _StartedCell | None:
    """Take the first cell off the queue whose run is not under way as another sweep's cell."""
    under_way = {attempt.started.run_name for attempt in attempts.values()}
    for place, each in enumerate(queue):
        if each.run_name not in under_way:
            return queue.pop(place)

    return None


def _description(sweeps: Mapping[str, Sweep], runs_left: int) -> str:
    """What is run, for people who watch the progress."""
    if len(sweeps) == 1:
        (name,) = sweeps
        return f"sweep {name}, {counted(runs_left, 'run')}"
    return f"{counted(len(sweeps), 'sweep')}, {counted(runs_left, 'run')}"


def _record_outcome(started: _StartedCell, future: Future[Price | None]) -> None:
    """Record how the attempt at a cell ended; one that was stopped on request is no failure.

    Raises the error of a full disk, which no cell is to blame for.
    """
    error = future.exception()
    if error is not None and is_disk_error(error):
        raise error
    if error is None:
        record_end(started.sweep, started.cell, "", future.result())
    elif isinstance(error, KeyboardInterrupt):
        record_end(started.sweep, started.cell, "", None)
    else:
        record_end(started.sweep, started.cell, f"{type(error).__name__}: {error}", None)


def _parts_done(started: _StartedCell) -> int:
    """How many parts of a cell under way are done, by its record."""
    return int(PARTS * CellRecord.read(record_path(started.sweep, started.cell)).share)


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
