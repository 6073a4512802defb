"""When a worker hangs, and when a run stands still, told from heartbeats; knows nothing of Dask.

A worker that has died ends its connection, and Dask knows at once. One that hangs keeps it: it is
known by its silence alone. Silence is counted only while this process looks, so it makes no
difference if this process, or the whole machine, was asleep meanwhile, or a clock was set.

A worker of this machine that is silent but computes, or waits for a processor or the disk, is busy,
for example with importing or compiling, and is waited for: what counts is how long it has computed,
since on a busy machine seconds of computing take minutes. What it reports with each heartbeat is
how many effects its processes have had answered, and how many of them are at work: if that number
stays the same everywhere, and nobody is at work, then no process will ever go on.
"""

import os
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from workbench.system.processes import process_stat

HUNG_SECONDS = 3.0
"""Silence of a worker of this machine in which it neither computes nor wants to."""

SILENT_SECONDS = 60.0
"""Silence of any other worker: of one that computes its processor time, and of one of another
machine the time that passes. One that starts may do nothing for so long: it waits for this process.
"""

STARVED_SECONDS = 600.0
"""Silence of a worker of this machine that gets no processor, or waits for a disk."""

TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")

STILL_SECONDS = 30.0
"""How long no process of the run may go on while none is at work."""

START_SECONDS = 180.0
"""The same until every process has begun; before that, workers import and unpack their data."""

COUNTED_SECONDS = 1.5
"""The most that one look adds to a silence; if more has passed, nobody was looking."""

BUSY_STATES = ("R", "D")
"""States of a process that computes or waits for a processor, and of one that waits for a disk."""


class Activity(NamedTuple):
    """What the processes of a run do on one worker."""

    begun: int = 0  # processes that have ever begun
    effects: int = 0  # that were answered
    working: int = 0  # processes that compute at the moment


class Heartbeat(NamedTuple):
    """The last that was heard of a worker."""

    name: str
    address: str = ""  # empty: it has not told yet where it is
    stamp: float = 0.0  # changes with every heartbeat; seconds of the scheduler's clock
    threads: int = 0
    activity: Activity = Activity()
    pid: int | None = None  # of a worker that this process has started


@dataclass
class _Silence:
    """How long nothing was heard of a worker."""

    stamp: float
    began: int  # ticks of processor time of its process when it was heard of; 0: not known
    ticks: int  # the same at the last look
    seconds: float = 0.0
    idle: float = 0.0  # seconds of it in which the process did nothing


@dataclass
class Silences:
    """The silences of all workers; ``look`` is called again and again."""

    workers: dict[tuple[str, int | None], _Silence] = field(default_factory=dict)
    looked: float = field(default_factory=time.monotonic)

    def look(self, heartbeats: Iterable[Heartbeat]) -> list[Heartbeat]:
        """Return the last heartbeats of the workers that hang; those that left are forgotten."""
        now = time.monotonic()
        passed = min(now - self.looked, COUNTED_SECONDS)
        self.looked = now
        heard = list(heartbeats)
        there = {(heartbeat.name, heartbeat.pid) for heartbeat in heard}
        self.workers = {worker: self.workers[worker] for worker in self.workers if worker in there}
        return [heartbeat for heartbeat in heard if self._hangs(heartbeat, passed)]

    def _hangs(self, heartbeat: Heartbeat, passed: float) -> bool:
        """Add to the silence of one worker; return whether it has been too long."""
        worker = (heartbeat.name, heartbeat.pid)
        stat = None if heartbeat.pid is None else process_stat(heartbeat.pid)
        ticks = 0 if stat is None else stat.ticks
        silence = self.workers.get(worker)
        if silence is None or silence.stamp != heartbeat.stamp:
            self.workers[worker] = _Silence(heartbeat.stamp, ticks, ticks)
            return False

        silence.seconds += passed
        if stat is None:
            return silence.seconds > SILENT_SECONDS

        is_idle = ticks == silence.ticks and stat.state not in BUSY_STATES
        silence.idle = silence.idle + passed if is_idle else 0.0
        silence.ticks = ticks
        worked = (ticks - silence.began) / TICKS_A_SECOND
        may_idle = HUNG_SECONDS if heartbeat.address else SILENT_SECONDS
        return (
            silence.idle > may_idle or worked > SILENT_SECONDS or silence.seconds > STARVED_SECONDS
        )


@dataclass
class Stillness:
    """For how long no process of a run, which has so many ``processes``, has gone on.

    Time counts when every worker has been heard of again: of one that is silent it is not known.
    """

    processes: int
    effects: int = -1  # of all processes, at the last look
    seconds: float = 0.0
    looked: float = field(default_factory=time.monotonic)
    stamps: dict[str, float] = field(default_factory=dict)  # of heartbeats, by address

    def look(self, heartbeats: Collection[Heartbeat]) -> None:
        """Add the time since the last look, unless a process has gone on or is at work."""
        if any(self.stamps.get(beat.address) == beat.stamp for beat in heartbeats):
            return
        self.stamps = {beat.address: beat.stamp for beat in heartbeats}
        activities = [beat.activity for beat in heartbeats]
        now = time.monotonic()
        passed = min(now - self.looked, COUNTED_SECONDS)
        self.looked = now

        effects = sum(activity.effects for activity in activities)
        if effects != self.effects or any(activity.working for activity in activities):
            self.effects = effects
            self.seconds = 0.0
        else:
            begun = sum(activity.begun for activity in activities)
            allowed = STILL_SECONDS if begun >= self.processes else START_SECONDS
            self.seconds += passed * STILL_SECONDS / allowed

    @property
    def too_long(self) -> bool:
        """Whether the run will never go on."""
        return self.seconds > STILL_SECONDS
