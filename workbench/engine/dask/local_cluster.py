"""A Dask cluster on this machine with defaults that are safe in a notebook.

This module is also the preload of its workers.

Everything listens on the loopback interface only, and is reached with the certificate of this
cluster only. And there is no dashboard unless it is asked for:
it has no login, so anybody with an account on this machine could look at it. Each worker is a
process group of its own: the interrupt of a notebook, Ctrl-C and the signals of batch systems go to
the whole group of the process that drives a run, which brings it to rest. They would kill the
workers, and the run would have lost them before it rests.
"""

import ipaddress
import math
import os
import re
import signal
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import dask
import distributed.scheduler
import distributed.worker
from distributed import Client, LocalCluster, Nanny

from workbench.engine.dask.certificate import new_security
from workbench.engine.dask.executor import TASKS, Cluster
from workbench.settings import UserError
from workbench.system.processes import arithmetic_environment

LOOPBACK = "127.0.0.1"
ADDRESS = re.compile(
    r"(?P<protocol>tcp|tls)://(?P<host>\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+):(?P<port>[0-9]{1,5})/?"
)
PLAIN_TCP = "WORKBENCH_PLAIN_TCP"  # variable that allows schedulers elsewhere without TLS
PORTS = 1 << 16
CONNECT_SECONDS = 10  # within which a scheduler must answer
# A worker of which nothing is heard for so long is given up. With less, workers of a busy machine
# would be given up while they import.
SILENCE = "60s"
CONFIG = {
    "distributed.scheduler.work-stealing": False,
    "distributed.scheduler.allowed-failures": 0,
    "distributed.worker.http.routes": [],
    "distributed.worker.memory.target": False,  # parameters in use must not be written to disk
    "distributed.worker.memory.spill": False,
    # Of the last tasks that were given together, and of the last that failed, of each a hundred
    # with their arguments, for pages that nobody has open.
    "distributed.diagnostics.computations.max-history": 1,
    "distributed.diagnostics.erred-tasks.max-history": 1,
}
LASTING_CONFIG = {
    # So long after a worker was lost, Dask ends its nanny for good if the worker is absent at that
    # moment, be it since another loss a second ago. So this is longer than any run: a run itself
    # gives up workers that do not return (`runs.execution`).
    "distributed.deploy.lost-worker-timeout": "3650 days",
    # Of messages between client, scheduler and each worker, events and lines of logs, so many are
    # kept for those who look for errors in Dask. A thousand, and ten thousand lines, are Dask's
    # own choice: for hours, runs that save often would grow.
    "distributed.admin.low-level-log-length": 50,
    "distributed.admin.log-length": 20,
    "distributed.admin.system-monitor.log-length": 100,  # samples, two in a second
    "distributed.scheduler.events-cleanup-delay": "60s",  # of workers that have gone, else an hour
    # Tasks of a kind whose duration is not known, or was far longer, are kept until one has ended
    # well, and those of runs that lose workers do not.
    "distributed.scheduler.default-task-durations": {TASKS: "1000h"},
}


class PlainNanny(Nanny):
    """A nanny whose worker has no pages of its own, for which it would import bokeh: half of its
    start.
    """

    def __init__(self, *arguments: Any, dashboard: bool = False, **options: Any):
        super().__init__(*arguments, dashboard=False, **options)


@contextmanager
def local_cluster(
    workers: int, threads: int, dashboard: bool = False, silence: str = SILENCE
) -> Iterator[LocalCluster]:
    """A cluster of ``workers`` processes with ``threads`` each, for a ``Client``.

    A worker of which nothing is heard for as long as ``silence`` is given up.
    """
    routes = dask.config.get("distributed.scheduler.http.routes") if dashboard else []
    config = {
        **CONFIG,
        "distributed.scheduler.http.routes": routes,
        "distributed.scheduler.worker-ttl": silence,
    }
    # Dask reads LASTING_CONFIG when a worker is lost or comes, so it holds for as long as the
    # cluster; the rest is read once.
    with dask.config.set(LASTING_CONFIG):
        with dask.config.set(config):
            cluster = LocalCluster(
                n_workers=workers,
                threads_per_worker=threads,
                worker_class=PlainNanny,
                host=LOOPBACK,
                protocol="tls",
                security=new_security(),
                dashboard_address=f"{LOOPBACK}:0",
                worker_dashboard_address=f"{LOOPBACK}:0",
                scheduler_kwargs={
                    "dashboard": dashboard,
                    "extensions": _without_spans(distributed.scheduler.DEFAULT_EXTENSIONS),
                },
                extensions=_without_spans(distributed.worker.DEFAULT_EXTENSIONS),
                preload=["workbench.engine.dask.local_cluster"],
                env=arithmetic_environment(),
                silence_logs=40,
            )
        with cluster:
            yield cluster


def _without_spans(extensions: Mapping[str, type]) -> dict[str, type]:
    """Dask's extensions but that which keeps statistics of all groups of tasks there ever were."""
    return {name: extension for name, extension in extensions.items() if name != "spans"}


@contextmanager
def connected(
    address: str, replicas: int, processes_each: int, dashboard: bool = False
) -> Iterator[Cluster]:
    """The cluster whose scheduler is at ``address``.

    ``local`` is a new one on this machine, which ends with the context.

    A local cluster has a worker per core, or per replica if these are fewer, and a thread for each
    of the ``processes_each`` of every replica. UserError if no scheduler answers at the address.
    """
    if address == "local":
        workers = max(1, min(os.cpu_count() or 1, replicas))
        threads = processes_each * math.ceil(replicas / workers) + 1
        with local_cluster(workers, threads, dashboard) as cluster, Client(cluster) as client:
            yield Cluster(client)
        return

    with _client(address) as client:
        yield Cluster(client)


def _client(address: str) -> Client:
    parts = ADDRESS.fullmatch(address)
    if parts is None or not 0 < int(parts["port"]) < PORTS:
        raise UserError(
            f"cluster {address!r}: must be local, or the address of a Dask scheduler: "
            "tcp://host:port or tls://host:port"
        )
    if parts["protocol"] == "tcp" and not _may_be_plain(parts["host"].strip("[]")):
        raise UserError(
            f"cluster {address}: without TLS, everybody who reaches this port can run code on its "
            "workers as you: use tls:// with certificates (workbench/docs/security.md), or set "
            f"{PLAIN_TCP}=1 where the network is yours alone"
        )

    try:
        return Client(address, timeout=CONNECT_SECONDS)
    except (OSError, TimeoutError) as error:
        raise UserError(
            f"cluster {address}: no scheduler answers ({type(error).__name__})"
        ) from None


def _may_be_plain(host: str) -> bool:
    """Return whether a scheduler on ``host`` may be reached without TLS.

    It may be on this machine's loopback, and anywhere if the user has said so.
    """
    if os.environ.get(PLAIN_TCP) == "1":
        return True
    try:
        found = {str(entry[4][0]) for entry in socket.getaddrinfo(host, None)}
    except OSError:  # no such host: connecting says so
        return True
    return all(ipaddress.ip_address(each).is_loopback for each in found)


def dask_setup(worker: object) -> None:
    """Called by Dask in every worker that has this module as its preload."""
    os.setpgrp()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # sent to a worker alone, it means the run too
