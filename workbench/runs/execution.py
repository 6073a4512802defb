"""Which executor runs a run: this thread on a virtual clock, or a Dask cluster."""

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Protocol, TypeVar

from workbench.engine import Cost, Held, Local, Outcome, Process, free, load_machine, measured
from workbench.engine.clocks import Clock
from workbench.engine.effects import Service
from workbench.engine.workers import never
from workbench.model import kernels
from workbench.runs.wiring import Experiment
from workbench.settings import Settings, UserError
from workbench.storage.home import data_folder
from workbench.storage.rows import Row
from workbench.storage.run import ClusterInfo
from workbench.storage.run_writer import RunWriter

RETURN_SECONDS = 600.0
"""How long lost workers are waited for; Dask starts them for as long as the run waits.

An idle machine restarts one in 2 seconds, one that is very busy has needed more than 120.
"""

POLL_SECONDS = 0.2
"""Pause between two looks at whether enough workers are there."""

S = TypeVar("S", bound=Service)

Stop = Callable[[], bool]
"""Returns whether the run is asked to stop."""


class Executor(Protocol):
    """Runs processes until all return: `Local`, or `Cluster`."""

    def run(
        self,
        processes: Mapping[str, Callable[[], Process]],
        services: dict[str, S],
        emit: Callable[[Row], None],
        rest: Callable[[], bool],
        channels: Mapping[str, Held] | None,
        ticks: int,
        give_way: Stop,
    ) -> Outcome: ...


class ClusterExecutor(Executor, Protocol):
    """An executor with workers, on which each process is given its place: `Cluster`."""

    def fitted(
        self, capacity: int, processes: int, places: Callable[[Sequence[int]], Mapping[str, int]]
    ) -> Executor: ...

    def paced(self, pace: Clock) -> "ClusterExecutor": ...

    def about(self) -> ClusterInfo: ...


class Placement:
    """The executor of a run, fitted to the workers that exist at the moment.

    Raises UserError if the settings and ``cluster`` (None: this thread) do not go together, or if
    the cluster is too small.
    """

    def __init__(self, experiment: Experiment, cluster: ClusterExecutor | None):
        self.experiment = experiment
        self.cluster = cluster
        self.executor = executor_for(experiment, cluster)
        self.workers: dict[str, int] = {}  # process ids by name, of a cluster that we started

    def renew(self, writer: RunWriter, stop: Stop = never) -> None:
        """Fit the executor to the workers of now, and record them in the run's folder.

        Waits for lost workers to return; raises UserError if they do not within `RETURN_SECONDS`.
        """
        if self.cluster is None:
            return

        deadline = time.monotonic() + RETURN_SECONDS
        while not stop():
            try:
                self.executor = executor_for(self.experiment, self.cluster)
                break
            except UserError as shortage:
                if time.monotonic() > deadline:
                    raise _not_returned(writer.run.name, shortage) from None
            writer.flush()
            time.sleep(POLL_SECONDS)

        about = self.cluster.about()
        self.workers = about.workers
        writer.write_cluster(about)


def _not_returned(name: str, shortage: UserError) -> UserError:
    return UserError(
        f"{name}: workers were lost and did not come back within {RETURN_SECONDS:g} s: {shortage}; "
        f"then resume with: workbench train --resume {name}"
    )


def executor_for(experiment: Experiment, cluster: ClusterExecutor | None) -> Executor:
    """Return what executes a run; raises UserError if clock and cluster do not go together."""
    settings = experiment.task.settings
    wall = settings.clock.kind == "wall"
    if wall and cluster is None:
        raise UserError("clock=wall: name a cluster")
    if cluster is not None and not wall:
        raise UserError(f"clock={settings.clock.kind}: a cluster has clock=wall")

    capacity = settings.asynchrony.channel
    if cluster is not None:
        return cluster.fitted(capacity, experiment.process_count, experiment.places)
    clock = clock_of(settings, experiment.task.topology.size)
    return Local(clock, capacity, os.cpu_count() or 1)


def clock_of(settings: Settings, parameters: int) -> Clock:
    """Return the virtual clock that the settings name, for a network of so many parameters.

    The machine of the cost clock is a preset, or the name of a file under ``data/machines``.
    """
    if settings.clock.kind == "cost":
        calibrated = data_folder() / "machines" / f"{settings.clock.machine}.json"
        name = str(calibrated) if calibrated.is_file() else settings.clock.machine
        return Cost(load_machine(name, parameters), settings.seed)

    clocks: dict[str, Clock] = {"free": free, "measured": measured}
    return clocks[settings.clock.kind]


@contextmanager
def cluster_at(
    address: str | None, settings: Settings, dashboard: bool = False
) -> Iterator[ClusterExecutor | None]:
    """Connect to the Dask cluster at ``address``, or start one; yields None if ``address`` is None.

    ``address``: ``tcp://host:port`` of a scheduler, or ``local`` for a cluster on this machine.
    """
    if address is None:
        yield None
        return

    with needs_dask():
        from workbench.engine.dask import connected
    kernels.choose(settings.model.precision)  # before there are workers, so that they take the same
    threads = 2 if settings.sequence else 1  # a replica, and its decoder
    with connected(address, settings.asynchrony.replicas, threads, dashboard) as cluster:
        yield cluster


@contextmanager
def needs_dask() -> Iterator[None]:
    """Turn a failing import of Dask into a UserError that says what to install."""
    try:
        yield
    except ImportError as error:
        raise UserError(
            f"--cluster needs Dask: pip install 'workbench[cluster]' ({error})"
        ) from None
