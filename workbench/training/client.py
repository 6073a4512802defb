"""A component's conversation with all shards of the parameter server; for use with ``yield from``.

Usually a component talks to all shards at once and each shard decides for itself, so one fetch may
join different versions, as in the paper. Where shards must agree (synchronous, staleness bound,
consistent fetch) the first shard is asked first and the others follow it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import starmap
from typing import NamedTuple, TypeVar

import numpy as np

from workbench.engine.effects import All, Ask, Call, Now, Signal, Steps, Work, ask
from workbench.settings import AsynchronySettings
from workbench.training.messages import (
    Ack,
    AnyGradient,
    Decay,
    EndTraining,
    Fetch,
    FetchAt,
    FetchedParameters,
    FetchInstant,
    FetchNext,
    Item,
    Leave,
    Push,
    PushStatus,
    Snapshot,
)
from workbench.training.rounding import narrow
from workbench.training.shards import Shards

Value = TypeVar("Value")
Snapshots = list[Snapshot | Signal]
FOREVER_AGO = -math.inf


class ScaledGradient(NamedTuple):
    """What a replica pushes: a sum over frames, and the factor that makes it the mean."""

    total: AnyGradient | None  # over the trained parameters; None: there is no gradient to use
    scale: float  # NaN: the gradient was not finite


@dataclass(frozen=True, eq=False)
class ParameterClient:
    """One component's access to the parameter server.

    ``replica`` is its name if it pushes gradients.
    """

    shards: Shards
    asynchrony: AsynchronySettings
    replica: str = ""

    @cached_property
    def together(self) -> bool:
        """Whether the first shard decides for all."""
        agree = (
            self.asynchrony.synchronous
            or self.asynchrony.consistent_fetch
            or self.asynchrony.staleness_bound > 0
        )
        return agree and self._several

    @cached_property
    def _several(self) -> bool:
        return len(self.shards.names) > 1

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """Bytes of each shard as it travels."""
        if self.asynchrony.wire == "bfloat16":
            return tuple(size // 2 for size in self.shards.sizes)
        return self.shards.sizes

    # --- fetch

    def fetch(self, next_version: int = 0) -> Steps[FetchedParameters | None]:
        """Fetch all parameters; the result is None if the run is coming to rest.

        With ``next_version`` the fetch waits until they are at least of that version.
        """
        asked = yield Now()
        if self._several and self.asynchrony.consistent_fetch:
            snapshots = yield from self._fetch_one_version(next_version)
        elif self._several and self.asynchrony.synchronous:
            snapshots = yield from self._fetch_one_update(next_version)
        elif next_version:
            snapshots = yield All(self._fetches(self._fetch_call(next_version)))
        else:
            snapshots = yield All(self._plain_fetches)

        return self._join(snapshots, asked)

    def fetch_instant(self, instant: int) -> Steps[FetchedParameters | None]:
        """Fetch the parameters of the decoders' common fetch number ``instant``; None as above."""
        asked = yield Now()
        snapshots = yield All(self._fetches(FetchInstant(instant, asked)))
        return self._join(snapshots, FOREVER_AGO)

    def fetch_during(self, work: Work[Value]) -> Steps[tuple[Value, FetchedParameters | None]]:
        """Fetch while ``work`` is done; return its value, and the parameters or None as above."""
        asked = yield Now()
        *snapshots, value = yield All(self._plain_fetches, work)
        return value, self._join(snapshots, asked)

    @cached_property
    def _plain_fetches(self) -> tuple[Ask, ...]:
        """The asks of a fetch that waits for nothing, which are always the same."""
        return self._fetches(self._fetch_call())

    def _fetch_call(self, next_version: int = 0) -> Call[Snapshot]:
        return FetchNext(self.replica, next_version) if next_version else Fetch(self.replica)

    def _fetches(self, call: Call[Snapshot]) -> tuple[Ask, ...]:
        calls = [call] * len(self.shards.names)
        return self._asks(calls, replies=self.sizes)

    def _fetch_one_version(self, next_version: int) -> Steps[Snapshots]:
        """Fetch from the first shard, and exactly its version from the others.

        If that took so long that one of them has forgotten this version, begin again.
        """
        call = self._fetch_call(next_version)
        while True:
            first = yield from ask(self.shards.names[0], call, reply=self.sizes[0])
            if isinstance(first, Signal):
                return [first]
            calls = [FetchAt(self.replica, first.version)] * (len(self.shards.names) - 1)
            others = yield All(self._asks(calls, 1, replies=self.sizes[1:]))
            kept = [other for other in others if other is not None]
            if len(kept) == len(others):
                return [first, *kept]

    def _fetch_one_update(self, next_version: int) -> Steps[Snapshots]:
        """Fetch from the first shard, and from the others once they are as far.

        Without this, with backups, a late replica could meet the first shard after an update and
        the others before it. The first would take its gradient for the next update, the others
        would call it late and wait for it for ever.
        """
        call = self._fetch_call(next_version)
        first = yield from ask(self.shards.names[0], call, reply=self.sizes[0])
        if isinstance(first, Signal):
            return [first]
        calls = [FetchNext(self.replica, first.version)] * (len(self.shards.names) - 1)
        others = yield All(self._asks(calls, 1, replies=self.sizes[1:]))
        return [first, *others]

    def _join(self, answers: Snapshots, asked: float) -> FetchedParameters | None:
        """Return the parameters, dated by the shard whose part is the oldest.

        A part was current when it was ``asked`` for, so that the way back belongs to its age. If
        the fetch waited for a push, the part was current from then on.
        """
        snapshots = [answer for answer in answers if isinstance(answer, Snapshot)]
        if len(snapshots) < len(answers):
            return None  # the run is coming to rest
        return FetchedParameters(
            self.shards.join([snapshot.value for snapshot in snapshots]),
            tuple([snapshot.version for snapshot in snapshots]),
            max(asked, min([snapshot.seconds for snapshot in snapshots])),
            any(snapshot.ended for snapshot in snapshots),
        )

    # --- push

    def push(
        self,
        item: Item,
        gradient: ScaledGradient,
        at: FetchedParameters,
        frames: int,
        weight: int,
    ) -> Steps[list[Ack]]:
        """Push a gradient that was computed ``at`` these parameters; return each shard's Ack.

        Where the first shard decides and does not apply the push, the others are not asked.
        ``frames`` and ``weight``: see ``messages.Push``.
        """
        sent = yield Now()
        parts = self._parts(gradient.total)
        sizes = [
            size if part is None else part.nbytes
            for part, size in zip(parts, self.sizes, strict=True)
        ]
        pushes = [
            Push(item, part, version, self.replica, frames, weight, sent, gradient.scale)
            for part, version in zip(parts, at.versions, strict=True)
        ]
        if not self.together:
            acks: list[Ack] = yield All(self._asks(pushes, sizes=sizes))
            return acks

        first: Ack = yield Ask(self.shards.names[0], pushes[0], sizes[0])
        synchronous = self.asynchrony.synchronous
        applied = first.status is PushStatus.APPLIED
        if not applied and not (synchronous and first.status is PushStatus.REJECTED):
            return [first]
        order = None if synchronous else first.version
        following = [replace(push, order=order) for push in pushes[1:]]
        others: list[Ack] = yield All(self._asks(following, 1, sizes=sizes[1:]))
        return [first, *others]

    def _parts(self, total: AnyGradient | None) -> Sequence[AnyGradient | None]:
        """Return the part of a gradient for each shard, as it travels."""
        parts = self.shards.parts(total)
        wire = self.asynchrony.wire
        if wire == "float32":
            return parts
        return [narrow(part, wire) if isinstance(part, np.ndarray) else part for part in parts]

    # --- schedule and end

    def leave(self, frames: int) -> Steps[None]:
        """Report that this replica pushes no more; see ``messages.Leave``."""
        version: int = yield Ask(self.shards.names[0], Leave(self.replica, frames))
        call = Leave(self.replica, frames, version if self.together else None)
        yield All(self._asks([call] * (len(self.shards.names) - 1), 1))

    def decay(self, times: int) -> Steps[None]:
        """Report to every shard how often the learning rate has fallen."""
        yield All(self._asks([Decay(times)] * len(self.shards.names)))

    def end_training(self) -> Steps[None]:
        """End training at every shard."""
        yield All(self._asks([EndTraining()] * len(self.shards.names)))

    def _asks(
        self,
        calls: Sequence[Call[object]],
        first: int = 0,
        sizes: Sequence[int] = (),
        replies: Sequence[int] = (),
    ) -> tuple[Ask, ...]:
        """Return the asks that send one call to each shard from ``first`` on.

        ``sizes`` and ``replies``: bytes sent and received, by default 0.
        """
        nothing = (0,) * len(calls)
        names = self.shards.names[first:]
        asks = zip(names, calls, sizes or nothing, replies or nothing, strict=True)
        return tuple(starmap(Ask, asks))
