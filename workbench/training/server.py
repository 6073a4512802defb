"""The parameter server: one shard of the trained parameters, and the only place where they change.

A shard serves one call at a time, so it needs no locks; only the long part of a push may be done
``ahead`` of its turn. Published parameters are never written to while anybody holds them (see
``workbench.system.memory``). A push is known by its item: sent twice, it counts once. A gradient
that is not finite or too large is never applied; ten in a row raise ``Diverged``.

Shards do not know of each other and may be at different versions, as in the paper. Where all shards
must agree on which pushes are applied, and in which order (staleness bound, consistent fetch), a
push goes to the first shard, which decides, and then to the others with the ``order`` that it got;
see ``client``.

Synchronous updates wait for all replicas that have not left, less the backups (Chen et al. 2016,
*Revisiting distributed synchronous SGD*), and apply the mean over all frames.
"""

import hashlib
import math
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np

from workbench.engine.effects import NOT_YET, Call, Service, Signal
from workbench.settings import Settings
from workbench.system.vectors import Keep, Vector, as_array, keep_on_host
from workbench.training import updates
from workbench.training.ledger import Ledger
from workbench.training.messages import (
    Ack,
    AnyGradient,
    AwaitFrames,
    Decay,
    EndTraining,
    Fetch,
    FetchAt,
    FetchInstant,
    FetchNext,
    Leave,
    Push,
    PushStatus,
    Snapshot,
    TrainingProgress,
)
from workbench.training.rejections import check_rejections
from workbench.training.rounding import published, widen
from workbench.training.server_state import Deposit, ServerState
from workbench.training.updates import PreparedUpdate, Step

SETTLING = (PushStatus.APPLIED, PushStatus.LATE, PushStatus.REJECTED)


class ParameterServer(Service):
    """One shard; ``ParameterServer(value, settings)`` is a whole server of one shard.

    Made from a ``ServerState`` it continues from there. ``keep`` copies values to its memory.
    """

    def __init__(
        self, value: np.ndarray | ServerState, settings: Settings, keep: Keep = keep_on_host
    ):
        state = value if isinstance(value, ServerState) else ServerState(value)
        self.settings = settings
        self.keep = keep
        self.version = state.version
        self.frames = state.frames
        self.value: Vector = keep(state.value)
        self.memory = state.memory
        self.decays = state.decays
        self.ended = state.ended
        self.rejected = state.rejected
        self.halvings = state.halvings

        # Pushes: settled, part of a synchronous update, come before their turn, prepared.
        self.ledger = Ledger(*state.settled)
        self.deposit = state.deposit
        self.left = dict(state.left)
        self.early: dict[int, Push] = {}  # by order
        self.prepared: PreparedUpdate | None = None

        # Published snapshots: of this version, of the common fetch, of each replica, of old
        # versions.
        self.snapshot: Snapshot | None = None
        self.instant = state.instant
        self.frozen = state.frozen
        self.given = dict(state.given)
        kept = 2 * settings.asynchrony.replicas + 2 if settings.asynchrony.consistent_fetch else 0
        self.history: deque[Snapshot] = deque(maxlen=kept)

        self.pushed_at = 0.0  # when the newest push was sent
        self.changed_at = 0.0  # when the push that led to the present version was sent
        self.awaited = math.inf  # smallest number of frames for which a caller waits
        self.released = 0

    def state(self) -> ServerState:
        """Return the state to be saved; RuntimeError while a push waits for an earlier one."""
        if self.early:
            raise RuntimeError(f"pushes {sorted(self.early)} still wait for an earlier one")
        return ServerState(
            value=np.array(as_array(self.value)),
            version=self.version,
            frames=self.frames,
            settled=self.ledger.state(),
            memory=self.memory,
            decays=self.decays,
            ended=self.ended,
            left=tuple(self.left.items()),
            deposit=self.deposit,
            instant=self.instant,
            frozen=self.frozen,
            given=tuple(self.given.items()),
            rejected=self.rejected,
            halvings=self.halvings,
        )

    def __reduce__(self) -> tuple[type, tuple[ServerState, Settings]]:
        """Travel to a worker of a cluster, and back, as a state."""
        return ParameterServer, (self.state(), self.settings)

    def digest(self) -> str:
        """Return twelve hexadecimal digits that name version and parameters."""
        named = self.version.to_bytes(8, "little") + as_array(self.value).tobytes()
        return hashlib.sha256(named).hexdigest()[:12]

    def answer(self, call: Call[object]) -> object:
        """Return the reply to one of the calls in ``messages``, or ``NOT_YET``."""
        match call:
            case Push():
                return self.push(call)
            case FetchInstant():
                return self.fetch_instant(call.instant, call.seconds)
            case Fetch():
                return self.fetch(call.replica)
            case FetchNext(replica, version):
                return self.fetch_next(replica, version)
            case FetchAt(replica, version):
                return self.fetch_at(replica, version)
            case AwaitFrames(frames):
                return self.progress_at(frames)
            case Decay(times):
                self.decay(times)
                return None
            case EndTraining():
                self.end()
                return None
            case Leave(replica, frames, version):
                return self.leave(replica, frames, version)
        raise TypeError(f"the parameter server does not answer {type(call).__name__}")

    # --- fetch

    def fetch(self, replica: str = "") -> Snapshot:
        """Return the current parameters; delay compensation remembers them for ``replica``."""
        if self.snapshot is None:
            value = published(self.value, self.settings.asynchrony.wire)
            self.snapshot = Snapshot(self.version, value, self.ended, self.changed_at)
        self._remember(replica, self.snapshot)
        return self.snapshot

    def fetch_next(self, replica: str, version: int) -> Snapshot | Signal:
        """Return the current parameters once they are at ``version``, or training has ended."""
        if self.version < version and not self.ended:
            return NOT_YET
        return self.fetch(replica)

    def fetch_at(self, replica: str, version: int) -> Snapshot | Signal | None:
        """Return the parameters of exactly ``version``; None if they are no longer kept."""
        if version > self.version:
            return NOT_YET
        if version == self.version:
            return self.fetch(replica)
        for snapshot in self.history:
            if snapshot.version == version:
                self._remember(replica, snapshot)
                return snapshot

        return None

    def fetch_instant(self, instant: int, seconds: float) -> Snapshot:
        """Return the parameters that were current when number ``instant`` was first asked for.

        The first caller, who asks at ``seconds``, dates them for all.
        """
        if self.ended:
            return self.fetch()
        if instant > self.instant or self.frozen is None:
            self.instant = instant
            self.frozen = replace(self.fetch(), seconds=max(seconds, self.changed_at))
        return self.frozen

    def _remember(self, replica: str, snapshot: Snapshot) -> None:
        if replica and self.settings.asynchrony.delay_compensation:
            self.given[replica] = snapshot

    # --- push: decide

    def push(self, push: Push) -> Ack:
        """Apply the gradient, or return why it was not applied."""
        self.pushed_at = max(self.pushed_at, push.seconds)
        if push.order is not None:
            return Ack(self.follow(push, push.order), push.order, self.ended)

        version = self.version
        status = self._decide(push)
        if status in SETTLING:
            self.settle(push)
        return Ack(status, version, self.ended)

    def _decide(self, push: Push) -> PushStatus:
        """Apply a push for which this shard decides, unless there is a reason not to."""
        if push.item in self.ledger:
            return PushStatus.DUPLICATE
        if self.ended:
            return PushStatus.ENDED
        staleness = self.version - push.version
        assert staleness >= 0, (
            f"{push.replica} pushed from version {push.version}, "
            f"but the server is at {self.version}"
        )

        gradient = self._usable(push.gradient)
        if self.settings.asynchrony.synchronous:
            return self._deposit(push, gradient)
        if gradient is None:
            return self._reject(push)
        if self.too_stale(staleness):
            return PushStatus.STALE
        step = self.make_step(gradient, push.scale, push.replica, staleness)
        if not self.apply(step, push.replica):
            return self._reject(push)
        return PushStatus.APPLIED

    def _usable(self, gradient: AnyGradient | None) -> AnyGradient | None:
        """Return the gradient, or None where it would leave numbers behind that are not finite.

        A plain update is checked while it is applied. The memory of an optimizer and a synchronous
        sum would keep such numbers for good, so there the gradient is checked before.
        """
        keeps = self.settings.asynchrony.synchronous or self.settings.updates.optimizer != "sgd"
        if gradient is None or (keeps and not updates.is_finite(gradient)):
            return None
        return gradient

    def too_stale(self, staleness: int) -> bool:
        """Return whether a gradient is older than the bound allows, if there is one."""
        return 0 < self.settings.asynchrony.staleness_bound < staleness

    def follow(self, push: Push, order: int) -> PushStatus:
        """Apply a push as the first shard did, in its order; one that overtook others waits."""
        if push.item in self.ledger or order in self.early:
            return PushStatus.DUPLICATE

        self.early[order] = push
        while self.version in self.early:
            due = self.early.pop(self.version)
            assert due.gradient is not None  # the first shard has applied it
            staleness = self.version - due.version
            step = self.make_step(due.gradient, due.scale, due.replica, staleness)
            self.apply(step, due.replica, agreed=True)
            self.settle(due)
        return PushStatus.APPLIED

    def settle(self, push: Push) -> None:
        """Count the item of a push and its frames as settled."""
        self.ledger.add(push.item)
        self._visit(push.frames)

    def _reject(self, push: Push) -> PushStatus:
        """Count gradients that cannot be used; a push of no frames at all does not count."""
        if push.gradient is not None or math.isnan(push.scale):
            self._count_rejection(push.replica)
        return PushStatus.REJECTED

    def _count_rejection(self, replica: str) -> None:
        """Count one more in a row; raises Diverged if these are too many."""
        self.rejected += 1
        check_rejections(self.rejected, replica)

    # --- push: synchronous updates

    def _deposit(self, push: Push, gradient: AnyGradient | None) -> PushStatus:
        """Add one replica's part of the update after ``push.version``; empty without a gradient."""
        if push.version < self.version:
            return PushStatus.LATE

        total = self.deposit.total
        weight = self.deposit.weight
        if gradient is None:
            status = self._reject(push)
        else:
            status = PushStatus.APPLIED
            part = updates.multiply(updates.as_array(gradient), push.scale * push.weight)
            total = part if total is None else total + part
            weight += push.weight

        self.deposit = Deposit(total, weight, (*self.deposit.replicas, push.replica))
        self._complete()
        return status

    def _complete(self) -> None:
        """Apply the synchronous update if it need not wait for more gradients."""
        asynchrony = self.settings.asynchrony
        gone = sum(version <= self.version for version in self.left.values())
        if len(self.deposit.replicas) < max(1, asynchrony.replicas - gone - asynchrony.backups):
            return

        done = self.deposit
        self.deposit = Deposit()
        if done.total is None:  # all of them were refused and counted
            self._publish(None, self.memory)
            return
        step = self.make_step(done.total, 1 / max(1, done.weight), "", 0)
        self.apply(step, done.replicas[-1], agreed=True)

    # --- push: apply

    def make_step(self, total: AnyGradient, scale: float, replica: str, staleness: int) -> Step:
        """Return the step that ``scale * total`` leads to, with the optimizer's memory after it."""
        if updates.is_plain(self.settings):
            return Step(total, self._rate(staleness) * scale)

        gradient = updates.multiply(updates.as_array(total), scale)
        if replica in self.given:
            strength = self.settings.asynchrony.delay_compensation
            then = widen(as_array(self.given[replica].value))
            gradient = updates.compensate(gradient, strength, as_array(self.value), then)

        rule = self.settings.updates
        direction, after = updates.follow_rule(rule, gradient, self.memory)
        return Step(direction, self._rate(staleness), after)

    def _rate(self, staleness: int) -> float:
        """Return the learning rate of the next update.

        With ``staleness_step`` it is divided by the staleness of the gradient (Zhang et al. 2016,
        *Staleness-aware Async-SGD*, equation 6).
        """
        rule = self.settings.updates
        rate = updates.learning_rate(rule, self.version, self.decays, self.halvings)
        if self.settings.asynchrony.staleness_step:
            rate /= max(1, staleness)
        return rate

    def apply(self, step: Step, replica: str, agreed: bool = False) -> bool:
        """Publish the parameters that the step leads to; return False if it is not usable.

        Then nothing has changed, unless shards or replicas have ``agreed`` on this version: then it
        is published in any case, with the old parameters.
        """
        value = self.value_after(step)
        if value is None and not agreed:
            return False

        if value is None:
            self._count_rejection(replica)
        else:
            self.rejected = 0
        self._publish(value, self.memory if value is None else step.memory)
        return True

    def _publish(self, value: Vector | None, memory: np.ndarray | None) -> None:
        """Publish a version, with parameters that are new unless they are None."""
        if self.settings.asynchrony.consistent_fetch:
            self.history.append(self.fetch())
        if value is not None:
            self.value = value
        self.memory = memory
        self.snapshot = None
        self.version += 1
        self.changed_at = self.pushed_at
        if self.settings.asynchrony.synchronous or self.settings.asynchrony.consistent_fetch:
            self.released += 1

    def value_after(self, step: Step) -> Vector | None:
        """Return the parameters after the step, prepared or new; None if it is not usable."""
        ready = self.prepared
        self.prepared = None
        if step.memory is not None and not np.isfinite(step.memory).all():
            return None
        if ready is not None and ready.leads_from(self.version, step):
            return ready.value if ready.usable else None

        moved = updates.move(self.value, step)
        return moved.value if moved.usable else None

    # --- push: ahead of its turn

    def ahead(self, call: object) -> Callable[[], None] | None:
        """Return a function that prepares the parameters of a push; None where that is short."""
        if not isinstance(call, Push) or self.settings.asynchrony.synchronous:
            return None
        return partial(self._prepare, call) if updates.is_plain(self.settings) else None

    def _prepare(self, push: Push) -> None:
        """Compute the parameters that ``push`` would lead to now; what the server answers stays."""
        version = self.version
        value = self.value
        staleness = version - push.version
        decided = push.item in self.ledger or push.order is not None or self.ended
        if push.gradient is None or decided or self.too_stale(staleness):
            return

        step = Step(push.gradient, self._rate(staleness) * push.scale)
        moved = updates.move(value, step)
        self.prepared = PreparedUpdate(push.gradient, version, step.rate, *moved)

    # --- schedule and end

    def progress_at(self, frames: int) -> TrainingProgress | Signal:
        """Return the progress once ``frames`` frames were visited, or no more will be."""
        over = self.ended or len(self.left) >= self.settings.asynchrony.replicas
        if self.frames < frames and not over:
            self.awaited = min(self.awaited, frames)
            return NOT_YET
        return TrainingProgress(self.version, self.frames, over)

    def decay(self, times: int) -> None:
        """Divide the learning rate, so that it has fallen ``times`` times since the start."""
        self.decays = max(self.decays, times)

    def end(self) -> None:
        """End training: every later fetch and push says so, and no parameters change any more."""
        self.ended = True
        self.snapshot = None
        self.released += 1

    def leave(self, replica: str, frames: int = 0, version: int | None = None) -> int:
        """Stop waiting for ``replica``, which has visited ``frames`` frames since its last push.

        Return the version from which on updates do not wait for it: ``version``, or one that this
        shard chooses. A replica that has pushed to the present update still counts in it.
        """
        if replica not in self.left:
            chosen = self.version + (replica in self.deposit.replicas)
            self.left[replica] = chosen if version is None else version
            self._visit(frames)
            if self.deposit.replicas:
                self._complete()
            self.released += 1

        return self.left[replica]

    def _visit(self, frames: int) -> None:
        self.frames += frames
        if self.frames >= self.awaited:
            self.awaited = math.inf
            self.released += 1
