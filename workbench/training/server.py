"""The parameter server: one shard of the trained parameters, and the only place where they change.

Rules. It serves one call at a time, so it needs no locks; only what a push leads to may be made ``ahead`` of its turn.
What a fetch gave away is never written again while anybody can see it (see ``workbench.memory``). A push is known by
its item: sent twice, it counts once. A gradient that is not finite never enters; ten in a row raise ``Diverged``.
Shards do not know of each other and may be at different versions, as in the paper. Where all shards must agree on what
is applied, and in which order (staleness bound, consistent fetch), a push goes to the first shard, which decides, and
then to the others with the ``order`` it got; see ``shards``.
Synchronous updates wait for all replicas that have not left, less the backups (Chen et al. 2016, *Revisiting
distributed synchronous SGD*), and are the mean over all frames.

A method that answers ``NOT_YET`` is asked again when ``released`` has changed.
"""

import hashlib
import math
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from workbench import memory
from workbench.engine.effects import NOT_YET
from workbench.settings import Settings, UserError
from workbench.training.ledger import Ledger
from workbench.training.messages import Ack, Factored, Progress, Push, Snapshot, Status
from workbench.training.rounding import narrow, wide
from workbench.training.server_state import Deposit, ServerState
from workbench.training.updates import (
    Prepared,
    compensated,
    direction,
    finite,
    moved,
    plain,
    rate,
    scaled,
    whole,
)

REJECTIONS = 10  # in a row, before training has diverged


class Diverged(UserError):
    """Gradient after gradient is not finite."""


class ParameterServer:
    """One shard; ``ParameterServer(value, settings)`` is a whole server of one shard."""

    def __init__(self, value: np.ndarray | ServerState, settings: Settings):
        state = value if isinstance(value, ServerState) else ServerState(value)
        self.settings, self.version, self.frames = settings, state.version, state.frames
        self.value = memory.floats(len(state.value))
        self.value[:] = state.value
        self.ledger, self.memory = Ledger(*state.settled), state.memory
        self.decays, self.ended, self.left = state.decays, state.ended, dict(state.left)
        self.deposit, self.instant, self.frozen = state.deposit, state.instant, state.frozen
        self.given, self.rejected = dict(state.given), state.rejected
        self.snapshot: Snapshot | None = None  # of the current version, once somebody fetched it
        self.history: deque[Snapshot] = deque(
            maxlen=2 * settings.asynchrony.replicas + 2
            if settings.asynchrony.consistent_fetch
            else 0
        )
        self.early: dict[int, Push] = {}  # by order: pushes that overtook another
        self.prepared: Prepared | None = None
        self.awaited = math.inf  # frames that somebody waits for
        self.released = 0

    def state(self) -> ServerState:
        """To be saved, and made again by ``ParameterServer(state, settings)``; only while no push is under way."""
        if self.early:
            raise RuntimeError(f"pushes {sorted(self.early)} still wait for an earlier one")
        return ServerState(
            self.value.copy(),
            self.version,
            self.frames,
            self.ledger.state(),
            self.memory,
            self.decays,
            self.ended,
            tuple(self.left.items()),
            self.deposit,
            self.instant,
            self.frozen,
            tuple(self.given.items()),
            self.rejected,
        )

    def __reduce__(self) -> tuple:
        return ParameterServer, (
            self.state(),
            self.settings,
        )  # so that it can move to a worker, and back

    def digest(self) -> str:
        """Twelve hexadecimal digits that name version and parameters."""
        return hashlib.sha256(
            self.version.to_bytes(8, "little") + self.value.tobytes()
        ).hexdigest()[:12]

    # --- fetch

    def fetch(self, replica: str = "") -> Snapshot:
        """The current parameters; a ``replica`` that names itself is remembered for delay compensation."""
        if self.snapshot is None:
            view = narrow(self.value, self.settings).view()
            view.flags.writeable = False
            self.snapshot = Snapshot(self.version, view, self.ended)
        if replica and self.settings.asynchrony.delay_compensation:
            self.given[replica] = self.snapshot
        return self.snapshot

    def fetch_next(self, replica: str, version: int) -> Snapshot | Any:
        """The current parameters once they are at ``version`` or beyond, or training has ended."""
        return self.fetch(replica) if self.version >= version or self.ended else NOT_YET

    def fetch_at(self, replica: str, version: int) -> Snapshot | Any:
        """The parameters of exactly that version; None if they are no longer kept."""
        if version > self.version:
            return NOT_YET
        if version == self.version:
            return self.fetch(replica)
        found = next((s for s in self.history if s.version == version), None)
        if found and replica and self.settings.asynchrony.delay_compensation:
            self.given[replica] = found
        return found

    def fetch_instant(self, instant: int) -> Snapshot:
        """What was current when the ``instant``-th fetch of all decoders together was first asked for."""
        if instant > self.instant or self.frozen is None:
            self.instant, self.frozen = instant, self.fetch()
        return self.frozen if not self.ended else self.fetch()

    # --- push

    def ahead(self, method: str, args: tuple) -> Callable[[], None] | None:
        """The long part of a call, see ``effects.Ask``; none where it is short."""
        wanted = (
            method == "push" and plain(self.settings) and not self.settings.asynchrony.synchronous
        )
        return partial(self.prepare, *args) if wanted else None

    def prepare(self, push: Push) -> None:
        """Make the parameters that ``push`` would lead to now; nothing changes."""
        version, value, total = self.version, self.value, push.gradient
        settled = push.item in self.ledger or push.order is not None or self.ended
        if (
            total is None
            or settled
            or 0 < self.settings.asynchrony.staleness_bound < version - push.version
        ):
            return
        by = self.step_size(push.scale, version - push.version)
        out = memory.floats(len(value))
        self.prepared = Prepared(total, version, by, out, moved(value, by, total, out))

    def push(self, push: Push) -> Ack:
        """Apply the gradient, or say why not."""
        version = self.version if push.order is None else push.order
        status = self.decide(push)
        if status not in (Status.DUPLICATE, Status.ENDED, Status.STALE) and push.order is None:
            self.settle(push)
        return Ack(status, version, self.ended)

    def decide(self, push: Push) -> Status:
        if push.item in self.ledger or (push.order is not None and push.order in self.early):
            return Status.DUPLICATE
        if push.order is not None:
            return self.follow(push, push.order)
        if self.ended:
            return Status.ENDED
        staleness = self.version - push.version
        assert staleness >= 0, (
            f"{push.replica} pushed from version {push.version}, but the server is at {self.version}"
        )
        keeps = (
            self.settings.asynchrony.synchronous or self.settings.updates.optimizer != "sgd"
        )  # what is not finite would stay for good
        gradient = (
            None
            if push.gradient is None or (keeps and not finite(push.gradient))
            else push.gradient
        )
        if self.settings.asynchrony.synchronous:
            return self.add(push, gradient)
        if gradient is not None and 0 < self.settings.asynchrony.staleness_bound < staleness:
            return Status.STALE
        if gradient is None or not self.apply(gradient, push.scale, push.replica, staleness):
            return self.reject(push)
        return Status.APPLIED

    def follow(self, push: Push, order: int) -> Status:
        """Apply in the order in which the first shard did; what came early waits. What that one applied, all apply."""
        self.early[order] = push
        while self.version in self.early:
            due = self.early.pop(self.version)
            assert due.gradient is not None  # the first shard applied it
            self.apply(
                due.gradient, due.scale, due.replica, self.version - due.version, agreed=True
            )
            self.settle(due)
        return Status.APPLIED

    def settle(self, push: Push) -> None:
        self.ledger.add(push.item)
        self.visit(push.frames)

    def visit(self, frames: int) -> None:
        self.frames += frames
        if self.frames >= self.awaited:
            self.awaited, self.released = math.inf, self.released + 1

    def reject(self, push: Push) -> Status:
        self.rejected += push.gradient is not None or math.isnan(push.scale)
        if self.rejected >= REJECTIONS:
            raise Diverged(
                f"{REJECTIONS} gradients in a row are not finite, the last from {push.replica}: lower learning_rate"
            )
        return Status.REJECTED

    def add(self, push: Push, gradient: np.ndarray | Factored | None) -> Status:
        """One replica's part of the synchronous update after ``push.version``; empty if it cannot be used."""
        if push.version < self.version:
            return Status.LATE
        total, weight = self.deposit.total, self.deposit.weight
        if gradient is not None:
            part = scaled(whole(gradient), push.scale * push.weight)
            total, weight = part if total is None else total + part, weight + push.weight
        status = self.reject(push) if gradient is None else Status.APPLIED
        self.deposit = Deposit(total, weight, (*self.deposit.replicas, push.replica))
        self.complete()
        return status

    def complete(self) -> None:
        """Update if no more gradients are to be waited for."""
        gone = sum(version <= self.version for version in self.left.values())
        if len(self.deposit.replicas) >= max(
            1, self.settings.asynchrony.replicas - gone - self.settings.asynchrony.backups
        ):
            done, self.deposit = self.deposit, Deposit()
            total = np.zeros_like(self.value) if done.total is None else done.total
            self.apply(total, 1 / max(1, done.weight), "", 0, agreed=True)

    def apply(
        self,
        total: np.ndarray | Factored,
        scale: float,
        replica: str,
        staleness: int,
        agreed: bool = False,
    ) -> bool:
        """``theta + rate * direction``; False, and nothing has changed, if that direction is not finite.

        ``agreed``: others count on this version, so it comes in any case, with the old parameters if need be.
        """
        if plain(self.settings):
            step, by = total, self.step_size(scale, staleness)
        else:
            step, by = scaled(whole(total), scale), self.step_size(1.0, staleness)
            if replica in self.given:
                then = wide(self.given[replica].value)
                step = compensated(
                    step, self.settings.asynchrony.delay_compensation, self.value, then
                )
            step, self.memory = direction(self.settings, step, self.memory)
        ready, self.prepared = self.prepared, None
        if ready and ready.total is total and (ready.version, ready.rate) == (self.version, by):
            out, good = ready.value, ready.good
        else:
            out = memory.floats(
                len(self.value)
            )  # that of a former version which nobody sees any more, if there is one
            good = moved(self.value, by, step, out)
        if not (good or agreed):
            return False
        if self.settings.asynchrony.consistent_fetch:
            self.history.append(self.fetch())
        if good:
            self.value = out
        self.snapshot = None
        self.version += 1
        self.rejected = 0
        self.released += (
            self.settings.asynchrony.synchronous or self.settings.asynchrony.consistent_fetch
        )
        return True

    def step_size(self, scale: float, staleness: int) -> float:
        """What the next update multiplies a gradient of this ``scale`` with."""
        return rate(self.settings, self.version, self.decays, staleness) * scale

    # --- schedule and end

    def reached(self, frames: int) -> Progress | Any:
        """How far training is, once so many frames of the corpus were visited or no more will come."""
        over = self.ended or len(self.left) >= self.settings.asynchrony.replicas
        if self.frames < frames and not over:
            self.awaited = min(self.awaited, frames)
            return NOT_YET
        return Progress(self.version, self.frames, over)

    def decay(self, times: int) -> None:
        """The learning rate has fallen so many times."""
        self.decays = max(self.decays, times)

    def end(self) -> None:
        """Training has ended: whoever fetches or pushes learns it, and nothing changes any more."""
        self.ended, self.snapshot = True, None
        self.released += 1

    def leave(self, replica: str, frames: int = 0, version: int | None = None) -> int:
        """``replica`` pushes no more, and has visited ``frames`` of the corpus since its last push.

        The answer is the version from which on it is not waited for; the other shards are told this one.
        """
        if replica not in self.left:
            own = self.version + (
                replica in self.deposit.replicas
            )  # its part of this update still counts
            self.left[replica] = own if version is None else version
            self.visit(frames)
            if self.deposit.replicas:
                self.complete()
            self.released += 1
        return self.left[replica]
