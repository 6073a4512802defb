"""The evaluator: fetches and measures while training runs; the learning rate follows its curve."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from workbench.engine.effects import Emit, Process, Rest, Signal, Work, ask
from workbench.settings import Settings
from workbench.storage.rows import EndRow, EvaluateRow, Measurement, RateRow
from workbench.system.vectors import Vector
from workbench.training.client import ParameterClient
from workbench.training.messages import AwaitFrames, FetchedParameters, TrainingProgress
from workbench.training.schedule import Schedule
from workbench.training.shards import Shards


@dataclass(frozen=True)
class EvaluatorState:
    """The state from which the evaluator can be resumed."""

    index: int = 0  # of the next evaluation
    measured: int = -1  # version that the last one measured
    schedule: Schedule = field(default_factory=Schedule)
    finished: bool = False


def evaluator(
    shards: Shards,
    settings: Settings,
    evaluate: Callable[[Vector], Measurement],
    epoch_frames: int,
    size: int,
    state: EvaluatorState | None = None,
) -> Process:
    """Measure at the start, every ``evaluate_every`` epochs and at the end.

    Returns an EvaluatorState. ``epoch_frames`` is the number of frames of the training data,
    ``size`` that of the held-out data. When the schedule is over, the evaluator ends training for
    all.
    """
    state = state or EvaluatorState()
    server = ParameterClient(shards, settings.asynchrony)
    every = settings.measuring.evaluate_every  # epochs
    while not state.finished:
        if (yield Rest()):
            return state

        due = round(state.index * every * epoch_frames)
        progress = yield from ask(shards.names[0], AwaitFrames(due))
        if isinstance(progress, Signal):
            return state
        if progress.over and progress.version == state.measured:
            return replace(state, finished=True)

        at = yield from server.fetch()
        if at is None:
            return state

        result = yield Work(evaluate, (at.theta,), size, "evaluate")
        if isinstance(result, Signal):
            return state

        schedule = state.schedule.after(result.criterion, settings.updates)
        yield Emit(evaluate_row(state, at, progress, epoch_frames, result))
        if schedule.decays > state.schedule.decays:
            yield from server.decay(schedule.decays)
            yield Emit(RateRow(decays=schedule.decays, updates=at.versions[0]))
        if schedule.over and not progress.over:
            yield from server.end_training()
            yield Emit(EndRow(updates=at.versions[0]))

        passed = int(progress.frames / (every * epoch_frames))
        index = max(state.index, passed) + 1
        state = EvaluatorState(index, at.versions[0], schedule, progress.over)

    return state


def evaluate_row(
    state: EvaluatorState,
    at: FetchedParameters,
    progress: TrainingProgress,
    epoch_frames: int,
    measured: Measurement,
) -> EvaluateRow:
    """Return the row of what was measured, and where in training."""
    return EvaluateRow(
        index=state.index,
        updates=at.versions[0],
        versions=tuple(at.versions),
        frames=progress.frames,
        epochs=progress.frames / max(1, epoch_frames),
        decays=state.schedule.decays,
        measured=measured,
    )
