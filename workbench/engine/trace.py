"""Record who was answered what, in which order, by any executor; replay it on ``Local`` to the same parameters.

Components are functions of the answers they get. So it is enough to record the answers that are not theirs to know: the
time, whether to rest, how a channel answered, and the number that each call got among those that its service served.
Now and then a call also records the digest of the service, so that the first difference of a replay is located.

Both are wrappings of processes and services, so executors do not know of them. What is recorded leaves as rows of kind
``trace`` and is kept with all others; a replay is made from these rows. One recording is one segment of a run, from the
start or a rest to the next rest.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from workbench.engine.effects import (
    CLOSED,
    NOT_YET,
    RESTING,
    All,
    Ask,
    Emit,
    Now,
    Process,
    Put,
    Rest,
    Signal,
    Take,
)

Make = Callable[[], Process]
ENTRIES = 256  # of a trace row
ITEM = "item"  # what is recorded in place of an item


class Difference(RuntimeError):
    """A replay does not do what was recorded."""


@dataclass(frozen=True)
class Served:
    """A reply with its number among those of its service, and perhaps a digest of what the service then was."""

    number: int
    digest: str
    reply: Any


class Recorded:
    """A service that numbers the calls it answers; ``digest`` is taken every so many pushes (0: never)."""

    def __init__(self, service: Any, digest_every: int):
        self.service, self.digest_every, self.number, self.pushes = service, digest_every, 0, 0

    @property
    def released(self) -> int:
        return getattr(self.service, "released", 0)

    def ahead(self, method: str, args: tuple) -> Callable[[], None] | None:
        """What the service does ahead of a call, if it does."""
        ahead = getattr(self.service, "ahead", None)
        return ahead(*args) if ahead and method == "call" else None

    def call(self, method: str, args: tuple) -> Any:
        """What the service's method answers, numbered."""
        reply = getattr(self.service, method)(*args)
        if reply is NOT_YET:
            return NOT_YET
        self.number, self.pushes = self.number + 1, self.pushes + (method == "push")
        wanted = method == "push" and self.digest_every and self.pushes % self.digest_every == 0
        return Served(self.number - 1, self.service.digest() if wanted else "", reply)


def recording(
    processes: Mapping[str, Make], services: Mapping[str, Any], segment: int, digest_every: int = 16
) -> tuple[dict[str, Make], dict[str, Any]]:
    """Processes and services to run in place of the given ones; the services keep theirs as ``service``."""
    makers: dict[str, Make] = {
        name: partial(recorded, make, segment) for name, make in processes.items()
    }
    return makers, {name: Recorded(service, digest_every) for name, service in services.items()}


def recorded(make: Make, segment: int) -> Process:
    """The process, whose answers leave as trace rows before it returns."""
    process, reply = make(), None
    entries: list[list] = []
    while True:
        try:
            effect = process.send(reply)
        except StopIteration as end:
            yield Emit({"kind": "trace", "segment": segment, "entries": entries})
            return end.value
        asks = asked(effect)
        answer = yield effect if asks is None else numbered(effect, asks)
        reply = answer if asks is None else unwrapped(effect, answer)
        if (entry := written(effect, answer)) is not None:
            entries.append(entry)
        if len(entries) >= ENTRIES:
            yield Emit({"kind": "trace", "segment": segment, "entries": entries})
            entries = []


def asked(effect: Any) -> tuple[Ask, ...] | None:
    """The calls that an effect makes, if it does."""
    return (
        effect.asks if isinstance(effect, All) else (effect,) if isinstance(effect, Ask) else None
    )


def numbered(effect: Any, asks: tuple[Ask, ...]) -> Any:
    """The same call or calls, to services that number their answers."""
    new = tuple(Ask(a.service, "call", (a.method, a.args), a.size, a.reply) for a in asks)
    return All(new, effect.work) if isinstance(effect, All) else new[0]


def unwrapped(effect: Any, answer: Any) -> Any:
    """The answer as the component would have got it."""
    replies = [
        a.reply if isinstance(a, Served) else a
        for a in (answer if isinstance(effect, All) else [answer])
    ]
    return replies if isinstance(effect, All) else replies[0]


def written(effect: Any, answer: Any) -> list | None:
    """The answer as JSON, after the name of the effect; None if the component could have known it."""
    name = type(effect).__name__
    if isinstance(effect, Now | Rest):
        return [name, answer]
    if isinstance(effect, Put | Take):
        return [
            name,
            answer.name
            if isinstance(answer, Signal)
            else answer
            if isinstance(effect, Put)
            else ITEM,
        ]
    if (asks := asked(effect)) is not None:
        answers = answer if isinstance(effect, All) else [answer]
        work = (
            isinstance(effect, All) and effect.work is not None
        )  # its value comes last, and is its own to compute
        called = [
            [
                ask.service,
                -1 if isinstance(a, Signal) else a.number,
                "" if isinstance(a, Signal) else a.digest,
            ]
            for ask, a in zip(asks, answers[:-1] if work else answers, strict=True)
        ]
        return [name, called]
    return None


# --- replay


@dataclass(frozen=True)
class Trace:
    """One segment: the entries of each process, and the order of each service's answers."""

    entries: dict[str, list[list]] = field(default_factory=dict)
    orders: dict[str, list[tuple[str, str]]] = field(
        default_factory=dict
    )  # service -> (process, digest)


def read(rows: Iterable[dict]) -> dict[int, Trace]:
    """The segments that trace rows tell of; ValueError if rows are missing."""
    entries: dict[int, dict[str, list]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        if row["kind"] == "trace":
            entries[row["segment"]][row["process"]] += row["entries"]
    return {segment: Trace(dict(found), order(found)) for segment, found in sorted(entries.items())}


def order(entries: Mapping[str, list[list]]) -> dict[str, list[tuple[str, str]]]:
    """Who was served when, by service."""
    calls: dict[str, dict[int, tuple[str, str]]] = defaultdict(dict)
    for process, answers in entries.items():
        for name, value in answers:
            for service, number, digest in value if name in ("Ask", "All") else ():
                if number >= 0:
                    calls[service][number] = (process, digest)
    for service, found in calls.items():
        if sorted(found) != list(range(len(found))):
            raise ValueError(f"the record of {service} is not complete")
    return {service: [found[i] for i in range(len(found))] for service, found in calls.items()}


class Replayed:
    """A service that answers in the recorded order, and compares digests."""

    def __init__(self, name: str, service: Any, order: list[tuple[str, str]]):
        self.name, self.service, self.order, self.number = name, service, order, 0

    @property
    def released(self) -> int:
        return self.number

    def call(self, process: str, method: str, args: tuple) -> Any:
        """NOT_YET until it is this process's turn."""
        if self.number == len(self.order):
            raise Difference(f"{process} asks {self.name} to {method}, but the record has ended")
        turn, digest = self.order[self.number]
        if turn != process:
            return NOT_YET
        reply = getattr(self.service, method)(*args)
        if reply is NOT_YET:
            raise Difference(
                f"answer {self.number} of {self.name}, to {process}: {method} would wait"
            )
        if digest and self.service.digest() != digest:
            raise Difference(
                f"answer {self.number} of {self.name}, to {process}: after {method} it is another one"
            )
        self.number += 1
        return reply


def replaying(
    processes: Mapping[str, Make], services: Mapping[str, Any], trace: Trace
) -> tuple[dict[str, Process], dict[str, Any]]:
    """What to run on ``Local``, on any clock and with a ``capacity`` that is never reached."""
    makers = {
        name: replayed(name, make(), iter(trace.entries.get(name, ())))
        for name, make in processes.items()
    }
    return makers, {
        name: Replayed(name, s, trace.orders.get(name, [])) for name, s in services.items()
    }


def replayed(name: str, process: Process, entries: Iterator[list]) -> Process:
    """The process with the recorded answers."""
    reply = None
    while True:
        try:
            effect = process.send(reply)
        except StopIteration as end:
            return end.value
        if not isinstance(effect, Now | Rest | Put | Take | Ask | All):
            reply = yield effect
            continue
        kind, value = next(entries, ("the end", None))
        if kind != type(effect).__name__:
            raise Difference(f"{name} yields {type(effect).__name__}, but the record has {kind}")
        reply = yield from again(name, effect, value)


def again(name: str, effect: Any, value: Any) -> Process:
    """The recorded answer to one effect."""
    if isinstance(effect, Now | Rest):
        return value
    if isinstance(effect, Put | Take):
        if value in (CLOSED.name, RESTING.name):
            return Signal[value]
        reply = yield effect
        return value if isinstance(effect, Put) else reply
    asks = asked(effect) or ()
    served = [
        Ask(a.service, "call", (name, a.method, a.args))
        for a, (_, n, _) in zip(asks, value, strict=True)
        if n >= 0
    ]
    work = effect.work if isinstance(effect, All) else None
    answers = iter(
        (yield All(tuple(served), work))
    )  # at once, as they were: one after another they could wait in a circle
    replies = [RESTING if number < 0 else next(answers) for _, number, _ in value]
    return [*replies, *answers] if isinstance(effect, All) else replies[0]
