"""Training with one rate for a short time, part by part; at the end of each part is a checkpoint.

Trials are compared on the training data; no held-out data is looked at. Cross entropy is measured
on frames drawn from all of it: the frames that come next in training are no measure, since their
neighbours have just been trained on, and a rate that only follows them would win. Sequence
criteria measure themselves: an utterance is decoded before it is trained on.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

from workbench.progress import Progress
from workbench.runs.drive import Drive
from workbench.runs.execution import never
from workbench.runs.record import corpus_digest
from workbench.runs.task import Task, alignment_of
from workbench.runs.train import StartingPoint
from workbench.runs.wiring import Experiment
from workbench.sequence.lattice_pair import OUTSIDE
from workbench.settings import rng
from workbench.storage.rate_search import RatePoint, RateTrial
from workbench.storage.rows import DecodeRow, PushRow, Row, read_rows
from workbench.storage.run import RECORD, CorpusIdentity, Run, RunRecord, RunState
from workbench.storage.run_writer import RunWriter
from workbench.training import Diverged

WORSE_THAN_CHANCE = 1.5
"""A network whose cross entropy is so many times that of one that knows nothing has diverged."""

OVERSHOT = 2.0
"""A trial that has decoded so many times the frames of its parts is too long for its search."""

SAMPLED_PARTS = 0.5
"""Frames on which cross entropy is measured, in parts."""

MEASURED_TOGETHER = 1024  # frames

TOO_LONG = "decoders are too far ahead"

NEVER_EVALUATED = 1000.0
"""Epochs between evaluations, as many as the setting allows: trials measure themselves."""

LEAST_PART = 0.001
"""Epochs of a part, as few as the setting for checkpoints allows."""


class Seen(NamedTuple):
    """What one row tells: frames of the corpus, and the sum of the criterion over ``measured``."""

    frames: int
    measured: int
    value: float


class TooLong(Exception):
    """The decoders of a trial are so far ahead of training that it is too long for its search."""


class TrialDrive(Drive):
    """The drive of a trial; raises `TooLong` once it has decoded more than ``most`` frames."""

    decoded = 0  # frames that this process has decoded
    most = math.inf

    def emit(self, row: Row) -> None:
        """Write a row, and count what was decoded."""
        super().emit(row)
        if isinstance(row, DecodeRow):
            self.decoded += row.frames
        if self.decoded > self.most:
            raise TooLong


@dataclass(frozen=True)
class Trials:
    """What all trials of a search train and from where, the frames of a part, and their folder."""

    folder: Path
    task: Task
    start: StartingPoint
    part: int

    def advance(self, trial: RateTrial, parts: int, progress: Progress) -> RateTrial:
        """Return the trial after training up to ``parts`` parts, from its newest checkpoint.

        It ends early if its gradients or its criterion are not finite, or if its cross entropy is
        far worse than that of a network that knows nothing.
        """
        drive = self._drive(trial.rate, progress)
        writer = drive.writer
        ended = ""
        drive.most = OVERSHOT * parts * self.part
        try:
            while drive.at.number < parts and not drive.finished:
                drive.advance(never)
        except Diverged:
            ended = "gradients are not finite"
        except TooLong:
            ended = TOO_LONG
        finally:
            writer.close(RunState.DIVERGED if ended else RunState.STOPPED)

        sequence = self.task.settings.sequence
        measured = 0 if sequence else (len(trial.points) + 1) * len(self.sample)
        trained = max(drive.frames, _frames_seen(writer.run, sequence))
        frames = trained + measured
        if ended:
            return replace(trial, frames=frames, ended=ended)
        if sequence:
            criterion = newer_criterion(writer.run)
        else:
            criterion = self.cross_entropy(drive.experiment.shards.collect(drive.services))
        point = RatePoint(trained, criterion)
        fault = self._fault(point.criterion)
        if fault:
            return replace(trial, frames=frames, ended=fault)
        return replace(trial, frames=frames, points=(*trial.points, point))

    @cached_property
    def sample(self) -> np.ndarray:
        """The training frames on which cross entropy is measured, int64, the same for all rates."""
        aligned = np.flatnonzero(alignment_of(self.task.train) >= 0)
        count = min(len(aligned), max(1, round(SAMPLED_PARTS * self.part)))
        return np.sort(rng(0, "rates", "sample").choice(aligned, count, replace=False))

    def cross_entropy(self, theta: np.ndarray) -> float:
        """Return F_CE of the parameters ``theta``, float32 [parameters], on the sample."""
        total = 0.0
        for first in range(0, len(self.sample), MEASURED_TOGETHER):
            positions = self.sample[first : first + MEASURED_TOGETHER]
            targets = alignment_of(self.task.train)[positions]
            logp = self.task.log_posteriors(theta, self.task.train.windows(positions))
            total += float(logp[np.arange(len(positions)), targets].sum(dtype=np.float64))
        return total / len(self.sample)

    def _drive(self, rate: float, progress: Progress) -> TrialDrive:
        """The drive of a trial, restored if it was begun before."""
        part_epochs = self.part / self.task.train.frames
        settings = self.task.settings.replace(
            learning_rate=rate,
            evaluate_every=NEVER_EVALUATED,
            evaluate_utterances=1,
            checkpoint_every=max(LEAST_PART, part_epochs),
        )
        task = Task(self.task.corpus, settings)
        record = RunRecord(
            settings=settings.to_dict(),
            corpus=CorpusIdentity(task.corpus.name, corpus_digest(task.corpus)),
            parent=self.start.parent,
        )
        begun = [Run(path.parent) for path in self.folder.glob(f"rate-{rate:g}-*/{RECORD}")]
        if begun:
            writer = RunWriter(begun[0])
        else:
            writer = RunWriter.create(self.folder, f"rate-{rate:g}", record)

        drive = TrialDrive(Experiment(task, self.start.theta), writer, progress=progress)
        if begun:
            drive.restore()
        return drive

    def _fault(self, criterion: float) -> str:
        """Why a trial that reached this criterion has diverged; empty if it has not."""
        if not math.isfinite(criterion):
            return "the criterion is not finite"
        chance = -math.log(self.task.topology.states)
        if not self.task.settings.sequence and criterion < WORSE_THAN_CHANCE * chance:
            return "worse than a network that knows nothing"
        return ""


def newer_criterion(run: Run) -> float:
    """Return the criterion per frame over the newer half of what the decoders of a run have seen.

    Each decoder counts its own half. It is not finite if nothing could be measured.
    """
    frames = 0
    value = 0.0
    for path in run.row_files():
        for seen in _newer_half(_seen(read_rows(path), sequence=True)):
            frames += seen.measured
            value += seen.value

    return value / frames if frames else math.nan


def _frames_seen(run: Run, sequence: bool) -> int:
    """Frames that the training of a run has seen; decoders are ahead of what was trained on."""
    each = [_seen(read_rows(path), sequence) for path in run.row_files()]
    return sum(seen.frames for process in each for seen in process)


def _seen(rows: Iterable[Row], sequence: bool) -> list[Seen]:
    """What the rows of one process tell: of decodes for sequence criteria, else of pushes."""
    found = []
    for row in rows:
        if sequence and isinstance(row, DecodeRow):
            value = _utterance_value(row)
            found.append(Seen(row.frames, row.frames if value is not None else 0, value or 0.0))
        elif not sequence and isinstance(row, PushRow):
            found.append(Seen(row.frames, 0, 0.0))

    return found


def _utterance_value(row: DecodeRow) -> float | None:
    """The criterion of an utterance, None if it has none.

    A lattice that has lost the reference counts as in measuring, with the reference added to it: a
    rate that loses more references must not look better for it.
    """
    if row.reason == OUTSIDE and row.num is not None and row.den is not None:
        return row.num - max(row.num, row.den) - math.log1p(math.exp(-abs(row.num - row.den)))
    return row.value if row.reason is None else None


def _newer_half(seen: list[Seen]) -> list[Seen]:
    """Those after the first half of all frames."""
    half = sum(each.frames for each in seen) / 2
    passed = 0
    newer = []
    for each in seen:
        passed += each.frames
        if passed > half:
            newer.append(each)
    return newer
