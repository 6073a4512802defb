"""One process on a cluster: a Dask task that answers effects by asking the hosts, from worker to worker."""

import time
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from distributed import get_worker

from workbench.engine.dask.connection import Line
from workbench.engine.dask.host import AGAIN, host_here
from workbench.engine.dask.listener import Address, Failed, called
from workbench.engine.effects import (
    All,
    Ask,
    Close,
    Emit,
    Lost,
    Now,
    Process,
    Put,
    Rest,
    Take,
    Work,
)
from workbench.storage.rows import Row, UsageRow

ROWS = 64  # that travel together,
ROWS_SECONDS = 0.5  # or those of so many seconds
PATIENCE = 60.0  # seconds, for the answer of a host that itself answers within a few


@dataclass(frozen=True, eq=False)
class Site:
    """What a process has to know of the cluster."""

    run: str  # its name, and that of the topic of its rows
    hosts: Sequence[Address]
    places: Mapping[str, int]  # service or channel -> number of its host; of others, by their name
    began: float  # wall time at which the run began, less the seconds that it had behind it


def drive(make: Callable[[], Process], name: str, site: Site) -> tuple[Any, int, int, float]:
    """Run a process to its return; what it returned, rows sent, effects answered, seconds of work."""
    return _Task(name, site).run(make())


class _Task:
    def __init__(self, name: str, site: Site):
        self.name, self.site, self.resting = name, site, False
        self.lines: dict[int, Line] = {}
        self.rows: list[dict] = []
        self.sent, self.effects, self.flushed = 0, 0, time.monotonic()
        self.spent = {"work": 0.0, "ask": 0.0, "put": 0.0, "take": 0.0}

    def run(self, process: Process) -> tuple[Any, int, int, float]:
        self.one(0, "begin", self.name)
        reply = None
        try:
            while True:
                effect = process.send(reply)
                reply = self.answer(effect)
                self.effects += 1
        except StopIteration as end:
            self.emit(
                UsageRow(
                    work_seconds=self.spent["work"],
                    ask_seconds=self.spent["ask"],
                    put_seconds=self.spent["put"],
                    take_seconds=self.spent["take"],
                )
            )
            self.flush()
            return end.value, self.sent, self.effects, self.spent["work"]
        except BaseException as problem:
            problem.add_note(f"in process {self.name!r} at {self.now():.3f} s")
            raise
        finally:
            self.leave()

    def leave(self) -> None:
        """What another process still sees of ours, e.g. a push that waits for its turn, is kept until the run ends."""
        here = (host_here(self.site.run, number) for number in range(len(self.site.hosts)))
        for host in here:
            if host is not None:
                host.kept += [line for line in self.lines.values() if line.lent]
                break

    def answer(self, effect: Any) -> Any:
        match effect:
            case Work(fn, args):
                return self.timed("work", fn, *args)
            case Ask():
                return self.timed("ask", self.ask, (effect,))[0]
            case All(asks, None):
                return self.timed("ask", self.ask, asks)
            case All(asks, Work(fn, args)):
                return self.meanwhile(asks, fn, args)
            case Put(channel, item):
                return self.timed("put", self.patiently, channel, "put", channel, item)
            case Take(channel):
                return self.timed("take", self.patiently, channel, "take", channel)
            case Close(channel):
                return self.patiently(channel, "close", channel)
            case Emit(row):
                return self.emit(row)
            case Now():
                return self.now()
            case Rest():
                return self.resting
        raise TypeError(f"not an effect: {effect!r}")

    def meanwhile(self, asks: Sequence[Ask], fn: Callable, args: tuple) -> list[Any]:
        """The replies, and the value of work that is done while they travel; nobody else uses the lines then."""
        with ThreadPoolExecutor(
            1, "workbench asks"
        ) as beside:  # left only when the answers are there, whatever happens
            replies = beside.submit(self.ask, asks)
            value = self.timed("work", fn, *args)
            return [*self.timed("ask", replies.result), value]

    def timed(self, what: str, fn: Callable, *args: Any) -> Any:
        start = time.perf_counter()
        try:
            return fn(*args)
        finally:
            self.spent[what] += time.perf_counter() - start

    def now(self) -> float:
        return time.time() - self.site.began

    def host(self, name: str) -> int:
        """The number of the host of a service or a channel."""
        return place(name, self.site.places) % len(self.site.hosts)

    def ask(self, asks: Sequence[Ask]) -> list[Any]:
        """All calls are under way at once, those to the same host in one message."""
        replies: list[Any] = [AGAIN] * len(asks)
        while waiting := [i for i, reply in enumerate(replies) if reply is AGAIN]:
            by_host: dict[int, list[int]] = defaultdict(list)
            for i in waiting:
                by_host[self.host(asks[i].service)].append(i)
            calls = {
                h: [(asks[i].service, asks[i].call) for i in mine] for h, mine in by_host.items()
            }
            for host, answers in self.all(
                {h: ("call", (mine,)) for h, mine in calls.items()}
            ).items():
                for i, answer in zip(by_host[host], answers, strict=True):
                    replies[i] = answer
        return replies

    def patiently(self, name: str, method: str, *args: Any) -> Any:
        """Ask the host of ``name`` until it answers."""
        while (reply := self.one(self.host(name), method, *args)) is AGAIN:
            pass
        return reply

    def one(self, host: int, method: str, *args: Any) -> Any:
        return self.all({host: (method, args)})[host]

    def all(self, questions: Mapping[int, tuple[str, tuple]]) -> dict[int, Any]:
        """The answers of several hosts; while others work on theirs, the one in this process is asked itself."""
        here = {number: host_here(self.site.run, number) for number in questions}
        elsewhere = [number for number, host in here.items() if host is None]
        with self.reaching():
            for number in elsewhere:
                self.line(number).send(questions[number])
        answers: dict[int, Any] = {
            number: host.answer(*questions[number]) for number, host in here.items() if host
        }
        with self.reaching():
            answers |= {number: self.line(number).receive() for number in elsewhere}
        for answer in answers.values():
            if isinstance(answer, Failed):
                raise answer.problem
        self.resting = self.resting or any(resting for _, resting in answers.values())
        return {number: value for number, (value, _) in answers.items()}

    @contextmanager
    def reaching(self) -> Iterator[None]:
        """What is broken, or silent, has been lost."""
        try:
            yield
        except (OSError, EOFError) as problem:
            raise Lost(f"a worker that {self.name} needs was lost: {problem}") from problem

    def line(self, number: int) -> Line:
        if number not in self.lines:
            self.lines[number] = called(self.site.hosts[number], PATIENCE)
        return self.lines[number]

    def emit(self, row: Row) -> None:
        self.rows.append(row.stamp(self.name, self.now()).to_dict())
        if len(self.rows) >= ROWS or time.monotonic() - self.flushed > ROWS_SECONDS:
            self.flush()

    def flush(self) -> None:
        get_worker().log_event(self.site.run, self.rows)
        self.sent += len(self.rows)
        self.rows, self.flushed = [], time.monotonic()


def place(name: str, places: Mapping[str, int]) -> int:
    """The number of the host of a service or a channel, to be taken modulo the number of hosts."""
    return places.get(name, zlib.crc32(name.encode()))
