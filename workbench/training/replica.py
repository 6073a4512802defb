"""The model replica: it fetches, computes a gradient on its subset of the data, and pushes.

See section 3 of the paper. The parameters are fetched as late as possible, when a batch is ready.
With ``prefetch`` they are fetched as early as possible, while the gradient before is computed, so
that the replica does not wait for them (DistBelief's replicas fetch in a thread: Dean et al. 2012,
section 4.1). A push that the server finds too stale is computed again from newly fetched
parameters, so no data are lost to the staleness bound.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, cast

import numpy as np

from workbench.batches import FrameBatch, OuterBatch
from workbench.engine.effects import Emit, Now, Process, Rest, Steps, Work
from workbench.settings import Settings
from workbench.system.vectors import Vector
from workbench.training import updates
from workbench.training.client import ParameterClient, ScaledGradient
from workbench.training.messages import FetchedParameters, Gradient, Item, PushStatus
from workbench.training.push_row import SettledPush, push_row
from workbench.training.shards import Shards
from workbench.training.sources import Batch, BatchSource, SourceState, Supply


@dataclass(frozen=True, eq=False)
class ReplicaState:
    """The state from which a replica can be resumed."""

    source: SourceState = field(default_factory=SourceState)
    pushes: int = 0
    parameters: FetchedParameters | None = None  # only if they will be used again
    next_version: int = 0  # synchronous: the version that the next fetch waits for
    batches: tuple[FrameBatch | OuterBatch, ...] = ()  # since the last push
    total: Gradient | None = None  # sum of their gradients
    finished: bool = False


def replica(
    name: str,
    subset: int,
    shards: Shards,
    settings: Settings,
    source: BatchSource[Batch],
    gradient: Callable[[Vector, Batch], Gradient],
    state: ReplicaState | None = None,
) -> Process:
    """Train on subset number ``subset`` until ``source`` or training ends; return a ReplicaState.

    ``gradient(theta, batch)`` returns the gradient over the trained parameters, summed over the
    frames. A push carries this sum, and the factor that makes it the mean over the frames of full
    batches, shortened to ``max_norm``.
    """
    return Replica(name, subset, shards, settings, source, gradient, state or ReplicaState()).run()


class Replica(Generic[Batch]):
    """The variables of one replica between two effects."""

    def __init__(
        self,
        name: str,
        subset: int,
        shards: Shards,
        settings: Settings,
        source: BatchSource[Batch],
        gradient: Callable[[Vector, Batch], Gradient],
        state: ReplicaState,
    ):
        self.subset = subset
        self.settings = settings
        self.server = ParameterClient(shards, settings.asynchrony, name)
        self.source: BatchSource[Batch] = source
        self.gradient: Callable[[Vector, Batch], Gradient] = gradient
        self.begun = state

        source.resume(state.source)
        self.pushes = state.pushes
        self.next_version = state.next_version
        self.at = state.parameters  # None until the first fetch
        self.coming: FetchedParameters | None = None  # fetched during the last gradient
        self.batches: list[Batch] = cast(list[Batch], list(state.batches))
        self.total = state.total
        self.idle = 0.0  # seconds spent waiting for batches since the last push

    def run(self) -> Process:
        """Train until the source or training ends, or the run comes to rest."""
        if self.begun.finished:
            return self._finished_state()

        ended = False
        while not ended:
            if (yield Rest()):
                return self.state()
            before = yield Now()
            supply = yield from self.source.fill()
            if supply is Supply.EXHAUSTED:
                break
            self.idle += (yield Now()) - before
            if supply is Supply.RESTING or not (yield from self._update_parameters()):
                return self.state()
            yield from self._add_batch()
            if len(self.batches) >= self.settings.asynchrony.push_every:
                ended = yield from self._push()

        if self.batches and not ended:
            yield from self._push()
        yield from self.source.close()
        yield from self.server.leave(self.source.credit())
        return self._finished_state()

    @property
    def parameters(self) -> FetchedParameters:
        """The parameters with which gradients are computed now."""
        assert self.at is not None  # fetched before the first batch
        return self.at

    def _finished_state(self) -> ReplicaState:
        return ReplicaState(SourceState(self.source.step), self.pushes, finished=True)

    def state(self) -> ReplicaState:
        """Return the state to be saved; it has parameters only if they are used again."""
        used_again = bool(self.batches) or not self._fetches_next()
        return ReplicaState(
            source=self.source.state(),
            pushes=self.pushes,
            parameters=self.at if used_again else None,
            next_version=self.next_version,
            batches=tuple(self.batches),
            total=self.total,
        )

    def _fetches_next(self) -> bool:
        """Return whether the next batch needs new parameters."""
        if self.settings.asynchrony.synchronous:
            return not self.batches
        return self.at is None or self.source.step % self.settings.asynchrony.fetch_every == 0

    def _update_parameters(self) -> Steps[bool]:
        """Fetch if the next batch needs it; return False if the run comes to rest instead."""
        if not self._fetches_next():
            return True
        if self.coming is not None:
            self.at = self.coming
            self.coming = None
            return True

        fetched = yield from self.server.fetch(self.next_version)
        if fetched is None:
            return False
        self.at = fetched
        return True

    def _add_batch(self) -> Steps[None]:
        """Take the next batch and add its gradient to the sum."""
        handed = self.source.next()
        if self.settings.measuring.drift_every:
            yield from self.source.measure_drift(handed, self.parameters)
        batch = yield from self.source.refresh(handed, self.parameters)
        self.batches.append(batch)
        gradient = yield from self._compute(batch)
        self.total = add(self.total, gradient)

    def _compute(self, batch: Batch) -> Steps[Gradient | None]:
        """Compute the gradient of a batch, with ``prefetch`` fetching meanwhile; None if empty."""
        if not len(batch):
            return None
        work = Work(self.gradient, (self.parameters.theta, batch), len(batch), "gradient")
        if self.settings.asynchrony.prefetch and self._fetches_next():
            gradient, self.coming = yield from self.server.fetch_during(work)
        else:
            gradient = yield work
        return gradient

    def _push(self) -> Steps[bool]:
        """Push the sum, again while it is too stale; return whether training has ended."""
        item = Item(self.subset, self.pushes)
        credit = self.source.credit()
        frames = self.settings.batches.size * len(self.batches)
        refused = 0
        while True:
            gradient = scaled_gradient(self.total, frames, self.settings)
            acks = yield from self.server.push(item, gradient, self.parameters, credit, frames)
            if acks[0].status is not PushStatus.STALE:
                break
            refused += 1
            yield from self._recompute()

        settled = SettledPush(item, (yield Now()), credit, refused, self.idle)
        yield Emit(push_row(settled, self.parameters, acks, self.batches, self.total))

        self.pushes += 1
        self.batches = []
        self.total = None
        self.idle = 0.0
        if self.settings.asynchrony.synchronous:
            self.next_version = max(acks[0].version, self.parameters.versions[0] + 1)
        return any(ack.ended for ack in acks)

    def _recompute(self) -> Steps[None]:
        """Compute the gradient of the same batches from new parameters."""
        fetched = yield from self.server.fetch()
        self.at = fetched or self.at
        self.total = None
        self.coming = None  # older than these
        for i, batch in enumerate(self.batches):
            self.batches[i] = yield from self.source.refresh(batch, self.parameters)
            gradient = yield from self._compute(self.batches[i])
            self.total = add(self.total, gradient)


def add(total: Gradient | None, part: Gradient | None) -> Gradient | None:
    """Return the sum of two gradients; None stands for a gradient of no frames."""
    if total is None:
        return part
    if part is None:
        return total
    sums = {name: total.sums.get(name, 0.0) + value for name, value in part.sums.items()}
    value = updates.add_gradients(total.value, part.value)
    return Gradient(value, total.frames + part.frames, sums)


def scaled_gradient(total: Gradient | None, frames: int, settings: Settings) -> ScaledGradient:
    """Return what to push for a sum of gradients.

    There is no gradient to push without frames, or with the scale NaN where a number is not finite
    (one shard sees this by itself; several would each see only a part).

    ``frames`` are those of full batches. When the slots drain at the end of the data, batches
    shrink to a frame or two of one utterance; divided by these few they would be hundreds of full
    steps along the same silence.
    """
    if total is None or not total.frames:
        return ScaledGradient(None, 0.0)
    limit = settings.updates.max_norm
    checked = settings.asynchrony.shards > 1 or limit > 0
    if checked and not updates.is_finite(total.value):
        return ScaledGradient(None, np.nan)
    return ScaledGradient(total.value, updates.mean_scale(total.value, frames, limit))
