"""Work that takes as long as a clock says, however fast the computer is.

The work is done, and its process sleeps for the rest of the time. So a cluster of slow machines can
be rehearsed on one computer that has fewer cores than the cluster has processes: messages, queues,
services and versions are real, and only the seconds of computing are those of a model.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from workbench.engine.clocks import TICKS, Clock
from workbench.engine.effects import All, Emit, Now, Process, Work
from workbench.engine.workers import giving_up
from workbench.storage.rows import PaceRow

NAP_SECONDS = 0.2  # between two looks at whether the work is given up


class Paced(NamedTuple):
    """The value of work that has taken its time."""

    value: object
    late: float  # seconds that it took beyond its time, if only since a sleep ended late


@dataclass
class _Lateness:
    """How much of the work of a process took longer than it should."""

    pieces: int = 0
    seconds: float = 0.0

    def value_of(self, answer: object) -> object:
        """Return the value of paced work, and count it."""
        if not isinstance(answer, Paced):  # the work asked, and was given up
            return answer
        self.pieces += 1
        self.seconds += answer.late
        return answer.value

    @property
    def row(self) -> PaceRow:
        """The row that tells it."""
        return PaceRow(pieces=self.pieces, late_seconds=self.seconds)


def keep_pace(make: Callable[[], Process], name: str, clock: Clock) -> Process:
    """Return the process ``name`` that ``make`` makes, with all its work at the pace of ``clock``.

    At its end it emits how much of the work took longer: the computer was too slow for that.
    """
    process = make()
    lateness = _Lateness()
    reply: Any = None
    while True:
        try:
            effect = process.send(reply)
        except StopIteration as end:
            yield Emit(lateness.row)
            return end.value

        match effect:
            case Work():
                now = yield Now()
                reply = lateness.value_of((yield _paced(effect, name, clock, now)))
            case All(asks, Work() as work):
                now = yield Now()
                *replies, answer = yield All(asks, _paced(work, name, clock, now))
                reply = [*replies, lateness.value_of(answer)]
            case _:
                reply = yield effect


def _paced(work: Work, name: str, clock: Clock, now: float) -> Work:
    """Return the same work, which takes its time; ``now``: seconds since the run began."""
    seconds = clock.work(name, work, 0.0, round(now * TICKS))
    return Work(partial(take_time, seconds, work.fn), work.args, work.size, work.kind)


def take_time(seconds: float, fn: Callable[..., object], *args: object) -> Paced:
    """Compute ``fn(*args)`` in no less than ``seconds``, or in less if the run has been stopped.

    A nap looks for that now and then. The value is there by then, and its component gets it:
    only work that asks itself whether it is given up may be answered ``RESTING``.
    """
    given_up = giving_up()
    until = time.monotonic() + seconds
    value = fn(*args)

    while (left := until - time.monotonic()) > 0:
        if given_up():
            return Paced(value, 0.0)
        time.sleep(min(left, NAP_SECONDS))
    return Paced(value, -left)
