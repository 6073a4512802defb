"""Whole calls as Dask tasks, by an executor as the standard library has it: the cells of sweeps."""

from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager

from distributed import Client, LocalCluster

from workbench.engine.cluster.laptop import LOOPBACK, connected

PRELOAD = "workbench.engine.cluster.laptop"  # workers leave Ctrl-C to the process that submits


@contextmanager
def tasks(address: str, jobs: int) -> Iterator[Executor]:
    """The workers of the cluster at ``address`` (tcp://host:port), or ``jobs`` of this machine's own (local).

    Own ones have one thread each, and Dask's patience of minutes: such a call may hold its interpreter for longer than
    a process of a run may be silent.
    """
    if address != "local":
        with connected(address, jobs, 1) as cluster:
            yield cluster.client.get_executor(pure=False, retries=0)
        return
    own = {"host": LOOPBACK, "dashboard_address": f"{LOOPBACK}:0", "worker_dashboard_address": f"{LOOPBACK}:0"}
    made = LocalCluster(n_workers=jobs, threads_per_worker=1, preload=[PRELOAD], **own)
    with made as cluster, Client(cluster) as client:
        yield client.get_executor(pure=False, retries=0)
