"""The trace of a run: the answers by which ``Local`` repeats it to the same parameters.

A component is a function of the answers it gets. So it is enough to record the answers that it
could not know by itself: the time, whether to rest, how a channel answered, that work gave way to
a stop, and for each call its number among the calls that its service answered. Now and then a call
also records the digest of the service, so that the first difference of a replay is located.

Recording and replay wrap the processes and the services, so executors do not know of them. A
recording leaves as rows of kind ``trace`` among all other rows, and a replay is made from these.
One recording is one segment of a run: from the start, or a rest, to the next rest.
"""

from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Generic, NamedTuple, TypeVar

from workbench.engine.effects import (
    CLOSED,
    NOT_YET,
    RESTING,
    All,
    Ask,
    Call,
    Effect,
    Emit,
    Now,
    Process,
    Put,
    Rest,
    Service,
    Signal,
    Steps,
    Take,
    Work,
)
from workbench.storage.files import Json
from workbench.storage.rows import TraceRow

Make = Callable[[], Process]
S = TypeVar("S", bound=Service)
ENTRIES_PER_ROW = 256
DIGEST_EVERY = 16  # checked calls of one service
ITEM = "item"  # recorded in place of an item that was taken
UNANSWERED = -1  # number of a call that was answered RESTING


class Difference(RuntimeError):
    """A replay does something other than what was recorded."""


class CallEntry(NamedTuple):
    """One call in a trace; in JSON a list."""

    service: str
    number: int  # among the calls that the service answered; UNANSWERED if the run came to rest
    digest: str  # of the service after the call; often empty


class Entry(NamedTuple):
    """One recorded answer; in JSON a list.

    ``value`` is the time, whether to rest, an answer of a channel, or a list of ``CallEntry``.
    """

    effect: str  # name of the effect's type
    value: bool | int | float | str | list[CallEntry] | None


# --- record


@dataclass(frozen=True)
class NumberedReply:
    """A reply with its number among those of its service, and perhaps the service's digest."""

    number: int
    digest: str
    reply: object


class NumberingService(Service, Generic[S]):
    """A service that numbers its replies; ``digest_every``: checked calls per digest, 0: none."""

    def __init__(self, service: S, digest_every: int):
        self.service = service
        self.digest_every = digest_every
        self.number = 0
        self.checked_calls = 0
        self.released = service.released

    def ahead(self, call: object) -> Callable[[], None] | None:
        """Return the long part of the call from the wrapped service."""
        return self.service.ahead(call)

    def answer(self, call: Call[object]) -> object:
        """Return the wrapped service's reply as a NumberedReply, or ``NOT_YET``."""
        reply = self.service.answer(call)
        self.released = self.service.released
        if reply is NOT_YET:
            return NOT_YET

        digest = ""
        if call.checked:
            self.checked_calls += 1
            if self.digest_every and self.checked_calls % self.digest_every == 0:
                digest = self.service.digest()

        self.number += 1
        return NumberedReply(self.number - 1, digest, reply)


def wrap_for_recording(
    processes: Mapping[str, Make],
    services: Mapping[str, S],
    segment: int,
    digest_every: int = DIGEST_EVERY,
) -> tuple[dict[str, Make], dict[str, NumberingService[S]]]:
    """Return processes and services that run in place of the given ones and leave trace rows.

    The given services are the attributes ``service`` of the returned ones. ``digest_every`` 0:
    never.
    """
    makers: dict[str, Make] = {
        name: partial(record_process, make, segment) for name, make in processes.items()
    }
    numbering = {
        name: NumberingService(service, digest_every) for name, service in services.items()
    }
    return makers, numbering


def record_process(make: Make, segment: int) -> Process:
    """Run a process on services that number their replies, and emit its answers as trace rows."""
    process = make()
    entries: list[Entry] = []
    reply = None
    while True:
        try:
            effect = process.send(reply)
        except StopIteration as end:
            yield trace_row(segment, entries)
            return end.value

        answer = yield effect
        reply = without_numbers(effect, answer)
        entry = entry_of(effect, answer)
        if entry is not None:
            entries.append(entry)
        if len(entries) >= ENTRIES_PER_ROW:
            yield trace_row(segment, entries)
            entries = []


def trace_row(segment: int, entries: list[Entry]) -> Emit:
    """Return the effect that emits these entries."""
    return Emit(TraceRow(segment=segment, entries=tuple(entries)))


def without_numbers(effect: Effect, answer: object) -> object:
    """Return the answer as the component would have got it from the services themselves."""
    if isinstance(effect, All) and isinstance(answer, list):
        return [_without_number(reply) for reply in answer]
    return _without_number(answer) if isinstance(effect, Ask) else answer


def _without_number(answer: object) -> object:
    return answer.reply if isinstance(answer, NumberedReply) else answer


def entry_of(effect: Effect, answer: Any) -> Entry | None:
    """Return the entry for an answer; None if the component could have known the answer."""
    name = type(effect).__name__
    match effect:
        case Now() | Rest():
            return Entry(name, answer)
        case Put():
            return Entry(name, answer.name if isinstance(answer, Signal) else answer)
        case Take():
            return Entry(name, answer.name if isinstance(answer, Signal) else ITEM)
        case Work() if answer is RESTING:
            return Entry(name, answer.name)
        case Ask():
            return Entry(name, call_entries([effect], [answer]))
        case All(asks, work):
            replies = answer if work is None else answer[:-1]  # the work's value comes last
            return Entry(name, call_entries(asks, replies))
    return None


def call_entries(asks: Sequence[Ask], answers: Sequence[NumberedReply | Signal]) -> list[CallEntry]:
    """Return the entries of calls that were answered by services that number their replies."""
    entries = []
    for ask, answer in zip(asks, answers, strict=True):
        if isinstance(answer, Signal):
            entries.append(CallEntry(ask.service, UNANSWERED, ""))
        else:
            entries.append(CallEntry(ask.service, answer.number, answer.digest))
    return entries


# --- read


class Turn(NamedTuple):
    """One answer of a service: to which process, and the service's digest afterwards or ``""``."""

    process: str
    digest: str


@dataclass(frozen=True)
class Trace:
    """One segment: the entries of each process, and the turns of each service."""

    entries: dict[str, list[Entry]] = field(default_factory=dict)
    orders: dict[str, list[Turn]] = field(default_factory=dict)


def read_traces(rows: Iterable[TraceRow]) -> dict[int, Trace]:
    """Return the segments recorded in ``rows``; ValueError if some are missing."""
    segments: dict[int, dict[str, list[Entry]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        entries = segments[row.segment][row.process]
        entries += [_entry_from_json(entry) for entry in row.entries]
    return {
        segment: Trace(dict(entries), orders_of(entries))
        for segment, entries in sorted(segments.items())
    }


def _entry_from_json(columns: Sequence[Json]) -> Entry:
    effect, value = columns
    if not isinstance(value, str) and isinstance(value, Sequence):
        return Entry(str(effect), [_call_from_json(call) for call in value])
    if isinstance(value, Mapping):
        raise ValueError(f"the record of an answer to {effect} is damaged")
    return Entry(str(effect), value)


def _call_from_json(columns: Json) -> CallEntry:
    match columns:
        case [str(service), int(number), str(digest)]:
            return CallEntry(service, number, digest)
    raise ValueError(f"the record of a call is damaged: {columns}")


def orders_of(entries: Mapping[str, Sequence[Entry]]) -> dict[str, list[Turn]]:
    """Return the turns of each service in their order; ValueError if one is missing."""
    turns: dict[str, dict[int, Turn]] = defaultdict(dict)
    for process, answers in entries.items():
        for answer in answers:
            calls = answer.value if isinstance(answer.value, list) else []
            for service, number, digest in calls:
                if number != UNANSWERED:
                    turns[service][number] = Turn(process, digest)

    orders = {}
    for service, numbered in turns.items():
        if sorted(numbered) != list(range(len(numbered))):
            raise ValueError(f"the record of {service} is not complete")
        orders[service] = [numbered[i] for i in range(len(numbered))]

    return orders


# --- replay


@dataclass(frozen=True, slots=True)
class CallInTurn(Call[object]):
    """A call and the process that makes it, for a service that answers in the recorded order."""

    process: str
    call: Call[object]


class TurnTakingService(Service, Generic[S]):
    """A service that answers processes in the recorded order, and compares digests."""

    def __init__(self, name: str, service: S, order: Sequence[Turn]):
        self.name = name
        self.service = service
        self.order = order
        self.number = 0  # of the next answer

    def answer(self, call: Call[object]) -> object:
        """Return the wrapped service's reply, or ``NOT_YET`` until it is the process's turn.

        Raise Difference where the record has another answer.
        """
        if not isinstance(call, CallInTurn):
            raise TypeError(f"a call without its process: {type(call).__name__}")
        kind = type(call.call).__name__
        if self.number == len(self.order):
            raise Difference(
                f"{call.process} sends {kind} to {self.name}, but the record has ended"
            )

        turn = self.order[self.number]
        if turn.process != call.process:
            return NOT_YET

        here = f"answer {self.number} of {self.name}, to {call.process}"
        reply = self.service.answer(call.call)
        if reply is NOT_YET:
            raise Difference(f"{here}: {kind} would wait")
        if turn.digest and self.service.digest() != turn.digest:
            raise Difference(f"{here}: the state after {kind} differs")
        self.number += 1
        self.released += 1
        return reply


def wrap_for_replay(
    processes: Mapping[str, Make], services: Mapping[str, S], trace: Trace
) -> tuple[dict[str, Process], dict[str, TurnTakingService[S]]]:
    """Return processes and services that repeat the trace on ``Local``.

    Any clock will do, with a ``capacity`` of channels that is never reached.
    """
    generators = {
        name: replay_process(name, make(), iter(trace.entries.get(name, ())))
        for name, make in processes.items()
    }
    turn_taking = {
        name: TurnTakingService(name, service, trace.orders.get(name, []))
        for name, service in services.items()
    }
    return generators, turn_taking


def replay_process(name: str, process: Process, entries: Iterator[Entry]) -> Process:
    """Run a process with the recorded answers; raise Difference if it yields another effect."""
    left = deque(entries)
    reply = None
    while True:
        try:
            effect = process.send(reply)
        except StopIteration as end:
            return end.value

        yielded = type(effect).__name__
        gave_way = isinstance(effect, Work) and bool(left) and left[0].effect == yielded
        if not gave_way and not isinstance(effect, Now | Rest | Put | Take | Ask | All):
            reply = yield effect
            continue
        entry = left.popleft() if left else Entry("the end", None)
        if entry.effect != yielded:
            raise Difference(f"{name} yields {yielded}, but the record has {entry.effect}")
        reply = yield from repeat_answer(name, effect, entry)


def repeat_answer(name: str, effect: Effect, entry: Entry) -> Steps[object]:
    """Return the recorded answer to one effect of process ``name``."""
    value = entry.value
    match effect:
        case Put() | Take() | Work() if value in (CLOSED.name, RESTING.name):
            return Signal[value]
        case Put():
            yield effect
            return value
        case Take():
            return (yield effect)
        case Ask() if isinstance(value, list):
            replies = yield from repeat_calls(name, All((effect,)), value)
            return replies[0]
        case All() if isinstance(value, list):
            return (yield from repeat_calls(name, effect, value))
    return value


def repeat_calls(name: str, effect: All, entries: Sequence[CallEntry]) -> Steps[list[object]]:
    """Send the calls that were answered, all at once, and return the replies as they were recorded.

    One after another they could wait for each other in a circle.
    """
    numbers = [entry.number for entry in entries]
    answered = tuple(
        Ask(ask.service, CallInTurn(name, ask.call))
        for ask, number in zip(effect.asks, numbers, strict=True)
        if number != UNANSWERED
    )
    answers = iter((yield All(answered, effect.work)))
    replies: list[object] = [
        RESTING if number == UNANSWERED else next(answers) for number in numbers
    ]
    return [*replies, *answers]  # the value of the work comes last
