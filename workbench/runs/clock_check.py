"""Is the virtual clock true? A run as a machine foretells it, beside the same run on a cluster.

Both start from the model of one run and have its settings; only the clock differs. Compared are the
updates a second and how old gradients were. The first and the last fifth of the pushes do not
count: workers import and compile in the one, slots drain in the other.

A machine of the cost clock gives every process a core. Where more processes work at once than there
are cores, the cluster cannot keep up; ``shared_updates`` says how much of the difference that
explains. With ``slower`` both are held against a machine that is so many times slower: on the
cluster, processes do their work and sleep for the rest of its time (`workbench.engine.pace`), so
they need no core of their own, and what is left to compare are messages, queues and services.
"""

import os
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from workbench.engine.clocks import Cost
from workbench.engine.machines import Machine, load_machine, slower_machine, write_machine
from workbench.metrics.distance import Distance, distance
from workbench.metrics.staleness import AgeSummary, Staleness, staleness, summarise_ages
from workbench.model.model_file import load_model
from workbench.progress import Progress, no_progress
from workbench.runs.execution import ClusterExecutor, cluster_at
from workbench.runs.record import corpus_of
from workbench.runs.train import train
from workbench.settings import Settings, UserError, Value
from workbench.storage.home import data_folder
from workbench.storage.rows import PaceRow, PushRow, UsageRow
from workbench.storage.run import Run

MARGIN = 0.2  # of the pushes at either end that do not count
FEWEST_PUSHES = 10  # of a run, for a rate that means anything
NEVER = 1000.0  # epochs
SHORTEST = 1e-9  # seconds
AGES = ("inner", "outer", "inner_seconds", "outer_seconds")  # fields of Staleness


@dataclass(frozen=True)
class Throughput:
    """How fast a run was."""

    updates: float  # a second
    busy: float  # processes that worked at once, on average


class SteadyPushes(NamedTuple):
    """The pushes of a run that count, in the order of time, and how many it made in all."""

    rows: list[PushRow]
    made: int


@dataclass(frozen=True)
class AgeCheck:
    """One kind of age (a field of `Staleness`) as foretold and as measured."""

    name: str
    predicted: AgeSummary
    measured: AgeSummary
    distance: Distance


@dataclass(frozen=True)
class ClockCheck:
    """The comparison for one number of replicas."""

    replicas: int
    cores: int
    load: float  # processes that others ran while the cluster began, from the system's load average
    predicted: Throughput
    measured: Throughput
    ages: tuple[AgeCheck, ...]
    predicted_run: str
    measured_run: str
    late: float | None = None
    """How much longer work took than the machine says, as a share; None: it took what it took."""

    @property
    def ratio(self) -> float:
        """Updates a second as foretold, as a multiple of those measured."""
        return self.predicted.updates / self.measured.updates

    @property
    def shared_updates(self) -> float:
        """Updates a second as foretold, if the processes share the cores of this computer.

        Processes that sleep for most of the time need no core.
        """
        if self.late is not None:
            return self.predicted.updates
        return self.predicted.updates * min(1.0, self.cores / self.predicted.busy)

    @property
    def shared_ratio(self) -> float:
        """The same as a multiple of those measured."""
        return self.shared_updates / self.measured.updates


def check_clock(
    run: Run,
    machine: str | Path,
    replicas: Sequence[int] = (1, 2, 4),
    changes: dict[str, Value] | None = None,
    progress: Progress | None = None,
    cluster: ClusterExecutor | None = None,
    slower: float | None = None,
) -> list[ClockCheck]:
    """Train from the model of ``run`` on a machine's clock and on a cluster, and compare.

    ``machine``: a file made by `calibrate`, or a preset. ``changes``: settings that differ from the
    run's. ``cluster``: by default one on this computer, started for each number of replicas.
    ``slower``: compare with a machine whose work takes so many times as long, and let it take as
    long on the cluster; that machine is written beside the first one.
    """
    report = progress or no_progress
    pace = None
    if slower is not None:
        _, topology, _ = load_model(run.folder / "model")
        pace = slower_machine(load_machine(str(machine), topology.size), slower)
        machine = machine_file(machine, slower)
        write_machine(pace, machine)
    checks = []
    for done, count in enumerate(replicas):
        report(done, len(replicas), "comparing clocks")
        settings = check_settings(run.settings, count, changes or {})
        checks.append(_check(run, settings, str(machine), cluster, pace))

    report(len(replicas), len(replicas), "comparing clocks")
    return checks


def check_settings(settings: Settings, replicas: int, changes: dict[str, Value]) -> Settings:
    """Return the settings of a comparison: the run's, without stops for measuring and saving."""
    undisturbed = settings.replace(
        replicas=replicas,
        evaluate_every=NEVER,
        checkpoint_every=NEVER,
        evaluate_utterances=1,
    )
    return undisturbed.replace(**changes)


def machine_file(machine: str | Path, factor: float) -> Path:
    """Return where the slower machine is written: beside the file of the first one."""
    first = Path(machine)
    folder = first.parent if first.suffix else data_folder() / "machines"
    return folder / f"{first.stem}-{factor:g}-times-slower.json"


def _check(
    run: Run,
    settings: Settings,
    machine: str,
    cluster: ClusterExecutor | None,
    pace: Machine | None,
) -> ClockCheck:
    count = settings.asynchrony.replicas
    corpus = corpus_of(run)
    begun = time.strftime("%Y%m%d-%H%M%S")  # prices differ each time, so these are other runs
    foretold = train(
        corpus,
        settings.replace(clock="cost", machine=machine),
        name=f"foretold-{count}-{begun}",
        init=run,
    )
    predicted = steady_pushes(foretold)  # if there are too few, before the cluster works in vain

    load = os.getloadavg()[0]
    name = f"measured-{count}-{begun}"
    with nullcontext(cluster) if cluster else cluster_at("local", settings) as executor:
        if pace is not None and executor is not None:
            executor = executor.paced(Cost(pace, settings.seed))
        real = train(corpus, settings, name=name, init=run, executor=executor, record=False)
    return compare(foretold, predicted, real, load)


def compare(foretold: Run, predicted: SteadyPushes, real: Run, load: float) -> ClockCheck:
    """Return the comparison of two runs that have ended; ``predicted``: pushes of the first."""
    measured = steady_pushes(real)
    predicted_ages = staleness(predicted.rows)
    measured_ages = staleness(measured.rows)
    checks = (check_age(name, predicted_ages, measured_ages) for name in AGES)
    return ClockCheck(
        replicas=foretold.settings.asynchrony.replicas,
        cores=os.cpu_count() or 1,
        load=load,
        predicted=throughput(foretold, predicted),
        measured=throughput(real, measured),
        ages=tuple(check for check in checks if check.measured.count),  # CE has no outer ones
        predicted_run=foretold.name,
        measured_run=real.name,
        late=lateness(real),
    )


def lateness(run: Run) -> float | None:
    """Return how much longer the work of a run took than it should, as a share of that time.

    None if its work took what it took.
    """
    paces = list(run.rows(PaceRow))
    if not paces:
        return None
    late = sum(row.late_seconds for row in paces)
    work = sum(row.work_seconds or 0.0 for row in run.rows(UsageRow))
    return late / max(work - late, SHORTEST)


def steady_pushes(run: Run) -> SteadyPushes:
    """Return the pushes of a run without the first and the last fifth.

    Raises UserError if it made too few for a rate, or all of them at one time.
    """
    pushes = list(run.rows(PushRow))
    steady = middle(pushes)
    if len(pushes) < FEWEST_PUSHES or steady[0].seconds == steady[-1].seconds:
        raise UserError(
            f"{run.name}: {len(pushes)} pushes are too few to compare clocks; "
            "set more epochs, or smaller batches"
        )
    return SteadyPushes(steady, len(pushes))


def middle(pushes: Sequence[PushRow]) -> list[PushRow]:
    """Return pushes in the order of time, without the first and the last fifth."""
    in_order = sorted(pushes, key=lambda push: push.seconds)
    out = int(MARGIN * len(in_order))
    return in_order[out : len(in_order) - out]


def throughput(run: Run, pushes: SteadyPushes) -> Throughput:
    """Return how fast a run made these pushes, and how many processes worked at once meanwhile.

    All pushes of a run are taken to have needed the same work.
    """
    passed = pushes.rows[-1].seconds - pushes.rows[0].seconds
    updates = (len(pushes.rows) - 1) / passed
    rows = run.rows(UsageRow)
    work = sum(row.work_seconds or 0.0 for row in rows if row.process != "evaluator")
    return Throughput(updates, work / pushes.made * updates)


def check_age(name: str, predicted: Staleness, measured: Staleness) -> AgeCheck:
    """Return the comparison of one kind of age."""
    one: np.ndarray = getattr(predicted, name)
    other: np.ndarray = getattr(measured, name)
    return AgeCheck(name, summarise_ages(one), summarise_ages(other), distance(one, other))
