"""The same components on a Dask cluster, on the wall clock: a task per process, services and channels in actors.

Dask places, starts and ends hosts and processes; rows, and what a run starts from and leaves, pass its scheduler.
Everything else goes straight from process to process, on one machine through shared memory (``line``, ``door``). Dask
owns no truth: whatever is lost with a worker fails the run (nothing is done twice by stealth), which
is then resumed from its last checkpoint, a rest like any other. Processes are given as callables that make the
generator, since generators do not travel.
"""

import queue
import secrets
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from distributed import Client, Future, wait
from distributed.scheduler import KilledWorker

from workbench.engine.clocks import TICKS
from workbench.engine.dask.host import Aborted, Host
from workbench.engine.dask.process import Site, drive, place
from workbench.engine.effects import Held, Lost, Process
from workbench.engine.local import Outcome
from workbench.settings import UserError
from workbench.storage.rows import Row, UsageRow

POLL = 0.05  # seconds between looks at rows and at whether to rest
LATE = 30.0  # seconds within which a host must answer, and the last rows have come
NOTICED = 2.0  # seconds within which Dask notices that a worker has gone
GOOD_BYE = 10.0  # seconds that a task is given to end
TOKEN = 32  # bytes
ACTOR_LOST = (
    "Worker holding Actor was lost"  # Dask's words, with which it raises a mere RuntimeError
)


class Cluster:
    """Any Dask cluster that ``client`` is connected to.

    ``capacity`` is that of the channels; ``places`` names the worker, by number, of processes, services and channels;
    whoever is not named goes to the worker with the most idle threads, or, services and channels, is spread by turns.
    ``shares``: workers on the same machine share memory; else they speak TCP as if they were on several.
    """

    def __init__(
        self,
        client: Client,
        capacity: int = 4,
        places: Mapping[str, int] | None = None,
        shares: bool = True,
    ):
        self.client, self.capacity, self.places, self.shares = (
            client,
            capacity,
            dict(places or {}),
            shares,
        )

    def fitted(
        self, capacity: int, processes: int, places: Callable[[Sequence[int]], Mapping[str, int]]
    ) -> "Cluster":
        """The same with another capacity; who has no place gets that of ``places``, given workers' threads.

        UserError if there are fewer threads than ``processes``.
        """
        found = places(list(self.workers(processes).values()))
        return Cluster(self.client, capacity, {**found, **self.places}, self.shares)

    def run(
        self,
        processes: Mapping[str, Callable[[], Process]],
        services: dict[str, Any],
        emit: Callable[[Row], None],
        rest: Callable[[], bool] = lambda: False,
        channels: Mapping[str, Held] | None = None,
        ticks: int = 0,
    ) -> Outcome:
        """As ``Local.run``; ``services`` move to the workers, and what has become of them is put in their place.

        UserError if there are fewer threads than processes: those without one would starve the others.
        """
        workers = self.workers(len(processes))
        places = {name: i % len(workers) for i, name in enumerate(services)} | self.places
        run = _Run(self.client, emit, rest, ticks, self.shares)
        try:
            run.settle(workers, services, channels or {}, self.capacity, places)
            run.start(processes, self.seats(processes, workers))
            outcome = run.watch()
            services.update(run.services)
            return outcome
        except Exception as problem:
            run.blame(problem)
            raise
        finally:
            run.release()

    def workers(self, processes: int) -> dict[str, int]:
        """Threads by address of worker, in a fixed order."""
        found = self.client.scheduler_info(n_workers=-1)["workers"]
        threads = {
            address: w["nthreads"]
            for address, w in sorted(found.items(), key=lambda item: str(item[1]["name"]))
        }
        if processes > sum(threads.values()):
            raise UserError(
                f"{processes} processes need as many threads, but the cluster has {sum(threads.values())} "
                f"({len(threads)} workers): start more workers, with more threads, or take fewer replicas"
            )
        return threads

    def about(self) -> dict[str, Any]:
        """Its ``address``; link of its ``dashboard``, if it has one; process ids of ``workers`` by name.

        If this process has started it, the address is ``local``; workers elsewhere are not listed.
        """
        here = self.client.cluster
        if here is None:
            address = self.client.scheduler_info()["address"]
            return {"address": address, "dashboard": self.client.dashboard_link, "workers": {}}
        shown = here.scheduler_spec["options"].get("dashboard", True)
        workers = {str(name): nanny.pid for name, nanny in here.workers.items() if nanny.pid}
        return {
            "address": "local",
            "dashboard": here.dashboard_link if shown else "",
            "workers": workers,
        }

    def seats(self, processes: Mapping[str, Any], workers: dict[str, int]) -> dict[str, str]:
        """The worker of each process."""
        idle, addresses, seats = dict(workers), list(workers), {}
        for name in sorted(
            processes, key=lambda name: name not in self.places
        ):  # those with a place first
            place = self.places.get(name)
            seat = (
                max(addresses, key=lambda a: idle[a])
                if place is None
                else addresses[place % len(addresses)]
            )
            idle[seat] -= 1
            seats[name] = seat
        full = [a for a, threads in idle.items() if threads < 0]
        if full:
            raise UserError(
                f"more processes are placed on worker {full[0]} than its {workers[full[0]]} threads"
            )
        return seats


class _Run:
    """One segment of a run, from its start or from a rest to the next."""

    def __init__(
        self,
        client: Client,
        emit: Callable[[Row], None],
        rest: Callable[[], bool],
        ticks: int,
        shares: bool,
    ):
        self.client, self.emit, self.rest, self.shares = client, emit, rest, shares
        self.name, self.resting = f"workbench-{uuid.uuid4().hex}", False
        self.began = time.time() - ticks / TICKS
        self.events: queue.SimpleQueue[list[dict]] = queue.SimpleQueue()
        self.actors: list[Future] = []
        self.hosts: list[Any] = []
        self.futures: dict[str, Future] = {}
        self.addresses: list[str] = []  # of the workers that the hosts are on
        self.seats: dict[str, str] = {}
        self.services: dict[str, Any] = {}
        self.received = 0
        client.subscribe_topic(self.name, lambda event: self.events.put(event[1]))

    def settle(
        self,
        workers: Mapping[str, int],
        services: Mapping[str, Any],
        channels: Mapping[str, Held],
        capacity: int,
        places: Mapping[str, int],
    ) -> None:
        """Make the hosts, before processes take the threads."""
        for i, address in enumerate(workers):
            mine = {
                name: s for name, s in services.items() if place(name, places) % len(workers) == i
            }
            held = {
                name: h for name, h in channels.items() if place(name, places) % len(workers) == i
            }
            more = dict(actor=True, pure=False, workers=[address], allow_other_workers=False)
            self.actors.append(self.client.submit(Host, self.name, i, mine, capacity, held, **more))
            self.addresses.append(address)
        self.hosts = [actor.result(LATE) for actor in self.actors]
        tcp = not self.shares or len(set(self.tell("machine"))) > 1
        doors = self.tell("open", secrets.token_bytes(TOKEN), self.shares, tcp)
        self.site = Site(self.name, doors, places, self.began)

    def start(self, processes: Mapping[str, Callable[[], Process]], seats: dict[str, str]) -> None:
        """Every process as a task of its own."""
        self.seats = seats
        for name, make in processes.items():
            where = dict(workers=[seats[name]], allow_other_workers=False, pure=False, retries=0)
            self.futures[name] = self.client.submit(
                drive, make, name, self.site, key=f"{name}-{self.name}", **where
            )

    def watch(self) -> Outcome:
        """Until all have returned; the first failure ends the run for all."""
        while not all(future.done() for future in self.futures.values()):
            self.look()
            if not self.resting and self.rest():
                self.resting = True
                self.tell("rest")
            if (
                any(
                    future.status != "pending"
                    for future in self.futures.values()
                    if future.status != "finished"
                )
                or self.gone()
            ):
                self.fail()
            time.sleep(POLL)
        if any(future.status != "finished" for future in self.futures.values()):
            self.fail()
        returned = {name: future.result() for name, future in self.futures.items()}
        self.look(sum(sent for _, sent, _, _ in returned.values()))
        channels: dict[str, Held] = {}
        for services, held, busy in self.tell("collect"):
            self.services |= services
            channels |= held
            for name, seconds in busy.items():
                self.emit(UsageRow(process=name, seconds=self.now(), busy_seconds=seconds))
        states = {name: state for name, (state, _, _, _) in returned.items()}
        effects, work = (sum(column) for column in list(zip(*returned.values(), strict=True))[2:])
        return Outcome(round(self.now() * TICKS), states, channels, effects, work)

    def now(self) -> float:
        return time.time() - self.began

    def tell(self, method: str, *args: Any) -> list[Any]:
        """The same call to every host."""
        return [
            answer.result(LATE) for answer in [getattr(host, method)(*args) for host in self.hosts]
        ]

    def look(self, awaited: int = 0) -> None:
        """Emit the rows that have come, and those that are ``awaited``."""
        until = time.monotonic() + LATE
        while not self.events.empty() or self.received < awaited:
            try:
                rows = self.events.get(timeout=max(0.0, until - time.monotonic()))
            except queue.Empty:
                raise RuntimeError(
                    f"{awaited - self.received} rows were lost on their way"
                ) from None
            self.received += len(rows)
            for row in rows:
                self.emit(Row.from_dict(row))

    def fail(self) -> None:
        """Raise what the first process to fail has raised, which is Lost if it was not its own fault."""
        problems = [
            future.exception() for future in self.futures.values() if future.status == "error"
        ]
        for problem in problems:
            if not isinstance(problem, Aborted | Lost | KilledWorker):
                raise problem
        raise Lost(
            f"lost: {', '.join(self.gone()) or problems}: resume the run from its last checkpoint"
        )

    def blame(self, problem: Exception) -> None:
        """Raise Lost if it is why there is this problem; Dask may notice later than the call that failed for it."""
        # So Dask speaks of an actor's worker, and of an actor that was lost while it was made.
        unreachable = isinstance(problem, OSError | ValueError | KilledWorker) or str(
            problem
        ).startswith(ACTOR_LOST)
        until = time.monotonic() + NOTICED * unreachable
        while time.monotonic() < until and not self.gone():
            time.sleep(POLL)
        if unreachable and self.gone():
            raise Lost(f"lost: {', '.join(self.gone())}") from problem

    def gone(self) -> list[str]:
        """Workers that have left or were given up because they hung: Dask notices either, and ends their actors."""
        return [
            address
            for address, actor in zip(self.addresses, self.actors, strict=True)
            if actor.status != "finished"
        ]

    def release(self) -> None:
        """Leave nothing behind on the workers; tasks that still run are told that the run has failed, and end."""
        self.client.unsubscribe_topic(self.name)
        gone = self.gone()
        running = [
            f for name, f in self.futures.items() if not f.done() and self.seats[name] not in gone
        ]
        if running:
            there = [
                h
                for h, address in zip(self.hosts, self.addresses, strict=False)
                if address not in gone
            ]
            for answer in [host.abort("the run was ended") for host in there]:
                with suppress(
                    OSError, RuntimeError, TimeoutError
                ):  # its worker may be what was lost
                    answer.result(GOOD_BYE)
            with suppress(TimeoutError):  # a task that waits for a lost host ends in its own time
                wait(running, timeout=GOOD_BYE) if self.client.status == "running" else None
        self.client.cancel([*self.futures.values(), *self.actors])
