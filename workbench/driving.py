"""A run driven from checkpoint to checkpoint by whatever executes it, until it ends or is asked to stop.

Barriers are a part of the schedule of every run, so that on a virtual clock a resumed run equals one that was never
stopped. A run is asked to stop by Ctrl-C in its terminal, or by a file ``stop`` in its folder, from any process.
"""

import math
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

from workbench.engine import Cost, Held, Local, Outcome, Process, free, machine, measured
from workbench.engine.record import recording
from workbench.experiment import Experiment
from workbench.model import kernels
from workbench.settings import Settings, UserError
from workbench.store import STOP, Run, Writer, home
from workbench.training import Checkpoint, Diverged, ParameterServer, pack, unpack

Progress = Callable[[int, int, str], None]
POLL = 0.2  # seconds between looks for it


class Executor(Protocol):
    """What runs processes: Local, Cluster."""

    def run(
        self,
        processes: Mapping[str, Callable[[], Process]],
        services: dict[str, Any],
        emit: Callable[[dict], None],
        rest: Callable[[], bool],
        channels: Mapping[str, Held] | None,
        ticks: int,
    ) -> Outcome: ...


class OnWorkers(Executor, Protocol):
    """An executor that is told who lives where: Cluster."""

    def fitted(
        self, capacity: int, processes: int, places: Callable[[Sequence[int]], Mapping[str, int]]
    ) -> Executor: ...


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

    def __post_init__(self) -> None:
        self.services = self.experiment.services()
        frames, settings = self.experiment.task.train.frames, self.experiment.task.settings
        self.total = int(frames * settings.epochs)
        self.interval = max(1, int(frames * settings.checkpoint_every))
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

    def emit(self, row: dict[str, Any]) -> None:
        """A row of the engine, on its way to the run's directory."""
        self.writer.emit(row["process"], row)
        if row["kind"] == "evaluate" and not math.isfinite(row["criterion"]):
            raise Diverged(
                f"{self.writer.run.name}: the held-out criterion is {row['criterion']}; a lower learning_rate may help"
            )
        self.rows += 1
        if row["kind"] == "push":
            self.updates += 1
            self.counted += row["frames"] if row["status"] not in ("ended", "duplicate") else 0
        if self.progress and self.rows % 20 == 0:
            self.progress(min(self.frames, self.total), self.total, f"training {self.writer.run.name}, frames")

    def advance(self, stop: Callable[[], bool]) -> None:
        """To the next barrier, and save it as a checkpoint."""
        due = (self.at.number + 1) * self.interval
        makers: dict[str, Callable[[], Process]] = self.experiment.processes(self.at.states)
        services: dict[str, Any] = self.services
        if self.record:
            makers, services = recording(makers, services, self.segment)
        outcome = self.executor.run(
            makers, services, self.emit, rest=lambda: self.frames >= due or stop(),
            channels=self.at.channels or None, ticks=self.at.ticks,
        )  # fmt: skip
        if self.record:
            self.services |= {name: recorded.service for name, recorded in services.items()}
        self.segment, self.counted = self.segment + 1, self.services["server 0"].frames
        self.save(outcome, self.frames >= due)

    def save(self, outcome: Outcome, due: bool) -> None:
        """Write the resting run as a checkpoint."""
        number = self.at.number + due
        positions = self.writer.positions()
        self.at = Checkpoint.of(number, outcome.returned, outcome.channels, outcome.ticks, self.services, positions)
        self.writer.checkpoint(self.updates, pack(self.at))

    def restore(self, files: dict[str, bytes]) -> None:
        """Go back to a checkpoint; rows written after it are cut off, they will be written again."""
        self.at = unpack(files)
        self.at.restore(self.services)
        self.writer.rewind(self.at.positions)
        self.counted = self.services["server 0"].frames
        for row in self.writer.run.iter_rows():
            self.updates += row["kind"] == "push"
            self.segment = max(self.segment, row["segment"] + 1 if row["kind"] == "trace" else 0)

    def run(self) -> bool:
        """From barrier to barrier; True when training has ended, False when it was stopped."""
        asked = stop_file(self.writer.run)
        with interruptible() as interrupted:
            while not self.finished:
                self.advance(lambda: interrupted() or self.stop() or asked())
                if interrupted() or self.stop() or asked():
                    break
        return self.finished


def executor_of(experiment: Experiment, cluster: OnWorkers | None) -> Executor:
    """What executes a run; the wall clock is that of a cluster, and a cluster has no other."""
    settings = experiment.task.settings
    if (cluster is None) == (settings.clock == "wall"):
        raise UserError(
            f"clock={settings.clock}: " + ("name a cluster" if cluster is None else "a cluster has clock=wall")
        )
    if cluster is not None:
        return cluster.fitted(settings.channel, experiment.count, experiment.places)
    return Local(clock_of(settings, experiment.task.topology.size), settings.channel)


@contextmanager
def cluster_at(address: str | None, settings: Settings) -> Iterator[Any]:
    """The Cluster at ``address`` (tcp://host:port), or one of this machine's own (local); None: this thread."""
    if address is None:
        yield None
        return
    try:
        from workbench.engine.cluster import connected
    except ImportError as error:
        raise UserError(f"--cluster needs Dask: pip install 'workbench[cluster]' ({error})") from None
    kernels.choose(settings.precision)  # before there are workers, so that they take the same
    with connected(address, settings.replicas, 2 if settings.sequence else 1) as cluster:
        yield cluster


def clock_of(settings: Settings, parameters: int) -> Any:
    """The virtual clock that the settings name; a machine's name may be that of a file under data/machines."""
    if settings.clock == "cost":
        own = home() / "machines" / f"{settings.machine}.json"
        return Cost(machine(str(own) if own.is_file() else settings.machine, parameters), settings.seed)
    return {"free": free, "measured": measured}[settings.clock]


def stop_file(run: Run) -> Callable[[], bool]:
    """Whether the run is asked to stop; from now on, so that what was asked of an earlier process does not count."""
    path, seen, next_look = run.folder / STOP, False, 0.0
    path.unlink(missing_ok=True)

    def asked() -> bool:
        nonlocal seen, next_look
        if not seen and time.monotonic() >= next_look:
            seen, next_look = path.exists(), time.monotonic() + POLL
        return seen

    return asked


@contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """Ctrl-C, the first time, only asks the run to come to rest; outside the main thread signals are not ours."""
    asked: list[int] = []
    try:
        before = signal.signal(signal.SIGINT, lambda *_: asked.append(1) if not asked else os._exit(130))
    except ValueError:
        yield lambda: False
        return
    try:
        yield lambda: bool(asked)
    finally:
        signal.signal(signal.SIGINT, before)
