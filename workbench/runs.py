"""Train, resume, test, decode: where training meets the engine, and both meet the run's directory."""

import hashlib
import math
import os
import platform
import shlex
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from workbench.corpora import Corpus
from workbench.engine import Cost, Local, Outcome, free, machine, measured
from workbench.experiment import Experiment, Task
from workbench.metrics.staleness import staleness, summary
from workbench.model import kernels
from workbench.model.checkpoint import load_model, save_model
from workbench.model.network import initial, transfer
from workbench.settings import Settings, UserError
from workbench.store import Run, Writer, find_run, home, latest_checkpoint
from workbench.training import Checkpoint, Diverged, ParameterServer, pack, unpack

Progress = Callable[[int, int, str], None]
RECORDED = ("workbench", "torch", "k2", "numpy", "numba", "dask", "distributed", "pandas", "kaldialign", "safetensors")


def train(
    corpus: str,
    settings: Settings,
    *,
    name: str | None = None,
    init: str | None = None,
    transfer_from: str | None = None,
    progress: Progress | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Run:
    """Train a new run to its end, or until ``stop()`` or Ctrl-C; then it can be resumed."""
    task = Task(Corpus.open(corpus), settings)
    theta, parent = starting_point(task, init, transfer_from)
    record = {
        "settings": settings.to_dict(),
        "corpus": {"name": task.corpus.name, "digest": corpus_digest(task.corpus)},
        "parent": parent,
        "versions": versions(),
        "kernels": kernels.describe(settings.precision),
        "command": "workbench " + shlex.join(sys.argv[1:]) if sys.argv[0].endswith("workbench") else "",
    }
    writer = Writer.create(home() / "runs", name or settings.criterion, record)
    return _drive(_Drive(Experiment(task, theta), writer, progress, stop))


def resume(name: str, progress: Progress | None = None, stop: Callable[[], bool] = lambda: False) -> Run:
    """Go on with a run from its newest valid checkpoint; rows written after it are written again, the same."""
    run = find_run(name)
    if run.status()["state"] == "done":
        raise UserError(f"{run.name}: this run is done")
    task = Task(Corpus.open(run.record["corpus"]["name"]), run.settings)
    if corpus_digest(task.corpus) != run.record["corpus"]["digest"]:
        raise UserError(f"{run.name}: the corpus {task.corpus.name} is not the one that it was trained on")
    parent = run.record["parent"] or {}
    theta, _ = starting_point(task, parent.get("run"), parent.get("transfer"))
    drive = _Drive(Experiment(task, theta), Writer(run), progress, stop)
    if run.checkpoints():
        _, files, damage = latest_checkpoint(run)
        for line in damage:
            drive.writer.log(f"checkpoint passed over: {line}")
        drive.restore(files)
    else:
        drive.writer.rewind({})
    return _drive(drive)


def starting_point(task: Task, init: str | None, transfer_from: str | None) -> tuple[np.ndarray, dict[str, str] | None]:
    """Parameters to start from, and which run they came from."""
    if init:
        run = find_run(init)
        theta, topology, _ = load_model(run.folder / "model")
        if topology != task.topology:
            raise UserError(f"{run.name}: its network {topology} is not the one wanted, {task.topology}")
        return theta, {"run": run.name, "digest": digest(theta)}
    theta = initial(task.topology, task.settings.seed)
    if transfer_from:
        run = find_run(transfer_from)
        source, topology, _ = load_model(run.folder / "model")
        return transfer(theta, task.topology, source, topology), {"transfer": run.name, "digest": digest(source)}
    return theta, None


def digest(theta: np.ndarray) -> str:
    """SHA-256 of parameters, 16 hexadecimal digits."""
    return hashlib.sha256(np.ascontiguousarray(theta).tobytes()).hexdigest()[:16]


def corpus_digest(corpus: Corpus) -> str:
    """What identifies a prepared corpus: its manifests, states and graphs."""
    names = ("lexiconp.txt", "states.npz", "priors.npy", "train/manifest.json", "heldout/manifest.json")
    return hashlib.sha256(b"".join((corpus.folder / n).read_bytes() for n in names)).hexdigest()[:16]


def versions() -> dict[str, str]:
    """Versions of everything that numbers depend on."""
    found = {"python": platform.python_version()}
    for package in RECORDED:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


@dataclass
class _Drive:
    """One process driving a run on the Local executor, from checkpoint to checkpoint."""

    experiment: Experiment
    writer: Writer
    progress: Progress | None
    stop: Callable[[], bool]
    at: Checkpoint = field(default_factory=Checkpoint)
    services: dict[str, ParameterServer] = field(default_factory=dict)
    updates: int = 0
    rows: int = 0

    def __post_init__(self):
        self.services = self.experiment.services()
        frames, settings = self.experiment.task.train.frames, self.experiment.task.settings
        self.total = int(frames * settings.epochs)
        self.interval = max(1, int(frames * settings.checkpoint_every))

    @property
    def frames(self) -> int:
        """Training frames that have been visited so far, cancelled and rejected ones included."""
        return self.services["server 0"].frames

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
        self.updates += row["kind"] == "push"
        if self.progress and self.rows % 20 == 0:
            self.progress(min(self.frames, self.total), self.total, f"training {self.writer.run.name}, frames")

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
        self.updates = sum(row["kind"] == "push" for row in self.writer.run.iter_rows())


def clock_of(settings: Settings, parameters: int):
    """The clock that the settings name."""
    if settings.clock == "cost":
        return Cost(machine(settings.machine, parameters), settings.seed)
    return {"free": free, "measured": measured}[settings.clock]


def _drive(drive: _Drive) -> Run:
    """Run to the end, to a stop or to an error; the state of the run always says which."""
    writer, settings = drive.writer, drive.experiment.task.settings
    kernels.single_thread()
    writer.status("running")
    try:
        with _interruptible() as interrupted:
            finished = _segments(drive, lambda: interrupted() or drive.stop())
        theta = drive.experiment.shards.collect(drive.services)
        save_model(writer.run.folder / "model", theta, drive.experiment.task.topology, {"settings": settings.to_dict()})
        writer.close("done" if finished else "stopped")
        writer.run.update_summary(**summarise(drive, theta))
    except BaseException as error:
        writer.close("diverged" if isinstance(error, Diverged) else "failed", f"{type(error).__name__}: {error}")
        raise
    if not finished:
        raise KeyboardInterrupt
    return writer.run


def _segments(drive: _Drive, stop: Callable[[], bool]) -> bool:
    """From barrier to barrier; each is a checkpoint. True when training has ended, False when it was stopped.

    Barriers are a part of the schedule of every run, so that a resumed run equals one that was never stopped.
    """
    settings = drive.experiment.task.settings
    executor = Local(clock_of(settings, drive.experiment.task.topology.size), settings.channel)
    while not drive.finished:
        due = (drive.at.number + 1) * drive.interval
        outcome = executor.run(
            drive.experiment.processes(drive.at.states), drive.services, drive.emit,
            rest=_resting(drive, due, stop), channels=drive.at.channels or None,
            ticks=drive.at.ticks,
        )  # fmt: skip
        drive.save(outcome, drive.frames >= due)
        if stop():
            break
    return drive.finished


def _resting(drive: _Drive, due: int, stop: Callable[[], bool]) -> Callable[[], bool]:
    return lambda: drive.frames >= due or stop()


@contextmanager
def _interruptible() -> Iterator[Callable[[], bool]]:
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


def summarise(drive: _Drive, theta: np.ndarray) -> dict[str, Any]:
    """The numbers of `workbench table`, from the rows of the run."""
    run = drive.writer.run
    push, decode, measured_rows = run.rows("push"), run.rows("decode"), run.rows("evaluate")
    last = measured_rows.iloc[-1].to_dict() if len(measured_rows) else {}
    aside = Counter(decode["reason"].dropna()) if "reason" in decode else Counter()
    return {
        "updates": drive.updates, "updates_applied": int(drive.services["server 0"].version),
        "heldout_mmi": last.get("mmi"), "heldout_wer": last.get("wer"), "heldout_sub": last.get("sub"),
        "heldout_del": last.get("del"), "heldout_ins": last.get("ins"), "frame_error": last.get("frame_error"),
        **_staleness(run),
        "frames_seen": int(decode["frames"].sum()) if len(decode) else int(push["frames"].sum()),
        "frames_kept": int(decode["kept"].sum()) if len(decode) else None,
        "frames_rejected": int(decode["rejected"].sum()) if len(decode) else None,
        "utterances_set_aside": int(sum(aside.values())), "set_aside": dict(aside),
        "seconds": float(measured_rows["seconds"].max()) if len(measured_rows) else None,
        "rows_digest": run.rows_digest(), "parameters_digest": digest(theta),
    }  # fmt: skip


def _staleness(run: Run) -> dict[str, float | None]:
    """Means of the staleness of inner and outer gradients, in updates, and of the outer ones in seconds."""
    found = staleness(row for row in run.iter_rows() if row["kind"] == "push")
    means = {"inner_mean": found.inner, "outer_mean": found.outer, "outer_seconds": found.outer_seconds}
    values = {name: summary(x).mean for name, x in means.items()}
    return {f"staleness_{name}": None if x != x else x for name, x in values.items()}


def trained_model(run: Run) -> tuple[Task, np.ndarray]:
    """The task and the parameters of a run that has a model."""
    if not (run.folder / "model").exists():
        raise UserError(f"{run.name}: has no model yet (state: {run.status()['state']})")
    theta, _, _ = load_model(run.folder / "model")
    return Task(Corpus.open(run.record["corpus"]["name"]), run.settings), theta


def resolve(names: Sequence[str | Path]) -> list[Run]:
    """Runs by name."""
    return [find_run(str(name)) for name in names]
