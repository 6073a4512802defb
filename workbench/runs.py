"""Train, resume, test, decode: where training meets the engine, and both meet the run's directory."""

import hashlib
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
from workbench.engine import Cost, Local, free, machine, measured
from workbench.experiment import Experiment, Task
from workbench.model import kernels
from workbench.model.checkpoint import load_model, save_model
from workbench.model.network import initial, transfer
from workbench.settings import Settings, UserError
from workbench.store import Run, Writer, find_run, home, latest_checkpoint
from workbench.training.state import Checkpoint, pack, unpack

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
        "kernels": kernels.describe(),
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
        drive.restore(unpack(files))
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
    return hashlib.sha256(np.ascontiguousarray(theta)).hexdigest()[:16]


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
    checkpoint: Checkpoint | None = None
    services: dict[str, Any] = field(default_factory=dict)
    counts: Counter = field(default_factory=Counter)

    def __post_init__(self):
        self.services = self.experiment.services()
        frames = self.experiment.task.train.frames
        self.frames_total = int(frames * self.experiment.task.settings.epochs)
        self.interval = max(1, int(frames * self.experiment.task.settings.checkpoint_every))

    def restore(self, checkpoint: Checkpoint) -> None:
        self.checkpoint = checkpoint
        checkpoint.restore(self.services)
        self.writer.rewind(checkpoint.positions)
        for row in self.writer.run.iter_rows():
            self.count(row)

    @property
    def frames(self) -> int:
        """Training frames that the parameter server's updates have used so far, cancelled ones included."""
        return self.services["server 0"].frames

    def emit(self, row: dict[str, Any]) -> None:
        if row["kind"] == "evaluate":
            row["epochs"] = row["frames"] / self.experiment.task.train.frames
        self.writer.emit(row["process"], row)
        self.count(row)

    def count(self, row: dict[str, Any]) -> None:
        self.counts["rows"] += 1
        if row["kind"] == "push":
            self.counts["updates"] += 1
        if self.progress and self.counts["rows"] % 50 == 0:
            self.progress(min(self.frames, self.frames_total), self.frames_total, f"training {self.writer.run.name}")


def clock_of(settings: Settings):
    """The clock that the settings name."""
    if settings.clock == "cost":
        return Cost(machine(settings.machine), settings.seed)
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
        if not np.isfinite(theta).all():
            raise FloatingPointError("parameters are not finite")
        save_model(writer.run.folder / "model", theta, drive.experiment.task.topology, {"settings": settings.to_dict()})
        writer.close("done" if finished else "stopped")
        writer.run.update_summary(**summarise(drive, theta))
    except BaseException as error:
        writer.close("diverged" if isinstance(error, FloatingPointError) else "failed", f"{type(error).__name__}: {error}")
        raise
    if not finished:
        raise KeyboardInterrupt
    return writer.run


def _segments(drive: _Drive, stop: Callable[[], bool]) -> bool:
    """From barrier to barrier; each is a checkpoint. True when training has ended."""
    executor = Local(clock_of(drive.experiment.task.settings), drive.experiment.task.settings.channel)
    states, channels, ticks, number = {}, None, 0, 0
    if drive.checkpoint:
        states, channels, ticks, number = (drive.checkpoint.states, drive.checkpoint.channels, drive.checkpoint.ticks,
                                           drive.checkpoint.number)  # fmt: skip
    while not (states and all(s.finished for s in states.values())):
        due = (number + 1) * drive.interval
        outcome = executor.run(drive.experiment.processes(states), drive.services, drive.emit,
                               rest=lambda due=due: drive.frames >= due or stop(), channels=channels, ticks=ticks)  # fmt: skip
        states, channels, ticks = outcome.returned, outcome.channels, outcome.ticks
        number += drive.frames >= due
        checkpoint = Checkpoint.of(number, states, channels, ticks, drive.services, drive.writer.positions())
        drive.writer.checkpoint(drive.counts["updates"], pack(checkpoint))
        if stop():
            return all(s.finished for s in states.values())
    return True


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
        "updates": int(last.get("updates", len(push))),
        "heldout_mmi": last.get("mmi"), "heldout_wer": last.get("wer"), "heldout_sub": last.get("sub"),
        "heldout_del": last.get("del"), "heldout_ins": last.get("ins"), "frame_error": last.get("frame_error"),
        "frames_seen": int(decode["frames"].sum()) if len(decode) else int(push["frames"].sum()),
        "frames_kept": int(decode["kept"].sum()) if len(decode) else None,
        "frames_rejected": int(decode["rejected"].sum()) if len(decode) else None,
        "utterances_set_aside": int(sum(aside.values())), "set_aside": dict(aside),
        "seconds": float(measured_rows["seconds"].max()) if len(measured_rows) else None,
        "rows_digest": run.rows_digest(), "parameters_digest": digest(theta),
    }  # fmt: skip


def trained_model(run: Run) -> tuple[Task, np.ndarray]:
    """The task and the parameters of a run that has a model."""
    if not (run.folder / "model").exists():
        raise UserError(f"{run.name}: has no model yet (state: {run.status()['state']})")
    theta, _, _ = load_model(run.folder / "model")
    return Task(Corpus.open(run.record["corpus"]["name"]), run.settings), theta


def resolve(names: Sequence[str | Path]) -> list[Run]:
    """Runs by name."""
    return [find_run(str(name)) for name in names]
