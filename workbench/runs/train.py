"""Train, resume, test, decode: where training meets the engine, and both meet the run's directory."""

import hashlib
import platform
import shlex
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from workbench.metrics.staleness import staleness, summary
from workbench.model import kernels
from workbench.model.model_file import load_model, save_model
from workbench.model.network import initial, transfer
from workbench.model.threads import one_thread
from workbench.prepare.corpus import Corpus
from workbench.progress import Progress
from workbench.runs.drive import Drive, OnWorkers, executor_of
from workbench.runs.task import Task
from workbench.runs.wiring import Experiment
from workbench.settings import Settings, UserError, preset
from workbench.storage.rows import DecodeRow, EvaluateRow, PushRow
from workbench.storage.run import Run, RunState, Writer, find_run, home
from workbench.training import Diverged

RECORDED = (
    "workbench",
    "torch",
    "k2",
    "numpy",
    "numba",
    "dask",
    "distributed",
    "pandas",
    "kaldialign",
    "safetensors",
)


def train(
    corpus: str,
    settings: Settings,
    *,
    name: str | None = None,
    init: str | None = None,
    transfer_from: str | None = None,
    progress: Progress | None = None,
    stop: Callable[[], bool] = lambda: False,
    executor: OnWorkers | None = None,
    record: bool | None = None,
) -> Run:
    """Train a new run to its end, or until ``stop()`` or Ctrl-C; then it can be resumed.

    ``executor``: a Cluster; without one, everything runs in this thread on the clock of the settings. ``record``: keep
    the schedule, so that the run can be replayed; on a cluster that is the default.
    """
    settings = settings if executor is None else settings.replace(clock="wall")
    task = Task(Corpus.open(corpus), settings)
    theta, parent = starting_point(task, init, transfer_from)
    recorded = executor is not None if record is None else record
    where = executor.about()["address"] if executor else None
    about = {
        "settings": settings.to_dict(),
        "corpus": {"name": task.corpus.name, "digest": corpus_digest(task.corpus)},
        "parent": parent,
        "recorded": recorded,
        "cluster": where,
        "versions": versions(),
        "kernels": asdict(kernels.describe(settings.model.precision)),
        "command": command(corpus, settings, name, init, transfer_from, where, recorded),
    }
    experiment = Experiment(task, theta)
    executor_of(experiment, executor)  # what cannot be run leaves no folder
    writer = Writer.create(home() / "runs", name or settings.criterion.name, about)
    return _drive(Drive(experiment, writer, progress, stop, executor, recorded))


def command(
    corpus: str,
    settings: Settings,
    name: str | None = None,
    init: str | None = None,
    transfer_from: str | None = None,
    cluster: str | None = None,
    recorded: bool = False,
) -> str:
    """What does the same from a terminal, however a run was started: all that differs from the default preset."""
    usual = preset("laptop", criterion=settings.criterion.name).to_dict()
    changed = [
        f"{k}={v}"
        for k, v in settings.to_dict().items()
        if v != usual[k] and not (k == "clock" and cluster)
    ]
    options = {
        "--criterion": settings.criterion.name if settings.sequence else None,
        "--name": name,
        "--init": init,
    }
    options |= {"--transfer": transfer_from, "--cluster": cluster}
    words = [word for option, value in options.items() if value for word in (option, value)]
    more = ["--record"] if recorded and not cluster else []
    return shlex.join(
        ["workbench", "train", corpus, *words, *more, *(["--set", *changed] if changed else [])]
    )


def resume(
    name: str,
    progress: Progress | None = None,
    stop: Callable[[], bool] = lambda: False,
    executor: OnWorkers | None = None,
) -> Run:
    """Go on with a run from its newest valid checkpoint; rows written after it are written again, the same."""
    run = find_run(name)
    if run.status().state == RunState.DONE:
        raise UserError(f"{run.name}: this run is done")
    experiment = experiment_of(run)
    drive = Drive(
        experiment, Writer(run), progress, stop, executor, run.record.get("recorded", False)
    )
    drive.back()
    return _drive(drive)


def experiment_of(run: Run) -> Experiment:
    """What a run was started with; UserError if its corpus is another one by now."""
    record = run.record
    task = Task(Corpus.open(record["corpus"]["name"]), run.settings)
    if corpus_digest(task.corpus) != record["corpus"]["digest"]:
        raise UserError(
            f"{run.name}: the corpus {task.corpus.name} is not the one that it was trained on"
        )
    parent = record["parent"] or {}
    theta, _ = starting_point(task, parent.get("run"), parent.get("transfer"))
    return Experiment(task, theta)


def starting_point(
    task: Task, init: str | None, transfer_from: str | None
) -> tuple[np.ndarray, dict[str, str] | None]:
    """Parameters to start from, and which run they came from."""
    if init:
        run = find_run(init)
        theta, topology, _ = load_model(run.folder / "model")
        if topology != task.topology:
            raise UserError(
                f"{run.name}: its network {topology} is not the one wanted, {task.topology}"
            )
        return theta, {"run": run.name, "digest": digest(theta)}
    theta = initial(task.topology, task.settings.seed)
    if transfer_from:
        run = find_run(transfer_from)
        source, topology, _ = load_model(run.folder / "model")
        return transfer(theta, task.topology, source, topology), {
            "transfer": run.name,
            "digest": digest(source),
        }
    return theta, None


def digest(theta: np.ndarray) -> str:
    """SHA-256 of parameters, 16 hexadecimal digits."""
    return hashlib.sha256(np.ascontiguousarray(theta).tobytes()).hexdigest()[:16]


def corpus_digest(corpus: Corpus) -> str:
    """What identifies a prepared corpus: its manifests, states and graphs."""
    names = (
        "lexiconp.txt",
        "states.npz",
        "priors.npy",
        "train/manifest.json",
        "heldout/manifest.json",
    )
    return hashlib.sha256(b"".join((corpus.folder / n).read_bytes() for n in names)).hexdigest()[
        :16
    ]


def versions() -> dict[str, str]:
    """Versions of everything that numbers depend on."""
    found = {"python": platform.python_version()}
    for package in RECORDED:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


@one_thread()
def _drive(drive: Drive) -> Run:
    """Run to the end, to a stop or to an error; the state of the run always says which."""
    writer, settings = drive.writer, drive.experiment.task.settings
    writer.write_status(RunState.RUNNING)
    try:
        finished = drive.run()
        theta = drive.experiment.shards.collect(drive.services)
        save_model(
            writer.run.folder / "model",
            theta,
            drive.experiment.task.topology,
            {"settings": settings.to_dict()},
        )
        writer.close(RunState.DONE if finished else RunState.STOPPED)
        writer.run.update_summary(**summarise(drive, theta))
    except BaseException as error:
        writer.close(
            RunState.DIVERGED if isinstance(error, Diverged) else RunState.FAILED,
            f"{type(error).__name__}: {error}",
        )
        raise
    if not finished:
        raise KeyboardInterrupt
    return writer.run


def summarise(drive: Drive, theta: np.ndarray) -> dict[str, Any]:
    """The numbers of `workbench table`, from the rows of the run."""
    run = drive.writer.run
    push, decode, measured_rows = run.table(PushRow), run.table(DecodeRow), run.table(EvaluateRow)
    last = measured_rows.iloc[-1].to_dict() if len(measured_rows) else {}
    aside = Counter(decode["reason"].dropna()) if "reason" in decode else Counter()
    return {
        "updates": drive.updates,
        "updates_applied": int(drive.services["server 0"].version),
        "heldout_mmi": last.get("mmi"),
        "heldout_wer": last.get("wer"),
        "heldout_sub": last.get("sub"),
        "heldout_del": last.get("del"),
        "heldout_ins": last.get("ins"),
        "frame_error": last.get("frame_error"),
        **_staleness(run),
        "frames_seen": int(decode["frames"].sum()) if len(decode) else int(push["frames"].sum()),
        "frames_kept": int(decode["kept"].sum()) if len(decode) else None,
        "frames_rejected": int(decode["rejected"].sum()) if len(decode) else None,
        "utterances_set_aside": int(sum(aside.values())),
        "set_aside": dict(aside),
        "seconds": float(measured_rows["seconds"].max()) if len(measured_rows) else None,
        "rows_digest": run.rows_digest(),
        "parameters_digest": digest(theta),
    }


def _staleness(run: Run) -> dict[str, float | None]:
    """Means of the staleness of inner and outer gradients, in updates, and of the outer ones in seconds."""
    found = staleness(run.rows(PushRow))
    means = {
        "inner_mean": found.inner,
        "outer_mean": found.outer,
        "outer_seconds": found.outer_seconds,
    }
    values = {name: summary(x).mean for name, x in means.items()}
    return {f"staleness_{name}": None if x != x else x for name, x in values.items()}


def trained_model(run: Run, **changes: Any) -> tuple[Task, np.ndarray]:
    """The task, perhaps with some settings changed, and the parameters of a run that has a model."""
    if not (run.folder / "model").exists():
        raise UserError(f"{run.name}: has no model yet (state: {run.status().state})")
    theta, _, _ = load_model(run.folder / "model")
    return Task(Corpus.open(run.record["corpus"]["name"]), run.settings.replace(**changes)), theta


def resolve(names: Sequence[str | Path]) -> list[Run]:
    """Runs by name."""
    return [find_run(str(name)) for name in names]
