"""The seam: what a component may ask of the world. A component is a generator that yields these; an executor answers.

Rules. A component reads no clock, sleeps, prints or opens anything, and touches no global random state: all it knows
of the world are the answers. ``Work`` is a pure function of its arguments, so it does not matter when or where it is
computed. What crosses a channel or a service is never written to afterwards.

Resting. Now and then a run is brought to rest, to be saved (a checkpoint) or stopped. A component asks ``Rest()``
where it is easy to go on from; if the answer is True it *returns* its state, a small frozen record, and a new
generator made from that record goes on later. So that every component comes to such a point, a run coming to rest
accepts every ``Put`` beyond the capacity and answers a ``Take`` or an ``Ask`` that would wait with ``RESTING``.
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from enum import Enum
from typing import Any


class Signal(Enum):
    """Answers that are no data."""

    CLOSED = "the channel is closed"  # to Take: and empty; to Put: the item was dropped
    RESTING = "the run is coming to rest"
    NOT_YET = "not yet"  # a service's answer that makes the caller wait


CLOSED, RESTING, NOT_YET = Signal.CLOSED, Signal.RESTING, Signal.NOT_YET


class Lost(RuntimeError):
    """A worker of a cluster has gone, with what it held: the run can go on from its last checkpoint, and only so."""


@dataclass(frozen=True, slots=True)
class Work:
    """Run ``fn(*args)``, a pure function; the answer is its value."""

    fn: Callable
    args: tuple = ()
    size: int = 0  # frames, what a clock charges for
    kind: str = "work"  # forward | gradient | decode | evaluate


@dataclass(frozen=True, slots=True)
class Ask:
    """Call a service's method and wait for the reply.

    A method that answers ``NOT_YET`` is called again after the service's attribute ``released`` has changed; it must
    not have changed anything else before. If the service has ``ahead(method, args)``, and that answers a function, it
    may be called first: it does what takes long, one at a time, while other calls are served, and changes nothing.
    """

    service: str
    method: str
    args: tuple = ()
    size: int = 0  # bytes sent
    reply: int = 0  # bytes received


@dataclass(frozen=True, slots=True)
class All:
    """Several calls at once; the answer is the list of replies, which may be made at different times.

    With ``work`` they are under way while that is done, and its value is the last of the list.
    """

    asks: tuple[Ask, ...]
    work: Work | None = None


@dataclass(frozen=True, slots=True)
class Put:
    """Append to a bounded channel, waiting while it is full; answers how many items then wait, or ``CLOSED``."""

    channel: str
    item: Any


@dataclass(frozen=True, slots=True)
class Take:
    """Remove the oldest item of a channel, waiting while it is empty; answers it, ``CLOSED`` or ``RESTING``."""

    channel: str


@dataclass(frozen=True, slots=True)
class Close:
    """Nothing will be put into the channel any more, or taken from it."""

    channel: str


@dataclass(frozen=True, slots=True)
class Emit:
    """Record one row of measurements, JSON scalars and lists; the executor adds ``process`` and ``seconds``."""

    row: dict


@dataclass(frozen=True, slots=True)
class Now:
    """The answer is the time in seconds, virtual or real, since the run began."""


@dataclass(frozen=True, slots=True)
class Rest:
    """The answer is True if the component is to return its state now."""


@dataclass(frozen=True, eq=False)
class Held:
    """What a channel holds while a run rests."""

    items: tuple = ()
    closed: bool = False


Effect = Work | Ask | All | Put | Take | Close | Emit | Now | Rest
Process = Generator[Effect, Any, Any]
