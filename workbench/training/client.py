"""A component's conversation with all shards of the parameter server; for use with ``yield from``.

Usually a component talks to all shards at once and each shard decides for itself, so one fetch may
join different versions, as in the paper. Where shards must agree (synchronous, staleness bound,
consistent fetch) the first shard is asked first and the others follow it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple, TypeVar, cast

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

Reply = TypeVar("Reply")
Value = TypeVar("Value")
Snapshots = list[Snapshot | Signal]
FOREVER_AGO = -math.inf


class ScaledGradient(NamedTuple):
    """What a replica pushes: a sum over frames, and the factor that makes it the mean."""

    total: AnyGradient | None  # over the trained parameters; None: there is no gradient to use
    scale: float  # NaN: the gradient was not finite


@dataclass(frozen=True, eq=False)
class ParameterClient:
    """One component's access to the parameter server."""

    shards: Shards
    asynchrony: AsynchronySettings

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

    def fetch(self, replica: str = "", next_version: int = 0) -> Steps[FetchedParameters | None]:
        """Fetch all parameters; the result is None if the run is coming to rest.

        ``replica`` names the replica that will push gradients made with them. With ``next_version``
        the fetch waits until they are at least of that version.
        """
        asked = yield Now()
        call: Call[Snapshot] = FetchNext(replica, next_version) if next_version else Fetch(replica)
        if self._several and self.asynchrony.consistent_fetch:
            snapshots = yield from self._fetch_one_version(call, replica)
        elif self._several and self.asynchrony.synchronous:
            snapshots = yield from self._fetch_one_update(call, replica)
        else:
            snapshots = yield from self._fetch_from_each(call)

        return self._join(snapshots, asked)

    def fetch_instant(self, instant: int) -> Steps[FetchedParameters | None]:
        """Fetch the parameters of the decoders' common fetch number ``instant``; None as above."""
        asked = yield Now()
        snapshots = yield from self._fetch_from_each(FetchInstant(instant, asked))
        return self._join(snapshots, FOREVER_AGO)

    def fetch_during(
        self, work: Work[Value], replica: str
    ) -> Steps[tuple[Value, FetchedParameters | None]]:
        """Fetch while ``work`` is done; return its value, and the parameters or None as above."""
        asked = yield Now()
        asks = tuple(
            Ask(name, Fetch(replica), reply=size)
            for name, size in zip(self.shards.names, self.sizes, strict=True)
        )
        *snapshots, value = yield All(asks, work)
        return value, self._join(snapshots, asked)

    def _fetch_from_each(self, call: Call[Snapshot]) -> Steps[Snapshots]:
        calls = [call] * len(self.shards.names)
        return (yield from self._ask_each(calls, replies=self.sizes))

    def _fetch_one_version(self, call: Call[Snapshot], replica: str) -> Steps[Snapshots]:
        """Fetch from the first shard, and exactly its version from the others.

        If that took so long that one of them has forgotten this version, begin again.
        """
        while True:
            first = yield from ask(self.shards.names[0], call, reply=self.sizes[0])
            if isinstance(first, Signal):
                return [first]
            calls = [FetchAt(replica, first.version)] * (len(self.shards.names) - 1)
            others = yield from self._ask_each(calls, 1, replies=self.sizes[1:])
            kept = [other for other in others if other is not None]
            if len(kept) == len(others):
                return [first, *kept]

    def _fetch_one_update(self, call: Call[Snapshot], replica: str) -> Steps[Snapshots]:
        """Fetch from the first shard, and from the others once they are as far.

        Without this, with backups, a late replica could meet the first shard after an update and
        the others before it. The first would take its gradient for the next update, the others
        would call it late and wait for it for ever.
        """
        first = yield from ask(self.shards.names[0], call, reply=self.sizes[0])
        if isinstance(first, Signal):
            return [first]
        calls = [FetchNext(replica, first.version)] * (len(self.shards.names) - 1)
        others = yield from self._ask_each(calls, 1, replies=self.sizes[1:])
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
            tuple(snapshot.version for snapshot in snapshots),
            max(asked, min(snapshot.seconds for snapshot in snapshots)),
            any(snapshot.ended for snapshot in snapshots),
        )

    # --- push

    def push(
        self,
        item: Item,
        gradient: ScaledGradient,
        at: FetchedParameters,
        replica: str,
        frames: int,
        weight: int,
    ) -> Steps[list[Ack]]:
        """Push a gradient that was computed ``at`` these parameters; return each shard's Ack.

        Where the first shard decides and does not apply the push, the others are not asked.
        ``frames`` and ``weight``: see ``messages.Push``.
        """
        sent = yield Now()
        parts = [self._for_the_wire(part) for part in self.shards.parts(gradient.total)]
        sizes = [
            size if part is None else part.nbytes
            for part, size in zip(parts, self.sizes, strict=True)
        ]
        pushes = [
            Push(item, part, version, replica, frames, weight, sent, gradient.scale)
            for part, version in zip(parts, at.versions, strict=True)
        ]
        if not self.together:
            return (yield from self._push_each(pushes, sizes))

        first: Ack = yield Ask(self.shards.names[0], pushes[0], sizes[0])
        synchronous = self.asynchrony.synchronous
        applied = first.status is PushStatus.APPLIED
        if not applied and not (synchronous and first.status is PushStatus.REJECTED):
            return [first]
        order = None if synchronous else first.version
        following = [replace(push, order=order) for push in pushes[1:]]
        return [first, *(yield from self._push_each(following, sizes[1:], 1))]

    def _for_the_wire(self, part: AnyGradient | None) -> AnyGradient | None:
        return narrow(part, self.asynchrony.wire) if isinstance(part, np.ndarray) else part

    def _push_each(
        self, pushes: Sequence[Push], sizes: Sequence[int], first: int = 0
    ) -> Steps[list[Ack]]:
        answers = yield from self._ask_each(pushes, first, sizes=sizes)
        return cast(list[Ack], answers)  # a push never waits

    # --- schedule and end

    def leave(self, replica: str, frames: int) -> Steps[None]:
        """Report that ``replica`` pushes no more; see ``messages.Leave``."""
        version: int = yield Ask(self.shards.names[0], Leave(replica, frames))
        call = Leave(replica, frames, version if self.together else None)
        yield from self._ask_each([call] * (len(self.shards.names) - 1), 1)

    def decay(self, times: int) -> Steps[None]:
        """Report to every shard how often the learning rate has fallen."""
        yield from self._ask_each([Decay(times)] * len(self.shards.names))

    def end_training(self) -> Steps[None]:
        """End training at every shard."""
        yield from self._ask_each([EndTraining()] * len(self.shards.names))

    def _ask_each(
        self,
        calls: Sequence[Call[Reply]],
        first: int = 0,
        sizes: Sequence[int] = (),
        replies: Sequence[int] = (),
    ) -> Steps[list[Reply | Signal]]:
        """Send one call to each shard from ``first`` on, all at once; return the replies.

        ``sizes`` and ``replies``: bytes sent and received, by default 0.
        """
        nothing = (0,) * len(calls)
        names = self.shards.names[first:]
        asks = tuple(
            Ask(name, call, size, reply)
            for name, call, size, reply in zip(
                names, calls, sizes or nothing, replies or nothing, strict=True
            )
        )
        answers: list[Reply | Signal] = yield All(asks)
        return answers
