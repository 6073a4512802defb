"""One process on a cluster: a Dask task that answers effects by calls to the hosts."""

import time
import traceback
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

from workbench.engine.dask.connection import Connection
from workbench.engine.dask.host import (
    AGAIN,
    Calls,
    Host,
    Make,
    Reply,
    Request,
    Start,
    follow,
    giving_way,
    host_here,
)
from workbench.engine.dask.listener import CONNECTION_ERRORS, Address, Failed, connect
from workbench.engine.dask.topic import send_rows
from workbench.engine.effects import (
    All,
    Ask,
    Close,
    Effect,
    Emit,
    Lost,
    Now,
    Process,
    Put,
    Rest,
    Take,
    Work,
)
from workbench.engine.workers import do
from workbench.storage.rows import Row, UsageRow

ROWS_TOGETHER = 64  # rows are sent when there are so many,
ROWS_SECONDS = 0.5  # or when the last ones were sent so long ago
REPLY_TIMEOUT = 60.0  # seconds; a host replies within a few


@dataclass(frozen=True, eq=False)
class Site:
    """What a process has to know of the cluster."""

    run: str  # its name
    topic: str  # of its rows
    hosts: Sequence[Address]
    places: Mapping[str, int]  # number of the host by service or channel; see `place`
    began: float  # wall time at which the run began, less the seconds that it had behind it


@dataclass(frozen=True, eq=False)
class Returned:
    """How a process has ended."""

    state: object  # its return value
    rows: int  # sent
    effects: int  # answered
    work_seconds: float


def drive_seated(name: str, number: int, site: Site) -> Returned:
    """Run the process that host ``number``, which is here, was given."""
    try:
        return drive(take_maker(name, number, site), name, site)
    except BaseException as error:
        forget_variables(error)
        raise


def take_maker(name: str, number: int, site: Site) -> Make:
    """Return what starts a process, from the host that was given it; Lost if that has gone."""
    host = host_here(site.run, number)
    if host is None:
        raise Lost(f"lost: the host of {name}")
    return host.makers.pop(name)


def forget_variables(error: BaseException | None) -> None:
    """Drop the variables of the functions through which an error came.

    They and the error refer to each other, so that host, connections and arrays would stay, with
    their open files, until Python looks for such circles, which it seldom does.
    """
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__


def drive(make: Make, name: str, site: Site) -> Returned:
    """Run a process until it returns."""
    return _Driver(name, site).run(make())


class _Driver:
    """Answers the effects of one process."""

    def __init__(self, name: str, site: Site):
        self.name = name
        self.site = site
        # From here on the monotonic clock counts: the machine's may be set while the run lasts.
        self.zero = time.monotonic() - (time.time() - site.began)
        self.resting = False
        self.connections: dict[int, Connection] = {}  # by number of the host
        self.progress = follow(site.run, name)
        self.given_up = giving_way(site.run)
        self.spent = {"work": 0.0, "ask": 0.0, "put": 0.0, "take": 0.0}  # seconds

        self.rows: list[dict] = []  # not sent yet
        self.rows_sent = 0
        self.last_sent = time.monotonic()

    def run(self, process: Process) -> Returned:
        self.request(0, Start(self.name))
        reply = None
        self.progress.working = True
        try:
            while True:
                effect = process.send(reply)
                reply = self.answer(effect)
                self.progress.effects += 1
        except StopIteration as end:
            self.emit_usage()
            self.send_rows()
            return Returned(end.value, self.rows_sent, self.progress.effects, self.spent["work"])
        except BaseException as error:
            error.add_note(f"in process {self.name!r} at {self.now():.3f} s")
            raise
        finally:
            self.progress.working = False
            self.keep_lending()

    def keep_lending(self) -> None:
        """Give connections on which arrays are lent to a host of this worker, until the run ends.

        A peer may still read, for example, a push that waits for its turn.
        """
        for number in range(len(self.site.hosts)):
            host = host_here(self.site.run, number)
            if host is not None:
                host.kept_connections += [c for c in self.connections.values() if c.lends]
                return

    def answer(self, effect: Effect) -> object:
        match effect:
            case Work():
                with self.spending("work"):
                    return do(effect, self.given_up).value
            case Ask():
                with self.spending("ask"):
                    return self.ask((effect,))[0]
            case All(asks, None):
                with self.spending("ask"):
                    return self.ask(asks)
            case All(asks, Work(fn, args)):
                return self.ask_while_working(asks, fn, args)
            case Put(channel):
                with self.spending("put"):
                    return self.request_until_answered(channel, effect)
            case Take(channel):
                with self.spending("take"):
                    return self.request_until_answered(channel, effect)
            case Close(channel):
                with self.spending("put"):
                    return self.request_until_answered(channel, effect)
            case Emit(row):
                self.emit(row)
                return None
            case Now():
                return self.now()
            case Rest():
                return self.resting
        raise TypeError(f"not an effect: {effect!r}")

    def ask_while_working(
        self, asks: Sequence[Ask], fn: Callable[..., object], args: tuple[object, ...]
    ) -> list[object]:
        """Return the replies, and last the value of work that is done while they are under way.

        Only the other thread uses the connections meanwhile.
        """
        with ThreadPoolExecutor(1, "workbench asks") as beside:
            replies = beside.submit(self.ask, asks)
            with self.spending("work"):
                value = fn(*args)
            with self.spending("ask"):
                return [*replies.result(), value]

    @contextmanager
    def spending(self, activity: str) -> Iterator[None]:
        """Add the time inside the context to the seconds of ``activity``.

        Outside, the component itself computes, for example drift.
        """
        start = time.perf_counter()
        self.progress.working = activity == "work"
        try:
            yield
        finally:
            self.progress.working = True
            self.spent[activity] += time.perf_counter() - start

    def now(self) -> float:
        """Return the seconds since the run began."""
        return time.monotonic() - self.zero

    def host_of(self, name: str) -> int:
        """Return the number of the host of a service or a channel."""
        return place(name, self.site.places) % len(self.site.hosts)

    def ask(self, asks: Sequence[Ask]) -> list[object]:
        """Make all calls at once, and again until all are answered."""
        replies: list[object] = [AGAIN] * len(asks)
        while waiting := [i for i, reply in enumerate(replies) if reply is AGAIN]:
            by_host: dict[int, list[int]] = defaultdict(list)
            for i in waiting:
                by_host[self.host_of(asks[i].service)].append(i)

            requests = {
                host: Calls(tuple(asks[i] for i in indices)) for host, indices in by_host.items()
            }
            for host, answers in self.request_all(requests).items():
                if not isinstance(answers, list):
                    raise TypeError(f"calls were answered by {type(answers).__name__}")
                for i, answer in zip(by_host[host], answers, strict=True):
                    replies[i] = answer

        return replies

    def request_until_answered(self, channel: str, request: Put | Take | Close) -> object:
        host = self.host_of(channel)
        reply: object = AGAIN
        while reply is AGAIN:
            reply = self.request(host, request)
        return reply

    def request(self, host: int, request: Request) -> object:
        return self.request_all({host: request})[host]

    def request_all(self, requests: Mapping[int, Request]) -> dict[int, object]:
        """Return the answers by host.

        The host of this process is called itself while others work on theirs.
        """
        here: dict[int, Host] = {}
        elsewhere: list[int] = []
        for number in requests:
            host = host_here(self.site.run, number)
            if host is None:
                elsewhere.append(number)
            else:
                here[number] = host

        with self.reporting_loss():
            for number in elsewhere:
                self.connection(number).send(requests[number])
        replies: dict[int, object] = {
            number: host.answer(requests[number]) for number, host in here.items()
        }
        with self.reporting_loss():
            for number in elsewhere:
                replies[number] = self.connection(number).receive()
        return {number: self.value_of(reply) for number, reply in replies.items()}

    def value_of(self, reply: object) -> object:
        """Return the value of a reply, or raise the error that it carries."""
        if isinstance(reply, Failed):
            raise reply.problem
        if not isinstance(reply, Reply):
            raise Lost(f"a host has sent {type(reply).__name__} in place of a reply")
        self.resting = self.resting or reply.resting
        return reply.value

    @contextmanager
    def reporting_loss(self) -> Iterator[None]:
        """Raise Lost in place of an error that means that a host has gone, or does not reply."""
        try:
            yield
        except CONNECTION_ERRORS as error:
            raise Lost(f"a worker that {self.name} needs was lost: {error}") from error

    def connection(self, number: int) -> Connection:
        if number not in self.connections:
            self.connections[number] = connect(self.site.hosts[number], REPLY_TIMEOUT)
        return self.connections[number]

    def emit_usage(self) -> None:
        """Emit how long the process was busy with what."""
        self.emit(
            UsageRow(
                work_seconds=self.spent["work"],
                ask_seconds=self.spent["ask"],
                put_seconds=self.spent["put"],
                take_seconds=self.spent["take"],
            )
        )

    def emit(self, row: Row) -> None:
        self.rows.append(row.stamp(self.name, self.now()).to_dict())
        waited = time.monotonic() - self.last_sent
        if len(self.rows) >= ROWS_TOGETHER or waited > ROWS_SECONDS:
            self.send_rows()

    def send_rows(self) -> None:
        """Send the rows to the process that drives the run, by Dask's scheduler."""
        send_rows(self.site.topic, self.site.run, self.rows)
        self.rows_sent += len(self.rows)
        self.rows = []
        self.last_sent = time.monotonic()


def place(name: str, places: Mapping[str, int]) -> int:
    """Return the number of the host of a service or a channel, modulo the number of hosts.

    A name that has no place gets one by its checksum.
    """
    return places.get(name, zlib.crc32(name.encode()))
