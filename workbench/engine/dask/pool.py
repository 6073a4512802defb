"""Whole calls as Dask tasks, by an executor as the standard library has it: the cells of sweeps."""

from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager

from distributed import Client

from workbench.engine.dask.local_cluster import connected, local_cluster

SILENCE = "5 minutes"  # such a call may hold its interpreter for longer than a process of a run may be silent


@contextmanager
def tasks(address: str, jobs: int) -> Iterator[Executor]:
    """The workers of the cluster at ``address`` (tcp://host:port), or ``jobs`` of this machine's own, a thread each."""
    if address == "local":
        with local_cluster(jobs, 1, silence=SILENCE) as cluster, Client(cluster) as client:
            yield client.get_executor(pure=False, retries=0)
        return
    with connected(address, jobs, 1) as found:
        yield found.client.get_executor(pure=False, retries=0)
