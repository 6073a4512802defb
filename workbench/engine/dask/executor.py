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
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from copy import copy
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from distributed import Client, Future, wait
from distributed.scheduler import KilledWorker

from workbench.engine.clocks import TICKS, Clock
from workbench.engine.dask.heartbeats import Heartbeats, own_workers
from workbench.engine.dask.host import Aborted, Collected, Host, Make
from workbench.engine.dask.members import ComponentTask, Contents, HostWorker, seat_processes
from workbench.engine.dask.process import Returned, Site, drive_seated
from workbench.engine.dask.topic import RowTopic
from workbench.engine.dask.watch import START_SECONDS, STILL_SECONDS, Stillness
from workbench.engine.effects import Held, Lost, Service
from workbench.engine.outcome import Outcome
from workbench.engine.pace import keep_pace
from workbench.engine.workers import never
from workbench.settings import UserError
from workbench.storage.rows import Row, UsageRow
from workbench.storage.run import ClusterInfo

POLL_SECONDS = 0.05  # between looks at rows and at whether to rest
ANSWER_SECONDS = 30.0  # within which a host must answer, and the last rows must arrive
NOTICE_SECONDS = 2.0  # within which Dask notices that a worker has gone
END_SECONDS = 4.0  # that a task is given to end
ABORT_SECONDS = 2.0  # within which a host must hear that the run is over
WAIT_SECONDS = 0.5  # between looks at the workers while a host is waited for
TASKS = "workbench"  # how the names of tasks begin, by which Dask tells kinds of them apart
TOKEN_BYTES = 32
ACTOR_LOST = "Worker holding Actor was lost"  # how the message of Dask's RuntimeError begins

S = TypeVar("S", bound=Service)


class Cluster:
    """Any Dask cluster that ``client`` is connected to.

    ``capacity`` is that of the channels. ``places`` maps names of processes, services and channels
    to the number of their worker. Other processes go to the worker with the most idle threads;
    other services and channels are spread over the workers. ``shares_memory``: workers on the same
    machine share memory; if not, they use TCP as if they were on several machines. ``pace``: a
    clock; each piece of work takes as long as it says, if this computer is fast enough.
    """

    def __init__(
        self,
        client: Client,
        capacity: int = 4,
        places: Mapping[str, int] | None = None,
        shares_memory: bool = True,
        pace: Clock | None = None,
    ):
        self.client = client
        self.capacity = capacity
        self.places = dict(places or {})
        self.shares_memory = shares_memory
        self.pace = pace
        self.heartbeats = Heartbeats(client)
        self.topic = RowTopic(client)
        self.fitted_to: frozenset[str] = frozenset()  # workers that there were when it was fitted

    def fitted(
        self, capacity: int, processes: int, places: Callable[[Sequence[int]], Mapping[str, int]]
    ) -> "Cluster":
        """Return the same cluster with another capacity, and places for what has none.

        ``places`` is given the threads of each worker. UserError if there are fewer threads than
        ``processes``.
        """
        workers = self.workers(processes)
        made = copy(self)
        made.capacity = capacity
        made.places = {**places(list(workers.values())), **self.places}
        made.fitted_to = frozenset(workers)
        return made

    def paced(self, pace: Clock) -> "Cluster":
        """Return the same cluster, on which work takes as long as a clock says."""
        made = copy(self)
        made.pace = pace
        return made

    def run(
        self,
        processes: Mapping[str, Make],
        services: dict[str, S],
        emit: Callable[[Row], None],
        rest: Callable[[], bool] = lambda: False,
        channels: Mapping[str, Held] | None = None,
        ticks: int = 0,
        give_way: Callable[[], bool] = never,
    ) -> Outcome:
        """As ``Local.run``. The ``services`` move to the workers.

        At the end, they are replaced by what they became.

        UserError if there are fewer threads than processes, because a process without a thread
        would starve the others; Lost if that is so because a worker has gone since the cluster was
        ``fitted``.
        """
        if self.pace is not None:
            processes = {
                name: partial(keep_pace, make, name, self.pace) for name, make in processes.items()
            }
        try:
            workers = self.workers(len(processes))
            seats = seat_processes(processes, workers, self.places)
        except UserError as shortage:
            if self.fitted_to - self.heartbeats.look().keys():
                raise Lost(f"lost: {shortage}") from shortage
            raise

        places = {name: i % len(workers) for i, name in enumerate(services)} | self.places
        execution = _Execution(
            self.client, self.topic, emit, rest, ticks, self.heartbeats, give_way
        )
        try:
            execution.make_hosts(workers, self.capacity, self.shares_memory)
            execution.fill_hosts(Contents(services, channels or {}, places, processes, seats))
            execution.start(seats)
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
        heard = self.heartbeats.look()
        by_name = sorted(heard.values(), key=lambda heartbeat: heartbeat.name)
        threads = {heartbeat.address: heartbeat.threads for heartbeat in by_name}
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
        link = own.dashboard_link if has_dashboard else ""
        return ClusterInfo("local", link, own_workers(self.client))


@dataclass
class _Execution:
    """A run from its start, or from a rest, to its end or the next rest."""

    client: Client
    topic: RowTopic
    emit: Callable[[Row], None]
    rest: Callable[[], bool]
    ticks: int
    heartbeats: Heartbeats
    give_way: Callable[[], bool] = never
    resting: bool = False
    giving_way: bool = False
    workers: list[HostWorker] = field(default_factory=list)
    tasks: dict[str, ComponentTask] = field(default_factory=dict)
    services: dict[str, Any] = field(default_factory=dict)  # at the end
    rows_received: int = 0

    def __post_init__(self) -> None:
        self.name = f"{TASKS}-{uuid.uuid4().hex}"
        self.began = time.time() - self.ticks / TICKS
        self.zero = time.monotonic() - self.ticks / TICKS  # the same, if no clock is set meanwhile
        self.rows = self.topic.receive(self.name)

    def make_hosts(self, workers: Iterable[str], capacity: int, shares_memory: bool) -> None:
        """Make a listening host on each worker, before processes take the threads."""
        for number, address in enumerate(workers):
            actor = self.client.submit(
                Host,
                self.name,
                number,
                capacity,
                actor=True,
                pure=False,
                workers=[address],
                allow_other_workers=False,
            )
            self.workers.append(HostWorker(address, actor))

        for worker in self.workers:
            worker.host = self.answer_of(worker.actor, START_SECONDS)

        several_machines = len(set(self.call_hosts("machine"))) > 1
        tcp = several_machines or not shares_memory
        token = secrets.token_bytes(TOKEN_BYTES)
        self.addresses = self.call_hosts("open", token, shares_memory, tcp)
        self.call_hosts("report")

    def fill_hosts(self, contents: Contents) -> None:
        """Give each host its services and channels, and what starts the processes of its worker.

        These are calls, and no arguments of tasks: of the messages about tasks, client and
        scheduler keep the last thousand each, with all parameters that are in them.
        """
        count = len(self.workers)
        self.call_each("hold", [contents.of_host(number, count) for number in range(count)])
        self.site = Site(self.name, self.topic.name, self.addresses, contents.places, self.began)

    def start(self, seats: Mapping[str, int]) -> None:
        """Start every process as a task on the worker of its host."""
        self.stillness = Stillness(len(seats))
        for name, number in seats.items():
            address = self.workers[number].address
            future = self.client.submit(
                drive_seated,
                name,
                number,
                self.site,
                key=f"{self.name}-{name}",
                workers=[address],
                allow_other_workers=False,
                pure=False,
                retries=0,
            )
            self.tasks[name] = ComponentTask(future, address)

    def watch(self) -> Outcome:
        """Wait until all processes have returned; the first failure ends the run for all."""
        futures = [task.future for task in self.tasks.values()]
        while not all(future.done() for future in futures):
            self.emit_rows()
            if not self.resting and self.rest():
                self.resting = True
                self.call_hosts("rest")
            if not self.giving_way and self.give_way():
                self.giving_way = True
                self.call_hosts("give_way")
            self.look()
            if self.has_failed() or self.lost_workers():
                self.fail()
            if self.stillness.too_long:
                raise Lost(f"no process has gone on for {STILL_SECONDS:g} s")
            time.sleep(POLL_SECONDS)

        if self.has_failed():
            self.fail()
        # What a process returned lies on its worker, which may be lost before it is fetched.
        returned = {name: self.answer_of(task.future) for name, task in self.tasks.items()}
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
        return time.monotonic() - self.zero

    def call_hosts(self, method: str, *args: object) -> list[Any]:
        """Make the same call to every host at once, and return the answers."""
        return self.call_each(method, [args] * len(self.workers), ANSWER_SECONDS)

    def call_each(
        self, method: str, arguments: Sequence[tuple[object, ...]], seconds: float = START_SECONDS
    ) -> list[Any]:
        """Make a call with arguments of its own to every host at once, and return the answers."""
        answers = [
            getattr(worker.host, method)(*args)
            for worker, args in zip(self.workers, arguments, strict=True)
        ]
        return [self.answer_of(answer, seconds) for answer in answers]

    def answer_of(self, promised: Any, seconds: float = ANSWER_SECONDS) -> Any:
        """Wait for what a host, or Dask, has promised; Lost if a worker is lost meanwhile."""
        until = time.monotonic() + seconds
        while True:
            try:
                return promised.result(WAIT_SECONDS)
            except TimeoutError:
                if time.monotonic() > until:
                    raise
            self.look()
            if self.lost_workers():
                self.fail()

    def look(self) -> None:
        """Note workers that hang or have gone, if it is time for a look."""
        if not self.heartbeats.due():
            return
        heard = self.heartbeats.look(self.name)
        for worker in self.workers:
            worker.gone = worker.address not in heard
            worker.hung = worker.gone and worker.address in self.heartbeats.given_up
        if self.tasks:
            self.stillness.look(heard.values())

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
        what = ", ".join(str(worker) for worker in self.workers if worker.lost) or errors
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
            self.look()
        if self.lost_workers():
            raise Lost(f"lost: {', '.join(self.lost_workers())}") from error

    def lost_workers(self) -> list[str]:
        """Return the addresses of lost workers."""
        return [worker.address for worker in self.workers if worker.lost]

    def release(self) -> None:
        """Leave nothing behind on the workers.

        Tasks that still run get Aborted from their hosts, and end.
        """
        self.topic.close()
        lost = self.lost_workers()
        running = [
            task.future
            for task in self.tasks.values()
            if not task.future.done() and task.worker not in lost
        ]
        if running:
            self.abort()
            if self.client.status == "running":
                self.end(running)

        self.client.cancel(
            [task.future for task in self.tasks.values()]
            + [worker.actor for worker in self.workers]
        )

    def end(self, tasks: Sequence[Future]) -> None:
        """Wait until these tasks end; own workers on which one does not are ended.

        A task cannot be ended from outside, and would keep its thread from the run that is resumed.
        """
        try:
            wait(tasks, timeout=END_SECONDS)
        except TimeoutError:
            busy = {task.worker for task in self.tasks.values() if not task.future.done()}
            for heartbeat in self.heartbeats.look().values():
                if heartbeat.address in busy and heartbeat.pid is not None:
                    self.heartbeats.give_up(heartbeat)

    def abort(self) -> None:
        """End the run on all hosts that are left."""
        hosts = [worker.host for worker in self.workers if worker.host and not worker.lost]
        answers = [host.abort("the run was ended") for host in hosts]
        for answer in answers:
            with suppress(OSError, RuntimeError, TimeoutError):  # its worker may be lost by now
                answer.result(ABORT_SECONDS)
