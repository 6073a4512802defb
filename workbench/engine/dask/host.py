"""Where services and channels live on a cluster: one host per worker, called by threads.

Dask places a host (an actor), starts it and ends it, and takes no part in the calls. Processes of
the same worker call the object itself, others through its listener. A service serves one call at a
time. No call waits longer than ``ANSWER_SECONDS``: then the reply is ``AGAIN`` and the caller calls
again. So a host notices within this time that a caller has gone.
"""

import dataclasses
import threading
import time
import weakref
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
from distributed import get_worker

from workbench.engine.channels import WAIT, Channel, Woken
from workbench.engine.dask.connection import Connection
from workbench.engine.dask.heartbeats import HEARTBEAT_FIELD
from workbench.engine.dask.listener import Address, Listener
from workbench.engine.dask.shared_memory import Segment, machine_id
from workbench.engine.dask.watch import Activity
from workbench.engine.effects import (
    NOT_YET,
    RESTING,
    Ask,
    Close,
    Held,
    Lost,
    Process,
    Put,
    Service,
    Take,
)
from workbench.system import memory

ANSWER_SECONDS = 5.0


class HostSignal(Enum):
    """Replies of the host itself."""

    AGAIN = "call again"


AGAIN = HostSignal.AGAIN


@dataclass
class Progress:
    """How far one process of this worker has come."""

    effects: int = 0  # that were answered
    working: bool = False  # it computes at the moment, and waits for nobody


@dataclass(frozen=True)
class Start:
    """The request of a process that starts."""

    process: str


@dataclass(frozen=True)
class Calls:
    """The request to call services of one host; the reply is the list of their answers."""

    asks: tuple[Ask, ...]


Make = Callable[[], Process]  # starts a process
Request = Start | Calls | Put | Take | Close


@dataclass(frozen=True, eq=False)
class Reply:
    """The answer to a request."""

    value: object
    resting: bool  # whether the run is coming to rest


@dataclass(frozen=True, eq=False)
class Collected:
    """What a host holds when a run has ended or rests."""

    services: dict[str, Service]
    channels: dict[str, Held]
    busy_seconds: dict[str, float]  # by service


class Aborted(RuntimeError):
    """Another process has failed, so the run is being ended."""


class Waiter:
    """A caller that waits at a channel."""

    answer: object = WAIT


class Host:
    """Services by name, and the channels of their worker."""

    def __init__(self, run: str, number: int, capacity: int):
        self.run = run
        self.number = number
        self.capacity = capacity  # of the channels
        self.resting = False
        self.aborted = ""  # why, if the run has failed
        self.gives_way = threading.Event()  # set when nobody waits for long work any more
        self.started: set[str] = set()  # processes
        self.progress: dict[str, Progress] = {}  # of the processes of this worker
        self.changed = threading.Condition()  # anything that a caller may wait for

        self.makers: dict[str, Make] = {}  # of processes of this worker that have not started
        self.services: dict[str, Service] = {}
        self.service_locks: dict[str, threading.Lock] = {}
        self.long_call_locks: dict[str, threading.Lock] = {}
        self.released: dict[str, int] = {}  # by service: its counter when last called
        self.releases = 0  # of all services together
        self.busy_seconds: dict[str, float] = defaultdict(float)

        self.channels: dict[str, Channel[Waiter]] = {}
        # Of processes here that have ended, while a peer still sees arrays that they sent.
        self.kept_connections: list[Connection] = []

    def hold(
        self,
        services: Mapping[str, Service],
        held: Mapping[str, Held],
        makers: Mapping[str, Make],
    ) -> None:
        """Take services, channels with what they hold, and what starts the processes here."""
        self.services = dict(services)
        self.service_locks = {name: threading.Lock() for name in services}
        self.long_call_locks = {name: threading.Lock() for name in services}
        self.channels = {
            name: Channel(self.capacity, _align_held(contents)) for name, contents in held.items()
        }
        self.makers = dict(makers)

    def machine(self) -> str:
        """Return a text that is the same for all hosts of one machine."""
        return machine_id()

    def open(self, token: bytes, shares_memory: bool, tcp: bool) -> Address:
        """Start to listen; with ``shares_memory`` this process lends shared memory from now on."""
        if shares_memory:
            memory.use(memory.Pool(Segment))
        worker_address = get_worker().address if tcp else ""
        answer = _answer_weakly(weakref.ref(self))
        self.listener = Listener(self.number, token, answer, shares_memory, worker_address)
        weakref.finalize(self, self.listener.close)
        _hosts_here[self.run, self.number] = self
        return self.listener.address

    def report(self) -> None:
        """Let the heartbeats of this worker say how far its processes are."""
        get_worker().metrics[HEARTBEAT_FIELD] = _report_activity

    def answer(self, request: object) -> Reply:
        """Do what ``request`` wants; TypeError if it is no request."""
        value = self._carry_out(request)
        return Reply(value, self.resting)

    def _carry_out(self, request: object) -> object:
        match request:
            case Calls(asks):
                return self.call([Ask(*ask) for ask in asks])  # a tuple travels without its names
            case Put(channel, item):
                return self.put(channel, item)
            case Take(channel):
                return self.take(channel)
            case Close(channel):
                self.close(channel)
            case Start(process):
                self.start(process)
            case _:
                raise TypeError(f"not a request to a host: {request!r}")
        return None

    def start(self, process: str) -> None:
        """Note that a process starts; Lost if it did before.

        When a worker is lost, Dask starts its tasks again elsewhere. That would be another run.
        """
        if process in self.started:
            raise Lost(f"the worker of {process} was lost")
        self.started.add(process)

    def call(self, asks: Sequence[Ask]) -> list[object]:
        """Call services, see ``effects.Ask`` and ``All``.

        AGAIN for those that could not answer in time.
        """
        until = time.monotonic() + ANSWER_SECONDS
        seen = self.releases
        replies = [self._ask(ask) for ask in asks]
        while waiting := [i for i, reply in enumerate(replies) if reply is NOT_YET]:
            if self.resting or time.monotonic() >= until:
                instead = RESTING if self.resting else AGAIN
                return [instead if reply is NOT_YET else reply for reply in replies]
            self._wait_for_release(seen, until)
            seen = self.releases
            for i in waiting:
                replies[i] = self._ask(asks[i])

        return replies

    def _wait_for_release(self, seen: int, until: float) -> None:
        with self.changed:
            self.changed.wait_for(
                lambda: self.releases != seen or self.resting, until - time.monotonic()
            )

    def _ask(self, ask: Ask) -> object:
        """Serve one call after its long part, for which calls take turns."""
        long_part = self.services[ask.service].ahead(ask.call)
        if long_part is None:
            return self._serve(ask)

        with self.long_call_locks[ask.service]:
            self._check_aborted()
            start = time.perf_counter()
            long_part()
            self.busy_seconds[ask.service] += time.perf_counter() - start
            return self._serve(ask)

    def _serve(self, ask: Ask) -> object:
        name = ask.service
        service = self.services[name]
        with self.service_locks[name]:
            self._check_aborted()
            start = time.perf_counter()
            answer = service.answer(ask.call)
            self.busy_seconds[name] += time.perf_counter() - start
            has_released = service.released != self.released.get(name)
            self.released[name] = service.released

        if has_released:
            with self.changed:
                self.releases += 1
                self.changed.notify_all()

        return answer

    def put(self, channel: str, item: object) -> object:
        """See ``effects.Put``; AGAIN if the item was not taken and must be put again."""
        with self.changed:
            waiter = Waiter()
            answer, woken = self._channel(channel).put(waiter, item)
            self._wake(woken)
            return self._wait(channel, waiter, answer)

    def take(self, channel: str) -> object:
        """See ``effects.Take``; AGAIN if nothing came."""
        with self.changed:
            waiter = Waiter()
            answer, woken = self._channel(channel).take(waiter)
            self._wake(woken)
            return self._wait(channel, waiter, answer)

    def close(self, channel: str) -> None:
        """See ``effects.Close``."""
        with self.changed:
            self._wake(self._channel(channel).close())

    def rest(self) -> None:
        """Let no caller wait any more."""
        with self.changed:
            self.resting = True
            for channel in self.channels.values():
                self._wake(channel.rest())
            self.changed.notify_all()

    def give_way(self) -> None:
        """Let long work on this worker end without a value."""
        self.gives_way.set()

    def abort(self, why: str) -> None:
        """Raise Aborted in all callers that wait or call from now on."""
        self.aborted = why
        self.give_way()
        self.rest()

    def collect(self) -> Collected:
        """Return services and channels, at the end of the run or at rest."""
        channels = {name: channel.held() for name, channel in self.channels.items()}
        return Collected(self.services, channels, dict(self.busy_seconds))

    def _channel(self, name: str) -> Channel[Waiter]:
        self._check_aborted()
        if name not in self.channels:
            self.channels[name] = Channel(self.capacity, Held())
            if self.resting:
                self.channels[name].rest()
        return self.channels[name]

    def _check_aborted(self) -> None:
        if self.aborted:
            raise Aborted(self.aborted)

    def _wake(self, woken: Woken[Waiter]) -> None:
        for waiter, answer in woken:
            waiter.answer = answer
        if woken:
            self.changed.notify_all()

    def _wait(self, channel: str, waiter: Waiter, answer: object) -> object:
        if answer is not WAIT:
            return answer
        self.changed.wait_for(lambda: waiter.answer is not WAIT, ANSWER_SECONDS)
        self._check_aborted()
        if waiter.answer is WAIT:
            self.channels[channel].forget(waiter)
            return AGAIN
        return waiter.answer


_hosts_here: weakref.WeakValueDictionary[tuple[str, int], Host] = weakref.WeakValueDictionary()


def host_here(run: str, number: int) -> Host | None:
    """Return that host of the run if it lives in this process."""
    return _hosts_here.get((run, number))


def follow(run: str, process: str) -> Progress:
    """Return where a process of this worker keeps how far it is, for the worker's heartbeats."""
    progress = Progress()
    for (name, _), host in list(_hosts_here.items()):
        if name == run:
            host.progress[process] = progress
    return progress


def giving_way(run: str) -> Callable[[], bool]:
    """Return a function that says whether long work of a run on this worker shall give way."""
    asked = [host.gives_way for (name, _), host in list(_hosts_here.items()) if name == run]
    return lambda: any(event.is_set() for event in asked)


def _report_activity(worker: object) -> dict[str, Activity]:
    """Return what the processes of every run do on this worker; called for each heartbeat."""
    found: dict[str, Activity] = {}
    for (run, _), host in list(_hosts_here.items()):
        parts = list(host.progress.values())
        found[run] = Activity(
            begun=len(parts),
            effects=sum(part.effects for part in parts),
            working=sum(part.working for part in parts),
        )
    return found


def _answer_weakly(host: "weakref.ref[Host]") -> Callable[[object], Reply]:
    """Return the host's ``answer``.

    The threads that have it do not keep alive a host that Dask has dropped.
    """

    def answer(request: object) -> Reply:
        alive = host()
        if alive is None:
            raise Aborted("the run has ended")
        return alive.answer(request)

    return answer


def _align_held(held: Held) -> Held:
    return Held(tuple(align(item) for item in held.items), held.closed)


def align(x: object) -> object:
    """Return ``x`` with aligned arrays.

    Dask's are views of its buffer, and BLAS sums unaligned data differently.
    """
    if isinstance(x, np.ndarray):
        return np.require(x, requirements="A")
    if isinstance(x, tuple | list):
        return type(x)(align(item) for item in x)
    if dataclasses.is_dataclass(x) and not isinstance(x, type):
        old = {field.name: getattr(x, field.name) for field in dataclasses.fields(x)}
        new = {name: align(value) for name, value in old.items()}
        changed = any(new[name] is not old[name] for name in old)
        return dataclasses.replace(x, **new) if changed else x

    return x
