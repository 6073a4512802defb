"""The same components on a Dask cluster, on the wall clock.

A process is a task, and services and channels are in actors.

Dask places, starts and ends hosts and processes. Rows, and what a run starts from and leaves, pass
its scheduler. Everything else goes straight from process to process, on one machine through shared
memory (``connection``, ``listener``). Dask never repeats a part of a run: whatever is lost with a
worker fails the run, which is then resumed from its last checkpoint. Processes are given as
callables that make the generator, since generators do not travel.
"""

import queue
import secrets
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

from distributed import Client, Future, wait
from distributed.scheduler import KilledWorker

from workbench.engine.clocks import TICKS
from workbench.engine.dask.host import Aborted, Collected, Host
from workbench.engine.dask.process import Returned, Site, drive, place
from workbench.engine.effects import Held, Lost, Process, Service
from workbench.engine.local import Outcome
from workbench.settings import UserError
from workbench.storage.rows import Row, UsageRow
from workbench.storage.run import ClusterInfo

POLL_SECONDS = 0.05  # between looks at rows and at whether to rest
ANSWER_SECONDS = 30.0  # within which a host must answer, and the last rows must arrive
NOTICE_SECONDS = 2.0  # within which Dask notices that a worker has gone
END_SECONDS = 10.0  # that a task is given to end
TOKEN_BYTES = 32
ACTOR_LOST = "Worker holding Actor was lost"  # how the message of Dask's RuntimeError begins

Make = Callable[[], Process]
S = TypeVar("S", bound=Service)


class Cluster:
    """Any Dask cluster that ``client`` is connected to.

    ``capacity`` is that of the channels. ``places`` maps names of processes, services and channels
    to the number of their worker. Other processes go to the worker with the most idle threads;
    other services and channels are spread over the workers. ``shares_memory``: workers on the same
    machine share memory; if not, they use TCP as if they were on several machines.
    """

    def __init__(
        self,
        client: Client,
        capacity: int = 4,
        places: Mapping[str, int] | None = None,
        shares_memory: bool = True,
    ):
        self.client = client
        self.capacity = capacity
        self.places = dict(places or {})
        self.shares_memory = shares_memory

    def fitted(
        self, capacity: int, processes: int, places: Callable[[Sequence[int]], Mapping[str, int]]
    ) -> "Cluster":
        """Return the same cluster with another capacity, and places for what has none.

        ``places`` is given the threads of each worker. UserError if there are fewer threads than
        ``processes``.
        """
        more_places = places(list(self.workers(processes).values()))
        return Cluster(self.client, capacity, {**more_places, **self.places}, self.shares_memory)

    def run(
        self,
        processes: Mapping[str, Make],
        services: dict[str, S],
        emit: Callable[[Row], None],
        rest: Callable[[], bool] = lambda: False,
        channels: Mapping[str, Held] | None = None,
        ticks: int = 0,
    ) -> Outcome:
        """As ``Local.run``. The ``services`` move to the workers.

        At the end, they are replaced by what they became.

        UserError if there are fewer threads than processes, because a process without a thread
        would starve the others.
        """
        workers = self.workers(len(processes))
        places = {name: i % len(workers) for i, name in enumerate(services)} | self.places
        execution = _Execution(self.client, emit, rest, ticks)
        try:
            hosts = _Contents(services, channels or {}, self.capacity, places)
            execution.make_hosts(workers, hosts, self.shares_memory)
            execution.start(processes, self.seats(processes, workers))
            outcome = execution.watch()
            services.update(execution.services)
            return outcome
        except Exception as error:
            execution.raise_if_lost(error)
            raise
        finally:
            execution.release()

    def workers(self, processes: int) -> dict[str, int]:
        """Return the number of threads by address of worker, in a fixed order.

        UserError if they are too few.
        """
        found = self.client.scheduler_info(n_workers=-1)["workers"]
        by_name = sorted(found.items(), key=lambda item: str(item[1]["name"]))
        threads = {address: worker["nthreads"] for address, worker in by_name}
        total = sum(threads.values())
        if processes > total:
            raise UserError(
                f"{processes} processes need as many threads, but the cluster has {total} "
                f"({len(threads)} workers): start more workers, with more threads, "
                "or take fewer replicas"
            )

        return threads

    def different_versions(self) -> list[str]:
        """Return the packages of which a worker has another version than this process."""
        versions = self.client.get_versions()
        if not isinstance(versions, dict):
            raise TypeError("the client is asynchronous")

        own = versions["client"]["packages"]
        theirs = [worker["packages"] for worker in versions["workers"].values()]
        return sorted(name for name in own if any(w.get(name) != own[name] for w in theirs))

    def about(self) -> ClusterInfo:
        """Return its address, the link of its dashboard, and process ids of its workers by name.

        If this process has started it, the address is ``local``; workers elsewhere are not listed.
        """
        own = self.client.cluster
        if own is None:
            address = self.client.scheduler_info()["address"]
            return ClusterInfo(address, self.client.dashboard_link or "", {})
        has_dashboard = own.scheduler_spec["options"].get("dashboard", True)
        workers = {str(name): nanny.pid for name, nanny in own.workers.items() if nanny.pid}
        return ClusterInfo("local", own.dashboard_link if has_dashboard else "", workers)

    def seats(self, processes: Mapping[str, object], workers: dict[str, int]) -> dict[str, str]:
        """Return the worker's address of each process; those with a place are seated first."""
        idle = dict(workers)
        addresses = list(workers)
        seats: dict[str, str] = {}
        for name in sorted(processes, key=lambda name: name not in self.places):
            if name in self.places:
                seat = addresses[self.places[name] % len(addresses)]
            else:
                seat = max(addresses, key=lambda address: idle[address])
            idle[seat] -= 1
            seats[name] = seat

        full = [address for address, threads in idle.items() if threads < 0]
        if full:
            raise UserError(
                f"more processes are placed on worker {full[0]} than its {workers[full[0]]} threads"
            )

        return seats


@dataclass(frozen=True)
class _Contents:
    """What the hosts of a run hold when it starts."""

    services: Mapping[str, Service]
    channels: Mapping[str, Held]
    capacity: int  # of each channel
    places: Mapping[str, int]

    def of_host(self, number: int, hosts: int) -> tuple[dict[str, Service], dict[str, Held]]:
        """Return the services and channels of one of so many hosts."""
        services = {
            name: service
            for name, service in self.services.items()
            if place(name, self.places) % hosts == number
        }
        channels = {
            name: held
            for name, held in self.channels.items()
            if place(name, self.places) % hosts == number
        }
        return services, channels


@dataclass
class _Worker:
    """A worker with its host."""

    address: str
    actor: Future
    host: Any = None  # Dask's proxy, once the host is made

    @property
    def lost(self) -> bool:
        """Whether it has left, or Dask has given it up because it hung; either ends its actor."""
        return self.actor.status != "finished"


@dataclass
class _Task:
    """A process, which runs as a task."""

    future: Future
    worker: str  # address


@dataclass
class _Execution:
    """A run from its start, or from a rest, to its end or the next rest."""

    client: Client
    emit: Callable[[Row], None]
    rest: Callable[[], bool]
    ticks: int
    resting: bool = False
    workers: list[_Worker] = field(default_factory=list)
    tasks: dict[str, _Task] = field(default_factory=dict)
    services: dict[str, Any] = field(default_factory=dict)  # at the end
    rows: "queue.SimpleQueue[list[dict]]" = field(default_factory=queue.SimpleQueue)
    rows_received: int = 0

    def __post_init__(self) -> None:
        self.name = f"workbench-{uuid.uuid4().hex}"
        self.began = time.time() - self.ticks / TICKS
        self.client.subscribe_topic(self.name, lambda event: self.rows.put(event[1]))

    def make_hosts(
        self, workers: Mapping[str, int], contents: _Contents, shares_memory: bool
    ) -> None:
        """Make a listening host on each worker, before processes take the threads."""
        for number, address in enumerate(workers):
            services, channels = contents.of_host(number, len(workers))
            actor = self.client.submit(
                Host,
                self.name,
                number,
                services,
                contents.capacity,
                channels,
                actor=True,
                pure=False,
                workers=[address],
                allow_other_workers=False,
            )
            self.workers.append(_Worker(address, actor))

        for worker in self.workers:
            worker.host = worker.actor.result(ANSWER_SECONDS)

        several_machines = len(set(self.call_hosts("machine"))) > 1
        tcp = several_machines or not shares_memory
        token = secrets.token_bytes(TOKEN_BYTES)
        addresses = self.call_hosts("open", token, shares_memory, tcp)
        self.site = Site(self.name, addresses, contents.places, self.began)

    def start(self, processes: Mapping[str, Make], seats: Mapping[str, str]) -> None:
        """Start every process as a task."""
        for name, make in processes.items():
            future = self.client.submit(
                drive,
                make,
                name,
                self.site,
                key=f"{name}-{self.name}",
                workers=[seats[name]],
                allow_other_workers=False,
                pure=False,
                retries=0,
            )
            self.tasks[name] = _Task(future, seats[name])

    def watch(self) -> Outcome:
        """Wait until all processes have returned; the first failure ends the run for all."""
        futures = [task.future for task in self.tasks.values()]
        while not all(future.done() for future in futures):
            self.emit_rows()
            if not self.resting and self.rest():
                self.resting = True
                self.call_hosts("rest")
            if self.has_failed() or self.lost_workers():
                self.fail()
            time.sleep(POLL_SECONDS)

        if self.has_failed():
            self.fail()
        returned = {name: task.future.result() for name, task in self.tasks.items()}
        self.emit_rows(sum(process.rows for process in returned.values()))
        return self.outcome(returned)

    def has_failed(self) -> bool:
        """Whether a task has ended without a result."""
        statuses = {task.future.status for task in self.tasks.values()}
        return bool(statuses - {"pending", "finished"})

    def outcome(self, returned: Mapping[str, Returned]) -> Outcome:
        """Collect what the hosts hold, and emit how long each service was busy."""
        channels: dict[str, Held] = {}
        collected: list[Collected] = self.call_hosts("collect")
        for host in collected:
            self.services |= host.services
            channels |= host.channels
            for name, seconds in host.busy_seconds.items():
                self.emit(UsageRow(process=name, seconds=self.now(), busy_seconds=seconds))

        return Outcome(
            ticks=round(self.now() * TICKS),
            returned={name: process.state for name, process in returned.items()},
            channels=channels,
            effects=sum(process.effects for process in returned.values()),
            work_seconds=sum(process.work_seconds for process in returned.values()),
        )

    def now(self) -> float:
        """Return the seconds since the run began."""
        return time.time() - self.began

    def call_hosts(self, method: str, *args: object) -> list[Any]:
        """Make the same call to every host at once, and return the answers."""
        answers = [getattr(worker.host, method)(*args) for worker in self.workers]
        return [answer.result(ANSWER_SECONDS) for answer in answers]

    def emit_rows(self, awaited: int = 0) -> None:
        """Emit the rows that have arrived, and wait until there have been ``awaited`` in all."""
        until = time.monotonic() + ANSWER_SECONDS
        while not self.rows.empty() or self.rows_received < awaited:
            try:
                rows = self.rows.get(timeout=max(0.0, until - time.monotonic()))
            except queue.Empty:
                missing = awaited - self.rows_received
                raise RuntimeError(f"{missing} rows were lost on their way") from None
            self.rows_received += len(rows)
            for row in rows:
                self.emit(Row.from_dict(row))

    def fail(self) -> None:
        """Raise the error of a process that failed by itself, else Lost."""
        futures = [task.future for task in self.tasks.values()]
        errors = [future.exception() for future in futures if future.status == "error"]
        for error in errors:
            if not isinstance(error, Aborted | Lost | KilledWorker):
                raise error
        what = ", ".join(self.lost_workers()) or errors
        raise Lost(f"lost: {what}: resume the run from its last checkpoint")

    def raise_if_lost(self, error: Exception) -> None:
        """Raise Lost if the loss of a worker explains ``error``.

        Dask may notice it later than the call that failed.
        """
        # Dask raises these errors for an actor whose worker is gone, or was lost while the actor
        # was made.
        unreachable = isinstance(error, OSError | ValueError | KilledWorker)
        unreachable = unreachable or str(error).startswith(ACTOR_LOST)
        if not unreachable:
            return

        until = time.monotonic() + NOTICE_SECONDS
        while time.monotonic() < until and not self.lost_workers():
            time.sleep(POLL_SECONDS)
        if self.lost_workers():
            raise Lost(f"lost: {', '.join(self.lost_workers())}") from error

    def lost_workers(self) -> list[str]:
        """Return the addresses of lost workers."""
        return [worker.address for worker in self.workers if worker.lost]

    def release(self) -> None:
        """Leave nothing behind on the workers.

        Tasks that still run get Aborted from their hosts, and end.
        """
        self.client.unsubscribe_topic(self.name)
        lost = self.lost_workers()
        running = [
            task.future
            for task in self.tasks.values()
            if not task.future.done() and task.worker not in lost
        ]
        if running:
            self.abort()
            if self.client.status == "running":
                with suppress(TimeoutError):  # a task that waits for a lost host ends later
                    wait(running, timeout=END_SECONDS)

        self.client.cancel(
            [task.future for task in self.tasks.values()]
            + [worker.actor for worker in self.workers]
        )

    def abort(self) -> None:
        """End the run on all hosts that are left."""
        hosts = [worker.host for worker in self.workers if worker.host and not worker.lost]
        answers = [host.abort("the run was ended") for host in hosts]
        for answer in answers:
            with suppress(OSError, RuntimeError, TimeoutError):  # its worker may be lost by now
                answer.result(END_SECONDS)
