"""The time that processes have had as if they were alone on their machine.

A process that waits for a processor because others compute loses time that is not its own fault.
Linux counts for each thread how long it ran and how long it waited to run. Of a stretch of wall
time, the part that counts is the share of the processes' wishes that was granted: all of it on an
idle machine, and a tenth where the processes waited nine times as long as they ran.
"""

import time
from bisect import bisect_left
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

NANOSECONDS = 1e9


class Turns(NamedTuple):
    """How long the threads of a process ran, and waited for a processor."""

    ran: float
    waited: float


class Moment(NamedTuple):
    """A wall time, and the own time until then."""

    wall: float
    own: float


def processor_turns(pid: int) -> Turns | None:
    """Return the turns of a process so far; None if there is no such process."""
    ran = 0
    waited = 0
    try:
        for path in Path(f"/proc/{pid}/task").iterdir():
            words = (path / "schedstat").read_text().split()
            ran += int(words[0])
            waited += int(words[1])
    except (OSError, IndexError):  # it or one of its threads has just ended
        return None
    return Turns(ran / NANOSECONDS, waited / NANOSECONDS)


class OwnTime:
    """The own time of the processes that ``processes`` lists; call ``look`` again and again."""

    def __init__(self, processes: Callable[[], Iterable[int]]):
        self.processes = processes
        self.turns: dict[int, Turns] = {}
        self.moments = [Moment(time.time(), 0.0)]

    def look(self) -> float:
        """Return the own seconds so far."""
        now = time.time()
        turns = {pid: found for pid in self.processes() if (found := processor_turns(pid))}
        ran = 0.0
        waited = 0.0
        for pid in turns.keys() & self.turns.keys():
            ran += max(0.0, turns[pid].ran - self.turns[pid].ran)
            waited += max(0.0, turns[pid].waited - self.turns[pid].waited)
        self.turns = turns

        share = ran / (ran + waited) if ran + waited else 1.0
        last = self.moments[-1]
        self.moments.append(Moment(now, last.own + share * (now - last.wall)))
        return self.moments[-1].own

    def at(self, wall: float) -> float:
        """Return the own seconds until a wall time between the first and the last look."""
        place = bisect_left(self.moments, wall, key=lambda moment: moment.wall)
        if place == 0:
            return self.moments[0].own
        if place == len(self.moments):
            return self.moments[-1].own

        before = self.moments[place - 1]
        after = self.moments[place]
        share = (wall - before.wall) / (after.wall - before.wall)
        return before.own + share * (after.own - before.own)
