"""All processes of a run on one clock: the same clock gives the same run, row for row.

* Events at equal times happen in the order in which they were scheduled.
* Work and calls take turns even where they take no time. Effects that need no waiting (rows, the
  time, a channel with room) are answered at once.
* A service serves one call at a time, in the order of arrival; calls queue while it is busy.
  Messages with data queue for the links of both ends (`links`).
* Components that come to rest (see ``effects``) leave a run that can be resumed: give the outcome's
  ``channels`` and ``ticks`` to the next ``run``.
* Work is a pure function of its arguments, so threads may do it meanwhile; the result is waited for
  when its turn comes.
"""

import heapq
import itertools
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

from workbench.engine.channels import WAIT, Channel, Woken
from workbench.engine.clocks import AT_ONCE, TICKS, Clock, free, measured
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
    Service,
    Take,
    Work,
)
from workbench.engine.links import SharedLinks
from workbench.engine.outcome import Outcome
from workbench.engine.workers import Done, Workers, never
from workbench.storage.rows import Row, UsageRow

SUSPENDED = object()  # a handler's "the process waits"

Event = Callable[[], None]
Deliver = Callable[[object], None]  # what happens when a reply arrives


class Deadlock(RuntimeError):
    """Processes remain, and each waits for something that no other will do."""


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
    """The answers to the parts of an ``All`` that have come."""

    replies: list[object]
    missing: int


class Unanswered(NamedTuple):
    """A call that its service has answered with ``NOT_YET``."""

    process: Running
    ask: Ask
    deliver: Deliver


@dataclass(slots=True, eq=False)
class ServiceQueue:
    """A service, and the calls that came to it."""

    service: Service
    waiting: list[Unanswered] = field(default_factory=list)
    released: int | None = None  # the service's counter when the waiting were last repeated
    free_at: int | None = None  # ticks, when it has served all calls; None: it has served none
    busy: int = 0  # ticks


class Local:
    """The executor: one clock, channels of one capacity, and ``threads`` that work.

    0 threads: work is done by the caller's own, as it must be for the measured clock.
    """

    def __init__(self, clock: Clock = free, capacity: int = 4, threads: int = 0):
        self.clock = clock
        self.capacity = capacity
        self.threads = 0 if clock is measured else threads

    def run(
        self,
        processes: Mapping[str, Process | Callable[[], Process]],
        services: Mapping[str, Service],
        emit: Callable[[Row], None],
        rest: Callable[[], bool] = lambda: False,
        channels: Mapping[str, Held] | None = None,
        ticks: int = 0,
        give_way: Callable[[], bool] = never,
    ) -> Outcome:
        """Run processes, or the makers of processes, until all have returned.

        ``rest`` returns True when the run shall come to rest before, ``give_way`` when long work
        shall not be waited for either. Raises Deadlock, or whatever a process or a service raises,
        with a note that names the process and the time.
        """
        with Workers(self.threads, give_way) as workers:
            timeline = Timeline(self.clock, self.capacity, workers, services, emit, rest)
            return timeline.run(processes, channels or {}, ticks)


class Timeline:
    """The state of one run."""

    def __init__(
        self,
        clock: Clock,
        capacity: int,
        workers: Workers,
        services: Mapping[str, Service],
        emit: Callable[[Row], None],
        rest: Callable[[], bool],
    ):
        self.clock = clock
        self.capacity = capacity
        self.workers = workers
        self.queues = {name: ServiceQueue(service) for name, service in services.items()}
        self.emit = emit
        self.rest = rest

        self.now = 0  # ticks
        self.resting = False
        self.present: deque[Event] = deque()  # what happens now, in its order
        self.later: list[tuple[int, int, Event]] = []  # a heap: ticks, order, what happens then
        self.order = itertools.count()
        self.alive: dict[str, Running] = {}
        self.returned: dict[str, object] = {}
        self.channels: dict[str, Channel[Running]] = {}
        self.links = SharedLinks(self.at)
        self.effects = 0
        self.work_seconds = 0.0

        self.handlers: dict[type, Callable[[Running, Any], object]] = {
            Work: self.work,
            Ask: self.ask,
            All: self.all,
            Put: self.put,
            Take: self.take,
            Close: self.close,
            Emit: self.record_row,
            Now: self.tell_time,
            Rest: self.shall_rest,
        }

    def run(
        self,
        processes: Mapping[str, Process | Callable[[], Process]],
        channels: Mapping[str, Held],
        ticks: int,
    ) -> Outcome:
        """Run to the end, or to rest."""
        self.now = ticks
        self.channels = {name: Channel(self.capacity, held) for name, held in channels.items()}
        for name, process in processes.items():
            generator = process() if callable(process) else process
            running = Running(name, generator, since=self.now)
            self.alive[name] = running
            self.at(self.now, partial(self.step, running, None))

        self.pass_time()
        while self.alive:
            if self.resting or not self.rest():
                raise Deadlock("; ".join(self.stuck()))
            self.come_to_rest()
            self.pass_time()

        for name, queue in sorted(self.queues.items()):
            if queue.free_at is not None:
                self.emit_usage(name, {"busy": queue.busy, **self.links.use(name)})
        held = {name: channel.held() for name, channel in self.channels.items()}
        return Outcome(self.now, self.returned, held, self.effects, self.work_seconds)

    def at(self, ticks: int, event: Event) -> None:
        """Let ``event`` happen at this time."""
        if ticks == self.now:
            self.present.append(event)
        else:
            heapq.heappush(self.later, (ticks, next(self.order), event))

    def pass_time(self) -> None:
        """Let events happen until there are no more."""
        present = self.present
        later = self.later
        while True:
            while present:
                event = present.popleft()
                event()
            if not later:
                return

            self.now, _, event = heapq.heappop(later)
            event()
            while later and later[0][0] == self.now:  # were scheduled before what is present now
                _, _, event = heapq.heappop(later)
                event()

    # --- processes

    def step(self, process: Running, reply: object) -> None:
        """Send the reply, and answer the process's effects until it must wait."""
        process.spent[process.doing] += self.now - process.since
        send = process.generator.send
        handlers = self.handlers
        try:
            while reply is not SUSPENDED:
                effect = send(reply)
                self.effects += 1
                handler = handlers.get(type(effect))
                if handler is None:
                    raise TypeError(f"not an effect: {effect!r}")
                reply = handler(process, effect)
        except StopIteration as end:
            del self.alive[process.name]
            self.returned[process.name] = end.value
            self.emit_usage(process.name, process.spent)
        except BaseException as problem:
            self.blame(process, problem)
            raise

    def blame(self, process: Running, problem: BaseException) -> None:
        """Note at an error which process it is from, and when."""
        problem.add_note(f"in process {process.name!r} at {self.now / TICKS} s")

    def suspend(self, process: Running, doing: str) -> object:
        """Let the process wait, and charge the time to ``doing``."""
        process.doing = doing
        process.since = self.now
        return SUSPENDED

    def emit_usage(self, name: str, spent: Mapping[str, int]) -> None:
        """Emit how many ticks a process or a service has spent on what."""
        seconds = {what: ticks / TICKS for what, ticks in spent.items()}
        row = UsageRow(
            work_seconds=seconds.get("work"),
            ask_seconds=seconds.get("ask"),
            put_seconds=seconds.get("put"),
            take_seconds=seconds.get("take"),
            busy_seconds=seconds.get("busy"),
            sending_seconds=seconds.get("sending"),
            receiving_seconds=seconds.get("receiving"),
        )
        self.emit(row.stamp(name, self.now / TICKS))

    # --- work

    def work(self, process: Running, work: Work, gather: Gather | None = None) -> object:
        """Begin work, and charge its time."""
        started = self.workers.start(work)
        seconds = self.clock.work(process.name, work, started.seconds, self.now)
        finish = partial(self.finish_work, process, started.wait, gather)
        self.at(self.now + round(seconds * TICKS), finish)
        return self.suspend(process, "work")

    def finish_work(
        self,
        process: Running,
        wait: Callable[[Callable[[], object]], Done],
        gather: Gather | None,
    ) -> None:
        """Hand the value of work to its process; meanwhile ``rest`` may raise to end the run."""
        try:
            done = wait(self.rest)
        except BaseException as problem:
            self.blame(process, problem)
            raise

        self.work_seconds += done.seconds
        if gather is None:
            self.step(process, done.value)
        else:
            self.collect(process, gather, -1, done.value)

    # --- calls

    def ask(self, process: Running, ask: Ask) -> object:
        """Send one call."""
        self.send(process, ask, partial(self.step, process))
        return self.suspend(process, "ask")

    def all(self, process: Running, effect: All) -> object:
        """Send several calls, and begin the work that is done meanwhile."""
        parts = len(effect.asks) + (effect.work is not None)
        if not parts:
            return []
        gather = Gather([None] * parts, parts)
        for place, ask in enumerate(effect.asks):
            self.send(process, ask, partial(self.collect, process, gather, place))
        if effect.work is not None:
            return self.work(process, effect.work, gather)
        return self.suspend(process, "ask")

    def send(self, process: Running, ask: Ask, deliver: Deliver) -> None:
        """Let a call travel to its service."""
        journey = self.clock.travel(process.name, ask.service, ask.size, self.now)
        if journey is AT_ONCE:
            self.arrive(process, ask, deliver)
            return

        arrive = partial(self.arrive, process, ask, deliver)
        if journey.transfer:
            self.links.carry(process.name, ask.service, journey, self.now, arrive)
        else:
            self.at(self.now + journey.latency, arrive)

    def arrive(self, process: Running, ask: Ask, deliver: Deliver) -> None:
        """Serve a call, and then the waiting ones while the service releases some.

        Calls are served in the order of arrival, though a reply may leave later: the replies are
        the same.
        """
        queue = self.queues[ask.service]
        if not self.serve(queue, process, ask, deliver):
            queue.waiting.append(Unanswered(process, ask, deliver))
        while queue.waiting and queue.service.released != queue.released:
            queue.released = queue.service.released
            queue.waiting = [call for call in queue.waiting if not self.serve(queue, *call)]

    def serve(self, queue: ServiceQueue, process: Running, ask: Ask, deliver: Deliver) -> bool:
        """Return whether the service has answered."""
        start = time.perf_counter()
        reply = queue.service.answer(ask.call)
        elapsed = time.perf_counter() - start
        self.work_seconds += elapsed
        if reply is NOT_YET:
            if not self.resting:
                return False
            reply = RESTING

        busy = round(self.clock.serve(ask, elapsed) * TICKS)
        end = max(self.now, queue.free_at or 0) + busy
        queue.busy += busy
        queue.free_at = end
        arrive = partial(deliver, reply)
        back = self.clock.travel(process.name, ask.service, ask.reply, end)
        if back.transfer:
            self.links.carry(ask.service, process.name, back, end, arrive)
        else:
            self.at(end + back.latency, arrive)
        return True

    def collect(self, process: Running, gather: Gather, index: int, value: object) -> None:
        """Add one part of an ``All``; the last one lets the process continue."""
        gather.replies[index] = value
        gather.missing -= 1
        if not gather.missing:
            self.step(process, gather.replies)

    # --- channels

    def channel(self, name: str) -> Channel[Running]:
        """Return the channel of this name, made when it is first used."""
        if name not in self.channels:
            self.channels[name] = Channel(self.capacity, Held())
            if self.resting:
                self.channels[name].rest()
        return self.channels[name]

    def put(self, process: Running, put: Put) -> object:
        """Put an item, or wait."""
        answer, woken = self.channel(put.channel).put(process, put.item)
        self.wake(woken)
        return self.suspend(process, "put") if answer is WAIT else answer

    def take(self, process: Running, take: Take) -> object:
        """Take an item, or wait."""
        answer, woken = self.channel(take.channel).take(process)
        self.wake(woken)
        return self.suspend(process, "take") if answer is WAIT else answer

    def close(self, process: Running, close: Close) -> None:
        """Close a channel."""
        self.wake(self.channel(close.channel).close())

    def wake(self, woken: Woken[Running]) -> None:
        """Let processes that waited at a channel continue."""
        for process, answer in woken:
            self.at(self.now, partial(self.step, process, answer))

    # --- effects that take no time

    def record_row(self, process: Running, emit: Emit) -> None:
        """Emit a row with process and time."""
        self.emit(emit.row.stamp(process.name, self.now / TICKS))

    def tell_time(self, process: Running, now: Now) -> float:
        """Return the virtual time in seconds."""
        return self.now / TICKS

    def shall_rest(self, process: Running, rest: Rest) -> bool:
        """Return whether the run is coming to rest, which begins here if it is time."""
        if not self.resting and self.rest():
            self.come_to_rest()
        return self.resting

    def come_to_rest(self) -> None:
        """From now on no process waits: see ``effects``."""
        self.resting = True
        for channel in self.channels.values():
            self.wake(channel.rest())
        for queue in self.queues.values():
            for call in queue.waiting:
                self.at(self.now, partial(call.deliver, RESTING))
            queue.waiting.clear()

    def stuck(self) -> Iterator[str]:
        """Yield which process waits for what."""
        for name, channel in sorted(self.channels.items()):
            for process in channel.takers:
                yield f"{process.name} waits to take from {name!r}, which is empty"
            for process, _ in channel.putters:
                yield f"{process.name} waits to put into {name!r}, which is full"

        for name, queue in sorted(self.queues.items()):
            for process, ask, _ in queue.waiting:
                yield f"{process.name} waits for {name!r} to answer {type(ask.call).__name__}"
