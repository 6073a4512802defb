"""Talking to all shards of the parameter server: fetch, push, leave; to be used with ``yield from``.

Usually all shards are spoken to at once and each decides for itself, so one fetch may join different versions, as in
the paper. Where they must agree (``together``: synchronous, staleness bound, consistent fetch) the first shard is
spoken to first and the others follow it.
"""

from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from workbench.engine.effects import RESTING, All, Ask, Effect, Now, Signal, Work
from workbench.settings import Settings
from workbench.training.messages import Ack, Factored, Item, Parameters, Push, Snapshot, Status
from workbench.training.rounding import narrow
from workbench.training.shards import Shards

Talk = Generator[Effect, Any, Any]


@dataclass(frozen=True, eq=False)
class Conversation:
    """One component's way to the parameter server."""

    shards: Shards
    settings: Settings

    @property
    def together(self) -> bool:
        """Whether the first shard decides for all."""
        s = self.settings
        return len(self.shards.names) > 1 and bool(
            s.asynchrony.synchronous
            or s.asynchrony.staleness_bound
            or s.asynchrony.consistent_fetch
        )

    @property
    def sizes(self) -> tuple[int, ...]:
        """Bytes of each shard as it travels."""
        return tuple(
            size // 2 if self.settings.asynchrony.wire == "bfloat16" else size
            for size in self.shards.sizes
        )

    def fetch(self, replica: str = "", next_version: int = 0, instant: int | None = None) -> Talk:
        """``Parameters``, or None if the run is coming to rest.

        ``replica`` names who will push gradients made with them; with ``next_version`` they are at least of that
        version; ``instant`` asks for those of the ``instant``-th common fetch of all decoders.
        """
        method, args = fetch_call(replica, next_version, instant)
        if (
            self.settings.asynchrony.consistent_fetch
            and len(self.shards.names) > 1
            and instant is None
        ):
            snapshots = yield from self._same_version(method, args, replica)
        elif (
            self.settings.asynchrony.synchronous and len(self.shards.names) > 1 and instant is None
        ):
            snapshots = yield from self._same_update(method, args, replica)
        else:
            snapshots = yield from self._each(
                [(method, args)] * len(self.shards.names), replies=self.sizes
            )
        return self._joined(snapshots, (yield Now()))

    def fetch_during(self, work: Work, replica: str) -> Talk:
        """(the value of ``work``, the ``Parameters`` that were fetched while it was done, or None as in ``fetch``)."""
        seconds, (method, args) = (yield Now()), fetch_call(replica, 0, None)
        asks = (
            Ask(name, method, args, 0, size)
            for name, size in zip(self.shards.names, self.sizes, strict=True)
        )
        *snapshots, value = yield All(tuple(asks), work)
        return value, self._joined(snapshots, seconds)

    def _joined(self, snapshots: list, seconds: float) -> Parameters | None:
        if any(s is RESTING for s in snapshots):
            return None
        theta = self.shards.join([s.value for s in snapshots])
        return Parameters(
            theta, tuple(s.version for s in snapshots), seconds, any(s.ended for s in snapshots)
        )

    def push(
        self,
        item: Item,
        total: np.ndarray | Factored | None,
        scale: float,
        at: Parameters,
        replica: str,
        frames: int,
        weight: int,
    ) -> Talk:
        """Push a gradient over the trained parameters; answers the ``Ack`` of each shard that was asked."""
        parts = [
            narrow(p, self.settings) if isinstance(p, np.ndarray) else p
            for p in self.shards.parts(total)
        ]
        sizes = tuple(self.sizes[i] if p is None else p.nbytes for i, p in enumerate(parts))
        pushes = [
            Push(item, g, v, replica, frames, weight, scale)
            for g, v in zip(parts, at.versions, strict=True)
        ]
        if not self.together:
            return (yield from self._each([("push", (p,)) for p in pushes], sizes=sizes))
        first: Ack = yield Ask(self.shards.names[0], "push", (pushes[0],), sizes[0])
        follow = first.status is Status.APPLIED or (
            first.status is Status.REJECTED and self.settings.asynchrony.synchronous
        )
        if not follow:
            return [first]
        order = None if self.settings.asynchrony.synchronous else first.version
        others = [replace(p, order=order) for p in pushes[1:]]
        return [first, *(yield from self._each([("push", (p,)) for p in others], 1, sizes[1:]))]

    def leave(self, replica: str, frames: int) -> Talk:
        """Say good-bye: ``replica`` is not waited for any more."""
        version = yield Ask(self.shards.names[0], "leave", (replica, frames))
        yield from self._each(
            [("leave", (replica, frames, version if self.together else None))]
            * (len(self.shards.names) - 1),
            1,
        )

    def tell(self, method: str, *args: Any) -> Talk:
        """The same call to every shard."""
        return (yield from self._each([(method, args)] * len(self.shards.names)))

    def _same_version(self, method: str, args: tuple, replica: str) -> Talk:
        while True:
            first: Snapshot | Signal = yield Ask(
                self.shards.names[0], method, args, 0, self.sizes[0]
            )
            if isinstance(first, Signal):
                return [first]
            at = [("fetch_at", (replica, first.version))] * (len(self.shards.names) - 1)
            others = yield from self._each(at, 1, replies=self.sizes[1:])
            if all(
                s is not None for s in others
            ):  # None: that version is forgotten, because this took long
                return [first, *others]

    def _same_update(self, method: str, args: tuple, replica: str) -> Talk:
        """Synchronous: the others once they are as far as the first.

        Else, with backups, a late replica could meet the first shard after an update and the others before it. The
        first would take its gradient for the next update, the others would call it late, and wait for it for ever.
        """
        first: Snapshot | Signal = yield Ask(self.shards.names[0], method, args, 0, self.sizes[0])
        if isinstance(first, Signal):
            return [first]
        calls = [("fetch_next", (replica, first.version))] * (len(self.shards.names) - 1)
        return [first, *(yield from self._each(calls, 1, replies=self.sizes[1:]))]

    def _each(
        self, calls: list[tuple[str, tuple]], first: int = 0, sizes: tuple = (), replies: tuple = ()
    ) -> Talk:
        """One call to each shard from ``first`` on, all at once."""
        none = (0,) * len(calls)
        asks = zip(self.shards.names[first:], calls, sizes or none, replies or none, strict=True)
        return (
            yield All(
                tuple(
                    Ask(name, method, args, size, reply)
                    for name, (method, args), size, reply in asks
                )
            )
        )


def fetch_call(replica: str, next_version: int, instant: int | None) -> tuple[str, tuple]:
    """The server's method and its arguments; see ``Conversation.fetch``."""
    if instant is not None:
        return "fetch_instant", (instant,)
    return ("fetch_next", (replica, next_version)) if next_version else ("fetch", (replica,))
