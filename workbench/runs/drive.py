"""A run driven from checkpoint to checkpoint by its executor, until it ends or is asked to stop.

Barriers are a part of the schedule of every run, so that on a clock that can be repeated a resumed
run equals one that was never stopped. Such a run rests nowhere else: a stop goes on to the next
barrier if that is near, and else gives up what came after the last one, which `resume` computes
again. On other clocks, where no run can be repeated, a stop rests at once and loses nothing.

On a cluster, a worker that is lost takes its part of the run with it: then the run goes back to its
newest checkpoint, as if it had been stopped there, and continues. A run that diverges goes back
too, with half the learning rate (`workbench.runs.divergence`).
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

from workbench.engine import Lost, Outcome
from workbench.engine.clocks import TICKS
from workbench.engine.trace import wrap_for_recording
from workbench.progress import Progress
from workbench.runs.divergence import (
    describe,
    how_it_diverged,
    largest_gradients,
)
from workbench.runs.execution import ClusterExecutor, Placement, S, Stop, never
from workbench.runs.stop import interruptible, stop_file
from workbench.runs.wiring import Experiment, MakeProcess
from workbench.settings import UserError
from workbench.storage.checkpoints import latest_checkpoint, remove_newest_checkpoint
from workbench.storage.rows import DivergenceRow, EvaluateRow, PushRow, RecoveryRow, Row, TraceRow
from workbench.storage.run import DIVERGENCE, DRIVER, Run
from workbench.storage.run_writer import RunWriter
from workbench.training import (
    Checkpoint,
    Diverged,
    ParameterServer,
    PushStatus,
    pack,
    unpack_checkpoint,
)

RECOVERIES = 5
"""How often a run recovers with no checkpoint in between before it fails."""

NEAR_SECONDS = 5.0
"""How far away the next checkpoint may be for a stop to go on to it."""

PROGRESS_ROWS = 20
"""Rows between two reports of progress."""

REPEATABLE_CLOCKS = ("free", "cost")
"""Clocks on which the same settings give the same run, row for row."""

NOT_VISITED = (PushStatus.ENDED.value, PushStatus.DUPLICATE.value)
"""States of a push whose frames count for nothing."""


class Abandoned(Exception):
    """The run was asked to stop too far from its next checkpoint to go on to it."""


@dataclass
class Tally:
    """What the rows of a run have reported so far."""

    rows: int = 0  # that this process has seen
    updates: int = 0  # pushes
    frames: int = 0  # training frames of the pushes that were reported
    segment: int = 0  # number of the next stretch from barrier to barrier
    at_start: float | None = None  # the held-out criterion of the first evaluation

    @classmethod
    def of(cls, run: Run) -> "Tally":
        """Return the tally of the rows that a run has written."""
        tally = cls()
        for row in run.rows(Row):
            tally.add(row)
            if isinstance(row, TraceRow):
                tally.segment = max(tally.segment, row.segment + 1)
        return tally

    def add(self, row: Row) -> None:
        """Count one row."""
        self.rows += 1
        if isinstance(row, PushRow):
            self.updates += 1
            if row.status not in NOT_VISITED:
                self.frames += row.frames
        elif isinstance(row, EvaluateRow) and row.index == 0:
            self.at_start = row.measured.criterion


class Drive:
    """One process that drives a run, new or resumed, and writes its folder.

    ``cluster`` executes it, by default this thread on the clock of the settings. With ``record``
    the schedule is kept, so that the run can be replayed. Raises UserError where this cannot be
    executed.
    """

    def __init__(
        self,
        experiment: Experiment,
        writer: RunWriter,
        *,
        progress: Progress | None = None,
        stop: Stop = never,
        cluster: ClusterExecutor | None = None,
        record: bool = False,
    ):
        self.experiment = experiment
        self.writer = writer
        self.progress = progress
        self.stop = stop
        self.record = record
        self.placement = Placement(experiment, cluster)

        settings = experiment.task.settings
        epoch_frames = experiment.task.train.frames
        self.total_frames = int(epoch_frames * settings.batches.epochs)
        self.checkpoint_frames = max(1, int(epoch_frames * settings.measuring.checkpoint_every))
        self.repeatable = settings.clock.kind in REPEATABLE_CLOCKS

        self.tally = Tally()
        self.at = Checkpoint()
        self.services: dict[str, ParameterServer] = experiment.services()
        self.recoveries = 0  # since the last checkpoint
        self.rested = time.monotonic()  # when the run was at its last checkpoint
        self.asked: float | None = None  # when the run was first asked to stop

    @property
    def frames(self) -> int:
        """Training frames visited so far, cancelled and rejected ones included.

        On a cluster the services are elsewhere until the run rests, and the objects here are as
        they were before; meanwhile the frames are those of the pushes that were reported.
        """
        return max(self.services["server 0"].frames, self.tally.frames)

    @property
    def finished(self) -> bool:
        """Whether training has ended."""
        states = self.at.states.values()
        return bool(states) and all(state.finished for state in states)

    def run(self) -> bool:
        """Train from barrier to barrier; return True if training has ended, False if stopped."""
        requested = stop_file(self.writer.run)
        with interruptible() as interrupted:

            def stop() -> bool:
                return interrupted() or self.stop() or requested()

            while not self.finished:
                try:
                    self.advance(stop)
                except Lost as loss:
                    self.recover(loss, stop)
                except Abandoned:
                    self.abandon()
                except Diverged as divergence:
                    self.retreat(divergence)
                if stop():
                    break

        return self.finished

    # --- from one barrier to the next

    def advance(self, stop: Stop) -> None:
        """Train up to the next barrier, and save the run there as a checkpoint."""
        self.placement.renew(self.writer)
        due = (self.at.number + 1) * self.checkpoint_frames
        began = time.monotonic()
        frames_before = self.frames

        def rest() -> bool:
            if self.frames >= due:
                return True
            if not stop():
                return False
            if not self.repeatable:
                return True
            per_second = (self.frames - frames_before) / max(1e-3, time.monotonic() - began)
            if not self._is_near(due, per_second):
                raise Abandoned
            return False

        # A run that is repeated has each evaluation: it is finished, or its segment is given up.
        give_way = never if self.repeatable else stop
        outcome = self._execute(rest, give_way)
        self.tally.segment += 1
        self.tally.frames = self.services["server 0"].frames
        self.save(outcome, checkpoint_due=self.frames >= due)

    def _is_near(self, due: int, frames_per_second: float) -> bool:
        """Whether ``due`` frames are visited within `NEAR_SECONDS` of the first request to stop."""
        now = time.monotonic()
        if self.asked is None:
            self.asked = now
        left = self.asked + NEAR_SECONDS - now
        return due - self.frames <= left * frames_per_second

    def _execute(self, rest: Stop, give_way: Stop) -> Outcome:
        """Execute the run up to its next rest, and record the schedule if that is wanted."""
        makers = self.experiment.processes(self.at.states)
        if not self.record:
            return self._run(makers, self.services, rest, give_way)

        makers, services = wrap_for_recording(makers, self.services, self.tally.segment)
        outcome = self._run(makers, services, rest, give_way)
        self.services |= {name: recorded.service for name, recorded in services.items()}
        return outcome

    def _run(
        self, makers: Mapping[str, MakeProcess], services: dict[str, S], rest: Stop, give_way: Stop
    ) -> Outcome:
        """Let the executor run these processes and services from where the run is."""
        return self.placement.executor.run(
            makers,
            services,
            self.emit,
            rest=rest,
            channels=self.at.channels or None,
            ticks=self.at.ticks,
            give_way=give_way,
        )

    def emit(self, row: Row) -> None:
        """Write a row to the run's folder; raises Diverged if it says that training has."""
        self.writer.emit(row)
        self.tally.add(row)
        if isinstance(row, EvaluateRow):
            states = self.experiment.task.topology.states
            cause = how_it_diverged(row.measured, self.tally.at_start, states)
            if cause:
                raise Diverged(cause)

        name = self.writer.run.name
        if self.progress and self.tally.rows % PROGRESS_ROWS == 0:
            done = min(self.frames, self.total_frames)
            self.progress(done, self.total_frames, f"training {name}, frames")

    def save(self, outcome: Outcome, checkpoint_due: bool) -> None:
        """Write the resting run as a checkpoint; only one that was due gets a new number."""
        self.at = Checkpoint.of(
            self.at.number + checkpoint_due,
            outcome.returned,
            outcome.channels,
            outcome.ticks,
            self.services,
            self.writer.positions(),
        )
        self.writer.checkpoint(self.tally.updates, pack(self.at))
        self.recoveries = 0
        self.rested = time.monotonic()

    # --- back to a checkpoint

    def restore(self) -> str:
        """Go back to the newest valid checkpoint, or to the start; returns which it was, in words.

        Rows written after it are cut off. Damaged checkpoints are passed over and named in the log.
        """
        run = self.writer.run
        if run.checkpoints():
            saved = latest_checkpoint(run.folder)
            for line in saved.damage:
                self.writer.log(f"checkpoint passed over: {line}")
            self.at = unpack_checkpoint(saved.files)
        else:
            self.at = Checkpoint()

        self.services = self.experiment.services()
        self.at.restore(self.services)
        self.writer.rewind(self.at.positions)
        self.tally = Tally.of(run)
        self.tally.frames = self.services["server 0"].frames
        return f"checkpoint {self.at.number}" if self.at.states else "the start"

    def abandon(self) -> None:
        """Leave what came after the last checkpoint undone, rows included."""
        updates_before = self.tally.updates
        checkpoint = self.restore()
        undone = updates_before - self.tally.updates
        self.writer.log(f"stopped at {checkpoint}: resuming computes {undone} updates again")

    def retreat(self, divergence: Diverged) -> None:
        """Go back to a checkpoint with half the learning rate; raises Diverged if retries are up.

        The newest checkpoint may be beyond help already. So a run that diverges again with no
        checkpoint in between goes back one further. The checkpoint is written again with the new
        rate, and is the one that a resumed run begins from.
        """
        run = self.writer.run
        updates = self.experiment.task.settings.updates
        earlier = list(run.rows(DivergenceRow))
        if len(earlier) >= updates.divergence_retries:
            raise Diverged(self._last_word(divergence, len(earlier))) from divergence

        updates_before = self.tally.updates
        newest = run.checkpoints()[-1:]
        if earlier and newest and int(newest[0].name) == earlier[-1].updates:
            remove_newest_checkpoint(run.folder)
        checkpoint = self.restore()
        for row in earlier[sum(1 for _ in run.rows(DivergenceRow)) :]:
            self.writer.emit(row)  # going back further has cut it off

        if self.placement.cluster is not None:
            passed = round((time.monotonic() - self.rested) * TICKS)
            self.at = replace(self.at, ticks=self.at.ticks + passed)
        self._report_divergence(
            str(divergence), checkpoint, len(earlier) + 1, updates_before - self.tally.updates
        )

        for service in self.services.values():
            service.halvings = len(earlier) + 1
        servers = {name: service.state() for name, service in self.services.items()}
        self.at = replace(self.at, servers=servers, positions=self.writer.positions())
        self.writer.checkpoint(self.tally.updates, pack(self.at))

    def _report_divergence(self, cause: str, checkpoint: str, halvings: int, undone: int) -> None:
        """Write a row and a line of the log about a return after a divergence."""
        rate = self.experiment.task.settings.updates.learning_rate / 2**halvings
        text = (
            f"diverged: {cause}; back to {checkpoint} with learning_rate {rate:g} "
            f"({undone} updates undone)"
        )
        row = DivergenceRow(
            process=DIVERGENCE,
            seconds=self.at.ticks / TICKS,
            epochs=self.frames / self.experiment.task.train.frames,
            updates=self.tally.updates,
            segment=self.tally.segment,
            halvings=halvings,
            learning_rate=rate,
            cause=cause,
            checkpoint=checkpoint,
            updates_undone=undone,
            text=text,
        )
        self.writer.emit(row)
        self.writer.log(text)

    def _last_word(self, divergence: Diverged, halvings: int) -> str:
        """Return the message of a run that has diverged for good: why, and what to do."""
        services = self.experiment.services()
        self.at.restore(services)
        task = self.experiment.task
        found = largest_gradients(task, self.experiment.shards.collect(services))
        rate = task.settings.updates.learning_rate / 2**halvings
        return (
            f"{self.writer.run.name}: diverged with learning_rate {rate:g} (halved {halvings} "
            f"times): {divergence}; the largest gradients at its last checkpoint are those of "
            f"{describe(found)}: look at these utterances, "
            f"or train with learning_rate={rate / 2:g} or with max_norm"
        )

    def recover(self, loss: Lost, stop: Stop) -> None:
        """After a worker was lost, go back to the newest checkpoint and wait for enough workers.

        The run's time goes on meanwhile. Raises UserError after too many recoveries without a
        checkpoint in between, and if the workers do not return.
        """
        workers_before = self.placement.workers
        updates_before = self.tally.updates
        self.recoveries += 1
        if self.recoveries > RECOVERIES:
            name = self.writer.run.name
            raise UserError(
                f"{name}: {loss} ({RECOVERIES} recoveries with no checkpoint in between): look "
                "for too little memory or time in what the workers wrote, then "
                f"`workbench train --resume {name}`"
            ) from loss

        self.writer.log(str(loss))
        checkpoint = self.restore()
        self.placement.renew(self.writer, stop)

        now = time.monotonic()
        self.at = replace(self.at, ticks=self.at.ticks + round((now - self.rested) * TICKS))
        lost = _lost_workers(workers_before, self.placement.workers) or str(loss)
        self._report_recovery(
            lost, checkpoint, seconds=now - loss.noticed, undone=updates_before - self.tally.updates
        )

    def _report_recovery(self, lost: str, checkpoint: str, seconds: float, undone: int) -> None:
        """Write a row and a line of the log about a recovery."""
        text = (
            f"{lost} lost, back after {seconds:.1f} s from {checkpoint} ({undone} updates undone)"
        )
        row = RecoveryRow(
            process=DRIVER,
            seconds=self.at.ticks / TICKS,
            epochs=self.frames / self.experiment.task.train.frames,
            updates=self.tally.updates,
            lost=lost,
            checkpoint=checkpoint,
            recovery_seconds=seconds,
            updates_undone=undone,
            text=text,
        )
        self.writer.emit(row)
        self.writer.log(text)


def _lost_workers(before: dict[str, int], now: dict[str, int]) -> str:
    """Name the workers whose process is another one now, or gone."""
    gone = [f"worker {name}" for name, pid in before.items() if now.get(name) != pid]
    return ", ".join(gone)
