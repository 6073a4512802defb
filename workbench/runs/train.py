"""Train and resume: from a corpus and settings to a run that has ended or was stopped."""

from dataclasses import asdict, dataclass
from typing import NamedTuple

import numpy as np

from workbench.model import kernels
from workbench.model.model_file import load_model, save_model
from workbench.model.network import initial, transfer
from workbench.model.threads import one_thread
from workbench.prepare.corpus import Corpus
from workbench.progress import Progress
from workbench.runs.drive import Drive
from workbench.runs.execution import ClusterExecutor, Stop, executor_for, never
from workbench.runs.limits import check_limits
from workbench.runs.record import (
    TIED_STATES,
    changed_versions,
    corpus_identity,
    corpus_of,
    installed_versions,
    parameters_digest,
    part_digest,
    require_same_corpus,
    same_corpus,
    train_command,
)
from workbench.runs.summary import summarise
from workbench.runs.task import Task
from workbench.runs.wiring import Experiment
from workbench.settings import Settings, UserError, Value, check_name
from workbench.storage.files import Json
from workbench.storage.home import data_folder
from workbench.storage.run import (
    Parent,
    Run,
    RunRecord,
    RunState,
    all_runs,
    find_run,
)
from workbench.storage.run_writer import RunWriter
from workbench.training import Diverged


@dataclass(frozen=True)
class Transfer:
    """A run, perhaps on another corpus, whose hidden layers a new run starts from."""

    run: Run


def train(
    corpus: Corpus,
    settings: Settings,
    *,
    name: str | None = None,
    init: Run | Transfer | None = None,
    progress: Progress | None = None,
    stop: Stop = never,
    executor: ClusterExecutor | None = None,
    record: bool | None = None,
) -> Run:
    """Train a new run to its end, or until ``stop()`` or Ctrl-C, and return it.

    A run that was stopped is at a checkpoint; its state is STOPPED, and `resume` continues it. On
    a clock that can be repeated (free, cost) it then equals a run that was never stopped.

    ``name`` is by default that of the criterion. ``init``: a run whose model to start from, or
    whose hidden layers (`Transfer`). ``executor``: a Cluster; without one, everything runs in this
    thread on the clock of the settings. ``record``: keep the schedule, so that the run can be
    replayed; on a cluster that is the default.

    Raises UserError before anything is written if the settings cannot be executed.
    """
    check_name("run", name or settings.criterion.name)
    if executor is not None:
        settings = settings.replace(clock="wall")
    corpus.check_files()
    task = Task(corpus, settings)
    kernels.check_precision(settings.model.precision)
    check_limits(task)
    start = starting_point(task, init)
    recorded = executor is not None if record is None else record
    cluster = executor.about().address if executor else None
    command = train_command(
        corpus.argument,
        settings,
        name,
        init.name if isinstance(init, Run) else None,
        init.run.name if isinstance(init, Transfer) else None,
        cluster,
        recorded,
    )
    experiment = Experiment(task, start.theta)
    executor_for(experiment, executor)  # what cannot be executed leaves no folder
    content = _run_record(task, start, cluster, recorded, command)
    writer = RunWriter.create(data_folder() / "runs", name or settings.criterion.name, content)
    drive = Drive(
        experiment, writer, progress=progress, stop=stop, cluster=executor, record=recorded
    )
    return _drive_to_end(drive)


def resume(
    run: Run,
    progress: Progress | None = None,
    stop: Stop = never,
    executor: ClusterExecutor | None = None,
) -> Run:
    """Continue a run from its newest valid checkpoint to its end, or until it is stopped again.

    Rows that were written after the checkpoint are written again, the same. Raises UserError for a
    run that is done, or whose corpus has changed.
    """
    if run.status().state == RunState.DONE:
        raise UserError(f"{run.name}: this run is done")
    experiment = experiment_of(run)
    recorded = run.record.recorded
    writer = RunWriter(run)
    drive = Drive(
        experiment, writer, progress=progress, stop=stop, cluster=executor, record=recorded
    )
    drive.restore()
    changed = changed_versions(run.record.versions)
    if changed:
        writer.log(
            f"resumed with {', '.join(changed)}: numbers may differ from those without a stop"
        )
    return _drive_to_end(drive)


def train_or_resume(
    existing: Run | None,
    corpus: Corpus,
    settings: Settings,
    *,
    name: str,
    init: Run | Transfer | None = None,
    progress: Progress | None = None,
    stop: Stop = never,
) -> Run:
    """Return ``existing`` if it is done, else resume it; train a new run if it is None."""
    if existing is None:
        return train(corpus, settings, name=name, init=init, progress=progress, stop=stop)
    if existing.status().state == RunState.DONE:
        return existing
    return resume(existing, progress, stop)


def find_same_run(
    corpus: Corpus, settings: Settings, name: str, init: Run | None = None
) -> Run | None:
    """Return the run called ``<name>-<digest>`` with these settings, corpus and start."""
    for run in all_runs():
        record = run.record
        alike = (
            run.name.startswith(f"{name}-")
            and record.has_settings(settings)
            and record.corpus.argument == corpus.argument
            and record.parent_run == (init.name if init else None)
        )
        if alike and same_corpus(record.corpus, corpus_identity(corpus), corpus):
            return run

    return None


def _run_record(
    task: Task, start: "StartingPoint", cluster: str | None, recorded: bool, command: str
) -> RunRecord:
    """The content of a run's ``settings.json``: what it is, and what computes it."""
    settings = task.settings
    return RunRecord(
        settings=settings.to_dict(),
        corpus=corpus_identity(task.corpus),
        parent=start.parent,
        recorded=recorded,
        cluster=cluster,
        versions=installed_versions(),
        kernels=_what_computes(task),
        command=command,
    )


def _what_computes(task: Task) -> dict[str, Json]:
    """The arithmetic of a run, and with a device where its parameters and frames lie."""
    arithmetic = asdict(kernels.describe(task.settings.model.precision))
    if not task.on_device:
        return arithmetic
    return {**arithmetic, "residence": asdict(task.residence)}


@one_thread()
def _drive_to_end(drive: Drive) -> Run:
    """Drive a run until it ends, is stopped, or fails; its folder records which."""
    writer = drive.writer
    task = drive.experiment.task
    writer.write_status(RunState.RUNNING)
    try:
        finished = drive.run()
        theta = drive.experiment.shards.collect(drive.services)
        metadata = {"settings": task.settings.to_dict()}
        save_model(writer.run.folder / "model", theta, task.topology, metadata)
        writer.close(RunState.DONE if finished else RunState.STOPPED)
        applied = int(drive.services["server 0"].version)
        writer.run.write_summary(summarise(writer.run, theta, drive.tally.updates, applied))
    except BaseException as error:
        state = RunState.DIVERGED if isinstance(error, Diverged) else RunState.FAILED
        writer.close(state, f"{type(error).__name__}: {error}")
        raise

    return writer.run


# --- what a run starts from


class StartingPoint(NamedTuple):
    """Parameters to start from, and the run that they came from as its record names it."""

    theta: np.ndarray  # float32 [parameters]
    parent: Parent | None


def starting_point(task: Task, init: Run | Transfer | None = None) -> StartingPoint:
    """Return the parameters of ``init``, or random ones, perhaps with the hidden layers of a run.

    Raises UserError if the network of ``init`` is not the task's, or its outputs are not the tied
    states of the task's corpus.
    """
    if isinstance(init, Run):
        theta, topology, _ = load_model(init.folder / "model")
        if topology != task.topology:
            raise UserError(
                f"{init.name}: its network {topology} is not the one wanted, {task.topology}"
            )
        if tied_states_of(init) != part_digest(task.corpus, TIED_STATES):
            raise UserError(
                f"{init.name}: its outputs are tied states of the corpus "
                f"{init.record.corpus.name}, which {task.corpus.name} does not share; "
                f"--transfer {init.name} takes over its hidden layers only"
            )
        return StartingPoint(theta, Parent(parameters_digest(theta), run=init.name))

    theta = initial(task.topology, task.settings.seed)
    if init is None:
        return StartingPoint(theta, None)
    source, topology, _ = load_model(init.run.folder / "model")
    parent = Parent(parameters_digest(source), transfer=init.run.name)
    return StartingPoint(transfer(theta, task.topology, source, topology), parent)


def tied_states_of(run: Run) -> str:
    """Return the digest of the tied states, and so of the phones, that a model's outputs are."""
    recorded = run.record.corpus
    known = recorded.parts.get(TIED_STATES)
    if known is not None:
        return known
    # The run is older than the digests of parts. Its corpus, if it has not changed, has them.
    corpus = corpus_of(run)
    require_same_corpus(run.name, recorded, corpus)
    return part_digest(corpus, TIED_STATES)


def experiment_of(run: Run) -> Experiment:
    """Return what a run was started with.

    Raises UserError if its corpus, or the model that it started from, has changed since, or if it
    was trained with a choice that is unknown here.
    """
    record = run.record
    settings = Settings.of(**record.settings)
    task = Task(corpus_of(run), settings)
    task.corpus.check_files()
    require_same_corpus(run.name, record.corpus, task.corpus)

    source = record.parent.transfer if record.parent else None
    init = Transfer(find_run(source)) if source else parent_run(run)
    start = starting_point(task, init)
    if start.parent != record.parent and record.parent and start.parent:
        name = record.parent.transfer or record.parent.run
        raise UserError(
            f"{run.name}: the model of {name}, from which it started, has changed since "
            f"({start.parent.digest}, then {record.parent.digest}); train a new run"
        )
    return Experiment(task, start.theta)


def parent_run(run: Run) -> Run | None:
    """Return the run whose model ``run`` started from; raises UserError if it was removed."""
    parent = run.record.parent_run
    return find_run(parent) if parent else None


def trained_model(run: Run, **changes: Value) -> tuple[Task, np.ndarray]:
    """Return the task of a run, with ``changes`` to its settings, and its parameters.

    Raises UserError if the run has no model yet, or if its outputs are not the tied states of the
    corpus any more.
    """
    if not (run.folder / "model").exists():
        raise UserError(f"{run.name}: has no model yet (state: {run.status().state})")
    theta, _, _ = load_model(run.folder / "model")
    corpus = corpus_of(run)
    if tied_states_of(run) != part_digest(corpus, TIED_STATES):
        raise UserError(
            f"{run.name}: the corpus {corpus.name} was prepared again and has other tied states; "
            "train a new run"
        )
    return Task(corpus, run.settings.replace(**changes)), theta
