"""The model replica: fetches, computes a gradient on its own subset of the data, pushes; again and again (paper
section 3).

The parameters are fetched as late as possible, when a batch is ready; or, with ``prefetch``, as early as possible, so
that nobody waits for them, while the gradient before is computed (DistBelief's replicas fetch in a thread: Dean et al.
2012, section 4.1). A push that the server finds too stale is computed again from newly fetched parameters, so no data
are lost to the staleness bound.
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from workbench.engine.effects import CLOSED, RESTING, Effect, Emit, Now, Process, Rest, Work
from workbench.settings import Settings
from workbench.training import updates
from workbench.training.client import Conversation
from workbench.training.messages import Factored, Gradient, Item, Parameters, Status
from workbench.training.push_row import push_row
from workbench.training.shards import Shards
from workbench.training.sources import Source, SourceState

Compute = Callable[[np.ndarray, Any], Gradient]
Steps = Generator[Effect, Any, Any]


@dataclass(frozen=True, eq=False)
class ReplicaState:
    """Enough to go on; ``parameters`` only if they will be used again."""

    source: SourceState = field(default_factory=SourceState)
    pushes: int = 0
    parameters: Parameters | None = None
    next_version: int = 0  # synchronous: what the next fetch waits for
    batches: tuple = ()  # since the last push
    total: Gradient | None = None  # their sum
    finished: bool = False


def replica(
    name: str,
    subset: int,
    shards: Shards,
    settings: Settings,
    source: Source,
    gradient: Compute,
    state: ReplicaState | None = None,
) -> Process:
    """Train on subset number ``subset`` until ``source`` ends or the server says that training has; returns its state.

    ``gradient(theta, batch)`` gives a Gradient over the trained parameters. What is pushed is that sum, and
    what makes it the mean over the frames of full batches, shortened to ``max_norm``.
    """
    return Training(
        name, subset, Conversation(shards, settings), source, gradient, state or ReplicaState()
    ).run()


class Training:
    """What one replica remembers between two effects."""

    def __init__(
        self,
        name: str,
        subset: int,
        server: Conversation,
        source: Source,
        gradient: Compute,
        state: ReplicaState,
    ):
        self.name, self.subset, self.server, self.source, self.gradient = (
            name,
            subset,
            server,
            source,
            gradient,
        )
        self.settings, self.begun = server.settings, state
        source.go_on(state.source)
        self.pushes, self.next_version = state.pushes, state.next_version
        self.at: Any = state.parameters  # None until the first fetch
        self.coming: Parameters | None = (
            None  # fetched during the last gradient, for the next batch
        )
        self.batches, self.total = list(state.batches), state.total
        self.idle = 0.0  # seconds spent waiting for batches since the last push

    def run(self) -> Process:
        ended = self.begun.finished
        while not ended:
            if (yield Rest()):
                return self.state()
            before = yield Now()
            ready = yield from self.source.fill()
            if ready is CLOSED:
                break
            self.idle += (yield Now()) - before
            if ready is RESTING or not (yield from self.fetched()):
                return self.state()
            yield from self.step()
            ended = len(self.batches) >= self.settings.asynchrony.push_every and (
                yield from self.pushed()
            )
        if not self.begun.finished:
            yield from self.end(ended)
        return ReplicaState(SourceState(self.source.step), self.pushes, finished=True)

    def end(self, ended: bool) -> Steps:
        """Push what is left, unless training has ended, and say good-bye."""
        if self.batches and not ended:
            yield from self.pushed()
        yield from self.source.close()
        yield from self.server.leave(self.name, self.source.credit())

    def state(self) -> ReplicaState:
        keep = self.at if self.batches or not self.wants() else None
        batches = tuple(self.batches)
        return ReplicaState(
            self.source.state(), self.pushes, keep, self.next_version, batches, self.total
        )

    def wants(self) -> bool:
        """Whether to fetch before the next batch."""
        if self.settings.asynchrony.synchronous:
            return not self.batches
        return self.at is None or self.source.step % self.settings.asynchrony.fetch_every == 0

    def fetched(self) -> Steps:
        """False if the run is coming to rest; then the old parameters stay."""
        if not self.wants():
            return True
        if self.coming is not None:
            self.at, self.coming = self.coming, None
            return True
        found = yield from self.server.fetch(self.name, self.next_version)
        self.at = found or self.at
        return found is not None

    def step(self) -> Steps:
        """Take the next batch and add its gradient."""
        batch = yield from self.source.refresh(self.source.next(), self.at)
        self.batches.append(batch)
        self.total = summed(self.total, (yield from self.computed(batch)))

    def computed(self, batch: Any) -> Steps:
        if not len(batch):
            return None
        work = Work(self.gradient, (self.at.theta, batch), len(batch), "gradient")
        if not (self.settings.asynchrony.prefetch and self.wants()):
            return (yield work)
        total, self.coming = yield from self.server.fetch_during(work, self.name)
        return total

    def pushed(self) -> Steps:
        """Push what the batches since the last push gave, again while too stale; whether training has ended."""
        item, credit, refused = Item(self.subset, self.pushes), self.source.credit(), 0
        while True:
            now = yield Now()
            frames = self.settings.batches.size * len(self.batches)
            sum_and_scale = pushable(self.total, frames, self.settings)
            acks = yield from self.server.push(
                item, *sum_and_scale, self.at, self.name, credit, frames
            )
            if acks[0].status is not Status.STALE:
                break
            refused += 1
            yield from self.again()
        row = push_row(self.at, acks, self.batches, self.total, now)
        columns = {"frames": credit, "refused": refused, "idle_seconds": self.idle}
        yield Emit({"kind": "push", "replica": self.subset, "step": item.step, **row, **columns})
        self.pushes, self.batches, self.total, self.idle = self.pushes + 1, [], None, 0.0
        if self.settings.asynchrony.synchronous:
            self.next_version = max(acks[0].version, self.at.versions[0] + 1)
        return any(ack.ended for ack in acks)

    def again(self) -> Steps:
        """Compute the gradient of the same batches from new parameters."""
        self.at, self.total = (yield from self.server.fetch(self.name)) or self.at, None
        self.coming = None  # older than these
        for i, batch in enumerate(self.batches):
            self.batches[i] = yield from self.source.refresh(batch, self.at)
            self.total = summed(self.total, (yield from self.computed(self.batches[i])))


def summed(total: Gradient | None, part: Gradient | None) -> Gradient | None:
    """The gradient of two batches; None is that of none."""
    if total is None or part is None:
        return part if total is None else total
    sums = {name: total.sums.get(name, 0.0) + value for name, value in part.sums.items()}
    return Gradient(
        updates.whole(total.value) + updates.whole(part.value), total.frames + part.frames, sums
    )


def pushable(
    total: Gradient | None, frames: int, settings: Settings
) -> tuple[np.ndarray | Factored | None, float]:
    """(the sum, its scale); None without frames, or with the scale NaN if a number is not finite.

    ``frames`` are those of full batches. When the slots drain at the end of the data, batches shrink to a frame or two
    of one utterance; divided by these few they would be hundreds of full steps along the same silence. One shard sees
    by itself whether all is finite; several would each see a part.
    """
    if total is None or not total.frames:
        return None, 0.0
    if (settings.asynchrony.shards > 1 or settings.updates.max_norm) and not updates.finite(
        total.value
    ):
        return None, np.nan
    return total.value, updates.scale(total.value, frames, settings.updates.max_norm)
