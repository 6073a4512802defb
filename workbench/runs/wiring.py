"""From settings to components: the one place that knows how many there are and who talks to whom.

`Experiment` wires the pure functions of a `Task` to parameter server, replicas, decoders and
evaluator.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TypeVar

import numpy as np

from workbench.batches import FrameOrder, UtteranceOrder, check_entry, subsets
from workbench.engine import Process
from workbench.model.network import row_ends, trained_slice
from workbench.runs.drift import measure_drift
from workbench.runs.task import Task
from workbench.settings import UserError
from workbench.settings.alternatives import added_choices
from workbench.training import (
    ComponentState,
    DecoderState,
    EvaluatorState,
    FrameSource,
    OuterSource,
    ParameterServer,
    ReplicaState,
    Shards,
    decoder,
    evaluator,
    replica,
)

MakeProcess = Callable[[], Process]
S = TypeVar("S", DecoderState, EvaluatorState, ReplicaState)


@dataclass(frozen=True)
class Experiment:
    """All components of one task, and the parameters (float32 [parameters]) that it starts from.

    Raises UserError if decoders are to fetch by time on a clock that does not move, or if a
    shuffling that a user added cannot be entered at a later batch.
    """

    task: Task
    theta: np.ndarray

    def __post_init__(self) -> None:
        settings = self.task.settings
        asynchrony = settings.asynchrony
        by_time = asynchrony.decoder_fetch in ("seconds", "synchronous")
        if (
            settings.sequence
            and settings.clock.kind == "free"
            and by_time
            and asynchrony.decoder_seconds > 0
        ):
            raise UserError(
                "decoder_fetch=seconds and synchronous need a clock on which time passes: "
                "clock=cost or measured"
            )
        added = settings.batches.shuffling in added_choices("shuffling")
        if added and not settings.sequence:
            parts = subsets(len(self.task.train), asynchrony.replicas, settings.seed)
            check_entry(_frame_order(self.task, 0, parts[0]))

    @cached_property
    def shards(self) -> Shards:
        """How the trained parameters are cut into shards."""
        settings = self.task.settings
        topology = self.task.topology
        trained = settings.updates.trained
        return Shards.split(
            self.theta,
            trained_slice(topology, trained),
            settings.asynchrony.shards,
            row_ends(topology, trained),
            self.task.keep,
        )

    def services(self) -> dict[str, ParameterServer]:
        """New parameter server, its shards by name."""
        return self.shards.servers(self.task.settings)

    @property
    def process_count(self) -> int:
        """How many processes there are: replicas, their decoders, and the evaluator."""
        settings = self.task.settings
        each = 2 if settings.sequence else 1
        return each * settings.asynchrony.replicas + 1

    def processes(self, states: Mapping[str, ComponentState]) -> dict[str, MakeProcess]:
        """Return, by name, what makes each process: from its record in ``states``, else afresh.

        The makers are plain data and can travel to a worker.
        """
        task = self.task
        shards = self.shards
        settings = task.settings
        parts = subsets(len(task.train), settings.asynchrony.replicas, settings.seed)

        makers: dict[str, MakeProcess] = {}
        for i, utterances in enumerate(parts):
            if settings.sequence:
                name = f"decoder {i}"
                makers[name] = partial(
                    make_decoder, task, shards, i, utterances, _state(states, name, DecoderState)
                )
            name = f"replica {i}"
            makers[name] = partial(
                make_replica, task, shards, i, utterances, _state(states, name, ReplicaState)
            )

        makers["evaluator"] = partial(
            make_evaluator, task, shards, _state(states, "evaluator", EvaluatorState)
        )
        return makers

    def places(self, threads: Sequence[int]) -> dict[str, int]:
        """Choose a worker for every service, channel and process, given the workers' threads.

        A decoder is put where its replica and their channel are. Processes for which there is no
        idle thread get no place.
        """
        settings = self.task.settings
        idle = list(threads)
        places = {name: i % len(idle) for i, name in enumerate(self.shards.names)}
        for i in range(settings.asynchrony.replicas):
            worker = max(range(len(idle)), key=lambda w: idle[w])
            together = [f"replica {i}"]
            if settings.sequence:
                together.append(f"decoder {i}")

            placed = together[: idle[worker]]
            places |= dict.fromkeys([*placed, f"decoded {i}"], worker)
            idle[worker] -= len(placed)

        return places


def _state(states: Mapping[str, ComponentState], name: str, kind: type[S]) -> S | None:
    """Return the record of a component, None if it is made afresh."""
    state = states.get(name)
    if state is not None and not isinstance(state, kind):
        raise UserError(f"the checkpoint has a {type(state).__name__} for {name}")
    return state


def make_decoder(
    task: Task, shards: Shards, i: int, utterances: np.ndarray, state: DecoderState | None
) -> Process:
    """Make decoder ``i`` of the training utterances ``utterances``, afresh or from its state."""
    settings = task.settings
    order = UtteranceOrder(utterances, settings.batches.epochs, settings.seed, i)
    state = state or DecoderState()
    decode = task.decode_in_order(order.start(state.position))
    return decoder(
        f"decoder {i}", shards, settings, order, decode, task.lengths, f"decoded {i}", state
    )


def make_replica(
    task: Task, shards: Shards, i: int, utterances: np.ndarray, state: ReplicaState | None
) -> Process:
    """Make replica ``i`` with its source of batches, afresh or from its state."""
    settings = task.settings
    name = f"replica {i}"
    if settings.sequence:
        fresh = settings.criterion.auxiliary == "fresh"
        drift = partial(measure_drift, task) if settings.measuring.drift_every else None
        decoded = OuterSource(f"decoded {i}", settings, task.decode if fresh else None, drift)
        return replica(name, i, shards, settings, decoded, task.outer_gradient, state)

    frames = FrameSource(_frame_order(task, i, utterances))
    return replica(name, i, shards, settings, frames, task.frame_gradient, state)


def _frame_order(task: Task, i: int, utterances: np.ndarray) -> FrameOrder:
    """The order in which replica ``i`` visits the frames of its utterances."""
    batches = task.settings.batches
    return FrameOrder(
        batches.shuffling,
        np.asarray(task.train.offsets),
        utterances,
        batches.size,
        batches.epochs,
        task.settings.seed,
        i,
        batches.slot_start,
    )


def make_evaluator(task: Task, shards: Shards, state: EvaluatorState | None) -> Process:
    """Make the evaluator, afresh or from its state."""
    heldout_frames = int(task.heldout.offsets[task.heldout_utterances])
    epoch_frames = int(task.lengths.sum())
    return evaluator(shards, task.settings, task.evaluate, epoch_frames, heldout_frames, state)
