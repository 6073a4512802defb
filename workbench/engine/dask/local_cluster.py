"""A Dask cluster on this machine with defaults that are safe in a notebook; also the preload of its workers.

Everything listens on the loopback interface only, and there is no dashboard unless it is asked for: it has no login, so
whoever has an account on this machine can look. Workers ignore the interrupt of a notebook, which goes to the whole
process group and would otherwise kill them all for good: `run` brings a run to rest instead.
"""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dask
from distributed import Client, LocalCluster

from workbench.engine.dask.executor import Cluster
from workbench.processes import arithmetic_environment
from workbench.settings import UserError

LOOPBACK = "127.0.0.1"
SILENCE = (
    "60s"  # after which a worker hangs; less, and a busy machine's are given up while they import
)
ANSWER = 10  # seconds within which a scheduler must
# Read when a worker is lost, long after the cluster was made: its nanny is to start another one, however long it takes.
LASTING = {"distributed.deploy.lost-worker-timeout": "10 minutes"}
CONFIG = {
    "distributed.scheduler.work-stealing": False,
    "distributed.scheduler.allowed-failures": 0,
    "distributed.worker.http.routes": [],
    "distributed.worker.memory.target": False,  # parameters in use are no cache to be spilt
    "distributed.worker.memory.spill": False,
}


def local_cluster(
    workers: int, threads: int, dashboard: bool = False, silence: str = SILENCE
) -> LocalCluster:
    """``workers`` processes with ``threads`` each, to be used in a ``with`` and connected to by a ``Client``.

    A worker of which nothing is heard for as long as ``silence`` is given up.
    """
    dask.config.set(LASTING)
    routes = dask.config.get("distributed.scheduler.http.routes") if dashboard else []
    own = {"distributed.scheduler.http.routes": routes, "distributed.scheduler.worker-ttl": silence}
    with dask.config.set(CONFIG | own):
        return LocalCluster(
            n_workers=workers,
            threads_per_worker=threads,
            processes=True,
            host=LOOPBACK,
            dashboard_address=f"{LOOPBACK}:0",
            worker_dashboard_address=f"{LOOPBACK}:0",
            scheduler_kwargs={"dashboard": dashboard},
            preload=["workbench.engine.dask.local_cluster"],
            env=arithmetic_environment(),
            silence_logs=40,
        )


@contextmanager
def connected(address: str, replicas: int, each: int, dashboard: bool = False) -> Iterator[Cluster]:
    """The cluster whose scheduler is at ``address``, or ``local``: one for so many replicas of ``each`` processes.

    UserError if nobody answers there. A local one has a worker per core, threads for all processes, and a dashboard if
    that is wanted.
    """
    if address == "local":
        workers = max(1, min(os.cpu_count() or 1, replicas))
        threads = each * -(-replicas // workers) + 1
        with local_cluster(workers, threads, dashboard) as cluster, Client(cluster) as client:
            yield Cluster(client)
        return
    if not address.startswith(("tcp://", "tls://")):
        raise UserError(
            f"cluster {address}: local, or the address of a Dask scheduler: tcp://host:port"
        )
    try:
        client = Client(address, timeout=ANSWER)
    except (OSError, TimeoutError) as error:
        raise UserError(
            f"cluster {address}: no scheduler answers ({type(error).__name__})"
        ) from None
    with client:
        yield Cluster(client)


def dask_setup(worker: Any) -> None:
    """Called by Dask in every worker that has this module as its preload."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
