"""All processes on one clock: the same clock gives the same run, row for row.

Rules. Events at equal times happen in the order in which they were scheduled. Work and calls take turns even where
they take no time; what needs no waiting (rows, the time, a channel with room) goes on at once. A service serves one
call at a time in the order of arrival; while it is busy, calls queue. Components that come to rest (see ``effects``)
leave a run that can be gone on with: give the outcome's ``channels`` and ``ticks`` to the next ``run``. Work is a pure
function of what it was given, so threads may do it meanwhile: its result is waited for when its turn comes.
"""

import heapq
import itertools
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from workbench.engine.channels import WAIT, Channel, Woken
from workbench.engine.clocks import TICKS, Clock, free, measured
from workbench.engine.effects import (
    NOT_YET,
    RESTING,
    All,
    Ask,
    Close,
    Emit,
    Held,
    Now,
    Process,
    Put,
    Rest,
    Take,
    Work,
)
from workbench.engine.workers import Labour, Result

SUSPENDED = object()  # a handler's "no answer yet"


class Deadlock(RuntimeError):
    """Processes remain, and each waits for what no one will do."""


@dataclass(frozen=True, eq=False)
class Outcome:
    """How a run ended, or rests."""

    ticks: int  # virtual time, microseconds
    returned: dict[str, Any]  # by process: its state
    channels: dict[str, Held]
    effects: int  # answered in this run
    work_seconds: float  # really spent in work and services in this run

    @property
    def seconds(self) -> float:
        return self.ticks / TICKS


@dataclass(slots=True, eq=False)
class Running:
    """A process, and how it spends its time."""

    name: str
    generator: Process
    doing: str = "work"
    since: int = 0  # ticks
    spent: dict[str, int] = field(
        default_factory=lambda: {"work": 0, "ask": 0, "put": 0, "take": 0}
    )  # ticks


@dataclass(slots=True, eq=False)
class Gather:
    """The replies to an ``All`` that have come."""

    replies: list
    missing: int


class Local:
    """One clock, channels of one capacity, threads that work (0: the caller's own, as the measured clock wants it)."""

    def __init__(self, clock: Clock = free, capacity: int = 4, threads: int = 0):
        self.clock, self.capacity, self.threads = (
            clock,
            capacity,
            0 if clock is measured else threads,
        )

    def run(
        self,
        processes: Mapping[str, Process | Callable[[], Process]],
        services: Mapping[str, Any],
        emit: Callable[[dict], None],
        rest: Callable[[], bool] = lambda: False,
        channels: Mapping[str, Held] | None = None,
        ticks: int = 0,
    ) -> Outcome:
        """Run ``processes``, or what makes them, until all have returned; ``rest`` says when to come to rest before.

        Raises Deadlock, or whatever a process or a service raises, with a note that names the process and the time.
        """
        with Labour(self.threads) as labour:
            timeline = Timeline(
                self.clock, self.capacity, services, emit, rest, channels or {}, ticks, labour
            )
            return timeline.run(processes)


class Timeline:
    """The state of one run."""

    def __init__(
        self,
        clock: Clock,
        capacity: int,
        services: Mapping[str, Any],
        emit: Callable[[dict], None],
        rest: Callable[[], bool],
        channels: Mapping[str, Held],
        ticks: int,
        labour: Labour,
    ):
        self.clock, self.capacity, self.services, self.emit, self.rest = (
            clock,
            capacity,
            services,
            emit,
            rest,
        )
        self.now, self.order, self.resting = ticks, itertools.count(), False
        self.heap: list[tuple[int, int, Callable, Running, Any]] = []
        self.channels = {name: Channel(capacity, held) for name, held in channels.items()}
        self.alive: dict[str, Running] = {}
        self.returned: dict[str, Any] = {}
        self.free_at: dict[str, int] = defaultdict(
            int
        )  # by service: when it has served all calls that came
        self.busy: dict[str, int] = defaultdict(int)  # by service: ticks
        self.waiting: dict[str, list] = defaultdict(
            list
        )  # by service: calls that were answered NOT_YET
        self.released: dict[str, int] = {}
        self.effects, self.work_seconds, self.labour = 0, 0.0, labour
        self.answers: dict[type, Callable[[Running, Any], Any]] = {
            Work: self.work,
            Ask: self.ask,
            All: self.all,
            Put: self.put,
            Take: self.take,
            Close: self.close,
            Emit: self.row,
            Now: self.time,
            Rest: self.rests,
        }

    def run(self, processes: Mapping[str, Process | Callable[[], Process]]) -> Outcome:
        for name, process in processes.items():
            running = Running(name, process() if callable(process) else process, since=self.now)
            self.alive[name] = running
            self.at(self.now, self.step, running, None)
        heap, pop = self.heap, heapq.heappop
        while True:
            while heap:
                self.now, _, act, who, value = pop(heap)
                act(who, value)
            if not self.alive:
                break
            if self.resting or not self.rest():
                raise Deadlock("; ".join(self.stuck()))
            self.come_to_rest()
        for name, ticks in sorted(self.busy.items()):
            self.usage(name, busy_seconds=ticks / TICKS)
        held = {name: channel.held() for name, channel in self.channels.items()}
        return Outcome(self.now, self.returned, held, self.effects, self.work_seconds)

    def at(self, ticks: int, act: Callable, process: Running, value: Any) -> None:
        heapq.heappush(self.heap, (ticks, next(self.order), act, process, value))

    def step(self, process: Running, reply: Any) -> None:
        """Send the reply, and answer what the process asks for until it must wait."""
        process.spent[process.doing] += self.now - process.since
        send, answers = process.generator.send, self.answers
        try:
            while reply is not SUSPENDED:
                effect = send(reply)
                self.effects += 1
                if type(effect) not in answers:
                    raise TypeError(f"not an effect: {effect!r}")
                reply = answers[type(effect)](process, effect)
        except StopIteration as end:
            self.finish(process, end.value)
        except BaseException as problem:
            problem.add_note(f"in process {process.name!r} at {self.now / TICKS} s")
            raise

    def finish(self, process: Running, state: Any) -> None:
        del self.alive[process.name]
        self.returned[process.name] = state
        self.usage(
            process.name,
            **{f"{what}_seconds": ticks / TICKS for what, ticks in process.spent.items()},
        )

    def usage(self, name: str, **columns: float) -> None:
        self.emit({"process": name, "seconds": self.now / TICKS, "kind": "usage", **columns})

    def suspend(self, process: Running, doing: str) -> Any:
        process.doing, process.since = doing, self.now
        return SUSPENDED

    # --- effects that take time

    def work(self, process: Running, work: Work, gather: Gather | None = None) -> Any:
        result, elapsed = self.labour.begin(work)
        seconds = self.clock.work(process.name, work, elapsed, self.now)
        self.at(self.now + round(seconds * TICKS), self.worked, process, (result, gather))
        return self.suspend(process, "work")

    def worked(self, process: Running, done: tuple[Result, Gather | None]) -> None:
        result, gather = done
        try:
            value, elapsed = result()
        except BaseException as problem:
            problem.add_note(f"in process {process.name!r} at {self.now / TICKS} s")
            raise
        self.work_seconds += elapsed
        if gather is None:
            self.step(process, value)
        else:
            self.collect(process, (gather, -1, value))

    def ask(self, process: Running, ask: Ask) -> Any:
        self.depart(process, ask, None, 0)
        return self.suspend(process, "ask")

    def all(self, process: Running, effect: All) -> Any:
        parts = len(effect.asks) + (effect.work is not None)
        if not parts:
            return []
        gather = Gather([None] * parts, parts)
        for i, ask in enumerate(effect.asks):
            self.depart(process, ask, gather, i)
        return (
            self.work(process, effect.work, gather) if effect.work else self.suspend(process, "ask")
        )

    def depart(self, process: Running, ask: Ask, gather: Gather | None, index: int) -> None:
        travel = round(self.clock.travel(process.name, ask.service, ask.size, self.now) * TICKS)
        if travel:
            self.at(self.now + travel, self.arrive, process, (ask, gather, index))
        else:
            self.arrive(process, (ask, gather, index))

    def arrive(self, process: Running, call: tuple[Ask, Gather | None, int]) -> None:
        """The service is called in the order of arrival, though its reply may leave later: the replies are the same."""
        service = call[0].service
        if not self.serve(process, call):
            self.waiting[service].append((process, call))
        while self.waiting[service] and self.services[service].released != self.released.get(
            service
        ):
            self.released[service] = self.services[service].released
            self.waiting[service] = [c for c in self.waiting[service] if not self.serve(*c)]

    def serve(self, process: Running, call: tuple[Ask, Gather | None, int]) -> bool:
        """Whether the call was answered."""
        ask = call[0]
        start = time.perf_counter()
        reply = getattr(self.services[ask.service], ask.method)(*ask.args)
        elapsed = time.perf_counter() - start
        self.work_seconds += elapsed
        if reply is NOT_YET:
            if not self.resting:
                return False
            reply = RESTING
        busy = round(self.clock.serve(ask, elapsed) * TICKS)
        self.busy[ask.service] += busy
        self.free_at[ask.service] = end = max(self.now, self.free_at[ask.service]) + busy
        back = self.clock.travel(process.name, ask.service, ask.reply, end)
        self.deliver(process, call, reply, end + round(back * TICKS))
        return True

    def deliver(
        self, process: Running, call: tuple[Ask, Gather | None, int], reply: Any, ticks: int
    ) -> None:
        _, gather, index = call
        if gather is None:
            self.at(ticks, self.step, process, reply)
        else:
            self.at(ticks, self.collect, process, (gather, index, reply))

    def collect(self, process: Running, reply: tuple[Gather, int, Any]) -> None:
        gather, index, value = reply
        gather.replies[index] = value
        gather.missing -= 1
        if not gather.missing:
            self.step(process, gather.replies)

    # --- channels

    def channel(self, name: str) -> Channel:
        if name not in self.channels:
            self.channels[name] = Channel(self.capacity, Held())
        return self.channels[name]

    def put(self, process: Running, put: Put) -> Any:
        answer = self.wake(*self.channel(put.channel).put(process, put.item))
        return self.suspend(process, "put") if answer is WAIT else answer

    def take(self, process: Running, take: Take) -> Any:
        answer = self.wake(*self.channel(take.channel).take(process))
        return self.suspend(process, "take") if answer is WAIT else answer

    def close(self, process: Running, close: Close) -> None:
        self.wake(*self.channel(close.channel).close())

    def wake(self, answer: Any, woken: Woken) -> Any:
        for process, reply in woken:
            self.at(self.now, self.step, process, reply)
        return answer

    # --- effects that take no time

    def row(self, process: Running, emit: Emit) -> None:
        self.emit({"process": process.name, "seconds": self.now / TICKS, **emit.row})

    def time(self, process: Running, now: Now) -> float:
        return self.now / TICKS

    def rests(self, process: Running, rest: Rest) -> bool:
        if not self.resting and self.rest():
            self.come_to_rest()
        return self.resting

    def come_to_rest(self) -> None:
        """From now on nothing waits: see ``effects``."""
        self.resting = True
        for channel in self.channels.values():
            self.wake(*channel.rest())
        for calls in self.waiting.values():
            for process, call in calls:
                self.deliver(process, call, RESTING, self.now)
            calls.clear()

    def stuck(self) -> Iterator[str]:
        """Who waits for what."""
        for name, channel in sorted(self.channels.items()):
            yield from (
                f"{p.name} waits to take from {name!r}, which is empty" for p in channel.takers
            )
            yield from (
                f"{p.name} waits to put into {name!r}, which is full" for p, _ in channel.putters
            )
        for name, calls in sorted(self.waiting.items()):
            yield from (
                f"{p.name} waits for {name!r} to answer {ask.method}" for p, (ask, _, _) in calls
            )
