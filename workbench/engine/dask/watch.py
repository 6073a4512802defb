"""When a worker hangs, and when a run stands still, told from heartbeats; knows nothing of Dask.

A worker that has died ends its connection, and Dask knows at once. One that hangs keeps it: it is
known by its silence alone. Silence is counted only while this process looks, so it makes no
difference if this process, or the whole machine, was asleep meanwhile, or a clock was set.

A worker of this machine that is silent but computes is busy, for example with importing or
compiling, and is waited for. What it reports with each heartbeat is how many effects its processes
have had answered, and how many of them are at work: if that number stays the same everywhere, and
nobody is at work, then no process will ever go on.
"""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from workbench.system.processes import process_stat

HUNG_SECONDS = 4.0
"""Silence of a worker of this machine in which it uses no processor time."""

SILENT_SECONDS = 60.0
"""Silence of any other worker: one that computes, or one of another machine."""

STILL_SECONDS = 30.0
"""How long no process of the run may go on while none is at work."""

START_SECONDS = 180.0
"""The same until every process has begun; before that, workers import and unpack their data."""

COUNTED_SECONDS = 1.0
"""The most that one look adds to a silence; if more has passed, nobody was looking."""


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
    used: float | None  # processor time of its process at the last look
    seconds: float = 0.0
    idle: float = 0.0  # seconds of it in which no processor time was used


@dataclass
class Silences:
    """The silences of all workers; ``look`` is called again and again."""

    workers: dict[tuple[str, int | None], _Silence] = field(default_factory=dict)
    looked: float = field(default_factory=time.monotonic)

    def look(self, heartbeats: Iterable[Heartbeat]) -> list[Heartbeat]:
        """Return the last heartbeats of the workers that hang."""
        now = time.monotonic()
        passed = min(now - self.looked, COUNTED_SECONDS)
        self.looked = now
        return [heartbeat for heartbeat in heartbeats if self._hangs(heartbeat, passed)]

    def _hangs(self, heartbeat: Heartbeat, passed: float) -> bool:
        """Add to the silence of one worker; return whether it has been too long."""
        worker = (heartbeat.name, heartbeat.pid)
        used = processor_time(heartbeat.pid)
        silence = self.workers.get(worker)
        if silence is None or silence.stamp != heartbeat.stamp:
            self.workers[worker] = _Silence(heartbeat.stamp, used)
            return False

        silence.seconds += passed
        silence.idle = silence.idle + passed if used == silence.used else 0.0
        silence.used = used
        known = used is not None
        return silence.seconds > SILENT_SECONDS or (known and silence.idle > HUNG_SECONDS)


@dataclass
class Stillness:
    """For how long no process of a run, which has so many ``processes``, has gone on."""

    processes: int
    effects: int = -1  # of all processes, at the last look
    seconds: float = 0.0
    looked: float = field(default_factory=time.monotonic)

    def look(self, activities: Sequence[Activity]) -> None:
        """Add the time since the last look, unless a process has gone on or is at work."""
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


def processor_time(pid: int | None) -> float | None:
    """Return the processor time of a process of this machine, in ticks; None if it is not known."""
    if pid is None:
        return None
    stat = process_stat(pid)
    return None if stat is None else float(stat.ticks)
