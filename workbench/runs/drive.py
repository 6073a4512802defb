"""A run driven from checkpoint to checkpoint by whatever executes it, until it ends or is asked to stop.

Barriers are a part of the schedule of every run, so that on a virtual clock a resumed run equals one that was never
stopped. On a cluster, a worker that is lost takes its part of the run with it: then the run goes back to its newest
checkpoint, a rest like any other, and goes on from there.
"""

import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from workbench.engine import Cost, Held, Local, Lost, Outcome, Process, free, load_machine, measured
from workbench.engine.clocks import TICKS
from workbench.engine.trace import wrap_for_recording
from workbench.model import kernels
from workbench.progress import Progress
from workbench.runs.stop import interruptible, stop_file
from workbench.runs.wiring import Experiment
from workbench.settings import Settings, UserError
from workbench.storage.checkpoints import latest_checkpoint
from workbench.storage.rows import EvaluateRow, PushRow, RecoveryRow, Row, TraceRow
from workbench.storage.run import DRIVER, Writer, home
from workbench.training import Checkpoint, Diverged, ParameterServer, PushStatus, pack, unpack

RECOVERIES = (
    5  # in a row with no checkpoint in between: then it is no accident, or more is lost than done
)
RETURN_SECONDS = (
    120.0  # that lost workers are given to come back; on an idle machine a nanny needs 2
)
POLL = 0.2  # seconds between looks for them


class Executor(Protocol):
    """What runs processes: Local, Cluster."""

    def run(
        self,
        processes: Mapping[str, Callable[[], Process]],
        services: dict[str, Any],
        emit: Callable[[Row], None],
        rest: Callable[[], bool],
        channels: Mapping[str, Held] | None,
        ticks: int,
    ) -> Outcome: ...


class OnWorkers(Executor, Protocol):
    """An executor that is told who lives where: Cluster."""

    def fitted(
        self, capacity: int, processes: int, places: Callable[[Sequence[int]], Mapping[str, int]]
    ) -> Executor: ...

    def about(self) -> dict[str, Any]: ...


@dataclass
class Drive:
    """One process driving a run; ``cluster`` executes it, by default this thread on the clock of the settings."""

    experiment: Experiment
    writer: Writer
    progress: Progress | None
    stop: Callable[[], bool]
    cluster: OnWorkers | None = None
    record: bool = False  # keep the schedule, so that the run can be replayed
    at: Checkpoint = field(default_factory=Checkpoint)
    services: dict[str, ParameterServer] = field(default_factory=dict)
    updates: int = 0
    rows: int = 0
    segment: int = 0  # stretches from barrier to barrier
    counted: int = 0  # frames, by the pushes that were reported
    recoveries: int = 0  # since the last checkpoint
    since: float = field(default_factory=time.monotonic)  # when that was
    workers: dict[str, int] = field(
        default_factory=dict
    )  # those of this machine's own cluster, and their processes

    def __post_init__(self) -> None:
        self.services = self.experiment.services()
        frames, settings = self.experiment.task.train.frames, self.experiment.task.settings
        self.total = int(frames * settings.batches.epochs)
        self.interval = max(1, int(frames * settings.measuring.checkpoint_every))
        self.executor = executor_of(self.experiment, self.cluster)

    @property
    def frames(self) -> int:
        """Training frames visited so far, cancelled and rejected ones too; on a cluster those whose push was reported.

        On a cluster the services are elsewhere until the run rests, and the objects here are as they were before.
        """
        return max(self.services["server 0"].frames, self.counted)

    @property
    def finished(self) -> bool:
        return bool(self.at.states) and all(s.finished for s in self.at.states.values())

    def emit(self, row: Row) -> None:
        """A row of the engine, on its way to the run's directory."""
        self.writer.emit(row)
        if isinstance(row, EvaluateRow) and not math.isfinite(row.measured.criterion):
            raise Diverged(
                f"{self.writer.run.name}: the held-out criterion is {row.measured.criterion}; "
                "a lower learning_rate may help"
            )
        self.rows += 1
        if isinstance(row, PushRow):
            self.updates += 1
            if row.status not in (PushStatus.ENDED.value, PushStatus.DUPLICATE.value):
                self.counted += row.frames
        if self.progress and self.rows % 20 == 0:
            self.progress(
                min(self.frames, self.total), self.total, f"training {self.writer.run.name}, frames"
            )

    def advance(self, stop: Callable[[], bool]) -> None:
        """To the next barrier, and save it as a checkpoint."""
        self.staff()
        due = (self.at.number + 1) * self.interval
        makers: dict[str, Callable[[], Process]] = self.experiment.processes(self.at.states)
        services: dict[str, Any] = self.services
        if self.record:
            makers, services = wrap_for_recording(makers, services, self.segment)
        outcome = self.executor.run(
            makers,
            services,
            self.emit,
            rest=lambda: self.frames >= due or stop(),
            channels=self.at.channels or None,
            ticks=self.at.ticks,
        )
        if self.record:
            self.services |= {name: recorded.service for name, recorded in services.items()}
        self.segment, self.counted = self.segment + 1, self.services["server 0"].frames
        self.save(outcome, self.frames >= due)

    def save(self, outcome: Outcome, due: bool) -> None:
        """Write the resting run as a checkpoint."""
        number = self.at.number + due
        positions = self.writer.positions()
        self.at = Checkpoint.of(
            number, outcome.returned, outcome.channels, outcome.ticks, self.services, positions
        )
        self.writer.checkpoint(self.updates, pack(self.at))
        self.recoveries, self.since = 0, time.monotonic()

    def back(self) -> str:
        """Go back to the newest valid checkpoint, or to the start; rows after it are cut off, to be written again.

        Which it was, in words. Checkpoints that are damaged are passed over and named in the log.
        """
        run = self.writer.run
        if run.checkpoints():
            _, files, damage = latest_checkpoint(run)
            for line in damage:
                self.writer.log(f"checkpoint passed over: {line}")
            self.at = unpack(files)
        else:
            self.at = Checkpoint()
        self.services = self.experiment.services()
        self.at.restore(self.services)
        self.writer.rewind(self.at.positions)
        self.counted, self.updates, self.segment = self.services["server 0"].frames, 0, 0
        for row in run.rows(Row):
            if isinstance(row, PushRow):
                self.updates += 1
            elif isinstance(row, TraceRow):
                self.segment = max(self.segment, row.segment + 1)
        return f"checkpoint {self.at.number}" if self.at.states else "the start"

    def recover(self, loss: Lost, stop: Callable[[], bool]) -> None:
        """After a worker was lost: back to the newest checkpoint, and wait until there are workers enough.

        The run's time goes on meanwhile. Raises Lost if it has been in vain too often, UserError if nobody comes back.
        """
        noticed, before, reported = time.monotonic(), self.workers, self.updates
        self.recoveries += 1
        if self.recoveries > RECOVERIES:
            raise Lost(f"{loss} ({RECOVERIES} recoveries with no checkpoint in between)") from loss
        self.writer.log(str(loss))
        whence = self.back()
        self.staff(stop)
        now = time.monotonic()
        self.at = replace(self.at, ticks=self.at.ticks + round((now - self.since) * TICKS))
        gone = [f"worker {name}" for name, pid in before.items() if self.workers.get(name) != pid]
        lost, seconds, undone = ", ".join(gone) or str(loss), now - noticed, reported - self.updates
        text = f"{lost} lost, back after {seconds:.1f} s from {whence} ({undone} updates undone)"
        epochs = self.frames / self.experiment.task.train.frames
        self.writer.emit(
            RecoveryRow(
                process=DRIVER,
                seconds=self.at.ticks / TICKS,
                epochs=epochs,
                updates=self.updates,
                lost=lost,
                checkpoint=whence,
                recovery_seconds=seconds,
                updates_undone=undone,
                text=text,
            )
        )
        self.writer.log(text)

    def staff(self, stop: Callable[[], bool] = lambda: False) -> None:
        """Who lives where, on the workers that there are now; those that were lost are waited for."""
        if self.cluster is None:
            return
        until = time.monotonic() + RETURN_SECONDS
        while not stop():
            try:
                self.executor = executor_of(self.experiment, self.cluster)
                break
            except UserError as shortage:
                if time.monotonic() > until:
                    name = self.writer.run.name
                    raise UserError(
                        f"{name}: workers were lost and did not come back within {RETURN_SECONDS:g} s: {shortage}; "
                        f"then go on with: workbench train --resume {name}"
                    ) from None
            self.writer.flush()
            time.sleep(POLL)
        about = self.cluster.about()
        self.workers = about["workers"]
        self.writer.cluster(about)

    def run(self) -> bool:
        """From barrier to barrier; True when training has ended, False when it was stopped."""
        asked = stop_file(self.writer.run)
        with interruptible() as interrupted:

            def stop() -> bool:
                return interrupted() or self.stop() or asked()

            while not self.finished:
                try:
                    self.advance(stop)
                except Lost as loss:
                    self.recover(loss, stop)
                if stop():
                    break
        return self.finished


def executor_of(experiment: Experiment, cluster: OnWorkers | None) -> Executor:
    """What executes a run; the wall clock is that of a cluster, and a cluster has no other."""
    settings = experiment.task.settings
    if (cluster is None) == (settings.clock.kind == "wall"):
        raise UserError(
            f"clock={settings.clock.kind}: "
            + ("name a cluster" if cluster is None else "a cluster has clock=wall")
        )
    if cluster is not None:
        return cluster.fitted(settings.asynchrony.channel, experiment.count, experiment.places)
    return Local(
        clock_of(settings, experiment.task.topology.size),
        settings.asynchrony.channel,
        os.cpu_count() or 1,
    )


@contextmanager
def cluster_at(address: str | None, settings: Settings, dashboard: bool = False) -> Iterator[Any]:
    """The Cluster at ``address`` (tcp://host:port), or one of this machine's own (local); None: this thread."""
    if address is None:
        yield None
        return
    with needs_dask():
        from workbench.engine.dask import connected
    kernels.choose(settings.model.precision)  # before there are workers, so that they take the same
    with connected(
        address, settings.asynchrony.replicas, 2 if settings.sequence else 1, dashboard
    ) as cluster:
        yield cluster


@contextmanager
def needs_dask() -> Iterator[None]:
    """An import that fails in it is a UserError that says what to install."""
    try:
        yield
    except ImportError as error:
        raise UserError(
            f"--cluster needs Dask: pip install 'workbench[cluster]' ({error})"
        ) from None


def clock_of(settings: Settings, parameters: int) -> Any:
    """The virtual clock that the settings name; a machine's name may be that of a file under data/machines."""
    if settings.clock.kind == "cost":
        own = home() / "machines" / f"{settings.clock.machine}.json"
        return Cost(
            load_machine(str(own) if own.is_file() else settings.clock.machine, parameters),
            settings.seed,
        )
    return {"free": free, "measured": measured}[settings.clock.kind]
