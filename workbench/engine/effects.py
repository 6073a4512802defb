"""Effects: the requests that a component may yield, and the answers it may get.

A component is a generator. It yields effects, and an executor answers them. These rules hold:

* A component reads no clock, sleeps, prints or opens nothing, and touches no global random state.
  All that it knows of the world are the answers.
* ``Work`` is a pure function of its arguments, so it does not matter when or where it is computed.
* An object that has crossed a channel or a service is never written to afterwards.

**Resting.** From time to time a run is brought to rest, to be saved (a checkpoint) or stopped. A
component yields ``Rest()`` at points from which it can easily be resumed. If the answer is True it
*returns* its state, a small frozen record, from which a new generator is made later. Every
component must reach such a point. Therefore a run that comes to rest accepts every ``Put`` beyond
the capacity, and answers ``RESTING`` to each ``Take`` or ``Ask`` that would otherwise wait.
"""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator
from dataclasses import dataclass
from enum import Enum
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar

from workbench.storage.rows import Row
from workbench.system.unchanging import unchanging

Reply = TypeVar("Reply")
Value_co = TypeVar("Value_co", covariant=True)
Reply_co = TypeVar("Reply_co", covariant=True)
Result = TypeVar("Result")


class Signal(Enum):
    """Answers that carry no data."""

    CLOSED = "the channel is closed"  # to Take: and empty; to Put: the item was dropped
    RESTING = "the run is coming to rest"
    NOT_YET = "not yet"  # a service's answer that makes the caller wait


CLOSED = Signal.CLOSED
RESTING = Signal.RESTING
NOT_YET = Signal.NOT_YET


class Lost(RuntimeError):
    """A worker of a cluster was lost with all it held: the run must resume from a checkpoint.

    ``noticed``: when that was, in seconds of the monotonic clock.
    """

    def __init__(self, *what: object):
        super().__init__(*what)
        self.noticed = time.monotonic()


class Call(Generic[Reply_co]):
    """A message to a service: a dataclass that never changes; its parameter is the reply's type."""

    __slots__ = ()

    checked: ClassVar[bool] = False
    """Whether a recorded run notes the service's digest after calls of this type, now and then."""


class Service(ABC):
    """An object that answers calls, one at a time.

    A service may answer ``NOT_YET``, if the call has changed nothing. The caller then waits, and
    the call is repeated after ``released`` has changed.
    """

    released: int = 0
    """Grows whenever a call that was answered ``NOT_YET`` may have an answer."""

    @abstractmethod
    def answer(self, call: Call[object]) -> object:
        """Return the reply to ``call``, or ``NOT_YET``; raise TypeError for an unknown call."""

    def ahead(self, call: object) -> Callable[[], None] | None:
        """Return a function that does the long part of ``call`` in advance, or None.

        An executor may run it before the call, while it serves other calls, but never two of them
        at a time. It does not change what the service answers.
        """
        return None

    def digest(self) -> str:
        """A short name of the service's present state, by which a replay is compared."""
        return ""


@unchanging()
class Work(Generic[Value_co]):
    """Compute ``fn(*args)``, a pure function; the answer is its value.

    Long work gives way when a run is stopped (``workers.giving_up``); then the answer is
    ``RESTING``.
    """

    fn: Callable[..., Value_co]
    args: tuple[object, ...] = ()
    size: int = 0  # frames, for which a clock charges
    kind: str = "work"  # forward | gradient | decode | evaluate


class Ask(NamedTuple):
    """Send a call to a service and wait; the answer is the reply, or ``RESTING``."""

    service: str
    call: Call[object]
    size: int = 0  # bytes sent
    reply: int = 0  # bytes received


@unchanging()
class All:
    """Send several calls at once; the answer is the list of replies, in the order of the calls.

    The replies may be made at different times. With ``work``, that work is done while the calls are
    under way, and its value is the last item of the list.
    """

    asks: tuple[Ask, ...]
    work: Work | None = None


@unchanging()
class Put:
    """Append to a bounded channel, waiting while it is full.

    The answer is the number of items that now wait in the channel, or ``CLOSED``.
    """

    channel: str
    item: object


@unchanging()
class Take:
    """Remove the oldest item of a channel, waiting while it is empty.

    The answer is the item, ``CLOSED`` or ``RESTING``.
    """

    channel: str


@unchanging()
class Close:
    """Close a channel: nothing more is put into it, or taken from it by a process that gives up."""

    channel: str


@unchanging()
class Emit:
    """Record one row of measurements; the executor adds ``process`` and ``seconds``."""

    row: Row


@unchanging()
class Now:
    """The answer is the time in seconds, virtual or real, since the run began."""


@unchanging()
class Rest:
    """The answer is True if the component shall return its state now."""


@dataclass(frozen=True, eq=False)
class Held:
    """The contents of a channel while a run rests."""

    items: tuple[object, ...] = ()
    closed: bool = False


Effect = Work | Ask | All | Put | Take | Close | Emit | Now | Rest
Steps = Generator[Effect, Any, Result]  # a part of a component, for ``yield from``
Process = Steps[object]


def ask(service: str, call: Call[Reply], size: int = 0, reply: int = 0) -> Steps[Reply | Signal]:
    """Yield ``Ask`` and return its answer, with the type of the call's reply."""
    answer: Reply | Signal = yield Ask(service, call, size, reply)
    return answer
