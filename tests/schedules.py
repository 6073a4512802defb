"""Random schedules of faults for the protocol of training, in virtual time; seed by seed the same.

What runs is what trains: the generators of `workbench.training`, its servers, the channels and the
executor of `workbench.engine`, and checkpoints that pass through their bytes. Only the network, the
machines and the disk are played. A fault that a cluster answers with `Lost` (a reply that does not
come, a worker that dies or hangs) does so here, and all go back to the last checkpoint, as
`workbench.runs.drive` does.

The gradient of a frame is 1 in the frame's own place, and the step size undoes the mean. So the
parameters are a ledger, which counts exactly how often each frame was applied.
"""

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
from counting import Counting
from schedule_faults import FAULTS, Published, Weather, World, injured
from toy import Rows, has_ended, of_kind, settings

from workbench.engine import Local, Lost
from workbench.settings import Settings
from workbench.training import Checkpoint, Shards, pack, unpack

MOST_FAULTS = 4  # in one schedule
CHECKPOINTS_KEPT = 3
KINDS = (*FAULTS, "delay")

SMALL = Counting(utterances=5, lengths=(1, 4))


@cache
def cached_settings(changes: tuple[tuple[str, Any], ...]) -> Settings:
    """The settings with these changes, made once, since that takes longer than a schedule."""
    return settings(**dict(changes))


def draw_settings(draw: random.Random) -> Settings:
    """A way to train whose arithmetic stays whole: the frames of a push are a power of two."""
    batch = draw.choice([1, 2, 4])
    agree = draw.choice(["", "", "", "bound", "consistent"])
    changes = dict(
        criterion=draw.choice(["ce", "mmi"]),
        replicas=draw.choice([1, 2, 3]),
        shards=draw.choice([1, 2]),
        batch=batch,
        learning_rate=float(batch),
        epochs=1.0,
        channel=draw.choice([1, 2]),
        decoder_fetch=draw.choice(["utterance", "utterances", "seconds"]),
        staleness_bound=1 if agree == "bound" else 0,
        consistent_fetch=agree == "consistent",
        prefetch=agree == "" and draw.choice([False, True]),
        seed=draw.choice([0, 1, 2, 3]),
    )
    return cached_settings(tuple(changes.items()))


@dataclass(frozen=True)
class Saved:
    """A checkpoint on the disk."""

    files: dict[str, bytes]
    rows: int  # that were written before it


@dataclass
class Schedule:
    """One run with its faults, from the start to the end; ``world.found`` lists violations."""

    problem: Counting
    settings: Settings
    world: World
    every: int  # frames between checkpoints
    rows: Rows = field(default_factory=Rows)
    saved: list[Saved] = field(default_factory=list)
    lives: int = 0

    def run(self) -> "Schedule":
        """Train to the end, with all faults."""
        shards = self.problem.shards(self.settings)
        at = Checkpoint()
        self.renew(shards, at)
        self.world.plan()
        while not has_ended(at):
            self.lives += 1
            if self.lives > 4 * MOST_FAULTS:
                self.world.found.append("the run does not end")
                break
            try:
                at = self.advance(at, shards)
                self.save(at)
            except (Lost, OSError):
                at = self.restore(shards)
        self.look_at_what_was_published()
        return self

    def advance(self, at: Checkpoint, shards: Shards) -> Checkpoint:
        """Train up to the next checkpoint, or until the run is asked to stop."""
        first = self.services["server 0"]
        due = (at.number + 1) * self.every
        self.world.stops = False
        processes = {
            name: injured(process, name, self.world)
            for name, process in self.problem.processes(self.settings, shards, at.states).items()
        }
        executor = Local(
            Weather(self.world.draw, self.world.fired), self.settings.asynchrony.channel
        )
        outcome = executor.run(
            processes,
            self.services,
            self.rows.emit,
            lambda: self.world.stops or first.frames >= due,
            at.channels,
            at.ticks,
        )
        return Checkpoint.of(
            at.number + (first.frames >= due),
            outcome.returned,
            outcome.channels,
            outcome.ticks,
            self.services,
            {},
        )

    def save(self, at: Checkpoint) -> None:
        """Write a checkpoint, unless the disk is full."""
        if self.world.full:
            self.world.full = False
            self.world.fired["disk full"] += 1
            raise OSError("no space left on device")
        self.saved = [*self.saved, Saved(pack(at), len(self.rows))][-CHECKPOINTS_KEPT:]

    def restore(self, shards: Shards) -> Checkpoint:
        """Go back to the newest checkpoint that is whole, or to the start."""
        self.look_at_what_was_published()
        self.world.sent.clear()
        self.world.answered.clear()  # copies go to a host that is no more
        self.world.cut.clear()
        if self.world.damaged:
            self.world.damaged = False
            self.world.fired["damage"] += 1
            self.saved = self.saved[:-1]

        at = Checkpoint()
        written = 0
        if self.saved:
            at = unpack(self.saved[-1].files)
            written = self.saved[-1].rows
        self.renew(shards, at)
        del self.rows[written:]
        return at

    def renew(self, shards, at: Checkpoint) -> None:
        """Make the servers anew, as they are in a checkpoint."""
        self.services = shards.servers(self.settings)
        at.restore(self.services)
        self.began = {name: server.fetch() for name, server in self.services.items()}

    def look_at_what_was_published(self) -> None:
        """Note parameters that have changed since they were fetched, or that are not due."""
        for seen in self.world.seen:
            if seen.value.tobytes() != seen.before:
                self.world.found.append("published parameters have changed")
            elif seen.service != "server 0" and self.settings.asynchrony.consistent_fetch:
                self.compare_with_the_order(seen)
        self.world.seen.clear()

    def compare_with_the_order(self, seen: Published) -> None:
        """Note a shard that has not applied its pushes in the order of the first shard."""
        began = self.began[seen.service]
        value = began.value.copy()
        for service, push in self.world.sent:
            due = push.order is not None and began.version <= push.order < seen.version
            if service == seen.service and due:
                value += push.gradient * np.float32(push.scale * self.settings.batches.size)
        if not np.array_equal(value, seen.value):
            self.world.found.append(f"{seen.service} has applied other pushes than the first shard")


def run_schedule(seed: int, fired: Counter | None = None) -> list[str]:
    """Run schedule number ``seed``; returns what is wrong, nothing if all is well."""
    draw = random.Random(seed)
    left = draw.randint(1, MOST_FAULTS)
    world = World(draw, Counter() if fired is None else fired, left)
    schedule = Schedule(SMALL, draw_settings(draw), world, every=draw.randint(2, 8))
    try:
        schedule.run()
    except (ArithmeticError, AssertionError, LookupError, RuntimeError, ValueError) as error:
        return [f"seed {seed}: {type(error).__name__}: {error}"]  # a deadlock, for example
    return [f"seed {seed}: {line}" for line in (*world.found, *violations(schedule))]


def violations(schedule: Schedule) -> Iterator[str]:
    """Yield what is wrong with a run that has ended."""
    s = schedule.settings
    servers = schedule.services
    wanted = schedule.problem.counts(s)
    theta = schedule.problem.shards(s).collect(servers)
    for i in np.flatnonzero(theta != wanted):
        yield f"frame {i} counts {theta[i]:g} times, not {wanted[i]:g}"

    pushes = of_kind(schedule.rows, "push")
    items = Counter((row["replica"], row["step"]) for row in pushes)
    if any(count > 1 for count in items.values()):
        yield "a push has two rows"
    visits = len(wanted) * s.batches.epochs
    for name, server in servers.items():
        if server.frames != visits:
            yield f"{name} visited {server.frames} frames, not {visits:g}"
        if len(server.ledger) != len(pushes):
            yield f"{name} settled {len(server.ledger)} pushes, and there are {len(pushes)} rows"

    bound = s.asynchrony.staleness_bound
    for row in pushes:
        age = row["versions"][0] - row["inner_versions"][0]
        if bound and row["status"] == "applied" and age > bound:
            yield f"a push of age {age} was applied"
        if row["status"] not in ("applied", "rejected"):
            yield f"the row of a push says {row['status']}"
    if s.asynchrony.consistent_fetch and any(row["skew"] for row in pushes):
        yield "one fetch has several versions"
