"""What Dask's scheduler has heard of its workers, and the end of those that hang."""

import os
import signal
import time
from collections.abc import Mapping
from contextlib import suppress

from distributed import Client

from workbench.engine.dask.watch import Activity, Heartbeat, Silences
from workbench.engine.effects import Lost

HEARTBEAT_FIELD = "workbench"  # where the heartbeats of workers carry their `Activity`
LOOK_SECONDS = 0.5  # between two looks at the heartbeats
SCHEDULER_SECONDS = 20.0  # within which the scheduler must answer
RESTART_SECONDS = 2  # that Dask gives a worker elsewhere to end by itself before it is killed


class Heartbeats:
    """The workers of one cluster; those that hang are ended, and then count as gone."""

    def __init__(self, client: Client):
        self.client = client
        self.silences = Silences()
        self.given_up: dict[str, float] = {}  # the last heartbeat of a worker, by its address
        self.looked = 0.0

    def due(self) -> bool:
        """Whether it is time for another look."""
        return time.monotonic() - self.looked >= LOOK_SECONDS

    def look(self, run: str = "") -> dict[str, Heartbeat]:
        """Return the last heartbeat of every worker, by address, after ending those that hang.

        ``run`` is the one of which activities are wanted. Raises Lost if the scheduler is silent.
        """
        self.looked = time.monotonic()
        heard = self._read(run)
        for hung in self.silences.look(heard):
            self.give_up(hung)
        return {
            heartbeat.address: heartbeat
            for heartbeat in heard
            if heartbeat.address and self.given_up.get(heartbeat.address) != heartbeat.stamp
        }

    def give_up(self, heartbeat: Heartbeat) -> None:
        """End a worker; its nanny, if it has one, starts another in its place."""
        self.given_up[heartbeat.address] = heartbeat.stamp
        if heartbeat.pid is not None:
            with suppress(ProcessLookupError):  # it has just ended
                os.kill(heartbeat.pid, signal.SIGKILL)
            return

        # ValueError: it has no nanny. Others: its nanny does not answer either. Such a worker
        # counts again as soon as it is heard of.
        with suppress(ValueError, OSError, RuntimeError):
            self.client.restart_workers(
                [heartbeat.address], timeout=RESTART_SECONDS, raise_for_error=False
            )

    def _read(self, run: str) -> list[Heartbeat]:
        """Return what the scheduler knows, and own workers of which it does not know yet."""
        scheduler = self.client.scheduler
        if scheduler is None:
            raise Lost("lost: the connection to Dask's scheduler")
        try:
            about = self.client.sync(
                scheduler.identity, n_workers=-1, callback_timeout=SCHEDULER_SECONDS
            )
        except OSError as error:
            raise Lost(f"lost: Dask's scheduler does not answer ({error})") from error

        pids = own_workers(self.client)
        heard = [
            Heartbeat(
                name=str(worker["name"]),
                address=address,
                stamp=worker["last_seen"],
                threads=worker["nthreads"],
                activity=_activity(worker["metrics"], run),
                pid=pids.pop(str(worker["name"]), None),
            )
            for address, worker in about["workers"].items()
        ]
        return heard + [Heartbeat(name, pid=pid) for name, pid in pids.items()]


def own_workers(client: Client) -> dict[str, int]:
    """Return the process ids, by name, of the workers that this process has started."""
    if client.cluster is None:
        return {}
    return {str(name): nanny.pid for name, nanny in client.cluster.workers.items() if nanny.pid}


def _activity(metrics: Mapping[str, object], run: str) -> Activity:
    """Return what one worker has reported about a run; nothing if its host is not open yet."""
    reported = metrics.get(HEARTBEAT_FIELD)
    if not isinstance(reported, dict) or run not in reported:
        return Activity()
    return Activity(*reported[run])
