"""What a run has on a cluster: workers with their hosts, what these hold, and tasks."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from distributed import Future

from workbench.engine.dask.host import Make
from workbench.engine.dask.process import place
from workbench.engine.effects import Held, Service
from workbench.settings import UserError


@dataclass(frozen=True)
class Contents:
    """What the hosts of a run hold when it starts."""

    services: Mapping[str, Service]
    channels: Mapping[str, Held]
    places: Mapping[str, int]
    makers: Mapping[str, Make]
    seats: Mapping[str, int]  # number of the host of each process

    def of_host(
        self, number: int, hosts: int
    ) -> tuple[dict[str, Service], dict[str, Held], dict[str, Make]]:
        """Return the services and channels of one of so many hosts, and what starts processes."""
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
        makers = {name: make for name, make in self.makers.items() if self.seats[name] == number}
        return services, channels, makers


@dataclass
class HostWorker:
    """A worker with its host."""

    address: str
    actor: Future
    host: Any = None  # Dask's proxy, once the host is made
    hung: bool = False  # nothing was heard of it, so it was given up
    gone: bool = False  # Dask does not know it any more

    @property
    def lost(self) -> bool:
        """Whether it hangs or has left; the latter ends its actor."""
        return self.hung or self.gone or self.actor.status not in ("finished", "pending")

    def __str__(self) -> str:
        return f"{self.address} (hung)" if self.hung else self.address


@dataclass
class ComponentTask:
    """A process, which runs as a task."""

    future: Future
    worker: str  # address


def seat_processes(
    processes: Iterable[str], threads: Mapping[str, int], places: Mapping[str, int]
) -> dict[str, int]:
    """Return the number of the worker of each process; those with a place are seated first.

    ``threads``: of each worker by its address. UserError if a worker has too few for the processes
    that are placed on it.
    """
    idle = list(threads.values())
    seats: dict[str, int] = {}
    for name in sorted(processes, key=lambda name: name not in places):
        seat = places[name] % len(idle) if name in places else idle.index(max(idle))
        idle[seat] -= 1
        seats[name] = seat

    for address, left in zip(threads, idle, strict=True):
        if left < 0:
            raise UserError(
                f"more processes are placed on worker {address} than its {threads[address]} threads"
            )

    return seats
