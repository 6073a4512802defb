"""From Settings to who exists and who talks to whom: the one place that knows how many components there are.

`Experiment` wires the pure functions of a `Task` to parameter server, replicas, decoders and an evaluator.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np

from workbench.batches import FrameOrder, UtteranceOrder, subsets
from workbench.engine import Process
from workbench.model.network import (
    row_ends,
    trained_slice,
)
from workbench.runs.task import Task
from workbench.settings import UserError
from workbench.training import FrameSource, OuterSource, Shards, decoder, evaluator, replica


@dataclass(frozen=True)
class Experiment:
    """Who exists and who talks to whom, for one task and the parameters it starts from."""

    task: Task
    theta: np.ndarray

    def __post_init__(self):
        s = self.task.settings
        if (
            s.sequence
            and s.clock.kind == "free"
            and s.asynchrony.decoder_fetch in ("seconds", "synchronous")
            and s.asynchrony.decoder_seconds > 0
        ):
            raise UserError(
                "decoder_fetch=seconds and synchronous need a clock on which time passes: clock=cost or measured"
            )

    @cached_property
    def shards(self) -> Shards:
        s, topology = self.task.settings, self.task.topology
        return Shards.split(
            self.theta,
            trained_slice(topology, s.updates.trained),
            s.asynchrony.shards,
            row_ends(topology, s.updates.trained),
        )

    def services(self) -> dict[str, Any]:
        """The parameter server's shards by name."""
        return self.shards.servers(self.task.settings)

    @property
    def count(self) -> int:
        """How many processes there are."""
        return (
            self.task.settings.asynchrony.replicas * (2 if self.task.settings.sequence else 1) + 1
        )

    def processes(self, states: dict[str, Any]) -> dict[str, Callable[[], Process]]:
        """What makes each process, afresh or from its state record; plain data, so that it can travel to a worker."""
        task, s, shards = self.task, self.task.settings, self.shards
        makers: dict[str, Callable[[], Process]] = {}
        for i, utterances in enumerate(subsets(len(task.train), s.asynchrony.replicas, s.seed)):
            if s.sequence:
                state = states.get(f"decoder {i}")
                makers[f"decoder {i}"] = partial(make_decoder, task, shards, i, utterances, state)
            makers[f"replica {i}"] = partial(
                make_replica, task, shards, i, utterances, states.get(f"replica {i}")
            )
        makers["evaluator"] = partial(make_evaluator, task, shards, states.get("evaluator"))
        return makers

    def places(self, threads: Sequence[int]) -> dict[str, int]:
        """Who lives on which of the workers, given their threads: a decoder where its replica and their channel are.

        Whoever finds no room is not placed.
        """
        s, idle = self.task.settings, list(threads)
        places = {name: i % len(idle) for i, name in enumerate(self.shards.names)}
        for i in range(s.asynchrony.replicas):
            worker = max(range(len(idle)), key=lambda w: idle[w])
            who = [f"replica {i}", f"decoder {i}"] if s.sequence else [f"replica {i}"]
            who = who[: idle[worker]]
            places |= dict.fromkeys([*who, f"decoded {i}"], worker)
            idle[worker] -= len(who)
        return places


def make_decoder(task: Task, shards: Shards, i: int, utterances: np.ndarray, state: Any) -> Process:
    """Decoder ``i`` of ``utterances``, afresh or from its state."""
    s, name = task.settings, f"decoder {i}"
    order = UtteranceOrder(utterances, s.batches.epochs, s.seed, i)
    return decoder(name, shards, s, order, task.decode, task.lengths, f"decoded {i}", state)


def make_replica(task: Task, shards: Shards, i: int, utterances: np.ndarray, state: Any) -> Process:
    """Replica ``i``, likewise, with its source of batches."""
    s, offsets = task.settings, np.asarray(task.train.offsets)
    source: Any
    if s.sequence:
        source = OuterSource(
            f"decoded {i}", s, task.decode if s.criterion.auxiliary == "fresh" else None
        )
    else:
        source = FrameSource(
            FrameOrder(
                s.batches.shuffling,
                offsets,
                utterances,
                s.batches.size,
                s.batches.epochs,
                s.seed,
                i,
            )
        )
    return replica(f"replica {i}", i, shards, s, source, task.gradient, state)


def make_evaluator(task: Task, shards: Shards, state: Any) -> Process:
    """The evaluator, likewise."""
    size = int(task.heldout.offsets[task.heldout_utterances])
    return evaluator(shards, task.settings, task.evaluate, int(task.lengths.sum()), size, state)
