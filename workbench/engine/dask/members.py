"""What a run has on a cluster: workers with their hosts, what these hold, and tasks."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from distributed import Future

from workbench.engine.dask.process import place
from workbench.engine.effects import Held, Service
from workbench.settings import UserError


@dataclass(frozen=True)
class Contents:
    """What the hosts of a run hold when it starts."""

    services: Mapping[str, Service]
    channels: Mapping[str, Held]
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
) -> dict[str, str]:
    """Return the worker's address of each process; those with a place are seated first.

    ``threads``: of each worker by its address. UserError if a worker has too few for the processes
    that are placed on it.
    """
    idle = dict(threads)
    addresses = list(threads)
    seats: dict[str, str] = {}
    for name in sorted(processes, key=lambda name: name not in places):
        if name in places:
            seat = addresses[places[name] % len(addresses)]
        else:
            seat = max(addresses, key=lambda address: idle[address])
        idle[seat] -= 1
        seats[name] = seat

    full = [address for address, left in idle.items() if left < 0]
    if full:
        raise UserError(
            f"more processes are placed on worker {full[0]} than its {threads[full[0]]} threads"
        )

    return seats
