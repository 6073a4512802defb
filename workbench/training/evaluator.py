"""The evaluator: fetches and measures while training runs, never pushes; the learning rate follows its curve."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from workbench.engine.effects import Ask, Emit, Process, Rest, Signal, Work
from workbench.settings import Settings
from workbench.training.client import Conversation
from workbench.training.messages import Parameters, Progress
from workbench.training.schedule import Schedule
from workbench.training.shards import Shards


@dataclass(frozen=True)
class EvaluatorState:
    """Enough to go on."""

    index: int = 0  # of the next evaluation
    measured: int = -1  # version that the last one measured
    schedule: Schedule = field(default_factory=Schedule)
    finished: bool = False


def evaluator(
    shards: Shards,
    settings: Settings,
    evaluate: Callable[[np.ndarray], dict[str, Any]],
    epoch_frames: int,
    size: int,
    state: EvaluatorState | None = None,
) -> Process:
    """Measure at the start, every ``evaluate_every`` epochs and at the end; returns an EvaluatorState.

    ``evaluate(theta)`` gives JSON scalars, among them ``criterion``, the higher the better; ``epoch_frames`` are in
    the training data, ``size`` in the held-out data. The evaluator ends training for all when the schedule says so.
    """
    state, server = state or EvaluatorState(), Conversation(shards, settings)
    while not state.finished:
        if (yield Rest()):
            return state
        due = round(state.index * settings.measuring.evaluate_every * epoch_frames)
        progress: Progress | Signal = yield Ask(shards.names[0], "reached", (due,))
        if isinstance(progress, Signal):
            return state
        if progress.over and progress.version == state.measured:
            return replace(state, finished=True)
        at = yield from server.fetch()
        if at is None:
            return state
        result = yield Work(evaluate, (at.theta,), size, "evaluate")
        schedule = state.schedule.after(result["criterion"], settings)
        yield Emit(evaluate_row(state, at, progress, epoch_frames) | result)
        if schedule.decays > state.schedule.decays:
            yield from server.tell("decay", schedule.decays)
            yield Emit({"kind": "rate", "decays": schedule.decays, "updates": at.versions[0]})
        if schedule.over and not progress.over:
            yield from server.tell("end")
            yield Emit({"kind": "end", "updates": at.versions[0]})
        index = (
            max(
                state.index,
                int(progress.frames / (settings.measuring.evaluate_every * epoch_frames)),
            )
            + 1
        )
        state = EvaluatorState(index, at.versions[0], schedule, progress.over)
    return state


def evaluate_row(
    state: EvaluatorState, at: Parameters, progress: Progress, epoch_frames: int
) -> dict[str, Any]:
    """Where in training it was measured; ``updates`` are those of the first shard."""
    return {
        "kind": "evaluate",
        "index": state.index,
        "updates": at.versions[0],
        "versions": list(at.versions),
        "frames": progress.frames,
        "epochs": progress.frames / max(1, epoch_frames),
        "decays": state.schedule.decays,
    }
