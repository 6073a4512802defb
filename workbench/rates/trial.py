"""Training with one rate for a short time, part by part; at the end of each part is a checkpoint.

Trials are compared on the training data; no held-out data is looked at. Cross entropy is measured
on frames drawn from all of it: the frames that come next in training are no measure, since their
neighbours have just been trained on, and a rate that only follows them would win. Sequence
criteria measure themselves: an utterance is decoded before it is trained on. But where a search
fails MMI can stand at its maximum, so their posteriors of frames are looked at too. And expected
accuracies can rise at rates at which the words get worse, so those criteria are measured by MMI
too.
"""

import math
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from workbench.progress import Progress
from workbench.rates.identity import MMI_TOO
from workbench.rates.measured import (
    Processes,
    TrialDifference,
    UtteranceDifference,
    ValueOf,
    all_values,
    frames_seen,
    mean_difference,
    newer_criterion,
    newer_values,
    own_value,
    read_seen,
    reference_posterior,
)
from workbench.runs.divergence import is_lost
from workbench.runs.drive import Drive
from workbench.runs.execution import never
from workbench.runs.record import corpus_digest
from workbench.runs.task import Task, alignment_of
from workbench.runs.train import StartingPoint
from workbench.runs.wiring import Experiment
from workbench.settings import rng
from workbench.storage.rate_search import RatePoint, RateTrial
from workbench.storage.rows import DecodeRow, Row
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

        It ends early if its gradients are not finite or too large, if its criterion is not finite,
        or if its cross entropy is far worse than that of a network that knows nothing.
        """
        drive = self._drive(trial.rate, progress)
        writer = drive.writer
        ended = ""
        drive.most = OVERSHOT * parts * self.part
        try:
            while drive.at.number < parts and not drive.finished:
                drive.advance(never)
        except Diverged:
            ended = "gradients are not finite or too large"
        except TooLong:
            ended = TOO_LONG
        finally:
            writer.close(RunState.DIVERGED if ended else RunState.STOPPED)

        # Of a sequence criterion the frames are those decoded: looking at posteriors costs little.
        sequence = self.task.settings.sequence
        measured = 0 if sequence else (len(trial.points) + 1) * len(self.sample)
        seen = read_seen(writer.run, sequence)
        trained = max(drive.frames, frames_seen(seen))
        frames = trained + measured
        if ended:
            return replace(trial, frames=frames, ended=ended)
        cross_entropy = self.cross_entropy(drive.experiment.shards.collect(drive.services))
        criterion = newer_criterion(seen) if sequence else cross_entropy
        point = RatePoint(trained, criterion)
        fault = self._fault(criterion, cross_entropy)
        if fault:
            return replace(trial, frames=frames, ended=fault)
        return replace(trial, frames=frames, points=(*trial.points, point))

    def compare(self, rate: float, other: float) -> TrialDifference:
        """Return by how much one trial is ahead of another on the utterances of its newer half.

        Both have decoded them, in the same order. Of several criteria by which they are measured it
        is the one in which the first is furthest behind.
        """
        criterion = self.task.settings.criterion.name
        values = (own_value, reference_posterior) if criterion in MMI_TOO else (own_value,)
        differences = [self._difference(rate, other, value_of) for value_of in values]
        return min(differences, key=lambda difference: difference.errors_ahead)

    def _difference(self, rate: float, other: float, value_of: ValueOf) -> TrialDifference:
        mine = newer_values(self._seen_by(rate, value_of))
        theirs = all_values(self._seen_by(other, value_of))
        pairs = [
            UtteranceDifference(
                seen.value - theirs[u].value, seen.frames, self.task.train.speakers[u]
            )
            for u, seen in mine.items()
            if u in theirs
        ]
        return mean_difference(pairs)

    def _seen_by(self, rate: float, value_of: ValueOf) -> Processes:
        """What a trial that was begun has decoded."""
        run = Run(next(self.folder.glob(f"rate-{rate:g}-*/{RECORD}")).parent)
        return read_seen(run, True, value_of)

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

    def _fault(self, criterion: float, cross_entropy: float) -> str:
        """Why a trial that reached this criterion has diverged; empty if it has not."""
        if not math.isfinite(criterion) or not math.isfinite(cross_entropy):
            return "the criterion is not finite"

        states = self.task.topology.states
        if self.task.settings.sequence:
            lost = is_lost(cross_entropy, states)
        else:
            lost = cross_entropy < -WORSE_THAN_CHANCE * math.log(states)
        if lost:
            return "worse than a network that knows nothing"
        return ""
